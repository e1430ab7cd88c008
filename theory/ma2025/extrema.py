"""Theorem 3: where w and w pi have their extremes, if policy and utility have one hump each.

Smooth counterexamples are certain: slopes are enclosed on whole intervals. Discrete extremes of a finite response set
are decided in fractions.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction as F
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit

from theory.claim import CONDITIONALLY, FALSE, PROVED
from theory.evidence import CONDITIONAL, FAILS
from theory.ma2025.covariance import claim
from theory.ma2025.extrema_proof import (
    AT_POLICY_MODE,
    BETWEEN,
    fitness_on_grid,
    theorem_3_anchor,
)
from theory.proof import Named, derivative, exp, log, setting
from theory.worlds import Vector

Curve = Callable[[Any], tuple[Any, Any]]  # logarithm, up to a constant, and its derivative


class Landscape(NamedTuple):
    """A policy and a utility on the line, compared with the responses 0, ..., size - 1."""

    policy: Curve
    utility: Curve
    size: int

    def fitness(self, y: Any) -> Any:
        """Return w(y)."""
        return sum(won - held for won, held in self._odds(y))

    def fitness_slope(self, y: Any) -> Any:
        """Return w'(y)."""
        p_slope, q_slope = self.policy(y)[1], self.utility(y)[1]
        return sum(won * (1 - won) * q_slope - held * (1 - held) * p_slope for won, held in self._odds(y))

    def product_slope(self, y: Any, of: str = "policy") -> Any:
        """Return (w pi)' / pi, or the same with the utility in the place of pi."""
        return self.fitness_slope(y) + getattr(self, of)(y)[1] * self.fitness(y)

    def _odds(self, y: Any) -> list[tuple[Any, Any]]:
        def odds(curve, j):
            return F(1) / (1 + exp(curve(F(j))[0] - curve(y)[0]))

        return [(odds(self.utility, j), odds(self.policy, j)) for j in range(self.size)]


def bell(mode: int, curvature: F) -> Curve:
    """Return a Gaussian bell."""
    return lambda y: (-curvature * (y - mode) ** 2 / 2, -curvature * (y - mode))


def late_drop(y):
    """Return a hump at 0 that falls as a bell up to 3 and much faster from there."""
    beyond = y - 3 if y > 3 else 0 * y
    return -(y**2) / 20 - beyond**3 / 3, -y / 10 - beyond**2


def two_bells(y):
    """Return bells at 0 and, a little lower, at 4."""
    first, second = exp(-(y**2)), F(9, 10) * exp(-((y - 4) ** 2))
    return log(first + second), -2 * (y * first + (y - 4) * second) / (first + second)


LATE_DROP = Landscape(late_drop, bell(1, F(1, 5)), 6)
"""A policy that drops late: w has a maximum at 1.817, where it is still negative."""

SECOND_HUMP = Landscape(two_bells, bell(8, F(1, 20)), 9)
PEAK = (F(181, 100), F(183, 100))


def peak_of_w(low: F = PEAK[0], high: F = PEAK[1]) -> bool:
    return LATE_DROP.fitness_slope(low) > 0 > LATE_DROP.fitness_slope(high)


def negative_there(y, level=F(0)):
    return LATE_DROP.fitness(y) < level


@claim("theorem-3", "Theorem 3, first statement; proof, Eq. (46)", PROVED)
def theorem_3(s, least=0):
    r"""y^*\ \text{local extremum of}\ w\implies y^*>\mu_q\ \text{or}\ y^*<\mu_p

    Assumes: $\mu_p<\mu_q$; policy and utility are differentiable, rise up to their modes and fall after them, strictly
    (decay at infinity alone is not enough: with a second hump of the policy it fails); y is continuous
    Proof: $w'=\sum_j[q'q_j/(q+q_j)^2-p'p_j/(p+p_j)^2]$, and from $\mu_p$ to $\mu_q$ there is $p'\le 0\le q'$, not both
    zero.
    """
    return s.slope > least


def rises_and_falls_between_modes(first: F = F(1), then: F = F(5, 2)) -> bool:
    return SECOND_HUMP.fitness_slope(first) > 0 > SECOND_HUMP.fitness_slope(then)


theorem_3.by_induction(**BETWEEN, wrong={"least": F(1, 100)}, lemma="Fermat")
theorem_3.enclosed(of=rises_and_falls_between_modes, wrong={"then": F(2)}, also=True)


def product(t, w, slope, f_p):
    """Return w pi at y + t over pi(y), for a line and an exponential curve that have their values and slopes at y."""
    return (w + slope * t) * exp(-f_p * t)


def slope_of_product(t, w, slope, f_p):
    return (slope - f_p * (w + slope * t)) * exp(-f_p * t)


@setting("w' > 0 at mu_p, as ma2025.theorem-3-anchor says; any w, w' and f_p at another point")
def mode_and_another_point(numbers):
    """The mode of the policy and any other point."""
    mode = numbers.case_of(AT_POLICY_MODE["states"], theorem_3_anchor, keep="slope of_48")
    w, slope, f_p = (numbers.real(name) for name in ("w", "w_slope", "f_p"))
    of_product = derivative(product, slope_of_product)
    at_mode, there = of_product(0, numbers.real("w_at_mode"), mode.slope, 0), of_product(0, w, slope, f_p)
    return Named(at_mode=at_mode, there=there, slope=slope, w=w, f_p=f_p)


@cache
def at_the_mode(place, of):
    return LATE_DROP.product_slope(place, of)


def rises_before_the_peak(y, least=F(0)):
    """Return whether w pi rises at y, and at the mode of the policy, so that the second statement fails."""
    there, f_p = LATE_DROP.product_slope(y), -LATE_DROP.policy(PEAK[0])[1]
    peak = Named(at_mode=at_the_mode(F(0), "policy"), there=there, slope=0, f_p=f_p)
    return there > least and not theorem_3_part_2(peak)


def rises_in_the_mirror(y, least=F(0)):
    """Return the same of the third statement, with the roles exchanged: the utility has its mode at 1."""
    there, f_p = LATE_DROP.product_slope(y, "utility"), LATE_DROP.utility(PEAK[0])[1]
    peak = Named(at_mode=at_the_mode(F(1), "utility"), there=there, slope=0, f_p=f_p)
    return there > least and not theorem_3_part_3(peak)


@claim("theorem-3-part-2", "Theorem 3, second statement; proof, Eqs. (47)-(51)", CONDITIONALLY, "theorem-3-anchor")
def theorem_3_part_2(c, least=0):
    r"""y^*>\mu_q\ \text{local extremum of}\ w\implies\exists\ \text{local extremum}\ \hat y^*\ \text{of}\ w\pi,\
    \mu_p<\hat y^*<y^*

    Assumes: $w(y^*)>0$; one hump each, $\mu_p<\mu_q$
    Because: An extremum beyond $\mu_q$ can have $w(y^*)<0$; there $w\pi$ may still be rising. It takes a policy that
    drops late: $\log p=-y^2/20-\max(0,y-3)^3/3$ and $\log q=-(y-1)^2/10$ over the responses 0 to 5 have an extremum of
    $w$ in $(1.81,1.83)$ and none of $w\pi$ in $(0,1.83)$. No Gaussian example was found.
    Proof: $w\pi$ rises at $\mu_p$ and falls at $y^*$ (see theorem-3-anchor), so it is largest between.
    """
    return c.slope > 0 or c.f_p <= 0 or c.at_mode > least > c.there


BETWEEN_THEM: dict[str, Any] = {
    "over": mode_and_another_point,
    "lemma": "Fermat, compactness",
    "wrong": {"least": F(1, 10)},
    "worlds": 20,
}
theorem_3_part_2.enclosed(0, PEAK[1], of=rises_before_the_peak, role=FAILS, wrong={"least": F(1, 5)})
theorem_3_part_2.enclosed(of=peak_of_w, role=FAILS, wrong={"low": PEAK[1]}, lemma="intermediate value")
theorem_3_part_2.enclosed(*PEAK, of=negative_there, wrong={"level": F(-1, 5)}, also=True)
theorem_3_part_2.rests_on(theorem_3_anchor, role=CONDITIONAL)
theorem_3_part_2.proved(given=lambda c: c.w > 0, **BETWEEN_THEM)


@claim("theorem-3-part-3", "Theorem 3, third statement; end of the proof", CONDITIONALLY, "theorem-3-anchor")
def theorem_3_part_3(c, least=0):
    r"""y^*<\mu_q\ \text{local extremum of}\ w\implies\exists\ \text{local extremum}\ \hat y^*\ \text{of}\ w\pi,\
    y^*<\hat y^*<\mu_p

    Assumes: $w(y^*)<0$; one hump each, $\mu_p<\mu_q$ (then $y^*<\mu_q$ means $y^*<\mu_p$, by the first statement)
    Because: An extremum before $\mu_p$ can have $w(y^*)>0$; there $w\pi$ may rise from $y^*$ to $\mu_p$. The example is
    the mirror image of that of the second statement with the roles exchanged, under which $w(y)$ becomes $-w(-y)$:
    there the utility times $w$ has no extremum in $(1,1.83)$. No Gaussian example was found.
    Proof: $w\pi$ falls at $y^*$ and rises at $\mu_p$ (see theorem-3-anchor), so it is smallest between.
    """
    return c.slope > 0 or c.f_p >= 0 or c.at_mode > least > c.there


theorem_3_part_3.enclosed(1, PEAK[1], of=rises_in_the_mirror, role=FAILS, wrong={"least": F(1, 10)})
theorem_3_part_3.enclosed(of=peak_of_w, role=FAILS, wrong={"low": PEAK[1]}, lemma="intermediate value")
theorem_3_part_3.rests_on(theorem_3_anchor, role=CONDITIONAL)
theorem_3_part_3.proved(given=lambda c: c.w < 0, **BETWEEN_THEM)


# --- bells: no counterexample to the other two statements was found ------------------------------------------------


def extremes_of_bells(modes: np.ndarray, curvatures: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where w, and where w pi, changes from rising to falling or back, on a fine grid in float64."""
    y = np.linspace(-6, count + 5, 1000)[:, None]
    (p, p_slope), (q, q_slope) = ((-a * (y - m) ** 2 / 2, -a * (y - m)) for m, a in zip(modes, curvatures, strict=True))
    won, held = (
        expit(log + a * (np.arange(count) - m) ** 2 / 2)
        for log, m, a in zip((q, p), modes[::-1], curvatures[::-1], strict=True)
    )
    slope = (won * (1 - won) * q_slope - held * (1 - held) * p_slope).sum(1)
    product = slope + p_slope[:, 0] * (won - held).sum(1)
    places = (y[:-1, 0] + y[1:, 0]) / 2
    return places[slope[:-1] * slope[1:] < 0], places[product[:-1] * product[1:] < 0]


def bells_meet_the_statements(nearer: bool = False, cases: int = 100) -> bool:
    """Return whether every extremum of w beyond a mode has one of w pi nearer to mu_p (``nearer``: to mu_q)."""
    source = np.random.default_rng(0)
    for _ in range(cases):
        count = int(source.integers(4, 16))
        (mu_p, mu_q), curvatures = np.sort(source.uniform(0, count - 1, 2)), 1 / source.uniform(0.7, 5, 2) ** 2
        of_w, of_product = extremes_of_bells(np.array((mu_p, mu_q)), curvatures, count)
        low = mu_q if nearer else mu_p
        for y in of_w:
            between = (of_product > low) & (of_product < y) if y > mu_q else (of_product > y) & (of_product < low)
            if mu_p < y < mu_q or not between.any():
                return False
    return True


SCAN = "100 pairs of bells with widths from 0.7 to 5 over 4 to 15 responses, slopes compared at 1000 points"
theorem_3_part_2.numerical(of=bells_meet_the_statements, wrong={"nearer": True}, tolerance=SCAN, also=True)


# --- on a grid -----------------------------------------------------------------------------------------------------


class Grid(NamedTuple):
    """Policy and utility on a few responses, as powers of a base."""

    base: F
    log_p: tuple[int, ...]
    log_q: tuple[int, ...]


@claim(
    "theorem-3-on-a-grid",
    "Theorem 3 for discrete extremes of a finite response set, as in Figure 1",
    FALSE,
    "theorem-3",
)
def theorem_3_on_a_grid(case: Grid, part: int = 0) -> bool:
    r"""k\ \text{a discrete extremum of}\ w\implies k\notin[\mu_p,\mu_q]\ \text{and the other two statements}

    Assumes: strictly log-concave policy and utility, modes at responses
    Because: Between neighbours a discrete extremum can sit at a mode, and there is no room for another one between a
    response and its neighbour: the first and the third statement fail on 3 and 4 responses, the second on 5. In the
    last of these examples both curves are Gaussian.
    """
    policy, utility = (tuple(case.base**k for k in powers) for powers in (case.log_p, case.log_q))
    mode_p, mode_q = policy.index(max(policy)), utility.index(max(utility))
    w = fitness_on_grid(policy, utility)
    of_w, of_product = (discrete_extremes(v) for v in (w, tuple(a * b for a, b in zip(w, policy, strict=True))))
    first = not any(mode_p <= k <= mode_q for k in of_w)
    second = all(any(mode_p < h < k for h in of_product) for k in of_w if k > mode_q)
    third = all(any(k < h < mode_p for h in of_product) for k in of_w if k < mode_p)
    return (first, second, third)[part]


def discrete_extremes(values: Vector) -> list[int]:
    """Return the inner places whose value is above, or below, that of both neighbours.

    Example:
        >>> discrete_extremes((F(0), F(2), F(1), F(1), F(3)))
        [1]
    """
    return [k for k in range(1, len(values) - 1) if (values[k] - values[k - 1]) * (values[k] - values[k + 1]) > 0]


WIDE = Grid(F(11, 10), *(tuple(-((k - mode) ** 2) for k in range(12)) for mode in (4, 7)))
AT_MODE = Grid(F(2), (0, -1, -3), (-1, 0, -2))
LATE = Grid(F(11, 10), (0, -1, -3, -6, -15), (0, 1, 0, -3, -7))
BELLS = Grid(F(2), (-4, -1, 0, -1), (-9, -4, -1, 0))

theorem_3_on_a_grid.false(at=AT_MODE, true_at=WIDE)
theorem_3_on_a_grid.false(at=LATE, true_at=WIDE, part=1)
theorem_3_on_a_grid.false(at=BELLS, true_at=WIDE, part=2)
