"""Groups of pairs beside each other: displaced and not, and as two schools would select them; what truncation does."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dynamics.language_model.pair_audit.results.joined import read_joined
from dynamics.language_model.pair_audit.results.store import Results

CONTRASTED = {
    "tokens_chosen": "tokens of the chosen response",
    "tokens_rejected": "tokens of the rejected response",
    "first_difference": "tokens before the two responses differ",
    "shared_after_difference": "share of the tokens after that which both have",
    "cosine": "cosine of the two gradients",
}
"""What displaced and other pairs are compared in, by the name of the column."""
SHARE = 0.5
"""The share of the pairs that a school keeps."""


@dataclass(frozen=True)
class School:
    """What a rule for selecting pairs keeps, when it keeps half of them.

    Attributes:
        name: the rule.
        kept: number of pairs that it keeps.
        displaced: number of kept pairs whose own step lowers their chosen response.
        displaced_by_set: the same for the step on all pairs, as audited; None if that was not computed.
        own_chosen_change: median change of log pi(chosen) in the own step of a kept pair.
    """

    name: str
    kept: int
    displaced: int
    displaced_by_set: int | None
    own_chosen_change: float


@dataclass(frozen=True)
class Comparisons:
    """Groups of pairs beside each other.

    Attributes:
        contrasts: for each column of ``CONTRASTED`` the median over the displaced pairs and over the others; None
            where a group is empty.
        schools: all pairs, two schools of selection, and selection by what is computed here.
        truncated: number of pairs that are truncated.
        tokens_lost: number of tokens that truncation takes from chosen and from rejected responses and their prompts.
        dropped: number of rows that a trainer drops, since their prompt alone is too long.
        equal: number of rows whose two responses are equal after truncation.
    """

    contrasts: dict[str, tuple[float | None, float | None]]
    schools: list[School]
    truncated: int
    tokens_lost: tuple[int, int]
    dropped: int
    equal: int


def compare_groups(results: Results) -> Comparisons:
    """Compare groups of the audited pairs. Only a few numbers for each pair are kept in memory.

    The schools are those of papers on the selection of preference data: to keep the pairs whose margin is large, since
    their labels are clear, or those whose gap of implicit rewards is small, since there is still something to learn.
    Margin and gap are log pi(w)/ref(w) - log pi(l)/ref(l), or log pi(w) - log pi(l) where the model is its own
    reference.

    Args:
        results: what ``run_audit`` wrote, and ``run_set`` beside it.
    """
    rows: list[tuple[float, ...]] = []
    truncated = dropped = equal = 0
    lost = [0, 0]
    for record in read_joined(results):
        if "skipped" in record:
            dropped += "a trainer drops this pair" in record["skipped"]
            equal += "as the chosen one after truncation" in record["skipped"]
            continue
        sides = [record.get(f"truncated_{side}", 0) for side in ("chosen", "rejected")]
        truncated += any(sides)
        lost = [before + more for before, more in zip(lost, sides, strict=True)]
        referred = record["reference_chosen"] - record["reference_rejected"]
        own = record["log_prob_chosen"] - record["log_prob_rejected"]
        known = (record["own_chosen_change"], record["displaced"], record.get("displaced_by_set", math.nan))
        others = (math.nan if record[name] is None else record[name] for name in CONTRASTED)
        rows.append((own, own - referred, *map(float, known), *others))
    table = np.asarray(rows, dtype=np.float64).reshape(len(rows), 5 + len(CONTRASTED))
    displaced = table[:, 3] == 1
    contrasts = {
        name: (_median(table[displaced, 5 + n]), _median(table[~displaced, 5 + n])) for n, name in enumerate(CONTRASTED)
    }
    return Comparisons(contrasts, _schools(table), truncated, (lost[0], lost[1]), dropped, equal)


def _schools(table: np.ndarray) -> list[School]:
    """Return what the schools keep of a table of margin, gap, own change, displaced, displaced by the set."""
    if not len(table):
        return []
    gap = table[:, 1] if np.ptp(table[:, 1]) > 0 else table[:, 0]
    orders = {
        "all pairs": None,
        "largest margin": -gap,
        "smallest gap": np.abs(gap),
        "largest own change": -table[:, 2],
    }
    found = []
    for name, order in orders.items():
        count = len(table) if order is None else math.ceil(SHARE * len(table))
        kept = table if order is None else table[np.argsort(order, kind="stable")[:count]]
        by_set = None if np.isnan(kept[:, 4]).any() else int(kept[:, 4].sum())
        found.append(School(name, count, int(kept[:, 3].sum()), by_set, float(np.median(kept[:, 2]))))
    return found


def _median(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size else None
