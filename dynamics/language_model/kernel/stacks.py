"""Many small blocks at once: on a GPU, one product of a batch of padded blocks takes the place of one for each block.

A GPU computes the block of a preference pair in less time than it takes to ask for it. So blocks with equally many
sequences of about the same length are stacked, and every sequence is padded with zeros to the longest of the stack.
Rows of zeros add nothing, and no stack holds sequences of which the longest in one block is twice that in another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import torch
from torch import Tensor

from dynamics.language_model.batching import Segments
from dynamics.language_model.kernel.blocks import Blocks, RowPairs, Stack

FEWEST = 4
"""Smallest number of blocks that are stacked."""
HIGHEST = 2048
"""Rows of the highest block that is stacked: higher ones keep a GPU busy by themselves."""
PAIRS = 32 << 20
"""Pairs of rows in one batched product: their products take 16 bytes each."""


def with_stacks(row_pairs: RowPairs) -> RowPairs:
    """Return the row pairs with stacks, where these are quicker than strips."""
    if not worth_stacking(row_pairs.blocks, row_pairs.rows):
        return row_pairs
    return replace(row_pairs, stacks=stack_blocks(row_pairs.blocks, row_pairs.rows, row_pairs.columns))


def worth_stacking(blocks: Blocks, rows: Segments) -> bool:
    """Return whether stacks are quicker than strips: on a GPU, if the blocks are many and low."""
    high = max(sum(rows.lengths[n] for n in block.rows) for block in blocks)
    return rows.owner.device.type != "cpu" and len(blocks) >= FEWEST and high <= HIGHEST


def stack_blocks(blocks: Blocks, rows: Segments, columns: Segments) -> tuple[Stack, ...]:
    """Return some blocks in stacks.

    Args:
        blocks: the blocks, with sides sorted by place.
        rows: which rows of the one matrix belong to which sequence.
        columns: which rows of the other matrix do.
    """
    device = rows.owner.device
    groups: dict[tuple[tuple[int, int], bool, int], list[int]] = {}
    for number, block in enumerate(blocks):
        longest = max(*(rows.lengths[n] for n in block.rows), *(columns.lengths[n] for n in block.columns))
        key = block.shape, block.symmetric and rows is columns, longest.bit_length()
        groups.setdefault(key, []).append(number)
    first = list(accumulate((block.entries for block in blocks), initial=0))
    found = []
    for ((high, wide), same, _), numbers in groups.items():
        sides = [[blocks[n].rows for n in numbers], [blocks[n].columns for n in numbers]]
        length, across = (
            max(segments.lengths[n] for side in own for n in side)
            for own, segments in zip(sides, (rows, columns), strict=True)
        )
        size = max(1, PAIRS // (high * length * wide * across))
        for start in range(0, len(numbers), size):
            some = slice(start, start + size)
            entries = torch.tensor([first[n] for n in numbers[some]])[:, None] + torch.arange(high * wide)
            left = _padded(rows, sides[0][some], length).to(device)
            right = left if same else _padded(columns, sides[1][some], across).to(device)
            found.append(Stack(left, right, (high, length, wide, across), entries.to(device)))
    return tuple(found)


def _padded(segments: Segments, sides: Sequence[Sequence[int]], length: int) -> Tensor:
    """Return the rows of the sequences of each side, every sequence padded to one length, ``(sides, rows)``."""
    starts = torch.tensor([[segments.borders[n] for n in side] for side in sides])
    lengths = torch.tensor([[segments.lengths[n] for n in side] for side in sides])
    place = torch.arange(length)
    return torch.where(place < lengths[..., None], starts[..., None] + place, segments.rows).flatten(1)


def contract_stacks(
    inputs: Tensor, output_gradients: Sequence[Tensor], found: Sequence[Stack], entries: int
) -> list[Tensor]:
    """Return, for linear maps that read the same input, the inner products of their gradients, ``(entries,)``, float64.

    Args:
        inputs: inputs of all sequences without padding, ``(rows, in)``.
        output_gradients: gradients at the output of each map, ``(rows, out)``.
        found: the blocks.
        entries: number of entries of all blocks.
    """
    totals = [torch.zeros(entries, dtype=torch.float64, device=inputs.device) for _ in output_gradients]
    read = _with_zeros(inputs)
    written = [_with_zeros(gradients) for gradients in output_gradients]
    for stack in found:
        of_inputs = _products(read, stack)
        for total, gradients in zip(totals, written, strict=True):
            tiles = (
                _products(gradients, stack).mul_(of_inputs).unflatten(2, stack.shape[2:]).unflatten(1, stack.shape[:2])
            )
            total[stack.entries] = tiles.sum((2, 4), dtype=torch.float64).flatten(1)
    return totals


def _with_zeros(rows: Tensor) -> Tensor:
    return torch.cat([rows, rows.new_zeros(1, rows.shape[1])])


def _products(rows: Tensor, stack: Stack) -> Tensor:
    """Return the inner products of rows and columns of each block, ``(blocks, rows, columns)``."""
    left = rows[stack.rows]
    right = left if stack.rows is stack.columns else rows[stack.columns]
    return torch.bmm(left, right.transpose(1, 2))
