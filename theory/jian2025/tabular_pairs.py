"""Many pairs on one prompt of a tabular softmax, as in the experiment of Fig. 2: what y* does."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction as F

from theory.claim import CONDITIONALLY, PROVED, claim
from theory.evidence import Evidence

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

    def after(self, f: F) -> list[F]:
        """Return the probabilities after a first step of size c with e^(c/2) = f: the urgency there is 1/2."""
        grown = [q * f**n for q, n in zip(self.p, self.push, strict=True)]
        return [q / sum(grown) for q in grown]

    def others_change(self, f: F) -> F:
        """Return by what the probability of all others is multiplied in that step, minus 1."""
        return 1 / sum((q * f**n for q, n in zip(self.p, self.push, strict=True)), F(0)) - 1

    def others_rate(self, f: F) -> F:
        """Return the derivative of log pi of the others in the second step, after a first one as in ``after``."""
        p, push = self.after(f), self.push
        urgency = [1 / (1 + f ** (self.beta * (push[w] - push[r]))) for w, r, _ in self.pairs]
        return -sum((u * a * (p[w] - p[r]) for u, (w, r, a) in zip(urgency, self.pairs, strict=True)), F(0))

    def __str__(self) -> str:
        """Return probabilities and pairs."""
        p = ", ".join(map(str, self.p))
        pairs = "; ".join(f"{w} > {r} with weight {a}" for w, r, a in self.pairs)
        return f"tabular softmax ({p}), pairs {pairs}, beta = {self.beta}"

    @property
    def is_complete(self) -> bool:
        """Return whether every chosen response is paired with every rejected one, once and with the same weight."""
        chosen, rejected = {w for w, _, _ in self.pairs}, {r for _, r, _ in self.pairs}
        full = {(w, r) for w in chosen for r in rejected}
        same = {(w, r) for w, r, _ in self.pairs} == full and len(self.pairs) == len(full)
        return same and len({a for _, _, a in self.pairs}) == 1


def many_pairs(source: random.Random) -> ManyPairs:
    """Draw 1 to 3 chosen, 1 to 3 rejected and 1 to 3 other responses; all pairs, or some with weights."""
    n_w, n_l, n_o = (source.randint(1, 3) for _ in range(3))
    weights = [source.choice((1, 3, 30)) * source.randint(1, 9) for _ in range(n_w + n_l + n_o)]
    full = [(w, n_w + r) for w in range(n_w) for r in range(n_l)]
    if source.random() < 0.5:
        pairs = tuple((w, r, 1) for w, r in full)
    else:
        some = source.sample(full, source.randint(1, len(full)))
        pairs = tuple((w, r, source.choice((1, 2, 8))) for w, r in some)
    return ManyPairs(tuple(F(a, sum(weights)) for a in weights), pairs, source.randint(1, 4))


@claim(
    "jian2025.tabular-many-pairs",
    source="not in the paper; the first step of Fig. 2a without shared parameters",
    says=r"D\log\pi_y=\tfrac{\eta\beta}{2}\Bigl(\sum_jb_j\pi_{l,j}-\sum_ia_i\pi_{w,i}\Bigr)\ \text{for every "
    r"response outside the pairs},"
    r"\qquad\sum_ia_i\pi_{w,i}\ge\sum_jb_j\pi_{l,j}\Rightarrow\Delta\pi_y\le 0\ \text{for every step size}",
    assumes="tabular softmax, first step from the reference; a and b: how often a response is chosen and rejected",
    verdict=PROVED,
    proof=r"$D\log\pi_y=-\sum_{y'}\pi_{y'}v_{y'}$ with the push $v$, and $\pi_y'=\pi_y/Z'$ with $Z'\ge e^{c\sum\pi "
    r"v}$.",
)
def first_step(evidence: Evidence) -> None:
    """y* rises iff the rejected responses have more mass than the chosen ones, weighted; no other reason is needed."""

    def first_order(case: ManyPairs, weighted: bool = True) -> bool:
        h = F(1, 10**12)
        push = case.push if weighted else [(n > 0) - (n < 0) for n in case.push]
        printed = -sum(q * n for q, n in zip(case.p, push, strict=True))
        return abs(case.others_change(1 + h) / h - printed) < F(1, 10**6)

    def any_step(case: ManyPairs, slack: F = F(0)) -> bool:
        falls = sum(q * n for q, n in zip(case.p, case.push, strict=True)) >= -slack
        return not falls or all(case.others_change(f) <= 0 for f in (F(101, 100), F(2), F(50)))

    evidence.holds(first_order, many_pairs, control=lambda case: first_order(case, weighted=False))
    evidence.holds(any_step, many_pairs, control=lambda case: any_step(case, slack=F(1, 2)))


@claim(
    "jian2025.tabular-unimodal",
    source="not in the paper; the rest of Fig. 2a without shared parameters",
    says=r"\text{once}\ \log\pi_{y^*}\ \text{falls, it never rises again}",
    assumes="every chosen response is paired with every rejected one, equally often (a single pair included)",
    verdict=CONDITIONALLY,
    because="With unequal weights a heavy pair can push y* down until it is satisfied, and a light pair, whose "
    "rejected "
    "response is likelier, then lifts it again.",
    proof=r"All pairs keep equal margins, so the push keeps its direction $n$ and "
    r"$\frac{d}{ds}\log\pi_{y^*}=-E_s[n]$, whose derivative is $-\mathrm{Var}_s(n)\le 0$.",
)
def unimodal(evidence: Evidence) -> None:
    """Two steps of an uneven design; all sizes of a step of complete designs."""

    def never_again(case: ManyPairs, flip: int = 1) -> bool:
        begins = flip * case.others_rate(F(1))
        return begins >= 0 or all(flip * case.others_rate(f) <= 0 for f in (F(11, 10), F(2), F(20)))

    p = (F(10, 1000), F(1, 1000), F(1, 1000), F(150, 1000), F(838, 1000))
    uneven, even = (ManyPairs(p, ((0, 1, heavy), (2, 3, 1))) for heavy in (20, 1))
    evidence.fails(never_again, at=uneven, control=even)
    evidence.holds(
        never_again, many_pairs, given=lambda case: case.is_complete, control=lambda case: never_again(case, flip=-1)
    )
