"""An optimizer of torch as an update rule of this package, with what it remembers of every parameter."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from dynamics.errors import Unsupported
from dynamics.optimizers import SGD, AdamW, Moments, Optimizer

PLAIN = {"momentum": 0, "dampening": 0, "nesterov": False, "maximize": False, "weight_decay": 0}
"""The settings of torch.optim.SGD with which it is plain gradient descent."""


def read_torch_optimizer(
    optimizer: torch.optim.Optimizer, selected: Mapping[str, nn.Parameter]
) -> tuple[Optimizer, dict[str, Moments | None], float]:
    """Return the rule of an optimizer, the moments of every parameter by name, and the learning rate.

    Args:
        optimizer: torch.optim.SGD without momentum, or torch.optim.AdamW.
        selected: the parameters that are trained, by name.

    Raises:
        Unsupported: another optimizer, settings that differ between the parameters, parameters that it does not train.

    Example:
        >>> layer = nn.Linear(1, 1)
        >>> read_torch_optimizer(torch.optim.SGD(layer.parameters(), lr=0.1), dict(layer.named_parameters()))[::2]
        (SGD(), 0.1)
    """
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    lacking = [name for name, parameter in selected.items() if id(parameter) not in groups]
    if lacking:
        problem = f"an optimizer without {', '.join(lacking[:3])}, which parameters= selects"
        raise Unsupported("optimizer", problem, "add these to the optimizer, or select fewer parameters")
    used = {id(groups[id(parameter)]): groups[id(parameter)] for parameter in selected.values()}
    kinds = (torch.optim.AdamW, torch.optim.SGD)
    kind = next((kind for kind in kinds if type(optimizer) is kind), None)
    if kind is None:
        raise Unsupported("optimizer", f"steps of {type(optimizer).__name__} are not predicted", "AdamW and SGD are")
    names = (
        ("lr", "betas", "eps", "weight_decay", "amsgrad", "maximize") if kind is torch.optim.AdamW else ("lr", *PLAIN)
    )
    settings = [{name: group[name] for name in names} for group in used.values()]
    if any(other != settings[0] for other in settings[1:]):
        raise Unsupported("optimizer", "its settings differ between the parameters", "use one group of parameters")
    first = settings[0]
    rate = float(first.pop("lr"))
    if kind is torch.optim.SGD:
        if first != PLAIN:
            raise Unsupported(
                "optimizer", "SGD with momentum or weight decay is not predicted", "plain SGD and AdamW are"
            )
        return SGD(), {}, rate
    if first["amsgrad"] or first["maximize"]:
        raise Unsupported("optimizer", "amsgrad and maximize are not predicted", "leave them out")
    memory: dict[str, Moments | None] = {}
    for name, parameter in selected.items():
        state = optimizer.state.get(parameter)
        memory[name] = Moments(int(state["step"]), state["exp_avg"], state["exp_avg_sq"]) if state else None
    return AdamW(betas=tuple(first["betas"]), eps=first["eps"], weight_decay=first["weight_decay"]), memory, rate
