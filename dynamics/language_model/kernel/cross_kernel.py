"""A rectangle of the kernel: the inner products of the scores of some sequences with those of others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from dynamics.language_model.causal_lm import CausalLM
from dynamics.language_model.kernel.blocks import Block
from dynamics.language_model.kernel.computation import compute_blocks
from dynamics.language_model.kernel.grouping import By, group_parts
from dynamics.language_model.kernel.memory import MemoryPlan
from dynamics.language_model.tokens import TokenSequence, read_sequences


@dataclass(frozen=True, eq=False)
class CrossKernel:
    """The inner products of the scores of some sequences with the scores of others.

    Attributes:
        kernel: <g_i, g_j>, ``(rows, columns)``, float64.
        row_log_probs: log pi of the sequences of the rows in nats, ``(rows,)``, float64.
        column_log_probs: log pi of the sequences of the columns, ``(columns,)``, float64.
        by_module: the part of each module, by name; the parts sum to ``kernel``.
        contractions: how the part of each module was computed, as in ``SequenceKernel``.
        plan: the estimate of memory.
        dtype: dtype of the computation.
        remarks: as in ``SequenceKernel``.
    """

    kernel: Tensor
    row_log_probs: Tensor
    column_log_probs: Tensor
    by_module: dict[str, Tensor] = field(repr=False)
    contractions: dict[str, str] = field(repr=False)
    plan: MemoryPlan | None = None
    dtype: torch.dtype = torch.float64
    remarks: tuple[str, ...] = ()

    def grouped(self, *by: By) -> dict[tuple[str, ...], Tensor]:
        """Return the parts of the kernel by decoder layer, by kind of module, or by both, as in ``SequenceKernel``.

        Args:
            *by: ``"layer"``, ``"kind"`` or both.

        Raises:
            InvalidArgument: nothing or something else to group by.
        """
        return group_parts(self.by_module, by)


def cross_kernel(
    model: CausalLM, rows: Iterable[TokenSequence], columns: Iterable[TokenSequence], **options: Any
) -> CrossKernel:
    """Return the inner products of the scores of some sequences with the scores of others.

    This is a rectangle of the kernel of all these sequences, and only this rectangle is computed: what a step on the
    columns does to the rows needs no inner product between two rows. A sequence on both sides is run once.

    Args:
        model: as for ``sequence_kernel``.
        rows: some sequences, such as responses whose change is of interest.
        columns: others, such as the responses of a preference pair.
        **options: further arguments of ``sequence_kernel``.

    Raises:
        InvalidArgument: as for ``sequence_kernel``.
        OutOfMemory: the sequences do not fit into memory.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> pair = [TokenSequence((1, 2, 3), 1), TokenSequence((1, 2, 4), 1)]
        >>> result = cross_kernel(tiny_model(), [TokenSequence((1, y), 1) for y in range(5)], pair)
        >>> result.kernel.shape
        torch.Size([5, 2])
    """
    sides = read_sequences(rows, "rows"), read_sequences(columns, "columns")
    place = {sequence: number for number, sequence in enumerate(dict.fromkeys(sides[0] + sides[1]))}
    block = Block(*(tuple(place[sequence] for sequence in side) for side in sides))
    found = compute_blocks(model, list(place), (block,), **options)
    of_rows, of_columns = (found.log_probs[list(side)] for side in (block.rows, block.columns))
    how = found.contractions, found.plan, found.dtype, found.remarks
    return CrossKernel(found.block(0), of_rows, of_columns, found.by_module[0], *how)
