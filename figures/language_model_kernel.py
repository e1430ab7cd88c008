"""The kernel of a language model as a picture: between responses to a question, and between the tokens of a pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from dynamics.language_model import sequence_kernel, token_kernel, tokenize
from figures.accuracy import FLOAT32_PRODUCTS, Accuracy
from figures.language_model_pair import load_policy, plain
from figures.plots import plot_kernel
from figures.registry import Arrays, figure
from figures.style import CHOSEN, GREEDY, PAGE_WIDTH, REFERENCE, REJECTED, label_panel
from toy_models.multiplication.shipped import QUESTION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

RESPONSES = (
    "11 x 12 = 132",
    "11 x 12 = 122",
    "121",
    "132",
    "The answer is 132.",
    "122",
    "The answer is 122.",
    "11 x 12 = 144",
)
"""The chosen response, the rejected one, one that is in no pair, and others, right and wrong."""

W, L, THIRD = range(3)
COSINES = Accuracy("cosines of gradients in float32; 1e-7 was seen", absolute=1e-6)


@figure(
    "new-kernel-lm",
    "The kernel of a language model: why a step on this pair lowers its own chosen response",
    source="not in the papers; the kernel is that of Jian et al. 2025, Remark 1",
    caption="Cosines of the angles between gradients grad log pi of a small model that multiplies. (a) Between whole "
    "responses to 11 x 12. Chosen and rejected response (first and second) have most tokens in common and a cosine "
    "above one half; since the rejected one has the longer gradient, the drive |g_w|^2 - g_w . g_l of the chosen "
    "response is negative. (b) Between the tokens of the pair. A token that both share, after the same tokens, has one "
    "gradient in both; where the pair parts, the two different tokens still have a cosine above one half.",
    differs="The model has 330,144 parameters and has learnt the times table without 11 x 12.",
    claims=("jian2025.theorem-1", "jian2025.displacement-condition"),
    accuracy={"*cosine": COSINES, "*norm": FLOAT32_PRODUCTS},
)
def kernel_of_a_model(model: str = "", device: str = "", responses: tuple[str, ...] = RESPONSES) -> Arrays:
    """Compute the kernel between the responses, and between the tokens of the first two."""
    policy, tokenizer = load_policy(model, device)
    sequences = [tokenize(tokenizer, f"{QUESTION}\n", response) for response in responses]
    whole, tokens = sequence_kernel(policy, sequences), token_kernel(policy, sequences[:2])
    ids = [list(sequence.ids[sequence.prompt_tokens :]) for sequence in sequences[:2]]
    names = ["end" if i == tokenizer.eos_token_id else tokenizer.decode([i]) for row in ids for i in row]
    fork = next(t for t, (a, b) in enumerate(zip(*ids, strict=False)) if a != b)
    return {
        "response": np.array([plain(response) for response in responses]),
        "cosine": whole.cosine().numpy(),
        "norm": whole.norms().numpy(),
        "token": np.array([plain(name.replace(" ", "␣")) for name in names]),
        "starts": np.array(tokens.starts),
        "fork": np.array(fork),
        "token_cosine": tokens.cosine().numpy(),
        "token_norm": tokens.norms().numpy(),
    }


def _kernel(arrays: Arrays, of: str = "") -> np.ndarray:
    """Return the inner products of the responses, or of the tokens."""
    norm = arrays[f"{of}norm"]
    return np.asarray(arrays[f"{of}cosine"] * norm[:, None] * norm)


def _cross_block(arrays: Arrays, values: np.ndarray) -> np.ndarray:
    """Return what concerns the tokens of the chosen response (rows) and those of the rejected one (columns)."""
    start, middle, end = arrays["starts"]
    return np.asarray(values[start:middle, middle:end])


@kernel_of_a_model.check
def cosines_of_vectors(arrays: Arrays) -> bool:
    """Both matrices are symmetric with ones on the diagonal, and no eigenvalue is negative."""
    seen = []
    for cosine in (arrays["cosine"], arrays["token_cosine"]):
        even = np.abs(cosine - cosine.T).max() < 1e-4 and np.abs(np.diagonal(cosine) - 1).max() < 1e-4
        seen.append(bool(even and np.linalg.eigvalsh(cosine).min() > -1e-3))
    return all(seen)


@kernel_of_a_model.check
def chosen_is_driven_down(arrays: Arrays) -> bool:
    """The drives of both are negative; their cosine is above one half and the rejected one has the longer gradient."""
    kernel = _kernel(arrays)
    drive = kernel[:, W] - kernel[:, L]
    scale = arrays["norm"][W] * arrays["norm"][L]
    longer = arrays["cosine"][W, L] > 0.5 and arrays["norm"][L] > 1.1 * arrays["norm"][W]
    return bool(longer and drive[W] < -0.01 * scale and drive[L] < -0.01 * scale)


@kernel_of_a_model.check
def another_response_is_driven_up(arrays: Arrays) -> bool:
    """The drive of 121, a wrong answer that is in no pair, is positive."""
    kernel = _kernel(arrays)
    drive = kernel[THIRD, W] - kernel[THIRD, L]
    return bool(drive > 0.01 * arrays["norm"][THIRD] * arrays["norm"][W])


@kernel_of_a_model.check
def tokens_add_up_to_responses(arrays: Arrays) -> bool:
    """The blocks of the token kernel sum to the kernel of the two responses, to a thousandth of |g_i| |g_j|."""
    tokens, starts = _kernel(arrays, "token_"), arrays["starts"]
    sums = np.add.reduceat(np.add.reduceat(tokens, starts[:-1], axis=0), starts[:-1], axis=1)
    norm = arrays["norm"][:2]
    return bool((np.abs(sums - _kernel(arrays)[:2, :2]) < 1e-3 * norm[:, None] * norm).all())


@kernel_of_a_model.check
def shared_tokens_share_their_gradient(arrays: Arrays) -> bool:
    """Before the pair parts, a token of the chosen response and the same token of the rejected one have cosine 1."""
    block, fork = _cross_block(arrays, arrays["token_cosine"]), int(arrays["fork"])
    return bool(fork > 0 and np.abs(np.diagonal(block)[:fork] - 1).max() < 1e-3)


@kernel_of_a_model.check
def still_alike_where_the_pair_parts(arrays: Arrays) -> bool:
    """The two tokens at which the pair parts have a cosine above one half."""
    block, fork = _cross_block(arrays, arrays["token_cosine"]), int(arrays["fork"])
    return bool(0.5 < block[fork, fork] < 0.99)


@kernel_of_a_model.draw
def _draw_kernel(arrays: Arrays) -> Drawing:
    drawing, (left, right) = plt.subplots(1, 2, figsize=(PAGE_WIDTH, 3.8), gridspec_kw={"width_ratios": (1, 1.15)})
    plot_kernel(left, _kernel(arrays), names=[str(name) for name in arrays["response"]])
    left.set_title("responses")
    image = plot_kernel(right, _kernel(arrays, "token_"), names=[str(name) for name in arrays["token"]])
    right.set_title("tokens of the pair")
    right.tick_params(axis="both", labelsize=6)
    middle = arrays["starts"][1] - 0.5
    for line in (right.axhline, right.axvline):
        line(middle, color=REFERENCE, linewidth=0.6)
    _color_labels(left, (CHOSEN, REJECTED, GREEDY))
    _color_labels(right, tuple(CHOSEN if i < middle else REJECTED for i in range(len(arrays["token"]))))
    right.set_xlabel("chosen, rejected")
    bar = drawing.colorbar(image, ax=right, pad=0.02, shrink=0.8)
    bar.set_label("cosine of the gradients")
    bar.outline.set_visible(False)
    label_panel(left, "a")
    label_panel(right, "b")
    return drawing


def _color_labels(axes: Axes, colors: tuple[str, ...]) -> None:
    """Write the first names of rows and columns in some colours."""
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        for label, color in zip(labels, colors, strict=False):
            label.set_color(color)
