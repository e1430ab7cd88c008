"""How long an audit will take, measured on a few of its pairs before it starts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import islice
from statistics import fmean

import torch

from dynamics.language_model.jvp import log_probs_jvp
from dynamics.language_model.loading import LanguageModel
from dynamics.language_model.pair_audit.measuring.pair_numbers import audit_pairs_that_fit
from dynamics.language_model.pair_audit.measuring.run import AuditSettings
from dynamics.language_model.pair_audit.reading.data import PATIENCE, PairSource
from dynamics.language_model.pair_audit.reading.tokens import Sequences
from dynamics.language_model.vjp import log_probs_vjp

TRIED = 2
"""Number of pairs that are timed, after one untimed run to warm up."""


def seconds_per_row(
    loaded: LanguageModel, source: PairSource, settings: AuditSettings, whole_set: bool
) -> float | None:
    """Return how many seconds a row will take, from trying two pairs of medium length; None if no row can be used.

    The time is taken to be proportional to the number of tokens, whose mean is that of the first 100 rows. Longer
    batches use a GPU better, so that an audit on one may take less.

    Args:
        loaded: model and tokenizer.
        source: the data set.
        settings: how it will be audited.
        whole_set: whether the step of the whole set will be computed as well.
    """
    rows = list(islice(settings.tokenize(loaded, source).read(), PATIENCE))
    pairs = [row.tokens.sequences for row in rows if row.tokens is not None]
    if not pairs:
        return None
    middle = sorted(pairs, key=_tokens)[(len(pairs) - 1) // 2 :][:TRIED]
    _try(loaded, middle[:1], settings, whole_set)
    start = time.perf_counter()
    _try(loaded, middle, settings, whole_set)
    taken = time.perf_counter() - start
    return taken / sum(map(_tokens, middle)) * fmean(map(_tokens, pairs)) * len(pairs) / len(rows)


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


def _try(loaded: LanguageModel, pairs: Sequence[Sequences], settings: AuditSettings, whole_set: bool) -> None:
    how = {"parameters": settings.parameters, "dtype": settings.dtype}
    audit_pairs_that_fit(loaded.model, pairs, loss=settings.loss, **how)  # type: ignore[arg-type]
    if whole_set:
        sequences = [sequence for pair in pairs for sequence in pair]
        gradient = log_probs_vjp(loaded.model, sequences, torch.ones(len(sequences)), **how)  # type: ignore[arg-type]
        if all(bool(part.isfinite().all()) for part in gradient.values()):
            log_probs_jvp(loaded.model, gradient, sequences, dtype=settings.dtype)
