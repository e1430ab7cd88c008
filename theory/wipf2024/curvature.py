"""Section 5: the penalty ln(gamma + u), its curvature, and relative concavity (Definition 5.1)."""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, PROVED
from theory.evidence import CONDITIONAL
from theory.proof import Named, Numbers, derivative, exp, log, same, setting, world_of
from theory.wipf2024.claims import claim

U, GAMMA = sp.symbols("u gamma", positive=True)


@setting("0 < gamma_1 < gamma_2, 0 <= u < v")
def two_points(numbers: Numbers) -> Named:
    """Every two penalties at every two points."""
    low, u = numbers.positive("gamma_1"), numbers.at_least("u", 0)
    return Named(low=low, high=low + numbers.positive("more"), u=u, v=u + numbers.positive("step"))


# --- Definition 5.1 ------------------------------------------------------------------------------------------------


@setting("f'(u_1) > 0; values of f and g at two points, g'(u_1)")
def two_functions(numbers: Numbers) -> Named:
    """Every two functions, by what (13) says of them; and affine maps with positive factors."""
    names = ("f1", "f2", "g1", "g2", "slope_g", "shift", "other_shift")
    factors = {name: numbers.positive(name) for name in ("slope_f", "factor", "other_factor")}
    return Named(**{name: numbers.real(name) for name in names}, **factors)


def eq_13(f1, f2, g1, g2, slopes):
    """Return whether (13) holds at two points; ``slopes`` is g'(u_1) / f'(u_1)."""
    return g2 <= g1 + slopes * (f2 - f1)


@claim("definition-5.1", "Definition 5.1, Eq. (13)", CONDITIONALLY)
def definition_5_1(c, times=1, share=1):
    r"""f\ \text{strictly increasing, differentiable:}\quad g(u_2)\le
    g(u_1)+\frac{g'(u_1)}{f'(u_1)}\bigl[f(u_2)-f(u_1)\bigr]\ \forall u_1,u_2\iff g\circ f^{-1}\ \text{concave}

    Assumes: $f'>0$, and (13) for all $u_1,u_2\in[a,b]$
    Because: A strictly increasing $f$ can have $f'(u_1)=0$, as $u^3$ at 0, and (13) then divides by zero. The
    quantifier over $u_1,u_2$ is not printed.
    Proof: In $t=f(u)$, (13) says that $h=g\circ f^{-1}$ lies below its tangents, whose slopes are $h'=g'/f'$; with the
    tangent at a point between two others h lies above its chord. Conversely let $\tau=h'(t_1)$ and let q be the slope
    of the chord to $t_2>t_1$. If $q\ne\tau$, the chord to some point between has a slope that differs from $\tau$
    by less than q does, since $h'$ is a limit. That slope is at least q where h is concave, so $q\le\tau$: (13).
    $h'$ falls if and only if $g''f'\le g'f''$.
    """
    tangents = all(eq_13(c.fm, f, c.gm, g, c.slope_gm / c.slope_fm) for f, g in ((c.f1, c.g1), (c.f2, c.g2)))
    left, whole = share * (c.fm - c.f1) / (c.f2 - c.f1), c.g2 - c.g1
    above = c.gm >= c.g1 + left * whole  # at u_m, between u_1 and u_2, h lies above its chord
    slope, mean = c.slope_g / c.slope_f, whole / (c.f2 - c.f1)
    near = slope == mean or abs((c.gm - c.g1) / (c.fm - c.f1) - slope) < abs(mean - slope)  # some u_m is: h' is a limit
    return (not tangents or above) and (not (above and near) or eq_13(c.f1, c.f2, c.g1, c.g2, times * slope))


def identity_at(slope_f):
    """Return f = a u + u^3 and g = f at 0, 1/2 and 1, of which g o f^-1 is the identity; f'(0) = a = ``slope_f``."""
    middle, slope_fm, end = slope_f / 2 + F(1, 8), slope_f + F(3, 4), 1 + slope_f
    at_ends = Named(f1=F(0), f2=end, g1=F(0), g2=end, slope_f=slope_f, slope_g=slope_f)
    return Named(**vars(at_ends), fm=middle, gm=middle, slope_fm=slope_fm, slope_gm=slope_fm)


@setting("f(u_1) < f(u_m) < f(u_2) or the other way round, f'(u_1), f'(u_m) > 0; g and g' there")
def between_two(numbers: Numbers) -> Named:
    """Every two functions at three points, of which u_m is between u_1 and u_2."""
    f1, share, reach = numbers.real("f1"), numbers.between("share", 0, 1), numbers.real("reach")
    numbers.assume(reach != 0)
    slopes = {name: numbers.positive(name) for name in ("slope_f", "slope_fm")}
    names = ("g1", "g2", "gm", "slope_g", "slope_gm")
    return Named(f1=f1, f2=f1 + reach, fm=f1 + share * reach, **slopes, **{n: numbers.real(n) for n in names})


def bend_of_h(u, f, g, sign=-1):
    slope = sp.diff(g(u), u) / sp.diff(f(u), u)
    bend = sp.diff(g(u), u, 2) * sp.diff(f(u), u) + sign * sp.diff(g(u), u) * sp.diff(f(u), u, 2)
    return same(sp.diff(slope, u) / sp.diff(f(u), u), bend / sp.diff(f(u), u) ** 3)


definition_5_1.false(at=identity_at(F(0)), true_at=identity_at(F(1)))
definition_5_1.proved(over=between_two, role=CONDITIONAL, wrong={"times": F(9, 10)})
definition_5_1.proved(over=between_two, role=CONDITIONAL, wrong={"share": F(11, 10)})
definition_5_1.derived(
    of=bend_of_h, symbols={"u": "real", "f": "function", "g": "function"}, wrong={"sign": F(-9, 10)}, also=True
)


@claim("greater-curvature", "Section 5, the sentence after Definition 5.1", CONDITIONALLY, "definition-5.1")
def greater_curvature(c):
    r"""g\ \text{concave relative to}\ f,\ g(u)=f(u),\ g'(u)=f'(u)\ \text{(by an affine map)}\implies
    |g''(u)|\ge|f''(u)|

    Assumes: $f''(u)\le 0$; $g'(u)>0$ before the map, whose factor must be positive (wipf2024.affine-invariance)
    Because: What follows in general is $g''(u)\le f''(u)$ and $g\le f$. Where $f$ is convex that is less curvature, not
    more: $g=2u-1$ is concave relative to $f=u^2$ and has none. For the penalties of the paper, which are concave, the
    sentence is right.
    Proof: $g''f'\le g'f''$ (wipf2024.definition-5.1) with $g'=f'>0$.
    """
    return not c.bend_g * c.slope <= c.slope * c.bend_f or abs(c.bend_g) >= abs(c.bend_f)


@setting("f'(u) = g'(u) > 0; f''(u), g''(u)")
def normalised(numbers: Numbers) -> Named:
    """Every two functions that touch at a point."""
    return Named(slope=numbers.positive("slope"), bend_f=numbers.real("bend_f"), bend_g=numbers.real("bend_g"))


def touching_from_below(c, times=1):
    slope_g = c.slope_f  # normalised: g(u_1) = f(u_1) and g'(u_1) = f'(u_1)
    return not eq_13(c.f1, c.f2, c.f1, c.g2, times * slope_g / c.slope_f) or c.g2 <= c.f2


greater_curvature.false(
    at=Named(slope=F(2), bend_f=F(2), bend_g=F(0)), true_at=Named(slope=F(2), bend_f=F(-2), bend_g=F(-2))
)
greater_curvature.proved(over=normalised, given=lambda c: c.bend_f <= 0, wrong_given=lambda c: c.bend_f <= F(1, 10))
greater_curvature.proved(over=two_functions, of=touching_from_below, also=True, wrong={"times": F(11, 10)})


@claim("affine-invariance", "Section 5 after Definition 5.1; caption of Figure 2", CONDITIONALLY)
def affine_invariance(c, times=1):
    r"""g\ \text{is concave relative to}\ f\iff\alpha g+\beta\ \text{is concave relative to}\ \alpha'f+\beta'

    Assumes: $\alpha>0$ and $\alpha'>0$
    Because: An affine map of $g$ with a negative factor turns concave into convex; one of $f$ would make it decrease.
    Proof: (13) is multiplied by $\alpha$, and constants cancel.
    """
    g1, g2 = (c.factor * g + c.shift for g in (c.g1, c.g2))
    f1, f2 = (c.other_factor * f + c.other_shift for f in (c.f1, c.f2))
    mapped = eq_13(f1, f2, g1, g2, times * c.factor * c.slope_g / (c.other_factor * c.slope_f))
    return eq_13(c.f1, c.f2, c.g1, c.g2, c.slope_g / c.slope_f) == mapped


def bent(factor):
    """Return f = u and g = 2 u - u^2 between 0 and 1, and an affine map of g."""
    zero, one = F(0), F(1)
    points = Named(f1=zero, f2=one, g1=zero, g2=one, slope_f=one, slope_g=F(2))
    return Named(**vars(points), factor=factor, other_factor=F(3), shift=one, other_shift=zero)


affine_invariance.false(at=bent(F(-1)), true_at=bent(F(1)))
affine_invariance.proved(over=two_functions, role=CONDITIONAL, wrong={"times": F(11, 10)})


# --- the penalty ---------------------------------------------------------------------------------------------------


@claim("concave-penalty", "Section 5, first observation", PROVED)
def concave_penalty(c, times=1):
    r"""u\mapsto\log(\gamma+u)\ \text{is concave and non-decreasing on}\ [0,\infty)

    Assumes: $\gamma>0$
    Because: Strictly so. The slope at 0 is $1/\gamma$: steep around zero only if $\gamma$ is small.
    Proof: It rises, and lies below each of its tangents, whose slopes are $1/(\gamma+u)$.
    """
    rise, step = log(c.low + c.v) - log(c.low + c.u), c.v - c.u
    return 0 < rise < times * step / (c.low + c.u) and rise > step / (c.low + c.v)


def slope_is(shift=0):
    slope = sp.diff(sp.log(GAMMA + U), U)
    return same(slope, 1 / (GAMMA + U)) & same(slope.subs(U, 0), 1 / (GAMMA + shift))


concave_penalty.proved(over=two_points, wrong={"times": F(9, 10)})
concave_penalty.derived(of=slope_is, wrong={"shift": F(1, 10)}, also=True)


@claim("convex-in-log-ratio", "not in the paper; the penalty as a function of the log-ratio", PROVED)
def convex_in_log_ratio(c, least=0):
    r"""t\mapsto\log(\gamma+e^{\lambda t}),\quad t=\log\frac{\pi_\theta(y_l)}{\pi_\theta(y_w)},\quad\text{is convex}

    Assumes: $\gamma>0$, $\lambda>0$
    Proof: The second derivative is $\gamma\lambda^2e^{\lambda t}/(\gamma+e^{\lambda t})^2>0$. So the same loss is
    concave in one coordinate and convex in another, the one in which a tabular softmax moves.
    """
    slope = derivative(penalty, slope_in_t)
    return derivative(slope, bend)(c.t, c.gamma, c.strength) > least


def penalty(t, gamma, strength):
    return log(gamma + exp(strength * t))


def slope_in_t(t, gamma, strength):
    return strength * exp(strength * t) / (gamma + exp(strength * t))


def bend(t, gamma, strength):
    return gamma * strength**2 * exp(strength * t) / (gamma + exp(strength * t)) ** 2


everywhere = world_of("gamma, lambda > 0, t real", t="real", gamma="positive", strength="positive")
convex_in_log_ratio.proved(over=everywhere, wrong={"least": F(1, 10)}, lemma="convex")


@claim("relative-concavity", "Section 5, second observation", PROVED)
def relative_concavity(c, times=1):
    r"""\gamma_1<\gamma_2\implies\log(\gamma_1+u)\ \text{is concave relative to}\ \log(\gamma_2+u)

    Assumes: $\gamma_1\ge 0$, $u\ge 0$; $u>0$ if $\gamma_1=0$
    Because: Strictly so, and never the other way round.
    Proof: The slope of $g\circ f^{-1}$, $g'/f'=(\gamma_2+u)/(\gamma_1+u)$, falls as u rises, and f rises with u.
    """
    slope = derivative(shifted_log, inverse)
    first, second = (slope(u, c.low) / slope(u, c.high) for u in (c.u, c.v))
    return first > times * second


def shifted_log(u, gamma):
    return log(gamma + u)


def inverse(u, gamma):
    return 1 / (gamma + u)


@setting("0 <= gamma_1 < gamma_2, 0 < u < v")
def two_penalties(numbers: Numbers) -> Named:
    """Every two penalties, gamma_1 = 0 allowed."""
    low, u = numbers.at_least("gamma_1", 0), numbers.positive("u")
    return Named(low=low, high=low + numbers.positive("more"), u=u, v=u + numbers.positive("step"))


for family in (two_points, two_penalties):
    relative_concavity.proved(over=family, wrong={"times": F(11, 10)}, lemma="mean value")
