"""Inner products of per-sequence weight gradients, without all of these gradients in memory at once.

For a linear map, the gradient of log pi_i with respect to the weight is ``G_i^T A_i``, with the inputs A_i,
``(tokens, in)``, and the gradients of log pi_i at the outputs G_i, ``(tokens, out)``. There are two ways to compute the
inner products:

- "ghost" (as in ghost clipping for private training): ``K_ij = sum_{t,s} (A_i A_j^T)_{ts} (G_i G_j^T)_{ts}``, over
  pairs of tokens. The cost grows with the square of the number of tokens. Linear maps that read the same input share
  the matrix ``A A^T``.
- "materialised": form ``G_i^T A_i`` for all i, a few output columns at a time. The cost grows with the square of the
  number of sequences times the size of the weight.

Both multiply in the dtype of the model and add up in float64. Neither takes a float32 inner product over millions of
parameters: its relative error would be a few per cent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from dynamics.language_model.batching import Segments, runs

Contraction = Literal["ghost", "materialised"]
STRIP_ROWS = {"cpu": 96, "cuda": 2048}
"""Rows of token pairs at once: a low strip wastes little below the diagonal, a high one keeps a GPU busy."""
BUFFER_BYTES = {"cpu": 8 << 20, "cuda": 512 << 20}
"""Size of the buffer for materialised gradients; on a CPU it should fit into the cache."""
THIN_COST = 3.0
"""How much longer a multiplication takes in a matrix product that has one short side."""


def cheaper_contractions(segments: Segments, inputs: int, outputs: Sequence[int]) -> tuple[Contraction, ...]:
    """Return, for linear maps that read the same input, the contractions that need the fewest multiplications.

    Args:
        segments: which rows belong to which sequence.
        inputs: width of the shared input.
        outputs: width of the output of each map.

    Example:
        >>> from dynamics.language_model.batching import Segments
        >>> few, many = (Segments.of([rows] * 4, torch.device("cpu")) for rows in (8, 8000))
        >>> cheaper_contractions(few, 896, [896, 128]), cheaper_contractions(many, 896, [896])
        (('ghost', 'ghost'), ('materialised',))
    """
    rows, count = segments.rows, len(segments)
    # cost of one matrix of token pairs: a bit more than its upper half, and two operations for each entry
    pairs = rows**2 * (1 + 1 / max(1, rows // strip_rows(segments.owner.device)))
    formed = [2 * rows * inputs * k + 2 * THIN_COST * count**2 * inputs * k for k in outputs]
    saved = [max(0.0, cost - pairs * k) for cost, k in zip(formed, outputs, strict=True)]
    worth_it = sum(saved) >= pairs * inputs  # A A^T is computed once for all maps
    return tuple("ghost" if worth_it and one > 0 else "materialised" for one in saved)


def contract(
    inputs: Tensor, output_gradients: Sequence[Tensor], segments: Segments, contractions: Sequence[Contraction]
) -> list[Tensor]:
    """Return the kernels over the weights of linear maps that read the same input.

    Args:
        inputs: inputs of all sequences without padding, ``(rows, in)``.
        output_gradients: gradients at the output of each map, ``(rows, out)``.
        segments: which rows belong to which sequence.
        contractions: how to compute the kernel of each map; the results are the same up to rounding.

    Returns:
        For each map, the inner products of the gradients ``G_i^T A_i``, ``(sequences, sequences)``, float64.
    """
    both = list(zip(output_gradients, contractions, strict=True))
    sharing = [g for g, contraction in both if contraction == "ghost"]

    def pairs(r: slice, c: slice) -> list[Tensor]:
        of_inputs = inputs[r] @ inputs[c].T
        return [(g[r] @ g[c].T).mul_(of_inputs) for g in sharing]

    ghosts = iter(ghost(segments, segments, pairs) if sharing else ())
    return [next(ghosts) if contraction == "ghost" else materialised(inputs, g, segments) for g, contraction in both]


def ghost(rows: Segments, columns: Segments, pairs: Callable[[slice, slice], Sequence[Tensor]]) -> list[Tensor]:
    """Sum matrices over token pairs into matrices over sequence pairs, float64.

    Args:
        rows: which rows belong to which sequence.
        columns: which columns belong to which sequence. If this is the same object as ``rows``, the matrices are taken
            to be symmetric, and only the part from the diagonal to the right is computed.
        pairs: function of two slices that returns these blocks of the matrices.

    Returns:
        ``(row sequences, column sequences)`` for each matrix.
    """
    symmetric = rows is columns
    totals: list[Tensor] = []
    for strip in strips(rows):
        first = strip.start if symmetric else 0
        where, beside = rows.span(strip), columns.span(slice(first, len(columns)))
        for number, block in enumerate(pairs(where, beside)):
            if number == len(totals):
                totals.append(torch.zeros(len(rows), len(columns), dtype=torch.float64, device=block.device))
            by_column = sum_columns(block, columns.lengths[first:])
            part = by_column.new_zeros(strip.stop - strip.start, by_column.shape[1])
            totals[number][strip, first:] = part.index_add_(0, rows.owner[where] - strip.start, by_column)
    if symmetric:
        totals = [total.triu() + total.triu(1).T for total in totals]
    return totals


def strips(segments: Segments) -> list[slice]:
    """Return ranges of whole sequences with about ``strip_rows`` rows each."""
    enough, first, rows = strip_rows(segments.owner.device), 0, 0
    found = []
    for number, length in enumerate(segments.lengths):
        rows += length
        if rows >= enough or number == len(segments) - 1:
            found.append(slice(first, number + 1))
            first, rows = number + 1, 0
    return found


def strip_rows(device: torch.device) -> int:
    """Return how many rows of token pairs are computed at once on a device."""
    return STRIP_ROWS.get(device.type, STRIP_ROWS["cuda"])


def sum_columns(block: Tensor, lengths: Sequence[int]) -> Tensor:
    """Sum neighbouring columns in float64, ``(rows, columns)`` to ``(rows, sequences)``.

    Neighbours of equal length are summed in one call.

    Example:
        >>> sum_columns(torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]]), (2, 2, 1))
        tensor([[3., 7., 5.]], dtype=torch.float64)
    """
    parts, start = [], 0
    for run in runs(lengths):
        count, length = run.stop - run.start, lengths[run.start]
        piece = block[:, start : start + count * length].unflatten(1, (count, length))
        parts.append(piece.sum(2, dtype=torch.float64))
        start += count * length
    return torch.cat(parts, dim=1)


def materialised(inputs: Tensor, output_gradients: Tensor, segments: Segments) -> Tensor:
    """Form the gradients ``G_i^T A_i``, a few output columns at a time, and sum their inner products, float64."""
    count, width = len(segments), inputs.shape[1]
    total = torch.zeros(count, count, dtype=torch.float64, device=inputs.device)
    limit = BUFFER_BYTES.get(inputs.device.type, BUFFER_BYTES["cuda"])
    columns = min(output_gradients.shape[1], max(1, limit // (count * width * inputs.element_size())))
    buffer = inputs.new_empty(count, columns, width)
    for start in range(0, output_gradients.shape[1], columns):
        piece = buffer[:, : min(columns, output_gradients.shape[1] - start)]
        for run in runs(segments.lengths):  # sequences of the same length go through one batched product
            rows, size, length = segments.span(run), run.stop - run.start, segments.lengths[run.start]
            left = output_gradients[rows, start : start + columns].unflatten(0, (size, length)).transpose(1, 2)
            torch.bmm(left, inputs[rows].unflatten(0, (size, length)), out=piece[run])
        by_column = piece.transpose(0, 1)  # (columns, sequences, in): a short inner product for each column
        total += torch.bmm(by_column, by_column.transpose(1, 2)).sum(0, dtype=torch.float64)
    return total


def inner_products(vectors: Tensor) -> Tensor:
    """Return the inner products of float64 rows: ``(sequences, k)`` to ``(sequences, sequences)``."""
    return vectors @ vectors.T
