"""The summary of an audit: a few numbers about all of its rows."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass
from heapq import nsmallest

import numpy as np

from dynamics.language_model.pair_audit.results import Results

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
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
    skipped: int
    skipped_rows: list[tuple[int, str]]


def summarise(results: Results) -> AuditSummary:
    """Summarise results. Only three numbers for each pair are kept in memory.

    Args:
        results: what ``run_audit`` wrote.
    """
    drive, cosine, similarity, numbers = array("d"), array("d"), array("d"), array("q")
    displaced = probable = skipped = 0
    cut: Counter[tuple[str, str]] = Counter()
    remarks: Counter[str] = Counter()
    named: list[tuple[int, str]] = []
    for record in results.read():
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
        probable += record["log_prob_chosen"] > record["log_prob_rejected"]
    pearson, spearman = correlations(np.asarray(similarity), np.asarray(drive))
    commonest = cut.most_common(1)[0][0] if cut else OTHERS
    lowest = nsmallest(5, range(len(drive)), key=drive.__getitem__)
    return AuditSummary(
        rows=len(drive) + skipped,
        audited=len(drive),
        displaced=displaced,
        chosen_more_probable=probable,
        cosine=quantiles(np.asarray(cosine)),
        drive_chosen=quantiles(np.asarray(drive)),
        ches_pearson=pearson,
        ches_spearman=spearman,
        lowest=[numbers[place] for place in lowest],
        cut=cut.total(),
        left_out=commonest[0],
        cut_by=commonest[1],
        remarks=dict(sorted(remarks.items())),
        skipped=skipped,
        skipped_rows=named,
    )


def quantiles(values: np.ndarray) -> dict[str, float]:
    """Return quantiles by their probability; an empty dictionary if there are no values.

    Example:
        >>> quantiles(np.arange(5.0))["0.5"]
        2.0
    """
    if not values.size:
        return {}
    return {f"{q:g}": float(v) for q, v in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True)}


def correlations(x: np.ndarray, y: np.ndarray) -> tuple[float | None, float | None]:
    """Return Pearson's and Spearman's correlation; None for both with fewer than 3 points or without spread.

    Example:
        >>> [round(r, 3) for r in correlations(np.array([1.0, 2.0, 9.0]), np.array([3.0, 2.0, 1.0]))]
        [-0.918, -1.0]
    """
    if x.size < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None, None
    from scipy import stats  # noqa: PLC0415 - it takes a while to import

    return float(stats.pearsonr(x, y).statistic), float(stats.spearmanr(x, y).statistic)
