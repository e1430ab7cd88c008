"""Inner products of per-sequence weight gradients ``G_i^T A_i`` that are never all formed at once.

For a linear map, the gradient of log pi_i with respect to the weight is ``G_i^T A_i``: input rows A_i (rows, in) and
rows of d log pi_i / d output, G_i (rows, out). Their inner products can be had in two ways:

- token pairs ("ghost"): ``K_ij = sum_{t,s} (A_i A_j^T)_{ts} (G_i G_j^T)_{ts}``; the cost grows with rows squared;
- products ("product"): form ``G_i^T A_i`` for all i and a few output columns at a time; the cost grows with
  sequences squared times the size of the weight.

Both add up in float64. Neither multiplies two long vectors in float32: a float32 ``G @ G.T`` over millions of
parameters is off by per cents.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from dynamics.language_model.batching import Segments

Route = Literal["ghost", "product"]
ROW_BLOCK = 512
BUFFER_BYTES = 4 << 20  # small enough for the cache, which is worth a factor of up to 6
THIN = 3.0  # a matrix product with one short side runs at about a third of the usual speed


def cheaper_route(segments: Segments, inputs: int, outputs: int) -> Route:
    """Return the route of fewer multiplications for rows of these segments and a weight of these sizes.

    Example:
        >>> from dynamics.language_model.batching import Segments
        >>> few, many = (Segments.of([rows] * 4, torch.device("cpu")) for rows in (8, 8000))
        >>> cheaper_route(few, 896, 896), cheaper_route(many, 896, 896)
        ('ghost', 'product')
    """
    rows, count = segments.rows, len(segments)
    blocks = max(1, -(-rows // ROW_BLOCK))
    ghost = rows**2 * (1 + 1 / blocks) * (inputs + outputs)
    product = 2 * rows * inputs * outputs + 2 * THIN * count**2 * inputs * outputs
    return "ghost" if ghost <= product else "product"


def contract(a: Tensor, g: Tensor, segments: Segments, route: Route) -> Tensor:
    """Return the Gram matrix of the weight gradients ``G_i^T A_i``, ``(sequences, sequences)``, float64.

    Args:
        a: input rows of all sequences, packed, ``(rows, in)``.
        g: output-gradient rows, ``(rows, out)``.
        segments: whose rows are whose.
        route: which way to go; the result is the same.
    """
    if route == "ghost":
        return ghost(segments, segments, lambda r, c: (a[r] @ a[c].T) * (g[r] @ g[c].T))
    return products(a, g, segments)


def ghost(rows: Segments, columns: Segments, table: Callable[[slice, slice], Tensor]) -> Tensor:
    """Sum a table over token pairs into sequence pairs, ``(sequences, sequences)``, float64.

    Args:
        rows: owners of the rows of the table.
        columns: owners of its columns; when they are the same object as ``rows`` the table is taken to be symmetric and
            only its upper half is asked for.
        table: function of two slices that returns that block of the table.
    """
    symmetric = rows is columns
    size = (len(rows), len(columns))
    total = torch.zeros(size, dtype=torch.float64, device=rows.owner.device)
    for start in range(0, rows.rows, ROW_BLOCK):
        block = slice(start, min(start + ROW_BLOCK, rows.rows))
        first = start if symmetric else 0
        for left in range(first, columns.rows, ROW_BLOCK):
            other = slice(left, min(left + ROW_BLOCK, columns.rows))
            part = _sum_by_owner(table(block, other), rows.owner[block], columns.owner[other], size)
            total += part
            if symmetric and left > start:
                total += part.T
    return total


def products(a: Tensor, g: Tensor, segments: Segments) -> Tensor:
    """Form ``G_i^T A_i`` for every sequence, a few output columns at a time, and sum their inner products."""
    count, width = len(segments), a.shape[1]
    total = torch.zeros(count, count, dtype=torch.float64, device=a.device)
    columns = max(1, BUFFER_BYTES // max(1, count * width * a.element_size()))
    inputs = a.split(segments.lengths)
    outputs = g.split(segments.lengths)
    for start in range(0, g.shape[1], columns):
        piece = torch.stack([o[:, start : start + columns].T @ i for i, o in zip(inputs, outputs, strict=True)])
        by_column = piece.transpose(0, 1)  # (columns, sequences, in): one short inner product for each column
        total += torch.bmm(by_column, by_column.transpose(1, 2)).sum(0, dtype=torch.float64)
    return total


def gram(vectors: Tensor) -> Tensor:
    """Return the Gram matrix of float64 rows ``(sequences, k)``."""
    return vectors @ vectors.T


def _sum_by_owner(table: Tensor, rows: Tensor, columns: Tensor, size: tuple[int, int]) -> Tensor:
    wide = torch.zeros(table.shape[0], size[1], dtype=torch.float64, device=table.device)
    wide.index_add_(1, columns, table.to(torch.float64))
    return torch.zeros(size, dtype=torch.float64, device=table.device).index_add_(0, rows, wide)
