"""Corollary 1 and Remark 2: what the lengths of the two scores decide about the two probabilities."""

from __future__ import annotations

from fractions import Fraction as F
from itertools import combinations

import mpmath

from theory.claim import CONDITIONALLY, FALSE, FIRST_ORDER, PROVED, claim
from theory.evidence import ALSO, ORDER, Evidence
from theory.jian2025.cases import BOTH_FALL, BOTH_RISE, CurvedLogit, any_or_similar, curved_logit, ladder
from theory.worlds import Rational, Vector, World, dot, one_feature, sign_with_root, tabular


def excess_over_eq_4(w: World, share: Rational = 1) -> int:
    """Return the sign of D_w - p_w (|g_w|^2 - share |g_w| |g_l|); with share 1 the bound is Eq. (4)."""
    p, square = w.p[w.chosen], w.squared_norm(w.chosen)
    return sign_with_root(w.change(w.chosen) - p * square, p * share, square * w.squared_norm(w.rejected))


def excess_over_eq_5(w: World, share: Rational = 1) -> int:
    """Return the sign of D_l - p_l (share |g_w| |g_l| - |g_l|^2); with share 1 the bound is Eq. (5)."""
    p, square = w.p[w.rejected], w.squared_norm(w.rejected)
    return sign_with_root(w.change(w.rejected) + p * square, -p * share, square * w.squared_norm(w.chosen))


def longer_chosen(w: World) -> int:
    """Return 1 if |g_w| > |g_l|, -1 if |g_w| < |g_l|, else 0."""
    difference = w.squared_norm(w.chosen) - w.squared_norm(w.rejected)
    return (difference > 0) - (difference < 0)


@claim(
    "jian2025.corollary-1-chosen",
    source="Corollary 1, Eq. (4); Eqs. (34)-(37)",
    says=r"\Delta_w\ge\eta\beta(1-\sigma(z))\,\pi_w\,\|g_w\|\,\bigl(\|g_w\|-\|g_l\|\bigr)",
    verdict=FIRST_ORDER,
    because=r"On the ladder at $e^\theta=1$ the bound is 0, and every finite step lowers $\pi_w$.",
    proof=r"Cauchy-Schwarz in Theorem 1: $g_w\cdot g_l\le\|g_w\|\|g_l\|$.",
)
def lower_bound(evidence: Evidence) -> None:
    """Exact for the first-order change; half of the product of the norms would not do."""

    def of_a_finite_step(w: World) -> bool:  # of size ln 2
        norms = [mpmath.sqrt(_real(w.squared_norm(y))) for y in (w.chosen, w.rejected)]
        bound = mpmath.log(2) * _real(w.p[w.chosen]) * norms[0] * (norms[0] - norms[1])
        return bool(_real(w.exact_change(w.chosen, 2)) >= bound)

    evidence.holds(
        lambda w: excess_over_eq_4(w) >= 0,
        any_or_similar,
        role=ORDER,
        control=lambda w: excess_over_eq_4(w, share=F(1, 2)) >= 0,
    )
    evidence.fails(of_a_finite_step, at=ladder(1), control=ladder(F(1, 8)))


@claim(
    "jian2025.corollary-1-rejected",
    source="Corollary 1, Eq. (5); Eqs. (38)-(41)",
    says=r"\Delta_l\le\eta\beta(1-\sigma(z))\,\pi_l\,\|g_l\|\,\bigl(\|g_w\|-\|g_l\|\bigr)",
    verdict=FIRST_ORDER,
    because=r"On the ladder at $e^\theta=1$ the bound of a step of size $\ln 2$ is $-\frac13\ln 2=-0.231$, the change "
    r"$-4/21=-0.190$.",
    proof=r"Cauchy-Schwarz in Theorem 1: $g_w\cdot g_l\le\|g_w\|\|g_l\|$.",
)
def upper_bound(evidence: Evidence) -> None:
    """Exact for the first-order change; half of the product of the norms would not do."""

    def of_a_finite_step(w: World) -> bool:  # of size ln 2
        norms = [mpmath.sqrt(_real(w.squared_norm(y))) for y in (w.chosen, w.rejected)]
        bound = mpmath.log(2) * _real(w.p[w.rejected]) * norms[1] * (norms[0] - norms[1])
        return bool(_real(w.exact_change(w.rejected, 2)) <= bound)

    evidence.holds(
        lambda w: excess_over_eq_5(w) <= 0,
        any_or_similar,
        role=ORDER,
        control=lambda w: excess_over_eq_5(w, share=F(1, 2)) <= 0,
    )
    evidence.fails(of_a_finite_step, at=ladder(1), control=ladder(F(1, 8)))


@claim(
    "jian2025.corollary-1-equality",
    source="not in the paper; how sharp Corollary 1 is",
    says=r"\text{equality in (4)}\iff g_w=0\ \text{or}\ g_l=t\,g_w,\ t\ge 0;\qquad "
    r"-\pi_l\|g_l\|(\|g_w\|+\|g_l\|)\le\frac{D_l}{s},\quad \frac{D_w}{s}\le\pi_w\|g_w\|(\|g_w\|+\|g_l\|)",
    assumes="first-order changes, s = learning rate x beta x urgency; Eq. (5) likewise with the roles exchanged",
    verdict=PROVED,
    proof="The equality condition of Cauchy-Schwarz, and its other side.",
)
def equality(evidence: Evidence) -> None:
    """The ladder for x > 1 attains both bounds, as does every pair of parallel scores."""

    def parallel(a: Vector, b: Vector) -> bool:
        return all(a[i] * b[j] == a[j] * b[i] for i, j in combinations(range(len(a)), 2))

    def sharp(w: World, any_sign: bool = False) -> bool:
        g_w, g_l = w.scores[w.chosen], w.scores[w.rejected]
        aligned = parallel(g_w, g_l) and (any_sign or dot(g_w, g_l) >= 0)
        return (excess_over_eq_4(w) == 0) == aligned == (excess_over_eq_5(w) == 0)

    def other_side(w: World, share: Rational = -1) -> bool:
        return excess_over_eq_4(w, share) <= 0 <= excess_over_eq_5(w, share)

    evidence.holds(sharp, any_or_similar, control=lambda w: sharp(w, any_sign=True))
    evidence.holds(other_side, any_or_similar, control=lambda w: other_side(w, share=F(-1, 2)))


@claim(
    "jian2025.remark-2-chosen",
    source="Remark 2, first case; its last sentences",
    says=r"\|g_w\|>\|g_l\|\ \Rightarrow\ \Delta_w>0",
    verdict=FIRST_ORDER,
    because=r"On the ladder at $e^\theta=1/3$ the chosen score is longer, and a step to $e^\theta=9$ lowers $\pi_w$. "
    r"To "
    "first order it also answers the end of the remark: violating its constraint always raises the chosen response.",
    proof=r"$g_w\cdot g_l\le\|g_w\|\|g_l\|<\|g_w\|^2$.",
)
def longer_chosen_rises(evidence: Evidence) -> None:
    """The first-order change; a long step can still lower it."""

    def printed(w: World, longer: int = 1) -> bool:
        return longer_chosen(w) != longer or w.change(w.chosen) > 0

    def long_step(w: World) -> bool:
        return longer_chosen(w) != 1 or w.exact_change(w.chosen, 27) > 0

    evidence.holds(printed, any_or_similar, role=ORDER, control=lambda w: printed(w, longer=-1))
    evidence.fails(long_step, at=ladder(F(1, 3)), control=BOTH_RISE)


@claim(
    "jian2025.remark-2-upper-bound",
    source="Remark 2, first case",
    says=r"\|g_w\|>\|g_l\|\ \Rightarrow\ \pi_l\,\|g_l\|\,(\|g_w\|-\|g_l\|)>0",
    assumes=r"$g_l\ne 0$",
    verdict=CONDITIONALLY,
    because=r"With $g_l=0$ the bound is 0. Otherwise it is positive and decides nothing: $\pi_l$ rises for uniform "
    r"features $(3,2,0)$ and falls in a tabular softmax with $\pi_w<\pi_l$.",
    proof="A product of positive numbers.",
)
def bound_is_positive(evidence: Evidence) -> None:
    """The bound, and that the rejected response can move either way under it."""

    def printed(w: World) -> bool:
        square_w, square_l = w.squared_norm(w.chosen), w.squared_norm(w.rejected)
        return longer_chosen(w) != 1 or w.p[w.rejected] * sign_with_root(-square_l, 1, square_w * square_l) > 0

    def both_signs(longer: int) -> bool:
        either = [BOTH_RISE, BOTH_FALL, ladder(F(1, 2)), World.tabular([F(1, 3), F(2, 3)])]
        signs = {w.change(w.rejected) > 0 for w in either if longer_chosen(w) == longer}
        return signs == {True, False}

    at_the_mean = World.log_linear([[1], [0], [-1]], at=[1])
    evidence.fails(printed, at=at_the_mean, control=BOTH_RISE)
    evidence.holds(
        printed,
        any_or_similar,
        given=lambda w: w.squared_norm(w.rejected) != 0,
        control=lambda w: longer_chosen(w) != 1 or excess_over_eq_5(w) < 0,
    )
    evidence.proves(
        lambda: both_signs(1), control=lambda: both_signs(-1), by="one world for either sign of D_l", role=ALSO
    )


@claim(
    "jian2025.remark-2-rejected",
    source="Remark 2, second case and its constraint",
    says=r"\|g_w\|<\|g_l\|\ \Rightarrow\ \Delta_l<0,\qquad \|g_w\|-\|g_l\|\le 0\ \Rightarrow\ \Delta_l\le 0",
    verdict=FIRST_ORDER,
    because=r"A long step of a policy with bent log-odds $\theta-\theta^2$ raises $\pi_l$. For a log-linear policy "
    r"it is "
    r"exact at every step size. The constraint is not necessary: $\Delta_l\le 0$ does not imply it.",
    proof=r"$g_w\cdot g_l\le\|g_w\|\|g_l\|<\|g_l\|^2$.",
    instead="jian2025.negative-drive",
)
def longer_rejected_falls(evidence: Evidence) -> None:
    """Sufficient, not necessary; exact for finite steps of log-linear policies, not of others."""

    def printed(w: World, longer: int = -1) -> bool:
        length, falls = longer_chosen(w), w.change(w.rejected)
        return (length != longer or falls < 0) and (length == -longer or falls <= 0)

    def exact(w: World, longer: int = -1) -> bool:
        return longer_chosen(w) != longer or (
            w.exact_change(w.rejected, 2) < 0 and w.exact_change(w.rejected, 1000) < 0
        )

    def long_step(c: CurvedLogit) -> bool:
        return c.longer_score != -1 or c.log_odds_after > c.log_odds

    def necessary(w: World) -> bool:
        return w.change(w.rejected) > 0 or longer_chosen(w) <= 0

    evidence.holds(printed, any_or_similar, role=ORDER, control=lambda w: printed(w, longer=1))
    evidence.fails(long_step, at=CurvedLogit(F(-1), F(1, 4), F(4)), control=CurvedLogit(F(-1), F(1, 4), F(1, 2)))
    evidence.finds(long_step, curved_logit, control=lambda c: c.bend != 0 or long_step(c))
    evidence.holds(exact, any_or_similar, role=ALSO, control=lambda w: exact(w, longer=1), worlds=200)
    evidence.fails(necessary, at=World.tabular([F(1, 3), F(2, 3)]), control=BOTH_FALL, role=ALSO)


@claim(
    "jian2025.remark-2-undecided",
    source="Remark 2, second case",
    says=r"\|g_w\|<\|g_l\|\ \not\Rightarrow\ \Delta_w>0",
    verdict=PROVED,
    proof=r"Uniform probabilities and features $(2,3,0)$: $D_w<0$. On the ladder at $e^\theta=1/2$: $D_w>0$.",
)
def chosen_is_undecided(evidence: Evidence) -> None:
    """Either sign occurs when the rejected score is longer; only one when the chosen score is."""

    def either_sign(longer: int) -> bool:
        some = [BOTH_RISE, BOTH_FALL, ladder(F(1, 2)), World.tabular([F(1, 3), F(2, 3)])]
        return {w.change(w.chosen) > 0 for w in some if longer_chosen(w) == longer} == {True, False}

    evidence.proves(lambda: either_sign(-1), control=lambda: either_sign(1), by="one world for either sign of D_w")


@claim(
    "jian2025.remark-2-regularizer",
    source="Remark 2 against Eqs. (7), (9), (77)",
    says=r"\mathcal{L}_{reg}=\max(0,\|g_l\|-\|g_w\|)=0\iff\|g_w\|-\|g_l\|\le 0",
    verdict=FALSE,
    because=r"Remark 2 asks for $\|g_w\|\le\|g_l\|$, so that $\pi_l$ falls. The regulariser is the hinge of the "
    r"opposite "
    r"constraint, $\|g_w\|\ge\|g_l\|$, so that $\pi_w$ rises: it is positive exactly inside the region that the remark "
    "asks for.",
    instead=("jian2025.regularizer-region", "jian2025.remark-2-rejected"),
)
def opposite_constraints(evidence: Evidence) -> None:
    """A pair that satisfies the remark's constraint is penalised; one that violates it is not."""

    def printed(w: World) -> bool:
        penalised = longer_chosen(w) == -1
        return (not penalised) == (longer_chosen(w) <= 0)

    evidence.fails(printed, at=BOTH_FALL, control=World.tabular([F(1, 3), F(1, 3), F(1, 3)]))
    evidence.fails(printed, at=BOTH_RISE, control=World.tabular([F(1, 3), F(1, 3), F(1, 3)]))
    evidence.finds(printed, tabular, control=lambda w: longer_chosen(w) != 0 or printed(w))


@claim(
    "jian2025.regularizer-region",
    source="not in the paper; what the hinge of Eqs. (7), (9) is good for",
    says=r"D_w<0\ \Rightarrow\ \|g_l\|>\|g_w\|,\quad\text{so}\quad\mathcal{L}_{reg}=0\ \Rightarrow\ D_w\ge 0",
    assumes="one pair, first-order changes",
    verdict=PROVED,
    proof=r"$D_w<0$ is $\|g_w\|^2<g_w\cdot g_l\le\|g_w\|\|g_l\|$.",
)
def displacement_is_penalised(evidence: Evidence) -> None:
    """Displacement happens only where the hinge is positive; a fall of the rejected response is no such sign."""

    def penalised(w: World, y: int) -> bool:
        return w.change(y) >= 0 or longer_chosen(w) == -1

    evidence.holds(lambda w: penalised(w, w.chosen), one_feature, control=lambda w: penalised(w, w.rejected))


def _real(q: F) -> mpmath.mpf:
    return mpmath.mpf(q.numerator) / q.denominator
