"""Remarks 1 and 3 and the text on Fig. 1: what the signs of the changes follow from, and what they do not."""

from fractions import Fraction as F

import sympy as sp

from theory.claim import FALSE, PROVED
from theory.jian2025.cases import BOTH_FALL, BOTH_RISE, STEP, ladder
from theory.proof import POLICY, same, sqrt
from theory.statement import THERE_IS, claims_of

claim = claims_of("jian2025")


@claim("remark-1-direction", "Remark 1 on Eqs. (2), (3), first sentence", FALSE, "direction")
def similarity_alone(worlds):
    r"""\cos(g_w,g_l)=\cos(g_w',g_l')\ \Rightarrow\ \mathrm{sign}\,\Delta_w=\mathrm{sign}\,\Delta_w'

    Because: The similarity of the gradients does not determine the direction without the ratio of their lengths.
    Uniform features $(2,3,0)$ and $(3,2,0)$ both have cosine 1; the first pair falls, the second rises.
    """
    cosines = [w.wl / (sqrt(w.ww) * sqrt(w.ll)) for w in worlds]
    return cosines[0] != cosines[1] or len({(w.D_w > 0) - (w.D_w < 0) for w in worlds}) == 1


similarity_alone.false(at=(BOTH_FALL, BOTH_RISE), true_at=(BOTH_FALL, ladder(2)))


@claim("direction", "not in the paper; mends Remark 1", PROVED)
def direction(w, times=1):
    r"""D_w<0\iff\cos(g_w,g_l)>\frac{\|g_w\|}{\|g_l\|},\qquad D_l>0\iff\cos(g_w,g_l)>\frac{\|g_l\|}{\|g_w\|}

    Assumes: both scores differ from 0; first-order changes
    Proof: $D_w<0$ is $\|g_w\|^2<g_w\cdot g_l=\|g_w\|\|g_l\|\cos$.
    """
    if w.ww == 0 or w.ll == 0:
        return True
    long_w, long_l = sqrt(w.ww), sqrt(w.ll)
    cosine = w.wl / (long_w * long_l)
    return (w.D_w < 0) == (cosine > times * long_w / long_l) and (w.D_l > 0) == (cosine > times * long_l / long_w)


direction.proved(wrong={"times": F(11, 10)})


@claim("remark-1-kernel", "Remark 1 on Eqs. (2), (3): the neural tangent kernel can change over training steps", PROVED)
def kernel_changes(w):
    r"""\text{there are policies for which}\ \nabla\log\pi_w\cdot\nabla\log\pi_l\ \text{changes over training}

    Assumes: already for a log-linear policy, on the ladder at $e^\theta=1$ and $3$; there $\|g_w-g_l\|^2$ stays
    Proof: $g_y=\phi_y-E[\phi]$, and the mean moves with the policy; it cancels in $g_w-g_l=\phi_w-\phi_l$.
    """
    return w.after(2).wl != w.wl and w.after(2).dd == w.dd


kernel_changes.evaluated(
    [ladder(1), ladder(3)], meaning=THERE_IS, wrong=lambda w: w.after(2).wl != w.wl and w.after(2).ww == w.ww
)


@claim("remark-1-more", "Remark 1 on Eqs. (2), (3): a gradient term below 0", FALSE, "log-margin", "displacement-order")
def falls_more(w):
    r"""\|g_w\|^2-g_w\cdot g_l<0\ \Rightarrow\ \Delta_w<\Delta_l

    Because: With uniform features $(2,3,0)$ both fall, by $-1/9$ and $-4/9$: the dispreferred one falls four times as
    much. The statement also contradicts Corollary 2 and Remark 3.
    """
    return not w.A_w < 0 or w.D_w < w.D_l


def falls_more_in_logarithm(w):
    return not w.A_w < 0 or w.A_w >= w.A_l


falls_more.false(at=BOTH_FALL, true_at=ladder(3)).refuted(unlike=falls_more_in_logarithm)


@claim("displacement-order", "not in the paper; mends Remarks 1 and 3", PROVED)
def displacement_order(w, power=1):
    r"""D_w<0\ \text{and}\ D_w<D_l\ \Rightarrow\ \pi_w>\pi_l,\qquad
    D_w<0\ \Rightarrow\ \bigl(D_w<D_l\iff\pi_w|A_w|>\pi_l|A_l|\bigr)

    Assumes: first-order changes
    Proof: $D_y=s\,\pi_yA_y$, and $A_l\le A_w<0$ by jian2025.log-margin. Only a chosen response that is already ahead
    can lose more than the rejected one.
    """
    heavier = w.p_w**power * abs(w.A_w) > w.p_l**power * abs(w.A_l)
    return not w.D_w < 0 or ((w.D_w < w.D_l) == heavier and (not heavier or w.p_w > w.p_l))


displacement_order.proved(wrong={"power": 2})


@claim("sign-table", "not in the paper; mends Remark 3", PROVED)
def sign_table(w, least=0):
    r"""D_w<0\Rightarrow D_l<0\ \text{and}\ D\log\pi_l\le D\log\pi_w,\quad D_l>0\Rightarrow D_w>0,\quad
    (D_w\le 0\le D_l)\Rightarrow g_w=g_l

    Assumes: first-order changes; any differentiable policy
    Proof: $D_w/\pi_w-D_l/\pi_l=s\|g_w-g_l\|^2\ge 0$ (jian2025.log-margin), with equality iff $g_w=g_l$.
    """
    falls, rises = not w.D_w < least or w.D_l < 0, not w.D_l > -least or w.D_w > 0
    return falls and rises and w.A_l <= w.A_w and (not w.D_w <= 0 <= w.D_l or w.dd == 0)


sign_table.proved(wrong={"least": F(1, 10)})


@claim("remark-3-both-fall", "Remark 3 on Eq. (6), second sentence", PROVED)
def both_fall(w):
    r"""\text{there are policies with}\ \Delta_w<0\ \text{and}\ \Delta_l<0

    Proof: jian2025.displacement-smallest: uniform probabilities and features (2, 3, 0), at every step size.
    """
    return all(w.change(y) < 0 and w.exact_change(y, 9) < 0 for y in (w.chosen, w.rejected))


both_fall.evaluated([BOTH_FALL], meaning=THERE_IS, wrong=lambda w: both_fall(w) and w.D_w < w.D_l)


@claim("remark-3-order", "Remark 3 on Eq. (6), example", FALSE, "sign-table", "displacement-order")
def rejected_falls_more(w):
    r"""\Delta_w<0\ \Rightarrow\ \Delta_l<\Delta_w

    Because: On the ladder at $e^\theta=3$ the changes are $-24/169$ and $-21/169$: the preferred response loses more
    probability, also in the exact step to $e^\theta=9$.
    """
    return not w.D_w < 0 or w.D_l < w.D_w


def in_an_exact_step(w):
    after = w.after(3)
    return not after.p_w < w.p_w or after.p_l - w.p_l < after.p_w - w.p_w


rejected_falls_more.false(at=ladder(3), true_at=BOTH_FALL)
rejected_falls_more.false(of=in_an_exact_step, at=ladder(3), true_at=BOTH_FALL)
rejected_falls_more.refuted(unlike=lambda w: not w.D_w < 0 or w.D_l < 0)


# --- Figure 1c -----------------------------------------------------------------------------------------------------


@claim("figure-1c", "Section 2.2, the text on Figure 1c and Eq. (6)", FALSE, "figure-1c-log-margin", "figure-1c-ratio")
def log_delta_ratio(w):
    r"""\log\frac{\Delta_w}{\Delta_l}>0\ \text{at every step},\qquad
    \log\frac{\Delta_w}{\Delta_l}>0\ \Rightarrow\ \Delta_w-\Delta_l\ge 0\ \text{even when both decline}

    Because: The logarithm does not exist while $\Delta_w>0>\Delta_l$, which is how Fig. 1b begins. When both decline, a
    positive logarithm means $\Delta_w<\Delta_l$: it is evidence against Corollary 2.
    """
    return w.D_w * w.D_l > 0


def implies_the_order(w):
    positive = w.D_w * w.D_l > 0 and abs(w.D_w) > abs(w.D_l)
    return not positive or w.D_w >= w.D_l


def declining_implies_the_opposite(w, times=1):
    return not (w.D_w < 0 and w.D_l < 0) or (abs(w.D_w) > times * abs(w.D_l)) == (w.D_w < w.D_l)


log_delta_ratio.false(at=ladder(F(1, 2)), true_at=ladder(3))
log_delta_ratio.false(of=implies_the_order, at=ladder(3), true_at=BOTH_RISE)
log_delta_ratio.refuted(of=implies_the_order, unlike=declining_implies_the_opposite)
log_delta_ratio.proved(over=POLICY, of=declining_implies_the_opposite, wrong={"times": F(11, 10)}, also=True)


@claim("figure-1c-ratio", "not in the paper; what the curve of Fig. 1c does while both decline", PROVED)
def ratio_of_changes(case, below=0):
    r"""D_w<0\ \text{at}\ s\ \Rightarrow\ \frac{D_w}{D_l}(s')\ge\frac{D_w}{D_l}(s)\ \text{for}\ s'\ge s

    Assumes: a log-linear policy, one pair, s the length of the path so far
    Proof: $D_w/D_l=(\pi_w/\pi_l)(A_w/A_l)$. The first factor grows like $e^{s\|d\|^2}$; the second is
    $1-\|d\|^2/(E[\phi\cdot d]-\phi_l\cdot d)$, and $E[\phi\cdot d]$ does not fall along the path.
    """
    w, E = case
    v = w.after(E)
    return not w.D_w < below or v.D_w / v.D_l >= w.D_w / w.D_l


ratio_of_changes.proved(over=STEP, wrong={"below": F(1, 10)})


@claim("figure-1c-log-margin", "not in the paper; the curve that is positive and increasing throughout", PROVED)
def log_margin_of_a_run(s, p_w, p_l, a, b, Z, square=1):
    r"""\frac{z}{\beta}=\log\frac{\pi_w}{\pi_l}-\log\frac{\pi_{ref,w}}{\pi_{ref,l}}=s\,(\phi_w-\phi_l)\cdot(\phi_w-\phi_l),\qquad
    z+e^z=1+\beta^2\|\phi_w-\phi_l\|^2\,t\ \text{under gradient flow}

    Assumes: a log-linear policy, one pair, start at the reference; s the length of the path so far, t the time
    Proof: The log-ratio is linear in $\theta$: with $a=\phi_w\cdot d$ and $b=\phi_l\cdot d$, $a-b=\|d\|^2$. And
    $\dot z=\beta^2\|d\|^2\sigma(-z)$ means $(1+e^z)\dot z=\beta^2\|d\|^2$.
    """
    after = sp.log(p_w * sp.exp(s * a) / Z) - sp.log(p_l * sp.exp(s * b) / Z)
    return same(after - sp.log(p_w / p_l), square * s * (a - b))


def conserved(t, z, rate, weight=1):
    """z + e^z rises at a constant rate from its value at z = 0."""
    velocity = rate / (1 + sp.exp(z(t)))
    clock = z(t) + weight * sp.exp(z(t))
    return same(sp.diff(clock, t).subs(z(t).diff(t), velocity), rate) & same(clock.subs(z(t), 0), 1)


log_margin_of_a_run.derived(symbols={"s": "real", "a": "real", "b": "real"}, wrong={"square": F(11, 10)})
log_margin_of_a_run.derived(
    of=conserved,
    symbols={"z": "function"},
    wrong={"weight": F(11, 10)},
    lemma="mean value",
    part=r"z+e^z=1+\beta^2\|\phi_w-\phi_l\|^2\,t\ \text{under gradient flow}",
)


@claim("initialisation", "Section 2.3, key insight (1)", PROVED)
def sensitive(policies):
    r"""\text{for the same pair and the same}\ z\ \text{there are two initial policies:}\ \Delta_w>0\ \text{for one,}\
    \Delta_w<0\ \text{for the other}

    Assumes: both start at their reference, so that $z=0$; $z$ itself only changes the size of a step
    Proof: The ladder at $e^\theta=1/2$ and at $e^\theta=2$.
    """
    one, other = policies
    return one.features == other.features and one.D_w > 0 > other.D_w


sensitive.evaluated(
    [(ladder(F(1, 2)), ladder(2))], meaning=THERE_IS, wrong=lambda two: sensitive(two) and two[0].D_l > 0
)
