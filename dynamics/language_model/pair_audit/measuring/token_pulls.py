"""Which tokens of a pair pull its chosen response up and down, in an SGD step on the pair alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from dynamics.language_model.jvp import token_log_probs_jvp
from dynamics.language_model.loading import LanguageModel
from dynamics.language_model.pair_audit.measuring.audit import Audit, AuditSettings
from dynamics.language_model.pair_audit.reading.tokens import Sequences, token_texts
from dynamics.language_model.vjp import log_probs_vjp
from dynamics.losses import pair_log_probs

MOST = 300
"""Tokens of a response whose pulls are kept."""


@dataclass(frozen=True)
class TokenPulls:
    """What every token of a pair contributes to the first-order change of log pi(chosen), in nats per learning rate.

    A token of the chosen response contributes d_w <g_w, s>, one of the rejected response -d_l <g_w, s>, where s is the
    gradient of the log-probability of that token. All of them together are ``own_chosen_change``.

    Attributes:
        chosen: of the tokens of the chosen response.
        rejected: of the tokens of the rejected response.
    """

    chosen: list[float]
    rejected: list[float]


def token_pulls(
    loaded: LanguageModel, pair: Sequences, weights: tuple[float, float], settings: AuditSettings
) -> TokenPulls:
    """Return the pull of every token: one gradient, and one pass in forward mode along it.

    Args:
        loaded: model and tokenizer.
        pair: the pair.
        weights: d_w and d_l, the derivatives of the loss.
        settings: how the pair was audited.

    Raises:
        OutOfMemory: the pair does not fit into memory.
    """
    how: dict[str, Any] = {"dtype": settings.dtype}
    gradient = log_probs_vjp(loaded.model, [pair.chosen], torch.ones(1), parameters=settings.parameters, **how)
    chosen, rejected = token_log_probs_jvp(loaded.model, gradient, pair, **how)
    return TokenPulls((weights[0] * chosen).tolist(), (-weights[1] * rejected).tolist())


def read_token_pulls(audit: Audit, rows: Collection[int]) -> dict[int, dict[str, list[tuple[str, float]]]]:
    """Return for some rows the texts of the tokens of both responses, each with its pull; long responses are cut.

    Args:
        audit: model, data, settings, and the results that ``run_audit`` wrote.
        rows: numbers of audited rows.
    """
    records = {record["row"]: record for record in audit.results.read() if record["row"] in rows}
    found: dict[int, dict[str, list[tuple[str, float]]]] = {}
    for row in audit.tokenize(records.__contains__).read() if records else ():
        if row.tokens is not None:
            pair = row.tokens.sequences
            weights = own_weights(records[row.number], audit.settings)
            pulls = token_pulls(audit.loaded, pair, weights, audit.settings)
            found[row.number] = {
                side: token_texts(audit.loaded.tokenizer, sequence, values[:MOST])
                for side, sequence, values in zip(
                    ("chosen", "rejected"), pair, (pulls.chosen, pulls.rejected), strict=True
                )
            }
        if row.number >= max(records):
            break
    return found


def own_weights(record: Mapping[str, Any], settings: AuditSettings) -> tuple[float, float]:
    """Return d_w and d_l, minus dL/dlog pi(chosen) and dL/dlog pi(rejected), in a step on a pair alone.

    Args:
        record: the line of the pair.
        settings: how it was audited.
    """
    names = ("log_prob_chosen", "log_prob_rejected", "reference_chosen", "reference_rejected")
    lengths = [torch.tensor([record[f"tokens_{side}"]]) for side in ("chosen", "rejected")]
    partials = settings.loss.partials(pair_log_probs(*([record[name]] for name in names), *lengths))
    return -float(partials.chosen), float(partials.rejected)
