"""Inner products of per-sequence weight gradients ``G_i^T A_i`` that are never all formed at once.

For a linear map, the gradient of log pi_i with respect to the weight is ``G_i^T A_i``: input rows A_i (rows, in) and
rows of d log pi_i / d output, G_i (rows, out). Their inner products can be had in two ways:

- token pairs ("ghost"): ``K_ij = sum_{t,s} (A_i A_j^T)_{ts} (G_i G_j^T)_{ts}``; the cost grows with rows squared, and
  linear maps that read the same input share the table ``A A^T``;
- products ("product"): form ``G_i^T A_i`` for all i and a few output columns at a time; the cost grows with
  sequences squared times the size of the weight.

Both multiply in the dtype of the rows and add up in float64. Neither multiplies two long vectors in float32: a float32
``G @ G.T`` over millions of parameters is off by per cents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from dynamics.language_model.batching import Segments, runs

Route = Literal["ghost", "product"]
STRIP_ROWS = {"cpu": 96, "cuda": 2048}  # low strips waste little below the diagonal, but keep a GPU idle
BUFFER_BYTES = {"cpu": 8 << 20, "cuda": 512 << 20}  # on a CPU what stays in the cache is several times as fast
THIN = 3.0  # a matrix product with one short side runs at about a third of the usual speed


def cheaper_routes(segments: Segments, inputs: int, outputs: Sequence[int]) -> tuple[Route, ...]:
    """Return the routes of fewest multiplications for linear maps that read the same input.

    Args:
        segments: whose rows are whose.
        inputs: width of the shared input.
        outputs: width of the output of each map.

    Example:
        >>> from dynamics.language_model.batching import Segments
        >>> few, many = (Segments.of([rows] * 4, torch.device("cpu")) for rows in (8, 8000))
        >>> cheaper_routes(few, 896, [896, 128]), cheaper_routes(many, 896, [896])
        (('ghost', 'ghost'), ('product',))
    """
    rows, count = segments.rows, len(segments)
    table = rows**2 * (1 + 1 / max(1, rows // strip_rows(segments.owner.device)))  # of twice the upper half
    product = [2 * rows * inputs * k + 2 * THIN * count**2 * inputs * k for k in outputs]
    saved = [max(0.0, p - table * k) for p, k in zip(product, outputs, strict=True)]
    worth_it = sum(saved) >= table * inputs  # the table of the shared input is paid for once
    return tuple("ghost" if worth_it and one > 0 else "product" for one in saved)


def contract(a: Tensor, gs: Sequence[Tensor], segments: Segments, routes: Sequence[Route]) -> list[Tensor]:
    """Return the Gram matrices of the weight gradients ``G_i^T A_i``, each ``(sequences, sequences)``, float64.

    Args:
        a: input rows of all sequences, packed, ``(rows, in)``; the same for all maps.
        gs: output-gradient rows of each map, ``(rows, out)``.
        segments: whose rows are whose.
        routes: which way to go for each map; the results are the same.
    """
    shared = [g for g, route in zip(gs, routes, strict=True) if route == "ghost"]

    def tables(r: slice, c: slice) -> list[Tensor]:
        inputs = a[r] @ a[c].T
        return [(g[r] @ g[c].T).mul_(inputs) for g in shared]

    ghosts = iter(ghost(segments, segments, tables) if shared else ())
    return [next(ghosts) if route == "ghost" else products(a, g, segments) for g, route in zip(gs, routes, strict=True)]


def ghost(rows: Segments, columns: Segments, tables: Callable[[slice, slice], Sequence[Tensor]]) -> list[Tensor]:
    """Sum tables over token pairs into sequence pairs, ``(row sequences, column sequences)`` each, float64.

    Args:
        rows: owners of the rows of the tables.
        columns: owners of their columns; when they are the same object as ``rows`` the tables are taken to be symmetric
            and are asked for from the diagonal to the right only.
        tables: function of two slices that returns those blocks of the tables.
    """
    symmetric = rows is columns
    totals: list[Tensor] = []
    for strip in strips(rows):
        first = strip.start if symmetric else 0
        where, beside = rows.span(strip), columns.span(slice(first, len(columns)))
        for number, table in enumerate(tables(where, beside)):
            if number == len(totals):
                totals.append(torch.zeros(len(rows), len(columns), dtype=torch.float64, device=table.device))
            by_column = sum_columns(table, columns.lengths[first:])
            part = by_column.new_zeros(strip.stop - strip.start, by_column.shape[1])
            totals[number][strip, first:] = part.index_add_(0, rows.owner[where] - strip.start, by_column)
    if symmetric:
        totals = [total.triu() + total.triu(1).T for total in totals]
    return totals


def strips(segments: Segments) -> list[slice]:
    """Return ranges of whole sequences, of about as many rows as a strip of a table should have."""
    enough, first, rows = strip_rows(segments.owner.device), 0, 0
    found = []
    for number, length in enumerate(segments.lengths):
        rows += length
        if rows >= enough or number == len(segments) - 1:
            found.append(slice(first, number + 1))
            first, rows = number + 1, 0
    return found


def strip_rows(device: torch.device) -> int:
    """Return the rows of a strip of a table on a device."""
    return STRIP_ROWS.get(device.type, STRIP_ROWS["cuda"])


def sum_columns(table: Tensor, lengths: Sequence[int]) -> Tensor:
    """Sum runs of columns in float64, ``(rows, columns)`` to ``(rows, runs)``; equal neighbours go together.

    Example:
        >>> sum_columns(torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]]), (2, 2, 1))
        tensor([[3., 7., 5.]], dtype=torch.float64)
    """
    parts, start = [], 0
    for run in runs(lengths):
        count, length = run.stop - run.start, lengths[run.start]
        piece = table[:, start : start + count * length].unflatten(1, (count, length))
        parts.append(piece.sum(2, dtype=torch.float64))
        start += count * length
    return torch.cat(parts, dim=1)


def products(a: Tensor, g: Tensor, segments: Segments) -> Tensor:
    """Form ``G_i^T A_i`` for every sequence, a few output columns at a time, and sum their inner products."""
    count, width = len(segments), a.shape[1]
    total = torch.zeros(count, count, dtype=torch.float64, device=a.device)
    limit = BUFFER_BYTES.get(a.device.type, BUFFER_BYTES["cuda"])
    columns = min(g.shape[1], max(1, limit // (count * width * a.element_size())))
    buffer = a.new_empty(count, columns, width)
    for start in range(0, g.shape[1], columns):
        piece = buffer[:, : min(columns, g.shape[1] - start)]
        for run in runs(segments.lengths):  # sequences of one length are one batch
            rows, size = segments.span(run), run.stop - run.start
            left = g[rows, start : start + columns].unflatten(0, (size, -1)).transpose(1, 2)
            torch.bmm(left, a[rows].unflatten(0, (size, -1)), out=piece[run])
        by_column = piece.transpose(0, 1)  # (columns, sequences, in): one short inner product for each column
        total += torch.bmm(by_column, by_column.transpose(1, 2)).sum(0, dtype=torch.float64)
    return total


def gram(vectors: Tensor) -> Tensor:
    """Return the Gram matrix of float64 rows ``(sequences, k)``."""
    return vectors @ vectors.T
