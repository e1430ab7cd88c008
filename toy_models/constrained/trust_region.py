"""Three responses and a trust region: the policies within a divergence of the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, root
from scipy.special import log_softmax

from dynamics.errors import InvalidArgument, check_count, is_finite
from toy_models.constrained.objectives import dpo_gradient, forward_gradient, rlhf, rlhf_gradient, three_shares

UNIFORM = np.full(3, -np.log(3))


@dataclass(frozen=True, eq=False)
class TrustRegion:
    """The policies over three responses with KL(pi, uniform) <= radius, and the best of them by three objectives.

    Attributes:
        target: pi*, probabilities, ``(3,)``.
        rlhf: RLHF's choice in the region, ``(3,)``: a tempered target.
        dpo: DPO's choice, ``(3,)``.
        forward: the choice of KL(pi*, pi), ``(3,)``.
        boundary: policies around the edge of the region, ``(points, 3)``, first and last the same.
    """

    target: np.ndarray
    rlhf: np.ndarray
    dpo: np.ndarray
    forward: np.ndarray
    boundary: np.ndarray


def trust_region(first: float = 0.6, second: float = 0.3, radius: float = 0.05, points: int = 181) -> TrustRegion:
    """Return the optimal policies of RLHF, DPO and the forward KL in a trust region around the uniform reference.

    If the target pi* is inside the region, it is the optimum of all three; if it is outside, their optima differ.
    With two responses instead of three the region is an interval, and RLHF and DPO agree (``two_responses``).

    Args:
        first: pi*(y_1), at least 0.001.
        second: pi*(y_2), at least 0.001; the rest, also at least 0.001, is pi*(y_3).
        radius: in nats, at least 1e-9 and less than ln(3/2), so that the region stays inside the simplex.
        points: number of points of the boundary.

    Raises:
        InvalidArgument: a number outside its range.

    Source: not in wipf2024; an instance of Proposition 3.1.

    Example:
        >>> world = trust_region(0.6, 0.3, 0.05)
        >>> world.rlhf.round(4), world.dpo.round(4)
        (array([0.4592, 0.336 , 0.2048]), array([0.4484, 0.3523, 0.1992]))
        >>> world.forward.round(4)
        array([0.4656, 0.3249, 0.2095])
    """
    target = three_shares(first, second)
    if target.min() < 1e-3:
        raise InvalidArgument("first, second", tuple(target), "three shares of at least 0.001 each")
    if not is_finite(radius) or not 1e-9 <= radius < np.log(1.5):
        raise InvalidArgument("radius", radius, "a number of nats between 1e-9 and ln(3/2) = 0.4055")
    log_target = np.log(target)

    def best(gradient: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        inside = rlhf(log_target, UNIFORM) <= radius
        return target.copy() if inside else _on_the_edge(log_target, radius, gradient)

    return TrustRegion(
        target=target,
        rlhf=best(rlhf_gradient),
        dpo=best(dpo_gradient),
        forward=best(forward_gradient),
        boundary=_boundary(radius, check_count("points", points, minimum=3)),
    )


def _on_the_edge(
    log_target: np.ndarray, radius: float, gradient: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Solve the conditions of Karush, Kuhn and Tucker: gradient + multiplier * gradient of the divergence = 0."""

    def tempered(power: float) -> np.ndarray:
        return log_softmax(power * log_target)

    power = brentq(lambda a: rlhf(tempered(a), UNIFORM) - radius, 0.0, 1.0, xtol=1e-15)
    start = tempered(power)

    def conditions(unknown: np.ndarray) -> np.ndarray:
        log_pi = log_softmax(np.append(unknown[:2], 0.0))
        balance = gradient(log_pi, log_target) + unknown[2] * rlhf_gradient(log_pi, UNIFORM)
        return np.append(balance[:2], rlhf(log_pi, UNIFORM) - radius)

    # at the tempered target RLHF's gradient is 1 - 1 / power times that of the divergence
    found = root(conditions, np.append(start[:2] - start[2], 1 / power - 1), tol=1e-13)
    if np.abs(conditions(found.x)).max() > 1e-10 or found.x[2] < 0:
        raise ArithmeticError(
            f"scipy found no optimum on the boundary of the region of radius {radius:g}: {found.message}"
        )
    return np.exp(log_softmax(np.append(found.x[:2], 0.0)))


def _boundary(radius: float, points: int) -> np.ndarray:
    angle = np.linspace(0.0, 2 * np.pi, points)
    across, up = np.array([1, -1, 0]) / np.sqrt(2), np.array([1, 1, -2]) / np.sqrt(6)

    def policy(direction: np.ndarray) -> np.ndarray:
        def excess(length: float) -> float:
            return rlhf(np.log1p(3 * length * direction) + UNIFORM, UNIFORM) - radius

        furthest = -1 / (3 * direction.min())  # where the first probability reaches 0
        return 1 / 3 + brentq(excess, 0.0, furthest * (1 - 1e-12), xtol=1e-15) * direction

    return np.stack([policy(np.cos(a) * across + np.sin(a) * up) for a in angle])
