"""Several losses in one tensor program: losses of one class become one loss whose numbers are tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynamics.errors import InvalidArgument, check_broadcast
from dynamics.losses import DPO, PairLogProbs, PreferenceLoss
from dynamics.losses.base import Partials, WeightedSum
from dynamics.policies import Policy

MOST_VALUES = 100_000
"""Largest number of losses, or of learning rates, in one list."""


@dataclass(frozen=True)
class LossStack:
    """One loss for each entry of the first axis of a batch of runs.

    Attributes:
        groups: rows of the first axis, and the loss that they share; its numbers may be tensors over these rows.
    """

    groups: tuple[tuple[slice, PreferenceLoss], ...]

    def total_partials(self, pair: PairLogProbs, weight: Tensor) -> Partials:
        """Return the derivatives of the weighted sum over the pairs of each run, each by its own loss.

        Args:
            pair: quantities ``(*runs, pairs)``.
            weight: weight of each pair, broadcastable to them.
        """
        if len(self.groups) == 1:
            return self.groups[0][1].total_partials(pair, weight)
        shape, chosen, rejected = pair.chosen.shape, [], []
        for rows, loss in self.groups:
            own_pair = PairLogProbs(*(_rows(value, rows, shape) for value in pair))
            part = loss.total_partials(own_pair, _rows(weight, rows, shape))
            own = (rows.stop - rows.start, *shape[1:])
            chosen.append(part.chosen.expand(own))
            rejected.append(part.rejected.expand(own))
        return Partials(torch.cat(chosen), torch.cat(rejected))


def stack_losses(losses: Sequence[PreferenceLoss], policy: Policy, axes: int) -> LossStack:
    """Return losses as one, each for one entry of the first axis of the runs.

    Neighbours that differ in their numbers only are evaluated together, so put the losses of one class side by side.

    Args:
        losses: one for each entry.
        policy: for its dtype and device.
        axes: number of axes of the runs, >= 1.

    Example:
        >>> from dynamics import IPO, Tabular
        >>> [loss for _, loss in stack_losses([DPO(0.1), DPO(0.5), IPO(0.1)], Tabular(2), axes=1).groups]
        [DPO(beta=tensor([[0.1000],
                [0.5000]], dtype=torch.float64)), IPO(beta=0.1)]
    """
    groups: list[tuple[slice, PreferenceLoss]] = []
    start = 0
    for end in range(1, len(losses) + 1):
        if end == len(losses) or _kind(losses[end]) != _kind(losses[start]):
            groups.append((slice(start, end), _join(losses[start:end], policy, axes)))
            start = end
    return LossStack(tuple(groups))


def check_loss(loss: Any, policy: Policy, shape: tuple[int, ...]) -> PreferenceLoss | LossStack:
    """Check a loss, or a list with one loss for each entry of the first axis of ``runs``; a list becomes a stack.

    Args:
        loss: the loss or losses; None for DPO with its default beta.
        policy: the finite policy.
        shape: (*runs, pairs).
    """
    runs = shape[:-1]
    if loss is None:
        return DPO()
    if isinstance(loss, PreferenceLoss):
        for number in _tensors(loss):
            check_broadcast("loss", number.shape, shape)
        return loss
    if not runs:
        raise InvalidArgument("loss", loss, "a single loss, such as DPO(beta=0.1), since there is a single run")
    if isinstance(loss, LossStack):
        count = loss.groups[-1][0].stop
    else:
        losses = as_tuple("loss", loss, PreferenceLoss, "loss")
        count, loss = len(losses), stack_losses(losses, policy, len(runs))
    if count != runs[0]:
        raise InvalidArgument(
            "loss",
            f"there are {count} losses; give one, or {runs[0]}: one for each entry of the first axis of the runs",
        )
    return loss


def as_tuple(argument: str, value: object, kind: type | tuple[type, ...], noun: str) -> tuple:
    """Return one thing, or a non-empty list of things of a kind, as a tuple; ``noun`` names the kind in the error."""
    if isinstance(value, kind):
        return (value,)
    items: tuple = ()
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.size <= MOST_VALUES:
        items = tuple(value.tolist())
    elif isinstance(value, Sequence) and len(value) <= MOST_VALUES:
        items = tuple(value)
    if not items or not all(isinstance(item, kind) for item in items):
        raise InvalidArgument(argument, value, f"one {noun}, or a non-empty list of them")
    return items


def _tensors(loss: PreferenceLoss) -> Iterator[Tensor]:
    """Yield the numbers of a loss that are tensors, those of the terms of a sum too."""
    for field in dataclasses.fields(loss):  # type: ignore[arg-type]
        value = getattr(loss, field.name)
        if isinstance(value, Tensor):
            yield value
        elif isinstance(loss, WeightedSum):
            for _, term in loss.terms:
                yield from _tensors(term)


def _rows(value: Tensor, rows: slice, shape: torch.Size) -> Tensor:
    """Return the rows of the first axis of ``shape``; a value that broadcasts along it stays whole."""
    return value[rows] if value.ndim == len(shape) and value.shape[0] > 1 else value


def _kind(loss: PreferenceLoss) -> tuple:
    """Return what must agree for two losses to share a program: the class and every field that is not a number.

    A loss that holds a tensor shares with none, because the repr of a tensor is rounded.
    """
    values = {f.name: getattr(loss, f.name) for f in dataclasses.fields(loss)}  # type: ignore[arg-type]
    fixed = tuple((name, v) for name, v in values.items() if isinstance(v, bool) or not isinstance(v, (int, float)))
    return type(loss), repr(fixed), id(loss) if "tensor(" in repr(fixed) else None


def _join(losses: Sequence[PreferenceLoss], policy: Policy, axes: int) -> PreferenceLoss:
    if len(losses) == 1:
        return losses[0]
    numbers = {}
    for field in dataclasses.fields(losses[0]):  # type: ignore[arg-type]
        values = [getattr(loss, field.name) for loss in losses]
        if not isinstance(values[0], bool) and isinstance(values[0], (int, float)):
            rows = torch.tensor(values, dtype=policy.dtype, device=policy.device)
            numbers[field.name] = rows.reshape(-1, *[1] * axes)  # the axes of the runs, then that of the pairs
    return dataclasses.replace(losses[0], **numbers)  # type: ignore[type-var]
