"""Ties, in closed form: a policy that ignores the prompt, and one that gives two responses the same probability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from dynamics.errors import check_count
from toy_models.constrained.objectives import check_share, dpo, rlhf, three_shares


@dataclass(frozen=True, eq=False)
class TiedPrompts:
    """Both losses of a policy that gives y_1 the same probability p at two prompts, and where each is minimal.

    Attributes:
        probability: p, ``(points,)``.
        rlhf: mean over the prompts of KL(pi, pi*), nats, ``(points,)``.
        dpo: mean over the prompts of DPO's expected loss, nats, ``(points,)``.
        rlhf_optimum: the p at which ``rlhf`` is least: the mean of the logits.
        dpo_optimum: the p at which ``dpo`` is least: the mean of the probabilities.
    """

    probability: np.ndarray
    rlhf: np.ndarray
    dpo: np.ndarray
    rlhf_optimum: float
    dpo_optimum: float


@dataclass(frozen=True)
class TiedResponses:
    """The best policy (s, s, 1 - 2 s) over three responses under each of three objectives; each attribute is an s."""

    rlhf_optimum: float
    dpo_optimum: float
    forward_optimum: float


def tied_prompts(first: float = 0.5, second: float = 0.9, weight: float = 0.5, points: int = 199) -> TiedPrompts:
    """Return both losses and both choices of a policy that ignores the prompt; two prompts, two responses each.

    The set of such policies is convex. Still, RLHF averages logits and DPO averages probabilities, which agree only
    if first = second or, for weight = 1/2, if first + second = 1.

    Args:
        first: pi*(y_1) at the first prompt, in (0, 1); uniform reference and beta = 1.
        second: pi*(y_1) at the second prompt.
        weight: share of the first prompt, in (0, 1).
        points: number of points of the curves.

    Raises:
        InvalidArgument: a number outside its range.

    Source: not in wipf2024; an instance of Proposition 3.1.

    Example:
        >>> world = tied_prompts(0.5, 0.9)
        >>> round(world.rlhf_optimum, 12), round(world.dpo_optimum, 12)
        (0.75, 0.7)
    """
    for name, value in (("first", first), ("second", second), ("weight", weight)):
        check_share(name, value)
    p = np.linspace(0.0, 1.0, check_count("points", points) + 2)[1:-1]
    policies = np.log(np.stack([p, 1 - p], axis=1))
    shares, targets = (weight, 1 - weight), [np.log([q, 1 - q]) for q in (first, second)]

    def averaged(loss: str) -> np.ndarray:
        of = {"rlhf": rlhf, "dpo": dpo}[loss]
        prompts = zip(shares, targets, strict=True)
        return np.sum([share * np.array([of(log_pi, q) for log_pi in policies]) for share, q in prompts], axis=0)

    return TiedPrompts(
        probability=p,
        rlhf=averaged("rlhf"),
        dpo=averaged("dpo"),
        rlhf_optimum=float(expit(weight * logit(first) + (1 - weight) * logit(second))),
        dpo_optimum=weight * first + (1 - weight) * second,
    )


def tied_responses(first: float = 1 / 11, second: float = 9 / 11) -> TiedResponses:
    """Return the choices of RLHF, DPO and the forward divergence among the policies (s, s, 1 - 2 s).

    RLHF takes the geometric mean of what the target gives the tied responses, against the third. DPO's s / (1 - s) is
    the mean of P(y_1 beats y_3) and P(y_2 beats y_3). The forward divergence keeps the mass of the pair.

    Args:
        first: pi*(y_1), in (0, 1); uniform reference and beta = 1.
        second: pi*(y_2); the rest, > 0, is pi*(y_3).

    Raises:
        InvalidArgument: shares that leave nothing for the third response.

    Source: not in wipf2024; an instance of Proposition 3.1 in which DPO is not the forward divergence either.

    Example:
        >>> from fractions import Fraction
        >>> world = tied_responses(1 / 11, 9 / 11)
        >>> [str(Fraction(s).limit_denominator(100)) for s in (world.rlhf_optimum, world.dpo_optimum)]
        ['3/7', '7/17']
        >>> str(Fraction(world.forward_optimum).limit_denominator(100))
        '5/11'
    """
    a, b, c = three_shares(first, second)
    ratio = np.sqrt(a * b) / c  # s / (1 - 2 s)
    wins = (a / (a + c) + b / (b + c)) / 2  # s / (1 - s)
    return TiedResponses(float(ratio / (1 + 2 * ratio)), float(wins / (1 + wins)), float((a + b) / 2))
