"""Section 3.2 and 3.3.2: how strong the field is in the corners of the figure, and for which beta.

A limit is proved as it is defined: for every bound there is a distance from the edge, given in closed form, within
which it holds. On the lower edge the second component is about beta x2^(beta-1) / x1^beta (``edge_speed``), and of
x2^(beta-1) the solver knows what it knows of every power.
"""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, EMPTY, FALSE, PROVED
from theory.evidence import CONDITIONAL, FAILS, VACUOUS
from theory.feng2024.ratios import BETA, D1, D2, PLANE, X1, X2, Place, Point, claim
from theory.proof import Named, Numbers, beside, power, same, setting

ONE = F(1)
LARGE = 10**6
TINY = F(1, 10**12)
EDGE = Point(F(1), TINY, 1, 2)  # x1 = 1, x2 = 10^-24, beta = 1/2
FAR_RIGHT = Point(F(10**8), F(1, 10**4), 1, 2)  # x1 = x2^-2 = 10^16, x2 = 10^-8, beta = 1/2


@beside(PLANE, "M > 0")
def with_bound(numbers: Numbers) -> object:
    """Any bound M."""
    return numbers.positive("M")


# --- Section 3.2, before the three regimes -------------------------------------------------------------------------


@claim("vanishes-at-low-x1", "Section 3.2, before the three regimes", FALSE, "regime-1")
def vanishes_at_low_x1(p):
    r"""\lim_{x_1\to 0}\nabla L=0

    Because: $x_1\,\partial L/\partial x_1\to-\beta$, so the field grows like $\beta/x_1$: the edge is a source.
    Proof: feng2024.regime-1.
    """
    return abs(p.d1) < LARGE


def explodes(case, share=F(1, 2)):
    p, bound = case
    return p.x1 > p.x2 or p.x1 * bound > share * p.beta or abs(p.d1) >= bound


def as_beta_over_x1(times=1):
    return same(sp.limit(X1 * D1, X1, 0, "+"), -times * BETA)


vanishes_at_low_x1.false(at=Point(TINY, F(1), 1, 2), true_at=Point(F(1), F(1), 1, 2))
vanishes_at_low_x1.proved(over=with_bound, of=explodes, role=FAILS, wrong={"share": F(11, 10)})
vanishes_at_low_x1.derived(of=as_beta_over_x1, wrong={"times": F(11, 10)}, also=True)


@claim("edge-speed", "not in the paper; the field along the lower edge (along the left one: regime-1)", PROVED)
def edge_speed(p, half=2):
    r"""x_2\le x_1\implies\frac{\beta x_2^{\beta-1}}{2x_1^\beta}\le\frac{\partial L}{\partial x_2}<
    \frac{\beta x_2^{\beta-1}}{x_1^\beta}

    Because: The upper bound holds above the diagonal as well.
    Proof: $x_1^\beta<x_1^\beta+x_2^\beta$, and $x_1^\beta+x_2^\beta\le 2x_1^\beta$ below the diagonal.
    """
    bound = p.beta * p.b / (p.x2 * p.a)
    return p.d2 < bound and (p.x2 > p.x1 or bound / half <= p.d2)


edge_speed.proved(over=PLANE, wrong={"half": F(19, 10)})


def near_the_edge(numbers: Numbers, beta, edge) -> Named:
    """Ask for x1, any bound M and x2 below an edge that depends on both; ``slope`` is x2^(beta-1)."""
    x1, bound = numbers.positive("x1"), numbers.positive("M")
    x2 = numbers.between("x2", 0, edge(x1, bound))
    return Named(x1=x1, x2=x2, beta=beta, a=power(x1, beta), slope=power(x2, beta - 1), bound=bound)


KEPT = "x1 x2 beta a slope bound"


def placed(c: Named):
    """Return the point of these numbers, with x2^beta = x2 x2^(beta-1), and the bound M."""
    return Place(x1=c.x1, x2=c.x2, beta=c.beta, a=c.a, b=c.x2 * c.slope), c.bound


@setting("x1, M > 0, beta > 1, 0 < x2 < (x1^beta / (beta M))^(1/(beta-1))")
def close_at_large_beta(numbers: Numbers) -> Named:
    """Near the lower edge, beta > 1."""
    beta = 1 + numbers.positive("beta_less_1")
    return near_the_edge(numbers, beta, lambda x1, bound: power(power(x1, beta) / (beta * bound), 1 / (beta - 1)))


def is_weak(c, times=1):
    """Return whether beta x2^(beta-1) is below x1^beta / M."""
    return all(value > 0 for value in vars(c).values()) and c.beta * c.slope * c.bound < times * c.a


@setting("what is proved of the numbers near the lower edge, beta > 1; x2 <= x1")
def weak_below_the_diagonal(numbers: Numbers):
    """Every point near the lower edge, and any bound M."""
    near = numbers.case_of(close_at_large_beta, is_weak, keep=KEPT)
    numbers.assume(near.x2 <= near.x1)
    return placed(near)


@claim("vanishes-at-low-x2", "Section 3.2, before the three regimes", CONDITIONALLY, "edge-speed")
def vanishes_at_low_x2(case, most=1):
    r"""\lim_{x_2\to 0}\nabla L=0

    Assumes: $\beta>1$, outside the paper's own range $[0.1,0.5]$
    Because: The second component behaves like $\beta x_2^{\beta-1}/x_1^\beta$: it explodes for $\beta<1$ and tends to
    $1/x_1$ for $\beta=1$.
    Proof: $\partial L/\partial x_2<\beta x_2^{\beta-1}/x_1^\beta<1/M$ for
    $x_2<(x_1^\beta/(\beta M))^{1/(\beta-1)}$, and for $x_2\le x_1$ the other component is no larger: it is $x_2/x_1$
    times as large.
    """
    p, bound = case  # for every bound M both components are below 1 / M, close enough to the edge
    return abs(p.d2) * bound < most and abs(p.d1) * bound < most


def at_beta_one(p, share=F(1, 2)):
    return p.x2 > p.x1 or p.d2 >= share / p.x1


@setting("x1, x2 > 0, beta = 1")
def beta_one(numbers: Numbers) -> Place:
    """Every point of the plane, beta = 1."""
    x1, x2 = numbers.positive("x1"), numbers.positive("x2")
    return Place(x1=x1, x2=x2, beta=1, a=x1, b=x2)


for slow in (Point(F(1), F(1, 10), 1, 10), Point(F(1), F(1, LARGE), 1, 2), Point(F(1), TINY)):  # beta = 1/10, 1/2, 1
    vanishes_at_low_x2.false(at=(slow, LARGE), true_at=(Point(F(1), TINY, 2), LARGE))
vanishes_at_low_x2.proved(over=close_at_large_beta, of=is_weak, role=CONDITIONAL, wrong={"times": F(9, 10)})
vanishes_at_low_x2.proved(over=weak_below_the_diagonal, role=CONDITIONAL, wrong={"most": F(9, 10)})
vanishes_at_low_x2.proved(over=beta_one, of=at_beta_one, role=FAILS, wrong={"share": F(11, 20)})


# --- the three regimes ---------------------------------------------------------------------------------------------


@claim("regime-1", "Section 3.2, first regime (top left corner)", PROVED)
def regime_1(p, half=2):
    r"""x_1\le x_2\implies\frac{\beta}{2x_1}\le\left|\frac{\partial L}{\partial x_1}\right|\le\frac{\beta}{x_1},
    \qquad\left|\frac{\partial L}{\partial x_2}\right|\le\frac{\beta}{x_2}

    Because: True for every beta; the formulas are ours.
    Proof: $\frac12\le x_2^\beta/(x_1^\beta+x_2^\beta)<1$ above the diagonal. So x1 rises rapidly and x2 hardly moves
    as $x_1/x_2\to 0$.
    """
    inside = p.beta / (half * p.x1) <= -p.d1 <= p.beta / p.x1 and p.d2 <= p.beta / p.x2
    return p.x1 > p.x2 or inside


regime_1.proved(over=PLANE, wrong={"half": F(19, 10)})


@claim("regime-2", "Section 3.2, second regime (top right corner)", PROVED)
def regime_2(c, degree=1):
    r"""\nabla L(cx_1,cx_2)=\frac1c\nabla L(x_1,x_2),\qquad\nabla L(1,1)=\Bigl(-\frac\beta2,\frac\beta2\Bigr)

    Because: Both components shrink together as both ratios grow. In a figure with ref = 1 the corner (1, 1) belongs
    to no policy: feng2024.footnote-2.
    Proof: The gradient of a function of degree 0 is homogeneous of degree -1.
    """
    far, corner = {X1: c * X1, X2: c * X2}, {X1: sp.Integer(1), X2: sp.Integer(1)}
    scaled = [same(sp.powsimp(sp.expand_power_base(d.subs(far, simultaneous=True))), d / c**degree) for d in (D1, D2)]
    return scaled[0] & scaled[1] & same(D1.subs(corner), -BETA / 2) & same(D2.subs(corner), BETA / 2)


regime_2.derived(wrong={"degree": F(11, 10)})


def corners(inset, beta, b):
    """Return the corners of the square [inset, 1]^2, where b = inset^beta."""
    return Named(
        upper_right=Place(x1=ONE, x2=ONE, beta=beta, a=ONE, b=ONE),
        lower_right=Place(x1=ONE, x2=inset, beta=beta, a=ONE, b=b),
        upper_left=Place(x1=inset, x2=ONE, beta=beta, a=b, b=ONE),
        lower_left=Place(x1=inset, x2=inset, beta=beta, a=b, b=b),
    )


@setting("0 < epsilon < 1, beta > 0")
def small_number(numbers: Numbers) -> Named:
    """Every epsilon < 1 and its power."""
    inset, beta = numbers.between("epsilon", 0, 1), numbers.positive("beta")
    return Named(inset=inset, beta=beta, b=power(inset, beta))


def power_is_between(c, most=1):
    return c.inset > 0 and c.beta > 0 and (c.beta > most or c.inset <= c.b < 1)


@setting("0 < epsilon < 1, 0 < beta <= 1; of b = epsilon^beta what is proved")
def square(numbers: Numbers) -> Named:
    """The corners of every square [epsilon, 1]^2."""
    small = numbers.case_of(small_number, power_is_between, keep="inset beta b")
    numbers.assume(small.beta <= 1)
    return corners(small.inset, small.beta, small.b)


@claim("regime-2-weakest", "Sections 3.2 and 3.3.2, the gradients of the upper right corner", CONDITIONALLY)
def regime_2_weakest(c, times=1):
    r"""\|\nabla L(1,1)\|<\min\bigl\{\|\nabla L(\epsilon,\epsilon)\|,\|\nabla L(1,\epsilon)\|,
    \|\nabla L(\epsilon,1)\|\bigr\}

    Assumes: $\beta\le 1$
    Because: For $\beta>1$ the lower right corner is weaker: there the field vanishes with $\epsilon$.
    Proof: $\|\nabla L(1,\epsilon)\|=\beta\sqrt{1+\epsilon^2}/(\epsilon^{1-\beta}+\epsilon)$; for $\beta\le 1$,
    $\epsilon\le\epsilon^\beta<1$, the denominator is at most $1+\epsilon$, and $2(1+\epsilon^2)>(1+\epsilon)^2$. The
    other two corners have a component of at least $\beta/(2\epsilon)$.
    """
    weakest = times * c.upper_right.squared_speed
    return all(weakest < corner.squared_speed for corner in (c.lower_left, c.upper_left, c.lower_right))


INSET = F(1, 20)
regime_2_weakest.false(at=corners(INSET, F(2), INSET**2), true_at=corners(INSET, F(1), INSET))
regime_2_weakest.proved(over=small_number, of=power_is_between, role=CONDITIONAL, wrong={"most": F(11, 10)})
regime_2_weakest.proved(over=square, role=CONDITIONAL, wrong={"times": F(11, 10)})


@setting("0 < x1 <= A, 0 < beta < 1, M > 0, 0 < x2 < (2 M A^beta / beta)^(-1/(1-beta))")
def close_at_small_beta(numbers: Numbers) -> Named:
    """Near the lower edge, beta < 1, x1 bounded."""
    beta, more = numbers.between("beta", 0, 1), numbers.at_least("A_less_x1", 0)
    return near_the_edge(
        numbers, beta, lambda x1, bound: power(2 * bound * power(x1 + more, beta) / beta, -1 / (1 - beta))
    )


def is_strong(c, times=1):
    """Return whether beta x2^(beta-1) is above 2 M x1^beta."""
    return all(value > 0 for value in vars(c).values()) and c.beta * c.slope > 2 * times * c.bound * c.a


@setting("what is proved of the numbers near the lower edge, beta < 1; x2 < x1 / M, x2 <= beta / (2 M)")
def strong_and_flat(numbers: Numbers):
    """Every point near the lower edge that is closer to it than to the left one by the factor M, and any bound M."""
    near = numbers.case_of(close_at_small_beta, is_strong, keep=KEPT)
    numbers.assume(near.x2 * near.bound < near.x1, 2 * near.x2 * near.bound <= near.beta)
    return placed(near)


@setting("x2 = r^2, x1 = x2^-2, beta = 1/2")
def far_right(numbers: Numbers) -> Named:
    """A way to x2 = 0 on which x1 grows without bound."""
    r = numbers.positive("r")
    return Place(x1=1 / r**4, x2=r**2, beta=F(1, 2), a=1 / r**2, b=r)


def vanishes_on_the_way(p, share=F(1, 2)):
    return abs(p.d2) < share * p.b  # x2^(1/2), which tends to 0


@claim("regime-3", "Section 3.2, third regime (lower part)", CONDITIONALLY, "edge-speed", "corollary-1")
def regime_3(case, times=1):
    r"""x_2\to 0\implies\left|\frac{\partial L}{\partial x_2}\right|\to\infty,\quad
    \left|\frac{\partial L}{\partial x_1}\right|\ll\left|\frac{\partial L}{\partial x_2}\right|

    Assumes: $\beta<1$, $x_2/x_1\to 0$, and x1 bounded, as it is by $1/\mathrm{ref}_w$
    Because: For $\beta=1$ the speed of x2 stays below $1/x_1$, for $\beta>1$ it tends to 0; and so it does for
    $\beta=\frac12$ on the way $x_1=x_2^{-2}$. Where both are small, as the lower left corner has it, the slope
    $x_2/x_1$ of the field can be anything. The decay of the other speed is slow: at $\beta=1/10$, $x_1=1/2$ it is still
    0.013 at $x_2=10^{-12}$.
    Proof: For $x_1\le A$, $x_2<(2MA^\beta/\beta)^{-1/(1-\beta)}$ and $x_2\le\beta/(2M)$ the numerator
    $\beta x_2^{\beta-1}$ of $\partial L/\partial x_2$ exceeds $2Mx_1^\beta$ and is at least $2Mx_2^\beta$: the
    quotient exceeds M. For $x_2<x_1/M$ Corollary 1 does the rest.
    """
    p, bound = case  # for every bound M, close enough to the edge
    return abs(p.d2) > bound and abs(p.d1) * bound < times * abs(p.d2)


def bounded_at_beta_one(p, times=1):
    return abs(p.d2) < times / p.x1


regime_3.false(at=(Point(F(1), TINY, 1), LARGE), true_at=(EDGE, LARGE))
regime_3.false(at=(Point(F(1), TINY, 2), LARGE), true_at=(EDGE, LARGE))
regime_3.false(at=(FAR_RIGHT, LARGE), true_at=(Point(F(1), F(1, 10**8), 1, 2), LARGE))
regime_3.false(of=lambda p: abs(p.d2) > abs(p.d1), at=Point(F(1, 4), F(1, 2), 1, 10), true_at=EDGE)
regime_3.proved(over=beta_one, of=bounded_at_beta_one, role=FAILS, wrong={"times": F(9, 10)})
regime_3.proved(over=far_right, of=vanishes_on_the_way, role=FAILS, wrong={"share": F(2, 5)})
regime_3.proved(over=close_at_small_beta, of=is_strong, role=CONDITIONAL, wrong={"times": F(11, 10)})
regime_3.proved(over=strong_and_flat, role=CONDITIONAL, wrong={"times": F(9, 10)})


def decays_slowly(most=F(14, 1000)):
    """At beta = 1/10, x1 = 1/2, x2 = 10^-12: -dL/dx1 = 2 beta / (1 + (x1 / x2)^beta)."""
    speed = F(1, 5) / (1 + power(F(10**12, 2), F(1, 10)))
    return F(12, 1000) < speed < most


regime_3.enclosed(of=decays_slowly, wrong={"most": F(125, 10000)}, also=True)


# --- Section 3.3.2 -------------------------------------------------------------------------------------------------


@claim(
    "limitation-2-lower-right",
    "Section 3.3.2, first item (start in the lower right corner)",
    CONDITIONALLY,
    "edge-speed",
)
def limitation_2_lower_right(case, times=1):
    r"""x_2\ll x_1:\quad\left|\frac{\partial L}{\partial x_2}\right|\text{ is large}

    Assumes: $\beta<1$, $x_2\to 0$ and x1 bounded, as it is by $1/\mathrm{ref}_w$
    Because: At $\beta=1$ the speed is below $1/x_1$, for $\beta>1$ it vanishes, and for every beta it is small where
    both are large. (Measured by the logarithm of x2 the limit is $\beta<2$: feng2024.hitting-time.)
    Proof: feng2024.regime-3.
    """
    p, bound = case  # for every bound M, close enough to the edge
    return abs(p.d2) > times * bound


limitation_2_lower_right.false(at=(Point(F(1), TINY, 1), LARGE), true_at=(EDGE, LARGE))
limitation_2_lower_right.false(at=(Point(F(1), TINY, 3, 2), LARGE), true_at=(EDGE, LARGE))
limitation_2_lower_right.false(at=(Point(F(10**4), F(1), 1, 2), LARGE), true_at=(EDGE, LARGE))
limitation_2_lower_right.proved(over=beta_one, of=bounded_at_beta_one, role=FAILS, wrong={"times": F(9, 10)})
limitation_2_lower_right.proved(over=far_right, of=vanishes_on_the_way, role=FAILS, wrong={"share": F(2, 5)})
limitation_2_lower_right.proved(over=close_at_small_beta, of=is_strong, role=CONDITIONAL, wrong={"times": F(11, 10)})
limitation_2_lower_right.proved(over=strong_and_flat, role=CONDITIONAL, wrong={"times": F(11, 10)})


@claim("limitation-2-left", "Section 3.3.2, second item (start on the left side)", FALSE, "regime-1", "corollary-1")
def limitation_2_left(p):
    r"""x_1\to 0:\quad\left|\frac{\partial L}{\partial x_2}\right|>\left|\frac{\partial L}{\partial x_1}\right|

    Because: It contradicts the first regime: on the left side x1 moves faster by the factor $x_2/x_1$, except below
    the diagonal.
    """
    return abs(p.d2) > abs(p.d1)


limitation_2_left.false(at=Point(F(1, 10), F(1, 2)), true_at=Point(F(1, 10), F(1, 20)))
limitation_2_left.false(at=Point(F(1, 3), F(2, 3), 1, 2), true_at=Point(F(1, 3), F(1, 4), 1, 2))
limitation_2_left.proved(
    over=PLANE,
    of=lambda p, times=1: p.x1 > times * p.x2 or not limitation_2_left(p),
    role=FAILS,
    wrong={"times": F(11, 10)},
)


@claim(
    "limitation-2-lower-left", "Section 3.3.2, last paragraph (start in the lower left corner)", EMPTY, "corollary-1"
)
def limitation_2_lower_left(c, power=1):
    r"""\text{there the direction of the field does not entirely prioritise }x_1

    Because: Nowhere does it, since $\partial L/\partial x_2\ne 0$ everywhere; and the directions of the lower left
    corner are those of the upper right one, since the direction is a function of $x_2/x_1$.
    Proof: Corollary 1.
    """
    slope = D2 / D1
    return same(slope.subs({X1: c * X1, X2: c**power * X2}, simultaneous=True), slope) & same(slope, -X1 / X2)


limitation_2_lower_left.derived(wrong={"power": F(11, 10)}, role=VACUOUS)
limitation_2_lower_left.proved(over=PLANE, of=lambda p, least=0: p.d2 > least, role=VACUOUS, wrong={"least": F(1, 10)})
