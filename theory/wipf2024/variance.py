"""Section 4 and Appendix D, Eqs. (9), (10), (24), (25): a Gaussian of unknown variance, and its best variance."""

from __future__ import annotations

import random
from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, EMPTY, PROVED, claim
from theory.evidence import CONDITIONAL, VACUOUS, Evidence
from theory.wipf2024.objectives import Vector

GAMMA, S = sp.symbols("gamma s", positive=True)  # the variance, and v'v


def neg_log_normal(square: sp.Expr, dimension: sp.Expr | int) -> sp.Expr:
    """Return -ln N(v | 0, gamma I) for a vector with v'v = ``square``."""
    return square / (2 * GAMMA) + sp.Rational(1, 2) * dimension * sp.log(2 * sp.pi * GAMMA)


def profile(square: sp.Expr, dimension: sp.Expr | int) -> sp.Expr:
    """Return the minimum of ``neg_log_normal`` over the variance."""
    loss = neg_log_normal(square, dimension)
    (best,) = sp.solve(sp.diff(loss, GAMMA), GAMMA)
    return sp.simplify(loss.subs(GAMMA, best))


@claim(
    "wipf2024.eq-10",
    source="Eqs. (9) and (10)",
    says=r"p\left(\begin{bmatrix}\xi_\theta\\\xi_{\mathrm{ref}}\end{bmatrix}\right)="
    r"\mathcal{N}\left(\begin{bmatrix}\xi_\theta\\\xi_{\mathrm{ref}}\end{bmatrix}\Big|\,0,\gamma I\right)",
    verdict=EMPTY,
    because=r"True of no policy: both $\xi$ are positive, and a Gaussian of mean 0 puts $\frac34$ of its mass where "
    r"one of them is not, whatever $\gamma$ is. Eq. (11) is an objective, not a likelihood; Proposition 4.1 needs no "
    "more.",
    instead="wipf2024.proposition-4.1",
)
def eq_10(evidence: Evidence) -> None:
    """The mass of the quadrant in which both scores lie."""
    x = sp.Symbol("x", real=True)
    density = sp.exp(-(x**2) / (2 * GAMMA)) / sp.sqrt(2 * sp.pi * GAMMA)

    def mass(low: sp.Expr) -> sp.Expr:
        return sp.simplify(sp.integrate(density, (x, low, sp.oo)) ** 2)

    evidence.proves(
        lambda: mass(sp.Integer(0)) == sp.Rational(1, 4),
        control=lambda: mass(-sp.oo) == sp.Rational(1, 4),
        by="SymPy: mass 1/4 where both are positive, for every variance; control: the whole plane",
        role=VACUOUS,
    )


def vectors(source: random.Random) -> Vector:
    """Draw a vector of 1 to 4 fractions, not all 0."""
    v = tuple(F(source.randint(-9, 9), source.randint(1, 9)) for _ in range(source.randint(1, 4)))
    return v if any(v) else (F(1),) * len(v)


def least_at(v: Vector, divisor: int) -> bool:
    """Return whether -ln N(v | 0, gamma I) falls up to gamma = v'v / divisor and rises from there."""
    square = sum((a * a for a in v), F(0))

    def slope(gamma: F) -> F:
        return (len(v) / gamma - square / gamma**2) / 2

    best = square / divisor
    return slope(best) == 0 and all(slope(best * F(k, 10)) < 0 < slope(best * F(10, k)) for k in (1, 5, 9))


@claim(
    "wipf2024.eq-24",
    source="Eq. (24)",
    says=r"\arg\min_{\gamma>0}-\log\mathcal{N}(v|0,\gamma I)\equiv\arg\min_{\gamma>0}\Bigl[\frac{v^\top v}{\gamma}"
    r"+\log|\gamma I|\Bigr]=\frac12v^\top v",
    assumes=r"$v\in\mathbb{R}^2$, $v\ne 0$",
    verdict=CONDITIONALLY,
    because=r"Said of an arbitrary real vector, but $\log|\gamma I|=d\log\gamma$: in $d$ dimensions the minimiser is "
    r"$v^\top v/d$. For $v=0$ there is none.",
    instead="wipf2024.eq-24-any-dimension",
)
def eq_24(evidence: Evidence) -> None:
    """Three numbers refute it, two satisfy it."""
    three, two = (F(7, 10), F(19, 10), F(2, 5)), (F(7, 10), F(19, 10))
    evidence.fails(lambda v: least_at(v, 2), at=three, control=two)
    evidence.holds(
        lambda v: least_at(v, 2), vectors, given=lambda v: len(v) == 2, control=lambda v: least_at(v, 1), worlds=200
    )


@claim(
    "wipf2024.eq-24-any-dimension",
    source="not in the paper; Eqs. (24) and (25) in d dimensions",
    says=r"\arg\min_{\gamma>0}-\log\mathcal{N}(v|0,\gamma I)=\frac{v^\top v}{d},\qquad"
    r"\min_{\gamma>0}-\log\mathcal{N}(v|0,\gamma I)=\frac d2\Bigl[\log\frac{v^\top v}{d}+1+\log 2\pi\Bigr]",
    assumes=r"$v\in\mathbb{R}^d$, $v\ne 0$",
    verdict=PROVED,
    proof=r"The slope in $\gamma$ is $\frac{1}{2\gamma^2}(d\gamma-v^\top v)$: negative before the root, positive "
    "after it.",
)
def eq_24_any_dimension(evidence: Evidence) -> None:
    """The slope changes sign once, at v'v / d; SymPy with symbolic d."""
    d = sp.Symbol("d", positive=True)
    loss = neg_log_normal(S, d)
    evidence.holds(lambda v: least_at(v, len(v)), vectors, control=lambda v: least_at(v, 2))

    def minimum(claimed: sp.Expr) -> bool:
        return sp.simplify(sp.expand_log(profile(S, d) - claimed, force=True)) == 0

    evidence.proves(
        lambda: (
            sp.solve(sp.diff(loss, GAMMA), GAMMA) == [S / d]
            and bool(sp.simplify(sp.diff(loss, GAMMA, 2).subs(GAMMA, S / d)).is_positive)
        ),
        control=lambda: sp.solve(sp.diff(loss, GAMMA), GAMMA) == [S / 2],
        by="SymPy, one stationary point of positive curvature",
    )
    evidence.proves(
        lambda: minimum(d * (sp.log(S / d) + 1 + sp.log(2 * sp.pi)) / 2),
        control=lambda: minimum(d * (sp.log(S) + 1 + sp.log(2 * sp.pi)) / 2),
        by="SymPy, the value there",
    )


@claim(
    "wipf2024.eq-25",
    source="Eq. (25)",
    says=r"\min_{\gamma>0}-\log\mathcal{N}(v|0,\gamma I)\equiv\log(v^\top v)",
    assumes=r"$v\in\mathbb{R}^2$; the constant is then $1+\log\pi$",
    verdict=CONDITIONALLY,
    because=r"In $d$ dimensions it is $\frac d2\log(v^\top v)$.",
    instead="wipf2024.eq-24-any-dimension",
)
def eq_25(evidence: Evidence) -> None:
    """In two dimensions the difference is a constant; in three it depends on v."""

    def constant(c: dict[str, int]) -> bool:
        dimension = c["d"]
        return sp.simplify(sp.diff(profile(S, dimension) - sp.log(S), S)) == 0

    def exactly(offset: sp.Expr) -> bool:
        return sp.simplify(sp.expand_log(profile(S, 2) - sp.log(S) - offset, force=True)) == 0

    evidence.fails(constant, at={"d": 3}, control={"d": 2})
    evidence.proves(
        lambda: exactly(1 + sp.log(sp.pi)),
        control=lambda: exactly(1 + sp.log(2 * sp.pi)),
        by="SymPy, two dimensions",
        role=CONDITIONAL,
    )
