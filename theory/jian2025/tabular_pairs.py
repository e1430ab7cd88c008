"""Many pairs on one prompt of a tabular softmax, as in the experiment of Fig. 2: what y* does."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, PROVED
from theory.evidence import CONDITIONAL
from theory.proof import Named, exp, same, setting, sums_of
from theory.statement import claims_of

claim = claims_of("jian2025")

Pair = tuple[int, int, int]  # chosen, rejected, weight


@dataclass(frozen=True)
class ManyPairs:
    """A tabular softmax and weighted pairs, training about to start from the reference.

    Attributes:
        p: probabilities; responses that are in no pair are the others, y* among them.
        pairs: (chosen, rejected, weight); nobody is chosen in one pair and rejected in another.
        beta: of DPO, a whole number, so that everything stays rational.
    """

    p: tuple[F, ...]
    pairs: tuple[Pair, ...]
    beta: int = 1

    @property
    def push(self) -> list[int]:
        """Return the sum of weights with which every response is chosen, minus that with which it is rejected."""
        total = [0] * len(self.p)
        for chosen, rejected, weight in self.pairs:
            total[chosen] += weight
            total[rejected] -= weight
        return total

    def normaliser(self, f: F) -> F:
        """Return by what a first step of size c with e^(c/2) = f divides all others: the urgency there is 1/2."""
        return sum((q * f**n for q, n in zip(self.p, self.push, strict=True)), F(0))

    def others_rate(self, f: F) -> F:
        """Return the derivative of log pi of the others in the second step, after a first one as in ``normaliser``."""
        push, total = self.push, self.normaliser(f)
        p = [q * f**n / total for q, n in zip(self.p, push, strict=True)]
        urgency = [1 / (1 + f ** (self.beta * (push[w] - push[r]))) for w, r, _ in self.pairs]
        return -sum((u * a * (p[w] - p[r]) for u, (w, r, a) in zip(urgency, self.pairs, strict=True)), F(0))


def complete_design(source: random.Random) -> ManyPairs:
    """Draw 1 to 3 chosen, rejected and other responses each, and every pair of them once."""
    n_w, n_l, n_o = (source.randint(1, 3) for _ in range(3))
    weights = [source.choice((1, 3, 30)) * source.randint(1, 9) for _ in range(n_w + n_l + n_o)]
    pairs = tuple((w, n_w + r, 1) for w in range(n_w) for r in range(n_l))
    return ManyPairs(tuple(F(a, sum(weights)) for a in weights), pairs, source.randint(1, 4))


def many_pairs(source: random.Random) -> ManyPairs:
    """Draw some of the pairs of a complete design, with weights."""
    full = complete_design(source)
    some = source.sample(full.pairs, source.randint(1, len(full.pairs)))
    return replace(full, pairs=tuple((w, r, source.choice((1, 2, 8))) for w, r, _ in some))


RANGES = "3 to 9 responses, 1 to 9 pairs with weights 1, 2, 8, beta from 1 to 4"


@sums_of("c > 0; p > 0, any push v", fixed=lambda numbers: numbers.positive("c"))
def responses(numbers, c):
    """Any number of responses."""
    p, v = numbers.positive("p"), numbers.real("v")
    return Named(p=p, pv=p * v, pvv=p * v * v, grown=p * exp(c * v))


def above_tangent(s, times=1):
    return s.grown >= s.p + times * s.fixed * s.pv


@setting("Z >= 1 + c sum p v, from the tangent")
def normalised(numbers):
    """The normaliser after a step of any size."""
    mean, c = numbers.real("mean"), numbers.positive("c")
    Z = 1 + c * mean + numbers.at_least("excess", 0)
    numbers.assume(Z > 0)
    return Named(mean=mean, Z=Z, p=numbers.positive("p"))


@claim("tabular-many-pairs", "not in the paper; the first step of Figure 2a without shared parameters", PROVED)
def many_pairs_first_step(case, slack=0):
    r"""D\log\pi_y=\tfrac{\eta\beta}{2}\Bigl(\sum_jb_j\pi_{l,j}-\sum_ia_i\pi_{w,i}\Bigr)\ \text{for every response
    outside the pairs},\qquad
    \sum_ia_i\pi_{w,i}\ge\sum_jb_j\pi_{l,j}\Rightarrow\Delta\pi_y\le 0\ \text{for every step size}

    Assumes: tabular softmax, first step from the reference; a and b: how often a response is chosen and rejected
    Proof: $\pi_y'=\pi_y/Z'$ with $Z'=\sum_{y'}\pi_{y'}e^{cv_{y'}}\ge 1+c\sum\pi v$ for the push $v$, and the derivative
    of $-\log Z'$ at $c=0$ is $-\sum\pi v$.
    """
    falls = sum(q * n for q, n in zip(case.p, case.push, strict=True)) >= -slack
    return not falls or all(case.normaliser(f) >= 1 for f in (F(101, 100), F(2), F(50)))


def first_order(c, p, Z, times=1):
    """Z'(0) is the sum of p v, and Z(0) = 1."""
    return same(sp.diff(sp.log(p / Z(c)), c), -times * Z(c).diff(c) / Z(c))


def outsider(s, slack=0):
    return not s.mean >= slack or s.p / s.Z <= s.p


many_pairs_first_step.derived(of=first_order, symbols={"Z": "function"}, wrong={"times": F(11, 10)})
many_pairs_first_step.by_induction(of=above_tangent, **responses, wrong={"times": F(11, 10)})
many_pairs_first_step.proved(over=normalised, of=outsider, wrong={"slack": F(-1, 10)})
many_pairs_first_step.unrefuted(many_pairs, wrong={"slack": F(1, 2)}, ranges=RANGES, also=True)


@claim("tabular-unimodal", "not in the paper; the rest of Figure 2a without shared parameters", CONDITIONALLY)
def unimodal(case, flip=1):
    r"""\text{once}\ \log\pi_{y^*}\ \text{falls, it never rises again}

    Assumes: every chosen response is paired with every rejected one, equally often (a single pair included)
    Because: With unequal weights a heavy pair can push $y^*$ down until it is satisfied, and a light pair, whose
    rejected response is likelier, then lifts it again.
    Proof: All pairs keep equal margins, so the push keeps its direction $n$ and
    $\frac{d}{ds}\log\pi_{y^*}=-E_s[n]$, whose derivative is $-\mathrm{Var}_s(n)\le 0$.
    """
    begins = flip * case.others_rate(F(1))
    return begins >= 0 or all(flip * case.others_rate(f) <= 0 for f in (F(11, 10), F(2), F(20)))


def derivative_of_the_mean(s, Z, times=1):
    """With Z the sum of p e^(s n), E[n] = Z'/Z and E[n^2] = Z''/Z."""
    mean, second = Z(s).diff(s) / Z(s), Z(s).diff(s, 2) / Z(s)
    return same(sp.diff(-mean, s), -(second - times * mean**2))


def variance(s, times=1):
    """With the weights p e^(s n) in the place of p."""
    return s.p > 0 and s.pvv >= 0 and times * s.pv**2 <= s.p * s.pvv


P = (F(10, 1000), F(1, 1000), F(1, 1000), F(150, 1000), F(838, 1000))
UNEVEN, EVEN = (ManyPairs(P, ((0, 1, heavy), (2, 3, 1))) for heavy in (20, 1))
unimodal.false(at=UNEVEN, true_at=EVEN)
unimodal.derived(
    of=derivative_of_the_mean, symbols={"s": "real", "Z": "function"}, role=CONDITIONAL, wrong={"times": 2}
)
unimodal.by_induction(of=variance, **responses, role=CONDITIONAL, wrong={"times": F(11, 10)}, lemma="monotone")
unimodal.unrefuted(complete_design, wrong={"flip": -1}, ranges=RANGES, also=True)
