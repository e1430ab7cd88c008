"""Optima of a trust region by search along its boundary, in float64: a reference for the toy model and the figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from dynamics.errors import InvalidArgument


def backward_kl(policy: np.ndarray, target: np.ndarray) -> float:
    """Return KL(policy, target) in nats: RLHF with beta = 1 up to a constant."""
    return float(policy @ np.log(policy / target))


def forward_kl(policy: np.ndarray, target: np.ndarray) -> float:
    """Return KL(target, policy) in nats."""
    return float(target @ np.log(target / policy))


def pairwise(policy: np.ndarray, target: np.ndarray) -> float:
    """Return DPO's expected loss (nats, mean over pairs): beta = 1, uniform reference, labels from ``target``."""
    wins = target[:, None] / (target[:, None] + target)
    beats = policy[:, None] / (policy[:, None] + policy)
    off = ~np.eye(len(policy), dtype=bool)
    return float(-(wins * np.log(beats))[off].mean() * 2)


Loss = Callable[[np.ndarray, np.ndarray], float]  # of policy and target


@dataclass(frozen=True)
class TrustRegion:
    """The policies over three responses with KL(policy, uniform) <= radius, and a target pi* outside of it.

    Attributes:
        target: pi*, three positive probabilities.
        radius: in nats; less than ln(3/2), so that the region stays inside the simplex.

    Raises:
        InvalidArgument: a target inside the region, or a radius too large.

    Example:
        >>> region = TrustRegion((0.6, 0.3, 0.1), 0.05)
        >>> region.optimum(backward_kl).round(4)
        array([0.4592, 0.336 , 0.2048])
        >>> region.optimum(pairwise).round(4)
        array([0.4484, 0.3523, 0.1992])
    """

    target: tuple[float, float, float]
    radius: float

    def __post_init__(self) -> None:
        if not 0 < self.radius < np.log(1.5):
            raise InvalidArgument("radius", self.radius, "a number of nats between 0 and ln(3/2)")
        if backward_kl(np.array(self.target), np.full(3, 1 / 3)) <= self.radius:
            raise InvalidArgument("target", self.target, "a policy outside of the region")

    def boundary(self, angle: float) -> np.ndarray:
        """Return the policy on the boundary in a direction from the uniform policy; radians."""
        direction = np.cos(angle) * np.array([1, -1, 0]) / np.sqrt(2) + np.sin(angle) * np.array([1, 1, -2]) / np.sqrt(
            6
        )
        furthest = -1 / (3 * direction.min())  # where the first probability reaches 0
        uniform = np.full(3, 1 / 3)

        def excess(length: float) -> float:
            return backward_kl(uniform + length * direction, uniform) - self.radius

        return uniform + brentq(excess, 0.0, furthest * (1 - 1e-12), xtol=1e-15) * direction

    def optimum(self, loss: Loss) -> np.ndarray:
        """Return the policy of the region at which ``loss(policy, target)`` is least.

        Each of the losses here has no stationary point but the target, so that the optimum lies on the boundary.
        """
        target = np.array(self.target)

        def along(angle: float) -> float:
            return loss(self.boundary(angle), target)

        angles = np.linspace(0, 2 * np.pi, 180, endpoint=False)
        nearest = angles[np.argmin([along(angle) for angle in angles])]
        found = minimize_scalar(
            along, bounds=(nearest - 0.04, nearest + 0.04), method="bounded", options={"xatol": 1e-10}
        )
        return self.boundary(float(found.x))

    def tempered(self) -> np.ndarray:
        """Return the policy proportional to a power of the target on the boundary: RLHF's optimum in closed form."""
        logs = np.log(self.target)

        def policy(exponent: float) -> np.ndarray:
            weights = np.exp(exponent * logs)
            return weights / weights.sum()

        uniform = np.full(3, 1 / 3)
        return policy(brentq(lambda a: backward_kl(policy(a), uniform) - self.radius, 0.0, 1.0, xtol=1e-15))
