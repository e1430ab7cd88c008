"""The drastic drop, the degradation and the dispersion: with free probabilities, and with those of a softmax."""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, PROVED
from theory.evidence import CONDITIONAL
from theory.proof import TABULAR, same
from theory.statement import THERE_IS, claims_of
from theory.worlds import World

claim = claims_of("yan2024")


@claim("corollary-1", "Corollary 1", PROVED)
def corollary_1(chosen, rejected, ref_w, ref_l, beta, times=1):
    r"""\frac{\partial L}{\partial\pi^-}\Big/\frac{\partial L}{\partial\pi^+}=-\frac{\pi^+}{\pi^-}

    Assumes: $\pi^+$ and $\pi^-$ are free numbers
    Proof: $L=-\log\sigma(\beta\log\pi^+-\beta\log\pi^-+c)$.
    """
    margin = beta * sp.log(chosen / ref_w) - beta * sp.log(rejected / ref_l)
    loss = sp.log(1 + sp.exp(-margin))
    return same(sp.diff(loss, rejected) * rejected, -times * chosen * sp.diff(loss, chosen))


corollary_1.derived(wrong={"times": F(11, 10)})
SKEWED = World.tabular([F(1, 2), F(1, 4), F(1, 4)])
TURNED = World.tabular([F(1, 4), F(1, 2), F(1, 4)])


@claim(
    "faster-in-logs", "Corollary 1, what follows: the rejected response falls faster; log-probabilities", CONDITIONALLY
)
def faster_in_logs(w, times=1):
    r"""\Bigl|\frac{d}{d\eta}\log\pi_l\Bigr|>\Bigl|\frac{d}{d\eta}\log\pi_w\Bigr|

    Assumes: $\pi_w>\pi_l$; tabular softmax, first order
    Because: In a softmax the two probabilities are not free: the logits get equal and opposite forces. Before $\pi_w$
    has overtaken $\pi_l$, the chosen one is the faster.
    Proof: $A_w=1-d$ and $A_l=-(1+d)$ with $d=\pi_w-\pi_l$.
    """
    return -w.A_l > times * w.A_w


faster_in_logs.false(at=TURNED, true_at=SKEWED)
faster_in_logs.proved(
    over=TABULAR,
    role=CONDITIONAL,
    given=lambda w: w.p_w > w.p_l,
    wrong_given=lambda w: 11 * w.p_w > 10 * w.p_l,
)


@claim(
    "faster-in-probability",
    "Corollary 1, what follows: the rejected response falls faster; probabilities",
    CONDITIONALLY,
)
def faster_in_probability(w):
    r"""\Bigl|\frac{d\pi_l}{d\eta}\Bigr|>\Bigl|\frac{d\pi_w}{d\eta}\Bigr|

    Assumes: $\pi_w<\pi_l$ and $\pi_w+\pi_l<1$; tabular softmax, first order
    Because: So it is the other way round than for log-probabilities: once $\pi_w>\pi_l$, as training makes it, the
    chosen probability moves faster. With two responses both move alike.
    Proof: $\pi_l(1+d)-\pi_w(1-d)=-d\,(1-\pi_w-\pi_l)$ with $d=\pi_w-\pi_l$.
    """
    return -w.D_l > w.D_w


faster_in_probability.false(at=SKEWED, true_at=TURNED)
faster_in_probability.proved(
    over=TABULAR,
    role=CONDITIONAL,
    given=lambda w: w.p_w < w.p_l and w.p_w + w.p_l < 1,
    wrong_given=lambda w: 10 * w.p_w < 11 * w.p_l and w.p_w + w.p_l < 1,
)


@claim("corollary-3", "Corollary 3, on both falling while others rise", PROVED)
def corollary_3(w):
    r"""\text{there is a step of DPO in which}\ \pi_w\ \text{and}\ \pi_l\ \text{fall and another response rises}

    Assumes: responses that share parameters
    Because: Sharing is needed: yan2024.never-tabular.
    Proof: Three equally probable responses with the one feature 2, 3 and 0: drives $-1/3$, $-4/3$, $5/3$.
    """
    return w.A_w < 0 and w.A_l < 0 < w.A_y


corollary_3.evaluated([World.log_linear([[2], [3], [0]], at=[1])], meaning=THERE_IS, wrong=lambda w: w.A_w < 0 < w.A_l)


@claim("never-tabular", "not in the paper; Corollary 3 without shared parameters", PROVED)
def never_tabular(w, times=1):
    r"""\text{tabular softmax}:\quad A_w>0>A_l,\qquad A_y>0\iff\pi_l>\pi_w

    Assumes: a loss with equal weights on the two log-probabilities, such as DPO; first order
    Proof: $A_w=1-\pi_w+\pi_l$, $A_l=-1-\pi_w+\pi_l$, $A_y=\pi_l-\pi_w$.
    """
    return w.A_w > 0 > w.A_l and (w.A_y > 0) == (w.p_l > times * w.p_w)


never_tabular.proved(over=TABULAR, wrong={"times": F(11, 10)})
