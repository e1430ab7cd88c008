"""log pi along many steps, from the kernel alone: frozen, or computed again every few steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any, Literal

import torch
from torch import Tensor

from dynamics.errors import ArrayLike, InvalidArgument, Unsupported, check_count
from dynamics.language_model.causal_lm import CausalLM, unwrapped
from dynamics.language_model.log_probs import sequence_log_probs
from dynamics.language_model.parameters import Filter, select_parameters
from dynamics.language_model.precision import compute_dtype
from dynamics.language_model.prediction.drives import NOT_FINITE, NotFinite
from dynamics.language_model.prediction.linear_motion import (
    HeldMotion,
    KernelMotion,
    Linearised,
    Motion,
    RuleMotion,
    Values,
    preconditioner as held_preconditioner,
)
from dynamics.language_model.prediction.parameter_change import LEARNING_RATE, changed_parameters
from dynamics.language_model.prediction.plan import Batches, LogProbPath, Plan, make_plan
from dynamics.language_model.prediction.torch_state import read_torch_optimizer
from dynamics.language_model.tokens import Pair, TokenSequence
from dynamics.losses import PreferenceLoss
from dynamics.optimizers import SGD, AdamW, Moments, Optimizer, check_optimizer


def predict_path(
    model: CausalLM,
    pairs: Iterable[Pair],
    steps: int,
    *,
    kernel: Literal["frozen"] | None = None,
    every: int | None = None,
    others: Iterable[TokenSequence] = (),
    loss: PreferenceLoss | None = None,
    learning_rate: float | Sequence[float] | None = None,
    reference: ArrayLike | None = None,
    batches: Batches = None,
    seed: int = 0,
    optimizer: Optimizer | torch.optim.Optimizer | None = None,
    preconditioner: Literal["held", "reread"] = "reread",
    parameters: Filter = None,
    dtype: torch.dtype | None = None,
) -> LogProbPath:
    """Return log pi of any responses along a run of training steps that is not taken.

    The model is replaced by its linearisation in the parameters: a step changes log pi(y) by <g_y, change of the
    parameters>. The loss is not approximated: its derivative is taken at the predicted log pi in every step, so that
    learnt pairs stop pushing. With ``every=k`` the parameters follow the predicted steps, and the gradients are
    computed again after every k steps; the predicted log pi goes on from where it was. So the error of one step is of
    second order in the learning rate, and with ``every=1`` the error of a run of fixed total learning rate is of first
    order: the prediction converges to the training as the steps become smaller. ``train`` takes the steps and returns
    what happens.

    Args:
        model: a causal language model; it is not changed.
        pairs: chosen and rejected response of each pair.
        steps: number of steps.
        kernel: ``"frozen"`` (by default): the gradients before the run are used throughout.
        every: after how many steps the gradients are computed again.
        others: further responses whose log pi is followed.
        loss: preference loss, whose mean over a batch is the objective; ``DPO()`` by default.
        learning_rate: eta of every step, or a list with one for each; 1e-4 by default.
        reference: log ref of the responses of the pairs in nats, in the order of ``LogProbPath``; by default the model
            itself, before the run.
        batches: the numbers of the pairs in each step; or the size of batches that are drawn in passes over all pairs,
            each pass in a new order; by default all pairs in every step.
        seed: seed of that order.
        optimizer: ``SGD()`` (by default), ``AdamW()``, or a torch.optim.SGD (without momentum) or torch.optim.AdamW
            over the model's parameters, in its present state and with its own learning rate; it is not changed.
        preconditioner: for AdamW. ``"reread"``: the second moment follows the predicted gradients, which costs one
            gradient and one forward-mode pass for every step. ``"held"``: the division by the root of the second moment
            stays that of the beginning; then log pi moves by a preconditioned kernel, which costs one gradient and one
            forward-mode pass for every response of a pair, and nothing for a step. That is good for an optimizer that
            has run for a while. A number without a second moment, as all of an optimizer without a state, is held at
            the first step in which it has a gradient, which is a poor guide to later ones. Refused where some
            parameters were updated more often than others.
        parameters: the parameters that are trained, as in ``sequence_kernel``.
        dtype: dtype to compute in; by default the model's own, but not below float32.

    Raises:
        InvalidArgument: arguments that do not fit each other; ``kernel`` together with ``every``; an optimizer whose
            steps cannot be predicted; log pi or a derivative of the loss that is not finite on the way.
        OutOfMemory: the sequences do not fit into memory.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> pair = TokenSequence((1, 2, 3), 1), TokenSequence((1, 4), 1)
        >>> path = predict_path(tiny_model(), [pair], 20, every=5, learning_rate=1e-2)
        >>> path.log_probs.shape, bool(path.chosen[-1] > path.chosen[0])
        (torch.Size([21, 2]), True)
    """
    period = _period(kernel, every)
    if not isinstance(preconditioner, str) or preconditioner not in ("held", "reread"):
        raise InvalidArgument("preconditioner", preconditioner, "'held' or 'reread'")
    model = unwrapped(model)
    rule, memory, rate = _rule(model, optimizer, learning_rate, parameters)
    plan = make_plan(pairs, steps, others, loss, rate, reference, batches, seed)
    compute = compute_dtype(model, dtype)
    trained = select_parameters(model, parameters)
    begun = {name: p.detach().to(compute).clone() for name, p in trained.items()}
    memory = {name: _converted(moments, compute) for name, moments in memory.items()}
    start = sequence_log_probs(model, plan.sequences, dtype=compute).total.cpu()
    if not bool(start.isfinite().all()):
        raise NotFinite("model", NOT_FINITE)
    follow = _Following(model, plan, rule, memory, begun, {"parameters": parameters, "dtype": compute}, preconditioner)
    rows = [start]
    for first in range(0, steps, period or steps):
        rows += follow.from_here(rows[-1], start, range(first, min(first + (period or steps), steps)), steps)
    return LogProbPath(torch.stack(rows), plan.times, plan.pairs)


class _Following:
    """A prediction under way: where the parameters are, and what the optimizer remembers."""

    def __init__(
        self,
        model: CausalLM,
        plan: Plan,
        rule: Optimizer,
        memory: dict[str, Moments | None],
        begun: Values,
        how: dict[str, Any],
        preconditioner: str,
    ) -> None:
        self._model, self._plan, self._rule, self._memory = model, plan, rule, memory
        self._begun, self._how = begun, how
        self._hold = preconditioner == "held"
        self._held: Values | None = None
        self._moved: Values = {}

    def from_here(self, log_probs: Tensor, start: Tensor, steps: range, end: int) -> list[Tensor]:
        """Linearise where the parameters are, take some steps, and return log pi after each of them."""
        plan, count = self._plan, 2 * self._plan.pairs
        reference = start[:count] if plan.reference is None else plan.reference
        place = changed_parameters(self._model, self._moved, self._how["dtype"]) if self._moved else nullcontext()
        rows = []
        with place:
            here = {name: value + self._moved.get(name, 0) for name, value in self._begun.items()}
            at = Linearised(self._model, plan.sequences, count, here, self._how)
            motion = self._motion(at, lambda step: plan.weights(step, log_probs[:count], reference))
            for step in steps:
                weights = plan.weights(step, log_probs[:count], reference)
                log_probs = log_probs + motion.step(weights, plan.rates[step])
                if not bool(log_probs.isfinite().all()):
                    sentence = f"the predicted log-probabilities overflow at step {step}; use a smaller one"
                    raise InvalidArgument("learning_rate", sentence)
                rows.append(log_probs)
            if steps.stop < end:
                change = motion.leave()
                if isinstance(motion, RuleMotion):
                    self._memory = motion.memory
                elif isinstance(motion, HeldMotion):
                    self._memory = motion.moments()
        if steps.stop < end:
            self._moved = {name: self._moved.get(name, 0) + part for name, part in change.items()}
        return rows

    def _motion(self, at: Linearised, weights: Callable[[int], Tensor]) -> Motion:
        if isinstance(self._rule, SGD):
            return KernelMotion(at)
        if not isinstance(self._rule, AdamW) or not self._hold:
            return RuleMotion(at, self._rule, self._memory)
        if self._held is None:
            coming = map(weights, range(len(self._plan.batches)))
            self._held = held_preconditioner(at, self._rule, self._memory, coming)
        return HeldMotion(at, self._rule, self._memory, self._held)


def _period(kernel: object, every: int | None) -> int | None:
    if kernel is not None and (not isinstance(kernel, str) or kernel != "frozen"):
        raise InvalidArgument("kernel", kernel, "'frozen', or leave it out and give every=")
    if every is None:
        return None
    if kernel is not None:
        raise InvalidArgument(
            "every", "a frozen kernel is not computed again; give kernel='frozen' or every=, not both"
        )
    check_count("every", every)
    return every


def _rule(
    model: CausalLM,
    optimizer: Optimizer | torch.optim.Optimizer | None,
    learning_rate: float | Sequence[float] | None,
    parameters: Filter,
) -> tuple[Optimizer, dict[str, Moments | None], float | Sequence[float]]:
    """Return the update rule, what it remembers of every parameter, and the learning rates."""
    if isinstance(optimizer, torch.optim.Optimizer):
        rule, memory, rate = read_torch_optimizer(optimizer, select_parameters(model, parameters))
        return rule, memory, rate if learning_rate is None else learning_rate
    own: Optimizer = SGD() if optimizer is None else optimizer
    check_optimizer(own, None, torch.zeros(1))
    if isinstance(learning_rate, (list, tuple)) and not learning_rate:
        raise Unsupported("learning_rate", "the list is empty", "give one rate for each step, or a number")
    return own, {}, LEARNING_RATE if learning_rate is None else learning_rate


def _converted(moments: Moments | None, dtype: torch.dtype) -> Moments | None:
    return None if moments is None else Moments(moments.updates, moments.first.to(dtype), moments.second.to(dtype))
