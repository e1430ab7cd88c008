"""A tabular softmax: the sign of the inner product of two scores, and what unequal weights do."""

from __future__ import annotations

from fractions import Fraction as F

from theory.claim import CONDITIONALLY, PROVED
from theory.decision.weighted import WeightedWorld, with_weights
from theory.evidence import CONDITIONAL
from theory.proof import TABULAR
from theory.statement import THERE_IS
from theory.worlds import World
from theory.yuan2024.entanglement import claim

WEIGHTED = with_weights(TABULAR)


@claim("negative-product", "not read in full; ours, after Theorem 1", CONDITIONALLY)
def negative_product(w, least=0):
    r"""\langle g_w,g_l\rangle<0

    Assumes: $\pi_w+\pi_l>S=\sum\pi^2$; responses of one token, tabular logits
    Because: $\langle g_w,g_l\rangle=S-\pi_w-\pi_l$ is positive where a third response holds most of the mass, as with
    $\pi=(1,1,8)/10$ for the first two. The step is ideal all the same.
    Proof: $(e_w-\pi)\cdot(e_l-\pi)=S-\pi_w-\pi_l$.
    """
    return w.wl < least


negative_product.false(
    at=World.tabular([F(1, 10), F(1, 10), F(8, 10)]), true_at=World.tabular([F(1, 2), F(1, 4), F(1, 4)])
)
negative_product.proved(
    over=TABULAR,
    role=CONDITIONAL,
    given=lambda w: w.p_w + w.p_l > w.S2,
    wrong_given=lambda w: 11 * (w.p_w + w.p_l) > 10 * w.S2,
)


@claim("tabular-displacement", "not read in full; ours, a consequence of its weights in Section 3.2", PROVED)
def tabular_displacement(case):
    r"""\text{there is a tabular policy and a loss with}\ d_l>d_w\ \text{whose step lowers}\ \pi_w

    Assumes: tabular softmax, first order
    Because: That a tabular policy never displaces (jian2025.tabular-signs) is for equal weights. A loss that divides
    each log-probability by its length has $d_w/d_l=|y_l|/|y_w|$.
    Proof: $\pi=(1,1,8)/10$ and a chosen response four times as long as the rejected one: $A_w=-19/200$ for $d_l=1$.
    """
    w, d_w, d_l = case
    return WeightedWorld(w, d_w, d_l).A_w < 0 < d_l - d_w


LONG_CHOSEN = (World.tabular([F(1, 10), F(1, 10), F(8, 10)]), F(1, 4), F(1))
tabular_displacement.evaluated([LONG_CHOSEN], meaning=THERE_IS, wrong=lambda case: WeightedWorld(*case).A_w < F(-1, 10))


@claim("tabular-threshold", "not read in full; ours, after Section 3.2, for one token", PROVED)
def tabular_threshold(w, times=1):
    r"""A_w<0\iff\frac{d_w}{d_l}\,(1-2\pi_w+S)<S-\pi_w-\pi_l,\qquad d_l\le d_w\ \Rightarrow\ A_w>0

    Assumes: tabular softmax, any loss with weights $d_w,d_l>0$, first order
    Because: With equal weights, as those of DPO, a tabular policy never displaces.
    Proof: $|g_w|^2=1-2\pi_w+S$ exceeds $\langle g_w,g_l\rangle=S-\pi_w-\pi_l$ by $1-\pi_w+\pi_l>0$.
    """
    norm, product = 1 - 2 * w.p_w + w.S2, w.S2 - w.p_w - w.p_l
    return (w.A_w < 0) == (w.d_w * norm < times * w.d_l * product) and not (w.d_l <= w.d_w and w.A_w <= 0)


tabular_threshold.proved(over=WEIGHTED, wrong={"times": F(11, 10)})


@claim("bystanders-of-weights", "not read in full; ours, after Section 3.2, for one token", PROVED)
def bystanders_of_weights(w, times=1):
    r"""A_y=d_l\pi_l-d_w\pi_w+(d_w-d_l)(S-\pi_y),\qquad y\notin\{y_w,y_l\}

    Assumes: tabular softmax, any loss with weights $d_w,d_l>0$
    Because: With unequal weights the bystanders no longer share one drive: for $d_l>d_w$ the most probable one rises
    most.
    Proof: Expand $\langle g_y,d_wg_w-d_lg_l\rangle$.
    """
    return w.A_y == w.d_l * w.p_l - w.d_w * w.p_w + times * (w.d_w - w.d_l) * (w.S2 - w.p_y)


bystanders_of_weights.proved(over=WEIGHTED, wrong={"times": F(11, 10)})
