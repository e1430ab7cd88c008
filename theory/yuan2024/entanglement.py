"""A loss of two log-probabilities moves the parameters along d_w g_w - d_l g_l: who rises, and who falls."""

from __future__ import annotations

from fractions import Fraction as F

from theory.claim import CONDITIONALLY, PROVED
from theory.decision.weighted import with_weights
from theory.evidence import CONDITIONAL
from theory.proof import POLICY, Named, setting
from theory.statement import claims_of

claim = claims_of("yuan2024")
WEIGHTED = with_weights()


@claim("condition-1", "Section 3.1, the condition after Eqs. (4)-(5)", PROVED)
def condition_1(w, times=1):
    r"""\langle g_w,g_l\rangle<|g_w|^2\iff\log\pi_w\ \text{rises},\qquad\langle g_w,g_l\rangle<|g_l|^2\iff\log\pi_l\
    \text{falls}

    Assumes: one step of DPO, to first order. The notes that quote it have $\le$; at equality nothing moves to first
    order.
    Proof: The changes are $|g_w|^2-\langle g_w,g_l\rangle$ and $\langle g_w,g_l\rangle-|g_l|^2$.
    """
    return (w.wl < times * w.ww) == (w.A_w > 0) and (w.wl < w.ll) == (w.A_l < 0)


condition_1.proved(over=POLICY, wrong={"times": F(11, 10)})


@claim("never-the-wrong-way", "not read in full; ours, after the three cases of Section 3.1, for any weights", PROVED)
def never_the_wrong_way(w, room=0):
    r"""\text{never}\ A_w<0<A_l

    Assumes: any loss with weights $d_w,d_l>0$, any policy, first order
    Proof: $A_w<0$ and $A_l>0$ need $\langle g_w,g_l\rangle>0$ with $d_w|g_w|^2<d_l\langle g_w,g_l\rangle$ and
    $d_l|g_l|^2<d_w\langle g_w,g_l\rangle$; their product is against Cauchy and Schwarz.
    """
    return not (w.A_w < 0 and w.A_l > -room)


never_the_wrong_way.proved(over=WEIGHTED, wrong={"room": F(1, 10)})


@claim(
    "heavier-rejected", "not read in full; ours, after Section 3.1 on the larger norm of the rejected gradient", PROVED
)
def heavier_rejected(w, times=1):
    r"""A_w<0\ \Rightarrow\ d_l|g_l|>d_w|g_w|

    Assumes: any loss with weights $d_w,d_l>0$, any policy, first order
    Because: For DPO: the rejected score is the longer one. With unequal weights the plain norms do not tell.
    Proof: $d_w|g_w|^2<d_l\langle g_w,g_l\rangle\le d_l|g_w||g_l|$.
    """
    return not w.A_w < 0 or w.d_l**2 * w.ll > times * w.d_w**2 * w.ww


heavier_rejected.proved(over=WEIGHTED, wrong={"times": F(11, 10)})


@claim("weighted-margin", "not read in full; ours, after Section 3.1, that the margin always rises", PROVED)
def weighted_margin(w, times=1):
    r"""\frac{d}{d\eta}\bigl[d_w\log\pi_w-d_l\log\pi_l\bigr]=|d_wg_w-d_lg_l|^2\ge 0

    Assumes: any loss with weights $d_w,d_l>0$, held fixed; any policy
    Proof: The step is the gradient of what is in the bracket.
    """
    length = w.d_w**2 * w.ww - 2 * times * w.d_w * w.d_l * w.wl + w.d_l**2 * w.ll
    return w.d_w * w.A_w - w.d_l * w.A_l == length >= 0


weighted_margin.proved(over=WEIGHTED, wrong={"times": F(11, 10)})


@claim(
    "margin-any-weights", "not read in full; ours, after Section 3.1, for any weights", CONDITIONALLY, "weighted-margin"
)
def margin_any_weights(w, least=0):
    r"""\frac{d}{d\eta}\bigl[\log\pi_w-\log\pi_l\bigr]\ge 0

    Assumes: $d_w=d_l$ (the paper says it of DPO)
    Because: With unequal weights the plain margin can shrink: $|g_w|^2=1/2$, $\langle g_w,g_l\rangle=1$, $|g_l|^2=3$
    with $d_w=1$, $d_l=1/8$ give $-1/4$.
    Proof: For equal weights it is $d\,|g_w-g_l|^2$.
    """
    return w.A_w - w.A_l >= least


margin_any_weights.refuted(over=WEIGHTED, unlike=weighted_margin)
margin_any_weights.proved(
    over=WEIGHTED,
    role=CONDITIONAL,
    given=lambda w: w.d_w == w.d_l,
    wrong_given=lambda w: 10 * w.d_w <= 11 * w.d_l,
)


@setting("|g_w| = a > 0, |g_l| = b > 0, the cosine rho of the two scores in [-1, 1]; weights d_w, d_l > 0")
def norms_and_cosine(numbers):
    """The lengths of the two scores and the cosine between them."""
    a, b = numbers.positive("a"), numbers.positive("b")
    rho = numbers.within("rho", -1, 1)
    return Named(a=a, b=b, rho=rho, d_w=numbers.positive("d_w"), d_l=numbers.positive("d_l"))


def changes(c, d_w, d_l):
    """Return the first-order changes of log pi_w and log pi_l for weights on the two scores."""
    ww, ll, wl = c.a * c.a, c.b * c.b, c.a * c.b * c.rho
    return d_w * ww - d_l * wl, d_w * wl - d_l * ll


@claim("normalised-step", "not read in full; ours, after Section 5 on normalised gradients", PROVED)
def normalised_step(c, most=1):
    r"""\text{along}\ \frac{g_w}{|g_w|}-\frac{g_l}{|g_l|}:\quad\frac{d}{d\eta}\log\pi_w=|g_w|(1-\rho)\ge 0\ge
    -|g_l|(1-\rho)=\frac{d}{d\eta}\log\pi_l

    Assumes: any policy whose two scores are not zero; $\rho$ is their cosine
    Because: Strict unless the two scores point the same way; there nothing moves at all.
    Proof: $g_w\cdot g_w/|g_w|=|g_w|$, $g_w\cdot g_l/|g_l|=|g_w|\rho$.
    """
    up, down = changes(c, 1 / c.a, 1 / c.b)
    return up == c.a * (most - c.rho) >= 0 >= -c.b * (1 - c.rho) == down


normalised_step.proved(over=norms_and_cosine, wrong={"most": F(11, 10)})
