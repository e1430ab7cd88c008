"""Section 2.1, Eqs. (1) to (3): the model of preferences, the reward learned from them, and the objective of RLHF."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction as F
from functools import cache
from typing import Any

import sympy as sp

from theory.claim import CONDITIONALLY, FALSE, PROVED
from theory.evidence import CONDITIONAL, FAILS
from theory.proof import Named, Numbers, log, same, setting, sums_of
from theory.proof.family import Family
from theory.proof.settings import either
from theory.wipf2024.claims import claim
from theory.wipf2024.objectives import Pairs, Vector, show

REAL = {"a": "real", "b": "real"}


@claim("eq-1", "Eq. (1)", PROVED)
def bradley_terry(a, b, sign=-1):
    r"""\frac{e^{r^*(y_1)}}{e^{r^*(y_1)}+e^{r^*(y_2)}}=\sigma\bigl[r^*(y_1)-r^*(y_2)\bigr]

    Proof: Divide numerator and denominator by $e^{r^*(y_1)}$.
    """
    return same(sp.exp(a) / (sp.exp(a) + sp.exp(b)), 1 / (1 + sp.exp(sign * (a - b))))


bradley_terry.derived(symbols=REAL, wrong={"sign": F(-11, 10)})


# --- the reward that maximises the likelihood ----------------------------------------------------------------------


@dataclass(frozen=True)
class Comparisons:
    """The pairs that are asked, and another reward to compare with the true one.

    Attributes:
        true: e^r* of every response.
        other: e^r of every response.
        pairs: which pairs are asked.
    """

    true: Vector
    other: Vector
    pairs: Pairs

    def __str__(self) -> str:
        """Return the case in numbers."""
        return f"e^r* = {show(self.true)}, e^r = {show(self.other)}, pairs {self.pairs}"


@claim("eq-2", "Eq. (2) and the sentence after it", CONDITIONALLY)
def reward_is_recovered(c):
    r"""\hat r_\phi:=\arg\min_{r_\phi}\ell_{\mathrm{BT}}(r_\phi)\approx r^*

    Assumes: expected loss under Bradley-Terry labels, any reward allowed, and the pairs asked connect all responses
    of a prompt
    Because: Even then only differences are found: never $r^*$ alone, but a family with one free constant for each
    prompt. If the pairs asked fall into components, each component shifts freely.
    Proof: With preferences p* and p of a pair the loss exceeds its least value by
    $\sum p^*\ln\frac{p^*}{p}+(1-p^*)\ln\frac{1-p^*}{1-p}$, which is 0 if and only if all preferences that are asked
    agree; along a chain of pairs all differences of rewards follow.
    """
    agree = all(c.true[i] * c.other[j] == c.true[j] * c.other[i] for i, j in c.pairs)  # the loss is at its least
    return not agree or all(a * c.other[0] == c.true[0] * b for a, b in zip(c.true, c.other, strict=True))


@sums_of("0 < p*, p < 1 of every pair that is asked")
def asked(numbers: Numbers) -> Named:
    """Any number of pairs."""
    true, other = numbers.between("true", 0, 1), numbers.between("other", 0, 1)
    excess = true * log(true / other) + (1 - true) * log((1 - true) / (1 - other))
    return Named(excess=excess, distance=(true - other) ** 2)


def least_where_all_agree(s, least=0):
    return s.excess >= least * s.distance and s.distance >= 0 and (s.excess == 0) == (s.distance == 0)


TREES: dict[str, Pairs] = {
    "2 responses": ((0, 1),),
    "3 responses": ((0, 1), (1, 2)),
    "4 in a chain": ((0, 1), (1, 2), (2, 3)),
    "4 around one": ((0, 1), (0, 2), (0, 3)),
}
"""The fewest pairs that connect up to four responses, whatever these are called; further pairs only ask for more."""


def with_rewards(pairs: Pairs) -> Family:
    """Return the family of every two rewards of the responses that a tree of pairs connects."""

    @setting("e^r*, e^r > 0 of every response")
    def rewards(numbers: Numbers) -> Comparisons:
        """Every two rewards."""
        n = len(pairs) + 1
        true, other = (tuple(numbers.positive(f"{name}_{k}") for k in range(n)) for name in ("true", "other"))
        return Comparisons(true, other, pairs)

    return rewards


connected = either(
    "any two rewards of connected responses",
    "e^r*, e^r > 0",
    {name: with_rewards(tree) for name, tree in TREES.items()},
)


def without_a_pair(c):
    """Return the statement of all pairs but the first, which do not connect all responses."""
    return reward_is_recovered(Comparisons(c.true, c.other, c.pairs[1:]))


@setting("e^r*, e^r > 0 of a response, and of another whose preference over it is right")
def first_pair(numbers: Numbers) -> Named:
    """A chain of one pair."""
    ends, true, other = numbers.positive("ends"), numbers.positive("true"), numbers.positive("other")
    return Named(true=(true, ends), other=(other, ends * other / true))


@setting("a chain of pairs, by its ends; one more whose preference over the last is right")
def next_pair(numbers: Numbers) -> Named:
    """A chain of any number of pairs, and one more."""
    true, other = ((numbers.positive(f"{name}_first"), numbers.positive(f"{name}_last")) for name in ("true", "other"))
    return Named(true=true, other=other, next=numbers.positive("next"))


def lengthened(c: Named) -> Named:
    """Return the chain with the new response at its end."""
    return Named(true=(c.true[0], c.next), other=(c.other[0], c.next * c.other[1] / c.true[1]))


def ends_agree(c, times=1):
    """Return whether the statement is true of the ends of a chain without asking for a pair between them."""
    at_ends = reward_is_recovered(Comparisons(c.true, c.other, ()))
    return at_ends and c.true[0] * c.other[1] == times * c.true[1] * c.other[0]


ANY_CHAIN: dict[str, Any] = {"base": first_pair, "step": next_pair, "after": lengthened}

FOUR, SHIFTED = (F(1), F(2), F(3), F(4)), (F(1), F(2), F(15), F(20))  # the last two raised by ln 5
reward_is_recovered.false(
    at=Comparisons(FOUR, SHIFTED, ((0, 1), (2, 3))), true_at=Comparisons(FOUR, SHIFTED, ((0, 1), (1, 2), (2, 3)))
)
reward_is_recovered.by_induction(**asked, of=least_where_all_agree, role=CONDITIONAL, wrong={"least": 5})
reward_is_recovered.proved(over=connected, role=CONDITIONAL, wrong=without_a_pair)
reward_is_recovered.by_induction(**ANY_CHAIN, of=ends_agree, role=CONDITIONAL, wrong={"times": F(11, 10)})


# --- the RLHF objective --------------------------------------------------------------------------------------------

H, ODDS, PENALTY, REFERENCE = sp.symbols("h q lambda ref", positive=True)
REWARD, REST = sp.symbols("r C", real=True)
P = 1 / (1 + ODDS)
GROWN = (sp.exp(H) + ODDS) / (1 + ODDS)  # what all weights add up to when one logit is raised by h
COST = PENALTY * sp.log(P / REFERENCE) - REWARD


def rlhf_after(h: sp.Expr) -> sp.Expr:
    """Return the loss when the logit of y is raised by h, whatever the number of the other responses.

    They lose one factor in common, and C is their part of the loss at h = 0.
    """
    raised = P * sp.exp(h) / GROWN.subs(H, h)
    return raised * (PENALTY * sp.log(raised / REFERENCE) - REWARD) + (
        REST - PENALTY * (1 - P) * sp.log(GROWN.subs(H, h))
    ) / GROWN.subs(H, h)


@claim("eq-3-gradient", "not in the paper; the gradient of Eq. (3)", PROVED)
def rlhf_gradient(baseline=1):
    r"""\frac{\partial\ell_{\mathrm{RLHF}}}{\partial\theta_y}=\pi_y\bigl(c_y-\mathbb{E}_\pi c\bigr),
    \qquad c_y=\lambda\ln\frac{\pi_y}{\pi_{\mathrm{ref},y}}-r_y

    Assumes: tabular softmax, finitely many responses
    Proof: $\ell=\sum_y\pi_yc_y$ is a smooth function of $\theta_y$: the other responses keep their ratios, so that they
    enter by two numbers, their share $1-\pi_y$ and their part of the loss.
    """
    return same(sp.diff(rlhf_after(H), H).subs(H, 0), P * (COST - baseline * (P * COST + REST)))


rlhf_gradient.derived(wrong={"baseline": F(9, 10)})


@claim("eq-3-not-differentiable", "Section 2.1, the sentence after Eq. (3)", FALSE, "eq-3-gradient")
def rlhf_is_differentiable(times=1):
    r"""\theta\mapsto\ell_{\mathrm{RLHF}}(\pi_\theta,\pi_{\mathrm{ref}},\hat r,\lambda)\ \text{is not differentiable}

    Assumes: a softmax over finitely many responses, whose probabilities are differentiable in the parameters
    Because: The loss is a finite sum of smooth functions of the probabilities. What does not exist is a derivative
    along the path of a sampled discrete response.
    Proof: Every difference quotient has a limit, the partial derivative of wipf2024.eq-3-gradient, which is continuous.
    """
    return same(limit_of_the_quotient(), times * P * (COST - P * COST - REST))


@cache
def limit_of_the_quotient() -> sp.Expr:
    """Return what the difference quotient of the loss tends to."""
    h = sp.Symbol("h", real=True)
    return sp.limit((rlhf_after(h) - rlhf_after(sp.Integer(0))) / h, h, 0)


rlhf_is_differentiable.derived(role=FAILS, denial=True, wrong={"times": F(11, 10)}, lemma="continuous partials")
