"""The change of the parameters that one optimizer step on preference pairs makes, and the model as it is after it."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from dynamics.errors import ArrayLike, InvalidArgument
from dynamics.language_model.jvp import Change, check_change
from dynamics.language_model.kernel.verify import plain_gradient
from dynamics.language_model.log_probs import sequence_log_probs
from dynamics.language_model.parameters import Filter, select_parameters
from dynamics.language_model.precision import compute_dtype, computing_in
from dynamics.language_model.prediction.drives import check_loss, check_rate, objective_slopes, response_lengths
from dynamics.language_model.tokens import TokenSequence, read_sequences
from dynamics.losses import PreferenceLoss
from dynamics.optimizers import SGD, Optimizer, check_optimizer
from dynamics.preferences import pairs

LEARNING_RATE = 1e-4


def parameter_change(
    model: Any,
    sequences: Iterable[TokenSequence],
    chosen: ArrayLike = 0,
    rejected: ArrayLike = 1,
    *,
    weight: ArrayLike = 1.0,
    loss: PreferenceLoss | None = None,
    learning_rate: float | None = None,
    reference: ArrayLike | None = None,
    optimizer: Optimizer | torch.optim.Optimizer | None = None,
    parameters: Filter = None,
    dtype: torch.dtype | None = None,
) -> dict[str, Tensor]:
    """Return what one step on preference pairs would add to every parameter, by name; nothing is moved.

    Args:
        model: a causal language model; left as it was.
        sequences: by default y_w and y_l; for batches, all responses of the pairs.
        chosen: number of y_w among the sequences, for each pair.
        rejected: number of y_l.
        weight: weight of each pair; the step is on the weighted mean of their losses.
        loss: preference loss; ``DPO()`` by default.
        learning_rate: eta; 1e-4 by default.
        reference: log ref of every sequence in nats; by default the model itself.
        optimizer: ``SGD()`` (by default) or ``AdamW()``, taking its first step; or a live optimizer of torch over the
            model's parameters, in the state that it is in and with its own learning rates. A live one is copied, and
            neither it nor the model is stepped.
        parameters: those that are trained, as in ``sequence_kernel``.
        dtype: dtype to compute in; by default the model's own, but not below float32.

    Raises:
        InvalidArgument: pairs that do not fit the sequences, a learning rate next to a live optimizer, a live optimizer
            that lacks a selected parameter.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> pair = [TokenSequence((1, 2, 3), 2), TokenSequence((1, 2, 4), 2)]
        >>> change = parameter_change(tiny_model(), pair, learning_rate=0.5)
        >>> change["model.norm.weight"].shape
        torch.Size([16])
    """
    found, loss = read_sequences(sequences), check_loss(loss)
    preferences = pairs(chosen, rejected, shape=(len(found),), weight=weight)
    log_probs = sequence_log_probs(model, found, dtype=dtype).total.cpu()
    slopes = objective_slopes(log_probs, preferences, loss, reference, response_lengths(found))
    return change_from_slopes(model, found, slopes, optimizer, learning_rate, parameters, dtype)


def change_from_slopes(
    model: Any,
    sequences: tuple[TokenSequence, ...],
    slopes: Tensor,
    optimizer: Optimizer | torch.optim.Optimizer | None,
    learning_rate: float | None,
    parameters: Filter,
    dtype: torch.dtype | None,
) -> dict[str, Tensor]:
    """Return the change of every parameter for the gradient sum_i slope_i grad log pi_i, from plain autograd.

    Args:
        model: the model.
        sequences: its sequences.
        slopes: dL/dlog pi of each; those with 0 are not run.
        optimizer: as for ``parameter_change``.
        learning_rate: as for ``parameter_change``.
        parameters: as for ``parameter_change``.
        dtype: dtype to compute in.
    """
    selected = select_parameters(model, parameters)
    if isinstance(optimizer, torch.optim.Optimizer):
        if learning_rate is not None:
            raise InvalidArgument("learning_rate", learning_rate, "None: an optimizer of torch has its own")
        _check_live(optimizer, selected)
    rate = LEARNING_RATE if learning_rate is None else learning_rate
    check_rate(rate)
    active = [number for number, slope in enumerate(slopes.tolist()) if slope != 0]
    gradient = plain_gradient(model, [sequences[n] for n in active], slopes[active], parameters, dtype)
    if isinstance(optimizer, torch.optim.Optimizer):
        return _live_change(optimizer, selected, gradient)
    rule: Optimizer = SGD() if optimizer is None else optimizer
    check_optimizer(rule, None, slopes)
    return {name: rule.update(g, selected[name].detach().to(g.dtype), rate, None)[0] for name, g in gradient.items()}


@contextmanager
def moved(model: Any, change: Change, dtype: torch.dtype | None = None) -> Iterator[None]:
    """Let a model be as it is after a change of its parameters, and put the very same numbers back.

    Meanwhile it computes in ``dtype``, so that a small change is not rounded away.

    Args:
        model: a causal language model.
        change: change of the parameters, by name.
        dtype: dtype to compute in; by default the model's own, but not below float32.

    Raises:
        InvalidArgument: a change that is not one of this model's parameters.

    Example:
        >>> model = nn.Linear(1, 1, dtype=torch.float64)
        >>> before = model.bias.item()
        >>> with moved(model, {"bias": torch.ones(1)}):
        ...     round(model.bias.item() - before, 9)
        1.0
        >>> model.bias.item() == before
        True
    """
    parameters, wanted = check_change(model, change), compute_dtype(model, dtype)
    tangents = {name: change[name].detach().to(p.device, wanted) for name, p in parameters.items()}
    with computing_in(model, wanted):
        before = {name: parameter.data for name, parameter in parameters.items()}
        try:
            for name, parameter in parameters.items():
                parameter.data = before[name] + tangents[name]
            yield
        finally:
            for name, parameter in parameters.items():
                parameter.data = before[name]


def _check_live(optimizer: torch.optim.Optimizer, selected: dict[str, nn.Parameter]) -> None:
    known = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    lacking = [name for name, parameter in selected.items() if id(parameter) not in known]
    if lacking:
        allowed = "one over every selected parameter (parameters= selects them)"
        raise InvalidArgument("optimizer", f"an optimizer without {', '.join(lacking[:3])}", allowed)


def _live_change(
    optimizer: torch.optim.Optimizer, selected: dict[str, nn.Parameter], gradient: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Step a copy of the optimizer and of its parameters, in the dtype of the gradient."""
    names = {id(parameter): name for name, parameter in selected.items()}
    trial = copy.deepcopy(optimizer)
    before: dict[str, Tensor] = {}
    after: dict[str, Tensor] = {}
    for group, copied in zip(optimizer.param_groups, trial.param_groups, strict=True):
        for original, parameter in zip(group["params"], copied["params"], strict=True):
            name = names.get(id(original))
            parameter.grad = None
            if name is None:
                continue
            parameter.data = parameter.data.to(gradient[name].dtype)
            parameter.grad = gradient[name].to(parameter.device)
            state = trial.state[parameter]
            for key, value in state.items():  # moments in the dtype of the parameter; the step count is a scalar
                if isinstance(value, Tensor) and value.ndim and value.is_floating_point():
                    state[key] = value.to(parameter.dtype)
            before[name], after[name] = parameter.detach().clone(), parameter
    trial.step()
    return {name: (after[name].detach() - before[name]).to(gradient[name].device) for name in before}
