"""The head's part of the kernel and the gradient that it sends down, without a table of rows times vocabulary.

With c_p = onehot(y_p) - pi_p for the row p that predicts token y_p from hidden state h_p, the gradient of log pi_i with
respect to the head's weight is ``sum_p c_p h_p^T``, and what goes down to h_p is ``W^T c_p``. Where embedding and head
share a weight its gradient is the sum of both, and the kernel has cross terms.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dynamics.language_model.batching import Segments
from dynamics.language_model.contractions import Route, cheaper_route, ghost, gram, products
from dynamics.language_model.head import log_partition, vocabulary_pieces


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
    partition, log_probs = log_partition(hidden, head, targets, piece)
    taken = route or cheaper_route(segments, hidden.shape[1], matrix.shape[0])
    gradient = torch.zeros_like(hidden)
    residual = hidden.new_zeros(hidden.shape[0], ids.numel())
    table = torch.zeros(segments.rows, segments.rows, dtype=torch.float64, device=hidden.device)
    total = torch.zeros(len(segments), len(segments), dtype=torch.float64, device=hidden.device)
    for where, logits in vocabulary_pieces(hidden, head, piece):
        c = -torch.exp(logits - partition.to(logits.dtype).unsqueeze(1))
        (rows,) = torch.where((targets >= where.start) & (targets < where.stop))
        c[rows, targets[rows] - where.start] += 1
        gradient += c @ matrix[where]
        (asked,) = torch.where((ids >= where.start) & (ids < where.stop))
        residual[:, asked] = c[:, ids[asked] - where.start]
        if bias:
            total += gram(segments.sum(c))
        if weight and taken == "ghost":
            table += (c @ c.T).to(torch.float64)
        elif weight:
            total += products(hidden, c, segments)
    if weight and taken == "ghost":
        total += ghost(segments, segments, lambda r, s: table[r, s] * (hidden[r] @ hidden[s].T))
    return HeadPart(log_probs, gradient, total if weight or bias else None, taken if weight else "vector", residual)


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
    one_way = ghost(rows, inputs, lambda r, c: part.residual[r][:, place[c]] * (hidden[r] @ embedded[c].T))
    return one_way + one_way.T
