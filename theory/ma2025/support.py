"""Theorem 6: does a response of reference probability 0 stay at 0?

That depends on how the policy is parametrised, not on the loss; and a small reference probability can grow.
"""

from __future__ import annotations

from fractions import Fraction as F
from functools import partial
from typing import NamedTuple

from theory.claim import CONDITIONALLY, FALSE, PROVED
from theory.evidence import CONDITIONAL
from theory.ma2025.covariance import claim
from theory.proof import Named, log, sqrt, world_of
from theory.worlds import Vector, World


class Affine(NamedTuple):
    """Probabilities that are affine in one parameter: p = ref + theta v; the pair is (0, 1).

    Attributes:
        ref: reference probabilities, at theta = 0.
        direction: v, which sums to 0.
        step: learning rate x beta x urgency, small enough to keep probabilities in [0, 1].
    """

    ref: Vector
    direction: Vector
    step: F

    @property
    def after(self) -> Vector:
        """Return the probabilities after one gradient step on DPO's loss of the pair.

        Example:
            >>> [str(p) for p in ESCAPE.after]
            ['7/20', '11/20', '1/10']
        """
        theta = self.step * (self.direction[0] / self.ref[0] - self.direction[1] / self.ref[1])
        return tuple(p + theta * v for p, v in zip(self.ref, self.direction, strict=True))


ESCAPE = Affine((F(1, 4), F(3, 4), F(0)), (F(1), F(-2), F(1)), F(3, 200))
STAYS = Affine((F(1, 4), F(3, 4), F(0)), (F(1), F(-1), F(0)), F(3, 200))


@claim("theorem-6", "Theorem 6", CONDITIONALLY, "theorem-6-minimisers", "theorem-6-peak")
def theorem_6(case, most=0):
    r"""\pi_{\mathrm{ref}}(y)=0\implies\pi_{\mathrm{dpo}}(y)=0

    Assumes: y is in no pair; the policy is a softmax times a base measure that is 0 at y (logit minus infinity) and is
    trained from the reference
    Because: It is a property of the parametrisation. With $\pi_\theta=(1/4+\theta,\,3/4-2\theta,\,\theta)$ one gradient
    step on the pair $1\succ 2$ makes $\theta>0$. And no softmax with finite logits has $\pi_{\mathrm{ref}}(y)=0$.
    Proof: A softmax times a base measure has the support of its base measure for every $\theta$.
    """
    return not case.ref[-1] <= most or case.after[-1] <= most


def of_softmax(case, most=0):
    return theorem_6(Named(ref=(case.ref,), after=(case.ref * case.growth / case.Z,)), most)


STEP = "ref >= 0 of any response, possibly 0; a step multiplies it by any e^x > 0; normaliser Z > 0"
softmax_step = world_of(STEP, ref="nonnegative", growth="positive", Z="positive")


theorem_6.false(at=ESCAPE, true_at=STAYS)
theorem_6.proved(of=of_softmax, over=softmax_step, role=CONDITIONAL, wrong={"most": F(1, 100)})


@claim("theorem-6-minimisers", "Section 4.3.3: what the paper says to be false in the work it answers", PROVED)
def minimisers(case, unevenly=1, level=0):
    r"""\text{DPO's loss has minimisers with }\pi(y)>0\text{ where }\pi_{\mathrm{ref}}(y)=0

    Assumes: y is in no pair; the others have an optimum, as for labels of Bradley and Terry's model under a reference
    that is positive for them
    Proof: The loss depends on the policy through odds $\pi_i/\pi_j$ inside the pairs; moving a share of all mass to $y$
    changes none of them. A pair's expected loss is least where $\kappa$ is the probability of its label, as at the
    optimum. Theorem 6 is about the path of training and does not refute this.
    """
    i, j = case.kept * case.p_i, case.kept * unevenly * case.p_j
    label, kappa = case.p_i / (case.p_i + case.ref * case.p_j), i / (i + case.ref * j)
    return kappa == label and excess(label, case.other) >= level


def excess(label, kappa):
    """Return a pair's expected loss less that at kappa = label, which is a divergence."""
    return -label * log(kappa / label) - (1 - label) * log((1 - kappa) / (1 - label))


PAIR = "p^beta of any pair at the optimum, ref = (ref_i / ref_j)^beta > 0; a share of all mass is kept; any other kappa"
diluted = world_of(PAIR, p_i="positive", p_j="positive", ref="positive", kept="share", other="share")
minimisers.proved(over=diluted, wrong={"unevenly": F(11, 10)})
minimisers.proved(over=diluted, wrong={"level": F(1, 100)}, also=True)


@claim(
    "theorem-6-tiny-reference",
    "Theorem 6 with a small reference probability in the place of 0: at most doubled, say",
    FALSE,
    "theorem-6-peak",
)
def tiny_reference(case: World, step: int = 3) -> bool:
    r"""\pi_{\mathrm{dpo}}(y)\le 2\,\pi_{\mathrm{ref}}(y)

    Assumes: a table of logits, one pair, y not in it
    Because: While $\pi_w<\pi_l$, what the rejected response loses goes to all others in proportion: from
    $(\pi_w,\pi_l,\pi_y)=(0.01,0.98,0.01)$ the response outside the pair rises to 0.046 in a step that multiplies the
    odds of the pair by 64, and to 0.0481 at its peak, 4.8 times its share.
    """
    return case.after(F(2) ** step).p[2] <= 2 * case.p[2]


LOPSIDED = World.tabular([F(1, 100), F(49, 50), F(1, 100)])
tiny_reference.false(at=LOPSIDED, true_at=World.tabular([F(1, 3)] * 3))
FURTHER = partial(tiny_reference.predicate, step=8)  # a longer step passes the peak
tiny_reference.evaluated([LOPSIDED], of=FURTHER, wrong={"step": 4}, also=True)


def on_the_path(case, t):
    """Return pi_y where pi_w has been multiplied by t and pi_l by 1 / t; others: mass outside the pair and y."""
    return case.y / (t * case.w + case.l / t + case.y + case.others)


@claim("theorem-6-peak", "not in the paper; how far a response outside the pair can rise", PROVED)
def ood_peak(case, share=2):
    r"""\max_t\pi_y(t)=\frac{\pi_y}{\,2\sqrt{\pi_w\pi_l}+\sum_{k\notin\{w,l\}}\pi_k\,}

    Assumes: a table of logits trained on one pair for long enough, starting from $\pi_w\le\pi_l$; probabilities on the
    right are those of the reference
    Proof: Training multiplies $\pi_w$ by $t$ and $\pi_l$ by $1/t$ before normalisation, for $t$ from 1 to infinity;
    $t\pi_w+\pi_l/t$ is least at $t=\sqrt{\pi_l/\pi_w}\ge 1$, where chosen and rejected are equally probable.
    """
    at, peak = sqrt(case.l / case.w), case.y / (share * sqrt(case.w * case.l) + case.y + case.others)
    attained = on_the_path(case, at) == peak and (not case.w <= case.l or at >= 1)
    return on_the_path(case, case.t) <= peak and attained


def exactly(case: World, step: int = 2) -> bool:
    return case.after(F(2) ** step).p[2] == F(1, 9)


PATH = "p_w, p_l, p_y > 0, other mass >= 0; t > 0"
path = world_of(PATH, w="positive", l="positive", y="positive", others="nonnegative", t="positive")
ood_peak.proved(over=path, wrong={"share": F(21, 10)})
ood_peak.evaluated([World.tabular([F(1, 18), F(16, 18), F(1, 18)])], of=exactly, wrong={"step": 1}, also=True)
