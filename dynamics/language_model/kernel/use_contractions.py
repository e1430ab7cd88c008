"""The kernel over matrices from their recorded uses, and over other parameters from their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dynamics.language_model.batching import Segments
from dynamics.language_model.kernel.blocks import RowPairs, Strip, sum_both_ways
from dynamics.language_model.kernel.contractions import Contraction, cheaper_contractions, contract
from dynamics.language_model.kernel.layers import lookup_kernel
from dynamics.language_model.kernel.stacks import with_stacks
from dynamics.language_model.kernel.uses import Matrix, Place, Uses

CHUNK = 1 << 16
"""Parameters whose gradients are converted to float64 at the same time."""


def matrix_parts(
    matrices: Sequence[Matrix], row_pairs: RowPairs, contraction: Contraction | None
) -> dict[str, tuple[Tensor, str]]:
    """Return the part of the kernel of every matrix, and how it was contracted; the recordings are dropped.

    Linear maps that read the same tensors are contracted together.

    Args:
        matrices: the matrices.
        row_pairs: the entries, and in its rows the sequences.
        contraction: contraction of all linear maps; None for the cheaper one of each.
    """
    sequences, blocks = len(row_pairs.rows), row_pairs.blocks
    totals = {one.name: row_pairs.zeros() for one in matrices}
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
        pairs = with_stacks(RowPairs.of(blocks, segments))
        gradients = [joined(one.maps[key], sequences, 1)[0] for one, key in members]
        how: Sequence[Contraction]
        if contraction is None:
            how = cheaper_contractions(pairs, inputs.shape[1], [g.shape[1] for g in gradients])
        else:
            how = (contraction,) * len(gradients)
        for (one, _), part, name in zip(members, contract(inputs, gradients, pairs, how), how, strict=True):
            totals[one.name] += part
            chosen[one.name].add(name)
    for one in matrices:
        turned = [number for number, turned in one.maps if turned and (number, False) in one.maps]
        if turned:  # one matrix used both ways: G^T A of one use and A^T G of the other
            totals[one.name] += _both_ways(one, turned, row_pairs)
        if one.lookups:
            (ids, segments), (g, _) = (joined(one.lookups, sequences, side) for side in (0, 1))
            totals[one.name] += lookup_kernel(ids, g, RowPairs.of(blocks, segments))
            chosen[one.name].add("ghost")
            for (_, turned_), uses in one.maps.items():
                totals[one.name] += _lookup_cross(one.lookups, uses, turned_, row_pairs)
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


def _both_ways(one: Matrix, numbers: Sequence[int | None], row_pairs: RowPairs) -> Tensor:
    """Return the cross terms of a matrix that is used as it is and transposed."""
    total, count = row_pairs.zeros(), len(row_pairs.rows)
    for number in numbers:
        (a, rows), (g, _) = (joined(one.maps[number, False], count, side) for side in (0, 1))
        (b, columns), (h, _) = (joined(one.maps[number, True], count, side) for side in (0, 1))

        def pairs(s: Strip, a: Tensor = a, g: Tensor = g, b: Tensor = b, h: Tensor = h) -> list[Tensor]:
            # <G^T A, B^T H> over pairs of rows: (g . b) (a . h)
            return [(g[s.rows] @ b[s.columns].T) * (a[s.rows] @ h[s.columns].T)]

        total += sum_both_ways(row_pairs.blocks, rows, columns, pairs)
    return total


def _lookup_cross(lookups: Uses, uses: Uses, turned: bool, row_pairs: RowPairs) -> Tensor:
    """Return the cross terms of a lookup table that is a linear map too, such as a tied embedding."""
    if not any(uses.values()):
        return row_pairs.zeros()
    count = len(row_pairs.rows)
    (ids, columns), (e, _) = (joined(lookups, count, side) for side in (0, 1))
    (a, rows), (g, _) = (joined(uses, count, side) for side in (0, 1))
    left, right = (a, g) if turned else (g, a)  # the side of the ids, and the side of their vectors
    return sum_both_ways(
        *(row_pairs.blocks, rows, columns),
        lambda s: [left[s.rows][:, ids[s.columns]] * (right[s.rows] @ e[s.columns].T)],
    )


def vector_part(gradients: Sequence[Sequence[Tensor | None]], row_pairs: RowPairs) -> Tensor:
    """Return the kernel over parameters from their gradients, summed in float64.

    Args:
        gradients: for each sequence the gradient of every parameter; None for zero.
        row_pairs: the entries, and in its rows the sequences.
    """
    total = row_pairs.zeros()
    for of_one in zip(*gradients, strict=True):
        known = [(n, g.detach().reshape(-1)) for n, g in enumerate(of_one) if g is not None]
        if not known:
            continue
        rows = [n for n, _ in known]
        for start in range(0, known[0][1].numel(), CHUNK):
            piece = torch.stack([g[start : start + CHUNK] for _, g in known]).to(torch.float64)
            vectors = piece.new_zeros(len(gradients), piece.shape[1])
            vectors[rows] = piece
            total += row_pairs.inner_products(vectors)
    return total
