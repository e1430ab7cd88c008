r"""GRPO with binary rewards: what the expected gradient of a group of G samples is, as a multiple of the gradient of
accuracy.

The samples are independent, each is right with probability p; the mean score of a right one is grad p / p, that of a
wrong one - grad p / (1 - p). No clipping, one step from the policy that drew the samples.
"""

from __future__ import annotations

from fractions import Fraction as F
from itertools import product
from typing import Any

import sympy as sp

from theory.claim import FALSE, PROVED
from theory.evidence import FAILS
from theory.proof import same, sqrt
from theory.statement import claims_of

claim = claims_of("wu2025")
SOURCE = "not read in full; ours, after its groups of two"


def multiple(p: Any, size: int, ddof: int = 0, eps: Any = 0, scale: Any = 1) -> Any:
    """Return c in E[gradient of GRPO] = c grad p, by running through all outcomes of a group.

    Args:
        p: probability of a right answer.
        size: samples in a group.
        ddof: 0 for the population's standard deviation, 1 for that of a sample.
        eps: added to the standard deviation.
        scale: factor of the advantages.
    """
    total = sp.Integer(0)
    for rewards in product((0, 1), repeat=size):
        mean = sp.Rational(sum(rewards), size)
        deviation = sp.sqrt(sum((r - mean) ** 2 for r in rewards) / sp.Integer(size - ddof))
        if deviation == 0:
            continue  # the advantages are 0
        chance = p ** sum(rewards) * (1 - p) ** (size - sum(rewards))
        advantages = [scale * (r - mean) / (deviation + eps) for r in rewards]
        scores = [1 / p if r else -1 / (1 - p) for r in rewards]
        total += chance * sum(a * s for a, s in zip(advantages, scores, strict=True)) / size
    return total


@claim("two-is-accuracy", SOURCE, PROVED)
def two_is_accuracy(p, scale=1):
    r"""G=2:\qquad\mathbb{E}[\text{gradient of GRPO}]=\nabla p

    Assumes: binary rewards, independent samples, the population's standard deviation, no clipping
    Because: That is REINFORCE on accuracy, exactly: the pair of a right and a wrong answer has advantages 1 and -1,
    and a weight of $2p(1-p)$.
    Proof: All four outcomes: $2p(1-p)\cdot\tfrac12\bigl[\tfrac{\nabla p}p+\tfrac{\nabla p}{1-p}\bigr]=\nabla p$.
    """
    return same(multiple(p, 2, scale=scale), 1)


@claim("three-is-accuracy", SOURCE, PROVED)
def three_is_accuracy(p, scale=1):
    r"""G=3:\qquad\mathbb{E}[\text{gradient of GRPO}]=\sqrt2\,\nabla p

    Assumes: as in wu2025.two-is-accuracy
    Proof: All eight outcomes.
    """
    return same(multiple(p, 3, scale=scale), sp.sqrt(2))


@claim("four-depends", SOURCE, PROVED)
def four_depends(p, scale=1):
    r"""G=4:\qquad\mathbb{E}[\text{gradient of GRPO}]=\bigl[\sqrt3+(3-2\sqrt3)\,p(1-p)\bigr]\nabla p

    Assumes: as in wu2025.two-is-accuracy
    Because: From four samples on the factor depends on the prompt: it is $\sqrt3$ for prompts that are all but solved
    or all but hopeless and 1.616 at $p=1/2$.
    Proof: All sixteen outcomes.
    """
    return same(multiple(p, 4, scale=scale), sp.sqrt(3) + (3 - 2 * sp.sqrt(3)) * p * (1 - p))


@claim("one-objective", SOURCE, FALSE, "four-depends")
def one_objective(p, scale=1):
    r"""\text{up to a constant, the objective of GRPO is the same for all group sizes}

    Assumes: as in wu2025.two-is-accuracy; over several prompts
    Because: Within one prompt the directions are the same. Across prompts groups of four weigh them otherwise than
    groups of two: the factor's derivative by p is $(3-2\sqrt3)(1-2p)$.
    """
    return same(sp.diff(multiple(p, 4, scale=scale), p), (3 - 2 * sp.sqrt(3)) * (1 - 2 * p))


for group in (two_is_accuracy, three_is_accuracy, four_depends):
    group.derived(wrong={"scale": F(11, 10)})
one_objective.derived(role=FAILS, denial=True, wrong={"scale": F(11, 10)})


@claim("trl-constants", "not read in full; ours, with the constants of TRL", PROVED)
def trl_constants(p, eps, scale=1):
    r"""G=2,\ A=\frac{r-\bar r}{s+\varepsilon}\ \text{with the standard deviation of a
    sample}:\qquad\mathbb{E}[\text{gradient}]= \frac{1/2}{\sqrt{1/2}+\varepsilon}\,\nabla p

    Assumes: as in wu2025.two-is-accuracy; TRL 1.16 has $\varepsilon=10^{-4}$
    Because: Advantages are $\pm0.7070$ there, not $\pm1$: the same direction, and a learning rate that is smaller by
    that factor.
    Proof: All four outcomes. The sample's variance of one success in two is 1/2.
    """
    return same(multiple(p, 2, ddof=1, eps=eps, scale=scale), sp.Rational(1, 2) / (sp.sqrt(sp.Rational(1, 2)) + eps))


def at_the_default(low=F(7069, 10000), high=F(7071, 10000)):
    """Return whether the factor with TRL's epsilon lies between these."""
    return low < F(1, 2) / (sqrt(F(1, 2)) + F(1, 10000)) < high


trl_constants.derived(wrong={"scale": F(11, 10)})
trl_constants.enclosed(of=at_the_default, wrong={"low": F(7071, 10000), "high": F(1)}, also=True)
