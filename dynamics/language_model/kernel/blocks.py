"""Which entries of a kernel are computed: all of them, a rectangle, or some blocks on the diagonal.

The entries that are asked for are given as rectangular blocks. A kernel, and every part of it, is kept as one vector of
the entries of all blocks, block after block and row after row. Nothing is computed outside of the blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from dynamics.language_model.batching import Segments, runs

Index = slice | Tensor
"""Which rows of a matrix: a slice where they are neighbours, which needs no copy."""
STRIP_ROWS = {"cpu": 96, "cuda": 2048}
"""Rows of token pairs at once: a low strip wastes little below the diagonal, a high one keeps a GPU busy."""


@dataclass(frozen=True)
class Block:
    """A rectangle of a kernel.

    Attributes:
        rows: numbers of the sequences of its rows.
        columns: numbers of the sequences of its columns.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @property
    def symmetric(self) -> bool:
        """Return whether the block is a kernel of its own: the same sequences in rows and columns."""
        return self.rows == self.columns

    @property
    def shape(self) -> tuple[int, int]:
        """Return the numbers of rows and columns."""
        return len(self.rows), len(self.columns)

    @property
    def entries(self) -> int:
        """Return how many entries the block has."""
        return len(self.rows) * len(self.columns)

    @property
    def turned(self) -> Block:
        """Return the block with rows and columns exchanged."""
        return Block(self.columns, self.rows)


Blocks = tuple[Block, ...]


def whole(count: int) -> Blocks:
    """Return the one block that is the whole kernel of some sequences.

    Example:
        >>> whole(2)
        (Block(rows=(0, 1), columns=(0, 1)),)
    """
    return (Block(tuple(range(count)), tuple(range(count))),)


def placed(blocks: Blocks, order: Sequence[int]) -> Blocks:
    """Return the blocks for sequences in another order, with places in place of numbers, each side sorted.

    Args:
        blocks: the blocks, in numbers of sequences.
        order: number of the sequence at each place.

    Example:
        >>> placed((Block((0,), (2, 1)),), [1, 0, 2])
        (Block(rows=(1,), columns=(0, 2)),)
    """
    place = {number: position for position, number in enumerate(order)}
    return tuple(Block(*(tuple(sorted(place[n] for n in side)) for side in (b.rows, b.columns))) for b in blocks)


def given_order(blocks: Blocks, order: Sequence[int]) -> Tensor:
    """Return, for every entry of some blocks, its place among the entries of ``placed(blocks, order)``.

    Example:
        >>> given_order((Block((0,), (2, 1)),), [1, 0, 2])  # placed, the column of sequence 1 comes first
        tensor([1, 0])
    """
    place = {number: position for position, number in enumerate(order)}
    found, first = [], 0
    for block in blocks:
        sides = (torch.tensor([place[n] for n in side]) for side in (block.rows, block.columns))
        rows, columns = (side.argsort(stable=True).argsort() for side in sides)
        found.append((first + rows[:, None] * len(block.columns) + columns).flatten())
        first += block.entries
    return torch.cat(found)


def matrices(blocks: Blocks, entries: Tensor) -> list[Tensor]:
    """Return the entries of every block as a matrix, a view."""
    parts = entries.split([block.entries for block in blocks])
    return [part.view(block.shape) for block, part in zip(blocks, parts, strict=True)]


def number_of_pairs(blocks: Blocks, rows: Sequence[int]) -> int:
    """Return how many pairs of rows the blocks have, for sequences with these numbers of rows."""
    return sum(sum(rows[n] for n in block.rows) * sum(rows[n] for n in block.columns) for block in blocks)


@dataclass(frozen=True, eq=False)
class Strip:
    """Some rows of a block, and the columns that they are multiplied with.

    Attributes:
        number: its number among all strips.
        block: number of its block.
        sequences: its sequences among those of the block's rows.
        first: its first sequence among those of the block's columns; to the left of it nothing is computed.
        rows: its rows in the matrix of all rows.
        columns: its columns in the matrix of all columns.
        owner: for each of its rows the number of the sequence within the strip.
        column_lengths: numbers of columns of the sequences.
    """

    number: int
    block: int
    sequences: slice
    first: int
    rows: Index
    columns: Index
    owner: Tensor
    column_lengths: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Return the numbers of rows and columns."""
        return len(self.owner), sum(self.column_lengths)


@dataclass(frozen=True, eq=False)
class Stack:
    """Some blocks of one shape.

    Attributes:
        rows: for each block its rows in the matrix of all rows, sequence after sequence, each padded to one length by
            the number of all rows, where a row of zeros will stand; ``(blocks, sequences * length)``.
        columns: the same for its columns.
        shape: sequences in rows, their length, sequences in columns, their length.
        entries: place of every entry, ``(blocks, sequences in rows * sequences in columns)``.
    """

    rows: Tensor
    columns: Tensor
    shape: tuple[int, int, int, int]
    entries: Tensor


@dataclass(frozen=True, eq=False)
class RowPairs:
    """The pairs of rows of two matrices whose products are summed to the entries of some blocks.

    Attributes:
        blocks: the blocks, as ``placed`` returns them.
        rows: which rows of the one matrix belong to which sequence.
        columns: the same for the other matrix.
        strips: the pairs that are multiplied.
        stacks: on a GPU the same pairs, many blocks at once; empty where strips are as quick.
    """

    blocks: Blocks
    rows: Segments
    columns: Segments
    strips: tuple[Strip, ...]
    stacks: tuple[Stack, ...] = ()

    @classmethod
    def of(cls, blocks: Blocks, rows: Segments, columns: Segments | None = None) -> RowPairs:
        """Divide the blocks into strips.

        Without ``columns`` both sides are the same, and of symmetric blocks only the part from the diagonal to the
        right is computed.
        """
        found: list[Strip] = []
        for number, block in enumerate(blocks):
            left, right = rows, rows if columns is None else columns
            lengths, beside = [left.lengths[n] for n in block.rows], [right.lengths[n] for n in block.columns]
            borders, ends = list(accumulate(lengths, initial=0)), list(accumulate(beside, initial=0))
            mine, others = select(left, block.rows), select(right, block.columns)
            for sequences in strips(lengths, left.owner.device):
                first = sequences.start if block.symmetric and columns is None else 0
                own = lengths[sequences]
                owner = torch.repeat_interleave(torch.arange(len(own)), torch.tensor(own)).to(left.owner.device)
                where = part_of(mine, borders[sequences.start], borders[sequences.stop])
                place = len(found), number, sequences, first, where, part_of(others, ends[first], ends[-1])
                found.append(Strip(*place, owner, tuple(beside[first:])))
        right = rows if columns is None else columns
        return cls(blocks, rows, right, tuple(found))

    @property
    def entries(self) -> int:
        """Return the number of entries of all blocks."""
        return sum(block.entries for block in self.blocks)

    @property
    def pairs(self) -> int:
        """Return the number of pairs of rows that are multiplied."""
        return sum(strip.shape[0] * strip.shape[1] for strip in self.strips)

    def zeros(self) -> Tensor:
        """Return zero for every entry."""
        return torch.zeros(self.entries, dtype=torch.float64, device=self.rows.owner.device)

    def sum(self, pairs: Callable[[Strip], Sequence[Tensor]]) -> list[Tensor]:
        """Sum matrices over pairs of rows into entries, float64.

        Args:
            pairs: function of a strip that returns this part of every matrix, ``(rows, columns)`` of the strip. Where
                only the part to the right of the diagonal is asked for, the matrices must be symmetric.

        Returns:
            The entries of every matrix, ``(entries,)``.
        """
        totals: list[Tensor] = []
        for strip in self.strips:
            for number, tile in enumerate(pairs(strip)):
                if number == len(totals):
                    totals.append(self.zeros())
                by_column = sum_columns(tile, strip.column_lengths)
                part = by_column.new_zeros(strip.sequences.stop - strip.sequences.start, by_column.shape[1])
                block = matrices(self.blocks, totals[number])[strip.block]
                block[strip.sequences, strip.first :] = part.index_add_(0, strip.owner, by_column)
        if self.rows is self.columns:
            for total in totals:
                for one, matrix in zip(self.blocks, matrices(self.blocks, total), strict=True):
                    if one.symmetric:
                        matrix.copy_(matrix.triu() + matrix.triu(1).T)
        return totals

    def inner_products(self, vectors: Tensor) -> Tensor:
        """Return the inner products of one vector for each sequence, ``(sequences, k)`` to ``(entries,)``."""
        found = [
            vectors[neighbours(b.rows, vectors.device)] @ vectors[neighbours(b.columns, vectors.device)].T
            for b in self.blocks
        ]
        return torch.cat([matrix.flatten() for matrix in found])


def sum_both_ways(
    blocks: Blocks, rows: Segments, columns: Segments, pairs: Callable[[Strip], Sequence[Tensor]]
) -> Tensor:
    """Return the cross terms of two uses of one weight, ``(entries,)``.

    They are the inner product of the first use by the sequence of the row with the second use by the sequence of the
    column, and the other way round.

    Args:
        blocks: the blocks, as ``placed`` returns them.
        rows: which rows of the first use belong to which sequence.
        columns: the same for the second use.
        pairs: function of a strip that returns one matrix over pairs of rows.
    """
    (there,) = RowPairs.of(blocks, rows, columns).sum(pairs)
    if all(block.symmetric for block in blocks):
        back, turned = there, blocks
    else:
        turned = tuple(block.turned for block in blocks)
        (back,) = RowPairs.of(turned, rows, columns).sum(pairs)
    return there + torch.cat([matrix.T.flatten() for matrix in matrices(turned, back)])


def select(segments: Segments, sequences: Sequence[int]) -> Index:
    """Return the rows of some sequences."""
    around = neighbours(sequences, segments.owner.device)
    if isinstance(around, slice):
        return segments.span(around)
    rows = [torch.arange(segments.borders[n], segments.borders[n + 1]) for n in sequences]
    return torch.cat(rows).to(segments.owner.device)


def neighbours(numbers: Sequence[int], device: torch.device) -> Index:
    """Return ascending numbers as a slice if they are neighbours.

    Example:
        >>> neighbours((2, 3, 4), torch.device("cpu")), neighbours((2, 4), torch.device("cpu"))
        (slice(2, 5, None), tensor([2, 4]))
    """
    if list(numbers) == list(range(numbers[0], numbers[0] + len(numbers))):
        return slice(numbers[0], numbers[0] + len(numbers))
    return torch.tensor(numbers, device=device)


def part_of(index: Index, start: int, stop: int) -> Index:
    """Return a range of an index."""
    return slice(index.start + start, index.start + stop) if isinstance(index, slice) else index[start:stop]


def strips(lengths: Sequence[int], device: torch.device) -> list[slice]:
    """Return ranges of whole sequences with about ``STRIP_ROWS`` rows each."""
    enough, first, rows = STRIP_ROWS.get(device.type, STRIP_ROWS["cuda"]), 0, 0
    found = []
    for number, length in enumerate(lengths):
        rows += length
        if rows >= enough or number == len(lengths) - 1:
            found.append(slice(first, number + 1))
            first, rows = number + 1, 0
    return found


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
