"""The summary of an audit: a few numbers about all of its rows."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from dataclasses import dataclass
from heapq import nsmallest

import numpy as np

from dynamics.language_model.pair_audit.results.joined import read_joined
from dynamics.language_model.pair_audit.results.store import Results
from dynamics.language_model.pair_audit.statistics import correlations, quantiles

MOST_NAMED = 1000  # largest number of skipped rows that are named, and of different ends of prompts that are counted
OTHERS = ("", "")  # stands for all further ends of prompts


@dataclass(frozen=True)
class AuditSummary:
    """What an audit found.

    Attributes:
        rows: number of rows.
        audited: number of pairs among them that were audited.
        displaced: number of pairs that are displaced: a small SGD step on the pair alone lowers log pi(chosen), under
            the loss that was asked for.
        chosen_more_probable: number of pairs with log pi(y_w) > log pi(y_l).
        cosine: quantiles of the cosine between the two scores of a pair, by their probability; empty without pairs.
        drive_chosen: quantiles of ||g_w||^2 - <g_w, g_l>.
        ches_pearson: correlation of CHES with drive_chosen; None if it is undefined (fewer than 3 pairs, or no spread).
        ches_spearman: the same correlation of ranks, which a single large pair does not dominate.
        lowest: the rows with the 5 lowest drives of the chosen response, the lowest first.
        cut: number of pairs whose prompt is cut before its last token, as a trainer cuts it.
        left_out: the most frequent end of a prompt that is cut off; empty if none is.
        cut_by: what cuts it off, as for ``tokens.cut_sentence``.
        remarks: number of pairs with each of the other remarks of ``tokens.REMARKS``.
        own_chosen_change: quantiles of the change of log pi(chosen) in a step on the pair alone.
        sft_weight: the least weight of an added SFT term (summed over tokens) that keeps half of the displaced pairs,
            90 % of them, and all of them from falling, by these shares; empty if no pair is displaced.
        mean_tokens_chosen: mean number of tokens of a chosen response; an SFT term that is averaged over tokens needs
            a weight that is this many times larger.
        displaced_by_set: number of pairs whose chosen response falls in a step on the whole set; None if that was not
            computed.
        own_share: quantiles of the pair's own share of the push on its chosen response in that step.
        set_chosen_change: quantiles of the change of log pi(chosen) in that step.
        displaced_by_batch: number of pairs whose chosen response falls in a step on the batch that a trainer draws them
            in; None if that was not computed.
        lowest_by_set: the rows with the 5 lowest changes in that step.
        skipped: number of rows that were skipped.
        skipped_rows: their numbers with the reasons, at most 1000.
    """

    rows: int
    audited: int
    displaced: int
    chosen_more_probable: int
    cosine: dict[str, float]
    drive_chosen: dict[str, float]
    ches_pearson: float | None
    ches_spearman: float | None
    lowest: list[int]
    cut: int
    left_out: str
    cut_by: str
    remarks: dict[str, int]
    own_chosen_change: dict[str, float]
    sft_weight: dict[str, float]
    mean_tokens_chosen: float
    displaced_by_set: int | None
    own_share: dict[str, float]
    set_chosen_change: dict[str, float]
    displaced_by_batch: int | None
    lowest_by_set: list[int]
    skipped: int
    skipped_rows: list[tuple[int, str]]


def summarise(results: Results) -> AuditSummary:
    """Summarise results. Only a few numbers for each pair are kept in memory.

    Args:
        results: what ``run_audit`` wrote, and ``run_set`` beside it.
    """
    drive, cosine, similarity, numbers = array("d"), array("d"), array("d"), array("q")
    own, weights, by_set, shares = array("d"), array("d"), array("d"), array("d")
    in_batches: list[bool] = []
    tokens = fallen = 0
    displaced = probable = skipped = 0
    cut: Counter[tuple[str, str]] = Counter()
    remarks: Counter[str] = Counter()
    named: list[tuple[int, str]] = []
    for record in read_joined(results):
        if "skipped" in record:
            skipped += 1
            if len(named) < MOST_NAMED:
                named.append((record["row"], record["skipped"]))
            continue
        numbers.append(record["row"])
        if record["cut"]:
            end = record["left_out"], record["cut_by"]
            cut[end if end in cut or len(cut) < MOST_NAMED else OTHERS] += 1
        remarks.update(record.get("remarks", ()))
        drive.append(record["drive_chosen"])
        similarity.append(record["ches"])
        if record["cosine"] is not None:
            cosine.append(record["cosine"])
        displaced += record["displaced"]
        own.append(record["own_chosen_change"])
        tokens += record["tokens_chosen"]
        if record["displaced"]:
            weights.append(record["sft_weight"])
        if "displaced_by_set" in record:
            fallen += record["displaced_by_set"]
            change = record["set_chosen_change"]
            by_set.append(float("nan") if change is None else change)
            if record["own_share"] is not None:
                shares.append(record["own_share"])
        if "displaced_by_batch" in record:
            in_batches.append(record["displaced_by_batch"])
        probable += record["log_prob_chosen"] > record["log_prob_rejected"]
    pearson, spearman = correlations(np.asarray(similarity), np.asarray(drive))
    commonest = cut.most_common(1)[0][0] if cut else OTHERS
    return AuditSummary(
        rows=len(drive) + skipped,
        audited=len(drive),
        displaced=displaced,
        chosen_more_probable=probable,
        cosine=quantiles(np.asarray(cosine)),
        drive_chosen=quantiles(np.asarray(drive)),
        ches_pearson=pearson,
        ches_spearman=spearman,
        lowest=[numbers[place] for place in _lowest(drive)],
        cut=cut.total(),
        left_out=commonest[0],
        cut_by=commonest[1],
        remarks=dict(sorted(remarks.items())),
        own_chosen_change=quantiles(np.asarray(own)),
        sft_weight=rescuing_weights(np.asarray(weights)),
        mean_tokens_chosen=tokens / max(1, len(drive)),
        displaced_by_set=fallen if by_set else None,
        own_share=quantiles(np.asarray(shares)),
        set_chosen_change=quantiles(np.asarray([change for change in by_set if not math.isnan(change)])),
        displaced_by_batch=in_batches.count(True) if in_batches else None,
        lowest_by_set=[numbers[place] for place in _lowest(by_set)],
        skipped=skipped,
        skipped_rows=named,
    )


def worst_rows(results: Results, count: int = 25) -> list[int]:
    """Return the rows whose chosen responses fall most: in the step of the pair alone, and in that of the whole set.

    Args:
        results: what ``run_audit`` wrote, and ``run_set`` beside it.
        count: how many of each kind.
    """
    own, by_set = [], []
    for record in read_joined(results):
        if "skipped" not in record:
            own.append((record["own_chosen_change"], record["row"]))
            if record.get("set_chosen_change") is not None:
                by_set.append((record["set_chosen_change"], record["row"]))
    return sorted({row for changes in (own, by_set) for _, row in nsmallest(count, changes)})


def rescuing_weights(weights: np.ndarray) -> dict[str, float]:
    """Return the weights that are enough for half, 90 % and all of some pairs, by the share; empty without pairs.

    Args:
        weights: the least weight of each pair.

    Example:
        >>> rescuing_weights(np.array([0.1, 0.4, 0.2]))
        {'0.5': 0.2, '0.9': 0.4, '1': 0.4}
    """
    if not weights.size:
        return {}
    return {f"{share:g}": float(np.quantile(weights, share, method="inverted_cdf")) for share in (0.5, 0.9, 1.0)}


def say_step(optimizer: str, state: str | None = None) -> str:
    """Return a phrase for the step that an audit is about.

    Args:
        optimizer: ``"sgd"`` or ``"adamw"``.
        state: the checkpoint whose AdamW takes its next step; None for a fresh optimizer.

    Example:
        >>> say_step("sgd"), say_step("adamw"), say_step("adamw", "run/checkpoint-500")
        ('a small step of SGD', 'a small first step of AdamW', 'the next step of the AdamW saved in run/checkpoint-500')
    """
    if optimizer == "sgd":
        return "a small step of SGD"
    return "a small first step of AdamW" if state is None else f"the next step of the AdamW saved in {state}"


def _lowest(values: array[float]) -> list[int]:
    """Return the places of the 5 lowest values."""
    return nsmallest(5, (n for n, value in enumerate(values) if not math.isnan(value)), key=values.__getitem__)
