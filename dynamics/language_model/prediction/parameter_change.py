"""The change of the parameters in one optimizer step on preference pairs, and the model after such a change."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from dynamics.errors import ArrayLike, InvalidArgument, Unsupported
from dynamics.language_model.causal_lm import CausalLM, unwrapped
from dynamics.language_model.jvp import Change, check_change
from dynamics.language_model.log_probs import sequence_log_probs
from dynamics.language_model.parameters import Filter, select_parameters
from dynamics.language_model.precision import compute_dtype, computing_in
from dynamics.language_model.prediction.drives import check_loss, check_rate, dloss_dlog_probs, response_lengths
from dynamics.language_model.refusals import naming_modules
from dynamics.language_model.tokens import TokenSequence, read_sequences
from dynamics.language_model.vjp import log_probs_vjp
from dynamics.losses import PreferenceLoss
from dynamics.optimizers import SGD, Optimizer, check_optimizer
from dynamics.preferences import pairs

LEARNING_RATE = 1e-4
"""Used if the caller gives neither a learning rate nor an optimizer that has its own."""


def parameter_change(
    model: CausalLM,
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
    """Return what one step on preference pairs would add to every parameter, by name. The step is not taken.

    Args:
        model: a causal language model; it is not changed.
        sequences: the responses of the pairs; by default the first is y_w and the second y_l.
        chosen: number of y_w among the sequences, for each pair.
        rejected: number of y_l.
        weight: weight of each pair; the objective is the weighted mean of their losses.
        loss: preference loss; ``DPO()`` by default.
        learning_rate: eta; 1e-4 by default.
        reference: log ref of every sequence in nats; by default the model itself.
        optimizer: ``SGD()`` (by default), the first step of ``AdamW()``, or an optimizer of torch over the model's
            parameters, in its present state and with its own learning rates; it is copied and not changed.
        parameters: the parameters that are trained, as in ``sequence_kernel``.
        dtype: dtype to compute in; by default the model's own, but not below float32.

    Raises:
        InvalidArgument: pairs that do not fit the sequences, a learning rate together with an optimizer of torch, an
            optimizer of torch without one of the selected parameters.
        OutOfMemory: a sequence does not fit into memory.

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
    weights = dloss_dlog_probs(log_probs, preferences, loss, reference, response_lengths(found))
    return optimizer_change(model, found, weights, optimizer, learning_rate, parameters, dtype)


def optimizer_change(
    model: CausalLM,
    sequences: Sequence[TokenSequence],
    dloss_dlog_probs: Tensor,
    optimizer: Optimizer | torch.optim.Optimizer | None,
    learning_rate: float | None,
    parameters: Filter,
    dtype: torch.dtype | None,
) -> dict[str, Tensor]:
    """Return the change of the parameters in one step on a loss that is given by its derivatives.

    The gradient is sum_i dL/dlog pi_i grad log pi_i, by plain autograd.

    Args:
        model: the model.
        sequences: its sequences.
        dloss_dlog_probs: dL/dlog pi of each, ``(sequences,)``; the model is not run on those with 0.
        optimizer: as for ``parameter_change``.
        learning_rate: as for ``parameter_change``.
        parameters: as for ``parameter_change``.
        dtype: dtype to compute in.

    Raises:
        InvalidArgument: as for ``parameter_change``.
    """
    model = unwrapped(model)
    selected = select_parameters(model, parameters)
    if isinstance(optimizer, torch.optim.Optimizer):
        if learning_rate is not None:
            raise InvalidArgument(
                "learning_rate", "leave it out, since an optimizer of torch has its own learning rate"
            )
        _check_torch_optimizer(optimizer, selected)
    rate = LEARNING_RATE if learning_rate is None else learning_rate
    check_rate(rate)
    used = [number for number, weight in enumerate(dloss_dlog_probs.tolist()) if weight != 0]
    weights = dloss_dlog_probs[used]
    with naming_modules(model, sequences[0]):
        gradient = log_probs_vjp(model, [sequences[n] for n in used], weights, parameters=parameters, dtype=dtype)
    if isinstance(optimizer, torch.optim.Optimizer):
        return _torch_change(optimizer, selected, gradient)
    rule: Optimizer = SGD() if optimizer is None else optimizer
    check_optimizer(rule, None, dloss_dlog_probs)
    return {name: rule.update(g, selected[name].detach().to(g.dtype), rate, None)[0] for name, g in gradient.items()}


@contextmanager
def changed_parameters(model: CausalLM | nn.Module, change: Change, dtype: torch.dtype | None = None) -> Iterator[None]:
    """Add a change to the parameters of a model inside a block; at the end the exact old values are restored.

    Inside the block the model computes in ``dtype``, so that a small change is not lost by rounding.

    Args:
        model: a causal language model.
        change: change of the parameters, by name.
        dtype: dtype to compute in; by default the model's own, but not below float32.

    Raises:
        InvalidArgument: a change of parameters that are not this model's.

    Example:
        >>> model = nn.Linear(1, 1, dtype=torch.float64)
        >>> before = model.bias.item()
        >>> with changed_parameters(model, {"bias": torch.ones(1)}):
        ...     round(model.bias.item() - before, 9)
        1.0
        >>> model.bias.item() == before
        True
    """
    parameters, compute = check_change(model, change), compute_dtype(model, dtype)
    converted = {name: change[name].detach().to(p.device, compute) for name, p in parameters.items()}
    with computing_in(model, compute):
        before = {name: parameter.data for name, parameter in parameters.items()}
        try:
            for name, parameter in parameters.items():
                parameter.data = before[name] + converted[name]
            yield
        finally:
            for name, parameter in parameters.items():
                parameter.data = before[name]


def _check_torch_optimizer(optimizer: torch.optim.Optimizer, selected: dict[str, nn.Parameter]) -> None:
    known = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    lacking = [name for name, parameter in selected.items() if id(parameter) not in known]
    if lacking:
        problem = f"an optimizer without {', '.join(lacking[:3])}, which parameters= selects"
        raise Unsupported("optimizer", problem, "add these to the optimizer, or select fewer parameters")


def _torch_change(
    optimizer: torch.optim.Optimizer, selected: dict[str, nn.Parameter], gradient: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Return the change that a step of a copy of the optimizer makes, in the dtype of the gradient."""
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
            for key, value in state.items():  # moments get the dtype of the parameter; scalars are step counts
                if isinstance(value, Tensor) and value.ndim and value.is_floating_point():
                    state[key] = value.to(parameter.dtype)
            before[name], after[name] = parameter.detach().clone(), parameter
    trial.step()
    return {name: (after[name].detach() - before[name]).to(gradient[name].device) for name in before}
