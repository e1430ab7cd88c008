"""A figure that is in no paper: which loss protects the chosen response, and what it pays for that in margin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle

from dynamics.language_model import sequence_kernel, tokenize
from dynamics.losses import PairLogProbs
from figures.accuracy import Accuracy
from figures.language_model_pair import PAIR, load_policy
from figures.registry import Arrays, figure
from figures.style import FALLS, OTHERS, PAGE_WIDTH, REFERENCE, RISES, label_panel
from toy_models.multiplication.responses import as_prompt
from toy_models.multiplication.shipped import QUESTION
from toy_models.protection import FEATURES, LOSSES, first_step, pair_at, walk

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

NAMES, POLICIES = tuple(LOSSES), tuple(FEATURES)
TABULAR, SHARED, FAR = range(3)
MODEL_PAIRS = (PAIR["chosen"], PAIR["rejected"]), ("11 x 12 = 132.", "11 x 12 = 131.")
"""Two pairs: that of jian2025-1-lm, and one whose chosen response falls in DPO's first step."""
OSCILLATING = Accuracy(
    "steps of 0.1 nats go to and fro around a stationary point, and rounding decides on which side the path ends",
    absolute=2e-3,
    repeatable=False,
)
LAST = 200  # steps at the end of training over which a continuing fall is measured
HELD = 0.2  # nats: two steps, the amplitude of the oscillation around a stationary point
FALLING = -1.0  # nats over the last steps


def at_ten_nats(chosen: np.ndarray, margin: np.ndarray, nats: float = 10.0) -> tuple[np.ndarray, np.ndarray]:
    """Return both changes at the first step at which the margin has gained ``nats``, or at its largest gain if less.

    Args:
        chosen: change of log pi_w, ``(steps, ...)``.
        margin: change of log pi_w - log pi_l.
        nats: the gain.

    Example:
        >>> found = at_ten_nats(np.array([0.0, -1.0, -2.0]), np.array([0.0, 11.0, 12.0]))
        >>> float(found[0]), float(found[1])
        (-1.0, 11.0)
    """
    reached = margin >= nats
    where = np.where(reached.any(0), reached.argmax(0), margin.argmax(0))[None]
    return np.take_along_axis(chosen, where, 0)[0], np.take_along_axis(margin, where, 0)[0]


@figure(
    "new-protection",
    "Which loss protects the chosen response, and what it pays for that in margin",
    source="not in the papers; the condition is that of Yuan et al. 2024, for two weights",
    caption="(a) The ratio of a loss's two weights at the reference, d_w / d_l, on the policy with a shared "
    "parameter. The chosen response rises if d_w |g_w|^2 > d_l <g_w, g_l>, right of the first line; the margin falls "
    "right of the second. Between them, where only RPO is, both rise. Hollow: both weights are negative, which "
    "reverses every inequality. (b) Change of log pi_w (nats): after the first step per nat of margin, with an arrow "
    "for the direction of the margin; when log(pi_w / pi_l) has gained 10 nats, or the most it ever gains (small); "
    "and at the end of training, after a path of 90 nats (an arrow where it is still falling). Tabular: DPO's chosen "
    "response rises throughout, that of a loss per token falls from the first step (chosen 8 tokens, rejected 2), "
    "and SquaredPO's and forward KL's rise and fall. Shared: under DPO the chosen response loses 15 nats while the "
    "margin gains 10. Far apart (features 1 and 8): DPOP with penalty 1 loses 10 nats while its loss goes to 0; with "
    "penalty 50 the chosen response stays where it is and the margin stops at 5 nats. DiscoPOP's first step lowers "
    "every margin. Model: the first step on two pairs, that of jian2025-1-lm and '11 x 12 = 132.' against '11 x 12 = "
    "131.'; in the second the chosen response falls under DPO, and a shift to 3/4 is enough to prevent that. Robust: "
    "the signs of the finite policies. Dependent on policies, model and pair: the sizes.",
    claims=("jian2025.displacement-condition", "jian2025.tabular-signs"),
    accuracy={
        "model_weights": Accuracy("of log-probabilities of a float32 model", 1e-6, 3e-8),
        "model_*": Accuracy("inner products of float32 gradients, and their differences times weights", 1e-4),
        "loss": Accuracy("at the end of an oscillation, see OSCILLATING", 3e-4, repeatable=False),
        **dict.fromkeys(("ten_*", "end_*", "last"), OSCILLATING),
    },
)
def protection(steps: int = 900, model: str = "", device: str = "") -> Arrays:
    """Compute the first step, the path of training, and the kernel of two pairs in the language model."""
    walked = walk(steps)
    here = first_step(walked.kernel, pair_at(walked.reference, walked.reference))
    kernel, pair = model_pairs(model, device)
    there = first_step(kernel, pair)
    chosen, margin = walked.chosen.numpy(), walked.margin.numpy()
    ten = at_ten_nats(chosen, margin)
    return {
        "kernel": walked.kernel.numpy(),
        "weights": torch.stack([here.chosen_weight, here.rejected_weight]).numpy(),
        "first_chosen": here.chosen.numpy(),
        "first_margin": here.margin.numpy(),
        "first_walked": chosen[1],
        "ten_chosen": ten[0],
        "ten_margin": ten[1],
        "end_chosen": chosen[-1],
        "end_margin": margin[-1],
        "least": chosen.min(0),
        "last": chosen[-1] - chosen[-1 - min(LAST, steps)],
        "loss": walked.loss.numpy(),
        "model_kernel": kernel.numpy(),
        "model_weights": torch.stack([there.chosen_weight, there.rejected_weight]).numpy(),
        "model_chosen": there.chosen.numpy(),
        "model_margin": there.margin.numpy(),
    }


def model_pairs(model: str = "", device: str = "") -> tuple[torch.Tensor, PairLogProbs]:
    """Return the kernels of two pairs in the language model, ``(2, 2, 2)``, and the pairs at their reference."""
    policy, tokenizer = load_policy(model, device)
    prompt = as_prompt(tokenizer, QUESTION)
    sequences = [tokenize(tokenizer, prompt, text) for texts in MODEL_PAIRS for text in texts]
    account = sequence_kernel(policy, sequences)
    kernel, log_p = account.kernel.double().cpu(), account.log_probs.double().cpu().reshape(2, 2).T
    lengths = torch.tensor([len(s.response) for s in sequences], dtype=torch.float64).reshape(2, 2).T
    return torch.stack([kernel[:2, :2], kernel[2:, 2:]]), PairLogProbs(*log_p, *log_p, *lengths)


def _row(name: str) -> int:
    return NAMES.index(name)


def _rows(*names: str) -> list[int]:
    return [NAMES.index(name) for name in names]


def window(kernel: np.ndarray) -> tuple[float, float]:
    """Return the ratios d_w / d_l above which the chosen response rises, and below which the margin does.

    Example:
        >>> window(np.array([[1.0, 2.0], [2.0, 8.0]]))  # of positive weights, with <g_w, g_l> > |g_w|^2
        (2.0, 6.0)
    """
    return float(kernel[0, 1] / kernel[0, 0]), float((kernel[1, 1] - kernel[0, 1]) / (kernel[0, 1] - kernel[0, 0]))


@protection.check
def first_step_is_as_the_two_weights_say(arrays: Arrays) -> bool:
    """The chosen response rises at first if and only if d_w |g_w|^2 > d_l <g_w, g_l>, for every loss, everywhere."""
    right = True
    for weights, kernel, told in (
        (arrays["weights"], arrays["kernel"], (arrays["first_chosen"], arrays["first_walked"])),
        (arrays["model_weights"], arrays["model_kernel"], (arrays["model_chosen"],)),
    ):
        says = weights[0] * kernel[..., 0, 0] > weights[1] * kernel[..., 0, 1]
        right &= all(bool(((seen > 0) == says).all()) and bool((np.abs(seen) > 0).all()) for seen in told)
    return right


@protection.check
def equal_weights_never_lower_a_tabular_response(arrays: Arrays) -> bool:
    """On the tabular policy DPO and IPO never take the chosen response below its start."""
    rows = _rows("DPO", "IPO")
    return bool((arrays["least"][rows, TABULAR] > -1e-12).all() and (arrays["end_chosen"][rows, TABULAR] > 1).all())


@protection.check
def losses_per_token_displace_on_a_table(arrays: Arrays) -> bool:
    """On the tabular policy a loss per token lowers the longer chosen response at first, and ever further."""
    rows = _rows("DPO per token", "SimPO")
    first, last = arrays["first_chosen"][rows, TABULAR], arrays["last"][rows, TABULAR]
    return bool((first < 0).all() and (last < FALLING).all() and (arrays["end_chosen"][rows, TABULAR] < -10).all())


@protection.check
def heavy_forces_displace_on_a_table_later(arrays: Arrays) -> bool:
    """On the tabular policy SquaredPO and forward KL raise the chosen response at first and end a nat below."""
    rows = _rows("SquaredPO", "forward KL")
    return bool((arrays["first_chosen"][rows, TABULAR] > 0).all() and (arrays["end_chosen"][rows, TABULAR] < -1).all())


@protection.check
def discopop_lowers_the_margin_at_first(arrays: Arrays) -> bool:
    """DiscoPOP's first step lowers the margin, on every policy and the model; DPO's raises it."""
    margins = np.concatenate([arrays["first_margin"], arrays["model_margin"]], axis=1)
    return bool((margins[_row("DiscoPOP")] < 0).all() and (margins[_row("DPO")] > 0).all())


@protection.check
def a_shift_is_enough_on_the_model(arrays: Arrays) -> bool:
    """On the model's second pair DPO lowers the chosen response; DPO-Shift, RPO, ORPO and CPO raise it."""
    chosen, margin = arrays["model_chosen"][:, 1], arrays["model_margin"][:, 1]
    raised = chosen[_rows("DPO-Shift", "RPO", "ORPO", "CPO")] > 0
    return bool(chosen[_row("DPO")] < 0 < margin[_row("DPO")] and raised.all() and margin[_row("DPO-Shift")] > 0)


@protection.check
def dpop_forgets_the_response_at_no_loss(arrays: Arrays) -> bool:
    """In the third policy, the loss of DPOP with penalty 1 ends below 1/100 while the chosen response keeps falling."""
    i = _row("DPOP, penalty 1")
    first, last = arrays["loss"][:, i, FAR]
    return bool(last < first / 100 and arrays["end_chosen"][i, FAR] < -5 and arrays["last"][i, FAR] < FALLING)


@protection.check
def dpop_pays_in_margin(arrays: Arrays) -> bool:
    """Where parameters are shared, DPOP with penalty 50 holds the chosen response for less than 1/3 of DPO's margin."""
    i, dpo = _row("DPOP, penalty 50"), _row("DPO")
    held = np.abs(arrays["end_chosen"][i, [SHARED, FAR]]) < HELD
    gained = arrays["end_margin"][:, [SHARED, FAR]]
    fallen = arrays["end_chosen"][dpo, [SHARED, FAR]] < -5
    return bool(held.all() and fallen.all() and (gained[i] > 1).all() and (gained[i] < gained[dpo] / 3).all())


@protection.check
def rpo_alone_is_in_the_window(arrays: Arrays) -> bool:
    """With a shared parameter RPO alone raises both chosen response and margin at first."""
    low, high = window(arrays["kernel"][SHARED])
    d_w, d_l = arrays["weights"][..., SHARED]
    ratio, turned = d_w / d_l, d_w < 0
    both = (arrays["first_chosen"][:, SHARED] > 0) & (arrays["first_margin"][:, SHARED] > 0)
    inside = (ratio > low) & (ratio < high) & ~turned
    beyond = (ratio > high) & (arrays["first_margin"][:, SHARED] < 0) & ~turned
    found = [{NAMES[i] for i in np.flatnonzero(rows)} for rows in (both, inside, beyond)]
    return found == [{"RPO"}, {"RPO"}, {"ORPO", "CPO"}]


@protection.draw
def _draw(arrays: Arrays) -> Drawing:
    drawing, (left, right) = plt.subplots(
        1, 2, figsize=(PAGE_WIDTH, 5.2), gridspec_kw={"width_ratios": (0.75, 3.35)}, layout="constrained"
    )
    _draw_ratios(left, arrays)
    _draw_table(right, arrays)
    label_panel(left, "a")
    label_panel(right, "b")
    return drawing


def _draw_ratios(axes: Axes, arrays: Arrays) -> None:
    """Draw d_w / d_l of every loss, and where chosen response and margin rise."""
    low, high = window(arrays["kernel"][SHARED])
    d_w, d_l = arrays["weights"][..., SHARED]
    axes.axvspan(low, high, color=RISES, alpha=0.15, linewidth=0)
    axes.axvline(low, color=REFERENCE, linewidth=0.8)
    axes.axvline(high, color=REFERENCE, linewidth=0.8)
    for i, (w, l_) in enumerate(zip(d_w, d_l, strict=True)):
        ratio = w / l_
        turned, none = w < 0 and l_ < 0, abs(ratio) < 1e-9
        color = RISES if arrays["first_chosen"][i, SHARED] > 0 else FALLS
        face = "white" if turned else color
        axes.plot(0.13 if none else ratio, i, "<" if none else "o", color=color, markersize=4, markerfacecolor=face)
    axes.set_xscale("log")
    axes.set(xlim=(0.1, 40), ylim=(len(NAMES) - 0.5, -2.2), xlabel="$d_w/d_l$, first step, shared")
    axes.set_xticks([0.1, 1, 10], ["0.1", "1", "10"])
    axes.set_yticks(range(len(NAMES)), NAMES)
    axes.tick_params(axis="y", length=0)
    axes.text(low * 0.9, -1, "chosen falls", ha="right", va="center", fontsize=6, color=REFERENCE)
    axes.text(high * 1.1, -1, "margin falls", ha="left", va="center", fontsize=6, color=REFERENCE)


WIDE, PITCH = 1.45, 3.7  # width of a cell with two numbers, and of the three columns of a policy with a gap


def _cell(axes: Axes, x: float, y: int, value: float, text: str, beside: str | None = None) -> None:
    """Write a number on the colour of its sign, and in a wider cell another one beside it in grey."""
    width = 1.0 if beside is None else WIDE
    depth = 0.45 * min(1.0, abs(value) / 3) if abs(value) > HELD / 2 else 0.0
    face = to_rgba(RISES if value > 0 else FALLS, depth)
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), width, 1, facecolor=face, edgecolor="white", linewidth=0.8))
    axes.text(x + 0.46, y, text, ha="right", va="center", fontsize=6)
    if beside:
        axes.text(x - 0.54 + width, y, beside, ha="right", va="center", fontsize=6, color=OTHERS)


def _draw_table(axes: Axes, arrays: Arrays) -> None:
    """Write the three times of the three policies, and the first step of the model."""
    heads = []
    for policy, name in enumerate(POLICIES):
        x = PITCH * policy
        heads += [(x, "1st step"), (x + WIDE / 2 + 0.5, "10 nats"), (x + 1 + WIDE, "further")]
        axes.text(x + 1.2, -1.75, name, ha="center", va="center", fontsize=7)
        for i in range(len(NAMES)):
            first, margin = arrays["first_chosen"][i, policy], arrays["first_margin"][i, policy]
            _cell(axes, x, i, first / abs(margin), f"{first / abs(margin):+.2f} {'↑' if margin > 0 else '↓'}")
            ten, gained = arrays["ten_chosen"][i, policy], arrays["ten_margin"][i, policy]
            _cell(axes, x + 1, i, ten, f"{ten:+.1f}", f"{gained:.1f}" if gained < 10 else "")
            end = arrays["end_chosen"][i, policy]
            _cell(axes, x + 1 + WIDE, i, end, f"{end:+.1f}{' ↓' if arrays['last'][i, policy] < FALLING else ''}")
    last = PITCH * len(POLICIES)
    axes.text(last + 0.5, -1.75, "model, 1st step", ha="center", va="center", fontsize=7)
    for pair, head in enumerate(("pair 1", "pair 2")):
        heads.append((last + pair, head))
        for i in range(len(NAMES)):
            first, margin = arrays["model_chosen"][i, pair], arrays["model_margin"][i, pair]
            ratio = first / abs(margin)
            text = f"{ratio:+.2f}" if abs(ratio) < 10 else f"{ratio:+.0f}"
            text += " ↑" if margin > 0 else " ↓"
            _cell(axes, last + pair, i, first / abs(margin), text)
    for place, head in heads:
        axes.text(place, -0.9, head, ha="center", va="center", fontsize=6, color=REFERENCE)
    axes.set(xlim=(-0.6, last + 1.6), ylim=(len(NAMES) - 0.5, -2.2))
    axes.set_axis_off()
