"""jian2025 Figure 2a on a small language model: DPO on five pairs of one prompt, and the probability of a wrong y*.

The paper shows one run and does not say how its five rejected responses were taken. Beside such a run, the figure shows
the probability of six groups of responses, and other random draws of the rejected responses. Figure 2b is in
``language_model_stable_po``. The model is the package's own checkpoint, or any other (``--model``).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

from figures.accuracy import FLOAT32, FLOAT32_FORECASTS, FLOAT32_PROBABILITIES
from figures.language_model_pair import load_policy, plain
from figures.registry import Arrays, figure
from figures.style import (
    CHOSEN,
    DPO_COLOR,
    GREEDY,
    NLL_COLOR,
    OTHERS,
    PAGE_WIDTH,
    REFERENCE,
    REJECTED,
    STABLE_PO_COLOR,
    label_line,
    label_panel,
    tint,
)
from toy_models.multiplication.compare import draw_rules, predict_first_move
from toy_models.multiplication.methods import Descent, Method, dpo_with_nll
from toy_models.multiplication.probe import GROUPS, UNSAMPLED, ProbeRun, ProbeSettings, follow
from toy_models.multiplication.responses import as_prompt
from toy_models.multiplication.shipped import PINNED, QUESTION, answers
from toy_models.multiplication.survey import PairRule, Survey, select_pairs, survey

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

W, L, Y_STAR = range(3)
COLORS = (CHOSEN, REJECTED, GREEDY)
CURVES = ("$D_w$", "$D_l$", "$y^*$")
STACK = (0, 3, 2, 4, 5, 1)
"""Groups from the bottom of the stack to its top: the correct ones below."""
GROUP_COLORS = (CHOSEN, REJECTED, GREEDY, tint(CHOSEN, 0.45), tint(REJECTED, 0.45), tint(OTHERS, 0.35))
METHOD_COLORS = {"DPO": DPO_COLOR, "DPO + NLL": NLL_COLOR, "Stable PO": STABLE_PO_COLOR}
MODEL = (
    "A Qwen2 of 330,144 parameters that has learnt the times table without 11 x 12 takes the place of "
    "Qwen2.5-0.5B-Instruct; beta 0.5, AdamW, learning rate 1e-5, 50 steps on five pairs at once are ours. "
)


def survey_question(model: str, device: str) -> tuple[Any, Survey, PairRule]:
    """Return the model, the survey of its responses, and the rule for the pairs (selected for our own model)."""
    policy, tokenizer = load_policy(model, device)
    rule = PairRule(rejected="weighted") if model else PINNED
    prompt = as_prompt(tokenizer, QUESTION)
    return policy, survey(policy, tokenizer, prompt, partial(answers, 132), also=rule.named), rule


def _only(surveyed: Survey, rule: PairRule) -> tuple[Survey, PairRule]:
    """Return a survey of y* and the responses of the pairs alone, faster to track, and the rule of these pairs."""
    chosen, rejected = select_pairs(surveyed, rule)
    kept = np.sort([surveyed.y_star, *chosen, *rejected])
    small = replace(
        surveyed,
        responses=tuple(surveyed.responses[i] for i in kept),
        texts=tuple(surveyed.texts[i] for i in kept),
        log_probs=surveyed.log_probs[kept],
        correct=surveyed.correct[kept],
        y_star=int(np.flatnonzero(kept == surveyed.y_star)[0]),
    )
    return small, replace(rule, rejected=tuple(surveyed.texts[i] for i in rejected))


def train_on(policy: Any, surveyed: Survey, rule: PairRule, method: Method, steps: int) -> ProbeRun:
    """Train on some pairs and follow y*, D_w and D_l."""
    small, named = _only(surveyed, rule)
    return follow(policy, small, ProbeSettings(rule=named, method=method, steps=steps))


def record(run: ProbeRun) -> Arrays:
    """Return the arrays of the run on the first set of pairs that both figures show."""
    return {
        "step": np.arange(len(run.log_probs)),
        "texts": np.array(run.survey.texts),
        "group": run.group,
        "log_probs": run.log_probs,
        "change": run.change,
        "mass": run.mass,
        "void": np.array(run.survey.is_void),
    }


def forecast(
    policy: Any, surveyed: Survey, rule: PairRule, draws: int, method: Method
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first-order change of D_w, D_l and y* in the first step, for the pairs and for random draws of D_l.

    Args:
        policy: the model of the survey.
        surveyed: the survey of its responses.
        rule: of the pairs.
        draws: how many others; half of them weighted, half uniform.
        method: how they would be trained.

    Returns:
        Moves in nats, ``(3,)``, and of the others ``(2, draws / 2, 3)``: weighted, uniform.
    """
    own, *moves = predict_first_move(policy, surveyed, [rule, *draw_rules(2 * (draws // 2), rule.pairs)], method)
    return own, np.stack([moves[::2], moves[1::2]])


PROBE_ACCURACY = {
    "log_probs": FLOAT32,
    "mass": FLOAT32_PROBABILITIES,
    "fore*": FLOAT32_FORECASTS,
    "*": FLOAT32,
}


def masses_add_up(arrays: Arrays) -> bool:
    """Return whether the six masses are those of the responses, none is negative, and they sum to one at every step."""
    p, mass = np.exp(arrays["log_probs"]), arrays["mass"]
    tracked = np.stack([p[:, arrays["group"] == g].sum(1) for g in range(UNSAMPLED)], axis=1)
    same = np.abs(mass[:, :UNSAMPLED] - tracked).max() < 1e-3
    return bool(mass.shape[1] == len(GROUPS) and same and (mass >= 0).all() and np.abs(mass.sum(1) - 1).max() < 1e-3)


@figure(
    "jian2025-2a",
    "DPO raises a wrong y* that is in no pair if the rejected responses are selected for it; with others it may not",
    source="Jian et al. 2025, Figure 2 (a)",
    caption="(a) Mean change of log pi of five correct responses (D_w), of five incorrect ones (D_l) and of the most "
    "probable response y*, which is wrong. (b) The probability of six groups of responses, which sums to one: D_l "
    "has almost none to lose, and what D_w and y* gain comes from other incorrect and unsampled responses, which the "
    "proof of Theorem 2 assumes to be negligible. (c) y* with six unselected draws of D_l (solid: in proportion to "
    "the probabilities, dashed: uniformly; black: the D_l of (a)): in most of them it falls. (d) The first change of "
    "y* in a plain gradient step, by the kernel of the untrained model, in 200 draws. Robust: D_l falls, and D_w "
    "rises at first. Dependent on the draw: whether y* rises at all, and whether D_w stays up to the end.",
    differs=MODEL + "The D_l of (a) was selected among 600 draws to show the paper's picture, which is not a general "
    "fact. The paper leaves open how its rejected responses were taken, the pairing, beta, learning rate, optimizer "
    "and number of steps. Panels (b) to (d) are added.",
    claims=(
        "jian2025.theorem-2-greedy-sign",
        "jian2025.theorem-2-case-2",
        "jian2025.eq-59",
        "jian2025.remark-4",
        "jian2025.tabular-many-pairs",
        "jian2025.theorem-1-adam",
    ),
    accuracy={"predicted": FLOAT32_FORECASTS, **PROBE_ACCURACY},
)
def dpo_probe(
    model: str = "", device: str = "", beta: float = 0.5, steps: int = 50, draws: int = 200, trained: int = 6
) -> Arrays:
    """Train DPO on one set of pairs and on some draws of the rejected; forecast y*'s first move on many."""
    policy, surveyed, rule = survey_question(model, device)
    method = Descent(dpo_with_nll(beta, 0.0))
    run = follow(policy, surveyed, ProbeSettings(rule=rule, method=method, steps=steps))
    others = draw_rules(trained, rule.pairs)
    predicted, draws_predicted = forecast(policy, surveyed, rule, draws, method)
    return {
        **record(run),
        "draw": np.array([str(other) for other in others]),
        "draw_change": np.stack([train_on(policy, surveyed, other, method, steps).change for other in others]),
        "forecast": draws_predicted,
        "predicted": predicted,
    }


@dpo_probe.check
def the_pattern_of_the_paper(arrays: Arrays) -> bool:
    """D_w and y* end up, D_l ends down, and y* is wrong."""
    end = arrays["change"][-1]
    return bool(not arrays["void"] and end[W] > 0 > end[L] and end[Y_STAR] > 0)


@dpo_probe.check
def six_masses_sum_to_one(arrays: Arrays) -> bool:
    """The six masses are non-negative, sum to one at every step, and are those of the tracked responses."""
    return masses_add_up(arrays)


@dpo_probe.check
def the_mass_comes_from_others(arrays: Arrays) -> bool:
    """D_w and y* gain over ten times what D_l had; other incorrect and unsampled responses lose more than D_l had."""
    mass = arrays["mass"]
    gain = mass[-1] - mass[0]
    return bool(min(gain[0], gain[2]) > 10 * mass[0, 1] and max(gain[4], gain[5]) < -mass[0, 1])


@dpo_probe.check
def chosen_up_and_rejected_down_in_every_draw(arrays: Arrays) -> bool:
    """The kernel predicts D_w up and D_l down in every draw; trained, D_l falls in every draw, D_w rises at first."""
    forecast, trained = arrays["forecast"], arrays["draw_change"]
    predicted = (forecast[..., W] > 0).all() and (forecast[..., L] < 0).all()
    early = trained[:, min(10, trained.shape[1] - 1), W]
    return bool(predicted and (np.diff(trained[:, :, L]) < 0).all() and (early > 0).all())


@dpo_probe.check
def y_star_depends_on_the_draw(arrays: Arrays) -> bool:
    """The kernel predicts y* up in a quarter to three quarters of both kinds of draw; trained, it falls in most."""
    shares = (arrays["forecast"][..., Y_STAR] > 0).mean(1)
    ends = arrays["draw_change"][:, -1, Y_STAR]
    return bool(((shares > 0.25) & (shares < 0.75)).all() and (ends > 0).any() and (ends < 0).mean() > 0.5)


@dpo_probe.check
def the_kernel_predicts_the_first_move(arrays: Arrays) -> bool:
    """The kernel predicts the signs of the first step of (a): D_w up, D_l down, y* up."""
    first = arrays["change"][1]
    return bool((np.sign(first) == np.sign(arrays["predicted"])).all() and arrays["predicted"][Y_STAR] > 0)


@dpo_probe.draw
def _draw_dpo_probe(arrays: Arrays) -> Drawing:
    drawing, ((first, second), (third, fourth)) = plt.subplots(2, 2, figsize=(PAGE_WIDTH, 4.6))
    draw_change(first, arrays, "DPO")
    draw_mass(second, arrays)
    step = arrays["step"]
    third.axhline(0, color=REFERENCE, linewidth=0.6)
    for name, change in zip(arrays["draw"], arrays["draw_change"], strict=True):
        line = "-" if name.startswith("weighted") else (0, (4, 2))
        third.plot(step, change[:, Y_STAR], color=GREEDY, linewidth=0.9, linestyle=line)
    third.plot(step, arrays["change"][:, Y_STAR], color=REFERENCE, linewidth=1.6)
    black = (step[-1], arrays["change"][-1, Y_STAR])
    third.annotate("pairs of (a)", black, (0, 4), textcoords="offset points", ha="right", fontsize=7)
    ends = arrays["draw_change"][:, -1, Y_STAR]
    words = f"other draws of $D_l$: up in {int((ends > 0).sum())} of {len(ends)}\n(solid: weighted, dashed: uniform)"
    third.text(0.04, 0.06, words, color=GREEDY, transform=third.transAxes, fontsize=7)
    third.set(
        xlabel="training step",
        ylabel=r"change of $\log\pi(y^*)$ (nats)",
        title="$y^*$ and the draw of $D_l$",
        xlim=(0, step[-1]),
    )
    draw_forecast(fourth, {"DPO": arrays["forecast"]})
    here = 1e3 * arrays["predicted"][Y_STAR]
    fourth.axvline(here, ymax=0.73, color=REFERENCE, linewidth=1.2, linestyle=":")
    fourth.text(here, 0.74, "pairs of (a)", ha="center", fontsize=6.5, transform=fourth.get_xaxis_transform())
    for axes, letter in zip((first, second, third, fourth), "abcd", strict=True):
        label_panel(axes, letter)
    return drawing


def draw_change(axes: Axes, arrays: Arrays, method: str) -> None:
    """Draw the curves that the paper shows."""
    step, change = arrays["step"], arrays["change"]
    axes.axhline(0, color=REFERENCE, linewidth=0.6)
    for column, color in enumerate(COLORS):
        axes.plot(step, change[:, column], color=color)
    gap = 0.09 * (change.max() - change.min())
    height = -np.inf
    for column in np.argsort(change[-1]):  # from the lowest up, none too near to the one below
        height = max(height + gap, change[-1, column])
        label_line(axes, step[-1], height, f" {CURVES[column]}", COLORS[column], va="center", fontsize=8)
    y_star = plain(str(arrays["texts"][np.flatnonzero(arrays["group"] == 2)[0]]))
    words = "RIGHT: this is void" if arrays["void"] else "wrong"
    axes.text(0.04, 0.06, f"$y^*$: '{y_star}', {words}", color=GREEDY, transform=axes.transAxes, fontsize=7)
    axes.set(xlabel="training step", ylabel=r"mean change of $\log\pi$ (nats)", title=method, xlim=(0, step[-1]))


def draw_mass(axes: Axes, arrays: Arrays) -> None:
    """Stack the six masses and name each at the middle of its band, or above the panel if the band is too thin."""
    step, mass = arrays["step"], arrays["mass"]
    axes.stackplot(step, mass[:, STACK].T, colors=[GROUP_COLORS[g] for g in STACK], linewidth=0)
    names = dict(enumerate(("$D_w$", "$D_l$", "$y^*$", *GROUPS[3:])))
    thin = []
    for place, g in enumerate(STACK):
        at = int(np.clip(mass[:, g].argmax(), 0.33 * step[-1], (0.86 if g == 0 else 0.67) * step[-1]))
        share, below = mass[at, g], mass[at, STACK[:place]].sum()
        ink = "white" if g in {0, 2} else REFERENCE
        if share > 0.06:
            axes.text(step[at], below + share / 2, names[g], color=ink, ha="center", va="center", fontsize=7)
        else:
            thin.append(f"{names[g]}: {_power(mass[0, g])} to {_power(mass[-1, g])}, \n(too thin to see)")
    axes.text(0.03, 0.03, "\n".join(thin), fontsize=6.5, color="white", transform=axes.transAxes)
    axes.set(xlabel="training step", ylabel="probability", xlim=(0, step[-1]), ylim=(0, 1), title="where the mass is")


def _power(value: float) -> str:
    r"""Return a small number in scientific notation.

    Example:
        >>> _power(0.00142)
        '$1.4\\cdot10^{-3}$'
    """
    digits, exponent = f"{value:.1e}".split("e")
    return rf"${digits}\cdot10^{{{int(exponent)}}}$"


def draw_forecast(axes: Axes, forecasts: dict[str, np.ndarray]) -> None:
    """Draw histograms of y*'s predicted first move and say how often it is upwards."""
    moves = np.concatenate([1e3 * forecast[..., Y_STAR].ravel() for forecast in forecasts.values()])
    bins = np.linspace(moves.min(), moves.max(), 26)
    alone = len(forecasts) == 1
    axes.axvline(0, ymax=0.8, color=REFERENCE, linewidth=0.6)
    for name, forecast in forecasts.items():
        color = GREEDY if alone else METHOD_COLORS[name]
        values = 1e3 * forecast[..., Y_STAR]
        kinds = [(values[0], "-"), (values[1], (0, (3, 1.5)))] if alone else [(values.ravel(), "-")]
        top = 0.0
        for kind, line in kinds:
            counts, *_ = axes.hist(kind, bins.tolist(), histtype="step", color=color, linestyle=line, linewidth=1.1)
            top = max(top, np.max(counts))
        ups = [int((kind > 0).sum()) for kind, _ in kinds]
        words = f"{name}: up in {ups[0]} of {values.size}"
        if alone:
            of = values.shape[1]
            words = f"{name}: up in {ups[0]} of {of} weighted (solid)\nand in {ups[1]} of {of} uniform (dashed)"
        middle, half = float(np.median(values)), (bins[0] + bins[-1]) / 2
        side, x = ("center", half) if alone else ("left", bins[0]) if middle < half else ("right", bins[-1])
        words = words if alone else words.replace(": ", "\n")
        axes.text(x, (1.22 if alone else 1.04) * top, words, color=color, fontsize=6.5, ha=side, va="bottom")
    axes.set(ylabel="draws of $D_l$", xlabel="first move ($10^{-3}$ nats)")
    axes.set_title("$y^*$'s first move, predicted")
    axes.set_ylim(0, (1.45 if alone else 1.28) * axes.dataLim.y1)
