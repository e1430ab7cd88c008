"""Theorem 3: where w and w pi have their extremes, if policy and utility have one hump each.

Smooth curves in float64, compared at whole numbers; extremes are the zeros of derivatives in closed form. Discrete
extremes of a finite response set are decided in fractions.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction as F
from functools import cached_property, partial

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from dynamics.errors import InvalidArgument
from theory.claim import CONDITIONALLY, FALSE, PROVED, claim
from theory.evidence import ALSO, Evidence
from theory.ma2025.extrema_proof import Jet, between_modes, fitness_on_grid
from theory.worlds import Vector

POINTS = 900
MARGIN = 6.0  # how far beyond the responses extremes are looked for


@dataclass(frozen=True)
class Hump:
    """A curve with one hump: the slope of its logarithm is -a d (1 + rho cos(omega d)) - s c max(0, s d - k)^2.

    d is the distance from the mode. The cosine takes log-concavity away; the last term makes one side fall faster.

    Attributes:
        mode: where it is largest.
        curvature: a > 0.
        roughness: rho, from 0 to below 1.
        frequency: omega > 0.
        drop: c >= 0.
        drop_at: k >= 0.
        side: s, 1 or -1.
    """

    mode: float
    curvature: float
    roughness: float = 0.0
    frequency: float = 1.0
    drop: float = 0.0
    drop_at: float = 0.0
    side: int = 1

    def log(self, y: np.ndarray) -> np.ndarray:
        """Return the logarithm of the curve, up to a constant."""
        d, omega = y - self.mode, self.frequency
        rough = self.roughness * (d * np.sin(omega * d) / omega + np.cos(omega * d) / omega**2)
        return -self.curvature * (d**2 / 2 + rough) - self.drop * np.maximum(0, self.side * d - self.drop_at) ** 3 / 3

    def log_slope(self, y: np.ndarray) -> np.ndarray:
        """Return the derivative of ``log``."""
        d = y - self.mode
        wave = 1 + self.roughness * np.cos(self.frequency * d)
        beyond = np.maximum(0, self.side * d - self.drop_at)
        return -self.curvature * d * wave - self.side * self.drop * beyond**2

    def __str__(self) -> str:
        """Return the slope of the logarithm as a formula in d, the distance from the mode."""
        wave = f" (1 + {self.roughness:g} cos({self.frequency:g} d))" if self.roughness else ""
        sign, d = ("- ", "d") if self.side > 0 else ("+ ", "-d")
        drop = f" {sign}{self.drop:g} max(0, {d} - {self.drop_at:g})^2" if self.drop else ""
        return f"mode {self.mode:g}, slope of the logarithm -{self.curvature:g} d{wave}{drop}"

    def mirrored(self) -> Hump:
        """Return the curve with y -> -y."""
        numbers = (self.curvature, self.roughness, self.frequency, self.drop, self.drop_at)
        return Hump(-self.mode, *numbers, side=-self.side)


@dataclass(frozen=True)
class TwoBells:
    """A curve of two Gaussian bells of equal width: decays super-exponentially, but has two humps."""

    mode: float
    second: float
    weight: float
    variance: float

    def log(self, y: np.ndarray) -> np.ndarray:
        """Return the logarithm of the curve, up to a constant."""
        first, second = self._parts(y)
        return np.logaddexp(first, second)

    def log_slope(self, y: np.ndarray) -> np.ndarray:
        """Return the derivative of ``log``."""
        first, second = self._parts(y)
        share = expit(second - first)
        return -((1 - share) * (y - self.mode) + share * (y - self.second)) / self.variance

    def _parts(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first, second = (-((y - mode) ** 2) / (2 * self.variance) for mode in (self.mode, self.second))
        return first, second + np.log(self.weight)


@dataclass(frozen=True)
class Landscape:
    """A policy and a utility on the line, compared with the responses ``first`` .. ``first + count - 1``.

    Example:
        >>> case = Landscape(Hump(45, 0.01), Hump(55, 0.01), 0, 100)  # the first row of Figure 1
        >>> case.of_fitness.round(2), case.of_product.round(2)
        (array([24.09, 75.94]), array([37.02, 58.27]))
    """

    policy: Hump | TwoBells
    utility: Hump | TwoBells
    first: int
    count: int

    def fitness(self, y: np.ndarray) -> np.ndarray:
        """Return w(y)."""
        wins, held = self._odds(y)
        return (expit(wins) - expit(held)).sum(-1)

    def fitness_slope(self, y: np.ndarray) -> np.ndarray:
        """Return w'(y)."""
        wins, held = self._odds(y)
        rise = expit(wins) * expit(-wins) * self.utility.log_slope(y)[..., None]
        return (rise - expit(held) * expit(-held) * self.policy.log_slope(y)[..., None]).sum(-1)

    def product_slope(self, y: np.ndarray) -> np.ndarray:
        """Return g(y) = (w pi)' / pi."""
        return self.fitness_slope(y) + self.policy.log_slope(y) * self.fitness(y)

    @cached_property
    def of_fitness(self) -> np.ndarray:
        """Return the places of the extremes of w."""
        return self._zeros("fitness_slope")

    @cached_property
    def of_product(self) -> np.ndarray:
        """Return the places of the extremes of w pi."""
        return self._zeros("product_slope")

    def mirrored(self) -> Landscape:
        """Return the case with y -> -y and the roles of policy and utility exchanged; w becomes -w(-y)."""
        if isinstance(self.policy, TwoBells) or isinstance(self.utility, TwoBells):
            raise InvalidArgument("policy, utility", "a curve with two humps", "curves with one hump")
        first = -(self.first + self.count - 1)
        return Landscape(self.utility.mirrored(), self.policy.mirrored(), first, self.count)

    def __str__(self) -> str:
        """Return both curves and the responses."""
        rows = (f"policy: {self.policy}", f"utility: {self.utility}")
        return "\n".join((*rows, f"responses {self.first} to {self.first + self.count - 1}"))

    def _odds(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        responses = np.arange(self.first, self.first + self.count, dtype=float)
        y = np.asarray(y, dtype=float)
        wins, held = (curve.log(y)[..., None] - curve.log(responses) for curve in (self.utility, self.policy))
        return wins, held

    def _zeros(self, name: str) -> np.ndarray:
        slope = getattr(self, name)
        y = np.linspace(self.first - MARGIN, self.first + self.count - 1 + MARGIN, POINTS)
        values = slope(y)
        change = np.nonzero(np.sign(values[:-1]) * np.sign(values[1:]) < 0)[0]
        return np.array([brentq(slope, y[k], y[k + 1], xtol=1e-12) for k in change])


def part_1(case: Landscape) -> bool:
    """Return whether no extremum of w lies from mu_p to mu_q."""
    y = case.of_fitness
    return not bool(((y >= case.policy.mode) & (y <= case.utility.mode)).any())


def part_2(case: Landscape, *, nearer: bool = False) -> bool:
    """Return whether every extremum of w beyond mu_q has one of w pi between mu_p (``nearer``: mu_q) and itself."""
    low = case.utility.mode if nearer else case.policy.mode
    return all(bool(((case.of_product > low) & (case.of_product < y)).any()) for y in beyond(case))


def part_3(case: Landscape, *, farther: bool = False) -> bool:
    """Return whether every extremum of w before mu_p has one of w pi between itself and mu_p (``farther``: below)."""
    if farther:
        return all(bool((case.of_product < y).any()) for y in before(case))
    return all(bool(((case.of_product > y) & (case.of_product < case.policy.mode)).any()) for y in before(case))


def beyond(case: Landscape) -> np.ndarray:
    """Return the extremes of w above mu_q."""
    return case.of_fitness[case.of_fitness > case.utility.mode]


def before(case: Landscape) -> np.ndarray:
    """Return the extremes of w below mu_p."""
    return case.of_fitness[case.of_fitness < case.policy.mode]


LATE_DROP = Landscape(Hump(0, 0.1, drop=1.0, drop_at=3.0), Hump(1, 0.2), 0, 6)
"""A policy that drops late: w has a maximum at 1.817, where it is still negative."""

BELLS = Landscape(Hump(2, 0.1), Hump(6, 0.1), 0, 9)
FAR_BELLS = Landscape(Hump(30, 0.01), Hump(70, 0.01), 0, 100)
SECOND_HUMP = Landscape(TwoBells(0, 4, 0.9, 0.5), Hump(8, 0.05), 0, 9)


def landscape(source: random.Random) -> Landscape:
    """Draw two curves with one hump, mu_p < mu_q; a third of them are like LATE_DROP."""
    if source.random() < 1 / 3:
        policy = Hump(0, source.uniform(0.095, 0.105), drop=source.uniform(0.9, 1.1), drop_at=3.0)
        return Landscape(policy, Hump(1, source.uniform(0.19, 0.21)), 0, 6)
    count = source.randint(4, 12)
    modes = sorted(source.uniform(0, count - 1) for _ in range(2))

    def hump(mode: float) -> Hump:
        shape = (source.uniform(0.02, 0.5), source.uniform(0, 0.8), source.uniform(0.3, 2))
        return Hump(mode, *shape, drop=source.choice((0.0, source.uniform(0, 1))), drop_at=source.uniform(0, 4))

    return Landscape(hump(modes[0]), hump(modes[1]), 0, count)


def mirrored_landscape(source: random.Random) -> Landscape:
    """Draw the mirror image of a landscape, with the roles exchanged."""
    return landscape(source).mirrored()


def gaussians(source: random.Random) -> Landscape:
    """Draw two Gaussian bells, of equal width or not, mu_p < mu_q."""
    count = source.randint(4, 15)
    modes = sorted(source.uniform(0, count - 1) for _ in range(2))
    first = 1 / source.uniform(0.7, 5) ** 2
    second = first if source.random() < 0.5 else 1 / source.uniform(0.7, 5) ** 2
    return Landscape(Hump(modes[0], first), Hump(modes[1], second), 0, count)


@claim(
    "ma2025.theorem-3",
    source="Theorem 3, first statement",
    says=r"y^*\ \text{local extremum of}\ w\implies y^*>\mu_q\ \text{or}\ y^*<\mu_p",
    assumes=r"$\mu_p<\mu_q$; policy and utility rise up to their modes and fall after them, strictly (decay at "
    "infinity alone is not enough); y is continuous",
    verdict=PROVED,
    proof=r"$w'=\sum_j[q'q_j/(q+q_j)^2-p'p_j/(p+p_j)^2]$, and from $\mu_p$ to $\mu_q$ there is $p'\le 0\le q'$, not "
    "both zero.",
)
def theorem_3(evidence: Evidence) -> None:
    """Exact signs at a point between the modes; scans of smooth curves; a second hump refutes it."""

    def statement(case: Jet, sign: int = 1) -> bool:
        slope_of_q = Jet(case.p, F(0), case.q, case.q_slope, case.others).fitness.slope[0]
        return (case.fitness.slope[0] - slope_of_q) * sign + slope_of_q > 0

    evidence.holds(statement, between_modes, control=lambda case: statement(case, sign=-1))
    evidence.holds(part_1, gaussians, control=lambda case: len(case.of_fitness) == 0, worlds=100)
    evidence.fails(part_1, at=SECOND_HUMP, control=BELLS, role=ALSO)


@claim(
    "ma2025.theorem-3-part-2",
    source="Theorem 3, second statement",
    says=r"y^*>\mu_q\ \text{local extremum of}\ w\implies\exists\ \text{local extremum}\ \hat y^*\ \text{of}\ w\pi,\ "
    r"\mu_p<\hat y^*<y^*",
    assumes=r"$w(y^*)>0$; one hump each, $\mu_p<\mu_q$",
    verdict=CONDITIONALLY,
    because=r"An extremum beyond $\mu_q$ can have $w(y^*)<0$; there $w\pi$ may still be rising. It takes a policy that "
    "drops late; no Gaussian example was found.",
    proof=r"$w\pi$ rises at $\mu_p$ and falls at $y^*$ (see theorem-3-anchor).",
    instead="ma2025.theorem-3-anchor",
)
def theorem_3_part_2(evidence: Evidence) -> None:
    """A smooth counterexample; none with w > 0 at the extremes; none among Gaussians."""

    def positive(case: Landscape) -> bool:
        return len(beyond(case)) > 0 and bool((case.fitness(beyond(case)) > 1e-9).all())

    evidence.fails(part_2, at=LATE_DROP, control=BELLS)
    evidence.holds(part_2, landscape, given=positive, control=lambda case: part_2(case, nearer=True), worlds=100)
    evidence.holds(part_2, gaussians, role=ALSO, control=lambda case: part_2(case, nearer=True), worlds=100)


@claim(
    "ma2025.theorem-3-part-3",
    source="Theorem 3, third statement",
    says=r"y^*<\mu_q\ \text{local extremum of}\ w\implies\exists\ \text{local extremum}\ \hat y^*\ \text{of}\ w\pi,\ "
    r"y^*<\hat y^*<\mu_p",
    assumes=r"$w(y^*)<0$; one hump each, $\mu_p<\mu_q$ (then $y^*<\mu_q$ means $y^*<\mu_p$, by the first statement)",
    verdict=CONDITIONALLY,
    because=r"An extremum before $\mu_p$ can have $w(y^*)>0$; there $w\pi$ may rise from $y^*$ to $\mu_p$. No Gaussian "
    "example was found.",
    proof=r"$w\pi$ falls at $y^*$ and rises at $\mu_p$ (see theorem-3-anchor).",
    instead="ma2025.theorem-3-anchor",
)
def theorem_3_part_3(evidence: Evidence) -> None:
    """The mirror image, with the roles exchanged, of the counterexample to the second statement."""

    def negative(case: Landscape) -> bool:
        return len(before(case)) > 0 and bool((case.fitness(before(case)) < -1e-9).all())

    evidence.fails(part_3, at=LATE_DROP.mirrored(), control=BELLS)
    evidence.holds(
        part_3, mirrored_landscape, given=negative, control=lambda case: part_3(case, farther=True), worlds=100
    )
    evidence.holds(part_3, gaussians, role=ALSO, control=lambda case: part_3(case, farther=True), worlds=100)


@claim(
    "ma2025.theorem-3-on-a-grid",
    source="Theorem 3 for discrete extremes of a finite response set, as in Figure 1",
    says=r"k\ \text{a discrete extremum of}\ w\implies k\notin[\mu_p,\mu_q]\ \text{and the other two statements}",
    assumes="strictly log-concave policy and utility, modes at responses",
    verdict=FALSE,
    because="Between neighbours a discrete extremum can sit at a mode, and there is no room for another one between a "
    "response and its neighbour: the first and the third statement fail on 3 and 4 responses, the second on 5. In "
    "the last of these examples both curves are Gaussian.",
    instead="ma2025.theorem-3",
)
def theorem_3_on_a_grid(evidence: Evidence) -> None:
    """Powers of two and of 11/10; controls where the statements hold."""

    def statement(part: int, case: dict[str, tuple[int, ...]]) -> bool:
        base = F(*case["base"])
        policy, utility = (tuple(base**k for k in case[name]) for name in ("log p", "log q"))
        mode_p, mode_q = policy.index(max(policy)), utility.index(max(utility))
        w = fitness_on_grid(policy, utility)
        of_w, of_product = (discrete_extremes(v) for v in (w, tuple(a * b for a, b in zip(w, policy, strict=True))))
        first = not any(mode_p <= k <= mode_q for k in of_w)
        second = all(any(mode_p < h < k for h in of_product) for k in of_w if k > mode_q)
        third = all(any(k < h < mode_p for h in of_product) for k in of_w if k < mode_p)
        return (first, second, third)[part]

    wide = {"base": (11, 10)} | {
        name: tuple(-((k - mode) ** 2) for k in range(12)) for name, mode in (("log p", 4), ("log q", 7))
    }
    at_mode = {"base": (2, 1), "log p": (0, -1, -3), "log q": (-1, 0, -2)}
    late = {"base": (11, 10), "log p": (0, -1, -3, -6, -15), "log q": (0, 1, 0, -3, -7)}
    bells = {"base": (2, 1), "log p": (-4, -1, 0, -1), "log q": (-9, -4, -1, 0)}
    for part, witness in enumerate((at_mode, late, bells)):
        evidence.fails(partial(statement, part), at=witness, control=wide)


def discrete_extremes(values: Vector) -> list[int]:
    """Return the inner places whose value is above, or below, that of both neighbours.

    Example:
        >>> discrete_extremes((F(0), F(2), F(1), F(1), F(3)))
        [1]
    """
    return [k for k in range(1, len(values) - 1) if (values[k] - values[k - 1]) * (values[k] - values[k + 1]) > 0]
