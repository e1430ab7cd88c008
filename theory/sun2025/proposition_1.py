"""Proposition 1, Figure 4: SiLU, softplus, and the entropy that is their difference."""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp
from mpmath import mp

from theory.claim import MISPRINT, PROVED, claim
from theory.evidence import ALSO, CORRECTED, Evidence
from theory.sun2025.curves import (
    M,
    X,
    any_number,
    exact,
    mp_silu,
    mp_softplus,
    precise,
    same,
    sigma,
    silu,
    softplus,
)

LN_2 = sp.log(2)

GAP = silu(X) + LN_2 - softplus(X)
"""f of Eq. 33."""

TURNING = sp.exp(-X) / (1 + sp.exp(-X)) ** 2
"""f'(x) / x of Eq. 35: positive everywhere."""


@precise
def gap_sign(x: F, constant: sp.Expr = LN_2) -> int:
    """Return the sign of SiLU(x) + constant - softplus(x) at a rational x; decided symbolically at x = 0.

    Example:
        >>> gap_sign(F(0)), gap_sign(F(1, 1000)), gap_sign(F(0), sp.Rational(1, 2))
        (0, 1, -1)
    """
    if x == 0:
        return int(sp.sign(constant - sp.log(2)))
    difference = mp_silu(exact(x)) + mp.mpf(sp.N(constant, 45)) - mp_softplus(exact(x))
    return int(mp.sign(difference))


@claim(
    "sun2025.proposition-1",
    source="Proposition 1, Eq. (14)",
    says=r"\mathrm{SiLU}(x)+\ln 2>\mathrm{softplus}(x)\qquad\text{for every }x\in\mathbb{R}",
    verdict=MISPRINT,
    because=r"Both sides are $\ln 2$ at $x=0$, and there alone. The sign must be $\ge$; the paper proves it so.",
    proof=r"$f'(x)=x\,\sigma(x)\sigma(-x)$ has the sign of x, and $f(0)=0$. Or: the difference of softplus and SiLU is "
    r"the entropy of one coin (sun2025.entropy-identity), at most $\ln 2$.",
    instead=("sun2025.entropy-identity", "sun2025.least-constant"),
)
def proposition_1(evidence: Evidence) -> None:
    """Equality at 0 and only there: f falls before it and rises after it."""

    def monotone(factor: sp.Expr = TURNING) -> bool:
        turns = same(sp.diff(GAP, X), X * factor) and bool(factor.is_positive)
        return turns and sp.simplify(GAP.subs(X, 0)) == 0 and sp.solve(sp.diff(GAP, X), X) == [0]

    evidence.fails(lambda x: gap_sign(x) > 0, at=F(0), control=F(1, 100))
    evidence.proves(
        monotone,
        control=lambda: monotone(TURNING * sp.exp(-X)),
        by="SymPy: f' = x times a positive function, f(0) = 0, and 0 is the only root of f'",
        role=CORRECTED,
    )
    evidence.holds(
        lambda x: gap_sign(x) >= 0 and (gap_sign(x) == 0) == (x == 0),
        any_number,
        role=CORRECTED,
        control=lambda x: gap_sign(x, sp.Rational(2, 3)) >= 0,
    )


@claim(
    "sun2025.eq-34",
    source="Eqs. (33) and (34)",
    says=r"f(x)=\mathrm{SiLU}(x)+\ln 2-\mathrm{softplus}(x)=-\frac{x}{1+e^x}+\ln 2-\ln(1+e^{-x})",
    verdict=PROVED,
    proof=r"$\mathrm{SiLU}(x)=x-x\sigma(-x)$ and $\mathrm{softplus}(x)=x+\ln(1+e^{-x})$.",
)
def eq_34(evidence: Evidence) -> None:
    """In symbols."""

    def identity(sign: int = -1) -> bool:
        return same(GAP, -X / (1 + sp.exp(X)) + sp.log(2) - sp.log(1 + sp.exp(sign * X)))

    evidence.proves(identity, control=lambda: identity(1), by="SymPy: the difference simplifies to 0")


@claim(
    "sun2025.eq-35",
    source="Eq. (35) and the lines after it",
    says=r"f'(x)=\frac{xe^{-x}}{(1+e^{-x})^2},\qquad f(0)=0=\min f,\qquad\lim_{x\to\pm\infty}f(x)=\ln 2",
    verdict=PROVED,
    proof="Differentiate Eq. 34.",
)
def eq_35(evidence: Evidence) -> None:
    """Derivative, least value, both limits."""

    def derivative(power: int = 2) -> bool:
        return same(sp.diff(GAP, X), X * sp.exp(-X) / (1 + sp.exp(-X)) ** power)

    def both_limits(constant: sp.Expr) -> bool:
        return all(sp.limit(GAP, X, end) == constant for end in (sp.oo, -sp.oo))

    evidence.proves(derivative, control=lambda: derivative(1), by="SymPy: the derivative")
    evidence.proves(
        lambda: sp.simplify(GAP.subs(X, 0)) == 0 and bool(TURNING.is_positive),
        control=lambda: sp.simplify(GAP.subs(X, 1)) == 0 and bool(TURNING.is_positive),
        by="SymPy: f(0) = 0, and f' has the sign of x",
    )
    evidence.proves(
        lambda: both_limits(sp.log(2)), control=lambda: both_limits(sp.Integer(0)), by="SymPy: the limits at +-oo"
    )


@claim(
    "sun2025.least-constant",
    source="not in the paper; how good Proposition 1 is",
    says=r"\min\{c:\ \mathrm{SiLU}(x)+c\ge\mathrm{softplus}(x)\ \text{for every }x\}=\ln 2",
    verdict=PROVED,
    proof="Proposition 1 for ln 2; the contact at $x=0$ for anything less.",
)
def least_constant(evidence: Evidence) -> None:
    """Every smaller constant fails at 0."""

    def smaller_fails(x: F, sign: int = 1) -> bool:  # constants ln 2 - |x| and below
        return x == 0 or gap_sign(F(0), sp.log(2) - sign * sp.Rational(*abs(x).as_integer_ratio())) < 0

    evidence.holds(smaller_fails, any_number, control=lambda x: smaller_fails(x, -1), worlds=100)
    evidence.holds(lambda x: gap_sign(x) >= 0, any_number, control=lambda x: gap_sign(x, sp.Rational(2, 3)) >= 0)


@claim(
    "sun2025.entropy-identity",
    source="not in the paper; what Proposition 1 says",
    says=r"\mathrm{softplus}(x)-\mathrm{SiLU}(x)=H(\sigma(x)),\qquad "
    r"\mathrm{SiLU}(-m)=-\log\sigma(m)-H(\sigma(m)),\quad H(p)=-p\log p-(1-p)\log(1-p)",
    verdict=PROVED,
    because="Self PO's loss is the logistic loss less the entropy of the predicted preference: it rewards doubt.",
    proof=r"$\log\sigma(x)=x-\mathrm{softplus}(x)$ and $\log\sigma(-x)=-\mathrm{softplus}(x)$ in H.",
)
def entropy_identity(evidence: Evidence) -> None:
    """Both forms in symbols."""

    def entropy(p: sp.Expr) -> sp.Expr:
        return -p * sp.log(p) - (1 - p) * sp.log(1 - p)

    def identity(sign: int = 1) -> bool:
        return same(softplus(X) - sign * silu(X), entropy(sigma(X)))

    def on_the_margin(sign: int = 1) -> bool:
        return same(silu(-M), -sp.log(sigma(M)) - sign * entropy(sigma(M)))

    evidence.proves(identity, control=lambda: identity(-1), by="SymPy: the difference simplifies to 0")
    evidence.proves(on_the_margin, control=lambda: on_the_margin(-1), by="SymPy: the same on the margin")


@claim(
    "sun2025.figure-4",
    source="Figure 4 and Section 3.2",
    says=r"\mathrm{SiLU}(x)<\mathrm{softplus}(x)",
    verdict=PROVED,
    proof=r"The difference is the entropy of a coin with both sides possible. (It rises from 0 to $\ln 2$ at $x=0$ and "
    r"falls back to 0.)",
)
def figure_4(evidence: Evidence) -> None:
    """Strict everywhere, with both limits of the difference 0."""
    difference = softplus(X) - silu(X)

    @precise
    def below(x: F, factor: F = F(1)) -> bool:
        return bool(mp_silu(exact(x)) < exact(factor) * mp_softplus(exact(x)))

    evidence.holds(below, any_number, control=lambda x: below(x, F(4, 5)))
    evidence.proves(
        lambda: (
            same(sp.diff(difference, X), -X * TURNING)
            and [sp.limit(difference, X, end) for end in (sp.oo, -sp.oo)] == [0, 0]
        ),
        control=lambda: same(sp.diff(difference, X), X * TURNING),
        by="SymPy: it rises up to x = 0, falls after it, and is 0 at +-oo",
    )


@claim(
    "sun2025.expected-loss",
    source="not in the paper; the loss under a label that is right with probability eta",
    says=r"\eta\,\mathrm{SiLU}(-m)+(1-\eta)\,\mathrm{SiLU}(m)=m\,(\sigma(m)-\eta)",
    verdict=PROVED,
    proof=r"$\mathrm{SiLU}(m)-\mathrm{SiLU}(-m)=m$.",
)
def expected_loss(evidence: Evidence) -> None:
    """In symbols."""
    eta = sp.Symbol("eta", positive=True)

    def identity(weight: sp.Expr = eta) -> bool:
        return same(weight * silu(-M) + (1 - weight) * silu(M), M * (sigma(M) - eta))

    evidence.proves(identity, control=lambda: identity(1 - eta), by="SymPy: the difference simplifies to 0")
    evidence.proves(
        lambda: same(silu(M) - silu(-M), M), control=lambda: same(silu(M) + silu(-M), M), by="SymPy", role=ALSO
    )
