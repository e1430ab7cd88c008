"""Section 4 and Appendix D, Eqs. (9), (10), (24), (25): a Gaussian of unknown variance, and its best variance."""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, EMPTY, PROVED
from theory.evidence import CONDITIONAL, FAILS, VACUOUS
from theory.proof import Named, Numbers, derivative, log, same, setting
from theory.wipf2024.claims import claim

GAMMA, S, D = sp.symbols("gamma s d", positive=True)  # the variance, v'v, and the dimension
LOSS = S / (2 * GAMMA) + D * sp.log(2 * sp.pi * GAMMA) / 2
"""-ln N(v | 0, gamma I) for a vector of d numbers with v'v = s."""


def profile(square: sp.Expr, dimension: sp.Expr | int) -> sp.Expr:
    """Return the minimum of -ln N(v | 0, gamma I) over the variance (eq_24_any_dimension), where v'v = ``square``."""
    return LOSS.subs(GAMMA, S / D).subs({S: square, D: dimension}, simultaneous=True)


@claim("eq-10", "Eqs. (9) and (10)", EMPTY, "proposition-4.1")
def eq_10(share=F(1, 4)):
    r"""p\left(\begin{bmatrix}\xi_\theta\\\xi_{\mathrm{ref}}\end{bmatrix}\right)=
    \mathcal{N}\left(\begin{bmatrix}\xi_\theta\\\xi_{\mathrm{ref}}\end{bmatrix}\Big|\,0,\gamma I\right)

    Because: True of no policy: both $\xi$ are positive, and a Gaussian of mean 0 puts $\frac34$ of its mass where one
    of them is not, whatever $\gamma$ is. Eq. (11) is an objective, not a likelihood; Proposition 4.1 needs no more.
    """
    x = sp.Symbol("x", real=True)
    density = sp.exp(-(x**2) / (2 * GAMMA)) / sp.sqrt(2 * sp.pi * GAMMA)
    return same(sp.integrate(density, (x, 0, sp.oo)) ** 2, share)


eq_10.derived(role=VACUOUS, wrong={"share": F(3, 10)})


@setting("d >= 1; v'v = s > 0; gamma > 0")
def any_variance(numbers: Numbers) -> Named:
    """Every vector of every dimension, and every variance."""
    d, s = numbers.natural("d", 1), numbers.positive("s")
    return vector(d, s, numbers.positive("gamma"))


@setting("d = 2; v'v = s > 0; gamma > 0")
def two_numbers(numbers: Numbers) -> Named:
    """Every vector of two numbers, and every variance."""
    return vector(F(2), numbers.positive("s"), numbers.positive("gamma"))


def vector(d, s, gamma):
    """Name a dimension, v'v and a variance."""
    return Named(d=d, s=s, gamma=gamma)


def loss_of(gamma, d, s):
    """Return -ln N(v | 0, gamma I) without the constant d/2 log(2 pi)."""
    return s / (2 * gamma) + d * log(gamma) / 2


def slope_of_the_loss(gamma, d, s):
    return (d / gamma - s / gamma**2) / 2


def least_at(c, best):
    """Return whether the loss falls before the variance ``best`` and rises after it."""
    slope = derivative(loss_of, slope_of_the_loss)(c.gamma, c.d, c.s)
    return (slope < 0) == (c.gamma < best) and (slope > 0) == (c.gamma > best)


@claim("eq-24", "Eq. (24)", CONDITIONALLY, "eq-24-any-dimension")
def eq_24(c, divisor=2):
    r"""\arg\min_{\gamma>0}-\log\mathcal{N}(v|0,\gamma I)\equiv\arg\min_{\gamma>0}\Bigl[\frac{v^\top v}{\gamma}
    +\log|\gamma I|\Bigr]=\frac12v^\top v

    Assumes: $v\in\mathbb{R}^2$, $v\ne 0$
    Because: Said of an arbitrary real vector, but $\log|\gamma I|=d\log\gamma$: in $d$ dimensions the minimiser is
    $v^\top v/d$. For $v=0$ there is none.
    """
    return least_at(c, c.s / divisor)


eq_24.false(at=vector(F(3), F(1), F(2, 5)), true_at=vector(F(2), F(1), F(2, 5)))
eq_24.proved(over=two_numbers, role=CONDITIONAL, wrong={"divisor": F(21, 10)}, lemma="monotone")


@claim("eq-24-any-dimension", "not in the paper; Eqs. (24) and (25) in d dimensions", PROVED)
def eq_24_any_dimension(c, times=1):
    r"""\arg\min_{\gamma>0}-\log\mathcal{N}(v|0,\gamma I)=\frac{v^\top v}{d},\qquad
    \min_{\gamma>0}-\log\mathcal{N}(v|0,\gamma I)=\frac d2\Bigl[\log\frac{v^\top v}{d}+1+\log 2\pi\Bigr]

    Assumes: $v\in\mathbb{R}^d$, $v\ne 0$
    Proof: The slope in $\gamma$ is $\frac{1}{2\gamma^2}(d\gamma-v^\top v)$: negative before the root, positive after
    it.
    """
    return least_at(c, times * c.s / c.d)


def least_value(one=1):
    return same(LOSS.subs(GAMMA, S / D), D * (sp.log(S / D) + one + sp.log(2 * sp.pi)) / 2)


eq_24_any_dimension.proved(over=any_variance, wrong={"times": F(11, 10)}, lemma="monotone")
eq_24_any_dimension.derived(
    of=least_value,
    wrong={"one": F(11, 10)},
    part=r"\min_{\gamma>0}-\log\mathcal{N}(v|0,\gamma I)=\frac d2\Bigl[\log\frac{v^\top v}{d}+1+\log 2\pi\Bigr]",
)


def least_of(square, d):
    """Return the loss at its best variance (eq_24_any_dimension)."""
    return loss_of(square / d, d, square)


def slope_of_least(square, d):
    return d / (2 * square)


def inverse(x):
    return 1 / x


@claim("eq-25", "Eq. (25)", CONDITIONALLY, "eq-24-any-dimension")
def eq_25(c):
    r"""\min_{\gamma>0}-\log\mathcal{N}(v|0,\gamma I)\equiv\log(v^\top v)

    Assumes: $v\in\mathbb{R}^2$; the constant is then $1+\log\pi$
    Because: In $d$ dimensions it is $\frac d2\log(v^\top v)$.
    Proof: wipf2024.eq-24-any-dimension. What is equal up to a constant has the same slope in $v^\top v$.
    """
    return derivative(least_of, slope_of_least)(c.s, c.d) == derivative(log, inverse)(c.s)


def in_two_dimensions(offset=1):
    return same(LOSS.subs({GAMMA: S / D}).subs(D, 2), sp.log(S) + offset + sp.log(sp.pi))


def in_no_other_dimension(c, plane=2):
    return c.d == plane or not eq_25(c)


eq_25.proved(over=any_variance, given=lambda c: c.d == 2, wrong_given=lambda c: c.d <= 2, lemma="mean value")
eq_25.derived(of=in_two_dimensions, wrong={"offset": F(11, 10)}, also=True)
eq_25.proved(over=any_variance, of=in_no_other_dimension, role=FAILS, wrong={"plane": 3})
