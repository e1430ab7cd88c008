"""Update rules as pure functions: gradient and state in, change of theta and new state out."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from dynamics.errors import InvalidArgument, check_count, check_kind, check_nonnegative, check_positive, is_finite
from dynamics.shapes import Theta


class Moments(NamedTuple):
    """The memory of AdamW: number of updates so far and the running moments of the gradient."""

    updates: int
    first: Tensor
    second: Tensor


@runtime_checkable
class Optimizer(Protocol):
    """An update rule: turns a gradient into a change of the parameters."""

    def update(
        self, gradient: Theta, theta: Theta, learning_rate: float | Tensor, state: Moments | None
    ) -> tuple[Theta, Moments | None]:
        """Return the change of ``theta`` (same shape) and the next state; the first call passes ``state=None``."""
        ...


@dataclass(frozen=True)
class SGD:
    """Plain gradient descent: the change is minus the learning rate times the gradient.

    Example:
        >>> SGD().update(torch.tensor([2.0]), torch.tensor([0.0]), 0.5, None)
        (tensor([-1.]), None)
    """

    def update(
        self,
        gradient: Theta,
        theta: Theta,  # noqa: ARG002 - the protocol's; weight decay would need it
        learning_rate: float | Tensor,
        state: Moments | None,
    ) -> tuple[Theta, Moments | None]:
        """Return (-learning_rate * gradient, state)."""
        return -learning_rate * gradient, state


@dataclass(frozen=True)
class AdamW:
    """AdamW with torch's conventions and defaults; its first step is nearly the sign of the gradient.

    Args:
        betas: decay of the first and second moment, each in [0, 1).
        eps: added to the root of the second moment.
        weight_decay: decoupled, in units of the learning rate.

    Example:
        >>> change, state = AdamW(weight_decay=0.0).update(torch.tensor([2.0]), torch.tensor([0.0]), 0.5, None)
        >>> change
        tensor([-0.5000])
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        pair = isinstance(self.betas, (tuple, list)) and len(self.betas) == 2
        if not pair or not all(is_finite(b) and 0 <= b < 1 for b in self.betas):
            raise InvalidArgument("betas", self.betas, "two numbers in [0, 1)")
        check_positive("eps", self.eps)
        check_nonnegative("weight_decay", self.weight_decay)

    def update(
        self, gradient: Theta, theta: Theta, learning_rate: float | Tensor, state: Moments | None
    ) -> tuple[Theta, Moments | None]:
        """Return the bias-corrected step, weight decay included, and the new moments."""
        b1, b2 = self.betas
        if state is None:
            state = Moments(0, torch.zeros_like(gradient), torch.zeros_like(gradient))
        updates = state.updates + 1
        # in few passes, and in place on tensors made here: with many runs, the time goes into moving memory
        first = state.first.lerp(gradient, 1 - b1)
        second = (b2 * state.second).addcmul_(gradient, gradient, value=1 - b2)
        scale = second.sqrt().mul_((1 - b1**updates) / math.sqrt(1 - b2**updates)).add_((1 - b1**updates) * self.eps)
        direction = first / scale
        if self.weight_decay:
            # a logit of -inf keeps its response at probability 0, and decay must not make it NaN
            direction += self.weight_decay * torch.where(torch.isneginf(theta), 0.0, theta)
        return -learning_rate * direction, Moments(updates, first, second)


def check_optimizer(optimizer: Optimizer, moments: Moments | None, theta: Tensor) -> None:
    """Refuse an object without a method ``update``, and moments that belong to other parameters."""
    allowed = "SGD(), AdamW(), or an object with a method update"
    check_kind("optimizer", optimizer, Optimizer, allowed)
    if isinstance(optimizer, Collection):  # dictionaries and sets have another method of that name
        raise InvalidArgument("optimizer", optimizer, allowed)
    if moments is None:
        return
    check_kind("moments", moments, Moments, "StepAccount.moments of the step before")
    check_count("moments", moments.updates, minimum=0)
    for moment in (moments.first, moments.second):
        if not isinstance(moment, Tensor) or moment.shape != theta.shape or not moment.isfinite().all():
            raise InvalidArgument("moments", moments, f"finite moments of shape {tuple(theta.shape)}")
