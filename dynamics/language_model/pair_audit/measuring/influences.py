"""Which pairs push the chosen response of another pair down or up, in a step of SGD on all pairs at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import nlargest, nsmallest
from typing import Any

import torch
from torch import Tensor

from dynamics.language_model.kernel.cross_kernel import cross_kernel
from dynamics.language_model.pair_audit.measuring.audit import Audit
from dynamics.language_model.pair_audit.measuring.batches import run_batches
from dynamics.language_model.pair_audit.measuring.halving import compute_in_parts
from dynamics.language_model.pair_audit.measuring.pair_set import PairSet
from dynamics.language_model.pair_audit.measuring.set_run import remove_others
from dynamics.language_model.pair_audit.measuring.sketched_influences import (
    Pushes,
    SketchError,
    find_pushes,
    run_sketches,
)
from dynamics.language_model.pair_audit.reading.data import PairSource, Row
from dynamics.language_model.pair_audit.results.joined import read_joined
from dynamics.language_model.pair_audit.results.store import Results
from dynamics.language_model.tokens import TokenSequence

TARGETS = 20
"""Largest number of displaced pairs for which the pairs that push them are computed exactly, pair by pair."""
SKETCHED_TARGETS = 200
"""Largest number of them in a data set that is sketched."""
EXACT_PAIRS = 2000
"""Largest number of pairs of which every push is computed exactly; in a larger data set a sketch names candidates."""


@dataclass(frozen=True)
class Influences:
    """Which pairs push displaced pairs.

    Attributes:
        pushes: for each target the rows that push its chosen response down and up most, with their pushes.
        error: the error of the sketch that found them; None if every push was computed.
    """

    pushes: Pushes
    error: SketchError | None = None


def find_influences(
    audit: Audit,
    pairs: PairSet,
    most: int,
    progress: tuple[Callable[[int], None] | None, Callable[[int, int], None] | None] = (None, None),
) -> Influences:
    """Return the pairs that push the displaced pairs that fall most; only the first process needs the answer.

    Args:
        audit: model, data, settings, and the results that ``run_audit`` and ``run_set`` wrote.
        pairs: the audited pairs.
        most: how many rows of each kind are named.
        progress: two functions: the first is called with the number of rows that are done; the second with the number
            of displaced pairs whose candidates of a sketch are done, and the number of all of them.
    """
    if len(pairs) <= EXACT_PAIRS:
        run_pushes(audit, pairs, progress[0])
        return Influences(read_influences(audit.results, most))
    targets = find_targets(audit.results, SKETCHED_TARGETS)
    if not targets:
        return Influences({})
    run_sketches(audit, pairs, progress[0])
    if audit.processes.rank != 0:
        return Influences({})
    return Influences(*find_pushes(audit, pairs, targets, most, progress[1]))


def push_results(results: Results) -> Results:
    """Return the file of the pushes of every pair on the chosen responses of the targets."""
    return Results(results.path.with_name(f"{results.path.name}.pushes"))


def find_targets(results: Results, most: int = TARGETS) -> list[int]:
    """Return the rows of the displaced pairs, by their own step or that of the set, that fall most.

    Args:
        results: what ``run_audit`` and ``run_set`` wrote.
        most: the largest number of rows.
    """
    found = []
    for record in read_joined(results):
        if record.get("displaced") or record.get("displaced_by_set"):
            change = record.get("set_chosen_change")
            found.append((record["own_chosen_change"] if change is None else change, record["row"]))
    return [row for _, row in nsmallest(most, found)]


def run_pushes(audit: Audit, pairs: PairSet, progress: Callable[[int], None] | None = None) -> None:
    """Compute how every pair pushes the chosen responses of the targets, and write one line for each row.

    The push of pair j on target i is -(dL/dlog pi(w_j) <g_w_i, g_w_j> + dL/dlog pi(l_j) <g_w_i, g_l_j>), in nats per
    unit of learning rate, exactly, from a rectangle of the kernel. Summed over all pairs it is the
    ``set_chosen_change`` of the target under SGD. A line of ``audit.jsonl.pushes`` holds ``row``, ``digest`` and
    ``push``, one number for each target.

    Args:
        audit: model, data, settings, and the results that ``run_audit`` and ``run_set`` wrote.
        pairs: the audited pairs.
        progress: called with the number of rows that are done.

    Raises:
        OutOfMemory: one pair and the targets do not fit into memory.
    """
    mine, rows = audit.processes, find_targets(audit.results)
    if not rows:
        return
    beside = push_results(audit.results)
    wanted = {**audit.depends_on, "pairs": pairs.digest, "targets": rows}
    if mine.rank == 0:
        remove_others(beside, wanted)
    mine.wait()
    with beside.begin(wanted, mine):
        made = audit.tokenize(lambda number: pairs.find(number) is not None)
        targets = _read_chosen(audit.tokenize(rows.__contains__), rows)

        def compute(batch: list[Row]) -> list[dict[str, Any]]:
            return _push_batch(audit, batch, targets, pairs)

        run_batches(made, beside, compute, audit.settings.batch_pairs, pairs.end, mine, progress)


def read_influences(results: Results, most: int) -> Pushes:
    """Return for each target the rows that push its chosen response down and up most, with their pushes.

    Args:
        results: what ``run_audit`` wrote; ``run_pushes`` wrote beside it.
        most: how many rows of each kind.
    """
    beside = push_results(results)
    settings = beside.read_settings() if beside.settings_path.exists() else None
    if settings is None or most < 1:
        return {}
    found: Pushes = {row: {"down": [], "up": []} for row in settings["targets"]}
    for record in beside.read():
        for row, push in zip(found, record.get("push", ()), strict=False):
            side = found[row]["down" if push < 0 else "up"]
            side.append((record["row"], push))
            if len(side) > 50 * most:
                side[:] = nlargest(most, side, key=lambda entry: abs(entry[1]))
    for kinds in found.values():
        for side in kinds.values():
            side[:] = nlargest(most, side, key=lambda entry: abs(entry[1]))
    return found


def _read_chosen(source: PairSource, rows: list[int]) -> list[TokenSequence]:
    found = {}
    for row in source.read():
        if row.number in rows and row.tokens is not None:
            found[row.number] = row.tokens.sequences.chosen
        if len(found) == len(rows):
            break
    return [found[row] for row in rows]


def _push_batch(audit: Audit, batch: list[Row], targets: list[TokenSequence], pairs: PairSet) -> list[dict[str, Any]]:
    records: dict[int, dict[str, Any]] = {row.number: {"row": row.number, "digest": row.digest} for row in batch}
    places = {row.number: place for row in batch if (place := pairs.find(row.number)) is not None}
    sequences = [
        sequence
        for row in batch
        if row.number in places and row.tokens is not None
        for sequence in row.tokens.sequences
    ]
    if sequences:

        def compute(some: Sequence[TokenSequence]) -> Tensor:
            return cross_kernel(audit.loaded.model, targets, some, **audit.how).kernel.cpu()

        kernel = torch.cat(compute_in_parts(compute, sequences, "responses"), dim=1)
        index = torch.tensor(list(places.values()))
        pushes = -(kernel[:, ::2] * pairs.of_chosen[index] + kernel[:, 1::2] * pairs.of_rejected[index])
        for number, push in zip(places, pushes.T, strict=True):
            if bool(push.isfinite().all()):
                records[number]["push"] = push.tolist()
    return list(records.values())
