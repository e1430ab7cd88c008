"""How long an audit will take, measured on a few of its pairs before it starts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from statistics import fmean

import torch

from dynamics.language_model.causal_lm import CausalLM
from dynamics.language_model.jvp import log_probs_jvp
from dynamics.language_model.pair_audit.measuring.audit import Audit
from dynamics.language_model.pair_audit.measuring.influences import EXACT_PAIRS, SKETCHED_TARGETS, TARGETS
from dynamics.language_model.pair_audit.measuring.pair_numbers import audit_pairs_that_fit
from dynamics.language_model.pair_audit.measuring.sketched_influences import CANDIDATES, MEASURED, SAMPLE
from dynamics.language_model.pair_audit.measuring.trial_run import MOST, RATES
from dynamics.language_model.pair_audit.reading.data import PATIENCE
from dynamics.language_model.pair_audit.reading.tokens import Sequences
from dynamics.language_model.vjp import log_probs_vjp

TRIED = 2
"""Number of pairs that are timed, after one untimed run to warm up."""


@dataclass(frozen=True)
class Work:
    """What an audit computes besides each pair alone.

    Attributes:
        steps: number of steps that are computed for every pair: 1 for that on all pairs, 1 more with batches.
        influences: how many pairs that push a displaced pair down, and how many that push it up, are looked for.
        verify: whether copies of the model are trained.
        reference: the reference model of the loss, which is run on every pair too; None for the model itself.
    """

    steps: int = 1
    influences: int = 0
    verify: bool = False
    reference: CausalLM | None = None


def estimate_seconds(audit: Audit, work: Work, rows: int) -> float | None:
    """Return how many seconds an audit will take, from trying two pairs of medium length; None if no row can be used.

    The time is taken to be proportional to the number of tokens, whose mean is that of the first 100 rows. Longer
    batches use a GPU better, so that an audit on one may take less. How many pairs are displaced is not known yet: the
    time for the pairs that push them is that of the largest number of displaced pairs for which they are looked for.

    Args:
        audit: model, data and settings.
        work: what will be computed.
        rows: number of rows.
    """
    first = list(islice(audit.tokenize().read(), PATIENCE))
    pairs = [row.tokens.sequences for row in first if row.tokens is not None]
    if not pairs:
        return None
    middle = sorted(pairs, key=_tokens)[(len(pairs) - 1) // 2 :][:TRIED]
    _try(audit, middle[:1], work.reference)
    alone, backward, forward = _try(audit, middle, work.reference)
    scale = fmean(map(_tokens, pairs)) / sum(map(_tokens, middle))
    used = rows * len(pairs) / len(first)
    each = alone + work.steps * (backward + forward)
    if work.influences:
        each += backward if used > EXACT_PAIRS else alone * (1 + TARGETS / (2 * audit.settings.batch_pairs))
    once = len(RATES) * min(used, MOST) * 1.5 * backward if work.verify else 0.0
    if work.influences and used > EXACT_PAIRS:  # the gradients of the targets, their candidates, and the sample
        exact = SKETCHED_TARGETS * (2 * CANDIDATES * work.influences + 0.5) + MEASURED * (SAMPLE + 0.5)
        once += SKETCHED_TARGETS * 0.5 * backward + exact * alone
    return scale * (used * each + once)


def say_seconds(seconds: float) -> str:
    """Write a duration for people, with two digits.

    Example:
        >>> [say_seconds(t) for t in (0.2, 42.3, 125, 7300, 2e5)]
        ['1 s', '42 s', '2.1 min', '2 h', '2.3 days']
    """
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.2g} {unit}"
    return f"{max(1, round(seconds))} s"


def _tokens(pair: Sequences) -> int:
    return sum(len(sequence.ids) for sequence in pair)


def _try(audit: Audit, pairs: Sequence[Sequences], reference: CausalLM | None) -> tuple[float, float, float]:
    """Return the seconds of the audit of some pairs, of their gradient, and of a pass in forward mode."""
    model, settings = audit.loaded.model, audit.settings
    moments = [time.perf_counter()]
    audit_pairs_that_fit(model, pairs, loss=settings.loss, reference=reference, **audit.how)
    moments.append(time.perf_counter())
    sequences = [sequence for pair in pairs for sequence in pair]
    gradient = log_probs_vjp(model, sequences, torch.ones(len(sequences)), **audit.how)
    finite = all(bool(part.isfinite().all()) for part in gradient.values())
    moments.append(time.perf_counter())
    if finite:
        log_probs_jvp(model, gradient, sequences, dtype=settings.dtype)
    moments.append(time.perf_counter())
    alone, backward, forward = (later - before for before, later in pairwise(moments))
    return alone, backward, forward
