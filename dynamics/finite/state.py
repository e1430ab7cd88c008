"""Training as a pure function: a state, and an update that turns a state and a batch of pairs into the next state.

``simulate``, ``stable_po`` and the toy models are loops over these functions. A loop of your own can draw its batches,
change its learning rate, replace its reference or use its own optimizer as it likes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from dynamics.errors import (
    ArrayLike,
    check_broadcast,
    check_kind,
    check_log_probs,
    check_nonnegative,
    check_shape,
    to_tensor,
)
from dynamics.evaluation import Evaluation, evaluate, flat_log_probs
from dynamics.finite.loss_stack import LossStack, check_loss
from dynamics.gradient import check_preferences, objective_cotangent, response_lengths
from dynamics.losses import PreferenceLoss
from dynamics.optimizers import SGD, Moments, Optimizer, check_optimizer
from dynamics.policies import Policy, check_theta
from dynamics.preferences import Preferences
from dynamics.shapes import FlatLogProbs, FlatReference, Theta


@dataclass(frozen=True, eq=False)
class State:
    """One training run, or a batch of runs, between two updates.

    A state never changes. ``init`` makes the first one, ``update`` the next, and ``dataclasses.replace`` a variant, for
    example one whose reference is the policy as it is now: ``replace(state, reference=state.log_probs)``.

    Attributes:
        policy: the finite policy.
        theta: its parameters, ``(*runs, parameters)``.
        reference: log ref (nats), ``policy.shape``, with leading axes that broadcast to ``runs``.
        optimizer: the update rule.
        moments: the optimizer's memory; None before the first update, and for SGD.
        updates: number of updates made so far.
    """

    policy: Policy = field(repr=False)
    theta: Tensor
    reference: Tensor = field(repr=False)
    optimizer: Optimizer
    moments: Moments | None = field(repr=False, default=None)
    updates: int = 0

    @property
    def runs(self) -> tuple[int, ...]:
        """Return the leading axes of ``theta``; () for a single run."""
        return tuple(self.theta.shape[:-1])

    @property
    def log_probs(self) -> Tensor:
        """Return log pi of every response (nats), ``(*runs, *policy.shape)``."""
        return self.evaluation.log_probs.reshape(*self.runs, *self.policy.shape)

    @cached_property
    def evaluation(self) -> Evaluation:
        """Return log pi and its pullback: one evaluation, whether log pi is read, a step is taken, or both."""
        return evaluate(self.policy, self.theta)

    @cached_property
    def graph(self) -> tuple[Theta, FlatLogProbs]:
        """Return theta as a leaf of autograd and log pi as a function of it, ``(*runs, prompts * responses)``.

        For an objective that contains gradients of log pi, whose own gradient takes autograd.
        """
        theta = self.theta.detach().requires_grad_()
        with torch.enable_grad():
            return theta, flat_log_probs(self.policy, theta)

    @property
    def flat_reference(self) -> FlatReference:
        """Return log ref (nats) with prompts and responses flattened into one axis."""
        return self.reference.flatten(start_dim=self.reference.ndim - len(self.policy.shape))

    def __getstate__(self) -> dict[str, object]:
        """Leave out what is computed from theta: a graph of autograd can be neither copied nor sent elsewhere."""
        return {name: value for name, value in self.__dict__.items() if name not in ("graph", "evaluation")}


def init(
    policy: Policy,
    theta: ArrayLike,
    *,
    reference: ArrayLike | None = None,
    optimizer: Optimizer | None = None,
) -> State:
    """Return the state before the first update.

    Args:
        policy: the finite policy.
        theta: parameters where training starts, ``(*runs, parameters)``; all runs are trained together.
        reference: log ref (nats), of the policy's shape; with leading axes that broadcast to ``runs`` if it differs
            from run to run; the policy at the start if not given.
        optimizer: ``SGD()`` (if not given), ``AdamW()``, or any object with their method ``update``.

    Raises:
        InvalidArgument: an argument of the wrong kind or shape, or a reference that is no distribution.

    Example:
        >>> from dynamics import AdamW, LogLinear
        >>> state = init(LogLinear([[2.0], [3.0], [0.0]]), [[0.0], [1.0]], optimizer=AdamW())  # two runs
        >>> state.runs, tuple(state.log_probs.shape)
        ((2,), (2, 3))
    """
    start = check_theta(policy, theta, batched=True)
    rule = SGD() if optimizer is None else optimizer
    check_optimizer(rule, None, start)
    return State(policy, start, check_reference(policy, start, reference, tuple(start.shape[:-1])), rule)


def update(
    state: State,
    batch: Preferences,
    *,
    loss: PreferenceLoss | Sequence[PreferenceLoss] | LossStack | None = None,
    learning_rate: float | Tensor = 0.1,
) -> State:
    """Return the state after one update on a batch of pairs; the state that is given stays as it is.

    Args:
        state: from ``init`` or from the update before.
        batch: the pairs of this update, such as ``preferences.sample(...)``; one list for all runs, or lists whose
            leading axes broadcast to those of the runs.
        loss: one loss, whose numbers may be tensors that broadcast to ``(*runs, pairs)``; or a list with one loss for
            each entry of the first axis of the runs (``stack_losses`` prepares a list once for many updates);
            DPO(beta=0.1) if not given.
        learning_rate: >= 0; a number, or a tensor that broadcasts to the shape of ``theta``, such as ``(runs, 1)`` for
            one of each run or ``(parameters,)`` for one of each parameter.

    Raises:
        InvalidArgument: an argument of the wrong kind or shape, or a pair that names a response of probability 0.

    Example:
        >>> from dynamics import DPO, AdamW, Tabular, bradley_terry, preference_matrix
        >>> labels, draws = preference_matrix(bradley_terry([1.0, 0.0, -1.0])), torch.Generator().manual_seed(0)
        >>> state = init(Tabular(3), torch.zeros(3), optimizer=AdamW())
        >>> for t in range(100):
        ...     state = update(state, labels.sample(8, draws), loss=DPO(beta=0.5), learning_rate=0.1 / (1 + t / 50))
        >>> state.log_probs.exp().argmax()
        tensor(0)
    """
    check_kind("state", state, State, "a State from init() or update()")
    check_nonnegative("learning_rate", learning_rate)
    if isinstance(learning_rate, Tensor):
        check_broadcast("learning_rate", learning_rate.shape, state.theta.shape)
    check_preferences(state.policy, state.evaluation.log_probs, batch)
    for part in (batch.chosen, batch.rejected, batch.weight):
        check_broadcast("batch", part.shape[:-1], state.runs)
    return advance(state, batch, check_loss(loss, state.policy, (*state.runs, batch.weight.shape[-1])), learning_rate)


def advance(state: State, batch: Preferences, loss: PreferenceLoss | LossStack, learning_rate: float | Tensor) -> State:
    """Return the state after one update, as ``update`` does, without checking the arguments."""
    return descend(state, objective_slope(state, batch, loss), learning_rate)


def objective_slope(state: State, batch: Preferences, loss: PreferenceLoss | LossStack) -> Theta:
    """Return the gradient of the objective on a batch, ``(*runs, parameters)``; the arguments were checked before."""
    found, lengths = state.evaluation, response_lengths(state.policy)
    return found.vjp(objective_cotangent(found.log_probs, state.flat_reference, batch, loss, lengths))


def descend(state: State, gradient: Theta, learning_rate: float | Tensor) -> State:
    """Return the state after the optimizer's step along a gradient ``(*runs, parameters)``, of whatever objective."""
    change, moments = state.optimizer.update(gradient, state.theta, learning_rate, state.moments)
    return replace(state, theta=state.theta + change, moments=moments, updates=state.updates + 1)


def check_reference(policy: Policy, start: Tensor, reference: ArrayLike | None, runs: tuple[int, ...]) -> Tensor:
    """Return log ref (nats), of the policy's shape with leading axes; log pi at the start if no other is given."""
    if reference is None:
        return policy.log_probs(start)
    base = to_tensor("reference", reference, dtype=policy.dtype, device=policy.device)
    check_log_probs("reference", check_shape("reference", base, policy.shape, batched=True))
    check_broadcast("reference", base.shape[: base.ndim - len(policy.shape)], runs)
    return base
