"""How a step changes the entropy of a softmax: by the covariance of log-probabilities and logit changes."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction as F
from typing import Any

from theory.claim import FALSE, FIRST_ORDER, PROVED
from theory.evidence import FAILS, ORDER
from theory.proof import Named, exp, log, over_responses, same, setting
from theory.statement import claims_of

claim = claims_of("cui2025")


def entropy(p: Sequence[Any]) -> Any:
    """Return the entropy in nats."""
    return -sum(x * log(x) for x in p)


def slope(p: Sequence[Any], velocity: Sequence[Any]) -> Any:
    """Return the derivative of the entropy where logits move with a velocity: -Cov(log p, velocity)."""
    mean = sum(x * v for x, v in zip(p, velocity, strict=True))
    return -sum(x * (v - mean) * log(x) for x, v in zip(p, velocity, strict=True))


def covariance(p: Sequence[F], values: Sequence[F], others: Sequence[F]) -> F:
    """Return the covariance of two quantities under p."""
    means = [sum((x * v for x, v in zip(p, each, strict=True)), F(0)) for each in (values, others)]
    return sum((x * (a - means[0]) * (b - means[1]) for x, a, b in zip(p, values, others, strict=True)), F(0))


@claim("lemma-1", "Lemma 1", FIRST_ORDER)
def lemma_1(y, share=1):
    r"""\frac{dH}{dt}=-\mathrm{Cov}_{y\sim\pi}\bigl(\log\pi(y),\dot z_y\bigr)

    Assumes: one state; any motion of the logits, a network's too. The average over states also drops the change of
    their law
    Because: A derivative. A finite step can go the other way: $\pi=(0.6,0.4)$ and advantages $(-4,6)$, a step of policy
    gradient of size 1: the covariance is negative, and the entropy falls from 0.673 to 0.066.
    Proof: $\dot\pi_y=\pi_y(\dot z_y-\bar{\dot z})$ and $dH=-\sum\dot\pi_y(\log\pi_y+1)$.
    """
    mean, mean_log = y.sum(y.p * y.v), y.sum(y.p * y.logs)
    return same(-y.sum(y.p * (y.v - mean) * (y.logs + share)), -(y.sum(y.p * y.v * y.logs) - mean * mean_log * share))


def entropy_falls(size=F(1)):
    """Return whether the entropy falls in this step although its derivative is positive."""
    p, advantage = (F(3, 5), F(2, 5)), (F(-4), F(6))
    velocity = [x * a for x, a in zip(p, advantage, strict=True)]
    weights = [x * exp(size * v) for x, v in zip(p, velocity, strict=True)]
    later = [weight / sum(weights) for weight in weights]
    return slope(p, velocity) > 0 and entropy(later) < entropy(p)


SUMS = over_responses(p="probability", v="any", logs="any")
lemma_1.derived(sums=SUMS, role=ORDER, wrong={"share": F(9, 10)})
lemma_1.enclosed(of=entropy_falls, role=FAILS, wrong={"size": F(1, 20)})


@setting("0 < p < 1 of the raised logit, R = the sum of p log p over the others")
def raised_logit(numbers):
    """Any number of other actions."""
    return Named(p=numbers.between("p", 0, 1), rest=-numbers.positive("rest"))


@claim("perplexity-threshold", "not in the paper; after Lemma 1", PROVED)
def perplexity_threshold(c, times=1):
    r"""\text{raising the one logit }z_a\text{ lowers the entropy}\iff\pi_a>e^{-H}

    Assumes: first order; any number of actions
    Because: The border is the inverse of the perplexity, not 1/n: with a low entropy even an action of middling
    probability counts as rare.
    Proof: $\partial H/\partial z_a=-\pi_a(\log\pi_a+H)$.
    """
    change = -(c.p * (1 - c.p) * (log(c.p) + 1) - c.p * (c.rest + 1 - c.p))
    return (change < 0) == (log(c.p) > times * (c.p * log(c.p) + c.rest))


perplexity_threshold.proved(over=raised_logit, wrong={"times": F(11, 10)})


@claim(
    "probability-and-advantage",
    "Theorems 1 and 2, their reading in words: probable actions with a high advantage",
    FALSE,
    "lemma-1",
)
def probability_and_advantage(scale=1, shift=F(0)):
    r"""\text{probable actions with a high advantage lower the entropy}:\qquad\mathrm{Cov}(\pi,A)>0\ \Rightarrow\
    \frac{dH}{dt}<0,\qquad\text{natural policy gradient}

    Assumes: first order; the words are read of the probability itself, where the theorem has its logarithm
    Because: The theorem's covariance is with the log-probability. With $\pi=(1,4,5)/10$ and $A=(2,-3,2)$ it is
    $\mathrm{Cov}(\pi,A)=0.04>0$ and $\mathrm{Cov}(\log\pi,A)<0$: the entropy rises.
    """
    p, advantage = (F(1, 10), F(4, 10), F(5, 10)), (F(2), F(-3), F(2))
    return covariance(p, p, advantage) > 0 and slope(p, [scale * a for a in advantage]) + shift > 0


probability_and_advantage.enclosed(role=FAILS, denial=True, wrong={"shift": F(-1, 10)})


@setting("0 < p < 1; advantage A of the first action, advantages of mean zero")
def two_actions(numbers):
    """Two actions."""
    p, a = numbers.between("p", 0, 1), numbers.real("A")
    return Named(p=p, q=1 - p, a=a, b=-p * a / (1 - p))


@claim("two-actions", "not in the paper; after Theorem 2", PROVED)
def two_actions_agree(c, times=1):
    r"""\text{two actions}:\qquad\mathrm{Cov}(\pi,A)>0\iff\mathrm{Cov}(\log\pi,A)>0

    Assumes: natural policy gradient; advantages of mean zero
    Because: So with two actions the words are right.
    Proof: Both are $\pi_1A_1$ times a difference, of probabilities and of their logarithms.
    """
    plain = c.p * c.a * c.p + c.q * c.b * c.q
    by_logs = c.p * c.a * log(c.p) + times * c.q * c.b * log(c.q)
    return (plain > 0) == (by_logs > 0)


two_actions_agree.proved(over=two_actions, wrong={"times": F(11, 10)})


@claim(
    "rare-action",
    "not in the paper; Theorems 1 and 2 read of rare actions with a high advantage",
    FALSE,
    "perplexity-threshold",
)
def rare_action(shift=F(0)):
    r"""\text{the rarest action has the highest advantage}\ \Rightarrow\ \text{the entropy rises},\qquad\text{policy
    gradient}

    Assumes: first order; exact gradient, tabular logits
    Because: With $\pi=(1,2,3)/6$ and $A=(2,-3,\tfrac43)$ the rarest action has the highest advantage, and the entropy
    falls: the most probable action is pushed up further.
    """
    p, advantage = (F(1, 6), F(2, 6), F(3, 6)), (F(2), F(-3), F(4, 3))
    return slope(p, [x * a for x, a in zip(p, advantage, strict=True)]) + shift < 0


rare_action.enclosed(role=FAILS, denial=True, wrong={"shift": F(1, 2)})
