"""The Gaussian world of ma2025 Section 4.2: a policy P and a preference Q over responses 0, 1, ..., exactly.

Both are Gaussians over the responses. A pair of responses is drawn and labelled by Bradley and Terry's model with
utility Q, and DPO takes a step on it. The expected effect on the policy is determined by the fitness

    w_i = sum over j of s_ij (q_i / (q_i + q_j) - p_i / (p_i + p_j)),

where s_ij is how often the pair is drawn. This form takes beta = 1 and a uniform reference, as the paper's Lemma 2
does without saying so. There is no sampling here: expectations over pairs and labels are sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from dynamics import InvalidArgument, Preferences, bradley_terry, preference_matrix
from dynamics.errors import (
    ArrayLike,
    check_count,
    check_finite,
    check_kind,
    check_log_probs,
    check_number,
    check_positive,
    check_shape,
    to_tensor,
)

Sampling = Literal["uniform", "shiftless"]


@dataclass(frozen=True)
class GaussianWorld:
    """A Gaussian policy and a Gaussian utility over the responses 0 .. responses - 1.

    Args:
        policy_mean: mu_P, in responses.
        preference_mean: mu_Q.
        variance: sigma^2 of both, > 0.
        responses: size of the grid, >= 2.

    Raises:
        InvalidArgument: a number outside its range.

    Example:
        >>> world = GaussianWorld(policy_mean=45, preference_mean=55)
        >>> w = fitness(world.log_policy, world.log_utility)
        >>> int(w.argmin()), int(w.argmax())  # far outside both Gaussians
        (24, 76)
    """

    policy_mean: float
    preference_mean: float
    variance: float = 100.0
    responses: int = 100

    def __post_init__(self) -> None:
        check_number("policy_mean", self.policy_mean)
        check_number("preference_mean", self.preference_mean)
        check_positive("variance", self.variance)
        check_count("responses", self.responses, minimum=2)

    @property
    def log_policy(self) -> Tensor:
        """Return log pi of every response (nats), normalised on the grid."""
        return self._bell(self.policy_mean)

    @property
    def log_utility(self) -> Tensor:
        """Return log u of every response, normalised like a distribution; only its differences matter."""
        return self._bell(self.preference_mean)

    def _bell(self, mean: float) -> Tensor:
        grid = torch.arange(self.responses, dtype=torch.float64)
        return torch.log_softmax(-((grid - mean) ** 2) / (2 * self.variance), dim=0)


def pair_log_weights(log_policy: ArrayLike, sampling: Sampling = "uniform") -> Tensor:
    """Return log s_ij: every unordered pair equally often ("uniform"), or drawn from the policy itself ("shiftless").

    Args:
        log_policy: log pi (nats), ``(responses,)``, all finite.
        sampling: s_ij = 1, or s_ij = pi_i pi_j.

    Returns:
        ``(responses, responses)``.

    Example:
        >>> pair_log_weights([-0.6931471805599453] * 2, "shiftless").exp()
        tensor([[0.2500, 0.2500],
                [0.2500, 0.2500]], dtype=torch.float64)
    """
    log_p = _log_policy(log_policy)
    check_kind("sampling", sampling, str, "'uniform' or 'shiftless'")
    if sampling == "uniform":
        return torch.zeros(len(log_p), len(log_p), dtype=log_p.dtype)
    if sampling == "shiftless":
        return log_p.unsqueeze(1) + log_p
    raise InvalidArgument("sampling", sampling, "'uniform' or 'shiftless'")


def fitness(log_policy: ArrayLike, log_utility: ArrayLike, sampling: Sampling = "uniform") -> Tensor:
    """Return the fitness w of every response, the change of its logit under DPO; sums to 0.

    Source: ma2025 Lemma 2, with the weight s_ij of each pair.

    Args:
        log_policy: log pi (nats), ``(responses,)``, all finite.
        log_utility: log u, same shape; a constant may be added.
        sampling: how pairs are drawn.

    Raises:
        InvalidArgument: not a distribution of finite log-probabilities, shapes that differ, or an unknown sampling.

    Example:
        >>> import numpy as np
        >>> from dynamics import DPO, replicator_fitness
        >>> p, u = np.log([0.5, 0.3, 0.2]), np.log([1.0, 3.0, 1.0])
        >>> fitness(p, u)
        tensor([-0.5893,  0.5250,  0.0643], dtype=torch.float64)
        >>> given = preferences(p, u)
        >>> given.weight.sum() * replicator_fitness(p, given, DPO(beta=1.0))  # the same from the loss: mean to sum
        tensor([-0.5893,  0.5250,  0.0643], dtype=torch.float64)
    """
    log_p, log_u = _both(log_policy, log_utility)
    wanted, held = (x.unsqueeze(1) - x for x in (log_u, log_p))
    difference = _sigmoid_difference(wanted, held)
    return (pair_log_weights(log_p, sampling).exp() * difference).sum(1)


def printed_update(log_policy: ArrayLike, fitness_: ArrayLike) -> Tensor:
    """Return w_i pi_i, ma2025's curve for a balanced loss ("PPO"): Eq. 14 without the subtraction of the mean.

    It is ``balanced_update`` with the mean fitness neglected; it does not sum to zero.

    Args:
        log_policy: log pi (nats), ``(responses,)``.
        fitness_: w, same shape.

    Example:
        >>> import math
        >>> printed_update([math.log(0.5), math.log(0.25), math.log(0.25)], [-1.0, 1.0, 0.0])
        tensor([-0.5000,  0.2500,  0.0000], dtype=torch.float64)
    """
    log_p, w = _both(log_policy, fitness_, "fitness_")
    return log_p.exp() * w


def balanced_update(log_policy: ArrayLike, fitness_: ArrayLike) -> Tensor:
    """Return pi_i (w_i - sum_j pi_j w_j): the exact change of the logits under a loss in pi_w - pi_l; sums to zero.

    It is the gradient of sum_j pi_j w_j with respect to the logits: the vanilla policy gradient with reward w.

    Args:
        log_policy: log pi (nats), ``(responses,)``.
        fitness_: w, same shape; a constant may be added.

    Example:
        >>> import math
        >>> balanced_update([math.log(0.5), math.log(0.25), math.log(0.25)], [-1.0, 1.0, 0.0])
        tensor([-0.3750,  0.3125,  0.0625], dtype=torch.float64)
    """
    log_p, w = _both(log_policy, fitness_, "fitness_")
    p = log_p.exp()
    return p * (w - p @ w)


def imbalance(log_policy: ArrayLike, log_utility: ArrayLike, sampling: Sampling = "uniform") -> float:
    """Return E|dL/dpi_w| / E|dL/dpi_l| for DPO with beta = 1 and a uniform reference (ma2025 Definition 1).

    Above 1 the loss is "positively imbalanced", below 1 "negatively", with the probabilities taken as free coordinates.
    Computed from logarithms throughout: the terms of the sums span many orders of magnitude.

    Args:
        log_policy: log pi (nats), ``(responses,)``, all finite.
        log_utility: log u, same shape.
        sampling: how pairs are drawn.

    Example:
        >>> import math
        >>> flat = [math.log(0.5)] * 2
        >>> imbalance(flat, [math.log(3), 0.0])
        1.0
    """
    log_p, log_u = _both(log_policy, log_utility)
    label = logsigmoid(log_u.unsqueeze(1) - log_u)
    urgency = logsigmoid(log_p - log_p.unsqueeze(1))
    log_terms = (pair_log_weights(log_p, sampling) + label + urgency).fill_diagonal_(-torch.inf)
    chosen, rejected = ((log_terms - log_p_of).flatten().logsumexp(0) for log_p_of in (log_p.unsqueeze(1), log_p))
    return float((chosen - rejected).exp())


def preferences(log_policy: ArrayLike, log_utility: ArrayLike, sampling: Sampling = "uniform") -> Preferences:
    """Return the same world as weighted pairs, for ``dynamics``: labels P(i beats j) = u_i / (u_i + u_j).

    Args:
        log_policy: log pi (nats), ``(responses,)``, all finite; used for the weights only.
        log_utility: log u, same shape.
        sampling: how pairs are drawn.

    Example:
        >>> preferences([-0.6931471805599453] * 2, [1.0986122886681098, 0.0]).weight
        tensor([0.7500, 0.2500], dtype=torch.float64)
    """
    log_p, log_u = _both(log_policy, log_utility)
    return preference_matrix(bradley_terry(log_u), sampling=pair_log_weights(log_p, sampling).exp())


def _sigmoid_difference(a: Tensor, b: Tensor) -> Tensor:
    """Return sigma(a) - sigma(b) to full relative accuracy: sigma(a) sigma(-b) (1 - e^(b - a)) for a >= b."""
    high, low = torch.maximum(a, b), torch.minimum(a, b)
    size = torch.sigmoid(high) * torch.sigmoid(-low) * -torch.expm1(low - high)
    return torch.where(a >= b, size, -size)


def _log_policy(value: ArrayLike) -> Tensor:
    log_p = check_log_probs("log_policy", check_finite("log_policy", to_tensor("log_policy", value)))
    if log_p.ndim != 1 or len(log_p) < 2:
        raise InvalidArgument("log_policy", f"shape {tuple(log_p.shape)}", "one distribution, shape (responses >= 2,)")
    return log_p


def _both(log_policy: ArrayLike, other: ArrayLike, name: str = "log_utility") -> tuple[Tensor, Tensor]:
    log_p = _log_policy(log_policy)
    return log_p, check_shape(name, check_finite(name, to_tensor(name, other)), tuple(log_p.shape))
