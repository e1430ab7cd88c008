"""Stable PO: the bilevel preference optimization of jian2025 (Algorithm 1) on finite policies.

The parameters are split into an upper block theta (the paper's adapter) and a lower block phi (its backbone). Gradient
descent in both blocks minimises

    L(theta, phi) = L_pref + lambda (L_sft(theta, phi) - min over phi' of L_sft(theta, phi')) + gamma L_reg

where each term is a weighted mean over the pairs. The paper leaves several choices open. The choices made here, and the
arguments that change them:

* The minimum over phi' is replaced by K steps of plain gradient descent from phi, and phi'^(K) is then held constant
  (Eqs. 10, 11): no derivative runs through the inner loop.
* Both blocks are updated at once from gradients at the old point (Eq. 12).
* Line 6 comes before the batch is drawn in line 10, so the inner loop always uses the SFT data of all pairs.
* Eqs. 13 and 14 take the chosen response of the batch as its SFT datum; so does ``sft=None``. Other data: ``sft``.
* No value of gamma and no reference is given: ``gamma``, ``reference``. The sign of L_reg in Eq. 7 is the opposite of
  what Remark 2 asks for: ``regularizer``.
* L_reg compares gradients of log pi in theta, in both updates. Eq. 84 prints gradients in phi, which is a misprint.
* Where the hinge of L_reg, or a norm in it, is not differentiable, the derivative is taken as 0 (Eq. 78).
* The experiments use AdamW, the algorithm plain gradient descent: ``optimizer`` sets the rule of the outer updates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from dynamics.errors import (
    ArrayLike,
    InvalidArgument,
    check_count,
    check_finite,
    check_index,
    check_shape,
    is_finite,
    to_tensor,
)
from dynamics.evaluation import evaluate, flat_log_probs
from dynamics.finite.integration import check_function
from dynamics.finite.named_axes import select, to_dataset
from dynamics.finite.run_settings import check_run_settings
from dynamics.finite.state import State, descend
from dynamics.gradient import objective_cotangent, response_lengths
from dynamics.losses import DPO, PreferenceLoss
from dynamics.optimizers import Optimizer
from dynamics.policies import Policy
from dynamics.preferences import Preferences

if TYPE_CHECKING:
    from xarray import DataArray, Dataset

RUN_AXES = ("penalty", "gamma", "seed")
RESPONSE_AXES = ("prompt", "response")

Regularizer = Callable[[Tensor, Tensor], Tensor]
"""A function of the scores g_w and g_l with respect to theta, ``(..., upper parameters)``. It returns the delta of
L_reg = max(0, delta), ``(...)``."""


def longer_rejected(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Return |g_l| - |g_w|, the delta of jian2025 Eq. 7: no penalty where pi(y_w) cannot fall to first order.

    Example:
        >>> longer_rejected(torch.tensor([3.0, 4.0]), torch.tensor([6.0, 8.0]))
        tensor(5.)
    """
    return _norm(rejected) - _norm(chosen)


def longer_chosen(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Return |g_w| - |g_l|, the constraint that jian2025 Remark 2 asks for; it is the opposite of Eq. 7.

    Example:
        >>> longer_chosen(torch.tensor([3.0, 4.0]), torch.tensor([6.0, 8.0]))
        tensor(-5.)
    """
    return _norm(chosen) - _norm(rejected)


def negative_drive(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Return g_w . g_l - |g_w|^2, positive exactly where a step of DPO on the pair lowers pi(y_w).

    Not in the paper (the ledger's jian2025.displacement-hinges); it is never positive for tabular policies.

    Example:
        >>> negative_drive(torch.tensor([3.0, 4.0]), torch.tensor([6.0, 8.0]))
        tensor(25.)
    """
    return (chosen * (rejected - chosen)).sum(-1)


@dataclass(frozen=True, eq=False)
class BilevelTrajectory:
    """Recorded runs of Stable PO as arrays with named axes.

    Attributes:
        log_probs: log pi (nats), axes ``axes``: (step, penalty, gamma, seed, [prompt,] response).
        excess: L_sft(theta, phi) - L_sft(theta, phi'^(K)) in nats, axes (step, penalty, gamma, seed); line 9 of
            Algorithm 1 computes the second term. It is a lower bound of L_sft minus its true minimum over phi.
        theta: all parameters after the last step, (penalty, gamma, seed, parameters).
        steps: number of updates made before each record, starting with 0.
        penalties: lambda along its axis.
        gammas: gamma along its axis.
        axes: names of the axes of ``log_probs``.
    """

    log_probs: Tensor
    excess: Tensor
    theta: Tensor
    steps: np.ndarray
    penalties: tuple[float, ...]
    gammas: tuple[float, ...]
    axes: tuple[str, ...]

    def to_xarray(self) -> Dataset:
        """Return the runs as an xarray.Dataset with ``log_probs``, ``excess`` and ``theta``, whose axes have names."""
        labels = {"step": self.steps, "penalty": self.penalties, "gamma": self.gammas}
        arrays = {
            "log_probs": (self.axes, self.log_probs),
            "excess": (("step", *RUN_AXES), self.excess),
            "theta": ((*RUN_AXES, "parameter"), self.theta),
        }
        return to_dataset(arrays, labels)

    def sel(self, **labels: Any) -> DataArray:
        """Return log pi (nats) of the runs with these labels, as ``Trajectory.sel`` does.

        Args:
            labels: label, or list of labels, by axis: ``penalty``, ``gamma``, ``seed``, ``step``, ``prompt``,
                ``response``.

        Raises:
            InvalidArgument: no such axis, or a label that is not on it.
        """
        return select(self.to_xarray().log_probs, labels)


def stable_po(
    policy: Policy,
    theta: ArrayLike,
    preferences: Preferences,
    *,
    lower: Sequence[int] | np.ndarray | Tensor,
    penalty: float | Sequence[float] = 1.0,
    gamma: float | Sequence[float] = 0.0,
    loss: PreferenceLoss | None = None,
    learning_rate: float | tuple[float, float] = 0.1,
    inner_steps: int = 1,
    inner_learning_rate: float = 0.1,
    regularizer: Regularizer = longer_rejected,
    sft: ArrayLike | None = None,
    steps: int = 100,
    seeds: int = 1,
    minibatch: int | None = None,
    generator: torch.Generator | None = None,
    reference: ArrayLike | None = None,
    optimizer: Optimizer | None = None,
    record_every: int = 1,
) -> BilevelTrajectory:
    """Run Algorithm 1 of jian2025 with every lambda, every gamma and every seed, together.

    With lambda = gamma = 0 this is ``simulate`` on both blocks; with a learning rate of 0 for phi as well, on theta.

    Args:
        policy: the finite policy; theta and phi together are its parameters.
        theta: where all runs start, ``(parameters,)``, or one start for each seed, ``(seeds, parameters)``; finite.
        preferences: weighted pairs.
        lower: indices of the parameters that are phi; all others are theta. Neither may be empty.
        penalty: lambda, one or several, >= 0.
        gamma: weight of L_reg, one or several, >= 0.
        loss: the preference loss; DPO(beta=0.1) if not given. The paper has beta = 0.5.
        learning_rate: of the outer updates, for both blocks, or one for theta and one for phi; >= 0.
        inner_steps: K >= 0.
        inner_learning_rate: learning rate of the inner loop (eta of phi'), >= 0.
        regularizer: delta of L_reg = max(0, delta); ``longer_rejected`` (Eq. 7), ``longer_chosen`` (Remark 2),
            ``negative_drive``, or another function of the two scores.
        sft: weight of every response in L_sft, the weighted mean of -log pi, of the policy's shape, >= 0 and not all
            0; the chosen responses with the weights of their pairs if not given (in the outer update those of the
            minibatch, in the inner loop always those of all pairs).
        steps: number of outer iterations T.
        seeds: number of runs that differ by their start or their minibatches.
        minibatch: pairs drawn for each update; None for all. Every lambda and gamma sees the same draws, and
            ``simulate`` with the same generator draws them too.
        generator: source of the minibatches; required with ``minibatch``.
        reference: log ref (nats), of the policy's shape or ``(seeds, *shape)``; the policy at the start if not given.
        optimizer: of the outer updates, ``SGD()`` (if not given) or ``AdamW()``.
        record_every: record after every that many updates; the start and the end are always recorded.

    Returns:
        The recorded runs.

    Raises:
        InvalidArgument: an argument that cannot be used; the message names it.

    Example:
        >>> from dynamics import DPO, LogLinear, pairs
        >>> from dynamics.finite.bilevel import stable_po
        >>> features = torch.tensor([[2.0], [3.0], [0.0]])  # both responses of the pair fall under DPO
        >>> runs = stable_po(
        ...     LogLinear(torch.cat([features, features], dim=1)), [0.0, 0.0], pairs(0, 1, shape=(3,)),
        ...     lower=[1], penalty=[0.0, 5.0], loss=DPO(beta=0.5), steps=50,
        ... )
        >>> chosen = runs.sel(response=0, gamma=0.0, seed=0)
        >>> (chosen.sel(step=50) > chosen.sel(step=0)).to_series().to_dict()  # does it rise? by lambda
        {0.0: False, 5.0: True}
    """
    run = _Problem(policy, preferences, DPO() if loss is None else loss, regularizer, inner_steps, inner_learning_rate)
    penalties, gammas = _numbers("penalty", penalty), _numbers("gamma", gamma)
    settings = check_run_settings(
        policy,
        theta,
        preferences,
        steps=steps,
        seeds=seeds,
        minibatch=minibatch,
        generator=generator,
        reference=reference,
        optimizer=optimizer,
        record_every=record_every,
    )
    check_finite("theta", settings.start)
    is_lower = _blocks(policy, lower)
    rate = _rates(learning_rate, is_lower, policy)
    fixed = None if sft is None else _sft_weights(policy, sft)
    whole = run.sft_weights(preferences) if fixed is None else fixed

    def along(values: tuple[float, ...], axis: int) -> Tensor:
        shape = [1, 1, 1, 1]
        shape[axis] = len(values)
        return torch.tensor(values, dtype=policy.dtype, device=policy.device).reshape(shape)

    grid = (len(penalties), len(gammas), seeds)
    lambdas, weights = along(penalties, 0), along(gammas, 1)
    record, row_of = settings.empty_record(grid), settings.rows()
    excess = torch.empty(record.shape[:4], dtype=policy.dtype, device=policy.device)
    state, batches = settings.first_state(grid), settings.batches()
    for t in range(steps + 1):
        inner = run.lower_level(state.theta, whole, is_lower)
        if t in row_of:
            record[row_of[t]] = state.log_probs
            excess[row_of[t]] = (whole * (flat_log_probs(policy, inner) - state.evaluation.log_probs)).sum(-1)
        if t < steps:
            batch = next(batches)
            data = whole if minibatch is None else run.sft_weights(batch) if fixed is None else fixed
            gradient = run.outer_gradient(state, batch, data, lambdas, weights, is_lower)
            # the second half of the penalty, -lambda L_sft(theta, phi'^(K)), moves theta only: phi'^(K) is a constant
            gradient = gradient - lambdas * torch.where(is_lower, 0.0, run.sft_gradient(inner, data))
            state = descend(state, gradient, rate)
    axes = ("step", *RUN_AXES, *RESPONSE_AXES[-len(policy.shape) :])
    return BilevelTrajectory(record, excess, state.theta, settings.recorded, penalties, gammas, axes)


@dataclass(frozen=True, eq=False)
class _Problem:
    """What stays the same throughout a run."""

    policy: Policy
    preferences: Preferences
    loss: PreferenceLoss
    regularizer: Regularizer
    inner_steps: int
    inner_learning_rate: float

    def __post_init__(self) -> None:
        if not isinstance(self.preferences, Preferences):
            raise InvalidArgument("preferences", self.preferences, "Preferences, as pairs() makes them")
        if not isinstance(self.loss, PreferenceLoss):
            raise InvalidArgument("loss", self.loss, "one loss of dynamics, such as DPO()")
        check_function("regularizer", self.regularizer)
        check_count("inner_steps", self.inner_steps, minimum=0)
        if not is_finite(self.inner_learning_rate) or self.inner_learning_rate < 0:
            raise InvalidArgument("inner_learning_rate", self.inner_learning_rate, "a finite number >= 0")

    def sft_weights(self, batch: Preferences) -> Tensor:
        """Return the weight of every response in L_sft when the chosen responses of ``batch`` are its data."""
        index, share = torch.broadcast_tensors(batch.chosen, batch.share.to(self.policy.dtype))
        size = math.prod(self.policy.shape)
        return share.new_zeros(*index.shape[:-1], size).scatter_add_(-1, index, share)

    def sft_gradient(self, theta: Tensor, data: Tensor) -> Tensor:
        """Return the gradient of L_sft in all parameters."""
        found = evaluate(self.policy, theta)
        return found.vjp(-data.expand_as(found.log_probs))

    def lower_level(self, theta: Tensor, data: Tensor, is_lower: Tensor) -> Tensor:
        """Return the parameters with phi'^(K) in the place of phi (Eq. 11)."""
        for _ in range(self.inner_steps):
            theta = theta - self.inner_learning_rate * torch.where(is_lower, self.sft_gradient(theta, data), 0.0)
        return theta

    def outer_gradient(
        self, state: State, batch: Preferences, data: Tensor, penalty: Tensor, gamma: Tensor, is_lower: Tensor
    ) -> Tensor:
        """Return the gradient of L_pref + lambda L_sft + gamma L_reg."""
        found, lengths = state.evaluation, response_lengths(self.policy)
        of_loss = objective_cotangent(found.log_probs, state.flat_reference, batch, self.loss, lengths)
        gradient = found.vjp(of_loss - penalty * data)
        if not bool((gamma > 0).any()):
            return gradient
        theta, log_probs = state.graph
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(
                self._regularizer_sum(log_probs, theta, batch, ~is_lower), theta, retain_graph=True
            )
        return gradient + gamma * slope

    def _regularizer_sum(self, log_probs: Tensor, theta: Tensor, batch: Preferences, is_upper: Tensor) -> Tensor:
        """Return the sum over all runs of L_reg, the weighted mean of max(0, delta), differentiable in ``theta``."""

        def score(
            log_prob: Tensor,
        ) -> Tensor:  # the runs do not depend on one another, so one backward pass gives the gradients of all
            return torch.autograd.grad(log_prob.sum(), theta, create_graph=True)[0][..., is_upper]

        def of(index: Tensor) -> Tensor:
            if index.ndim == 1:
                responses, place = index.unique(return_inverse=True)
                return torch.stack([score(log_probs[..., y]) for y in responses], dim=-2)[..., place, :]
            picked = log_probs.gather(-1, index.expand(*log_probs.shape[:-1], index.shape[-1]))
            return torch.stack([score(picked[..., i]) for i in range(index.shape[-1])], dim=-2)

        delta = self.regularizer(of(batch.chosen), of(batch.rejected))
        return (batch.share.to(delta.dtype) * torch.relu(delta)).sum()


def _norm(vectors: Tensor) -> Tensor:
    # torch's norm has slope 0 at the origin, where sqrt of the sum of squares would have NaN
    return torch.linalg.vector_norm(vectors, dim=-1)


def _numbers(argument: str, value: object) -> tuple[float, ...]:
    plain = value.tolist() if isinstance(value, np.ndarray) else value
    items = tuple(plain) if isinstance(plain, (list, tuple, range)) else (plain,)
    if not items or not all(is_finite(item) and item >= 0 for item in items):
        raise InvalidArgument(argument, value, "a finite number >= 0, or a non-empty list of them")
    return tuple(float(item) for item in items)


def _blocks(policy: Policy, lower: Sequence[int] | np.ndarray | Tensor) -> Tensor:
    """Return which parameters are phi."""
    index = check_index("lower", lower, policy.parameters, policy.device).flatten()
    if index.unique().numel() in (0, policy.parameters):
        raise InvalidArgument("lower", lower, f"some but not all of the indices from 0 to {policy.parameters - 1}")
    is_lower = torch.zeros(policy.parameters, dtype=torch.bool, device=policy.device)
    is_lower[index] = True
    return is_lower


def _rates(learning_rate: float | tuple[float, float], is_lower: Tensor, policy: Policy) -> Tensor:
    """Return the learning rate of every parameter."""
    both = learning_rate if isinstance(learning_rate, (tuple, list)) else (learning_rate, learning_rate)
    if len(both) != 2:
        raise InvalidArgument("learning_rate", learning_rate, "one number, or one for theta and one for phi")
    for rate in both:
        if not is_finite(rate) or rate < 0:
            raise InvalidArgument(
                "learning_rate", learning_rate, "a finite number >= 0, or one for theta and one for phi"
            )
    upper, lower = (torch.tensor(float(rate), dtype=policy.dtype, device=policy.device) for rate in both)
    return torch.where(is_lower, lower, upper)


def _sft_weights(policy: Policy, sft: ArrayLike) -> Tensor:
    weights = check_finite("sft", to_tensor("sft", sft, dtype=policy.dtype, device=policy.device))
    check_shape("sft", weights, policy.shape)
    total = weights.sum()
    if bool((weights < 0).any()) or not 0 < total < math.inf:
        raise InvalidArgument("sft", weights.tolist(), "numbers >= 0 whose sum is positive and finite")
    return (weights / total).flatten()
