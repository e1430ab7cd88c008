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

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from dynamics.language_model.batching import runs
from dynamics.language_model.kernel.blocks import RowPairs, Strip, matrices, neighbours
from dynamics.language_model.kernel.stacks import contract_stacks

Contraction = Literal["ghost", "materialised"]
BUFFER_BYTES = {"cpu": 8 << 20, "cuda": 512 << 20}
"""Size of the buffer for materialised gradients; on a CPU it should fit into the cache."""
THIN_COST = 3.0
"""How much longer a multiplication takes in a matrix product that has one short side."""


def cheaper_contractions(row_pairs: RowPairs, inputs: int, outputs: Sequence[int]) -> tuple[Contraction, ...]:
    """Return, for linear maps that read the same input, the contractions that need the fewest multiplications.

    Args:
        row_pairs: which pairs of rows belong to which entry.
        inputs: width of the shared input.
        outputs: width of the output of each map.

    Example:
        >>> from dynamics.language_model.batching import Segments
        >>> from dynamics.language_model.kernel.blocks import whole
        >>> lengths = [[rows] * 4 for rows in (8, 8000)]
        >>> few, many = (RowPairs.of(whole(4), Segments.of(one, torch.device("cpu"))) for one in lengths)
        >>> cheaper_contractions(few, 896, [896, 128]), cheaper_contractions(many, 896, [896])
        (('ghost', 'ghost'), ('materialised',))
    """
    return cheapest(row_pairs.pairs, row_pairs.rows.rows, row_pairs.entries, inputs, outputs)


def cheapest(pairs: int, rows: int, entries: int, inputs: int, outputs: Sequence[int]) -> tuple[Contraction, ...]:
    """Return what ``cheaper_contractions`` returns, from numbers alone.

    Args:
        pairs: number of pairs of rows that would be multiplied.
        rows: number of all rows.
        entries: number of entries of the kernel.
        inputs: width of the shared input.
        outputs: width of the output of each map.
    """
    pairs = 2 * pairs
    formed = [2 * rows * inputs * k + 2 * THIN_COST * entries * inputs * k for k in outputs]
    saved = [max(0.0, cost - pairs * k) for cost, k in zip(formed, outputs, strict=True)]
    worth_it = sum(saved) >= pairs * inputs  # A A^T is computed once for all maps
    return tuple("ghost" if worth_it and one > 0 else "materialised" for one in saved)


def contract(
    inputs: Tensor, output_gradients: Sequence[Tensor], row_pairs: RowPairs, contractions: Sequence[Contraction]
) -> list[Tensor]:
    """Return the kernels over the weights of linear maps that read the same input.

    Args:
        inputs: inputs of all sequences without padding, ``(rows, in)``.
        output_gradients: gradients at the output of each map, ``(rows, out)``.
        row_pairs: which pairs of these rows belong to which entry.
        contractions: how to compute the kernel of each map; the results are the same up to rounding.

    Returns:
        For each map, the inner products of the gradients ``G_i^T A_i``, ``(entries,)``, float64.
    """
    both = list(zip(output_gradients, contractions, strict=True))
    sharing = [g for g, contraction in both if contraction == "ghost"]

    def pairs(s: Strip) -> list[Tensor]:
        of_inputs = inputs[s.rows] @ inputs[s.columns].T
        return [(g[s.rows] @ g[s.columns].T).mul_(of_inputs) for g in sharing]

    if row_pairs.stacks:
        ghosts = iter(contract_stacks(inputs, sharing, row_pairs.stacks, row_pairs.entries))
    else:
        ghosts = iter(row_pairs.sum(pairs) if sharing else ())
    return [next(ghosts) if contraction == "ghost" else materialised(inputs, g, row_pairs) for g, contraction in both]


def materialised(inputs: Tensor, output_gradients: Tensor, row_pairs: RowPairs) -> Tensor:
    """Form the gradients ``G_i^T A_i``, a few output columns at a time, and sum their inner products, float64."""
    segments, total = row_pairs.rows, row_pairs.zeros()
    count, width = len(segments), inputs.shape[1]
    limit = BUFFER_BYTES.get(inputs.device.type, BUFFER_BYTES["cuda"])
    columns = min(output_gradients.shape[1], max(1, limit // (count * width * inputs.element_size())))
    buffer = inputs.new_empty(count, columns, width)
    sides = [[neighbours(side, inputs.device) for side in (b.rows, b.columns)] for b in row_pairs.blocks]
    for start in range(0, output_gradients.shape[1], columns):
        piece = buffer[:, : min(columns, output_gradients.shape[1] - start)]
        for run in runs(segments.lengths):  # sequences of the same length go through one batched product
            rows, size, length = segments.span(run), run.stop - run.start, segments.lengths[run.start]
            left = output_gradients[rows, start : start + columns].unflatten(0, (size, length)).transpose(1, 2)
            torch.bmm(left, inputs[rows].unflatten(0, (size, length)), out=piece[run])
        for matrix, (own, others) in zip(matrices(row_pairs.blocks, total), sides, strict=True):
            # (columns, sequences, in): a short inner product for each column
            one, other = piece[own].transpose(0, 1), piece[others].transpose(0, 1)
            matrix.add_(torch.bmm(one, other.transpose(1, 2)).sum(0, dtype=torch.float64))
    return total
