"""Theorem 2 for a balanced loss, Equations (13) and (14): the printed approximation, and the exact update.

For f = C (pi_w - pi_l) the step on the logits is the vanilla policy gradient with reward w, exactly. Eq. (14) has lost
the mean fitness: the many small pushes on the responses outside each pair add up to the same order as what it keeps.
"""

from __future__ import annotations

from fractions import Fraction as F

from theory.claim import FALSE, PROVED
from theory.evidence import FAILS
from theory.ma2025.bandits import Bandit
from theory.ma2025.covariance import claim
from theory.ma2025.imbalance import LOGITS
from theory.ma2025.logits import pull_is_the_gradient, pushed
from theory.ma2025.replicator import Selection, gain, velocity
from theory.proof import Named, exp, over_responses, same, sums_of, world_of
from theory.worlds import Vector, dot


def exact_update(case: Selection) -> Vector:
    """Return the first-order change of the probabilities of a balanced loss, for C gamma = 1.

    Its logits move by p_i (w_i - mean), which is the velocity of Eq. (12).

    Example:
        >>> [str(a) for a in exact_update(WRONG_SIGN)]
        ['-1/72', '1/8', '-1/9']
    """
    average = dot(case.p, case.velocity)
    return tuple(p * (a - average) for p, a in zip(case.p, case.velocity, strict=True))


def printed_update(case: Selection) -> Vector:
    """Return the right side of Eq. (14) for C gamma = 1: p_i (w_i p_i - sum_j w_j p_j^2)."""
    average = sum((w * p * p for p, w in zip(case.p, case.w, strict=True)), F(0))
    return tuple(p * (w * p - average) for p, w in zip(case.p, case.w, strict=True))


def copies(case: Selection, count: int) -> Selection:
    """Return the case with every response split into equal parts: the same world with small probabilities."""
    parts = [(p / count, w) for p, w in zip(case.p, case.w, strict=True) for _ in range(count)]
    return Selection(tuple(p for p, _ in parts), tuple(w for _, w in parts))


WRONG_SIGN = Selection((F(1, 6), F(1, 6), F(2, 3)), (F(-2), F(3), F(-1)))
NO_MEAN = Selection((F(1, 4), F(1, 4), F(1, 2)), (F(-1), F(1), F(0)))  # mean fitness 0
AUDITED = Selection((F(1, 2), F(1, 4), F(1, 4)), (F(-1), F(1), F(0)))
RESPONSES = over_responses(p="probability", w="any")


@claim("eq-13", "Eq. (13)", PROVED)
def eq_13(case, times=1):
    r"""1-\pi_i+\pi_j\approx 1\quad\text{for small probabilities: the error is at most}\ \max_y\pi_y

    Proof: $|\pi_j-\pi_i|\le\max(\pi_i,\pi_j)$. It is true and not enough for Eq. (14): see there.
    """
    return times * abs((1 - case.i + case.j) - 1) <= max(case.i, case.j)


two_of_them = world_of("pi_i, pi_j > 0, pi_i + pi_j <= 1", lambda c: (c.i + c.j <= 1,), i="positive", j="positive")
eq_13.proved(over=two_of_them, wrong={"times": F(11, 10)})


@sums_of("push >= 0: rate x label x (1 - kappa); [k = i], [k = j] and probabilities any", fixed=lambda n: n.real("p_k"))
def pairs_asked(numbers, p_k):
    """Any number of pairs (i chosen, j rejected)."""
    push, role = numbers.at_least("push", 0), numbers.real("is_i") - numbers.real("is_j")
    apart = numbers.real("p_i") - numbers.real("p_j")
    return Named(logit=push * pushed(p_k, role, apart), w_k=push * role, mean=push * apart)


@claim("balanced-update", "not in the paper; Eq. (11) summed over an epoch, exactly", PROVED)
def balanced_update(y, averaged=1):
    r"""\frac{\partial(\pi_w-\pi_l)}{\partial s_k}=\pi_k\bigl([k=w]-[k=l]-(\pi_w-\pi_l)\bigr);\qquad
    f=C(\pi_w-\pi_l):\quad\Delta s_k=C\gamma\,\pi_k(w_k-\bar w),\quad
    \Delta\pi_k=C\gamma\,\pi_k\Bigl[\pi_k(w_k-\bar w)-\sum_j\pi_j^2(w_j-\bar w)\Bigr]+O(\gamma^2)

    Assumes: tabular logits, full batch; $w_i=\sum\tau(1-\kappa)$ with this loss's own $\kappa=\sigma(f)$; no
    probability need be small
    Proof: A pair pushes along $\nabla_s(\pi_w-\pi_l)$, and all pushes together along $\nabla_s\sum_i w_i\pi_i$ with w
    fixed, by induction on their number; then Lemma 1. It is the vanilla policy gradient with reward w, as DPO's step is
    the natural one.
    """
    k, push = y.one("k"), velocity(y)
    mean = y.sum(y.p * y.w)
    formula = k.p * (k.p * (k.w - mean) - averaged * y.sum(y.p**2 * (y.w - mean)))
    return same(k.p * (gain(k.p, k.w, mean) - y.sum(y.p * push)), formula)


balanced_update.derived(
    of=pull_is_the_gradient,
    symbols=LOGITS,
    wrong={"others": F(9, 10)},
    part=r"\frac{\partial(\pi_w-\pi_l)}{\partial s_k}=\pi_k\bigl([k=w]-[k=l]-(\pi_w-\pi_l)\bigr)",
)
balanced_update.by_induction(
    of=lambda s, averaged=1: s.logit == gain(s.fixed, s.w_k, averaged * s.mean),
    **pairs_asked,
    wrong={"averaged": F(9, 10)},
    part=r"\Delta s_k=C\gamma\,\pi_k(w_k-\bar w)",
)
balanced_update.derived(sums=RESPONSES, wrong={"averaged": F(9, 10)})


@claim("eq-14", "Theorem 2, Eq. (14)", FALSE, "balanced-update", "eq-14-equivalence")
def eq_14(case: Selection, parts: int = 1) -> bool:
    r"""\Delta\pi_i\approx C\gamma\,\pi_i\Bigl(w_i\pi_i-\sum_j w_j\pi_j^2\Bigr)\quad\text{for small}\ \max_y\pi_y

    Because: The pushes on responses outside a pair are dropped as small, of order $\pi^2$, but there are $n^2$ pairs:
    together they are the push $-C\gamma\pi_i\bar w$ on each logit, as large as what is kept. Splitting every response
    into m equal parts makes all probabilities small and divides both sides by $m^2$: one push keeps the wrong sign at
    $\pi=(1,1,4)/6$, $w=(-2,3,-1)$.
    """
    split = copies(case, parts)
    return all(a * b > 0 for a, b in zip(exact_update(split), printed_update(split), strict=True) if a or b)


def split_in_parts(p, w, mean, squares, with_squares, m, power=2):
    """Both sides for a part of p; the sums of p^2 and of w p^2 are divided by m."""

    def sides(p, m):
        printed = p * (w * p - with_squares / m)
        return printed - p * mean * (p - squares / m), printed

    (exact, printed), (exact_of_part, printed_of_part) = sides(p, 1), sides(p / m, m)
    return same(exact_of_part, exact / m**power) & same(printed_of_part, printed / m**power)


def audited(exact: bool) -> bool:
    return (exact_update if exact else printed_update)(AUDITED) == (F(-9, 64), F(13, 128), F(5, 128))


eq_14.false(at=WRONG_SIGN, true_at=NO_MEAN).false(at=WRONG_SIGN, true_at=NO_MEAN, parts=40)
eq_14.derived(
    of=split_in_parts,
    symbols=dict.fromkeys(("w", "mean", "with_squares"), "real"),
    role=FAILS,
    wrong={"power": F(9, 5)},
)
eq_14.evaluated([True], of=audited, wrong=lambda exact: audited(not exact), also=True)


@claim("eq-14-equivalence", "not in the paper; when Eq. (14) is right", PROVED)
def eq_14_equivalence(y, sign=-1):
    r"""\Delta\pi_i-\Delta\pi_i^{(14)}=-C\gamma\,\bar w\,\pi_i\Bigl(\pi_i-\sum_j\pi_j^2\Bigr);\quad
    \text{Eq. (14) is exact}\iff\bar w=0

    Assumes: to first order in $\gamma$; all probabilities positive; $\sum_iw_i=0$, as for pairs asked at any rates
    Proof: Subtract. The bracket is zero for all i iff all $\pi_i$ are equal to $\sum_j\pi_j^2$; then
    $\bar w=\sum_j\pi_j^2\sum_iw_i=0$ as well.
    """
    k, mean, squares = y.one("k"), y.sum(y.p * y.w), y.sum(y.p**2)
    exact = k.p * (k.p * (k.w - mean) - y.sum(y.p**2 * (y.w - mean)))
    printed = k.p * (k.w * k.p - y.sum(y.w * y.p**2))
    return same(exact - printed, sign * error_of(k.p, mean, squares))


def error_of(p, mean, squares):
    return mean * p * (p - squares)


@sums_of("p > 0, any w", fixed=lambda numbers: Named(squares=numbers.positive("squares"), mean=numbers.real("mean")))
def responses(numbers, fixed):
    """Any number of responses."""
    p, w = numbers.positive("p"), numbers.real("w")
    return Named(error=error_of(p, fixed.mean, fixed.squares) ** 2, with_p=p * w, w=w)


def exact_without_mean(s, times=1):
    """Return whether all errors are 0 exactly if the mean is, which is sum p w, where sum w = 0."""
    mean, squares = s.fixed.mean, s.fixed.squares
    all_equal = (mean == 0) | (s.with_p == times * squares * s.w)
    kept = (s.error >= 0) & ((s.error != 0) | all_equal) & ((s.error == 0) | (mean != 0))  # for the induction
    return kept & ((s.w != 0) | (s.with_p != mean) | ((s.error == 0) == (mean == 0)))


eq_14_equivalence.derived(sums=RESPONSES, wrong={"sign": F(-9, 10)})
eq_14_equivalence.by_induction(
    of=exact_without_mean, **responses, wrong={"times": F(11, 10)}, part=r"\text{Eq. (14) is exact}\iff\bar w=0"
)


@claim("eq-14-same-w", "Theorem 2 and Section 4.2: one w for Eqs. (12) and (14); Figure 1", FALSE, "balanced-update")
def eq_14_same_w(world: Bandit) -> bool:
    r"""w_i\ \text{of a balanced loss}=w_i\ \text{of DPO}

    Assumes: two responses, uniform reference, $\beta=C=1$
    Because: w contains the $\kappa$ of its loss. Where DPO has come to rest, $\pi\propto q$, its w is zero and that of
    the loss in $\pi_w-\pi_l$ is not; for small probabilities the latter has $\kappa\approx 1/2$.
    """
    kappa = 1 / (1 + exp(world.p[1] - world.p[0]))
    return world.label(0, 1) - kappa == world.fitness[0]


eq_14_same_w.false(at=Bandit.of([3, 1], q=[3, 1]), true_at=Bandit.of([1, 1], q=[3, 1]))


@claim("updates-sum-to-zero", "after Eq. (14)", PROVED)
def updates_sum_to_zero(y, subtracted=1):
    r"""\sum_i\Delta\pi_i=0\quad\text{for the right sides of Eqs. (12) and (14)}

    Proof: The subtracted term is the average of the first one under the policy. Figure 1 draws the first term alone for
    "PPO".
    """
    of_14 = y.sum(y.p * (y.w * y.p - subtracted * y.sum(y.w * y.p**2)))
    return same(y.sum(velocity(y)), 0) & same(of_14, 0)


updates_sum_to_zero.derived(sums=RESPONSES, wrong={"subtracted": F(9, 10)})
