"""Many pairs on one prompt of a tabular softmax, as in the experiment of Fig. 2: what y* does."""

import random
from dataclasses import dataclass, replace
from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, PROVED
from theory.evidence import CONDITIONAL
from theory.proof import Named, exp, log, same, setting, sums_of
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


def size_of_either_sign(numbers):
    """Return the size c of a step; with c < 0 it is one back."""
    c = numbers.real("c")
    numbers.assume(c != 0)
    return c


@sums_of("c > 0 or c < 0; p > 0, any push v", fixed=size_of_either_sign)
def responses(numbers, c):
    """Any number of responses."""
    p, v = numbers.positive("p"), numbers.real("v")
    return Named(p=p, pv=p * v, grown=p * exp(c * v))


@claim("tabular-many-pairs", "not in the paper; the first step of Figure 2a without shared parameters", PROVED)
def many_pairs_first_step(s, times=1, slack=0):
    r"""D\log\pi_y=\tfrac{\eta\beta}{2}\Bigl(\sum_jb_j\pi_{l,j}-\sum_ia_i\pi_{w,i}\Bigr)\ \text{for every response
    outside the pairs},\qquad
    \sum_ia_i\pi_{w,i}\ge\sum_jb_j\pi_{l,j}\Rightarrow\Delta\pi_y\le 0\ \text{for every step size}

    Assumes: tabular softmax, first step from the reference; a and b: how often a response is chosen and rejected
    Proof: $\pi_y'=\pi_y/Z'$ with $Z'=\sum_{y'}\pi_{y'}e^{cv_{y'}}\ge 1+c\sum\pi v$ for the push $v$ and every $c$ of
    either sign, so that $\sum\pi v$ is the derivative of $Z'$ at $c=0$ and $-\sum\pi v$ that of $-\log Z'$.
    """
    tangent = s.grown >= s.p + times * s.fixed * s.pv  # Z' = grown / p
    falls = not (s.fixed > 0 and s.pv >= -slack) or s.p / s.grown <= 1
    return s.p > 0 and s.grown > 0 and tangent and falls


def first_step(case, f):
    """Return the sums over all responses in a first step of size c with e^(c/2) = f, counted in halves of it."""
    push = sum(q * n for q, n in zip(case.p, case.push, strict=True))
    return Named(fixed=log(f), p=sum(case.p), pv=push, grown=case.normaliser(f))


def first_steps(case, slack=0):
    return all(many_pairs_first_step(first_step(case, f), 1, slack) for f in (F(1, 3), F(101, 100), F(2), F(50)))


def first_order(c, p, v, push, m, times=1):
    """A weight p e^(c v) has the slope p v at c = 0, so that the sum Z' of all is 1 + c push + O(c^2)."""
    total = 1 + c * push + c**2 * m(c)
    of_a_weight = same(sp.diff(p * sp.exp(c * v), c).subs(c, 0), p * v)
    return of_a_weight & same(sp.diff(sp.log(p / total), c).subs(c, 0).doit(), -times * push)


many_pairs_first_step.derived(
    of=first_order,
    symbols={"c": "real", "v": "real", "push": "real", "m": "function"},
    wrong={"times": F(11, 10)},
    part=r"""D\log\pi_y=\tfrac{\eta\beta}{2}\Bigl(\sum_jb_j\pi_{l,j}-\sum_ia_i\pi_{w,i}\Bigr)\ \text{for every response
    outside the pairs}""",
)
many_pairs_first_step.by_induction(**responses, wrong={"times": F(11, 10)})
many_pairs_first_step.unrefuted(many_pairs, of=first_steps, wrong={"slack": F(1, 2)}, ranges=RANGES, also=True)


@claim("tabular-unimodal", "not in the paper; the rest of Figure 2a without shared parameters", CONDITIONALLY)
def unimodal(c, slack=0):
    r"""\text{once}\ \log\pi_{y^*}\ \text{falls, it never rises again}

    Assumes: from the reference; every chosen response is paired with every rejected one, equally often (a single pair
    included)
    Because: With unequal weights a heavy pair can push $y^*$ down until it is satisfied, and a light pair, whose
    rejected response is likelier, then lifts it again.
    Proof: With N chosen and M rejected responses a chosen one is pushed by M pairs, a rejected one by N. All margins
    stay equal, so that all pairs push alike. After a path of length c the masses A of the chosen and B of the rejected
    are $Ae^{cM}$ and $Be^{-cN}$ up to a factor, and $\frac{d}{dc}\log\pi_{y^*}$ is $NBe^{-cN}-MAe^{cM}$ up to one.
    """
    return not c.first < slack or c.later <= 0  # derivatives of log pi of y* at two moments, up to positive factors


@setting(
    "masses A of N > 0 chosen and B of M > 0 rejected responses; as long as all margins are equal, so are the pushes "
    "of all pairs: they move the logits of the chosen by c M and of the rejected by -c N, which keeps the margins equal"
)
def two_moments(numbers):
    """Two moments of a complete design, a path of length c > 0 apart."""
    N, M, A, B = (numbers.positive(name) for name in "NMAB")
    c = numbers.positive("c")
    return Named(first=N * B - M * A, later=N * B * exp(-c * N) - M * A * exp(c * M))


def two_rates(case, f):
    """Return the rates of log pi of the others in a first step of size c with e^(c/2) = f, and in a second one."""
    return Named(first=case.others_rate(F(1)), later=case.others_rate(f))


def never_rises_again(case, slack=0):
    return all(unimodal(two_rates(case, f), slack) for f in (F(11, 10), F(2), F(20)))


def push_keeps_its_direction(case, times=1):
    """With equal margins the rate is the urgency of all pairs times the mean of the push of the first step."""
    w, r, _ = case.pairs[0]
    margin = case.push[w] - case.push[r]
    equal = all(case.push[w] - case.push[r] == margin for w, r, _ in case.pairs)

    def rate(f):
        mean = sum(q * n * f**n for q, n in zip(case.p, case.push, strict=True)) / case.normaliser(f)
        return -times * mean / (1 + f ** (case.beta * margin))

    return equal and all(case.others_rate(f) == rate(f) for f in (F(11, 10), F(2)))


P = (F(10, 1000), F(1, 1000), F(1, 1000), F(150, 1000), F(838, 1000))
UNEVEN, EVEN = (ManyPairs(P, ((0, 1, heavy), (2, 3, 1))) for heavy in (20, 1))
unimodal.false(at=two_rates(UNEVEN, F(11, 10)), true_at=two_rates(EVEN, F(11, 10)))
unimodal.proved(over=two_moments, role=CONDITIONAL, wrong={"slack": F(1, 10)})
unimodal.unrefuted(complete_design, of=never_rises_again, wrong={"slack": F(1, 2)}, ranges=RANGES, also=True)
unimodal.unrefuted(
    complete_design, of=push_keeps_its_direction, wrong={"times": F(11, 10)}, worlds=100, ranges=RANGES, also=True
)
