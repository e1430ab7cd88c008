"""DPO-Positive (DPOP): a penalty on a chosen response that is less probable than under the reference."""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import FALSE, PROVED
from theory.decision.weighted import with_loss
from theory.proof import same, setting
from theory.statement import claims_of

claim = claims_of("pal2024")
DPOP = with_loss("dpop")


@claim("dpop-protects", "not read in full; ours, after Section 4 on what DPOP is for", FALSE, "dpop-protects-if")
def dpop_protects(w, least=0):
    r"""\pi_w<\pi_{\mathrm{ref}}(y_w)\ \Rightarrow\ \text{a step of DPOP does not lower }\pi_w

    Assumes: first order in the step; any policy, any $\lambda>0$
    Because: Below the reference the weights are $d_w=(1+\lambda)u$ and $d_l=u$, so that the chosen response falls iff
    $(1+\lambda)|g_w|^2<\langle g_w,g_l\rangle$. For every $\lambda$ there are such scores: with three responses,
    uniform and one feature, they can be $1,\lambda+3,-\lambda-4$.
    """
    return not w.r_w < 1 or w.A_w >= least


def protects_if(w, times=1):
    """The true statement: it protects where (1 + lambda) |g_w| >= |g_l|."""
    return not (times * w.d_w * w.d_w * w.ww >= w.d_l * w.d_l * w.ll) or w.A_w >= 0


@claim("dpop-protects-if", "not read in full; ours, after Section 4", PROVED)
def dpop_protects_if(w, times=1):
    r"""(1+\lambda)\,|g_w|\ge|g_l|,\ \pi_w<\pi_{\mathrm{ref}}(y_w)\ \Rightarrow\ \text{a step of DPOP does not lower
    }\pi_w

    Assumes: first order in the step; any policy
    Proof: $\langle g_w,g_l\rangle\le|g_w||g_l|\le(1+\lambda)|g_w|^2$.
    """
    return not w.r_w < 1 or protects_if(w, times)


def falls_for_every_weight(weight, longer=3):
    """Return whether uniform scores 1, lambda + 3 and -lambda - 4, whose sum is 0, have (1 + lambda) |g_w|^2 < K."""
    scores = (1, weight + longer, -weight - longer - 1)
    return sum(scores) == 0 and (1 + weight) * scores[0] ** 2 < scores[0] * scores[1]


ANY_WEIGHT = setting("lambda > 0")(lambda numbers: numbers.positive("weight"))
dpop_protects.refuted(over=DPOP, unlike=dpop_protects_if)
dpop_protects.proved(over=ANY_WEIGHT, of=falls_for_every_weight, also=True, wrong={"longer": 1})
dpop_protects_if.proved(over=DPOP, wrong={"times": F(5, 4)})


@setting("lambda > 0, M > 0: log-ratios -M of the chosen response, -(2 + lambda) M of the rejected one")
def both_vanish(numbers):
    """Any weight, any margin."""
    return numbers.positive("weight"), numbers.positive("M")


def margin(weight, chosen, rejected):
    """Return DPOP's margin over beta from the log-ratios: a_w - a_l - lambda max(0, -a_w)."""
    return chosen - rejected - weight * max(0 * chosen, -chosen)


@claim("dpop-loss-vanishes", "not read in full; ours, after Eq. (3)", PROVED)
def dpop_loss_vanishes(case, faster=2):
    r"""\text{for every }\lambda>0\text{ and every }M>0\text{ DPOP's margin over }\beta\text{ is }M\text{ at }
    \log\frac{\pi_w}{\pi_{\mathrm{ref}}}=-M,\ \log\frac{\pi_l}{\pi_{\mathrm{ref}}}=-(2+\lambda)M

    Assumes: a third response, which takes the mass
    Because: So the loss goes to 0 while the chosen response vanishes: no $\lambda$ prevents it.
    Proof: Insert. The loss $\log(1+e^{-\beta M})$ tends to 0 and $\pi_w=\pi_{\mathrm{ref}}e^{-M}$ too.
    """
    weight, M = case
    return margin(weight, -M, -(faster + weight) * M) == M


def both_limits(beta, reference, weight, faster=2):
    """Return whether loss and chosen response both tend to 0 along these log-ratios."""
    M = sp.Symbol("M", positive=True)
    along = -M - weight * M + (faster + weight) * M
    loss = sp.limit(sp.log(1 + sp.exp(-beta * along)), M, sp.oo)
    return same(loss, 0) & same(sp.limit(reference * sp.exp(-M), M, sp.oo), 0)


dpop_loss_vanishes.proved(over=both_vanish, wrong={"faster": F(21, 10)})
dpop_loss_vanishes.derived(of=both_limits, wrong={"faster": 1}, also=True)
