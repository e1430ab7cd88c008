r"""Corollary 2: how much faster the chosen response gains than the rejected one, in probability and in its logarithm.

Here are the statement and the steps of its proof, (43), (45), (46), (47), (49), of which the third and the fourth are
wrong; ``corollary_2_mended`` holds what is true in its place. D_y is the first-order change of pi(y) in units of
eta beta sigma(-z), A_y = D_y / pi_y the drive, and ww, ll, wl are the inner products of the scores g_w and g_l.
"""

from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, FALSE, PROVED
from theory.evidence import CONDITIONAL
from theory.jian2025.cases import EVEN_PAIR, MISRANKED, SMALLEST_TABULAR, ladder
from theory.proof import POLICY, TABULAR, TWO_RESPONSES, beside, same, sqrt
from theory.statement import claims_of
from theory.worlds import World

claim = claims_of("jian2025")
TRUE_INSTEAD = ("log-margin", "corollary-2-equivalence", "corollary-2-bound")


@claim("log-margin", "not in the paper; replaces Corollary 2", PROVED)
def log_margin(w, cross=2):
    r"""\frac{d}{d\eta}\bigl[\log\pi_w-\log\pi_l\bigr]=\beta\,\sigma(-z)\,\|g_w-g_l\|^2\ge 0

    Assumes: one pair, plain gradient descent; for log-linear policies exact at every step size
    Proof: The first-order change of $\log\pi_y$ is $\eta\beta\sigma(-z)\,A_y$ with $A_y=g_y\cdot(g_w-g_l)$, and
    $A_w-A_l=\|g_w-g_l\|^2$. For a log-linear policy $\log\pi_w-\log\pi_l$ is linear in $\theta$.
    """
    return w.A_w - w.A_l == w.ww - cross * w.wl + w.ll >= 0


def exact_step_of_log_linear(p_w, p_l, s, along_w, along_l, total, power=1):
    """A step of size s multiplies each p_y by e^(s phi_y . d) / Z, so that the ratio grows by e^(s |d|^2)."""
    after_w, after_l = (p * sp.exp(s * a) / total for p, a in ((p_w, along_w), (p_l, along_l)))
    return same(after_w / after_l, p_w / p_l * sp.exp(power * s * (along_w - along_l)))


log_margin.proved(over=POLICY, wrong={"cross": F(9, 5)})
log_margin.derived(
    of=exact_step_of_log_linear,
    symbols=dict.fromkeys(("along_w", "along_l"), "real"),
    wrong={"power": F(11, 10)},
    also=True,
)


# --- the proof, step by step ---------------------------------------------------------------------------------------


@claim("eq-48", "Eqs. (43)-(45), (48)", PROVED)
def eq_48(w, cross=1, mean=2):
    r"""D_w-D_l=\pi_w\|g_w\|^2+\pi_l\|g_l\|^2-(\pi_w+\pi_l)\,g_w\cdot g_l,\qquad
    \pi_w+\pi_l\ge 2\sqrt{\pi_w\pi_l},\qquad\|\sqrt{\pi_w}g_w-\sqrt{\pi_l}g_l\|^2\ge 0

    Proof: Expand.
    """
    squares = w.p_w * w.ww + w.p_l * w.ll
    root = sqrt(w.p_w * w.p_l)
    eq_43 = w.D_w - w.D_l == squares - cross * (w.p_w + w.p_l) * w.wl
    return eq_43 and w.p_w + w.p_l >= mean * root and squares - mean * w.wl * root >= 0


eq_48.proved(wrong={"cross": F(11, 10)}).proved(wrong={"mean": F(21, 10)}, also=True)


@claim("eq-46", "Eq. (46)", CONDITIONALLY)
def eq_46(w):
    r"""(\pi_w+\pi_l)\,g_w\cdot g_l\ge 2\sqrt{\pi_w\pi_l}\;g_w\cdot g_l

    Assumes: $g_w\cdot g_l\ge 0$, or $\pi_w=\pi_l$
    Because: Multiplying Eq. (45) by $g_w\cdot g_l$ turns it around when the scores point apart, as they do in every
    policy with two responses.
    Proof: Eq. (45) times a number that is not negative.
    """
    return (w.p_w + w.p_l) * w.wl >= 2 * w.wl * sqrt(w.p_w * w.p_l)


def even(w):
    return w.p_w == w.p_l


def not_apart_or_even(w, least=0):
    return w.wl >= least or even(w)


eq_46.false(at=MISRANKED, true_at=EVEN_PAIR)
eq_46.proved(given=not_apart_or_even, wrong_given=lambda w: not_apart_or_even(w, least=-1))


@claim("corollary-2", "Corollary 2, as its proof ends in Eq. (49)", FALSE, *TRUE_INSTEAD)
def eq_49(w, beta=1):
    r"""\Delta\pi_w-\Delta\pi_l\ge\eta\beta(1-\sigma(z))\,\|\sqrt{\pi_w}\,g_w-\sqrt{\pi_l}\,g_l\|^2\ge 0

    Because: The inequality of arithmetic and geometric means is applied to a term whose sign is that of
    $g_w\cdot g_l$; the bound holds if and only if $g_w\cdot g_l\le 0$ or $\pi_w=\pi_l$. Even the non-negativity fails.
    """
    return beta * (w.D_w - w.D_l) >= w.p_w * w.ww + w.p_l * w.ll - 2 * w.wl * sqrt(w.p_w * w.p_l)


eq_49.false(at=SMALLEST_TABULAR, true_at=MISRANKED).refuted(unlike=log_margin)


@claim("eq-47", "the step from Eq. (46) to Eq. (47)", FALSE, "corollary-2-equivalence")
def eq_47(w):
    r"""\text{Eq. (46)}\ \Rightarrow\ D_w-D_l\ge\pi_w\|g_w\|^2+\pi_l\|g_l\|^2-2\sqrt{\pi_w\pi_l}\;g_w\cdot g_l

    Because: In Eq. (43) the term of Eq. (46) is subtracted, so a lower bound of it is an upper bound of the difference.
    Both equations hold only if $g_w\cdot g_l=0$ or $\pi_w=\pi_l$, and then with equality.
    """
    return not eq_46(w) or eq_49(w)


def both_at_equality_only(w, both=all):
    return both((eq_46(w), eq_49(w))) == (w.wl == 0 or even(w))


eq_47.false(at=SMALLEST_TABULAR, true_at=EVEN_PAIR).refuted(unlike=lambda w: eq_46(w) or eq_49(w))
eq_47.proved(of=both_at_equality_only, wrong={"both": any}, also=True)


# --- what is true of it --------------------------------------------------------------------------------------------


@claim("corollary-2-equivalence", "not in the paper; when Eq. (49) holds", PROVED)
def equivalence(w, threshold=0):
    r"""\text{Eq. (49)}\iff g_w\cdot g_l\le 0\ \text{or}\ \pi_w=\pi_l

    Assumes: first-order changes
    Proof: $D_w-D_l=\|\sqrt{\pi_w}g_w-\sqrt{\pi_l}g_l\|^2-(\sqrt{\pi_w}-\sqrt{\pi_l})^2\,g_w\cdot g_l$ in units of
    $\eta\beta\sigma(-z)$: expand both sides.
    """
    return eq_49(w) == (w.wl <= threshold or even(w))


equivalence.proved(wrong={"threshold": 4})


@beside(POLICY, "beta > 0")
def with_beta(numbers):
    """A step with any beta."""
    return numbers.positive("beta")


@beside(TWO_RESPONSES, "beta > 0")
def two_with_beta(numbers):
    """A step with any beta."""
    return numbers.positive("beta")


@claim("eq-6", "Corollary 2, Eq. (6) as printed", FALSE, *TRUE_INSTEAD)
def eq_6(case):
    r"""\Delta\pi_w-\Delta\pi_l\ge\eta(1-\sigma(z))\,\|\sqrt{\pi_w}\,g_w-\sqrt{\pi_l}\,g_l\|^2

    Because: Eq. (6) has lost the $\beta$ of Eq. (49). At the paper's $\beta=1/2$ it fails in every tabular softmax with
    two responses, where Eq. (49) is true; for $\beta\ge 1$ Eq. (49) implies it.
    """
    w, beta = case
    return eq_49(w, beta)


def decided_by_beta(case, root=2):
    w, beta = case
    return w.dd == 0 or eq_6(case) == (2 * beta - 1 - root * sqrt(w.p_w * w.p_l) >= 0)


def implied_by_eq_49(case, least=1):
    w, beta = case
    return beta < least or not eq_49(w) or eq_6(case)


eq_6.false(at=(EVEN_PAIR, F(1, 2)), true_at=(EVEN_PAIR, F(1)))
eq_6.refuted(over=with_beta, unlike=implied_by_eq_49)
eq_6.proved(over=two_with_beta, of=decided_by_beta, wrong={"root": 0}, also=True)
eq_6.proved(over=with_beta, of=implied_by_eq_49, wrong={"least": F(1, 2)}, also=True)


@claim(
    "corollary-2-non-negativity",
    "Corollary 2, its title; Remark 3; Section 2.3, key insight (2); Section 3.1",
    CONDITIONALLY,
    "log-margin",
    "corollary-2-condition",
)
def non_negativity(w, least=0):
    r"""\Delta\pi_w-\Delta\pi_l\ge 0

    Assumes: tabular softmax, or two responses
    Because: Parameters shared between responses can move the rejected response up more than the chosen one, or the
    chosen one down more.
    Proof: Tabular: $D_w-D_l=\pi_w+\pi_l-(\pi_w-\pi_l)^2>0$. In general the sign is that of
    $\pi_w\|g_w\|^2+\pi_l\|g_l\|^2-(\pi_w+\pi_l)\,g_w\cdot g_l$.
    """
    return w.D_w - w.D_l >= least


def tabular_gap(w, square=1):
    return w.D_w - w.D_l == w.p_w + w.p_l - square * (w.p_w - w.p_l) ** 2 > 0


def in_an_exact_step(w):
    return w.exact_change(w.chosen, 3) >= w.exact_change(w.rejected, 3)


non_negativity.false(at=ladder(3), true_at=SMALLEST_TABULAR)
non_negativity.false(at=World.log_linear([[0], [1], [2]], at=[3]), true_at=EVEN_PAIR)
non_negativity.false(at=ladder(3), true_at=ladder(1), of=in_an_exact_step)
non_negativity.refuted(unlike=log_margin)
non_negativity.proved(over=TABULAR, role=CONDITIONAL, wrong={"least": F(1, 5)})
non_negativity.proved(over=TWO_RESPONSES, role=CONDITIONAL, wrong={"least": F(1, 5)})
non_negativity.proved(over=TABULAR, of=tabular_gap, wrong={"square": 0}, also=True)
