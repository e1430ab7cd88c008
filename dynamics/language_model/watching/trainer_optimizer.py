"""The optimizer of a trainer as it is: its update rule, and the learning rate and weight decay of every parameter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from dynamics.errors import Unsupported
from dynamics.optimizers import SGD, AdamW, Optimizer

NOT_PREDICTED = ("momentum", "dampening", "nesterov", "amsgrad", "maximize")
"""Settings of torch.optim.SGD and torch.optim.AdamW that the prediction does not know."""
REMEDY = "AdamW and SGD without momentum are, from torch.optim"


@dataclass(frozen=True, eq=False)
class RunOptimizer:
    """The optimizer of a run.

    Attributes:
        rule: ``SGD()``, or ``AdamW()`` with its settings; its weight decay is the largest of all groups.
        rates: learning rate of every parameter by name, as a multiple of that of the fastest group.
        decay: weight decay of every parameter by name; torch.optim.SGD and AdamW both move a parameter by minus the
            learning rate times the decay times the parameter.
    """

    rule: Optimizer
    rates: dict[str, float]
    decay: dict[str, float]


def read_optimizer(optimizer: Any, model: nn.Module) -> RunOptimizer:
    """Return what an optimizer does with the parameters of a model.

    Parameters are told apart by identity, so that the prefixes of wrappers (``module.``, ``_orig_mod.``) do not matter.

    Args:
        optimizer: an optimizer of torch, or accelerate's wrapper of one.
        model: the model without wrappers.

    Raises:
        Unsupported: another optimizer than AdamW or plain SGD, or one that trains no parameter of the model.

    Example:
        >>> layer = nn.Linear(1, 1)
        >>> groups = [{"params": [layer.weight], "weight_decay": 0.1}, {"params": [layer.bias], "lr": 1.0}]
        >>> found = read_optimizer(torch.optim.SGD(groups, lr=0.5), layer)
        >>> found.rates, found.decay
        ({'weight': 0.5, 'bias': 1.0}, {'weight': 0.1, 'bias': 0.0})
    """
    if optimizer is None:
        raise Unsupported("optim", "the trainer has not made its optimizer yet", "begin the training first")
    inner = optimizer
    while hasattr(inner, "optimizer"):
        inner = inner.optimizer
    kind = next((kind for kind in (torch.optim.AdamW, torch.optim.SGD) if type(inner) is kind), None)
    if kind is None:
        raise Unsupported("optim", f"the direction of a step of {type(inner).__name__} is not predicted", REMEDY)
    groups = [group for group in inner.param_groups if group["params"]]
    for name in NOT_PREDICTED:
        if any(group.get(name) for group in groups):
            raise Unsupported("optim", f"{kind.__name__} with {name} is not predicted", REMEDY)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    ratios = rate_ratios(groups)
    rates, decay = {}, {}
    for group, ratio in zip(groups, ratios, strict=True):
        for name in (names[id(parameter)] for parameter in group["params"] if id(parameter) in names):
            rates[name], decay[name] = ratio, float(group.get("weight_decay", 0.0))
    if not rates:
        raise Unsupported("optim", "the optimizer holds no parameter of the trainer's model", "build it from the model")
    if kind is torch.optim.SGD:
        return RunOptimizer(SGD(), rates, decay)
    settings = [(tuple(group["betas"]), float(group["eps"])) for group in groups]
    if any(other != settings[0] for other in settings):
        raise Unsupported("optim", "the groups of parameters have different betas or eps", "give them the same")
    betas, eps = settings[0]
    return RunOptimizer(AdamW(betas=betas, eps=eps, weight_decay=max(decay.values())), rates, decay)


def rate_ratios(groups: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the learning rate of every group as a multiple of that of the fastest, before any schedule.

    Example:
        >>> rate_ratios([{"lr": 0.0, "initial_lr": 1e-5}, {"lr": 0.0, "initial_lr": 4e-5}])
        [0.25, 1.0]
    """
    rates = [float(group.get("initial_lr", group["lr"])) for group in groups]
    fastest = max(rates)
    return [rate / fastest if fastest else 1.0 for rate in rates]


def loss_scale(accelerator: Any) -> float | None:
    """Return by what a trainer multiplies its loss, lest gradients in float16 be rounded to 0; None: by nothing."""
    return None if accelerator.scaler is None else float(accelerator.scaler.get_scale())


def step_was_taken(accelerator: Any, scale: float | None) -> bool:
    """Return whether the optimizer has moved the weights: it does not where a gradient has overflowed.

    The scaler then makes its scale smaller. accelerate says that a step was skipped only if it did not call the
    optimizer; a fused one, which is the default, is called and does nothing.

    Args:
        accelerator: that of the trainer, after the step.
        scale: ``loss_scale`` before the step.
    """
    now = loss_scale(accelerator)
    shrunk = now is not None and scale is not None and now < scale
    return not (shrunk or accelerator.optimizer_step_was_skipped)


class RateSum:
    """The sum of the learning rates of the steps that were taken, of the group of parameters that moves fastest.

    Attributes:
        total: the sum.
        skipped: number of steps that were not taken.
        moved_apart: whether the groups have ever been at other multiples of each other than before the schedule.
    """

    def __init__(self, total: float = 0.0, skipped: int = 0, *, moved_apart: bool = False) -> None:
        self.total, self.skipped, self.moved_apart = total, skipped, moved_apart

    def add(self, groups: Sequence[Mapping[str, Any]], *, taken: bool = True) -> None:
        """Count a step.

        Args:
            groups: the groups of parameters, with the learning rates of that step.
            taken: whether the step was taken; the scaler of float16 skips a step whose gradient overflows.
        """
        if not taken:
            self.skipped += 1
            return
        groups = [group for group in groups if group["params"]]
        ratios = rate_ratios(groups)
        rate = float(groups[ratios.index(max(ratios))]["lr"])
        self.total += rate
        now = [float(group["lr"]) for group in groups]
        self.moved_apart |= any(
            not math.isclose(one, ratio * rate, rel_tol=1e-6, abs_tol=1e-12 * abs(rate))
            for one, ratio in zip(now, ratios, strict=True)
        )
