"""Sequences of different lengths as right-padded batches, and which of their rows are not padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

import torch
from torch import Tensor

from dynamics.errors import check_count
from dynamics.language_model.causal_lm import CausalLM
from dynamics.language_model.tokens import TokenSequence


@dataclass(frozen=True, eq=False)
class Batch:
    """Some sequences without their last token, from which nothing is predicted, padded on the right.

    No attention mask is needed: in a causal model no token depends on the padding after it.

    Attributes:
        ids: ``(sequences, positions)``; 0 where padded.
        valid: positions that are not padding, as indices into the flattened ``ids``.
        predicting: positions that predict a token of a response, as indices into the flattened ``ids``.
        targets: the tokens that they predict, ``(predicting rows,)``.
        numbers: the place of each sequence in the whole list.
        inputs: number of positions of each sequence.
        responses: number of positions of each sequence that predict a token of the response.
    """

    ids: Tensor
    valid: Tensor
    predicting: Tensor
    targets: Tensor
    numbers: tuple[int, ...]
    inputs: tuple[int, ...]
    responses: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Return (sequences, positions)."""
        return self.ids.shape[0], self.ids.shape[1]

    def pack(self, rows: Tensor) -> Tensor:
        """Leave out padded rows: ``(sequences * positions, ...)`` to ``(unpadded positions, ...)``."""
        return rows if self.valid.numel() == rows.shape[0] else rows[self.valid]


def make_batch(sequences: Sequence[TokenSequence], numbers: Sequence[int], device: torch.device) -> Batch:
    """Return a batch of the sequences at the given places of a list."""
    chosen = [sequences[n] for n in numbers]
    width = max(len(s.ids) - 1 for s in chosen)
    ids = torch.zeros(len(chosen), width, dtype=torch.int64)
    valid, predicting, targets = [], [], []
    for row, s in enumerate(chosen):
        ids[row, : len(s.ids) - 1] = torch.tensor(s.ids[:-1])
        valid.append(torch.arange(len(s.ids) - 1) + row * width)
        predicting.append(torch.arange(s.prompt_tokens - 1, len(s.ids) - 1) + row * width)
        targets.append(torch.tensor(s.response))
    return Batch(
        ids.to(device),
        torch.cat(valid).to(device),
        torch.cat(predicting).to(device),
        torch.cat(targets).to(device),
        tuple(numbers),
        tuple(len(s.ids) - 1 for s in chosen),
        tuple(s.length for s in chosen),
    )


def length_matters(model: CausalLM) -> bool:
    """Return whether the longest sequence of a batch changes what the model computes for the others.

    With a "dynamic" or "longrope" rotary embedding the frequencies depend on the length of the batch.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> rope = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
        >>> length_matters(tiny_model("llama")), length_matters(tiny_model("llama", rope_parameters=rope))
        (False, True)
    """
    kinds = [getattr(module, "rope_type", None) for module in model.modules()]
    names = [name for kind in kinds for name in (kind.values() if isinstance(kind, dict) else [kind])]
    return any(isinstance(name, str) and ("dynamic" in name or name == "longrope") for name in names)


def make_batches(
    sequences: Sequence[TokenSequence], tokens: int | None, device: torch.device, equal_lengths: bool = False
) -> tuple[Batch, ...]:
    """Return batches of sequences of similar length.

    The sequences are sorted by length, and every batch is filled up to the limit; a single sequence may exceed it.

    Args:
        sequences: the sequences.
        tokens: limit of the padded tokens of a batch; None for one batch of everything.
        device: the device of the model.
        equal_lengths: whether only sequences of the same length may share a batch.

    Example:
        >>> made = [TokenSequence(tuple(range(n)), 1) for n in (9, 3, 4)]
        >>> [batch.numbers for batch in make_batches(made, 8, torch.device("cpu"))]
        [(1, 2), (0,)]
    """
    if tokens is not None:
        check_count("batch_tokens", tokens)
    groups: list[list[int]] = [[]]
    for number in sorted(range(len(sequences)), key=lambda n: len(sequences[n].ids)):
        width = len(sequences[number].ids) - 1
        full = tokens is not None and (len(groups[-1]) + 1) * width > tokens
        longer = equal_lengths and bool(groups[-1]) and len(sequences[groups[-1][0]].ids) - 1 != width
        if groups[-1] and (full or longer):
            groups.append([])
        groups[-1].append(number)
    return tuple(make_batch(sequences, group, device) for group in groups)


@dataclass(frozen=True, eq=False)
class Segments:
    """Which rows of a matrix belong to which sequence; the rows of a sequence are contiguous.

    Attributes:
        lengths: number of rows of each sequence.
        borders: first row of each sequence, and the number of rows at the end.
        owner: number of the sequence of each row, ``(rows,)``.
    """

    lengths: tuple[int, ...]
    borders: tuple[int, ...]
    owner: Tensor

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device) -> Segments:
        """Return segments of the given lengths."""
        owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths)).to(device)
        return cls(tuple(lengths), tuple(accumulate(lengths, initial=0)), owner)

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return self.borders[-1]

    def span(self, sequences: slice) -> slice:
        """Return the rows that belong to a range of sequences."""
        return slice(self.borders[sequences.start], self.borders[sequences.stop])

    def __len__(self) -> int:
        return len(self.lengths)

    def sum(self, rows: Tensor) -> Tensor:
        """Sum the rows of each sequence in float64: ``(rows, k)`` to ``(sequences, k)``."""
        total = torch.zeros(len(self), *rows.shape[1:], dtype=torch.float64, device=rows.device)
        return total.index_add_(0, self.owner, rows.to(torch.float64))


def runs(lengths: Sequence[int]) -> list[slice]:
    """Return the ranges of neighbouring sequences of equal length.

    Example:
        >>> runs((3, 3, 2))
        [slice(0, 2, None), slice(2, 3, None)]
    """
    sizes = [len(list(same)) for _, same in groupby(lengths)]
    return [slice(end - size, end) for size, end in zip(sizes, accumulate(sizes), strict=True)]
