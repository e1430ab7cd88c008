"""Proposition 3.1 in a constraint met in practice: the policies within a divergence of the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from dynamics.errors import InvalidArgument
from theory.claim import PROVED
from theory.wipf2024.claims import claim


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


@lru_cache(maxsize=1)
def _optima() -> dict[str, np.ndarray]:
    region = TrustRegion((0.6, 0.3, 0.1), 0.05)
    losses = {"rlhf": backward_kl, "dpo": pairwise, "forward": forward_kl}
    return {name: region.optimum(loss) for name, loss in losses.items()} | {"tempered": region.tempered()}


PRINTED = {"rlhf": (0.4592, 0.3360, 0.2048), "dpo": (0.4484, 0.3523, 0.1992), "forward": (0.4656, 0.3249, 0.2095)}


@claim("minimal-trust-region", "not in the paper; an instance of Proposition 3.1", PROVED)
def trust_region(shift=0.0):
    r"""S=\{\pi:\mathrm{KL}(\pi\|\pi_{\mathrm{ref}})\le 0.05\},\ \pi^*=(.6,.3,.1):\quad
    \hat\pi_{\mathrm{RLHF}}=(.4592,.3360,.2048),\quad\hat\pi_{\mathrm{DPO}}=(.4484,.3523,.1992)

    Assumes: one prompt, three responses, uniform reference, $\lambda=1$, all pairs asked equally often
    Because: With two responses the same ball is an interval, and the two agree. The numbers are those of a search in
    floating point along the boundary, and not proved.
    Proof: RLHF's optimum is a tempered $\pi^*$, proportional to its power with the exponent that meets the radius;
    DPO's is not, and neither is that of $\mathrm{KL}(\pi^*\|\pi)$, $(.4656,.3249,.2095)$.
    """
    return all(np.abs(_optima()[name] - np.array(own) - shift).max() < 6e-5 for name, own in PRINTED.items())


def is_tempered(name="rlhf"):
    return bool(np.abs(_optima()[name] - _optima()["tempered"]).max() < 1e-7)


trust_region.numerical(wrong={"shift": 2e-4}, tolerance="minimum over the boundary in float64, to 4 decimals")
trust_region.numerical(
    of=is_tempered, wrong={"name": "forward"}, tolerance="RLHF's optimum is the tempered target to 1e-7"
)
