"""Section 2.1, Eqs. (1) to (3): the model of preferences, the reward learned from them, and the objective of RLHF."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction as F
from functools import cache

import sympy as sp

from theory.claim import CONDITIONALLY, FALSE, PROVED
from theory.evidence import CONDITIONAL, FAILS
from theory.proof import Named, Numbers, log, same, setting
from theory.proof.family import Family
from theory.proof.settings import drawn
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


def excess_of(true, other):
    """Return the expected loss of a pair above its least value; the label is ``true`` with that probability."""
    return true * log(true / other) + (1 - true) * log((1 - true) / (1 - other))


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

    @property
    def excess(self):
        """Return the loss of all pairs that are asked above its least value."""
        shares = ([r[i] / (r[i] + r[j]) for r in (self.true, self.other)] for i, j in self.pairs)
        return sum(excess_of(*pair) for pair in shares)

    def __str__(self) -> str:
        """Return the case in numbers."""
        return f"e^r* = {show(self.true)}, e^r = {show(self.other)}, pairs {self.pairs}"


@claim("eq-2", "Eq. (2) and the sentence after it", CONDITIONALLY)
def reward_is_recovered(c, times=1):
    r"""\hat r_\phi:=\arg\min_{r_\phi}\ell_{\mathrm{BT}}(r_\phi)\approx r^*

    Assumes: expected loss under Bradley-Terry labels, any reward allowed, and the pairs asked connect all responses
    of a prompt
    Because: Even then only differences are found: never $r^*$ alone, but a family with one free constant for each
    prompt. If the pairs asked fall into components, each component shifts freely.
    Proof: With preferences p* and p of a pair the loss exceeds its least value by
    $\sum p^*\ln\frac{p^*}{p}+(1-p^*)\ln\frac{1-p^*}{1-p}$, which is 0 if and only if all preferences that are asked
    agree; along a walk of pairs, from any response to any other, the difference of their rewards follows.
    """
    ends_agree = all(a * c.other[0] == times * c.true[0] * b for a, b in zip(c.true[1:], c.other[1:], strict=True))
    return c.excess >= 0 and (c.excess > 0 or ends_agree)


@setting("0 < p*, p < 1")
def a_pair(numbers: Numbers) -> Named:
    """A pair that is asked: the odds by the true and by another reward."""
    true, other = numbers.between("p_star", 0, 1), numbers.between("p", 0, 1)
    return Named(best=true / (1 - true), other=other / (1 - other), excess=excess_of(true, other))


def is_least_where_both_agree(c, times=1):
    return c.best > 0 and c.other > 0 and c.excess >= 0 and (c.excess == 0) == (c.best == times * c.other)


def walks(pairs: Family):
    """Return the induction along a walk of any number of pairs that are asked, of which is known what is proved.

    A state has the numbers of the first and the last response of the walk (``true`` and ``other``, those of the first
    are 1), their sums over all responses but the first (``rest``), and the loss of all pairs above its least value. A
    walk may return to a response; then ``counted`` is 0 and not 1.
    """

    def one(numbers: Numbers) -> Named:
        return numbers.case_of(pairs, is_least_where_both_agree, keep="best other excess")

    @setting("a pair that is asked, of which is known what is proved")
    def first(numbers: Numbers) -> Named:
        """One pair."""
        pair = one(numbers)
        return walk((pair.best, pair.other), (pair.best, pair.other), pair.excess)

    @setting("any walk; one more pair that is asked, of which is known what is proved")
    def further(numbers: Numbers) -> Named:
        """One more pair."""
        last_true, last_other, *rest, so_far = map(numbers.real, ("last", "last_other", "rest", "rest_other", "so_far"))
        state = walk((last_true, last_other), tuple(rest), so_far)
        return Named(**vars(state), pair=one(numbers), counted=numbers.at_least("counted", 0))

    def walk(last, rest, excess) -> Named:
        return Named(true=(F(1), last[0]), other=(F(1), last[1]), rest=rest, excess=excess)

    def after(s: Named) -> Named:
        last = s.true[1] * s.pair.best, s.other[1] * s.pair.other
        return walk(last, tuple(a + s.counted * b for a, b in zip(s.rest, last, strict=True)), s.excess + s.pair.excess)

    def more(source: random.Random, s: Named) -> Named:
        return Named(**vars(s), pair=drawn(one, source), counted=F(source.choice((0, 1))))

    return {"base": first, "step": further, "after": after, "more": more}


FOUR, SHIFTED = (F(1), F(2), F(3), F(4)), (F(1), F(2), F(15), F(20))  # the last two raised by ln 5
reward_is_recovered.false(
    at=Comparisons(FOUR, SHIFTED, ((0, 1), (2, 3))), true_at=Comparisons(FOUR, SHIFTED, ((0, 1), (1, 2), (2, 3)))
)
reward_is_recovered.proved(over=a_pair, of=is_least_where_both_agree, role=CONDITIONAL, wrong={"times": F(11, 10)})
reward_is_recovered.by_induction(**walks(a_pair), role=CONDITIONAL, wrong={"times": F(11, 10)})


# --- the RLHF objective --------------------------------------------------------------------------------------------

P, PENALTY, REFERENCE = sp.symbols("p lambda ref", positive=True)
REWARD, REST = sp.symbols("r C", real=True)
COST = PENALTY * sp.log(P / REFERENCE) - REWARD


def rlhf_after(growth: sp.Expr) -> sp.Expr:
    """Return the loss when the weight of y grows by this share, whatever the number of the other responses.

    They lose one factor in common, and C is their part of the loss before.
    """
    total = 1 + P * growth
    raised = P * (1 + growth) / total
    own_cost = COST + PENALTY * (sp.log(1 + growth) - sp.log(total))
    return raised * own_cost + (REST - PENALTY * (1 - P) * sp.log(total)) / total


@claim("eq-3-gradient", "not in the paper; the gradient of Eq. (3)", PROVED)
def rlhf_gradient(baseline=1):
    r"""\frac{\partial\ell_{\mathrm{RLHF}}}{\partial\theta_y}=\pi_y\bigl(c_y-\mathbb{E}_\pi c\bigr),
    \qquad c_y=\lambda\ln\frac{\pi_y}{\pi_{\mathrm{ref},y}}-r_y

    Assumes: tabular softmax, finitely many responses
    Proof: $\ell=\sum_y\pi_yc_y$ is a smooth function of $\theta_y$: the other responses keep their ratios, so that they
    enter by two numbers, their share $1-\pi_y$ and their part of the loss.
    """
    h = sp.Symbol("h", real=True)  # the rise of the logit of y
    return same(sp.diff(rlhf_after(sp.exp(h) - 1), h).subs(h, 0), P * (COST - baseline * (P * COST + REST)))


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
def limit_of_the_quotient():
    """Return the limit of RLHF's difference quotient, from both sides; the control compares with the same one."""
    growth = sp.Symbol("g", real=True)
    quotient = (rlhf_after(growth) - rlhf_after(sp.Integer(0))) / sp.log(1 + growth)  # by the rise of the logit
    return sp.limit(quotient, growth, 0, "+-")


rlhf_is_differentiable.derived(role=FAILS, denial=True, wrong={"times": F(11, 10)}, lemma="continuous partials")
