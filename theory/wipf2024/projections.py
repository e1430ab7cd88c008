"""DPO as a forward, RLHF as a backward divergence: for two responses; beyond that DPO is a sum over pairs."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction as F

from theory.claim import CONDITIONALLY, PROVED
from theory.evidence import CONDITIONAL
from theory.proof import Named, Numbers, exp, log, sums_of, touch
from theory.wipf2024.backward_forward import Policy, TwoOfASet, backward, forward, of_dpo, of_rlhf, on_two_responses
from theory.wipf2024.claims import claim
from theory.wipf2024.objectives import Setting, Vector


@claim("dpo-pairwise-divergence", "not in the paper; replaces the final step of Appendix C", PROVED)
def dpo_is_pairwise(s, times=1):
    r"""\ell_{\mathrm{DPO}}(\pi)\equiv\sum_{i<j}\mathrm{KL}
    \bigl[\mathrm{Ber}(p^*_{ij})\,\|\,\mathrm{Ber}(\sigma(m_{ij}))\bigr],
    \quad m_{ij}=\lambda\ln\frac{\pi_i}{\pi_j}-\lambda\ln\frac{\pi_{\mathrm{ref},i}}{\pi_{\mathrm{ref},j}}

    Assumes: expected loss under Bradley-Terry labels, all pairs asked equally often; any number of responses, any
    reference and $\lambda$; $\equiv$ is up to a constant
    Proof: The expected logistic loss of a pair is the cross-entropy of its label; take away the entropy. With two
    responses $\sigma(m)\propto(\pi/\pi_{\mathrm{ref}})^\lambda$: a divergence between powers of policies, and between
    the policies themselves only at $\lambda=1$.
    """
    return s.loss == times * s.divergence + s.entropy


@sums_of("margin m_ij, r_i - r_j of any pair")
def compared(numbers: Numbers) -> Named:
    """Any number of pairs."""
    margin, reward = numbers.real("margin"), numbers.real("reward")
    costs = [log(1 + exp(-margin)), log(1 + exp(margin))]
    touch(*(-cost for cost in costs))
    label, sigma = ((1 / (1 + exp(-t)), 1 / (1 + exp(t))) for t in (reward, margin))
    return Named(
        loss=sum(a * cost for a, cost in zip(label, costs, strict=True)),
        divergence=sum(a * (log(a) - log(b)) for a, b in zip(label, sigma, strict=True)),
        entropy=-sum(a * log(a) for a in label),
    )


dpo_is_pairwise.by_induction(
    base=compared["base"], step=compared["step"], after=compared["after"], wrong={"times": F(11, 10)}
)


@dataclass(frozen=True)
class Cap:
    """The constraint pi(y_1) <= cap in the setting of pi*, with three responses."""

    setting: Setting
    cap: F

    @property
    def projection(self) -> Vector:
        """Return the projection of pi*: y_1 at the cap, the others in the proportions of pi*."""
        _, second, third = self.setting.optimum
        rest = (1 - self.cap) / (second + third)
        return (self.cap, second * rest, third * rest)

    def __str__(self) -> str:
        """Return the setting and the constraint."""
        return f"{self.setting}, pi(y_1) <= {self.cap}"


ALONG = (F(0), F(1), F(-1))  # from the third response to the second: along the edge of the constraint
UNEQUAL = Setting.plain((F(6, 10), F(3, 10), F(1, 10)))
BINDING, SLACK = Cap(UNEQUAL, F(3, 10)), Cap(UNEQUAL, F(6, 10))


@claim(
    "forward-backward",
    "Section 3, after Proposition 3.1; final step of Appendix C",
    CONDITIONALLY,
    "dpo-pairwise-divergence",
)
def forward_backward(c, times=1):
    r"""\arg\min_{\pi\in S}\ell_{\mathrm{DPO}}=\arg\min_{\pi\in S}\mathrm{KL}(\pi^*\|\pi),\qquad
    \arg\min_{\pi\in S}\ell_{\mathrm{RLHF}}=\arg\min_{\pi\in S}\mathrm{KL}(\pi\|\pi^*)

    Assumes: exactly two responses, $\lambda=1$, uniform reference
    Because: With three responses, $\pi^*=(.6,.3,.1)$ and $\pi(y_1)\le.3$, both projections of $\pi^*$ are the same
    policy $(.3,.525,.175)$, and DPO has another, $(.3,.5727,.1273)$: its slope at the projection is not 0. The
    difference between RLHF and DPO is then not one between the two divergences at all.
    Proof: With two responses the one pair's label has the probabilities of $\pi^*$, and the loss is that of
    wipf2024.eq-21 with $\pi(y_1)+\pi(y_2)=1$; for RLHF as in wipf2024.eq-16, whatever the number of responses. A loss
    and a divergence that rank every two policies alike have the same minimisers in every set; if they rank two policies
    differently, those two are such a set.
    """
    dpo_first = of_dpo(c, c.one) < times * of_dpo(c, c.other)
    rlhf_first = of_rlhf(c, c.one) < of_rlhf(c, c.other)
    return dpo_first == (forward(c, c.one) < forward(c, c.other)) and (
        rlhf_first == (backward(c, c.one) < backward(c, c.other))
    )


def dpo_is_stationary(c):
    """Return whether DPO is stationary at both projections of pi* onto the constraint."""
    return c.setting.dpo_slope(c.projection, ALONG) == 0


def rlhf_is_stationary(c, moved=F(0)):
    first, second, third = c.projection
    return c.setting.rlhf_slope((first, second + moved, third - moved), ALONG).sign() == 0


def turns_at(c, second=F(5727, 10000)):
    """Return whether the slope of DPO along the edge changes its sign here, to four decimals."""
    around = (second - F(1, 20000), second + F(1, 20000))
    below, above = (c.setting.dpo_slope((c.cap, a, 1 - c.cap - a), ALONG) for a in around)
    return below < 0 < above


PROJECTION = Policy(BINDING.projection)
BETTER, WORSE = (Policy((F(3, 10), a, F(7, 10) - a)) for a in (F(573, 1000), F(1, 2)))  # for DPO
forward_backward.false(
    at=TwoOfASet(UNEQUAL.tilt, PROJECTION, BETTER), true_at=TwoOfASet(UNEQUAL.tilt, PROJECTION, WORSE)
)
forward_backward.false(of=dpo_is_stationary, at=BINDING, true_at=SLACK)
forward_backward.proved(over=on_two_responses, role=CONDITIONAL, wrong={"times": F(11, 10)})
forward_backward.evaluated([BINDING], of=rlhf_is_stationary, wrong={"moved": F(1, 1000)}, also=True)
forward_backward.evaluated([BINDING], of=turns_at, wrong={"second": F(5726, 10000)}, also=True)
