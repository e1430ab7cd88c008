"""What a step on the whole data set does to every pair: one gradient of the set, one forward-mode pass a sequence."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dynamics.language_model.causal_lm import unwrapped
from dynamics.language_model.jvp import Change, log_probs_jvp
from dynamics.language_model.pair_audit.measuring.audit import Audit, AuditSettings
from dynamics.language_model.pair_audit.measuring.batches import run_batches
from dynamics.language_model.pair_audit.measuring.halving import compute_in_parts
from dynamics.language_model.pair_audit.measuring.own_step import margin_change
from dynamics.language_model.pair_audit.measuring.pair_set import PairSet, read_pair_set
from dynamics.language_model.pair_audit.measuring.set_gradient import Rule, set_gradient, set_step
from dynamics.language_model.pair_audit.reading.data import Row
from dynamics.language_model.pair_audit.reading.tokens import Sequences
from dynamics.language_model.pair_audit.results.joined import set_results
from dynamics.language_model.pair_audit.results.store import Results
from dynamics.language_model.precision import ROUNDING, compute_dtype
from dynamics.losses import PairLogProbs
from dynamics.optimizers import SGD

Progress = Callable[[int], None]


@dataclass(frozen=True)
class SetChange:
    """What a step on the whole data set does to a pair, to first order, in nats per unit of learning rate.

    Attributes:
        set_chosen_change: change of log pi(y_w | x); None if it is not finite.
        set_rejected_change: change of log pi(y_l | x).
        set_margin_change: change of the margin of the loss.
        displaced_by_set: whether log pi(y_w | x) falls; False if rounding may have decided the sign.
        own_share: the share of the pair itself in the change of log pi(y_w | x): |own| / (|own| + |all others
            together|). None if both are 0, and for optimizers other than SGD, whose step is not a sum over pairs.
    """

    set_chosen_change: float | None
    set_rejected_change: float | None
    set_margin_change: float | None
    displaced_by_set: bool
    own_share: float | None


def gradient_path(results: Results) -> Path:
    """Return the file of the gradient of the whole set; it is there only while the changes are computed."""
    return results.path.with_name(f"{results.path.name}.gradient.safetensors")


def run_set(audit: Audit, optimizer: Rule, progress: tuple[Progress | None, Progress | None] = (None, None)) -> PairSet:
    """Compute what a step on all audited pairs does to each of them, and write one line for each row.

    A line of ``audit.jsonl.set`` holds ``row``, ``digest`` and the fields of ``SetChange``; only the first two for a
    row that was skipped. The gradient is computed by the first process; the passes over the sequences are shared.
    Changes that were computed for other pairs, another loss or another optimizer are removed and computed again.

    Args:
        audit: model, data, settings, and the results that ``run_audit`` wrote, finished.
        optimizer: as for ``set_step``.
        progress: two functions, called with the number of rows whose gradient, and whose changes, are done.

    Returns:
        The audited pairs.

    Raises:
        InvalidArgument: the data have changed since the results were written.
        OutOfMemory: a single sequence does not fit into memory.
    """
    mine, results = audit.processes, audit.results
    pairs = read_pair_set(results, audit.settings.loss)
    if not len(pairs):
        return pairs
    beside, place = set_results(results), gradient_path(results)
    wanted = {**audit.depends_on, "optimizer": str(optimizer), "pairs": pairs.digest}
    if mine.rank == 0:
        remove_others(beside, wanted)
    mine.wait()
    with beside.begin(wanted, mine):
        missing = sum(1 for _ in beside.read()) < sum(1 for _ in results.read())
        mine.wait()  # until every process has looked: the first one may merge what the others read
        if missing:
            gradient = _gradient(audit, pairs, place, progress[0])
            step = set_step(audit.loaded, gradient, optimizer)
            length = math.sqrt(sum(float(part.double().square().sum()) for part in step.values()))

            def compute(batch: list[Row]) -> list[dict[str, Any]]:
                return _change_batch(audit, batch, pairs, step, length, isinstance(optimizer, SGD))

            made = audit.tokenize(lambda number: pairs.find(number) is not None)
            run_batches(made, beside, compute, audit.settings.batch_pairs, pairs.end, mine, progress[1])
        else:
            if mine.rank == 0:
                beside.merge()
            mine.wait()
        if mine.rank == 0:
            place.unlink(missing_ok=True)
    return pairs


def remove_others(beside: Results, wanted: Mapping[str, Any]) -> None:
    """Remove results that were computed with other settings, and can be computed again.

    Args:
        beside: the results.
        wanted: the settings.
    """
    if beside.path.exists() or beside.settings_path.exists():
        try:
            same = beside.read_settings() == wanted
        except ValueError:
            same = False
        if not same:
            for path in (*beside.parts(), beside.path, beside.settings_path):
                path.unlink(missing_ok=True)


def _identify(depends_on: Mapping[str, Any], pairs: PairSet) -> str:
    return hashlib.sha256(json.dumps({**depends_on, "pairs": pairs.digest}, sort_keys=True).encode()).hexdigest()[:16]


def _gradient(audit: Audit, pairs: PairSet, place: Path, progress: Progress | None) -> dict[str, Tensor]:
    """Return the gradient of the set: the first process computes it, and the others read it from the disk."""
    mine, identity = audit.processes, _identify(audit.depends_on, pairs)
    if mine.rank == 0:
        gradient = set_gradient(audit, pairs, place, identity, progress)
    mine.wait()
    if mine.rank != 0:
        gradient = set_gradient(audit, pairs, place, identity)
    mine.wait()
    return gradient


def _change_batch(
    audit: Audit, batch: list[Row], pairs: PairSet, step: Change, length: float, sgd: bool
) -> list[dict[str, Any]]:
    model, dtype = audit.loaded.model, audit.settings.dtype
    places = {row.number: pairs.find(row.number) for row in batch}
    used = [row for row in batch if places[row.number] is not None and row.tokens is not None]
    sequences = [row.tokens.sequences for row in used if row.tokens is not None]

    def change(some: Sequence[Sequences]) -> Tensor:
        return log_probs_jvp(model, step, [sequence for pair in some for sequence in pair], dtype=dtype)

    changes = torch.cat(compute_in_parts(change, sequences, "pairs")) if used else torch.zeros(0)
    rounding = length * ROUNDING[compute_dtype(unwrapped(model), dtype)]
    records = {row.number: {"row": row.number, "digest": row.digest} for row in batch}
    for row, (chosen, rejected) in zip(used, changes.reshape(-1, 2), strict=True):
        place = places[row.number]
        if place is not None:
            found = _set_change(pairs, place, chosen, rejected, rounding, audit.settings, sgd)
            records[row.number] |= vars(found)
    return list(records.values())


def _set_change(
    pairs: PairSet, place: int, chosen: Tensor, rejected: Tensor, rounding: float, settings: AuditSettings, sgd: bool
) -> SetChange:
    if not bool(chosen.isfinite() & rejected.isfinite()):
        return SetChange(None, None, None, False, None)
    alone = PairLogProbs(*(part[place : place + 1] for part in pairs.pair))
    margin = float(margin_change(settings.loss, alone, chosen.reshape(1), rejected.reshape(1)))
    own, change = float(pairs.own_change[place]), float(chosen)
    pushed = abs(own) + abs(change - own)
    return SetChange(
        change,
        float(rejected),
        margin if math.isfinite(margin) else None,
        change < -rounding * float(pairs.norm_chosen[place]),
        abs(own) / pushed if sgd and pushed > 0 else None,
    )
