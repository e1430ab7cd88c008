r"""Online DPO with exact gradients: how fast the gap delta = r - r' - beta (h - h') of two responses closes.

With two responses and the learning rate 1 / (beta^2 |Y|) of the paper a step is delta' = delta - w (sigma(B) -
sigma(B - delta)), where B is the difference of rewards and w the weight of the sampler: 4 (uniform), 1 / sigma'(B)
(Mix-R, which knows the reward), 1 / sigma'(B - delta) (Mix-P, which has the policy).
"""

from __future__ import annotations

from fractions import Fraction as F
from typing import Any, NamedTuple

import sympy as sp

from theory.claim import FALSE, MISPRINT, PROVED
from theory.evidence import CORRECTED, FAILS
from theory.proof import exp, over_responses, same, setting
from theory.statement import claims_of

claim = claims_of("shi2024")


class Step(NamedTuple):
    """One step on two responses: learning rate, beta, alpha, pi^s of the pair, Delta, and the gap before."""

    rate: Any
    beta: Any
    alpha: Any
    pair: Any
    difference: Any
    before: Any

    def after(self) -> Any:
        """Return the gap after a gradient step on the two logits, each of which moves by rate alpha beta pi^s Delta."""
        move = self.rate * self.alpha * self.beta * self.pair * self.difference
        return self.before - self.beta * (move - (-move))


@setting("rate, beta, alpha, pi^s > 0; any Delta and delta")
def any_step(numbers):
    """Every step on two responses."""
    rate, beta, alpha, pair = map(numbers.positive, ("rate", "beta", "alpha", "pair"))
    return Step(rate, beta, alpha, pair, numbers.real("Delta"), numbers.real("delta"))


@claim("eq-6", "Eq. (6)", MISPRINT)
def eq_6(step, power=1):
    r"""\delta'(y,y')=\delta(y,y')-\eta\beta\alpha\sum_{y''}\bigl[\pi^s\Delta(y,y'')-\pi^s\Delta(y',y'')\bigr]

    Assumes: tabular logits, exact gradients; right with $\beta^2$ in the place of $\beta$. Shown for two responses
    Because: Seen on an image of the page, so it is no fault of a conversion. One $\beta$ comes from the loss, another
    from $\delta$. With $\beta=1$ both are the same, and the paper's rates, at $\eta=1/(\beta^2|Y|)$, are those of
    $\beta^2$.
    Proof: A logit moves by $\eta\alpha\beta\sum\pi^s\Delta$, and $\delta$ by $\beta$ times the difference.
    """
    printed = step.rate * step.beta**power * step.alpha * 2 * step.pair * step.difference
    return step.after() == step.before - printed


def force(beta, gap, p, pair, times=1):
    """The derivative of the loss of a pair by the difference of log-ratios is -beta pi^s (p* - sigma)."""
    loss = -pair * (p * sp.log(1 / (1 + sp.exp(-beta * gap))) + (1 - p) * sp.log(1 / (1 + sp.exp(beta * gap))))
    return same(sp.diff(loss, gap), -times * beta * pair * (p - 1 / (1 + sp.exp(-beta * gap))))


def corrected(step, power=2):
    return eq_6.predicate(step, power)


PLAIN = Step(F(1, 2), F(2), F(1), F(1, 2), F(1, 4), F(1))
eq_6.false(at=PLAIN, true_at=PLAIN._replace(beta=F(1)))
eq_6.proved(over=any_step, of=corrected, role=CORRECTED, wrong={"power": 3})
eq_6.derived(of=force, symbols={"gap": "real"}, wrong={"times": F(11, 10)}, also=True)


def sigma(x: Any) -> Any:
    """Return the logistic function."""
    return 1 / (1 + exp(-x))


def weight(x: Any) -> Any:
    """Return 1 / sigma'(x) = 2 + e^x + e^-x."""
    return 2 + exp(x) + exp(-x)


def gaps(sampler: str, reward: Any, steps: int) -> list[Any]:
    """Return the gaps after 1, 2, ... steps from the reference."""
    delta, found = reward, []
    for _ in range(steps):
        w = {"uniform": F(4), "mix-r": weight(reward), "mix-p": weight(reward - delta)}[sampler]
        delta = delta - w * (sigma(reward) - sigma(reward - delta))
        found.append(delta)
    return found


@claim("first-step", "not in the paper; the first step that Eq. (6) gives", PROVED)
def first_step(B, times=1):
    r"""\text{from the reference, two responses, rewards that differ by }B:\quad\delta_1=B-\sinh B\
    (\text{Mix-R}),\qquad \delta_1=B-2\tanh\tfrac B2\ (\text{Mix-P, uniform})

    Assumes: the learning rate and weights of the paper
    Because: For small B all three close the gap to third order. For large B the sampler that knows the reward
    overshoots exponentially.
    Proof: $(\sigma(B)-\tfrac12)/\sigma'(B)=\sinh B$ and $4(\sigma(B)-\tfrac12)=2\tanh(B/2)$.
    """
    s = 1 / (1 + sp.exp(-B))
    moved = s - sp.Rational(1, 2)
    with_reward = same(
        (B - moved * (2 + sp.exp(B) + sp.exp(-B))).rewrite(sp.exp), (B - times * sp.sinh(B)).rewrite(sp.exp)
    )
    return with_reward & same((B - 4 * moved).rewrite(sp.exp), (B - 2 * sp.tanh(B / 2)).rewrite(sp.exp))


first_step.derived(wrong={"times": F(11, 10)})


def curved(state, numbers):
    """Return the remainder of a step from a gap: delta^2 / 2 times sigma'' somewhere between, over sigma'(B)."""
    s, w = numbers
    gap, bound = state
    return gap * gap / 2 * s * (1 - s) * (1 - 2 * s) * w, bound * bound / 2


def numbers_of(numbers):
    """Ask for sigma at the place between, and for the weight 1 / sigma'(B) of a reward difference in [0, 1]."""
    return numbers.between("s", 0, 1), numbers.within("w", 4, F(5087, 1000))


@setting("|delta| <= 1 before the first step, and the bound is 1")
def first_gap(numbers):
    """The gap at the reference."""
    return numbers.within("delta", -1, 1), 1


@setting("any gap and bound; 0 < s < 1 of sigma'' = s (1 - s) (1 - 2 s), 4 <= w <= 5.087 the weight of a step")
def next_gap(numbers):
    """One more step."""
    return numbers.real("gap"), numbers.positive("bound"), numbers_of(numbers)


@claim("theorem-3-two", "not in the paper; Theorem 3 for two responses", PROVED)
def theorem_3_two(state, times=1):
    r"""|\delta_T|\le\Bigl(\frac12\Bigr)^{2^T-1}\quad(\text{Mix-R})

    Assumes: two responses whose rewards differ by at most 1, as in the paper
    Because: The paper has it for any number of responses. The premise is needed: shi2024.oracle-overshoots.
    Proof: The step removes the linear part of $\delta$; by Taylor what is left is
    $\tfrac12\delta^2\sigma''(\xi)/\sigma'(B)$, with $|\sigma''|/\sigma'(B)<1$. The bound of the next gap is $b^2/2$,
    b that of this one.
    """
    gap, bound, *_ = state
    return -times * bound <= gap <= times * bound


def weights_are_small(most=F(5087, 1000)):
    """Return whether 1 / sigma'(1) = 2 + e + 1/e is below the number used."""
    return weight(F(1)) < most


theorem_3_two.by_induction(
    base=first_gap,
    step=next_gap,
    after=lambda state: curved(state[:2], state[2]),
    wrong={"times": F(9, 10)},
    lemma="Taylor",
)
theorem_3_two.enclosed(of=weights_are_small, wrong={"most": F(5)})


@claim("oracle-overshoots", "not in the paper; after Theorem 3", PROVED)
def oracle_overshoots(reward=F(5)):
    r"""B=5:\qquad\text{Mix-R}\ \delta_1<-69,\ \delta_2<-68;\qquad\text{Mix-P}\ |\delta_3|<\tfrac65

    Assumes: two responses whose rewards differ by 5. The paper's Theorem 3 has rewards in $[0,1]$, where it holds
    Because: Its speed hangs on the scale of the reward: at $B=5$ the sampler that knows the reward overshoots, and
    then creeps back by about 1 in a step, while the one that uses the policy converges.
    Proof: Interval arithmetic.
    """
    with_reward, with_policy = gaps("mix-r", reward, 2), gaps("mix-p", reward, 3)
    return with_reward[0] < -69 and with_reward[1] < -68 and F(-6, 5) < with_policy[2] < F(6, 5)


oracle_overshoots.enclosed(wrong={"reward": F(9, 2)})


@claim("mix-p-slower", "not in the paper; the remark after Theorem 4 read of the gaps themselves", FALSE)
def mix_p_slower(reward=F(1)):
    r"""\text{Mix-P is slower than Mix-R}

    Assumes: as a statement of rates; two responses, rewards 0 and 1, the largest difference allowed
    Because: The remark compares the two bounds. After one step the gap is 0.076 with Mix-P and 0.175 with Mix-R,
    after two it is 0.0013 and 0.0072.
    """
    with_reward, with_policy = gaps("mix-r", reward, 2), gaps("mix-p", reward, 2)
    return all(abs(2 * p) < abs(r) for p, r in zip(with_policy, with_reward, strict=True))


mix_p_slower.enclosed(role=FAILS, denial=True, wrong=lambda: abs(gaps("mix-p", F(1), 1)[0]) < F(1, 20))


@claim("lemma-1", "Lemma 1, its first equation", PROVED)
def lemma_1(y, share=1):
    r"""V(\rho)-V(\pi_\theta)=\sum_{y,y'}\rho(y)\,\pi_\theta(y')\,\delta(y,y')-\beta\,\mathrm{KL}(\rho\,\|\,\pi_\theta),\qquad
    V(\pi)=\mathbb{E}_\pi[r]-\beta\,\mathrm{KL}(\pi\,\|\,\pi_{\mathrm{ref}})

    Assumes: any policy $\rho$, not only the optimum; any number of responses
    Proof: With $h=\log(\pi_\theta/\pi_{\mathrm{ref}})$ both sides are $\sum\rho(r-\beta h)-\sum\pi_\theta(r-\beta
    h)-\beta \sum\rho\log(\rho/\pi_\theta)$. Here $\rho=\pi_\theta(1+c)$, c of mean zero, and k is
    $\log(\rho/\pi_\theta)$.
    """
    beta = y.one("b").r ** 2 + 1
    rho = y.p * (1 + y.c)
    value = y.sum(rho * y.r) - beta * y.sum(rho * (y.h + y.k)) - (y.sum(y.p * y.r) - beta * y.sum(y.p * y.h))
    gaps_of_pairs = y.sum(rho * (y.r - beta * y.h)) - share * y.sum(y.p * (y.r - beta * y.h))
    return same(value, gaps_of_pairs - beta * y.sum(rho * y.k))


lemma_1.derived(sums=over_responses(p="probability", c="centred", r="any", h="any", k="any"), wrong={"share": F(9, 10)})
