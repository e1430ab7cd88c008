"""Mode covering and mode following (after Proposition 3.1, Figure 1): a target with two modes, policies with one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction as F
from functools import lru_cache

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from theory.claim import CONDITIONALLY
from theory.evidence import CONDITIONAL
from theory.proof import exp, log
from theory.wipf2024.claims import claim
from theory.wipf2024.constraints import SKEWED
from theory.wipf2024.objectives import minimisers, pair

GRID = np.linspace(-4.0, 4.0, 81)
"""The responses: points on a line."""

Loss = Callable[[np.ndarray], float]


@dataclass(frozen=True, eq=False)
class Modes:
    """The target pi* and the best one-bump policies by three objectives, each an array of log-probabilities on GRID.

    Attributes:
        target: log pi*; also what DPO and RLHF both reach without a constraint.
        rlhf: the best bump by KL(pi, pi*).
        dpo: the best bump by the expected loss of DPO over all pairs.
        forward: the best bump by KL(pi*, pi).
    """

    target: np.ndarray
    rlhf: np.ndarray
    dpo: np.ndarray
    forward: np.ndarray


def bump(mean: float, deviation: float) -> np.ndarray:
    """Return the log-probabilities of a Gaussian on GRID, normalised there.

    Example:
        >>> float(np.exp(bump(0.0, 1.0)).sum().round(12))
        1.0
    """
    return log_softmax(-0.5 * ((GRID - mean) / deviation) ** 2)


def moments(log_pi: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation of a policy on GRID."""
    pi = np.exp(log_pi)
    mean = float(pi @ GRID)
    return mean, float(np.sqrt(pi @ (GRID - mean) ** 2))


def expected_dpo(log_pi: np.ndarray, target: np.ndarray) -> float:
    """Return DPO's expected loss (nats, mean over pairs) with labels from ``target``, uniform reference, beta = 1."""
    margins, wins = (logs[:, None] - logs for logs in (log_pi, target))
    off = ~np.eye(len(log_pi), dtype=bool)
    # both orders of a pair together are its cross-entropy
    return float(2 * (np.logaddexp(0, -margins) / (1 + np.exp(-wins)))[off].mean())


@lru_cache(maxsize=1)
def constrained_optima(weight: float = 0.65, distance: float = 1.6, deviation: float = 0.5) -> Modes:
    """Return the best bumps for the target weight N(distance, deviation) + (1 - weight) N(-distance, deviation).

    DPO and the forward divergence are convex in the natural parameters (mean / variance, -1 / (2 variance)) of a bump;
    the backward divergence is not, and is minimised from six starts.
    """
    target = np.logaddexp(np.log(weight) + bump(distance, deviation), np.log(1 - weight) + bump(-distance, deviation))

    def best(loss: Loss, starts: tuple[tuple[float, float], ...]) -> np.ndarray:
        def of(parameters: np.ndarray) -> float:
            return loss(bump(parameters[0], np.exp(parameters[1])))

        found = [
            minimize(of, np.array(start), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-14})
            for start in starts
        ]
        least = min(found, key=lambda result: float(result.fun))
        return bump(least.x[0], np.exp(least.x[1]))

    six = tuple((mean, log_sd) for mean in (-1.6, 0.0, 1.6) for log_sd in (-1.0, 0.5))
    return Modes(
        target=target,
        rlhf=best(lambda log_pi: float(np.exp(log_pi) @ (log_pi - target)), six),
        dpo=best(lambda log_pi: expected_dpo(log_pi, target), six[2:4]),
        forward=best(lambda log_pi: -float(np.exp(target) @ log_pi), six[2:4]),
    )


# --- the same for a finite set of bumps, where every comparison is certain -----------------------------------------

RESPONSES = [F(k, 5) for k in range(-20, 21, 2)]
BUMPS = [(F(mean, 5), F(deviation, 5)) for mean in range(-10, 11, 2) for deviation in range(2, 13)]


def weights(mean, deviation):
    """Return a Gaussian on RESPONSES, normalised there, in balls."""
    heights = [exp(-(((x - mean) / deviation) ** 2) / 2) for x in RESPONSES]
    return [height / sum(heights) for height in heights]


@lru_cache(maxsize=1)
def two_humps():
    right, left = weights(F(8, 5), F(1, 2)), weights(F(-8, 5), F(1, 2))
    return [F(65, 100) * a + F(35, 100) * b for a, b in zip(right, left, strict=True)]


def backward_divergence(pi):
    return sum(p * log(p / q) for p, q in zip(pi, two_humps(), strict=True))


def forward_divergence(pi):
    return sum(q * log(q / p) for p, q in zip(pi, two_humps(), strict=True))


def sum_over_pairs(pi):
    """Return DPO's expected loss over all pairs: uniform reference, beta = 1, labels from the target."""
    target, total = two_humps(), F(0)
    for i, p in enumerate(pi):
        for j, q in enumerate(pi[:i]):
            total += log(p + q) - (target[i] * log(p) + target[j] * log(q)) / (target[i] + target[j])
    return total


@lru_cache(maxsize=3)
def best_bump(objective):
    """Return mean and deviation of the bump at which an objective is less than at every other one."""
    return min((objective(weights(*bump)), bump) for bump in BUMPS)[1]


@claim("mode-covering", "final step of Appendix C; Figure 1", CONDITIONALLY)
def mode_covering(chosen):
    r"""\mathrm{KL}(\pi\|\pi^*)\ \text{(RLHF) follows a mode of}\ \pi^*,\qquad
    \mathrm{KL}(\pi^*\|\pi)\ \text{(DPO) covers the modes}

    Assumes: enough responses for a target with two modes, and policies with one: here 21 responses on a line and 121
    bumps of the Gaussian shape, with means from -2 to 2 and deviations from 0.4 to 2.4
    Because: With two responses and intervals, the setting of the proof, both choose the same policy. And what covers
    the modes is not the forward divergence: DPO's own optimum is narrower than its.
    Proof: No theorem: the objectives of all bumps enclosed at one target, of modes at 1.6 and -1.6 with the weights
    0.65 and 0.35. The set of policies may be any; with bumps of every mean and deviation a search in floating point
    finds the same.
    """
    by_rlhf, by_dpo = chosen
    return by_rlhf != by_dpo


def of_two_responses(points):
    """Return what RLHF and DPO choose of the policies with these probabilities of the first of two responses."""
    policies = tuple(map(pair, points))
    return tuple(minimisers(loss, policies) for loss in (SKEWED.rlhf, SKEWED.dpo))


def follow_and_cover(most=F(7, 10)):
    covers = sum_over_pairs, forward_divergence
    (mean, narrow), others = best_bump(backward_divergence), [best_bump(objective) for objective in covers]
    wide = all(abs(middle) < 1 and deviation > 2 * narrow for middle, deviation in others)
    parted = mode_covering((best_bump(backward_divergence), best_bump(covers[0])))
    return parted and mean == F(8, 5) and narrow < most and wide


def is_narrower(deviation=F(7, 5)):
    return best_bump(sum_over_pairs)[1] == deviation < best_bump(forward_divergence)[1]


def bumps_of_every_size(names=("rlhf", "dpo", "forward")):
    (mean, narrow), *others = (moments(getattr(constrained_optima(), name)) for name in names)
    wide = all(abs(middle) < 1 and deviation > 2 * narrow for middle, deviation in others)
    return mean > 1.2 and 0.4 < narrow < 0.6 and wide


def matches_moments(name="forward"):
    modes = constrained_optima()
    return bool(np.allclose(moments(getattr(modes, name)), moments(modes.target), rtol=0, atol=1e-4))


mode_covering.false(at=of_two_responses((F(1, 4), F(1, 2), F(5, 8))), true_at=of_two_responses((F(1, 4), F(99, 100))))
mode_covering.enclosed(of=follow_and_cover, role=CONDITIONAL, wrong={"most": F(3, 5)})
mode_covering.enclosed(of=is_narrower, wrong={"deviation": F(3, 2)}, also=True)
mode_covering.numerical(
    of=bumps_of_every_size,
    wrong={"names": ("dpo", "rlhf", "forward")},
    tolerance="bumps of every mean and deviation on 81 responses: RLHF's has mean > 1.2 and deviation 0.4 to 0.6, the "
    "others |mean| < 1 and over twice that deviation",
    also=True,
)
mode_covering.numerical(
    of=matches_moments,
    wrong={"name": "dpo"},
    tolerance="of bumps of every size, the forward divergence matches mean and deviation of the target to 1e-4",
    also=True,
)
