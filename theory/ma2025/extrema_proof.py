"""The proof of Theorem 3, line by line: derivatives of w and of w pi at one point of the line.

Nothing in the argument needs more of the two curves than value and slope at a point y, and their values at the other
responses. Each sum over the other responses is proved by induction on their number.
"""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import FALSE, MISPRINT, PROVED
from theory.evidence import CORRECTED, FAILS
from theory.ma2025.bandits import beats
from theory.ma2025.covariance import claim
from theory.proof import Named, derivative, same, sums_of, world_of
from theory.worlds import Vector


def share(a, b):
    return a / (a + b)


def rise_of_the_share(a, b):
    return b / (a + b) ** 2


def term(at, a, b):
    """Return what a response with policy a and utility b adds to the sums.

    Args:
        at: p, q at the point y, and f_p, f_q: minus the slopes of their logarithms, as in Eqs. (44) and (45).
        a: p_j > 0.
        b: q_j > 0.

    Returns:
        w of Eq. (42), its derivative, the left side of Eq. (46) and that of Eq. (48).
    """
    lost, won, rise = 1 / (at.p + a), 1 / (at.q + b), derivative(share, rise_of_the_share)
    p_slope, q_slope = -at.f_p * at.p, -at.f_q * at.q
    of_46 = at.f_p * at.p * a * lost**2 - at.f_q * at.q * b * won**2
    return Named(
        w=share(at.q, b) - share(at.p, a),
        slope=q_slope * rise(at.q, b) - p_slope * rise(at.p, a),
        of_46=of_46,
        of_48=of_46 + at.f_p * at.p * lost - at.f_p * at.q * won,
    )


def point(numbers):
    """Return policy and utility at a point."""
    return Named(**{name: numbers.positive(name) for name in "pq"}, f_p=numbers.real("f_p"), f_q=numbers.real("f_q"))


def between(numbers):
    """Return a point from mu_p to mu_q: the policy does not rise, the utility does not fall, not both are flat."""
    at = point(numbers)
    numbers.assume(at.f_p >= 0, at.f_q <= 0, at.f_p - at.f_q > 0)
    return at


def at_policy_mode(numbers):
    """Return mu_p < mu_q: the policy is flat, the utility rises."""
    return Named(p=numbers.positive("p"), q=numbers.positive("q"), f_p=0, f_q=-numbers.positive("rise"))


def _others(where, assumes):
    def others(numbers, at):
        """Any number of other responses."""
        return term(at, numbers.positive("a"), numbers.positive("b"))

    return sums_of(f"p, q, p_j, q_j > 0; {assumes}", fixed=where)(others)


ANYWHERE = _others(point, "any slopes")
BETWEEN = _others(between, "f_p >= 0 >= f_q, not both 0")
AT_POLICY_MODE = _others(at_policy_mode, "f_p = 0 > f_q")


def bells(y: int, policy_mode: int, utility_mode: int, responses: int, base: F = F(2)) -> Named:
    """Return the sums for two bells base^(-(y - mode)^2) on 0 .. responses - 1 at a whole y; slopes in units of log
    base.

    The other responses are those with j != y, as in Eq. (42).

    Example:
        >>> at = bells(1, 0, 2, 3)
        >>> str(at.fixed.p), str(at.fixed.f_p), str(at.w)
        ('1/2', '2', '0')
    """

    def bell(place: int, mode: int) -> F:
        return base ** -((place - mode) ** 2)

    at = Named(p=bell(y, policy_mode), q=bell(y, utility_mode), f_p=2 * (y - policy_mode), f_q=2 * (y - utility_mode))
    others = [j for j in range(responses) if j != y]
    return sums_at(at, tuple((bell(j, policy_mode), bell(j, utility_mode)) for j in others))


def sums_at(at: Named, others: tuple[tuple[F, F], ...]) -> Named:
    """Return the sums over other responses (p_j, q_j) at a point; the last term beside them."""
    terms = [vars(term(at, a, b)) for a, b in others]
    sums = {name: sum((one[name] for one in terms), F(0)) for name in terms[0]}
    return Named(**sums, fixed=at, last=Named(**terms[-1]))


def fitness_on_grid(p: Vector, q: Vector) -> Vector:
    """Return w_i of Lemma 2 for a uniform reference and beta = 1.

    Example:
        >>> [str(w) for w in fitness_on_grid((F(3, 4), F(1, 4)), (F(1), F(1)))]
        ['-1/4', '1/4']
    """
    n = range(len(p))
    return tuple(sum((beats(q[i], q[j]) - beats(p[i], p[j]) for j in n if j != i), F(0)) for i in n)


def derivative_of_a_term(y, a, b, p, q, sign=1):
    """The derivative of a term of Eq. (42) by y is the slope of ``term``."""
    f_p, f_q = (-sp.diff(curve(y), y) / curve(y) for curve in (p, q))
    slope = term(Named(p=p(y), q=q(y), f_p=f_p, f_q=f_q), a, b).slope
    return same(sp.diff(q(y) / (q(y) + b) - p(y) / (p(y) + a), y), sign * slope)


CURVES = {"y": "real", "p": "function", "q": "function"}
FLAT = sums_at(Named(p=F(1), q=F(2), f_p=F(0), f_q=F(0)), ((F(1), F(1)),))  # both sides of an equation vanish


@claim("eq-43", "Eqs. (42), (43)", MISPRINT)
def eq_43(s):
    r"""\frac{\partial w(y_i)}{\partial y_i}=-\Bigl(\frac{p_jp_i'}{(p_i+p_j)^2}-\frac{q_jq_i'}{(q_i+q_j)^2}\Bigr)

    Because: The sum over j of Eq. (42) is lost; it is back in Eq. (46).
    Proof: Differentiate $q/(q+q_j)-p/(p+p_j)$ and sum over j.
    """
    return s.slope == s.last.slope


eq_43.false(at=bells(1, 0, 3, 4), true_at=bells(1, 0, 3, 2))
eq_43.derived(of=derivative_of_a_term, symbols=CURVES, role=CORRECTED, wrong={"sign": F(9, 10)})


@claim("eq-44", "Eqs. (44), (45)", FALSE, "theorem-3", "theorem-3-anchor")
def eq_44(points: tuple[F, F]) -> bool:
    r"""p\ \text{decays super-exponentially}\implies p'=-f_p(y-\mu_p)\,p\ \text{with}\ f_p\ \text{strictly increasing}

    Because: An increasing f is strict log-concavity, a property at every point; decay is one at infinity. With
    $f=y^3-3y^2+\frac52y$ the curve has one hump, since $f=y\,((y-\frac32)^2+\frac14)$, and decays as $e^{-y^4/4}$, but
    f falls from 1/2 to 1. It is not needed either: one hump is enough for the first statement of the theorem, and for
    what is true of the others.
    """
    return quartic(points[0]) < quartic(points[1])


def quartic(y):
    """Return minus the slope of the logarithm of a curve that decays as e^(-y^4 / 4)."""
    return y**3 - 3 * y**2 + F(5, 2) * y


def has_one_hump(at, slope_at_0=F(5, 2)):
    y = at.y
    f = quartic(y) + (slope_at_0 - F(5, 2)) * y
    return ((f > 0) == (y > 0)) & ((f < 0) == (y < 0)) & ((y < 3) | (f >= y))


eq_44.false(at=(F(1, 2), F(1)), true_at=(F(1), F(2)))
eq_44.proved(of=has_one_hump, over=world_of("any real y", y="real"), role=FAILS, wrong={"slope_at_0": F(2)})


@claim("eq-46", "Eqs. (46), (50)", PROVED)
def eq_46(s, sign=1):
    r"""y^*\ \text{extremum of}\ w\implies\sum_{j\ne i}\Bigl(f_p\frac{p_ip_j}{(p_i+p_j)^2}-f_q\frac{q_iq_j}{(q_i+q_j)^2}
    \Bigr)=0

    Assumes: $f_p$ and $f_q$ are minus the slopes of $\log p$ and $\log q$, whatever their form
    Proof: The left side is $w'$.
    """
    return s.of_46 == sign * s.slope


eq_46.by_induction(**ANYWHERE, wrong={"sign": F(9, 10)}, lemma="Fermat")


@claim("eq-47", "Eqs. (47), (48)", MISPRINT)
def eq_47(s, sign=-1):
    r"""\frac{\partial\hat w}{\partial y}=-\sum_{j\ne i}\Bigl(f_p\frac{p_i^2p_j}{(p_i+p_j)^2}+
    f_p\frac{p_i^2}{p_i+p_j}-f_q\frac{q_iq_j}{(q_i+q_j)^2}p_i-f_p\frac{q_ip_i}{q_i+q_j}\Bigr),\quad\hat w=w\pi

    Because: The sign in front of the sum is wrong: the right side is minus the derivative. Eq. (48), where it is zero,
    does not depend on it.
    Proof: $\hat w'=w'p+wp'=p\,(w'-f_pw)$, and $w'=\sum[f_pp\,p_j/(p+p_j)^2-f_qq\,q_j/(q+q_j)^2]$.
    """
    at = s.fixed
    return s.slope * at.p - s.w * at.f_p * at.p == sign * at.p * s.of_48


def eq_47_mended(s, sign=1):
    return eq_47(s, sign)


eq_47.false(at=bells(1, 0, 3, 4), true_at=FLAT)
eq_47.by_induction(of=eq_47_mended, **ANYWHERE, role=CORRECTED, wrong={"sign": -1})


@claim("eq-49", "Eq. (49)", MISPRINT)
def eq_49(s, sign=-1):
    r"""g=-\frac{\partial w}{\partial y}+f_p\sum_{j\ne i}\Bigl(\frac{p_i}{p_i+p_j}-\frac{q_i}{q_i+q_j}\Bigr)

    Assumes: g is the left side of Eq. (48)
    Because: The sign of $\partial w/\partial y$ is wrong.
    Proof: The sum in brackets is $-w$, and Eq. (48) has $g=w'-f_pw$.
    """
    return s.of_48 == sign * s.slope - s.fixed.f_p * s.w


def eq_49_mended(s, sign=1):
    return eq_49(s, sign)


eq_49.false(at=bells(1, 0, 3, 4), true_at=FLAT)
eq_49.by_induction(of=eq_49_mended, **ANYWHERE, role=CORRECTED, wrong={"sign": -1})


@claim("theorem-3-proof-w", "proof of Theorem 3, after Eq. (51)", FALSE, "theorem-3-anchor")
def proof_w(s):
    r"""w(\mu_q)>0

    Assumes: two bells, $\mu_p<\mu_q$
    Because: If the modes are close and lie at an end of the response set, most comparisons are lost at $\mu_q$. With it
    falls the step from here to $w(y^*)>0$.
    """
    return s.w > 0


proof_w.false(at=bells(1, 0, 1, 4, base=F(3, 2)), true_at=bells(3, 0, 3, 4))


@claim("theorem-3-proof-g", 'proof of Theorem 3, after Eq. (51): "easy to verify"', FALSE, "theorem-3-anchor")
def proof_g(s):
    r"""g(\mu_q)>0

    Assumes: g of Eq. (48); two bells, $\mu_p<\mu_q$
    Because: $g(\mu_q)=w'(\mu_q)-f_p(\mu_q-\mu_p)\,w(\mu_q)$: the second term wins where w is positive and the modes are
    far apart, as in the middle row of Figure 1. The point to start from is the mode of the policy.
    """
    return s.of_48 > 0


proof_g.false(at=bells(3, 0, 3, 4), true_at=bells(1, 0, 1, 4))


@claim("theorem-3-anchor", "not in the paper; what its proof needs, and Eq. (51)", PROVED)
def theorem_3_anchor(s, least=0):
    r"""g(\mu_p)=w'(\mu_p)>0;\qquad g(y)=w'(y)-f_p(y-\mu_p)\,w(y)\ \text{everywhere}

    Assumes: $\mu_p<\mu_q$, one hump each
    Because: So $g(y^*)=-f_p(y^*-\mu_p)\,w(y^*)$ where $w'(y^*)=0$. With $w(y^*)>0$ beyond $\mu_q$, or $w(y^*)<0$ before
    $\mu_p$, g changes sign between $\mu_p$ and $y^*$.
    Proof: At $\mu_p$ the policy is flat, so $g=w'=\sum_jq'q_j/(q+q_j)^2>0$.
    """
    return s.of_48 == s.slope > least


theorem_3_anchor.by_induction(**AT_POLICY_MODE, wrong={"least": F(1, 100)})
theorem_3_anchor.by_induction(
    of=eq_49_mended, **ANYWHERE, wrong={"sign": -1}, part=r"g(y)=w'(y)-f_p(y-\mu_p)\,w(y)\ \text{everywhere}"
)
