"""Figure 2 and its caption: the two extremes of ln(gamma + |u|), as gamma tends to 0 and to infinity."""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import MISPRINT, PROVED
from theory.evidence import CORRECTED, FAILS
from theory.proof import Numbers, derivative, log, same, setting
from theory.wipf2024.claims import claim
from theory.wipf2024.curvature import inverse, shifted_log, two_penalties

U, P, GAMMA, X = sp.symbols("u p gamma x", positive=True)
TOUCHING = (GAMMA + 1) * (sp.log(GAMMA + U) - sp.log(GAMMA + 1)) + 1
"""ln(gamma + u) moved and scaled so that value and slope are 1 at u = 1, as drawn in the figure."""


@claim("figure-2-zero", "caption of Figure 2, first chain", PROVED)
def figure_2_zero(offset=1):
    r"""\lim_{\gamma\to 0}\log(\gamma+|u|)=\log|u|=\lim_{p\to 0}\frac1p\bigl[|u|^p-1\bigr]

    Assumes: $u\ne 0$; at $u=0$ both limits are $-\infty$
    Proof: Continuity of the logarithm; $|u|^p=e^{p\log|u|}=1+p\log|u|+O(p^2)$.
    """
    from_gamma = sp.limit(sp.log(GAMMA + U), GAMMA, 0, "+")
    return same(from_gamma, sp.log(U)) & same(sp.limit((U**P - 1) / P, P, 0, "+"), sp.log(offset * U))


figure_2_zero.derived(wrong={"offset": F(11, 10)})


@claim("figure-2-indicator", "caption of Figure 2, first chain, last link", MISPRINT)
def figure_2_indicator(values):
    r"""\log|u|=\lim_{p\to 0}\frac1p\bigl[|u|^p-1\bigr]\propto\mathbb{I}[u\ne 0]

    Because: $\log 1=0$ and $\log 2\ne 0$, and the indicator is 1 at both. It is the limit of $|u|^p$ itself; the
    logarithm is what is left after the constant is taken off and the rest is scaled up by $1/p$.
    Proof: $|u|^p=1+p\log|u|+O(p^2)$ for $u\ne 0$, and $0^p=0$: $\lim_{p\to 0+}|u|^p=\mathbb{I}[u\ne 0]$. For each fixed
    $p$ the power and $\frac1p[|u|^p-1]$ are affine images of each other, which keeps their relative concavity.
    """
    first, second = values
    return log(first) == log(second)  # the indicator is 1 at both


def power_tends_to_it(one=1):
    at_zero = sp.limit(sp.Integer(0) ** P, P, 0, "+")
    return same(sp.limit(U**P, P, 0, "+"), one) & same(at_zero, 0)


figure_2_indicator.false(at=(F(1), F(2)), true_at=(F(1), F(1)))
figure_2_indicator.derived(of=power_tends_to_it, role=CORRECTED, wrong={"one": F(11, 10)})


@claim("figure-2-infinity", "caption of Figure 2, second limit", MISPRINT)
def figure_2_infinity(c):
    r"""\lim_{\gamma\to\infty}\gamma\log(\gamma+|u|)=|u|

    Because: The limit is $+\infty$: at $u=1$, $\gamma=1000$ the left side is 6908.75. The diverging constant
    $\gamma\log\gamma$ has to be taken off, which is an affine map and leaves relative concavity as it is.
    Proof: $\gamma[\log(\gamma+u)-\log\gamma]=\gamma\log(1+u/\gamma)$, and $0\le u-\gamma\log(1+u/\gamma)\le
    \frac{u^2}{2\gamma}$ from $x-\frac{x^2}{2}\le\log(1+x)\le x$, whose differences rise from 0 at $x=0$.
    """
    u, gamma, taken_off = c
    expression = gamma * (log(gamma + u) - taken_off * log(gamma))
    return 0 <= u - expression <= u**2 / (2 * gamma)


def leaves_every_bound(inverse=0):
    return same(sp.limit(1 / (GAMMA * sp.log(GAMMA + U)), GAMMA, sp.oo), inverse)


def mended(times=1):
    return same(sp.limit(GAMMA * (sp.log(GAMMA + U) - sp.log(GAMMA)), GAMMA, sp.oo), times * U)


def differences_rise(half=2):
    lower, upper = sp.log(1 + X) - X + X**2 / half, X - sp.log(1 + X)
    return same(sp.diff(lower, X), X**2 / (1 + X)) & same(sp.diff(upper, X), X / (1 + X))


figure_2_infinity.false(at=(F(1), F(1000), 0), true_at=(F(1), F(1000), 1))
figure_2_infinity.derived(of=leaves_every_bound, role=FAILS, wrong={"inverse": F(1, 10)})
figure_2_infinity.derived(of=mended, role=CORRECTED, wrong={"times": F(11, 10)})
figure_2_infinity.derived(of=differences_rise, also=True, wrong={"half": F(21, 10)}, lemma="monotone")


@claim("figure-2", "caption of Figure 2, last sentence", PROVED)
def between_the_extremes(c, times=1):
    r"""\text{the relative concavity of}\ \log(\gamma+|u|)\ \text{lies between those of}\ \log|u|\ \text{and}\ |u|

    Assumes: $0<\gamma<\infty$, $u>0$
    Proof: The ratios of slopes, $(\gamma+u)/u$ and $1/(\gamma+u)$, fall (wipf2024.relative-concavity). Made to touch at
    $u=1$, $(\gamma+1)\log\frac{\gamma+u}{\gamma+1}+1$, the curves are nested from $1+\log u$ to $u$: the derivative in
    $\gamma$ is $\log z+\frac1z-1\ge 0$ with $z=\frac{\gamma+u}{\gamma+1}$.
    """
    slope = derivative(shifted_log, inverse)
    of_log, own = ([slope(u, gamma) for u in (c.u, c.v)] for gamma in (0, c.high))  # log|u| is log(0 + u)
    return of_log[0] / own[0] > times * of_log[1] / own[1] and own[0] > own[1]  # the slope of u is 1


def nested(shift=0):
    z = (GAMMA + U) / (GAMMA + 1)
    ends = same(TOUCHING.subs(GAMMA, 0), 1 + sp.log(U) + shift) & same(sp.limit(TOUCHING, GAMMA, sp.oo), U)
    return same(sp.diff(TOUCHING, GAMMA), sp.log(z) + 1 / z - 1) & ends


@setting("z > 0")
def ratio(numbers: Numbers) -> object:
    """Every ratio."""
    return numbers.positive("z")


def rises_with_gamma(z, times=1):
    return log(z) + times * (1 / z - 1) >= 0


between_the_extremes.proved(over=two_penalties, wrong={"times": F(11, 10)}, lemma="mean value")
between_the_extremes.derived(of=nested, wrong={"shift": F(1, 10)}, lemma="monotone", also=True)
between_the_extremes.proved(over=ratio, of=rises_with_gamma, wrong={"times": F(9, 10)}, also=True)
