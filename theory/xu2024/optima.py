"""The minimisers of DPO, and the policies that a reward model and reinforcement learning reach."""

from __future__ import annotations

from fractions import Fraction as F
from typing import Any, NamedTuple

import sympy as sp

from theory.claim import FALSE, PROVED
from theory.evidence import FAILS
from theory.proof import over_responses, same, setting
from theory.statement import claims_of

claim = claims_of("xu2024")


def bradley_terry(gap):
    """Return the probability that the first response is preferred."""
    return 1 / (1 + sp.exp(-gap))


@claim("same-sets", "not in the paper; replaces Theorem 4.1", PROVED)
def same_sets(a, b, ref_a, ref_b, beta, shift, times=1):
    r"""r=\beta\log\frac{\pi}{\pi_{\mathrm{ref}}}+c:\qquad\pi_{\mathrm{ref}}\,e^{r/\beta}\propto\pi\quad\text{and}\quad
    \sigma(r_a-r_b)=\sigma\Bigl(\beta\log\frac{\pi_a}{\pi_{\mathrm{ref},a}}-
    \beta\log\frac{\pi_b}{\pi_{\mathrm{ref},b}}\Bigr)

    Assumes: $\pi,\pi_{\mathrm{ref}}>0$ everywhere, as of every softmax; rewards are all functions, and reinforcement
    learning with the KL penalty is solved exactly
    Because: So the policies of the two methods are one set: a policy minimises the loss of DPO iff this reward
    minimises the loss of the reward model, and the policy is that reward's optimum.
    Proof: The loss of the reward model sees differences of rewards only, and these are those of DPO; the optimum of a
    reward is $\pi_{\mathrm{ref}}e^{r/\beta}/Z$, here with $Z=e^{c/\beta}$ since $\pi$ sums to 1.
    """
    rewards = [beta * sp.log(p / q) + shift for p, q in ((a, ref_a), (b, ref_b))]
    optimum = [
        q * sp.exp(r / (times * beta)) / sp.exp(shift / beta) for r, q in zip(rewards, (ref_a, ref_b), strict=True)
    ]
    losses = same(bradley_terry(rewards[0] - rewards[1]), bradley_terry(beta * (sp.log(a / ref_a) - sp.log(b / ref_b))))
    return same(optimum[0], a) & same(optimum[1], b) & losses


REAL_SHIFT = {"shift": "real"}
same_sets.derived(symbols=REAL_SHIFT, wrong={"times": F(11, 10)})


class Optimum(NamedTuple):
    """Three responses, beta = 1, counts of the two answers on the first pair; a reference and a policy."""

    reference: tuple[Any, Any, Any]
    policy: tuple[Any, Any, Any]
    wins: Any
    losses: Any

    def minimises_dpo(self) -> Any:
        """Return whether the odds of the pair, over those of the reference, are wins to losses."""
        (p, q, _), (a, b, _) = self.policy, self.reference
        return p * b * self.losses == q * a * self.wins

    def is_reached(self, times: Any = 1) -> Any:
        """Return whether e^r = policy / reference minimises the reward's loss and has this policy as its optimum."""
        gains = [p / q for p, q in zip(self.policy, self.reference, strict=True)]
        normaliser = sum(q * gain for q, gain in zip(self.reference, gains, strict=True))
        optimum = [q * gain / normaliser for q, gain in zip(self.reference, gains, strict=True)]
        minimal = gains[0] * self.losses == times * gains[1] * self.wins
        return minimal and all(p == o for p, o in zip(self.policy, optimum, strict=True))


@setting("a reference on three responses, counts > 0 of both answers on a pair; any policy that minimises DPO's loss")
def minimisers(numbers):
    """Every minimiser of DPO on one pair of three responses."""
    a = numbers.between("ref_1", 0, 1)
    b = numbers.between("ref_2", 0, 1 - a)
    wins, losses, third = numbers.positive("n_12"), numbers.positive("n_21"), numbers.between("pi_3", 0, 1)
    odds = a * wins / (b * losses)
    return Optimum((a, b, 1 - a - b), ((1 - third) * odds / (1 + odds), (1 - third) / (1 + odds), third), wins, losses)


@claim("theorem-4.1", "not in the paper; Theorem 4.1 read of a reference with full support", FALSE, "same-sets")
def theorem_4_1(case, times=1):
    r"""\exists\ \text{a minimiser of DPO that is the optimum of no minimiser of the reward loss}

    Assumes: $\pi_{\mathrm{ref}}>0$, as of every softmax; by the solver for three responses with one pair
    Because: There is none: both sets are the same, as azar2023.proposition-4 has it. The paper's counterexample has
    $\pi_{\mathrm{ref}}=(1/2,1/2,0)$ and a policy with mass where the reference has none, so that the KL
    divergence is infinite: the printed theorem is about such zeros. With a hard label and a softmax neither loss has
    a minimiser.
    """
    return case.minimises_dpo() and not case.is_reached(times)


def there_is_none(case, times=1):
    """Return whether this case is no such minimiser."""
    return not theorem_4_1(case, times)


theorem_4_1.proved(over=minimisers, of=there_is_none, role=FAILS, wrong={"times": F(11, 10)})
theorem_4_1.rests_on(same_sets, role=FAILS)


@claim("free-outside", "not in the paper; after Theorem 4.1", PROVED)
def free_outside(n_12, n_21, odds, share=1):
    r"""L=n_{12}\log(1+o^{-1})+n_{21}\log(1+o):\qquad\frac{dL}{do}=\frac{n_{21}\,o-n_{12}}{o(1+o)},\qquad
    o=\frac{\pi_1\,\pi_{\mathrm{ref},2}}{\pi_2\,\pi_{\mathrm{ref},1}}

    Assumes: $\beta=1$, counts $n_{12},n_{21}>0$ of the two answers on one pair, any number of other responses
    Because: Both methods have the same optima:
    $\pi_1/\pi_2=(\pi_{\mathrm{ref},1}/\pi_{\mathrm{ref},2})\,n_{12}/n_{21}$, and what the others get is left free.
    The KL penalty decides it only through the choice of a reward there.
    Proof: The derivative; it changes its sign at $o=n_{12}/n_{21}$ only.
    """
    loss = n_12 * sp.log(1 + 1 / odds) + n_21 * sp.log(1 + odds)
    return same(sp.diff(loss, odds), (n_21 * odds - share * n_12) / (odds * (1 + odds)))


free_outside.derived(wrong={"share": F(11, 10)})


@claim("optimum-of-a-reward", "the optimum with a KL penalty, before Theorem 4.1", PROVED)
def optimum_of_a_reward(y, share=1):
    r"""\mathbb{E}_\pi[r]-\beta\,\mathrm{KL}(\pi\,\|\,\pi_{\mathrm{ref}})=\beta\log
    Z-\beta\,\mathrm{KL}(\pi\,\|\,\pi^*), \qquad\pi^*=\pi_{\mathrm{ref}}\,e^{r/\beta}/Z

    Assumes: any number of responses; $\ell=\log\pi$, $k=\log\pi_{\mathrm{ref}}$, and $\log\pi^*=k+r/\beta-\log Z$
    Because: With Gibbs' inequality $\pi^*$ is the one optimum.
    Proof: Expand. The numbers of one response stand for $\beta$ and $\log Z$.
    """
    beta, log_z = y.one("c").r ** 2 + 1, y.one("c").l
    left = y.sum(y.p * y.r) - beta * y.sum(y.p * (y.l - y.k))
    return same(left, beta * log_z - share * beta * y.sum(y.p * (y.l - y.k - y.r / beta + log_z)))


REWARDED = over_responses(p="probability", r="any", l="any", k="any")
optimum_of_a_reward.derived(sums=REWARDED, wrong={"share": F(11, 10)})
