"""The backward pass of the head: its part of the kernel, and the gradient at the hidden states.

With c_t = onehot(y_t) - pi_t at the position that predicts token y_t from the hidden state h_t, times the slope of the
logits where the model scales or caps them, the gradient of log pi_i with respect to the head's weight is
``sum_t c_t h_t^T``, and the gradient at h_t is ``W^T c_t``. The full matrix of c, positions times vocabulary, is stored
only if it is small. If embedding and head share one weight,
its gradient is the sum of both gradients, and the kernel has cross terms.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from dynamics.language_model.batching import Segments
from dynamics.language_model.kernel.blocks import Blocks, RowPairs, sum_both_ways
from dynamics.language_model.kernel.contractions import Contraction, cheaper_contractions, materialised
from dynamics.language_model.model_head import Head, exponentials, log_partition, vocabulary_pieces

STORED_BYTES = 256 << 20
"""Up to this size the probabilities of all positions are stored; above it they are computed a second time."""


@dataclass(frozen=True, eq=False)
class HeadPart:
    """What the backward pass of the head returns.

    Attributes:
        log_probs: log-probability of the target at every position, float64 ``(rows,)``.
        gradient: gradient of log pi_i at the hidden state of every position, ``(rows, width)``.
        kernel: kernel over the head's selected parameters, ``(entries,)``; None if none is selected.
        contraction: how the kernel of its weight was computed.
        residual: c_t = (onehot(y_t) - pi_t) times the slope of the logits, at the requested token ids only,
            ``(rows, ids)``.
    """

    log_probs: Tensor
    gradient: Tensor
    kernel: Tensor | None
    contraction: str
    residual: Tensor


def head_backward(
    hidden: Tensor,
    targets: Tensor,
    head: Head,
    row_pairs: RowPairs,
    *,
    weight: bool,
    bias: bool,
    ids: Tensor,
    vocabulary_piece: int,
    contraction: Contraction | None = None,
) -> HeadPart:
    """Return the head's part of the kernel and the gradient at the hidden states.

    The vocabulary is passed through twice, piece by piece: first for the normalising constant of the softmax, then for
    everything else. The second time the logits are computed again, unless all of them fit into ``STORED_BYTES``.

    Args:
        hidden: hidden states that predict a token of a response, without padding, ``(rows, width)``.
        targets: the tokens that they predict, ``(rows,)``.
        head: the head. Without a linear map, ``hidden`` are the logits, and the gradient at them is c.
        row_pairs: which pairs of rows belong to which entry.
        weight: whether the head's weight is selected.
        bias: whether its bias is.
        ids: token ids at which c is needed, for the cross terms with a tied embedding.
        vocabulary_piece: vocabulary entries at once.
        contraction: how to compute the kernel of the weight; None for the cheaper one.
    """
    matrix = None if head.linear is None else head.linear.weight.detach()
    stored: list[tuple[Tensor, Tensor]] | None = [] if stores_probabilities(hidden, head) else None
    partition, log_probs = log_partition(hidden, head, targets, vocabulary_piece, stored)
    chosen = contraction or cheaper_contractions(row_pairs, hidden.shape[1], [head.vocabulary])[0]
    strips = row_pairs.strips if weight and chosen == "ghost" else ()
    gradient = torch.zeros_like(hidden)
    residual = hidden.new_zeros(hidden.shape[0], ids.numel())
    # c c^T over pairs of positions
    pairs = [torch.zeros(s.shape, dtype=torch.float64, device=hidden.device) for s in strips]
    total = row_pairs.zeros()
    for where, c, slope in _negative_probabilities(hidden, head, vocabulary_piece, partition, stored):
        (rows,) = torch.where((targets >= where.start) & (targets < where.stop))
        # 1 - pi as -expm1(log pi): the sum 1 + c would lose its digits where pi is close to 1
        c[rows, targets[rows] - where.start] = -torch.expm1(log_probs[rows]).to(c.dtype)
        if not isinstance(slope, float) or slope != 1:
            c.mul_(slope)
        if matrix is None:
            gradient[:, where] = c
        else:
            gradient.addmm_(c, matrix[where])
        (asked,) = torch.where((ids >= where.start) & (ids < where.stop))
        residual[:, asked] = c[:, ids[asked] - where.start]
        if bias:
            total += row_pairs.inner_products(row_pairs.rows.sum(c))
        for s in strips:
            pairs[s.number] += c[s.rows] @ c[s.columns].T
        if weight and not strips:
            total += materialised(hidden, c, row_pairs)
    if strips:
        total += row_pairs.sum(lambda s: [pairs[s.number] * (hidden[s.rows] @ hidden[s.columns].T)])[0]
    return HeadPart(log_probs, gradient, total if weight or bias else None, chosen if weight else "vector", residual)


def stores_probabilities(hidden: Tensor, head: Head) -> bool:
    """Return whether the probabilities of all positions are small enough to be stored and the logits are not needed."""
    return not head.bends and hidden.shape[0] * head.vocabulary * hidden.element_size() <= STORED_BYTES


def head_bytes(head: Head, width: int, size: int, rows: int, pairs: int, ids: int, vocabulary_piece: int) -> int:
    """Estimate the bytes that ``head_backward`` needs at once.

    Args:
        head: the head.
        width: width of the hidden states.
        size: bytes of one number.
        rows: positions that predict a token of a response.
        pairs: pairs of them that belong to an entry.
        ids: number of token ids at which c is needed.
        vocabulary_piece: vocabulary entries at once.
    """
    columns = min(vocabulary_piece, head.vocabulary)
    stored = not head.bends and rows * head.vocabulary * size <= STORED_BYTES
    probabilities = size * (head.vocabulary if stored else columns)
    # a piece while it is computed; with a soft cap also its slope, what that is made of, and the slope before it
    computed = size * columns * (4 if head.bends else 1)
    # hidden states and their gradients, c at the ids, probabilities, the piece, token pairs
    return rows * (2 * width * size + ids * size + probabilities + computed) + 8 * pairs


def _negative_probabilities(
    hidden: Tensor, head: Head, size: int, partition: Tensor, stored: list[tuple[Tensor, Tensor]] | None
) -> Iterator[tuple[slice, Tensor, Tensor | float]]:
    """Yield -pi and the slope of the logits for one piece of the vocabulary after another, ``(rows, piece)``."""

    def computed() -> Iterator[tuple[Tensor | float, tuple[Tensor, Tensor]]]:
        for _, logits in vocabulary_pieces(hidden, head, size):
            yield head.slope(logits), exponentials(logits)

    reused = iter(()) if stored is None else ((head.scale, stored.pop(0)) for _ in range(len(stored)))
    start = 0
    for slope, (top, exponents) in computed() if stored is None else reused:
        scale = torch.exp(top.squeeze(1).to(torch.float64) - partition).to(exponents.dtype)
        yield slice(start, start + exponents.shape[1]), exponents.mul_(-scale.unsqueeze(1)), slope
        start += exponents.shape[1]


def tied_cross_terms(
    part: HeadPart,
    hidden: Tensor,
    rows: Segments,
    unique: Tensor,
    ids: Tensor,
    embedded: Tensor,
    inputs: Segments,
    blocks: Blocks,
) -> Tensor:
    """Return the inner products between the head's and the embedding's gradient of one shared weight.

    With H_i and E_i the two gradients of log pi_i, these are <H_i, E_j> + <E_i, H_j>, ``(entries,)``.

    Args:
        part: the head's backward pass, with residuals at ``unique``.
        hidden: hidden states that predict a token, ``(rows, width)``.
        rows: which of these rows belong to which sequence.
        unique: the different token ids of all inputs, sorted.
        ids: token id of every input position.
        embedded: gradient at the embedding's output of every input position, ``(positions, width)``.
        inputs: which positions belong to which sequence.
        blocks: the entries.
    """
    place = torch.searchsorted(unique, ids)
    return sum_both_ways(
        *(blocks, rows, inputs),
        lambda s: [part.residual[s.rows][:, place[s.columns]] * (hidden[s.rows] @ embedded[s.columns].T)],
    )
