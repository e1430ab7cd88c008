"""DPO as a forward, RLHF as a backward divergence: for two responses; beyond that DPO is a sum over pairs."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction as F

from theory.claim import CONDITIONALLY, PROVED, claim
from theory.evidence import ALSO, CONDITIONAL, Evidence
from theory.wipf2024.logarithms import ZERO, Logs
from theory.wipf2024.objectives import (
    Case,
    Setting,
    Vector,
    divergence,
    pair,
    plain,
    plain_pair,
    two_with_policies,
    with_policies,
)


def pairwise_divergence(s: Setting, policy: Vector) -> Logs:
    """Return the sum over pairs of KL(Ber(p*_ij), Ber(sigma(margin_ij)))."""
    total = ZERO
    for i, j in s.pairs:
        odds = s.odds(policy, i, j)
        total += divergence(pair(s.preference(i, j)), pair(odds / (1 + odds)))
    return total


@claim(
    "wipf2024.dpo-pairwise-divergence",
    source="not in the paper; replaces the final step of Appendix C",
    says=r"\ell_{\mathrm{DPO}}(\pi)\equiv\sum_{i<j}\mathrm{KL}"
    r"\bigl[\mathrm{Ber}(p^*_{ij})\,\|\,\mathrm{Ber}(\sigma(m_{ij}))\bigr],"
    r"\quad m_{ij}=\lambda\ln\frac{\pi_i}{\pi_j}-\lambda\ln\frac{\pi_{\mathrm{ref},i}}{\pi_{\mathrm{ref},j}}",
    assumes="expected loss under Bradley-Terry labels, all pairs asked equally often; any number of responses, any "
    r"reference and $\lambda$; $\equiv$ is up to a constant",
    verdict=PROVED,
    proof="The expected logistic loss of a pair is the cross-entropy of its label; take away the entropy. With two "
    r"responses $\sigma(m)\propto(\pi/\pi_{\mathrm{ref}})^\lambda$: a divergence between powers of policies, and "
    r"between the policies themselves only at $\lambda=1$.",
)
def dpo_is_pairwise(evidence: Evidence) -> None:
    """Differences of losses are differences of the sums of divergences."""

    def identity(c: Case) -> bool:
        s = c.setting
        difference = s.dpo(c.policy) - s.dpo(c.other)
        return difference == pairwise_divergence(s, c.policy) - pairwise_divergence(s, c.other)

    def between_policies(c: Case) -> bool:  # with pi** of Eq. (17) in the place of the pairs
        s = c.setting
        difference = s.dpo(c.policy) - s.dpo(c.other)
        return difference == divergence(s.optimum, c.policy) - divergence(s.optimum, c.other)

    evidence.holds(identity, with_policies, control=between_policies, worlds=200)
    evidence.holds(identity, two_with_policies, control=between_policies, worlds=100)


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
        return f"{self.setting}, pi(y_1) <= {self.cap}"


ALONG = (F(0), F(1), F(-1))  # from the third response to the second: along the edge of the constraint
UNEQUAL = Setting.plain((F(6, 10), F(3, 10), F(1, 10)))


@claim(
    "wipf2024.forward-backward",
    source="Section 3, after Proposition 3.1; final step of Appendix C",
    says=r"\arg\min_{\pi\in S}\ell_{\mathrm{DPO}}=\arg\min_{\pi\in S}\mathrm{KL}(\pi^*\|\pi),\qquad"
    r"\arg\min_{\pi\in S}\ell_{\mathrm{RLHF}}=\arg\min_{\pi\in S}\mathrm{KL}(\pi\|\pi^*)",
    assumes=r"exactly two responses, $\lambda=1$, uniform reference",
    verdict=CONDITIONALLY,
    because=r"With three responses, $\pi^*=(.6,.3,.1)$ and $\pi(y_1)\le.3$, both projections of $\pi^*$ are the same "
    "policy $(.3,.525,.175)$, and DPO has another, $(.3,.5727,.1273)$: its slope at the projection is not 0. The "
    "difference between RLHF and DPO is then not one between the two divergences at all.",
    instead="wipf2024.dpo-pairwise-divergence",
    proof=r"With two responses the one pair's label has the probabilities of $\pi^*$, and $\sigma(m)=\pi(y_1)$.",
)
def forward_backward(evidence: Evidence) -> None:
    """Three responses: DPO is not stationary at the projection; two: the forward divergence and a constant."""

    def dpo_is_stationary(c: Cap) -> bool:
        return c.setting.dpo_slope(c.projection, ALONG) == 0

    def rlhf_is_stationary(c: Cap, moved: F = F(0)) -> bool:
        first, second, third = c.projection
        return c.setting.rlhf_slope((first, second + moved, third - moved), ALONG).sign() == 0

    def forward(c: Case) -> bool:
        s = c.setting
        return s.dpo(c.policy) - s.dpo(c.other) == divergence(s.optimum, c.policy) - divergence(s.optimum, c.other)

    def backward(c: Case) -> bool:
        s = c.setting
        return s.rlhf(c.policy) - s.rlhf(c.other) == divergence(c.policy, s.optimum) - divergence(c.other, s.optimum)

    def reversed_roles(c: Case) -> bool:
        s = c.setting
        return s.dpo(c.policy) - s.dpo(c.other) == divergence(c.policy, s.optimum) - divergence(c.other, s.optimum)

    binding, slack = Cap(UNEQUAL, F(3, 10)), Cap(UNEQUAL, F(6, 10))
    evidence.fails(dpo_is_stationary, at=binding, control=slack)
    evidence.proves(
        lambda: (
            binding.setting.dpo_slope(binding.projection, ALONG) == F(-65600, 92169) and rlhf_is_stationary(binding)
        ),
        control=lambda: rlhf_is_stationary(binding, moved=F(1, 1000)),
        by="at (3/10, 21/40, 7/40) the slope of DPO along the edge is -65600/92169, that of RLHF is 0",
        role=ALSO,
    )

    def turns_at(second: F) -> bool:  # does the slope of DPO along the edge change sign within rounding?
        around = (second - F(1, 20000), second + F(1, 20000))
        below, above = (binding.setting.dpo_slope((F(3, 10), a, F(7, 10) - a), ALONG) for a in around)
        return below < 0 < above

    evidence.proves(
        lambda: turns_at(F(5727, 10000)),
        control=lambda: turns_at(F(5726, 10000)),
        by="DPO is least along the edge at .5727; control: not at .5726",
        role=ALSO,
    )
    evidence.finds(forward, plain, control=backward)
    evidence.holds(forward, plain_pair, role=CONDITIONAL, control=reversed_roles)
