"""Theorem 1 and its proof: the reference replaced by an idealized one with a constant ratio k."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from fractions import Fraction as F

import sympy as sp

from theory.claim import PROVED, claim
from theory.evidence import HOLDS, Evidence, show
from theory.sun2025.curves import X, same, sigma


@dataclass(frozen=True)
class Dataset:
    """Pairs with rational odds of policy and reference; beta = power / root, and every odds is a base^root.

    Attributes:
        policy: bases of pi_w / pi_l.
        reference: bases of ref_w / ref_l.
        k: base of the constant k.
        power: numerator of beta.
        root: denominator of beta.
    """

    policy: tuple[F, ...]
    reference: tuple[F, ...]
    k: F
    power: int
    root: int

    @property
    def assumption_8(self) -> bool:
        """Return whether ref_w / ref_l >= k for every pair."""
        return min(self.reference) >= self.k

    @property
    def loss(self) -> F:
        """Return e^(n L(pi; ref)) = prod (1 + e^-z) for the n pairs: sums of logarithms in exact numbers."""
        pairs = zip(self.policy, self.reference, strict=True)
        return math.prod((1 + (r / p) ** self.power for p, r in pairs), start=F(1))

    @property
    def ideal_loss(self) -> F:
        """Return e^(n L(pi; ideal))."""
        return math.prod((1 + (self.k / p) ** self.power for p in self.policy), start=F(1))

    @property
    def constant(self) -> F:
        """Return e^(n C), Eq. 12."""
        return math.prod(((r / self.k) ** self.power for r in self.reference), start=F(1))

    @property
    def positive_constant(self) -> F:
        """Return e^(n C) with the positive part of every summand."""
        return math.prod((max(F(1), (r / self.k) ** self.power) for r in self.reference), start=F(1))

    def with_k(self, k: F) -> Dataset:
        """Return the data with another constant."""
        return Dataset(self.policy, self.reference, k, self.power, self.root)

    def __str__(self) -> str:
        """Return the fields in numbers that can be checked by hand."""
        return show(vars(self))


def any_dataset(source: random.Random) -> Dataset:
    """Draw 1 to 4 pairs, a constant k that need not satisfy (8), and beta from 1/3 to 6."""
    n = source.randint(1, 4)

    def odds() -> F:
        return F(source.randint(1, 9), source.randint(1, 9))

    policy, reference = (tuple(odds() for _ in range(n)) for _ in range(2))
    return Dataset(policy, reference, odds(), source.randint(1, 6), source.randint(1, 3))


def too_large(d: Dataset) -> Dataset:
    """Return the data with a k twice the largest ratio, so that (8) fails for every pair."""
    return d.with_k(2 * max(d.reference))


@claim(
    "sun2025.theorem-1",
    source="Theorem 1, Eqs. (8) to (12)",
    says=r"\frac{\mathrm{ref}(y_w)}{\mathrm{ref}(y_l)}\ge k\ \text{on}\ D\implies L(\pi;\mathrm{ref})\le "
    r"L(\pi;\tilde\pi)+C,\quad C=\mathbb{E}\,\beta\Bigl(\log\frac{\mathrm{ref}(y_w)}{\mathrm{ref}(y_l)}-\log k\Bigr)",
    verdict=PROVED,
    because=r"Every finite data set has such a k, at the price of a C of the order of $\beta$ times the spread of the "
    "log-ratios of the reference.",
    proof=r"$1+ab\le a(1+b)$ for $a=e^\Delta\ge 1$, $b=e^{-z}$: take logarithms and the mean.",
)
def theorem_1(evidence: Evidence) -> None:
    """In exact numbers, as products; with k above the ratios the bound fails."""

    def bound(d: Dataset) -> bool:
        return d.loss <= d.ideal_loss * d.constant

    evidence.holds(
        bound, any_dataset, given=lambda d: d.assumption_8, role=HOLDS, control=lambda d: bound(too_large(d))
    )


@claim(
    "sun2025.eq-24",
    source="Eqs. (19) to (24)",
    says=r"L(\pi;\mathrm{ref})\ge L(\pi;\tilde\pi)",
    assumes="Eq. (8)",
    verdict=PROVED,
    proof="A smaller margin has a larger loss; each of the steps (19), (20), (22), (23) is monotone.",
)
def eq_24(evidence: Evidence) -> None:
    """The other side of the sandwich, with the steps for each pair."""

    def steps(d: Dataset) -> bool:
        def pair(p: F, r: F) -> bool:
            odds, ideal = (p / r) ** d.power, (p / d.k) ** d.power  # e^z, Eq. 20
            return odds <= ideal and odds / (1 + odds) <= ideal / (1 + ideal)  # Eq. 22

        return all(pair(p, r) for p, r in zip(d.policy, d.reference, strict=True)) and d.loss >= d.ideal_loss

    evidence.holds(
        steps, any_dataset, given=lambda d: d.assumption_8, role=HOLDS, control=lambda d: steps(too_large(d))
    )


@claim(
    "sun2025.eq-18",
    source="Eq. (18)",
    says=r"\beta\log\frac{\pi(y_w)}{\mathrm{ref}(y_w)}-\beta\log\frac{\pi(y_l)}{\mathrm{ref}(y_l)}="
    r"\beta\log\frac{\pi(y_w)}{\pi(y_l)}-\beta\log\frac{\mathrm{ref}(y_w)}{\mathrm{ref}(y_l)}",
    verdict=PROVED,
    proof="The four logarithms, in another order.",
)
def eq_18(evidence: Evidence) -> None:
    """In symbols."""
    pw, pl, rw, rl, beta = sp.symbols("pw pl rw rl beta", positive=True)

    def identity(last: sp.Expr = rw / rl) -> bool:
        left = beta * sp.log(pw / rw) - beta * sp.log(pl / rl)
        return bool(sp.simplify(sp.expand_log(left - beta * sp.log(pw / pl) + beta * sp.log(last))) == 0)

    evidence.proves(identity, control=lambda: identity(rl / rw), by="SymPy: the difference simplifies to 0")


@claim(
    "sun2025.eq-25",
    source="Eq. (25)",
    says=r"\frac{d}{dz}\log\sigma(z)=1-\sigma(z)\le 1",
    verdict=PROVED,
    because="The constant 1 cannot be improved: the slope tends to 1 as z falls, and equals it nowhere.",
    proof="Differentiate.",
)
def eq_25(evidence: Evidence) -> None:
    """The slope, its range and its supremum."""
    slope = 1 - sigma(X)

    def derivative(sign: int = 1) -> bool:
        return same(sp.diff(sp.log(sigma(X)), X), sign * slope)

    evidence.proves(derivative, control=lambda: derivative(-1), by="SymPy: the derivative")
    evidence.proves(
        lambda: same(1 - slope, 1 / (1 + sp.exp(-X))) and bool((1 / (1 + sp.exp(-X))).is_positive),
        control=lambda: bool((sp.Rational(1, 2) - sigma(X)).is_positive),
        by="SymPy: 1 minus the slope is positive",
    )
    evidence.proves(
        lambda: sp.limit(slope, X, -sp.oo) == 1,
        control=lambda: sp.limit(slope, X, sp.oo) == 1,
        by="SymPy: its supremum",
    )


@dataclass(frozen=True)
class Shift:
    """a = e^Delta and b = e^-z, both rational."""

    a: F
    b: F

    def __str__(self) -> str:
        """Return the fields in numbers that can be checked by hand."""
        return show(vars(self))


def any_shift(source: random.Random) -> Shift:
    """Draw a shift of either sign."""
    return Shift(F(source.randint(1, 40), source.randint(1, 40)), F(source.randint(1, 200), source.randint(1, 200)))


def lipschitz(s: Shift) -> bool:
    """Return whether log sigma(z - Delta) >= log sigma(z) - Delta, exactly."""
    return 1 + s.a * s.b <= s.a * (1 + s.b)


@claim(
    "sun2025.eq-26",
    source="Eqs. (26) and (29)",
    says=r"\log\sigma(z-\Delta)\ge\log\sigma(z)-\Delta",
    assumes=r"$\Delta\ge 0$, as printed; it is needed (sun2025.eq-8-necessary)",
    verdict=PROVED,
    proof=r"$1+ab\le a(1+b)$ for $a=e^\Delta\ge 1$ and $b=e^{-z}$.",
)
def eq_26(evidence: Evidence) -> None:
    """The Lipschitz step of the proof."""
    evidence.holds(
        lipschitz,
        any_shift,
        given=lambda s: s.a >= 1,
        role=HOLDS,
        control=lambda s: 1 + s.a * s.b <= (1 + s.b) * (s.a + 1) / 2,
    )


@claim(
    "sun2025.eq-8-necessary",
    source="not in the paper; the converse of Theorem 1 for one pair",
    says=r"\forall z:\ -\log\sigma(z-\Delta)\le-\log\sigma(z)+\Delta\iff\Delta\ge 0",
    verdict=PROVED,
    proof=r"$a(1+b)-(1+ab)=a-1$ with $a=e^\Delta$, whatever $b=e^{-z}$.",
)
def eq_8_necessary(evidence: Evidence) -> None:
    """Assumption (8) cannot be weakened for a single pair."""
    evidence.holds(lambda s: lipschitz(s) == (s.a >= 1), any_shift, control=lambda s: lipschitz(s) == (s.a >= F(1, 2)))


@claim(
    "sun2025.theorem-1-sharp",
    source="not in the paper; how good C is",
    says=r"\sup_z\bigl[-\log\sigma(z-\Delta)+\log\sigma(z)\bigr]=\Delta,\quad\text{not attained for }\Delta>0",
    verdict=PROVED,
    proof=r"The difference is $\log\frac{1+ab}{1+b}<\log a$ and tends to $\log a$ as $b=e^{-z}\to\infty$.",
)
def theorem_1_sharp(evidence: Evidence) -> None:
    """The constant is approached for hopelessly mis-ranked pairs, and only there."""
    a, b = sp.symbols("a b", positive=True)
    evidence.proves(
        lambda: sp.limit((1 + a * b) / (1 + b), b, sp.oo) == a,
        control=lambda: sp.limit((1 + a * b) / (1 + b), b, 0) == a,
        by="SymPy: the limit of (1 + a b) / (1 + b)",
    )
    evidence.holds(
        lambda s: 1 + s.a * s.b < s.a * (1 + s.b),
        any_shift,
        given=lambda s: s.a > 1,
        role=HOLDS,
        control=lambda s: 2 * (1 + s.a * s.b) < s.a * (1 + s.b),
    )


@claim(
    "sun2025.theorem-1-best-k",
    source="not in the paper; which k to take",
    says=r"k<k'\implies L(\pi;\tilde\pi_{k'})+C_{k'}<L(\pi;\tilde\pi_k)+C_k",
    verdict=PROVED,
    because="The bound is best at the largest k that (8) allows, the smallest ratio of the data.",
    proof=r"Each factor of $e^{n(L+C)}$ is $(r/k)^\beta+(r/p)^\beta$, with $r$, $p$ the odds of reference and policy.",
)
def theorem_1_best_k(evidence: Evidence) -> None:
    """The right-hand side of Eq. 11 falls with k."""

    def falls(d: Dataset, factor: F = F(3, 2)) -> bool:
        larger = d.with_k(d.k * factor)
        return larger.ideal_loss * larger.constant < d.ideal_loss * d.constant

    evidence.holds(falls, any_dataset, control=lambda d: falls(d, F(2, 3)))


@claim(
    "sun2025.theorem-1-assumption-free",
    source="not in the paper; Theorem 1 without Eq. (8)",
    says=r"L(\pi;\mathrm{ref})\le L(\pi;\tilde\pi)+\mathbb{E}\max(\Delta,0),\quad"
    r"\Delta=\beta\Bigl(\log\frac{\mathrm{ref}(y_w)}{\mathrm{ref}(y_l)}-\log k\Bigr)",
    assumes="any k > 0",
    verdict=PROVED,
    proof=r"For $\Delta<0$ the loss with the reference is the smaller one.",
)
def theorem_1_assumption_free(evidence: Evidence) -> None:
    """For every k, also one above the ratios of the data."""
    evidence.holds(
        lambda d: d.loss <= d.ideal_loss * d.positive_constant,
        any_dataset,
        control=lambda d: d.loss <= d.ideal_loss * d.constant,
    )
