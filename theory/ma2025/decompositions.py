"""What the two proposed losses are: naive bDPO is DPO plus supervised learning, bDPO sees one ratio of logarithms.

Log-probabilities a = log pi_w, b = log pi_l and those of the reference are any negative rationals here: the losses are
functions of these four numbers, and whatever is proved for all of them holds for the logarithms of probabilities.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction as F

from theory.claim import PROVED, claim
from theory.evidence import Evidence
from theory.ma2025.bandits import Bandit, bandit
from theory.ma2025.duals import Dual, softmax, variables


@dataclass(frozen=True)
class LogPair:
    """The log-probabilities of a pair, in nats, all negative rationals; beta; and how far lambda may leave 1.

    Attributes:
        a: log pi_w.
        b: log pi_l.
        ref_a: log ref_w.
        ref_b: log ref_l.
        beta: > 0.
        clip: the clip c of Eq. (26).
        symmetric: whether lambda may fall to 1 / (1 + c).
    """

    a: F
    b: F
    ref_a: F
    ref_b: F
    beta: F
    clip: F
    symmetric: bool

    def at(self) -> tuple[Dual, Dual]:
        """Return a and b as variables."""
        first, second = variables([self.a, self.b])
        return first, second

    def ratio(self) -> Dual:
        """Return lambda of Eq. (26), with its derivatives."""
        a, b = self.at()
        low = 1 / (1 + self.clip) - 1 if self.symmetric else F(0)
        odds = a - b
        if odds.value < low or odds.value > self.clip:
            return 1 + (odds.detached() * 0 + min(max(odds.value, low), self.clip))
        return 1 + odds

    def naive(self, *, detach: bool) -> Dual:
        """Return the argument of the sigmoid in Eq. (25), its bracket mended."""
        a, b = self.at()
        ratio = self.ratio().detached() if detach else self.ratio()
        gain = a - self.ref_a
        return self.beta * (ratio * gain - (b - self.ref_b) - (ratio - 1) * gain.detached())

    def balanced(self, *, detach: bool) -> Dual:
        """Return the argument of the sigmoid in Eq. (28)."""
        a, b = self.at()
        share = b / (a + b)
        share = share.detached() if detach else share
        return self.beta * (share * (a - self.ref_a) - (1 - share) * (b - self.ref_b))


def log_pair(source: random.Random) -> LogPair:
    """Draw four log-probabilities, beta and a clip."""

    def negative() -> F:
        return -F(source.randint(1, 30), source.randint(1, 10))

    a, b, ref_a, ref_b = (negative() for _ in range(4))
    clip = F(source.randint(1, 30), 10)
    return LogPair(a, b, ref_a, ref_b, F(source.randint(1, 9), 3), clip, source.random() < 0.5)


def log_pair_at_start(source: random.Random) -> LogPair:
    """Draw a pair whose policy still is the reference."""
    drawn = log_pair(source)
    return LogPair(drawn.ref_a, drawn.ref_b, drawn.ref_a, drawn.ref_b, drawn.beta, drawn.clip, drawn.symmetric)


@claim(
    "ma2025.nbdpo-is-dpo-plus-sft",
    source="not in the paper; what Eq. (25) is",
    says=r"f_{nbDPO}=f_{DPO},\quad\nabla f_{nbDPO}=\nabla f_{DPO}+\beta(\lambda-1)\nabla\log\pi_w;\qquad"
    r"\Delta s=\eta(1-\kappa)\beta\bigl[(e_w-e_l)+(\lambda-1)(e_w-\pi)\bigr]",
    assumes="the bracket of Eq. (25) mended; lambda differentiated or not; the last equation for tabular logits",
    verdict=PROVED,
    proof=r"$\lambda\nabla a-\nabla b=(\nabla a-\nabla b)+(\lambda-1)\nabla a$; the derivatives of lambda cancel "
    "between the first and the last term. The second part is supervised learning on winners: its fixed points are "
    "not DPO's, and depend on who wins how often in the data.",
)
def nbdpo_is_dpo_plus_sft(evidence: Evidence) -> None:
    """In log-probabilities, lambda live and detached; and in logits."""

    def margins(case: LogPair, on_loser: int = 0) -> bool:
        a, b = case.at()
        dpo = case.beta * ((a - case.ref_a) - (b - case.ref_b))
        extra = case.beta * (case.ratio().value - 1)
        expected = (dpo.slope[0] + extra, dpo.slope[1] - on_loser * extra)
        both = [case.naive(detach=detach) for detach in (True, False)]
        return all(naive.value == dpo.value and naive.slope == expected for naive in both)

    def logits(world: Bandit, averaged: int = 1) -> bool:
        s, ratio = softmax(world.p), F(3, 2)
        push = [ratio * a - b for a, b in zip(s[0].log_slope, s[1].log_slope, strict=True)]
        unit = [[F(int(k == y)) for k in world.responses] for y in (0, 1)]
        third = [(ratio - 1) * (e - averaged * p) for e, p in zip(unit[0], world.p, strict=True)]
        return push == [w - r + t for w, r, t in zip(*unit, third, strict=True)]

    evidence.holds(margins, log_pair, control=lambda case: margins(case, on_loser=1))
    evidence.holds(logits, bandit, control=lambda world: logits(world, averaged=0))


@claim(
    "ma2025.bdpo-identity",
    source="not in the paper; what Eqs. (28) and (29) are",
    says=r"f_{bDPO}=\beta\,\frac{\log\pi_w\log\pi_{ref,l}-\log\pi_l\log\pi_{ref,w}}{\log\pi_w+\log\pi_l},\qquad"
    r"\beta\log\pi_{ref,l}<f_{bDPO}<-\beta\log\pi_{ref,w},\quad L>\log(1+\pi_{ref,w}^{\beta})",
    verdict=PROVED,
    proof=r"Put $\lambda_w=b/(a+b)$ in: $b(a-\log\pi_{ref,w})-a(b-\log\pi_{ref,l})$ loses $ab$. f is a weighted mean "
    r"of $\beta\log\pi_{ref,l}$ and $-\beta\log\pi_{ref,w}$ with weights $a/(a+b)$ and $b/(a+b)$: the policy enters "
    r"through $\log\pi_l/\log\pi_w$ alone.",
)
def bdpo_identity(evidence: Evidence) -> None:
    """The identity, the bounds, and that a common factor of both logarithms changes nothing."""

    def identity(case: LogPair, swap: bool = False) -> bool:
        first, second = (case.ref_a, case.ref_b) if swap else (case.ref_b, case.ref_a)
        expected = case.beta * (case.a * first - case.b * second) / (case.a + case.b)
        return case.balanced(detach=False).value == expected

    def bounds(case: LogPair, half: F = F(1)) -> bool:
        return half * case.beta * case.ref_b < case.balanced(detach=False).value < -half * case.beta * case.ref_a

    def one_ratio(case: LogPair, factors: tuple[int, int] = (3, 3)) -> bool:
        scaled = LogPair(factors[0] * case.a, factors[1] * case.b, case.ref_a, case.ref_b, case.beta, F(1), False)
        return scaled.balanced(detach=False).value == case.balanced(detach=False).value

    evidence.holds(identity, log_pair, control=lambda case: identity(case, swap=True))
    evidence.holds(bounds, log_pair, control=lambda case: bounds(case, half=F(1, 2)))
    evidence.holds(one_ratio, log_pair, control=lambda case: one_ratio(case, factors=(3, 2)))


@claim(
    "ma2025.bdpo-effective-beta",
    source="not in the paper; the pull of Eq. (28) against that of DPO",
    says=r"\Bigl|\frac{\partial f}{\partial\log\pi_w}\Bigr|+\Bigl|\frac{\partial f}{\partial\log\pi_l}\Bigr|=\beta\,"
    r"\frac{\log\pi_{ref,w}+\log\pi_{ref,l}}{\log\pi_w+\log\pi_l},\quad=\beta\ \text{at}\ \pi=\pi_{ref};\qquad"
    r"2\beta\ \text{for DPO}",
    assumes="lambda_w differentiated; detached, the sum is beta everywhere",
    verdict=PROVED,
    proof=r"$\lambda_w+\lambda_l=1$, where DPO has $1+1$: bDPO starts as DPO with half of beta, so that is the fair "
    "control.",
)
def bdpo_effective_beta(evidence: Evidence) -> None:
    """The sum of the two slopes, live, detached and at the start."""

    def total(case: LogPair, *, detach: bool) -> F:
        return sum((abs(a) for a in case.balanced(detach=detach).slope), F(0))

    def live(case: LogPair) -> bool:
        return total(case, detach=False) == case.beta * (case.ref_a + case.ref_b) / (case.a + case.b)

    def detached(case: LogPair) -> bool:
        return total(case, detach=True) == case.beta

    def at_start(case: LogPair, times: int = 1) -> bool:
        return total(case, detach=False) == total(case, detach=True) == times * case.beta

    evidence.holds(live, log_pair, control=lambda case: total(case, detach=False) == case.beta)
    evidence.holds(detached, log_pair, control=lambda case: total(case, detach=False) == case.beta)
    evidence.holds(at_start, log_pair_at_start, control=lambda case: at_start(case, times=2))
