"""Corollary 1 and Remark 2: what the lengths of the two scores decide about the two probabilities."""

from fractions import Fraction as F

from theory.claim import CONDITIONALLY, FALSE, FIRST_ORDER, PROVED
from theory.evidence import ORDER
from theory.jian2025.cases import BOTH_FALL, BOTH_RISE, MISRANKED, STEP, curved_step, ladder
from theory.proof import log, sqrt
from theory.statement import THERE_IS, claims_of
from theory.worlds import World

claim = claims_of("jian2025")
UNIFORM = World.tabular([F(1, 3), F(1, 3), F(1, 3)])


@claim("corollary-1-chosen", "Corollary 1, Eq. (4); Eqs. (34)-(37)", FIRST_ORDER)
def eq_4(w, share=1):
    r"""\Delta_w\ge\eta\beta(1-\sigma(z))\,\pi_w\,\|g_w\|\,\bigl(\|g_w\|-\|g_l\|\bigr)

    Because: On the ladder at $e^\theta=1$ the bound is 0, and every finite step lowers $\pi_w$.
    Proof: Cauchy-Schwarz in Theorem 1: $g_w\cdot g_l\le\|g_w\|\|g_l\|$.
    """
    return w.D_w >= w.p_w * (w.ww - share * sqrt(w.ww) * sqrt(w.ll))


def in_a_step_of_size_ln_2(w):
    return w.exact_change(w.chosen, 2) >= w.p_w * (sqrt(w.ww) - sqrt(w.ll)) * sqrt(w.ww) * log(2)


eq_4.proved(role=ORDER, wrong={"share": F(9, 10)})
eq_4.false(of=in_a_step_of_size_ln_2, at=ladder(1), true_at=ladder(F(1, 8)))


@claim("corollary-1-rejected", "Corollary 1, Eq. (5); Eqs. (38)-(41)", FIRST_ORDER)
def eq_5(w, share=1):
    r"""\Delta_l\le\eta\beta(1-\sigma(z))\,\pi_l\,\|g_l\|\,\bigl(\|g_w\|-\|g_l\|\bigr)

    Because: On the ladder at $e^\theta=1$ the bound of a step of size $\ln 2$ is $-\frac13\ln 2=-0.231$, the change
    $-4/21=-0.190$.
    Proof: Cauchy-Schwarz in Theorem 1: $g_w\cdot g_l\le\|g_w\|\|g_l\|$.
    """
    return w.D_l <= w.p_l * (share * sqrt(w.ww) * sqrt(w.ll) - w.ll)


def rejected_in_a_step_of_size_ln_2(w):
    return w.exact_change(w.rejected, 2) <= w.p_l * (sqrt(w.ww) - sqrt(w.ll)) * sqrt(w.ll) * log(2)


eq_5.proved(role=ORDER, wrong={"share": F(9, 10)})
eq_5.false(of=rejected_in_a_step_of_size_ln_2, at=ladder(1), true_at=ladder(F(1, 8)))


@claim("corollary-1-equality", "not in the paper; how sharp Corollary 1 is", PROVED)
def equality(w, any_sign=False):
    r"""\text{equality in (4)}\iff g_w=0\ \text{or}\ g_l=t\,g_w,\ t\ge 0;\qquad
    -\pi_l\|g_l\|(\|g_w\|+\|g_l\|)\le\frac{D_l}{s},\quad \frac{D_w}{s}\le\pi_w\|g_w\|(\|g_w\|+\|g_l\|)

    Assumes: first-order changes, s = learning rate x beta x urgency; equality in (5) iff $g_l=0$ or $g_w=t\,g_l$
    Proof: The equality condition of Cauchy-Schwarz, and its other side. $g_w=0$ or $g_l=tg_w$ means that
    $\|\,\|g_w\|^2g_l-(g_w\cdot g_l)g_w\|^2=\|g_w\|^2(\|g_w\|^2\|g_l\|^2-(g_w\cdot g_l)^2)$ is 0.
    """
    norms = sqrt(w.ww) * sqrt(w.ll)
    apart = w.ww**2 * w.ll - 2 * w.ww * w.wl**2 + w.wl**2 * w.ww  # | |g_w|^2 g_l - (g_w . g_l) g_w |^2
    aligned = apart == 0 and (any_sign or w.wl >= 0)
    return (w.D_w == w.p_w * (w.ww - norms)) == aligned == (w.D_l == w.p_l * (norms - w.ll))


def other_side(w, share=1):
    norms = share * sqrt(w.ww) * sqrt(w.ll)
    return w.D_w <= w.p_w * (w.ww + norms) and -w.p_l * (w.ll + norms) <= w.D_l


equality.proved(wrong={"any_sign": True})
equality.proved(
    of=other_side,
    wrong={"share": F(9, 10)},
    part=r"-\pi_l\|g_l\|(\|g_w\|+\|g_l\|)\le\frac{D_l}{s},\quad \frac{D_w}{s}\le\pi_w\|g_w\|(\|g_w\|+\|g_l\|)",
)


# --- Remark 2 ------------------------------------------------------------------------------------------------------


@claim("remark-2-chosen", "Remark 2 on Eq. (4), first case and last sentences; Appendix C.4", FIRST_ORDER)
def longer_chosen_rises(w, longer=1):
    r"""\|g_w\|>\|g_l\|\ \Rightarrow\ \Delta_w>0

    Because: On the ladder at $e^\theta=1/3$ the chosen score is longer, and a step to $e^\theta=9$ lowers $\pi_w$. To
    first order it also answers the end of the remark, and Appendix C.4 ("often still improves"): violating its
    constraint always raises the chosen response.
    Proof: $g_w\cdot g_l\le\|g_w\|\|g_l\|<\|g_w\|^2$.
    """
    return not w.ww > longer * w.ll or w.D_w > 0


longer_chosen_rises.proved(role=ORDER, wrong={"longer": F(9, 10)})
longer_chosen_rises.false(
    of=lambda w: not w.ww > w.ll or w.exact_change(w.chosen, 27) > 0, at=ladder(F(1, 3)), true_at=BOTH_RISE
)


@claim("remark-2-upper-bound", "Remark 2 on Eq. (5), first case", CONDITIONALLY)
def upper_bound_is_positive(w, longer=1):
    r"""\|g_w\|>\|g_l\|\ \Rightarrow\ \pi_l\,\|g_l\|\,(\|g_w\|-\|g_l\|)>0

    Assumes: $g_l\ne 0$
    Because: With $g_l=0$ the bound is 0. Otherwise it is positive and decides nothing: $\pi_l$ rises for uniform
    features $(3,2,0)$ and falls in a tabular softmax with $\pi_w<\pi_l$.
    Proof: A product of positive numbers.
    """
    return not w.ww > longer * w.ll or w.p_l * sqrt(w.ll) * (sqrt(w.ww) - sqrt(w.ll)) > 0


upper_bound_is_positive.false(at=World.log_linear([[1], [0], [-1]], at=[1]), true_at=BOTH_RISE)
upper_bound_is_positive.proved(given=lambda w: w.ll > 0, wrong_given=lambda w: w.ll >= 0)
RISES, FALLS = (lambda w: w.ww > w.ll and w.D_l > 0), (lambda w: w.ww > w.ll and w.D_l < 0)
upper_bound_is_positive.evaluated([BOTH_RISE], of=RISES, wrong=FALLS, also=True)
upper_bound_is_positive.evaluated([MISRANKED], of=FALLS, wrong=RISES, also=True)


@claim("remark-2-rejected", "Remark 2 on Eq. (5), second case and its constraint", FIRST_ORDER, "negative-drive")
def longer_rejected_falls(w, longer=1):
    r"""\|g_w\|<\|g_l\|\ \Rightarrow\ \Delta_l<0,\qquad \|g_w\|-\|g_l\|\le 0\ \Rightarrow\ \Delta_l\le 0

    Because: A long step of a policy with bent log-odds $\theta-\theta^2$ raises $\pi_l$. For a log-linear policy it is
    exact at every step size. The constraint is not necessary: $\Delta_l\le 0$ does not imply it.
    Proof: $g_w\cdot g_l\le\|g_w\|\|g_l\|<\|g_l\|^2$.
    """
    return (not w.ww < longer * w.ll or w.D_l < 0) and (not w.ww <= longer * w.ll or w.D_l <= 0)


def at_every_step_size(case, longer=1):
    w, E = case
    return not w.ww < longer * w.ll or w.after(E).p_l < w.p_l


longer_rejected_falls.proved(role=ORDER, wrong={"longer": F(11, 10)})
longer_rejected_falls.false(
    of=lambda bent: bent.longer != -1 or bent.after > bent.before,
    at=curved_step(-1, F(1, 4), 4),
    true_at=curved_step(-1, F(1, 4), F(1, 2)),
)
longer_rejected_falls.proved(over=STEP, of=at_every_step_size, wrong={"longer": F(11, 10)}, also=True)
longer_rejected_falls.false(of=lambda w: w.D_l > 0 or w.ww <= w.ll, at=MISRANKED, true_at=BOTH_FALL, also=True)


@claim("remark-2-undecided", "Remark 2 on Eq. (4), second case", PROVED)
def chosen_is_undecided(w):
    r"""\|g_w\|<\|g_l\|\not\Rightarrow\Delta_w>0,\qquad\|g_w\|<\|g_l\|\not\Rightarrow\Delta_w<0

    Proof: Uniform probabilities and features $(2,3,0)$: $D_w<0$. On the ladder at $e^\theta=1/2$: $D_w>0$.
    """
    return w.ww < w.ll and w.D_w < 0


CHOSEN_RISES = lambda w: w.ww < w.ll and w.D_w > 0  # noqa: E731
chosen_is_undecided.evaluated([BOTH_FALL], meaning=THERE_IS, wrong=CHOSEN_RISES)
chosen_is_undecided.evaluated(
    [ladder(F(1, 2))],
    of=CHOSEN_RISES,
    meaning=THERE_IS,
    wrong=chosen_is_undecided,
    part=r"\|g_w\|<\|g_l\|\not\Rightarrow\Delta_w<0",
)


@claim("remark-2-regularizer", "Remark 2 against Eqs. (7), (9), (77)", FALSE, "regularizer-region", "remark-2-rejected")
def same_constraint(w):
    r"""\mathcal{L}_{reg}=\max(0,\|g_l\|-\|g_w\|)=0\iff\|g_w\|-\|g_l\|\le 0

    Because: Remark 2 asks for $\|g_w\|\le\|g_l\|$, so that $\pi_l$ falls. The regulariser is the hinge of the opposite
    constraint, $\|g_w\|\ge\|g_l\|$, so that $\pi_w$ rises: it is positive exactly inside the region that the remark
    asks for.
    """
    return (max(0, sqrt(w.ll) - sqrt(w.ww)) == 0) == (sqrt(w.ww) - sqrt(w.ll) <= 0)


same_constraint.false(at=BOTH_FALL, true_at=UNIFORM).false(at=BOTH_RISE, true_at=UNIFORM)
same_constraint.refuted(unlike=lambda w: w.ww != w.ll or same_constraint(w))


@claim("regularizer-region", "not in the paper; what the hinge of Eqs. (7), (9) is good for", PROVED)
def displacement_is_penalised(w, longer=1):
    r"""D_w<0\ \Rightarrow\ \|g_l\|>\|g_w\|,\quad\text{so}\quad\mathcal{L}_{reg}=0\ \Rightarrow\ D_w\ge 0

    Assumes: one pair, first-order changes
    Proof: $D_w<0$ is $\|g_w\|^2<g_w\cdot g_l\le\|g_w\|\|g_l\|$. A fall of the rejected response is no such sign.
    """
    return not w.D_w < 0 or w.ll > longer * w.ww


displacement_is_penalised.proved(wrong={"longer": F(11, 10)})
