"""The derivatives of the gradient-norm regularizer L_reg, Eqs. (77)-(80) and (84).

L_reg = max(0, |g_l| - |g_w|), with scores g taken with respect to theta.
"""

from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, FALSE, PROVED
from theory.evidence import CONDITIONAL
from theory.proof import Named, log, over_responses, same, setting, sqrt
from theory.statement import claims_of
from theory.worlds import World

claim = claims_of("jian2025")
COMPONENTS = over_responses(g="any", h="any")  # sums over the components of a score here, any number of them


@claim("eq-79", "Eq. (79), used in Eq. (80)", CONDITIONALLY)
def eq_79(c, times=1):
    r"""\nabla_\theta\|g_y\|=\frac{(\nabla^2_\theta\log\pi_y)\,g_y}{\|g_y\|}

    Assumes: $g_y\ne 0$; then Eq. (80) is an equality, although printed with $\approx$
    Because: At $g_y=0$ the right side is 0/0 and the norm has a kink: on the line of features $0,1,-1$ at $\theta=0$
    its slopes are $\mp 2/3$.
    Proof: Chain rule. It costs one Hessian-vector product; no Hessian is needed. Along a parameter $t$ the score
    becomes $g+t(h+r)$ with its derivative $h$ and $r\to 0$, and the slope of the norm up to $t$ differs from
    $g\cdot h/\|g\|$ by at most $\|r\|+|t|\,\|h+r\|^2/(2\|g\|)$, which tends to 0 with $t$.
    """
    norm, moved = sqrt(c.gg), sqrt(c.gg + 2 * c.t * c.gk + c.t**2 * c.kk)
    return abs((moved - norm) / c.t - times * c.gh / norm) <= c.r + abs(c.t) * c.kk / (2 * norm)


@setting("|g| > 0, any g.h, |g.r| <= |g| |r|, |h + r|^2 >= (g.(h + r))^2 / |g|^2, t > 0 or t < 0")
def moved_score(numbers):
    """A score g that is not 0 and any path g + t (h + r) through it, with any number of components."""
    norm, along_h, r = numbers.positive("norm"), numbers.real("along_h"), numbers.at_least("r", 0)
    along = along_h + r * numbers.within("share", -1, 1)
    kk = along**2 + numbers.at_least("across", 0)
    t = numbers.real("t")
    numbers.assume(t != 0)
    return Named(gg=norm**2, gh=norm * along_h, gk=norm * along, kk=kk, r=r, t=t)


def on_a_line(w, t):
    """Return the case of a world with one parameter, along which g_w falls by the variance of the feature (r = 0)."""
    ((g,), h) = w.scores[w.chosen], -variance_of_the_feature(w)
    return Named(gg=g**2, gh=g * h, gk=g * h, kk=h**2, r=F(0), t=t)


def variance_of_the_feature(w):
    return sum(p * a**2 for p, (a,) in zip(w.p, w.scores, strict=True))


def both_slopes_are_equal(w):
    """The slopes of |g_w| to the right and to the left."""
    ((g,), variance) = w.scores[w.chosen], variance_of_the_feature(w)
    right, left = (-variance if g + h > 0 else variance for h in (-F(1, 10**9), F(1, 10**9)))  # g falls along theta
    return right == left


T, SQUARE = sp.Symbol("t"), sp.Function("square")(sp.Symbol("t"))
SLOPE_TIMES_NORM = (sp.diff(sp.sqrt(SQUARE), T) * sp.sqrt(SQUARE)).subs(SQUARE.diff(T), sp.Symbol("slope"))


def slope_of_the_norm(k, times=1):
    """Along a parameter t every component g has a derivative h, and |g| is the root of the sum of all g^2."""
    slope = sp.Poly(k.sum((k.g + T * k.h) ** 2), T).coeff_monomial(T)
    return same(SLOPE_TIMES_NORM.subs("slope", slope), times * k.sum(k.g * k.h))


KINK, SMOOTH = World.log_linear([[0], [1], [-1]], at=[1]), World.log_linear([[2], [1], [-1]], at=[1])
eq_79.false(at=on_a_line(KINK, F(1, 10)), true_at=on_a_line(SMOOTH, F(1, 10)))
eq_79.false(of=both_slopes_are_equal, at=KINK, true_at=SMOOTH)
eq_79.proved(over=moved_score, role=CONDITIONAL, wrong={"times": F(11, 10)})


@setting("delta at the point and at any other")
def two_points(numbers):
    """Any delta, differentiable or not."""
    return numbers.real("delta"), numbers.real("other")


@claim("eq-78", r"Eq. (78): the value 0 at $\delta=0$", PROVED)
def eq_78(case, hinge=True):
    r"""\delta=0\implies 0\in\partial\max(0,\delta)

    Assumes: $\partial$ is Clarke's subdifferential, $\delta$ locally Lipschitz, differentiable or not
    Proof: $\max(0,\delta)$ is nowhere less than 0, so that every point with $\delta=0$ is a minimiser, and 0 belongs to
    the subdifferential at a minimiser. Of $\delta$ itself this is false.
    """
    delta, other = (max(0, value) if hinge else value for value in case)
    return case[0] != 0 or delta <= other


eq_78.proved(over=two_points, wrong={"hinge": False}, lemma="Clarke")


def slope_of_the_gap(p, score, by, mixed):
    """Return the derivative by phi of (2 p - 1) |h'|, where h' is a derivative of the log-odds h and h' != 0."""
    return 2 * p * (1 - p) * by * abs(score) + (2 * p - 1) * (mixed if score > 0 else -mixed)


@claim("eq-84", "Eq. (84)", FALSE, "eq-84-mixed-hessian")
def eq_84(h):
    r"""\nabla_\phi L_{\mathrm{reg}}=\frac{\nabla^2_\phi\log\pi_l\,\nabla_\phi\log\pi_l}{\|\nabla_\phi\log\pi_l\|}
    -\frac{\nabla^2_\phi\log\pi_w\,\nabla_\phi\log\pi_w}{\|\nabla_\phi\log\pi_w\|}\quad(\delta>0)

    Because: $L_{\mathrm{reg}}$ is made of norms of gradients in $\theta$; their derivative in $\phi$ needs the mixed
    Hessian. The two agree if the logits depend on $\theta+\phi$ only. With two responses and log-odds $\theta+2\phi$ at
    $\pi_w=2/3$: 8/9, printed 16/9; with $\theta\phi$ at $(1,\ln 2)$: $1/3+4\ln 2/9$, printed $4/9$.
    """
    return slope_of_the_gap(h.p, h.theta, h.phi, h.theta_phi) == slope_of_the_gap(h.p, h.phi, h.phi, h.phi_phi)


def gap_of_two_responses(t, f, h, share=2):
    """|g_l| - |g_w| for pi_w = sigma(h), where h grows with theta."""
    p, odds = 1 / (1 + sp.exp(-h(t, f))), h(t, f)
    gap = -sp.diff(sp.log(1 - p), t) - sp.diff(sp.log(p), t)
    closed_form = share * p * (1 - p) * odds.diff(f) * odds.diff(t) + (2 * p - 1) * odds.diff(t, f)
    return same(sp.diff(gap, f), closed_form)


TWO_THIRDS = F(2, 3)
SUM, TWICE = (Named(p=TWO_THIRDS, theta=F(1), phi=F(k), theta_phi=F(0), phi_phi=F(0)) for k in (1, 2))
PRODUCT = Named(p=TWO_THIRDS, theta=log(2), phi=F(1), theta_phi=F(1), phi_phi=F(0))
eq_84.false(at=TWICE, true_at=SUM).false(at=PRODUCT, true_at=SUM, also=True)
eq_84.derived(of=gap_of_two_responses, symbols={"h": "function"}, wrong={"share": F(9, 5)}, also=True)


@claim("eq-84-mixed-hessian", "not in the paper; replaces Eq. (84)", PROVED)
def eq_84_mixed_hessian(k, times=1):
    r"""\nabla_\phi\|\nabla_\theta\log\pi_y\|=\frac{(\nabla^2_{\phi\theta}\log\pi_y)\,\nabla_\theta\log\pi_y}
    {\|\nabla_\theta\log\pi_y\|}

    Assumes: $\nabla_\theta\log\pi_y\ne 0$; any number of components
    Proof: Chain rule, as in jian2025.eq-79: a component $g$ of the score has the derivative $h$ by $\phi$.
    """
    return slope_of_the_norm(k, times)


eq_84_mixed_hessian.derived(sums=COMPONENTS, wrong={"times": F(11, 10)})
