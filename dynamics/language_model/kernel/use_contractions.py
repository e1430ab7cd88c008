"""The kernel over matrices from their recorded uses, and over other parameters from their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dynamics.language_model.batching import Segments
from dynamics.language_model.kernel.contractions import Contraction, cheaper_contractions, contract, ghost
from dynamics.language_model.kernel.uses import Matrix, Place, Uses

CHUNK = 1 << 16
"""Parameters whose gradients are converted to float64 at the same time."""


def matrix_parts(
    matrices: Sequence[Matrix], sequences: int, contraction: Contraction | None, device: torch.device
) -> dict[str, tuple[Tensor, str]]:
    """Return the part of the kernel of every matrix, and how it was contracted; the recordings are dropped.

    Linear maps that read the same tensors are contracted together.

    Args:
        matrices: the matrices.
        sequences: number of sequences.
        contraction: contraction of all linear maps; None for the cheaper one of each.
        device: device of the model.
    """
    totals = {one.name: torch.zeros(sequences, sequences, dtype=torch.float64, device=device) for one in matrices}
    chosen: dict[str, set[str]] = {one.name: set() for one in matrices}
    groups: dict[tuple[Any, ...], list[tuple[Matrix, Place]]] = {}
    for one in matrices:
        for key, uses in one.maps.items():
            rows = tuple(
                (place, x.data_ptr(), x.shape, x.stride()) for place, pairs in sorted(uses.items()) for x, _ in pairs
            )
            if rows:
                groups.setdefault(rows, []).append((one, key))
    for members in groups.values():
        first, key = members[0]
        inputs, segments = joined(first.maps[key], sequences, 0)
        gradients = [joined(one.maps[key], sequences, 1)[0] for one, key in members]
        how: Sequence[Contraction]
        if contraction is None:
            how = cheaper_contractions(segments, inputs.shape[1], [g.shape[1] for g in gradients])
        else:
            how = (contraction,) * len(gradients)
        for (one, _), part, name in zip(members, contract(inputs, gradients, segments, how), how, strict=True):
            totals[one.name] += part
            chosen[one.name].add(name)
    for one in matrices:
        turned = [number for number, turned in one.maps if turned and (number, False) in one.maps]
        if turned:  # one matrix used both ways: G^T A of one use and A^T G of the other
            totals[one.name] += _both_ways(one, turned, sequences)
        if one.lookups:
            totals[one.name] += lookup_kernel(one.lookups, sequences)
            chosen[one.name].add("ghost")
            for (_, turned_), uses in one.maps.items():
                totals[one.name] += _lookup_cross(one.lookups, uses, turned_, sequences)
        one.forget()
    return {
        name: (total, "materialised" if "materialised" in chosen[name] else "ghost" if chosen[name] else "unused")
        for name, total in totals.items()
    }


def joined(uses: Uses, sequences: int, side: int) -> tuple[Tensor, Segments]:
    """Return the rows of one side of all uses, sequence by sequence, and which rows belong to which sequence."""
    rows = [torch.cat([pair[side] for pair in uses[n]]) for n in range(sequences) if uses.get(n)]
    lengths = [sum(pair[side].shape[0] for pair in uses.get(n, ())) for n in range(sequences)]
    return torch.cat(rows), Segments.of(lengths, rows[0].device)


def _both_ways(one: Matrix, numbers: Sequence[int | None], sequences: int) -> Tensor:
    """Return the cross terms of a matrix that is used as it is and transposed."""
    total = torch.zeros(())
    for number in numbers:
        (a, rows), (g, _) = (joined(one.maps[number, False], sequences, side) for side in (0, 1))
        (b, columns), (h, _) = (joined(one.maps[number, True], sequences, side) for side in (0, 1))
        # <G^T A, B^T H> over pairs of rows: (g . b) (a . h)
        cross = _cross(rows, columns, (g, b), (a, h))
        total = total.to(cross) + cross + cross.T
    return total


def _cross(rows: Segments, columns: Segments, one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> Tensor:
    """Return the sums over pairs of rows of the product of two inner products."""
    (found,) = ghost(rows, columns, lambda r, c: [(one[0][r] @ one[1][c].T) * (other[0][r] @ other[1][c].T)])
    return found


def lookup_kernel(lookups: Uses, sequences: int) -> Tensor:
    """Return the kernel over a table from its look-ups: only pairs of equal ids contribute."""
    ids, segments = joined(lookups, sequences, 0)
    g, _ = joined(lookups, sequences, 1)
    (part,) = ghost(segments, segments, lambda r, c: [(g[r] @ g[c].T).mul_(ids[r].unsqueeze(1) == ids[c])])
    return part


def _lookup_cross(
    lookups: Uses,
    uses: Uses,
    turned: bool,
    sequences: int,
) -> Tensor:
    """Return the cross terms of a table that is a linear map too, such as a tied embedding."""
    if not any(uses.values()):
        return torch.zeros(())
    ids, columns = joined(lookups, sequences, 0)
    e, _ = joined(lookups, sequences, 1)
    (a, rows), (g, _) = (joined(uses, sequences, side) for side in (0, 1))
    left, right = (a, g) if turned else (g, a)  # the side of the ids, and the side of their vectors
    (cross,) = ghost(rows, columns, lambda r, c: [left[r][:, ids[c]] * (right[r] @ e[c].T)])
    return cross + cross.T


def vector_part(gradients: Sequence[Sequence[Tensor | None]], device: torch.device) -> Tensor:
    """Return the kernel over parameters from their gradients, summed in float64.

    Args:
        gradients: for each sequence the gradient of every parameter; None for zero.
        device: device of the model.
    """
    total = torch.zeros(len(gradients), len(gradients), dtype=torch.float64, device=device)
    for of_one in zip(*gradients, strict=True):
        known = [(n, g.detach().reshape(-1)) for n, g in enumerate(of_one) if g is not None]
        if not known:
            continue
        rows = torch.tensor([n for n, _ in known], device=device)
        for start in range(0, known[0][1].numel(), CHUNK):
            piece = torch.stack([g[start : start + CHUNK] for _, g in known]).to(torch.float64)
            total[rows.unsqueeze(1), rows] += piece @ piece.T
    return total
