"""Figure 2 and its caption: the two extremes of ln(gamma + |u|), as gamma tends to 0 and to infinity."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction as F

import sympy as sp

from theory.claim import MISPRINT, PROVED, claim
from theory.evidence import ALSO, CORRECTED, Evidence
from theory.wipf2024.curvature import Penalties, penalties, penalty, relatively_concave
from theory.wipf2024.logarithms import Logs, log

U, P, GAMMA = sp.symbols("u p gamma", positive=True)


@claim(
    "wipf2024.figure-2",
    source="caption of Figure 2, last sentence",
    says=r"\text{the relative concavity of}\ \log(\gamma+|u|)\ \text{lies between those of}\ \log|u|\ \text{and}\ |u|",
    assumes=r"$0<\gamma<\infty$, $u>0$",
    verdict=PROVED,
    proof=r"$\log u$ is $\gamma=0$ in `wipf2024.relative-concavity`; and $\log(\gamma+u)$ is concave, hence concave "
    r"relative to $u$. Made to touch at $u=1$, $(\gamma+1)\log\frac{\gamma+u}{\gamma+1}+1$, the curves are nested "
    r"from $1+\log u$ to $u$.",
)
def between_the_extremes(evidence: Evidence) -> None:
    """Inequality (13) on either side; and the nested curves of the figure."""

    def below(c: Penalties, gamma1: F, gamma2: F | None) -> bool:  # None is the other extreme, u itself
        if gamma2 is None:
            return relatively_concave(penalty(gamma1), lambda u: u, 1 / (gamma1 + c.u1), c.u1, c.u2)
        slopes = (gamma2 + c.u1) / (gamma1 + c.u1)
        return relatively_concave(penalty(gamma1), penalty(gamma2), slopes, c.u1, c.u2)

    def above(c: Penalties) -> bool:  # u concave relative to ln(gamma + u)
        return relatively_concave(lambda u: u, penalty(c.gamma2), c.gamma2 + c.u1, c.u1, c.u2)

    def nested(c: Penalties, u: F) -> bool:
        low, high = touching(c.gamma1, u), touching(c.gamma2, u)
        return 1 + log(u) <= low < high < u or u == 1

    evidence.holds(
        lambda c: below(c, F(0), c.gamma2), penalties, control=lambda c: below(c, c.gamma2, F(0)), worlds=200
    )
    evidence.holds(lambda c: below(c, c.gamma2, None), penalties, control=above, worlds=200)
    evidence.holds(
        lambda c: nested(c, c.u1),
        penalties,
        control=lambda c: nested(Penalties(c.gamma2, c.gamma1, c.u1, c.u2), c.u1),
        worlds=200,
    )


def touching(gamma: F, u: F) -> Logs:
    """Return ln(gamma + u) moved and scaled so that value and slope are 1 at u = 1, as drawn in the figure.

    Example:
        >>> float(touching(F(1), F(2))).__round__(4)
        1.8109
    """
    return (gamma + 1) * (log(gamma + u) - log(gamma + 1)) + 1


@claim(
    "wipf2024.figure-2-zero",
    source="caption of Figure 2, first chain",
    says=r"\lim_{\gamma\to 0}\log(\gamma+|u|)=\log|u|=\lim_{p\to 0}\frac1p\bigl[|u|^p-1\bigr]",
    assumes=r"$u\ne 0$; at $u=0$ both limits are $-\infty$",
    verdict=PROVED,
    proof=r"Continuity of the logarithm; $|u|^p=e^{p\log|u|}=1+p\log|u|+O(p^2)$.",
)
def figure_2_zero(evidence: Evidence) -> None:
    """Both limits, symbolically."""

    def power_limit(offset: int) -> bool:
        return sp.simplify(sp.limit((U**P - offset) / P, P, 0, "+") - sp.log(U)) == 0

    evidence.proves(
        lambda: sp.limit(sp.log(GAMMA + U), GAMMA, 0, "+") == sp.log(U),
        control=lambda: sp.limit(sp.log(GAMMA + U), GAMMA, 1, "+") == sp.log(U),
        by="SymPy; control: the limit at gamma = 1",
    )
    evidence.proves(
        lambda: power_limit(1),
        control=lambda: sp.simplify(sp.limit(U**P / (1 + P), P, 0, "+") - sp.log(U)) == 0,
        by="SymPy; control: the power without its constant",
    )


@claim(
    "wipf2024.figure-2-indicator",
    source="caption of Figure 2, first chain, last link",
    says=r"\log|u|=\lim_{p\to 0}\frac1p\bigl[|u|^p-1\bigr]\propto\mathbb{I}[u\ne 0]",
    verdict=MISPRINT,
    because=r"$\log 1=0$ and $\log 2\ne 0$, and the indicator is 1 at both. It is the limit of $|u|^p$ itself; the "
    "logarithm is what is left after the constant is taken off and the rest is scaled up by $1/p$.",
    proof=r"$|u|^p=1+p\log|u|+O(p^2)$ for $u\ne 0$, and $0^p=0$: $\lim_{p\to 0+}|u|^p=\mathbb{I}[u\ne 0]$. For each "
    r"fixed $p$ the power and $\frac1p[|u|^p-1]$ are affine images of each other, which keeps their relative "
    "concavity.",
)
def figure_2_indicator(evidence: Evidence) -> None:
    """Two values of u at which the logarithm and the indicator are not in proportion."""

    def proportional(values: tuple[F, F]) -> bool:
        first, second = values
        return log(first) == log(second)  # the indicator is 1 at both

    def limit_is_indicator(argument: sp.Expr) -> bool:
        at_zero = sp.limit(argument.subs(U, 0), P, 0, "+")
        return sp.limit(argument, P, 0, "+") == 1 and at_zero == 0

    evidence.fails(proportional, at=(F(1), F(2)), control=(F(2), F(2)))
    evidence.proves(
        lambda: limit_is_indicator(U**P),
        control=lambda: limit_is_indicator((U**P - 1) / P),
        by="SymPy: 1 for u > 0 and 0 at u = 0; control: the printed quotient",
        role=CORRECTED,
    )


@dataclass(frozen=True)
class Point:
    """A value of u and one of gamma."""

    u: F
    gamma: F

    def __str__(self) -> str:
        return f"u = {self.u}, gamma = {self.gamma}"


def points(source: random.Random) -> Point:
    """Draw u and gamma over several decades."""
    return Point(F(source.randint(1, 100), 10), F(source.randint(1, 99)) * F(10) ** source.randint(-2, 4))


@claim(
    "wipf2024.figure-2-infinity",
    source="caption of Figure 2, second limit",
    says=r"\lim_{\gamma\to\infty}\gamma\log(\gamma+|u|)=|u|",
    verdict=MISPRINT,
    because=r"The limit is $+\infty$: at $u=1$, $\gamma=1000$ the left side is 6908.75. The diverging constant "
    r"$\gamma\log\gamma$ has to be taken off, which is an affine map and leaves relative concavity as it is.",
    proof=r"$\gamma[\log(\gamma+u)-\log\gamma]=\gamma\log(1+u/\gamma)$, and $0\le "
    r"u-\gamma\log(1+u/\gamma)\le\frac{u^2}{2\gamma}$ from $x-\frac{x^2}{2}\le\log(1+x)\le x$.",
)
def figure_2_infinity(evidence: Evidence) -> None:
    """The printed expression leaves every bound; the mended one is within u^2 / (2 gamma) of u."""

    def within(c: Point, constant: bool) -> bool:  # is u approached from below, within u^2 / (2 gamma)?
        expression = c.gamma * (log(c.gamma + c.u) - (log(c.gamma) if constant else 0))
        return 0 <= c.u - expression <= c.u**2 / (2 * c.gamma)

    def too_close(c: Point) -> bool:
        expression = c.gamma * (log(c.gamma + c.u) - log(c.gamma))
        return c.u - expression <= c.u**2 / (3 * c.gamma)

    def tends_to(expression: sp.Expr, value: sp.Expr) -> bool:
        return sp.limit(expression, GAMMA, sp.oo) == value

    printed, mended = GAMMA * sp.log(GAMMA + U), GAMMA * (sp.log(GAMMA + U) - sp.log(GAMMA))
    evidence.fails(
        lambda c: within(c[0], constant=c[1] == "less gamma log(gamma)"),
        at=(Point(F(1), F(1000)), "as printed"),
        control=(Point(F(1), F(1000)), "less gamma log(gamma)"),
    )
    evidence.proves(
        lambda: tends_to(printed, sp.oo),
        control=lambda: tends_to(mended, sp.oo),
        by="SymPy, the printed limit",
        role=ALSO,
    )
    evidence.proves(
        lambda: tends_to(mended, U),
        control=lambda: tends_to(mended, 2 * U),
        by="SymPy, the mended limit",
        role=CORRECTED,
    )
    evidence.holds(lambda c: within(c, constant=True), points, role=CORRECTED, control=too_close)
