"""A watched run in numbers: what each probe did, beside what was predicted before training."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from dynamics.language_model.watching.run_log import Line, RunLog

WORST = 5
"""Pairs that a line of the log names as those whose chosen response fell most."""


@dataclass(frozen=True)
class ProbeOutcome:
    """What a run did to one probe.

    Attributes:
        name: where the probe comes from.
        predicted: predicted change of log pi(chosen), nats; None if there is no prediction.
        chosen: actual change of log pi(chosen), nats.
        rejected: actual change of log pi(rejected).
        displaced_alone: whether a step on this pair alone would have lowered its chosen response, before training.
    """

    name: str
    predicted: float | None
    chosen: float
    rejected: float
    displaced_alone: bool | None


def outcomes(log: RunLog) -> list[ProbeOutcome]:
    """Return what the run did to every probe up to its last look, the largest fall of a chosen response first.

    A probe that could not be measured at the beginning or in the last look is left out.

    Args:
        log: a run with at least one look.
    """
    if log.start is None or not log.looks:
        return []
    last = log.looks[-1]
    slopes = log.prediction["slope"]["chosen"] if log.prediction and "slope" in log.prediction else None
    chosen, rejected = (_changes(log.start, last, side) for side in ("chosen", "rejected"))
    audits: list[Line] = log.audit["pairs"] if log.audit else [{} for _ in chosen]
    found = []
    for number, name in enumerate(log.run["names"]):
        change, other = chosen[number], rejected[number]
        slope = None if slopes is None else slopes[number]
        if change is not None and other is not None:
            predicted = None if slope is None else slope * last["rate_sum"]
            found.append(ProbeOutcome(name, predicted, change, other, audits[number].get("displaced")))
    return sorted(found, key=lambda outcome: outcome.chosen)


def _changes(start: Line, look: Line, role: str) -> list[float | None]:
    pairs = zip(start["log_probs"][role], look["log_probs"][role], strict=True)
    return [None if before is None or after is None else after - before for before, after in pairs]


@dataclass(frozen=True)
class Agreement:
    """How the prediction agrees with what happened to the chosen responses.

    Attributes:
        predicted_to_fall: number of pairs whose chosen response was predicted to become less likely.
        fell: number of those whose chosen response did.
        both: number of those of which both is true.
        same_sign: share of the pairs whose predicted and actual change have the same sign.
        rank_correlation: Spearman's correlation of predicted and actual changes; None where it is undefined.
    """

    predicted_to_fall: int
    fell: int
    both: int
    same_sign: float
    rank_correlation: float | None


def agreement(log: RunLog) -> Agreement | None:
    """Return how predicted and actual changes of the chosen responses agree; None without a prediction.

    Args:
        log: a run.
    """
    found = [(outcome.predicted, outcome.chosen) for outcome in outcomes(log) if outcome.predicted is not None]
    if not found:
        return None
    predicted, actual = np.array(found).T
    down, fell = predicted < 0, actual < 0
    defined = len(found) > 2 and np.ptp(predicted) > 0 and np.ptp(actual) > 0
    return Agreement(
        int(down.sum()),
        int(fell.sum()),
        int((down & fell).sum()),
        float((np.sign(predicted) == np.sign(actual)).mean()),
        float(spearmanr(predicted, actual).statistic) if defined else None,
    )


def causes(log: RunLog) -> list[str]:
    """Return sentences that say of how many chosen responses that fell their own pair may be a reason.

    That is what the audit before training tells; a pair of the evaluation data takes no step itself. A small step of
    gradient descent on one pair changes log pi(chosen) by d_w |g_w|^2 - d_l <g_w, g_l> times the learning rate, with
    the weights d_w and d_l that the loss gives the two responses; where that is negative, the pair lowers its own
    chosen response.

    Args:
        log: a run.

    Returns:
        No sentence if no chosen response fell, or if there is no audit.
    """
    fell = [outcome for outcome in outcomes(log) if outcome.chosen < 0 and outcome.displaced_alone is not None]
    if not fell:
        return []
    own = sum(bool(outcome.displaced_alone) for outcome in fell)
    sentences = []
    if own:
        sentences.append(
            f"{own} of the {len(fell)} chosen responses that fell would also have been lowered, before training, by a "
            f"small step of gradient descent on {'its' if own == 1 else 'their'} own pair alone"
        )
    if own < len(fell):
        sentences.append(
            f"{len(fell) - own} of the {len(fell)} would not; other pairs, the optimizer, or changes during the run "
            "account for these"
            if own
            else f"None of the {len(fell)} chosen responses that fell would have been lowered, before training, by a "
            "small step of gradient descent on their own pair alone; other pairs, the optimizer, or changes during the "
            "run account for these"
        )
    return sentences


def summarize(start: Line, look: Line, reference: dict[str, list[float | None]]) -> dict[str, float]:
    """Return the numbers of a look that a tracker gets, without the prefix.

    Args:
        start: the scores before training.
        look: the scores now.
        reference: log ref of every response, by role; None where it is unknown.
    """
    now = look["log_probs"]
    found = {f"log_prob_{role}": _mean(now[role]) for role in now}
    if look is not start:
        found |= {f"change_{role}": _mean(_changes(start, look, role)) for role in now}
        found["worst_change_chosen"] = min(_known(_changes(start, look, "chosen")), default=math.nan)
    found["share_below_reference"] = _mean(
        [
            None if a is None or b is None else float(a < b)
            for a, b in zip(now["chosen"], reference["chosen"], strict=True)
        ]
    )
    found["mass_outside"] = _mean(look["mass_outside"])
    found["entropy"] = _mean(look["entropy"])
    return {name: value for name, value in found.items() if math.isfinite(value)}


def worst(start: Line, look: Line, names: list[str]) -> list[str]:
    """Return the names of the probes whose chosen response fell most, at most five, and only those that fell."""
    changes = zip(_changes(start, look, "chosen"), names, strict=True)
    fell = sorted((change, name) for change, name in changes if change is not None and change < 0)
    return [name for _, name in fell[:WORST]]


def _known(values: list[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: list[float | None]) -> float:
    known = _known(values)
    return sum(known) / len(known) if known else math.nan


def steps_told(log: RunLog) -> str:
    """Return of which steps a log tells: ``"100 steps"``, or ``"steps 41 to 100"`` where it begins later.

    Args:
        log: a run with a look.
    """
    first, last = (0 if log.start is None else log.start.get("step", 0)), log.looks[-1]["step"]
    return f"steps {first + 1} to {last}" if first else f"{last} steps"


def table(log: RunLog, most: int | None = None) -> list[str]:
    """Return lines of text: how the prediction did, then one line for each probe.

    Args:
        log: a run.
        most: at most how many probes, those whose chosen response fell most; None for all.
    """
    found = outcomes(log)
    if not found:
        return ["there is no look after the first step yet"]
    fell = sum(outcome.chosen < 0 for outcome in found)
    lines = [f"{steps_told(log)}: {fell} of {len(found)} chosen responses became less likely"]
    trial = agreement(log)
    if trial is None:
        why = log.prediction["reason"] if log.prediction and "reason" in log.prediction else "it was not made"
        lines.append(f"no prediction: {why}")
    else:
        rank = trial.rank_correlation
        lines.append(
            f"{trial.predicted_to_fall} were predicted to, and {trial.both} of these did; "
            f"right sign for {trial.same_sign:.0%} of all"
            + ("" if rank is None else f"; rank correlation of predicted and actual change {rank:.2f}")
        )
    skipped = log.skipped[max(log.skipped)] if log.skipped else 0
    if skipped:
        lines.append(f"{skipped} steps were not taken, since the gradient overflowed in float16")
    width = max(len(outcome.name) for outcome in found)
    lines.append(f"{'pair':{width}}  predicted   chosen  rejected  (change of log pi, nats)")
    for outcome in found[:most]:
        predicted = "        –" if outcome.predicted is None else f"{outcome.predicted:+9.3f}"
        lines.append(f"{outcome.name:{width}}  {predicted} {outcome.chosen:+8.3f}  {outcome.rejected:+8.3f}")
    return lines
