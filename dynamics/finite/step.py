"""One update and its account: the change of every probability, exact and as predicted by the kernel."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from dynamics.errors import ArrayLike, InvalidArgument, check_kind, check_nonnegative
from dynamics.evaluation import directional_derivatives
from dynamics.finite.state import State, check_reference, objective_slope
from dynamics.gradient import check_preferences, pair_quantities, response_lengths
from dynamics.losses import DPO, PreferenceLoss
from dynamics.optimizers import SGD, Moments, Optimizer, check_optimizer
from dynamics.policies import Policy, check_theta
from dynamics.preferences import Preferences, check_one_list, pairs
from dynamics.scores import chosen_slope, drives, kernel

ROUNDING = {torch.float32: 1e-6, torch.float64: 1e-13}
"""Bounds for what rounding does to a kernel, as |dK_ij| / sqrt(K_ii K_jj), by the dtype of the policy."""


@dataclass(frozen=True, eq=False)
class StepAccount:
    """What one update did to every response.

    ``shape`` below is the policy's: ``(responses,)`` or ``(prompts, responses)``. Quantities of a pair have no
    leading axis when the step was on a single pair given by two numbers, and a leading axis ``(pairs,)`` otherwise.

    Attributes:
        theta: parameters before, ``(parameters,)``.
        new_theta: parameters after.
        log_probs: log pi before (nats), ``shape``.
        new_log_probs: log pi after.
        actual: change of pi, exact, ``shape``; sums to zero for every prompt.
        predicted: change of pi to first order in the step; sums to zero.
        second_order: change of pi to second order in the step; sums to zero.
        kernel: <g_y, g_y'> before the step, ``(*shape, *shape)``.
        drive: A_y = g_y . (g_w - g_l) of every response, for each pair.
        margin: what the loss is a function of, before, for each pair.
        new_margin: the margin after.
        urgency: -f'(margin) before; sigma(-z) for DPO.
        chosen_slope: change of log pi(y_w) for each unit of learning rate, to first order, if SGD stepped on this pair
            alone under the loss of the step; see ``dynamics.scores.chosen_slope``.
        log_ratio_change: change of log pi(y_w) - log pi(y_l), exact, for each pair (DPO: margin change / beta).
        predicted_log_ratio_change: the same to first order in the step.
        preferences: the pairs of the step.
        moments: the optimizer's memory after the step, which the next step takes.
    """

    theta: Tensor
    new_theta: Tensor
    log_probs: Tensor
    new_log_probs: Tensor
    actual: Tensor
    predicted: Tensor
    second_order: Tensor
    kernel: Tensor
    drive: Tensor
    margin: Tensor
    new_margin: Tensor
    urgency: Tensor
    chosen_slope: Tensor
    log_ratio_change: Tensor
    predicted_log_ratio_change: Tensor
    preferences: Preferences = field(repr=False)
    moments: Moments | None = field(repr=False, default=None)

    @property
    def displaced(self) -> Tensor:
        """Return, for each pair, whether a small SGD step on it alone lowers log pi(chosen): chosen_slope < 0.

        For a loss that is a decreasing function of one log-ratio, such as DPO, this is ``drive[chosen] < 0``.
        """
        return self.chosen_slope < 0

    def mass(self) -> dict[str, float]:
        """Return where the probability went, exactly: changes of pi that sum to zero (to rounding).

        Keys: ``chosen`` and ``rejected`` responses, those that are ``both`` in different pairs, the most probable
        other response ``greedy`` (y*, of the prompts of the pairs), and all ``others``.
        """
        change, before = self.actual.flatten(), self.log_probs.flatten()
        is_chosen, is_rejected = (torch.zeros_like(change, dtype=torch.bool) for _ in range(2))
        is_chosen[self.preferences.chosen] = True
        is_rejected[self.preferences.rejected] = True
        rest = ~(is_chosen | is_rejected)
        responses = self.log_probs.shape[-1]
        greedy = torch.zeros_like(rest)
        for x in self.preferences.prompt.unique().tolist():
            row = slice(x * responses, (x + 1) * responses)
            if bool(rest[row].any()):
                greedy[x * responses + int(before[row].masked_fill(~rest[row], -torch.inf).argmax())] = True
        parts = {
            "chosen": is_chosen & ~is_rejected,
            "rejected": is_rejected & ~is_chosen,
            "both": is_chosen & is_rejected,
            "greedy": greedy,
            "others": rest & ~greedy,
        }
        return {name: float(change[part].sum()) for name, part in parts.items()}

    def signs(self) -> Tensor:
        """Return the sign table ``(3, *shape)``: signs of the exact, first-order and second-order change."""
        return torch.stack([self.actual, self.predicted, self.second_order]).sign().to(torch.int8)


def step(
    policy: Policy,
    theta: ArrayLike,
    chosen: ArrayLike | None = None,
    rejected: ArrayLike | None = None,
    *,
    prompt: ArrayLike = 0,
    weight: ArrayLike = 1.0,
    preferences: Preferences | None = None,
    loss: PreferenceLoss | None = None,
    learning_rate: float = 0.1,
    reference: ArrayLike | None = None,
    optimizer: Optimizer | None = None,
    moments: Moments | None = None,
) -> StepAccount:
    """Take one step on preference pairs and report how the probability of every response changes.

    Args:
        policy: the finite policy.
        theta: parameters before the step, ``(parameters,)``.
        chosen: index of y_w, a number or ``(pairs,)``.
        rejected: index of y_l.
        prompt: index of the prompt.
        weight: weight of each pair; the step is on the weighted mean of their losses.
        preferences: pairs made by ``pairs``, ``preference_matrix`` or ``Preferences.sample``, in place of the above.
        loss: the preference loss; DPO(beta=0.1) if not given.
        learning_rate: eta >= 0.
        reference: log ref (nats), of the policy's shape; the policy before the step if not given.
        optimizer: ``SGD()`` (if not given) or ``AdamW()``; predictions use its actual change of theta.
        moments: the optimizer's memory, ``StepAccount.moments`` of the step before.

    Returns:
        The account.

    Raises:
        InvalidArgument: an argument that cannot be used; the message names it.

    Example:
        >>> from dynamics import DPO, LogLinear, step
        >>> policy = LogLinear(features=[[2.0], [3.0], [0.0]])  # chosen, rejected, another response
        >>> account = step(policy, theta=[0.0], chosen=0, rejected=1, loss=DPO(beta=0.5), learning_rate=0.1)
        >>> account.drive
        tensor([-0.3333, -1.3333,  1.6667], dtype=torch.float64)
        >>> account.displaced
        tensor(True)
    """
    loss = DPO() if loss is None else loss
    check_kind("loss", loss, PreferenceLoss, "a loss such as DPO(beta=0.1)")
    check_nonnegative("learning_rate", learning_rate)
    if getattr(learning_rate, "ndim", 0):
        raise InvalidArgument("learning_rate", learning_rate, "one number (simulate() accepts several)")
    before = check_theta(policy, theta)
    rule = SGD() if optimizer is None else optimizer
    check_optimizer(rule, moments, before)
    state = State(policy, before, check_reference(policy, before, reference, ()), rule, moments)
    base, log_probs = state.flat_reference, state.log_probs
    asked, single = _check_pairs(policy, chosen, rejected, prompt, weight, preferences)
    check_preferences(policy, log_probs.flatten(), asked)

    gradient = objective_slope(state, asked, loss)
    change, moments = rule.update(
        gradient, before, learning_rate, moments
    )  # new minus old parameters would lose digits
    after = before + change
    new_log_probs = policy.log_probs(after)
    slope, curvature = directional_derivatives(policy, before, change)
    p = log_probs.exp()
    predicted = p * slope
    second_order = predicted + p * (slope**2 + curvature) / 2
    if not bool(second_order.isfinite().all()) or bool(new_log_probs.isnan().any()):
        raise InvalidArgument(
            "learning_rate", f"after a step of {learning_rate} the log-probabilities are not finite; use a smaller one"
        )
    inner_products = kernel(policy, before)

    lengths = response_lengths(policy)
    quantities = pair_quantities(log_probs.flatten(), base, asked, lengths)
    new_quantities = pair_quantities(new_log_probs.flatten(), base, asked, lengths)
    flat = slope.flatten()
    square, w, other = inner_products.reshape(flat.numel(), flat.numel()), asked.chosen, asked.rejected
    own_slope = chosen_slope(
        loss, quantities, square[w, w], square[w, other], square[other, other], ROUNDING[policy.dtype]
    )
    per_pair = {
        "drive": drives(inner_products, asked),
        "margin": loss.margin(quantities),
        "new_margin": loss.margin(new_quantities),
        "urgency": loss.urgency(quantities),
        "chosen_slope": own_slope.where(asked.weight > 0, 0.0),  # a loss may have no derivative at a pair of weight 0
        "log_ratio_change": new_quantities.log_ratio - quantities.log_ratio,
        "predicted_log_ratio_change": flat[asked.chosen] - flat[asked.rejected],
    }
    if single:
        per_pair = {name: value.squeeze(0) for name, value in per_pair.items()}
    return StepAccount(
        theta=before,
        new_theta=after,
        log_probs=log_probs,
        new_log_probs=new_log_probs,
        actual=_change(log_probs, new_log_probs),
        predicted=predicted,
        second_order=second_order,
        kernel=inner_products,
        preferences=asked,
        moments=moments,
        **per_pair,
    )


def _change(log_p: Tensor, new_log_p: Tensor) -> Tensor:
    """Return exp(new) - exp(old), accurate where the two are nearly equal, without overflow where they are far apart.

    The larger exponential is factored out, because the smaller one may underflow to 0.
    """
    larger, difference = torch.maximum(log_p, new_log_p), new_log_p - log_p
    change = -larger.exp() * torch.expm1(-difference.abs()) * difference.sign()
    return torch.where(torch.isneginf(larger), torch.zeros_like(change), change)


def _check_pairs(
    policy: Policy,
    chosen: ArrayLike | None,
    rejected: ArrayLike | None,
    prompt: ArrayLike,
    weight: ArrayLike,
    preferences: Preferences | None,
) -> tuple[Preferences, bool]:
    if preferences is not None:
        if chosen is not None or rejected is not None:
            raise InvalidArgument("preferences", "give either preferences or chosen and rejected, not both")
        check_kind("preferences", preferences, Preferences, "Preferences, as pairs() or preference_matrix() make them")
        check_one_list(preferences)
        return preferences, False
    if chosen is None or rejected is None:
        raise InvalidArgument("chosen, rejected", "give the index of both responses, or preferences=...")
    asked = pairs(chosen, rejected, shape=policy.shape, prompt=prompt, weight=weight, device=policy.device)
    single = all(torch.as_tensor(v).ndim == 0 for v in (chosen, rejected, prompt, weight))
    return asked, single
