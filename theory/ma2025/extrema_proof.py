"""The proof of Theorem 3, line by line: derivatives of w and of w pi at one point, in exact numbers.

Nothing in the argument needs more of the two curves than value and slope at a point y, and their values at the other
responses. Bells base^(-(y - mode)^2) have rational values and, in units of log base, rational slopes at whole y.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction as F
from itertools import pairwise

from theory.claim import FALSE, MISPRINT, PROVED, claim
from theory.evidence import CORRECTED, Evidence
from theory.ma2025.bandits import beats
from theory.ma2025.duals import Dual
from theory.worlds import Vector


@dataclass(frozen=True)
class Jet:
    """Policy and utility at one point y of the line, and at the responses that y is compared with.

    Attributes:
        p: pi(y) > 0.
        p_slope: pi'(y).
        q: e^{r*(y)} > 0.
        q_slope: its derivative.
        others: (p_j, q_j) of the responses.
    """

    p: F
    p_slope: F
    q: F
    q_slope: F
    others: tuple[tuple[F, F], ...]

    @property
    def fitness(self) -> Dual:
        """Return w(y) with its derivative (Eq. 42)."""
        p, q = Dual(self.p, (self.p_slope,)), Dual(self.q, (self.q_slope,))
        terms = [q / (q + b) - p / (p + a) for a, b in self.others]
        return sum(terms[1:], terms[0])

    @property
    def product(self) -> Dual:
        """Return w(y) pi(y) with its derivative."""
        return self.fitness * Dual(self.p, (self.p_slope,))

    @property
    def falls(self) -> tuple[F, F]:
        """Return (f_p, f_q) of Eqs. (44) and (45): minus the slopes of the logarithms."""
        return -self.p_slope / self.p, -self.q_slope / self.q

    def __str__(self) -> str:
        """Return values and slopes in a form that can be checked by hand."""
        others = ", ".join(f"({a}, {b})" for a, b in self.others)
        return f"p = {self.p}, p' = {self.p_slope}, q = {self.q}, q' = {self.q_slope}, others (p_j, q_j) = {others}"


def bells(y: int, policy_mode: int, utility_mode: int, responses: int, base: F = F(2)) -> Jet:
    """Return two bells base^(-(y - mode)^2) on 0 .. responses - 1, seen at a whole y; slopes in units of log base.

    The other responses are those with j != y, as in Eq. (42).

    Example:
        >>> at = bells(1, 0, 2, 3)
        >>> str(at.p), str(at.p_slope), str(at.fitness.value)
        ('1/2', '-1', '0')
    """

    def bell(at: int, mode: int) -> F:
        return base ** -((at - mode) ** 2)

    p, q = bell(y, policy_mode), bell(y, utility_mode)
    others = tuple((bell(j, policy_mode), bell(j, utility_mode)) for j in range(responses) if j != y)
    return Jet(p, -2 * (y - policy_mode) * p, q, -2 * (y - utility_mode) * q, others)


def jet(source: random.Random) -> Jet:
    """Draw a jet with slopes of any sign and 1 to 4 other responses."""

    def positive() -> F:
        return F(source.randint(1, 20), source.randint(1, 20))

    slopes = [F(source.randint(-20, 20), source.randint(1, 5)) for _ in range(2)]
    others = tuple((positive(), positive()) for _ in range(source.randint(1, 4)))
    return Jet(positive(), slopes[0], positive(), slopes[1], others)


def between_modes(source: random.Random) -> Jet:
    """Draw a jet at a point from mu_p to mu_q: pi does not rise, the utility does not fall, and not both are flat."""
    drawn = jet(source)
    flat = source.choice(("policy", "utility", "neither"))
    p_slope = F(0) if flat == "policy" else -abs(drawn.p_slope) - 1
    q_slope = F(0) if flat == "utility" else abs(drawn.q_slope) + 1
    return Jet(drawn.p, p_slope, drawn.q, q_slope, drawn.others)


def at_policy_mode(source: random.Random) -> Jet:
    """Draw a jet at mu_p < mu_q: pi is flat there, the utility rises."""
    drawn = jet(source)
    return Jet(drawn.p, F(0), drawn.q, abs(drawn.q_slope) + 1, drawn.others)


def condition_48(case: Jet) -> F:
    """Return the left side of Eq. (48), summed over j: g = w' - f_p w, the slope of w pi over pi."""
    (f_p, f_q), p, q = case.falls, case.p, case.q
    return sum(
        (
            f_p * p * a / (p + a) ** 2 + f_p * p / (p + a) - f_q * q * b / (q + b) ** 2 - f_p * q / (q + b)
            for a, b in case.others
        ),
        F(0),
    )


@claim(
    "ma2025.eq-43",
    source="Eq. (43)",
    says=r"\frac{\partial w(y_i)}{\partial y_i}=-\Bigl(\frac{p_jp_i'}{(p_i+p_j)^2}-\frac{q_jq_i'}{(q_i+q_j)^2}\Bigr)",
    verdict=MISPRINT,
    because="The sum over j of Eq. (42) is lost; it is back in Eq. (46).",
    proof=r"Differentiate $q/(q+q_j)-p/(p+p_j)$ and sum over j.",
)
def eq_43(evidence: Evidence) -> None:
    """True with one other response, else only with the sum."""

    def formula(case: Jet, others: tuple[tuple[F, F], ...], sign: int = 1) -> bool:
        terms = (
            -(a * case.p_slope / (case.p + a) ** 2 - sign * b * case.q_slope / (case.q + b) ** 2) for a, b in others
        )
        return case.fitness.slope[0] == sum(terms, F(0))

    evidence.fails(lambda case: formula(case, case.others[:1]), at=bells(1, 0, 3, 4), control=bells(1, 0, 3, 2))
    evidence.holds(
        lambda case: formula(case, case.others),
        jet,
        role=CORRECTED,
        control=lambda case: formula(case, case.others, sign=-1),
    )


@claim(
    "ma2025.eq-44",
    source="Eqs. (44) and (45)",
    says=r"p\ \text{decays super-exponentially}\implies p'=-f_p(y-\mu_p)\,p\ \text{with}\ f_p\ \text{strictly "
    "increasing}",
    verdict=FALSE,
    because=r"An increasing f is strict log-concavity, a property at every point; decay is one at infinity. With "
    r"$f=y^3-3y^2+\frac52y$ the curve has one hump and decays as $e^{-y^4/4}$. It is not needed either: one hump is "
    "enough for the first statement of the theorem, and for what is true of the others.",
    instead=("ma2025.theorem-3", "ma2025.theorem-3-anchor"),
)
def eq_44(evidence: Evidence) -> None:
    """A quartic with one hump whose f falls between 1/2 and 1."""

    def printed(coefficients: tuple[F, ...]) -> bool:
        def f(y: F) -> F:
            return sum((c * y**k for k, c in enumerate(coefficients)), F(0))

        grid = [F(k, 8) for k in range(-32, 33)]
        one_hump = all((f(y) > 0) == (y > 0) and (f(y) < 0) == (y < 0) for y in grid)
        decays = coefficients[-1] > 0 and len(coefficients) % 2 == 0
        increasing = all(f(a) < f(b) for a, b in pairwise(grid))
        return not (one_hump and decays) or increasing

    evidence.fails(printed, at=(F(0), F(5, 2), F(-3), F(1)), control=(F(0), F(1)))


@claim(
    "ma2025.eq-47",
    source="Eq. (47)",
    says=r"\frac{\partial\hat w}{\partial y}=-\sum_{j\ne i}\Bigl(f_p\frac{p_i^2p_j}{(p_i+p_j)^2}+"
    r"f_p\frac{p_i^2}{p_i+p_j}-f_q\frac{q_iq_j}{(q_i+q_j)^2}p_i-f_p\frac{q_ip_i}{q_i+q_j}\Bigr),\quad\hat w=w\pi",
    verdict=MISPRINT,
    because="The sign in front of the sum is wrong: the right side is minus the derivative.",
    proof=r"$\hat w'=w'p+wp'=p\,(w'-f_pw)$, and $w'=\sum[f_pp\,p_j/(p+p_j)^2-f_qq\,q_j/(q+q_j)^2]$.",
)
def eq_47(evidence: Evidence) -> None:
    """The derivative of the product, with either sign."""

    def formula(case: Jet, sign: int) -> bool:
        return case.product.slope[0] == sign * case.p * condition_48(case)

    # where both sides vanish the sign does not matter: a flat policy and a flat utility
    flat = Jet(F(1), F(0), F(2), F(0), ((F(1), F(1)),))
    evidence.fails(lambda case: formula(case, -1), at=bells(1, 0, 3, 4), control=flat)
    evidence.holds(lambda case: formula(case, 1), jet, role=CORRECTED, control=lambda case: formula(case, -1))


@claim(
    "ma2025.eq-49",
    source="Eq. (49)",
    says=r"g=-\frac{\partial w}{\partial y}+f_p\sum_{j\ne i}\Bigl(\frac{p_i}{p_i+p_j}-\frac{q_i}{q_i+q_j}\Bigr)",
    assumes="g is the left side of Eq. (48)",
    verdict=MISPRINT,
    because=r"The sign of $\partial w/\partial y$ is wrong.",
    proof=r"The sum in brackets is $-w$, and Eq. (48) has $g=w'-f_pw$.",
)
def eq_49(evidence: Evidence) -> None:
    """Eq. (48) in terms of w and w'."""

    def formula(case: Jet, sign: int) -> bool:
        return condition_48(case) == sign * case.fitness.slope[0] - case.falls[0] * case.fitness.value

    flat = Jet(F(1), F(0), F(2), F(0), ((F(1), F(1)),))  # w' = 0
    evidence.fails(lambda case: formula(case, -1), at=bells(1, 0, 3, 4), control=flat)
    evidence.holds(lambda case: formula(case, 1), jet, role=CORRECTED, control=lambda case: formula(case, -1))


@claim(
    "ma2025.theorem-3-proof-w",
    source="proof of Theorem 3, after Eq. (51)",
    says=r"w(\mu_q)>0",
    assumes=r"two bells, $\mu_p<\mu_q$",
    verdict=FALSE,
    because=r"If the modes are close and lie at an end of the response set, most comparisons are lost at $\mu_q$. With "
    "it falls the step from here to $w(y^*)>0$.",
    instead="ma2025.theorem-3-anchor",
)
def proof_w(evidence: Evidence) -> None:
    """Four responses and neighbouring modes."""
    evidence.fails(lambda case: case.fitness.value > 0, at=bells(1, 0, 1, 4, base=F(3, 2)), control=bells(3, 0, 3, 4))


@claim(
    "ma2025.theorem-3-proof-g",
    source='proof of Theorem 3, after Eq. (51): "easy to verify"',
    says=r"g(\mu_q)>0",
    assumes=r"g of Eq. (48); two bells, $\mu_p<\mu_q$",
    verdict=FALSE,
    because=r"$g(\mu_q)=w'(\mu_q)-f_p(\mu_q-\mu_p)\,w(\mu_q)$: the second term wins where w is positive and the modes "
    "are far apart, as in the middle row of Figure 1. The point to start from is the mode of the policy.",
    instead="ma2025.theorem-3-anchor",
)
def proof_g(evidence: Evidence) -> None:
    """Far modes."""
    evidence.fails(lambda case: condition_48(case) > 0, at=bells(3, 0, 3, 4), control=bells(1, 0, 1, 4))


@claim(
    "ma2025.theorem-3-anchor",
    source="not in the paper; what its proof needs",
    says=r"g(\mu_p)=w'(\mu_p)>0;\qquad w'(y^*)=0\implies g(y^*)=-f_p(y^*-\mu_p)\,w(y^*)",
    assumes=r"$\mu_p<\mu_q$, one hump each",
    verdict=PROVED,
    proof=r"At $\mu_p$ the policy is flat, so $g=w'=\sum_jq'q_j/(q+q_j)^2>0$. With $w(y^*)>0$ beyond $\mu_q$, or "
    r"$w(y^*)<0$ before $\mu_p$, g changes sign between $\mu_p$ and $y^*$.",
)
def theorem_3_anchor(evidence: Evidence) -> None:
    """Signs at the mode of the policy and at an extremum of w."""

    def at_mode(case: Jet) -> bool:
        return condition_48(case) == case.fitness.slope[0] > 0

    def at_extremum(case: Jet, sign: int = -1) -> bool:
        still = _still(case)
        return condition_48(still) == sign * still.falls[0] * still.fitness.value and still.fitness.slope[0] == 0

    # the paper starts from mu_q, where the utility is flat and the policy falls
    evidence.holds(at_mode, at_policy_mode, control=lambda case: condition_48(_at_utility_mode(case)) > 0)
    evidence.holds(at_extremum, jet, control=lambda case: at_extremum(case, sign=1))


def _still(case: Jet) -> Jet:
    """Return the jet with the slope of the utility that makes w stationary."""
    with_unit = Jet(case.p, F(0), case.q, F(1), case.others).fitness.slope[0]
    of_policy = Jet(case.p, case.p_slope, case.q, F(0), case.others).fitness.slope[0]
    return Jet(case.p, case.p_slope, case.q, -of_policy / with_unit, case.others)


def _at_utility_mode(case: Jet) -> Jet:
    return Jet(case.p, -case.q_slope, case.q, F(0), case.others)


def fitness_on_grid(p: Vector, q: Vector) -> Vector:
    """Return w_i of Lemma 2 for a uniform reference and beta = 1.

    Example:
        >>> [str(w) for w in fitness_on_grid((F(3, 4), F(1, 4)), (F(1), F(1)))]
        ['-1/4', '1/4']
    """
    n = range(len(p))
    return tuple(sum((beats(q[i], q[j]) - beats(p[i], p[j]) for j in n if j != i), F(0)) for i in n)
