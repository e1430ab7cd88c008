"""Training steps on preference pairs that keep the model moving, with log pi of any responses along the way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dynamics.errors import ArrayLike, InvalidArgument, check_kind
from dynamics.language_model.causal_lm import CausalLM, as_module, unwrapped
from dynamics.language_model.log_probs import sequence_log_probs
from dynamics.language_model.parameters import Filter, requiring, select_parameters
from dynamics.language_model.prediction.parameter_change import LEARNING_RATE
from dynamics.language_model.prediction.plan import Batches, LogProbPath, make_plan
from dynamics.language_model.tokens import Pair, TokenSequence
from dynamics.language_model.training.differentiable import differentiable_log_probs
from dynamics.losses import PreferenceLoss
from dynamics.optimizers import SGD, AdamW


def train(
    model: CausalLM,
    pairs: Iterable[Pair],
    steps: int = 1,
    *,
    others: Iterable[TokenSequence] = (),
    loss: PreferenceLoss | None = None,
    learning_rate: float | Sequence[float] | None = None,
    reference: ArrayLike | None = None,
    batches: Batches = None,
    seed: int = 0,
    optimizer: SGD | AdamW | torch.optim.Optimizer | None = None,
    parameters: Filter = None,
) -> LogProbPath:
    """Train a model on preference pairs, in place, and return log pi of the responses after every step.

    ``predict_path`` with the same arguments predicts what this returns. (``model_step`` takes one step and undoes it.)
    The model is trained in its own precision and mode, so without dropout unless it is in training mode; log pi is
    measured as ``sequence_log_probs`` does.

    For a loop of your own, make the optimizer and the reference once, and take one step at a time; see the example.

    Args:
        model: a causal language model, which is changed.
        pairs: chosen and rejected response of each pair.
        steps: number of steps.
        others: further responses whose log pi is recorded.
        loss: preference loss, whose mean over a batch is the objective; ``DPO()`` by default.
        learning_rate: eta of every step, or a list with one for each; 1e-4 by default.
        reference: log ref of the responses of the pairs in nats, in the order of ``LogProbPath``; by default the model
            itself, as it is when this function is called.
        batches: as for ``predict_path``.
        seed: as for ``predict_path``.
        optimizer: ``SGD()`` (by default) or ``AdamW()``, which begin anew; or an optimizer of torch over the model's
            parameters, which goes on from its state, with its own learning rate.
        parameters: the parameters that are trained, as in ``sequence_kernel``.

    Raises:
        InvalidArgument: arguments that do not fit each other; a learning rate together with an optimizer of torch; a
            derivative of the loss that is not finite on the way (the model stays where it is then).
        OutOfMemory: a batch does not fit into memory.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> model, pair = tiny_model(), (TokenSequence((1, 2, 3), 1), TokenSequence((1, 4), 1))
        >>> reference = sequence_log_probs(model, pair).total
        >>> optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        >>> for step in range(3):
        ...     path = train(model, [pair], 1, reference=reference, optimizer=optimizer)
        >>> bool(path.chosen[-1] - path.rejected[-1] > reference[0] - reference[1])
        True
    """
    own = isinstance(optimizer, torch.optim.Optimizer)
    if own and learning_rate is not None:
        raise InvalidArgument("learning_rate", "leave it out, since an optimizer of torch has its own learning rate")
    rate = LEARNING_RATE if learning_rate is None else learning_rate
    plan = make_plan(pairs, steps, others, loss, None if own else rate, reference, batches, seed)
    model = unwrapped(model)
    module = as_module(model)
    selected = select_parameters(module, parameters)
    rule = (
        optimizer if isinstance(optimizer, torch.optim.Optimizer) else _torch_rule(optimizer, list(selected.values()))
    )
    rows = [sequence_log_probs(model, plan.sequences).total.cpu()]
    count, times = 2 * plan.pairs, [0.0]
    before = rows[0][:count] if plan.reference is None else plan.reference
    for step, batch in enumerate(plan.batches):
        for group in rule.param_groups:
            if not own:
                group["lr"] = plan.rates[step]
        places = [place for number in batch for place in (2 * number, 2 * number + 1)]
        with requiring(module, selected), torch.enable_grad():
            log_probs = differentiable_log_probs(model, [plan.sequences[place] for place in places])
            everything = rows[-1][:count].clone()
            everything[places] = log_probs.detach().cpu()
            weights = plan.weights(step, everything, before)[places].to(log_probs.device)
            gradient = torch.autograd.grad((log_probs * weights).sum(), list(selected.values()), allow_unused=True)
        _step(rule, dict(zip(selected.values(), gradient, strict=True)))
        times.append(times[-1] + float(rule.param_groups[0]["lr"]))
        rows.append(sequence_log_probs(model, plan.sequences).total.cpu())
    return LogProbPath(torch.stack(rows), torch.tensor(times, dtype=torch.float64), plan.pairs)


def _step(rule: torch.optim.Optimizer, gradient: dict[nn.Parameter, Tensor | None]) -> None:
    """Take a step with these gradients and no others, and leave the gradients that were there before."""
    everything = [parameter for group in rule.param_groups for parameter in group["params"]]
    kept = [parameter.grad for parameter in everything]
    try:
        for parameter in everything:
            parameter.grad = gradient.get(parameter)
        rule.step()
    finally:
        for parameter, g in zip(everything, kept, strict=True):
            parameter.grad = g


def _torch_rule(optimizer: SGD | AdamW | None, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    if optimizer is None or isinstance(optimizer, SGD):
        return torch.optim.SGD(parameters, lr=0.0)
    check_kind("optimizer", optimizer, AdamW, "SGD(), AdamW(), or an optimizer of torch over the model's parameters")
    how: dict[str, Any] = {"betas": optimizer.betas, "eps": optimizer.eps, "weight_decay": optimizer.weight_decay}
    return torch.optim.AdamW(parameters, lr=0.0, **how)
