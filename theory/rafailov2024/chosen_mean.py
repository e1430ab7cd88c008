"""What becomes of the likelihood of the chosen responses if the reference was trained on them."""

from __future__ import annotations

from fractions import Fraction as F
from typing import NamedTuple

from theory.claim import FALSE, PROVED
from theory.proof import Named, log, over_responses, same, sums_of, touch
from theory.rafailov2024.token_tree import claim

STEP = over_responses(p="probability", v="any")


@sums_of("reference r > 0 and ratio t = pi / pi_ref > 0 of one response")
def ratios(numbers):
    """A policy and the reference."""
    r, t = numbers.positive("r"), numbers.positive("t")
    touch(1)
    return Named(r=r, p=r * t, logs=r * log(t))


@claim("eq-16", "Eq. (16)", PROVED)
def eq_16(s, share=1):
    r"""\mathbb{E}_{y\sim\pi_{\mathrm{ref}}}\Bigl[\beta\log\frac{\pi(y)}{\pi_{\mathrm{ref}}(y)}\Bigr]=
    -\beta\,\mathrm{KL}(\pi_{\mathrm{ref}}\,\|\,\pi)\le 0

    Assumes: any policy, trained or not; shown as $\sum_yr\log t\le\sum_yrt-\sum_yr$, whose right side is $1-1=0$
    Because: So if the chosen responses have the law $\pi_{\mathrm{ref}}$, their mean log-likelihood never
    rises above where it began, whatever is learnt.
    Proof: The equation is a definition, the inequality is Gibbs': $\log t\le t-1$.
    """
    return s.logs <= share * (s.p - s.r)


eq_16.by_induction(**ratios, wrong={"share": F(11, 10)})


@claim("first-order-mean", "not in the paper; after Eq. (16)", PROVED)
def first_order_mean(y, share=1):
    r"""\text{chosen responses with the law }\pi_{\mathrm{ref}}:\qquad\frac{d}{d\eta}\,\mathbb{E}[\log\pi(y_w)]=0\
    \text{at } \pi=\pi_{\mathrm{ref}}

    Assumes: any policy and any loss: v is the velocity of the logits
    Because: The fall of the mean is of second order: at the reference the mean stands still, for every loss.
    Proof: $\frac{d}{d\eta}\log\pi_y=v_y-\sum_z\pi_zv_z$, whose mean under $\pi$ is 0.
    """
    mean = y.sum(y.p * y.v)
    return same(y.sum(y.p * (y.v - share * mean)), 0)


first_order_mean.derived(sums=STEP, wrong={"share": F(11, 10)})


class Optimum(NamedTuple):
    """Probabilities of responses under the reference and under an optimum of DPO (beta = 1); the first two responses
    are compared, and no others.
    """

    reference: tuple[F, ...]
    policy: tuple[F, ...]
    wins: F  # share of the labels by which the first response is preferred to the second

    def is_optimal(self) -> bool:
        """Return whether the first two responses have the odds at which the loss of DPO is least."""
        odds = self.policy[0] * self.reference[1] * (1 - self.wins)
        return odds == self.policy[1] * self.reference[0] * self.wins and sum(self.policy) == sum(self.reference) == 1

    def chosen_as_by_the_reference(self) -> bool:
        """Return whether the chosen responses have the law of the reference."""
        return self.reference[:2] == (self.wins, 1 - self.wins)


@claim("each-chosen", "not in the paper; after Eq. (16), read of each chosen response", FALSE, "eq-16")
def each_chosen(case):
    r"""\pi(y_w)<\pi_{\mathrm{ref}}(y_w)\ \text{for every response that is chosen}

    Assumes: an optimum of DPO, chosen responses with the law of the reference
    Because: It is true of their mean only. Two responses, preferred with shares 2/3 and 1/3,
    $\pi_{\mathrm{ref}}=(2,1)/3$, $\beta=1$: the optimum is $(4,1)/5$, where the first rises and the second falls,
    with a mean factor of $(6/5)^2(3/5)=108/125$ in three. Where the mass leaves for a response that the reference does
    not have, all of them can fall.
    """
    falls = all(case.policy[y] < case.reference[y] for y in range(2))
    return not (case.is_optimal() and case.chosen_as_by_the_reference()) or falls


THIRD, HALF, QUARTER = F(1, 3), F(1, 2), F(1, 4)
each_chosen.false(
    at=Optimum((2 * THIRD, THIRD), (F(4, 5), F(1, 5)), 2 * THIRD),
    true_at=Optimum((HALF, HALF, F(0)), (QUARTER, QUARTER, HALF), HALF),
)
