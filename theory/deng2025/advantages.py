"""The advantages of GRPO in a group with k right answers of G."""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import PROVED
from theory.proof import same
from theory.statement import claims_of

claim = claims_of("deng2025")


def advantages(right, wrong, ddof):
    """Return (r - mean) / deviation of a right and of a wrong answer, from the sums over a group."""
    size = right + wrong
    mean = right / size
    squares = right * (1 - mean) ** 2 + wrong * mean**2
    deviation = sp.sqrt(squares / (size - ddof))
    return (1 - mean) / deviation, -mean / deviation


@claim("lemma-4.2", "Lemma 4.2", PROVED)
def lemma_4_2(right, wrong, times=1):
    r"""A^+=\frac{1-p}{\sqrt{p(1-p)}},\qquad A^-=-\frac p{\sqrt{p(1-p)}},\qquad p=\frac kG

    Assumes: binary rewards, k right answers of G with $0<k<G$, the population's standard deviation
    Proof: The variance of a binary reward is $p(1-p)$.
    """
    p = right / (right + wrong)
    plus, minus = advantages(right, wrong, 0)
    root = sp.sqrt(p * (1 - p))
    return same(plus, times * (1 - p) / root) & same(minus, -p / root)


@claim("sample-deviation", "not read in full; ours, Lemma 4.2 with the standard deviation of a sample", PROVED)
def sample_deviation(right, wrong, power=F(1, 2)):
    r"""\text{with the standard deviation of a sample both are smaller by the factor}\ \sqrt{\frac{G-1}G}

    Assumes: as in Lemma 4.2, $G>1$
    Because: TRL divides by the deviation of a sample: for $G=2$ the factor is 0.707.
    Proof: The sum of squares is divided by $G-1$ in the place of G.
    """
    size = right + wrong
    shrunk = ((size - 1) / size) ** sp.Rational(power)
    return same(advantages(right, wrong, 1)[0], shrunk * advantages(right, wrong, 0)[0])


lemma_4_2.derived(wrong={"times": F(11, 10)})
sample_deviation.derived(
    symbols={"right": 1 + sp.Symbol("k", positive=True), "wrong": 1 + sp.Symbol("m", positive=True)},
    wrong={"power": F(1)},
)
