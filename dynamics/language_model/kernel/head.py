"""The head's part of the kernel and the gradient that it sends down, without a table of rows times vocabulary.

With c_p = onehot(y_p) - pi_p for the row p that predicts token y_p from hidden state h_p, the gradient of log pi_i with
respect to the head's weight is ``sum_p c_p h_p^T``, and what goes down to h_p is ``W^T c_p``. Where embedding and head
share a weight its gradient is the sum of both, and the kernel has cross terms.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dynamics.language_model.batching import Segments
from dynamics.language_model.kernel.contractions import Route, cheaper_routes, ghost, gram, products, strips
from dynamics.language_model.model_head import exponentials, log_partition, vocabulary_pieces

KEPT_BYTES = 256 << 20


@dataclass(frozen=True, eq=False)
class HeadPart:
    """What the head contributes.

    Attributes:
        log_probs: of the target of every row, float64 ``(rows,)``.
        gradient: d log pi_i / d h of every row, ``(rows, width)``.
        kernel: Gram matrix over the head's selected parameters, or None if none is selected.
        route: how its weight was contracted.
        residual: columns of c at the token ids asked for, ``(rows, ids)``.
    """

    log_probs: Tensor
    gradient: Tensor
    kernel: Tensor | None
    route: str
    residual: Tensor


def pull_head(
    hidden: Tensor,
    targets: Tensor,
    head: nn.Linear,
    segments: Segments,
    *,
    weight: bool,
    bias: bool,
    ids: Tensor,
    piece: int,
    route: Route | None = None,
) -> HeadPart:
    """Go over the vocabulary twice: once for the normaliser, once for everything else.

    The second time the logits are computed again, unless all of them together are small (``KEPT_BYTES``).

    Args:
        hidden: states that predict a token, packed, ``(rows, width)``.
        targets: the tokens they predict, ``(rows,)``.
        head: the linear map to logits.
        segments: whose rows are whose.
        weight: whether the head's weight is in the kernel.
        bias: whether its bias is.
        ids: token ids at which c is wanted, for the cross terms with a tied embedding.
        piece: vocabulary entries at once.
        route: how to contract the weight; None for the cheaper way.
    """
    matrix = head.weight.detach()
    kept: list[tuple[Tensor, Tensor]] | None = [] if keeps(hidden.shape[0], head) else None
    partition, log_probs = log_partition(hidden, head, targets, piece, kept)
    taken = route or cheaper_routes(segments, hidden.shape[1], matrix.shape[:1])[0]
    paired = weight and taken == "ghost"
    rows_of = [segments.span(strip) for strip in strips(segments)] if paired else []
    gradient = torch.zeros_like(hidden)
    residual = hidden.new_zeros(hidden.shape[0], ids.numel())
    size = segments.rows if paired else 0
    table = torch.zeros(size, size, dtype=torch.float64, device=hidden.device)
    total = torch.zeros(len(segments), len(segments), dtype=torch.float64, device=hidden.device)
    for where, c in _residuals(hidden, head, piece, partition, kept):
        (rows,) = torch.where((targets >= where.start) & (targets < where.stop))
        # 1 - pi: written as 1 + c it would lose its digits where pi is close to 1
        c[rows, targets[rows] - where.start] = -torch.expm1(log_probs[rows]).to(c.dtype)
        gradient.addmm_(c, matrix[where])
        (asked,) = torch.where((ids >= where.start) & (ids < where.stop))
        residual[:, asked] = c[:, ids[asked] - where.start]
        if bias:
            total += gram(segments.sum(c))
        for strip in rows_of:  # from the diagonal to the right: the table is symmetric
            table[strip, strip.start :] += c[strip] @ c[strip.start :].T
        if weight and not paired:
            total += products(hidden, c, segments)
    if paired:
        total += ghost(segments, segments, lambda r, s: [table[r, s] * (hidden[r] @ hidden[s].T)])[0]
    return HeadPart(log_probs, gradient, total if weight or bias else None, taken if weight else "vector", residual)


def keeps(rows: int, head: nn.Linear) -> bool:
    """Return whether the whole table of rows times vocabulary is small enough to be kept instead of computed twice."""
    return rows * head.weight.shape[0] * head.weight.element_size() <= KEPT_BYTES


def head_bytes(head: nn.Linear, rows: int, sequences: int, ids: int, piece: int) -> int:
    """Estimate the bytes that ``pull_head`` needs at once.

    Args:
        head: the linear map to logits.
        rows: rows that predict a token.
        sequences: their owners.
        ids: number of token ids at which c is wanted.
        piece: vocabulary entries at once.
    """
    vocabulary, width = head.weight.shape
    size, columns = head.weight.element_size(), min(piece, head.weight.shape[0])
    probabilities = size * (vocabulary if keeps(rows, head) else columns)
    # hidden states, their gradient, columns of c, exponentials added up in float64, the table of paired rows
    return rows * (2 * width * size + ids * size + probabilities + 8 * columns + 8 * rows) + 8 * sequences**2


def _residuals(
    hidden: Tensor, head: nn.Linear, size: int, partition: Tensor, kept: list[tuple[Tensor, Tensor]] | None
) -> Iterator[tuple[slice, Tensor]]:
    """Yield -pi for one piece of the vocabulary after another, ``(rows, piece)``."""
    computed = (exponentials(logits) for _, logits in vocabulary_pieces(hidden, head, size))
    stored = iter(()) if kept is None else (kept.pop(0) for _ in range(len(kept)))
    start = 0
    for top, exponents in computed if kept is None else stored:
        scale = torch.exp(top.squeeze(1).to(torch.float64) - partition).to(exponents.dtype)
        yield slice(start, start + exponents.shape[1]), exponents.mul_(-scale.unsqueeze(1))
        start += exponents.shape[1]


def tied_cross(
    part: HeadPart, hidden: Tensor, rows: Segments, unique: Tensor, ids: Tensor, embedded: Tensor, inputs: Segments
) -> Tensor:
    """Return HE + HE^T, the inner products between the head's and the embedding's share of one tied weight.

    Args:
        part: of the head, with residuals at ``unique``.
        hidden: states that predict a token, ``(rows, width)``.
        rows: their owners.
        unique: sorted unique token ids of all inputs.
        ids: token id of every input row.
        embedded: gradient at the embedding's output of every input row, ``(input rows, width)``.
        inputs: owners of the input rows.
    """
    place = torch.searchsorted(unique, ids)
    (one_way,) = ghost(rows, inputs, lambda r, c: [part.residual[r][:, place[c]] * (hidden[r] @ embedded[c].T)])
    return one_way + one_way.T
