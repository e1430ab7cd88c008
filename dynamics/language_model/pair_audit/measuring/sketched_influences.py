"""Which pairs push a displaced pair, in a large data set: found by a sketch of the gradients, then computed exactly."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from heapq import nlargest, nsmallest
from typing import Any

import numpy as np
import torch

from dynamics.language_model.causal_lm import unwrapped
from dynamics.language_model.kernel.cross_kernel import cross_kernel
from dynamics.language_model.pair_audit.measuring.audit import Audit
from dynamics.language_model.pair_audit.measuring.batches import run_batches
from dynamics.language_model.pair_audit.measuring.halving import compute_in_parts
from dynamics.language_model.pair_audit.measuring.pair_set import PairSet
from dynamics.language_model.pair_audit.measuring.set_run import remove_others
from dynamics.language_model.pair_audit.measuring.sketch import Sketch, make_sketch
from dynamics.language_model.pair_audit.reading.data import Row
from dynamics.language_model.pair_audit.reading.tokens import Sequences
from dynamics.language_model.pair_audit.results.store import Results
from dynamics.language_model.parameters import select_parameters
from dynamics.language_model.tokens import TokenSequence
from dynamics.language_model.vjp import log_probs_vjp

SIZE = 512
"""Length of a sketch: an inner product is off by about 1 / sqrt(512) = 4.4 % of the product of the two norms."""
SEED = 0
SAMPLE = 50  # pairs whose pushes are computed exactly to measure the error of the sketch
MEASURED = 4  # targets for which this is done
CANDIDATES = 4
"""How many times as many pairs as are wanted the sketch names, of each kind; their pushes are computed exactly."""

Pushes = dict[int, dict[str, list[tuple[int, float]]]]
"""For each target the rows that push its chosen response down and up most, with their pushes."""


@dataclass(frozen=True)
class SketchError:
    """How far the pushes of a sketch are from the exact ones, relative to the product of the norms of the gradients.

    Attributes:
        size: length of a sketch.
        expected: what theory says, 1 / sqrt(size).
        measured: the root mean square over a random sample of pairs.
        pushes: number of pushes in the sample.
    """

    size: int
    expected: float
    measured: float
    pushes: int


def sketch_results(results: Results) -> Results:
    """Return the file of the sketches of all pairs."""
    return Results(results.path.with_name(f"{results.path.name}.sketch"))


def run_sketches(audit: Audit, pairs: PairSet, progress: Callable[[int], None] | None = None) -> None:
    """Write the sketch of what every pair adds to the gradient of the set: one gradient a pair.

    A line of ``audit.jsonl.sketch`` holds ``row``, ``digest``, the ``norm`` and the ``sketch``, 512 float32 in base64.

    Args:
        audit: model, data, settings, and the results that ``run_audit`` wrote.
        pairs: the audited pairs.
        progress: called with the number of rows that are done.
    """
    mine, beside = audit.processes, sketch_results(audit.results)
    wanted = {**audit.depends_on, "pairs": pairs.digest, "size": SIZE, "seed": SEED}
    if mine.rank == 0:
        remove_others(beside, wanted)
    mine.wait()
    with beside.begin(wanted, mine):
        made = audit.tokenize(lambda number: pairs.find(number) is not None)
        sketch = _sketch(audit)

        def compute(batch: list[Row]) -> list[dict[str, Any]]:
            return [_line(audit, row, sketch, pairs) for row in batch]

        run_batches(made, beside, compute, audit.settings.batch_pairs, pairs.end, mine, progress)


def find_pushes(
    audit: Audit,
    pairs: PairSet,
    targets: Sequence[int],
    most: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Pushes, SketchError]:
    """Return the pairs that push the targets most, and the error of the sketch.

    The sketch names candidates, ``CANDIDATES`` times as many as are wanted; their pushes are computed exactly and
    ordered anew. So every number is exact, and only a pair that the sketch does not name can be missing.

    Args:
        audit: model, data, settings, and the results beside which ``run_sketches`` wrote.
        pairs: the audited pairs.
        targets: rows whose chosen response is pushed.
        most: how many rows of each kind.
        progress: called with the number of targets that are done, and the number of all.
    """
    tokens = _read_tokens(audit, targets)
    chosen = [tokens[row].chosen for row in targets]
    sketch, model, how = _sketch(audit), audit.loaded.model, audit.how
    gradients = torch.stack([sketch.of(log_probs_vjp(model, [s], torch.ones(1), **how)) for s in chosen])
    sample = np.random.default_rng(SEED).permutation(pairs.rows)[:SAMPLE]
    candidates, sampled, norms = _search(audit.results, gradients, CANDIDATES * most, set(sample.tolist()))
    wanted = {row for rows in candidates for row in rows} | sampled.keys()
    tokens |= _read_tokens(audit, wanted)

    def exact(target: TokenSequence, rows: Sequence[int]) -> list[float]:
        def compute(some: Sequence[TokenSequence]) -> torch.Tensor:
            return cross_kernel(model, [target], some, **how).kernel.cpu()

        size, parts = audit.settings.batch_pairs, []  # as many pairs at once as in the other passes
        for start in range(0, len(rows), size):
            sequences = [sequence for row in rows[start : start + size] for sequence in tokens[row]]
            parts += compute_in_parts(compute, sequences, "responses")
        kernel = torch.cat(parts, dim=1)[0]
        places = torch.tensor([pairs.find(row) for row in rows])
        pushes = -(kernel[::2] * pairs.of_chosen[places] + kernel[1::2] * pairs.of_rejected[places])
        return [float(push) for push in pushes]

    found: Pushes = {}
    for done, (target, row, rows) in enumerate(zip(chosen, targets, candidates, strict=True), start=1):
        known = list(zip(rows, exact(target, rows), strict=True))
        down = nsmallest(most, (entry for entry in known if entry[1] < 0), key=lambda entry: entry[1])
        up = nlargest(most, (entry for entry in known if entry[1] >= 0), key=lambda entry: entry[1])
        found[row] = {"down": down, "up": up}
        if progress is not None:
            progress(done, len(targets))
    errors = []
    for number, (target, row) in enumerate(zip(chosen[:MEASURED], targets, strict=False)):
        place = pairs.find(row)
        length = float(pairs.norm_chosen[place]) if place is not None else 0.0
        rows = [other for other in sampled if norms[other] * length > 0]
        for other, push in zip(rows, exact(target, rows) if rows else [], strict=True):
            errors.append((sampled[other][number] - push) / (norms[other] * length))
    measured = math.sqrt(sum(error**2 for error in errors) / max(1, len(errors)))
    return found, SketchError(SIZE, 1 / math.sqrt(SIZE), measured, len(errors))


def _sketch(audit: Audit) -> Sketch:
    return make_sketch(select_parameters(unwrapped(audit.loaded.model), audit.settings.parameters), SIZE, SEED)


def _line(audit: Audit, row: Row, sketch: Sketch, pairs: PairSet) -> dict[str, Any]:
    line: dict[str, Any] = {"row": row.number, "digest": row.digest}
    place = pairs.find(row.number)
    if place is None or row.tokens is None:
        return line
    weights = torch.stack([pairs.of_chosen[place], pairs.of_rejected[place]])
    gradient = log_probs_vjp(audit.loaded.model, list(row.tokens.sequences), weights, **audit.how)
    norm = math.sqrt(sum(float(part.double().square().sum()) for part in gradient.values()))
    if not math.isfinite(norm):
        return line
    found = sketch.of(gradient).numpy().astype("<f4")
    return line | {"norm": norm, "sketch": base64.b64encode(found.tobytes()).decode()}


def _search(
    results: Results, gradients: torch.Tensor, most: int, sample: set[int]
) -> tuple[list[list[int]], dict[int, list[float]], dict[int, float]]:
    """Return the candidates of each target; of the sampled rows their pushes and norms."""
    down: list[list[tuple[float, int]]] = [[] for _ in gradients]
    up: list[list[tuple[float, int]]] = [[] for _ in gradients]
    sampled: dict[int, list[float]] = {}
    norms: dict[int, float] = {}
    rows: list[int] = []
    sketches: list[np.ndarray] = []

    def flush() -> None:
        if not rows:
            return
        pushes = -(gradients.numpy() @ np.stack(sketches).astype(np.float64).T)
        for target, of_target in enumerate(pushes.tolist()):
            entries = list(zip(of_target, rows, strict=True))
            down[target] = nsmallest(most, [*down[target], *entries])
            up[target] = nlargest(most, [*up[target], *entries])
        sampled.update({row: pushes[:, n].tolist() for n, row in enumerate(rows) if row in sample})
        rows.clear()
        sketches.clear()

    for record in sketch_results(results).read():
        if "sketch" in record:
            rows.append(record["row"])
            sketches.append(np.frombuffer(base64.b64decode(record["sketch"]), "<f4"))
            if record["row"] in sample:
                norms[record["row"]] = record["norm"]
            if len(rows) == 1000:
                flush()
    flush()
    both = [[row for _, row in (*falling, *rising)] for falling, rising in zip(down, up, strict=True)]
    return [list(dict.fromkeys(entries)) for entries in both], sampled, norms


def _read_tokens(audit: Audit, rows: Collection[int]) -> dict[int, Sequences]:
    made = audit.tokenize(set(rows).__contains__)
    return {row.number: row.tokens.sequences for row in made.read() if row.tokens is not None}
