"""One step of gradient descent on a pair, in a language model: what Theorem 1 of jian2025 says, and what happens.

The first figure has y_w, y_l and y* at many learning rates, the second the whole vocabulary along the chosen response.
The model is the package's own checkpoint, or any other (``--model``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import torch

from dynamics import DPO
from dynamics.language_model import (
    changed_parameters,
    log_probs_jvp,
    next_token_log_probs,
    parameter_change,
    tokenize,
    vocabulary_shift,
)
from figures.accuracy import FLOAT32_PRODUCTS, Accuracy
from figures.language_model_pair import COLORS, PAIR, Y_STAR, L, W, load_policy, plain
from figures.plots import plot_changes
from figures.registry import Arrays, figure
from figures.style import CHOSEN, GREEDY, OTHERS, PAGE_WIDTH, REFERENCE, REJECTED, label_line, label_panel, tint
from toy_models.multiplication.corpus import ask
from toy_models.multiplication.shipped import QUESTION
from toy_models.multiplication.single_pair import PairSettings, follow_pair, theorem_1_errors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

FIRST_ORDER = 0.02  # nats: a step that moves no log pi by more than this is small enough for fitting a slope
RATES = (1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)


@figure(
    "new-theorem-1-lm",
    "Theorem 1 on a language model: right to first order, and of no use for y_w beyond a tenth of a nat",
    source="not in the papers; Jian et al. 2025, Theorem 1 and Eq. (64)",
    caption="One plain gradient step on the pair of jian2025-1-lm, from the untrained model, at ten learning rates. "
    "(a) Change of log pi, predicted (lines) and actual (points; open where the sign is not the predicted one). (b) "
    "The error relative to the prediction is first order in the learning rate: slope 1. Dashed: Eq. (64) as printed "
    "for y*, with |g*|^2 where g* . g_w belongs. It has the wrong sign here, and its error does not vanish for small "
    "steps. The error is largest for y_w, whose drive is a small difference of large numbers; at the largest rate it "
    "falls where Theorem 1 has it rise. Robust: the slopes. Dependent on model and pair: at which step size the "
    "prediction becomes useless.",
    claims=("jian2025.theorem-1", "jian2025.eq-64", "jian2025.eq-19", "jian2025.theorem-2-greedy-sign"),
    accuracy={
        "actual": Accuracy("differences of two log pi of order 10 in float64", 1e-14, 3e-14),
        "slope": Accuracy("fitted to relative errors of 1e-4 of changes of 1e-5", absolute=1e-5),
        "kernel": FLOAT32_PRODUCTS,
        "as_printed": FLOAT32_PRODUCTS,
    },
)
def theorem_1(
    model: str = "",
    device: str = "",
    chosen: str = PAIR["chosen"],
    rejected: str = PAIR["rejected"],
    beta: float = 0.1,
    learning_rates: tuple[float, ...] = RATES,
) -> Arrays:
    """Compare single steps of several sizes with Theorem 1; the kernel's prediction is kept beside that of the jvp."""
    policy, tokenizer = load_policy(model, device)
    settings = PairSettings(chosen=chosen, rejected=rejected, beta=beta, steps=1, every=1, others=1)
    found = theorem_1_errors(policy, tokenizer, learning_rates, settings)
    inner = follow_pair(policy, tokenizer, settings).kernel[0]
    speed = found.learning_rates * beta / 2  # at the reference sigma(-z) = 1/2
    small = np.abs(found.predicted).max(1) < FIRST_ORDER
    slope = _slope(found.learning_rates[small], found.relative_error[small])
    return {
        "learning_rate": found.learning_rates,
        "predicted": found.predicted,
        "actual": found.actual,
        "kernel": speed[:, None] * (inner[:, W] - inner[:, L]),
        "as_printed": speed * (inner[Y_STAR, Y_STAR] - inner[Y_STAR, L]),
        "small": small,
        "slope": slope,
    }


def _slope(rates: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Return the slope of log error against log rate, column by column; NaN for fewer than three rates."""
    if len(rates) < 3:
        return np.full(errors.shape[1:], np.nan)
    x = np.log(rates) - np.log(rates).mean()
    return np.asarray(x @ np.log(errors) / (x @ x))


def _errors(arrays: Arrays) -> np.ndarray:
    return np.abs(arrays["predicted"] - arrays["actual"]) / np.abs(arrays["predicted"])


def _printed_error(arrays: Arrays) -> np.ndarray:
    return np.abs(arrays["as_printed"] - arrays["actual"][:, Y_STAR]) / np.abs(arrays["as_printed"])


@theorem_1.check
def error_is_first_order(arrays: Arrays) -> bool:
    """The relative error grows with slope 1 (to 0.05), for y_w, y_l and y*, over the steps below 0.02 nats."""
    small = arrays["small"].astype(bool)
    fitted = _slope(arrays["learning_rate"][small], _errors(arrays)[small])
    return bool((np.abs(fitted - 1) < 0.05).all() and np.allclose(fitted, arrays["slope"], rtol=0, atol=1e-3))


@theorem_1.check
def small_steps_are_predicted(arrays: Arrays) -> bool:
    """At the smallest step the error is below 0.1%; the chosen response rises and the rejected one falls."""
    signs = arrays["actual"][0, W] > 0 > arrays["actual"][0, L]
    return bool((_errors(arrays)[0] < 1e-3).all() and signs)


@theorem_1.check
def large_steps_are_not(arrays: Arrays) -> bool:
    """At the largest step y_w falls where Theorem 1 has it rise, while the margin still grows."""
    predicted, actual = arrays["predicted"][-1], arrays["actual"][-1]
    return bool(predicted[W] > 0 > actual[W] and actual[W] > actual[L])


@theorem_1.check
def kernel_and_forward_mode_agree(arrays: Arrays) -> bool:
    """Inner products of scores and the forward-mode derivative give the same prediction, to 0.01%."""
    return bool((np.abs(arrays["kernel"] / arrays["predicted"] - 1) < 1e-4).all())


@theorem_1.check
def eq_64_as_printed_is_wrong_at_every_step(arrays: Arrays) -> bool:
    """For y* Eq. (64) as printed has the wrong sign at every step; with g* . g_w the sign is right at every step."""
    actual = arrays["actual"][:, Y_STAR]
    wrong = (arrays["as_printed"] * actual < 0).all() and (_printed_error(arrays) > 1).all()
    return bool(wrong and (arrays["predicted"][:, Y_STAR] * actual > 0).all())


@theorem_1.draw
def _draw_theorem_1(arrays: Arrays) -> Drawing:
    drawing, (first, second) = plt.subplots(1, 2, figsize=(PAGE_WIDTH, 2.7))
    rates, predicted, actual = arrays["learning_rate"], arrays["predicted"], arrays["actual"]
    agree = predicted * actual > 0
    names = ("$y_w$", "$y_l$", "$y^*$")
    for column, color in enumerate(COLORS):
        sign = "rises" if predicted[0, column] > 0 else "falls"
        first.plot(rates, np.abs(predicted[:, column]), color=color, linewidth=1.0)
        for right, face in ((agree, color), (~agree, "white")):
            chosen = right[:, column]
            first.plot(
                rates[chosen],
                np.abs(actual[chosen, column]),
                linestyle="",
                marker="o",
                markersize=4,
                color=color,
                markerfacecolor=face,
            )
        first.text(
            0.05, 0.9 - 0.1 * column, f"{names[column]} {sign}", color=color, transform=first.transAxes, fontsize=7
        )
        error = _errors(arrays)[:, column]
        second.plot(rates, error, color=color, marker="o", markersize=3, linewidth=1.0)
        words = f"{names[column]}: slope {arrays['slope'][column]:.3f}"
        second.text(0.62, 0.3 - 0.11 * column, words, color=color, transform=second.transAxes, fontsize=7)
    second.plot(rates, _printed_error(arrays), color=GREEDY, linewidth=1.0, linestyle=(0, (4, 2)))
    label_line(second, rates[0], _printed_error(arrays)[0] * 1.5, "$y^*$ by Eq. (64) as printed", GREEDY, fontsize=7)
    _log_axes(first, r"$|\Delta\log\pi(y)|$ (nats)", "lines: Theorem 1, points: the step")
    _log_axes(second, "relative error of the prediction", "error of the prediction")
    for axes, letter in ((first, "a"), (second, "b")):
        label_panel(axes, letter)
    return drawing


def _log_axes(axes: Axes, ylabel: str, title: str) -> None:
    axes.set(xscale="log", yscale="log", xlabel=r"learning rate $\eta$", ylabel=ylabel, title=title)
    axes.grid(True)


# ---------------------------------------------------------------- the vocabulary


@figure(
    "new-vocabulary-shift",
    "Where one step on a pair sends the next token: the shared beginning moves as well, and a third number gains most",
    source="not in the papers; Jian et al. 2025, Theorem 1 carried to every token; Remark 4",
    caption="One plain gradient step (learning rate 3e-4) on 'The answer is 132.' against 'The answer is 121.': "
    "first-order change of every next-token probability along y_w, by one forward-mode pass (bars), and the actual "
    "change (dots). (a) Probability that moves between next tokens at each position. Without shared parameters it "
    "would be exactly 0 before the two responses differ; here the distribution of the first token changes already, "
    "and with it responses that are in no pair. (b) All tokens at all positions. (c) The first token: probability "
    "moves away from bare numbers. (d) Where the two responses differ, y_l's token loses most, but the largest gain "
    "is not that of y_w's: it is a digit that neither response has. Robust: agreement to first order, and that the "
    "shared beginning moves. Dependent on model and pair: which token gains.",
    claims=("jian2025.theorem-1", "jian2025.prefix-tree", "jian2025.remark-4"),
    accuracy={"actual": Accuracy("differences of two probabilities in float64, of deep sums", 1e-14, 3e-15)},
)
def token_shift(
    model: str = "",
    device: str = "",
    chosen: str = PAIR["chosen"],
    rejected: str = PAIR["rejected"],
    beta: float = 0.1,
    learning_rates: tuple[float, ...] = (3e-4, 3e-5, 3e-3),
) -> Arrays:
    """Predict the change of all next-token probabilities at the first learning rate, and measure it at each."""
    policy, tokenizer = load_policy(model, device)
    pair = [tokenize(tokenizer, ask(QUESTION), text) for text in (chosen, rejected)]
    change = parameter_change(
        policy,
        pair,
        loss=DPO(beta=beta),
        learning_rate=learning_rates[0],
        parameters=lambda _: True,
        dtype=torch.float64,
    )
    shift = vocabulary_shift(policy, change, pair[:1], dtype=torch.float64)
    actual = []
    for rate in learning_rates:
        scaled = {name: step * (rate / learning_rates[0]) for name, step in change.items()}
        with changed_parameters(policy, scaled, torch.float64):
            after = next_token_log_probs(policy, pair[:1], dtype=torch.float64)
        actual.append((shift.probabilities * torch.expm1(after - shift.log_probs)).numpy())
    y_w, y_l = (sequence.response for sequence in pair)
    fork = next((i for i, (a, b) in enumerate(zip(y_w, y_l, strict=False)) if a != b), min(len(y_w), len(y_l)) - 1)
    tokens = sorted(
        {*y_w, y_l[fork], *shift.change[[0, fork]].abs().topk(min(8, shift.change.shape[1])).indices.flatten().tolist()}
    )
    return {
        "learning_rate": np.array(learning_rates),
        "predicted": shift.change.numpy(),
        "actual": np.stack(actual),
        "log_change": shift.log_change.numpy(),
        "push": log_probs_jvp(policy, change, pair[:1], dtype=torch.float64).cpu().numpy(),
        "y_w": np.array(y_w),
        "y_l_at_fork": np.array(y_l[fork]),
        "fork": np.array(fork),
        "token": np.array(tokens),
        "token_text": np.array([_readable(tokenizer, token) for token in tokens]),
        "y_w_text": np.array([_readable(tokenizer, token) for token in y_w]),
    }


def _readable(tokenizer: object, token: int) -> str:
    if token == tokenizer.eos_token_id:  # type: ignore[attr-defined]
        return "end"
    return plain(tokenizer.decode([token]).replace(" ", "␣"))  # type: ignore[attr-defined]


def _moved(change: np.ndarray) -> np.ndarray:
    """Return the probability that changes hands at each position."""
    return np.abs(change).sum(-1) / 2


def _shift_errors(arrays: Arrays) -> np.ndarray:
    """Return |actual - predicted| / |predicted| as vectors over the vocabulary, ``(rates, positions)``."""
    scale = arrays["learning_rate"] / arrays["learning_rate"][0]
    predicted = scale[:, None, None] * arrays["predicted"]
    return np.linalg.norm(arrays["actual"] - predicted, axis=-1) / np.linalg.norm(predicted, axis=-1)


@token_shift.check
def shift_is_predicted(arrays: Arrays) -> bool:
    """At every position the predicted shift is within 2% of the actual one, as vectors over the vocabulary."""
    return bool((_shift_errors(arrays)[0] < 0.02).all())


@token_shift.check
def shift_error_is_first_order(arrays: Arrays) -> bool:
    """At the first position and where the pair parts, the relative error has slope 1 in the learning rate, to 0.1."""
    errors = _shift_errors(arrays)[:, [0, int(arrays["fork"])]]
    return bool((np.abs(_slope(arrays["learning_rate"], errors) - 1) < 0.1).all())


@token_shift.check
def probability_is_conserved(arrays: Arrays) -> bool:
    """Predicted and actual changes sum to zero at every position."""
    sums = [np.abs(arrays[name].sum(-1)).max() for name in ("predicted", "actual")]
    return bool(max(sums) < 1e-11)


@token_shift.check
def tokens_add_up_to_theorem_1(arrays: Arrays) -> bool:
    """The changes of log p of y_w's own tokens add up to Theorem 1's change of log pi(y_w), computed separately."""
    own = arrays["log_change"][np.arange(len(arrays["y_w"])), arrays["y_w"].astype(int)].sum()
    return bool(abs(own - arrays["push"][0]) < 1e-9 * abs(own))


@token_shift.check
def shared_beginning_moves(arrays: Arrays) -> bool:
    """The first token, which the pair has in common, moves too, by more than 1% of what moves where it parts."""
    fork, share = int(arrays["fork"]), _moved(arrays["actual"][0])
    return bool(fork > 0 and 0.01 * share[fork] < share[0] < share[fork] and share[fork] == share.max())


@token_shift.check
def a_third_token_gains_most(arrays: Arrays) -> bool:
    """Where the pair parts, y_l's token loses most and y_w's gains, but the largest gain is another token's."""
    fork = int(arrays["fork"])
    own, other = int(arrays["y_w"][fork]), int(arrays["y_l_at_fork"])
    seen = [
        row.argmin() == other and row[own] > 0 and row.argmax() not in (own, other)
        for row in (arrays["predicted"][fork], arrays["actual"][0][fork])
    ]
    return all(bool(x) for x in seen)


@token_shift.draw
def _draw_token_shift(arrays: Arrays) -> Drawing:
    drawing, ((first, second), (third, fourth)) = plt.subplots(2, 2, figsize=(PAGE_WIDTH, 4.4))
    predicted, actual, fork = arrays["predicted"], arrays["actual"][0], int(arrays["fork"])
    place = np.arange(len(predicted))
    colors = [OTHERS if i < fork else REFERENCE if i == fork else CHOSEN for i in place]
    first.bar(place, _moved(predicted), color=[tint(color, 0.45) for color in colors], width=0.8)
    first.scatter(place, _moved(actual), color=colors, s=9, zorder=3)
    first.set(yscale="log", ylabel="probability that moves", xlabel="next token of $y_w$", title="along the response")
    first.set_xticks(
        place, arrays["y_w_text"], fontsize=6.5, rotation=90 if max(map(len, arrays["y_w_text"])) > 3 else 0
    )
    top = _moved(actual).max()
    first.text(0.4 * fork, 0.8 * top, "shared with $y_l$", color=OTHERS, ha="center", fontsize=7)
    first.text(fork + 0.3, 3 * top, "the pair parts", color=REFERENCE, ha="right", fontsize=7)
    first.text(fork + 0.8, 3 * top, "rest of $y_w$", color=CHOSEN, ha="left", fontsize=7)
    first.text(0.03, 0.95, "bars: predicted, dots: actual", transform=first.transAxes, fontsize=7, va="top")
    first.set_ylim(None, 60 * top)
    for i in place:
        second.scatter(predicted[i], actual[i], color=colors[i], s=5, linewidths=0)
    largest = np.abs(predicted).max()
    second.axline((0, 0), slope=1, color=OTHERS, linewidth=0.6, zorder=0)
    for scale in (second.set_xscale, second.set_yscale):
        scale("symlog", linthresh=largest * 1e-5, linscale=0.5)
    decades = 10.0 ** (np.floor(np.log10(largest)) - np.array([0, 2]))
    second.set(xticks=[*-decades, 0, *decades], yticks=[*-decades, 0, *decades])
    second.minorticks_off()
    second.set(xlabel="predicted change of $p$", ylabel="actual change of $p$", title="every token, every position")
    _draw_tokens(third, arrays, 0, "first token")
    _draw_tokens(fourth, arrays, fork, "where the pair parts")
    for axes, letter in zip((first, second, third, fourth), "abcd", strict=True):
        label_panel(axes, letter)
    return drawing


def _draw_tokens(axes: Axes, arrays: Arrays, place: int, title: str) -> None:
    """Draw the four tokens that gain most and the three that lose most at a position."""
    predicted, actual = arrays["predicted"][place], arrays["actual"][0][place]
    token = arrays["token"].astype(int)
    order = token[np.argsort(-predicted[token])]
    shown = list(dict.fromkeys([*order[:4], *order[-3:]]))
    names = dict(zip(token, arrays["token_text"], strict=True))
    here = {int(arrays["y_w"][place]): REFERENCE}  # of both
    if place == int(arrays["fork"]):
        here = {int(arrays["y_w"][place]): CHOSEN, int(arrays["y_l_at_fork"]): REJECTED}
    colors = [here.get(int(y), OTHERS) for y in shown]
    plot_changes(axes, predicted[shown], actual[shown], names=[names[y] for y in shown], colors=colors)
    axes.set(xlabel="next token", title=title)
    per_unit = axes.dataLim.y1 / max(0.0, predicted[shown].max(), actual[shown].max())  # the power of ten of the axis
    for color, name in ((CHOSEN, "$y_w$"), (REJECTED, "$y_l$")):
        if color in colors:
            at = colors.index(color)
            above = (at, max(0.0, predicted[shown[at]]) * per_unit)
            axes.annotate(name, above, (0, 5), textcoords="offset points", ha="center", color=color)
