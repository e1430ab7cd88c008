"""Theorem 6: does a response of reference probability 0 stay at 0?

That depends on how the policy is parametrised, not on the loss; and a small reference probability can grow.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, FALSE, PROVED, claim
from theory.evidence import Evidence
from theory.ma2025.bandits import Bandit, beats, normalised
from theory.ma2025.concentration import any_utility
from theory.worlds import Vector


@dataclass(frozen=True)
class Exponential:
    """A softmax with a base measure: p_y ~ ref_y 2^(theta . phi_y), ref_y = 0 allowed; the pair is (0, 1).

    Attributes:
        ref: reference probabilities, at theta = 0.
        features: phi of every response; unit vectors for a table.
        step: learning rate x beta x urgency, in units of log 2.
    """

    ref: Vector
    features: tuple[tuple[int, ...], ...]
    step: int = 1

    def after(self) -> Vector:
        """Return the probabilities after an exact step on the pair: theta moves by phi_0 - phi_1.

        Example:
            >>> [str(p) for p in Exponential((F(1, 2), F(1, 2), F(0)), ((1, 0, 0), (0, 1, 0), (0, 0, 1))).after()]
            ['4/5', '1/5', '0']
        """
        d = [a - b for a, b in zip(self.features[0], self.features[1], strict=True)]
        powers = [self.step * sum(a * b for a, b in zip(phi, d, strict=True)) for phi in self.features]
        return normalised([p * F(2) ** power for p, power in zip(self.ref, powers, strict=True)])


@dataclass(frozen=True)
class Affine:
    """Probabilities that are affine in one parameter: p = ref + theta v; the pair is (0, 1).

    Attributes:
        ref: reference probabilities, at theta = 0.
        direction: v, which sums to 0.
        step: learning rate x beta x urgency, small enough to keep probabilities in [0, 1].
    """

    ref: Vector
    direction: Vector
    step: F

    def after(self) -> Vector:
        """Return the probabilities after one gradient step on DPO's loss of the pair.

        Example:
            >>> [str(p) for p in ESCAPE.after()]
            ['7/20', '11/20', '1/10']
        """
        theta = self.step * (self.direction[0] / self.ref[0] - self.direction[1] / self.ref[1])
        return tuple(p + theta * v for p, v in zip(self.ref, self.direction, strict=True))


Policy = Exponential | Affine
ESCAPE = Affine((F(1, 4), F(3, 4), F(0)), (F(1), F(-2), F(1)), F(3, 200))


def policy(source: random.Random) -> Policy:
    """Draw a policy over 3 to 6 responses, the last one of reference probability 0; most are a softmax."""
    n = source.randint(3, 6)
    ref = (*normalised([source.randint(1, 12) for _ in range(n - 1)]), F(0))
    while source.random() < 0.25:
        rest = [F(source.randint(-2, 2)) for _ in range(n - 2)]
        new = F(source.randint(0, 2))
        case = Affine(ref, (-sum(rest) - new, *rest, new), F(1, 10_000))
        if min(case.after()) >= 0:  # else the step would leave the simplex
            return case
    if source.random() < 0.5:
        features = tuple(tuple(int(i == y) for i in range(n)) for y in range(n))
    else:
        features = tuple((source.randint(-3, 3), source.randint(-3, 3)) for _ in range(n))
    return Exponential(ref, features, source.randint(1, 3))


SIXTEEN = (F(1, 18), F(16, 18), F(1, 18))


def exact_step(source: random.Random) -> Exponential:
    """Draw a table of 3 to 5 responses, all of positive probability, and a step on the pair (0, 1)."""
    n = source.randint(3, 5)
    features = tuple(tuple(int(i == y) for i in range(n)) for y in range(n))
    weights = [source.randint(1, 9), source.randint(1, 400), *(source.randint(1, 9) for _ in range(n - 2))]
    return Exponential(normalised(weights), features, source.randint(1, 6))


def stays_out(case: Policy) -> bool:
    """Return whether every response of reference probability 0 still has probability 0 after the step."""
    return all(p == 0 for p, ref in zip(case.after(), case.ref, strict=True) if ref == 0)


TABLE = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


@claim(
    "ma2025.theorem-6",
    source="Theorem 6",
    says=r"\pi_{\mathrm{ref}}(y)=0\implies\pi_{\mathrm{dpo}}(y)=0",
    assumes="y is in no pair; the policy is a softmax times a base measure that is 0 at y (logit minus infinity) "
    "and is trained from the reference",
    verdict=CONDITIONALLY,
    because=r"It is a property of the parametrisation. With $\pi_\theta=(1/4+\theta,\,3/4-2\theta,\,\theta)$ one "
    r"gradient step on the pair $1\succ 2$ makes $\theta>0$. And no softmax with finite logits has "
    r"$\pi_{\mathrm{ref}}(y)=0$.",
    instead=("ma2025.theorem-6-minimisers", "ma2025.theorem-6-peak"),
    proof=r"A softmax times a base measure has the support of its base measure for every $\theta$.",
)
def theorem_6(evidence: Evidence) -> None:
    """The support of a softmax is invariant; that of other policies is not."""

    def next_to_nothing(case: Policy) -> bool:  # the same with a reference probability that is merely small
        smallest = min(p for p in case.ref if p)
        return all(p <= smallest for p, ref in zip(case.after(), case.ref, strict=True) if ref == smallest)

    evidence.fails(stays_out, at=ESCAPE, control=Exponential(ESCAPE.ref, TABLE))
    evidence.finds(stays_out, policy, control=lambda case: stays_out(case) or isinstance(case, Affine))
    evidence.holds(stays_out, policy, given=lambda case: isinstance(case, Exponential), control=next_to_nothing)


@claim(
    "ma2025.theorem-6-minimisers",
    source="Section 4.3.3: what the paper says to be false in the work it answers",
    says=r"\text{DPO's loss has minimisers with }\pi(y)>0\text{ where }\pi_{\mathrm{ref}}(y)=0",
    assumes="y is in no pair",
    verdict=PROVED,
    proof=r"The loss depends on the policy through odds $\pi_i/\pi_j$ inside the pairs; moving a share of all mass "
    r"to $y$ changes none of them. Theorem 6 is about the path of training and does not refute this.",
)
def minimisers(evidence: Evidence) -> None:
    """Every optimum, diluted with any amount of y, gives each pair the same kappa, the one of its labels."""

    def statement(world: Bandit, evenly: bool = True) -> bool:
        # the optimum for a uniform reference and beta = 1 is the utility itself
        optimum = normalised(world.q)
        share = F(1, 3)
        diluted = [p * (1 - share) for p in optimum] if evenly else [optimum[0] * (1 - share), *optimum[1:]]
        pairs = world.ordered_pairs
        return all(beats(diluted[i], diluted[j]) == world.label(i, j) for i, j in pairs)

    evidence.holds(statement, any_utility, control=lambda world: statement(world, evenly=False))


@claim(
    "ma2025.theorem-6-tiny-reference",
    source="Theorem 6 with a small reference probability in the place of 0: at most doubled, say",
    says=r"\pi_{\mathrm{dpo}}(y)\le 2\,\pi_{\mathrm{ref}}(y)",
    assumes="a table of logits, one pair, y not in it",
    verdict=FALSE,
    because=r"While $\pi_w<\pi_l$, what the rejected response loses goes to all others in proportion: from "
    r"$(\pi_w,\pi_l,\pi_y)=(0.01,0.98,0.01)$ the response outside the pair rises to 0.048, 4.8 times its share.",
    instead="ma2025.theorem-6-peak",
)
def tiny_reference(evidence: Evidence) -> None:
    """One exact step from (0.01, 0.98, 0.01)."""

    def statement(case: Policy) -> bool:  # no more than doubled
        return case.after()[2] <= 2 * case.ref[2]

    lopsided = (F(1, 100), F(49, 50), F(1, 100))
    evidence.fails(statement, at=Exponential(lopsided, TABLE, step=3), control=Exponential(lopsided, TABLE, step=8))
    evidence.fails(statement, at=Exponential(lopsided, TABLE, step=3), control=Exponential((F(1, 3),) * 3, TABLE))


@claim(
    "ma2025.theorem-6-peak",
    source="not in the paper; how far a response outside the pair can rise",
    says=r"\max_t\pi_y(t)=\frac{\pi_y}{\,2\sqrt{\pi_w\pi_l}+\sum_{k\notin\{w,l\}}\pi_k\,}",
    assumes=r"a table of logits trained on one pair for long enough, starting from $\pi_w\le\pi_l$; probabilities on "
    "the right are those of the reference",
    verdict=PROVED,
    proof=r"Training multiplies $\pi_w$ by $t$ and $\pi_l$ by $1/t$ before normalisation, for $t$ from 1 to "
    r"infinity; $t\pi_w+\pi_l/t$ is least at $t=\sqrt{\pi_l/\pi_w}$, where chosen and rejected are equally probable.",
)
def ood_peak(evidence: Evidence) -> None:
    """The optimum over t in SymPy, and exact steps that never pass it but come to it."""
    w, rejected, y, t = sp.symbols("w l y t", positive=True)
    path = y / (w * t + rejected / t + y)

    def best(at: sp.Expr) -> bool:
        stationary = sp.simplify(sp.diff(path, t).subs(t, at)) == 0
        return stationary and sp.simplify(path.subs(t, at) - y / (2 * sp.sqrt(w * rejected) + y)) == 0

    def never_above(case: Exponential, share: int = 2) -> bool:
        before, after = case.ref, case.after()
        # p_y / after_y - (other mass) >= 2 sqrt(p_w p_l), squared
        room = before[2] / after[2] - sum(before[2:])
        return room >= 0 and room**2 >= share**2 * before[0] * before[1]

    evidence.proves(
        lambda: best(sp.sqrt(rejected / w)), control=lambda: best(rejected / w), by="SymPy, derivative along the path"
    )
    evidence.holds(never_above, exact_step, control=lambda case: never_above(case, share=3))
    evidence.proves(
        lambda: Exponential(SIXTEEN, TABLE, step=2).after()[2] == F(1, 9),
        control=lambda: Exponential(SIXTEEN, TABLE, step=1).after()[2] == F(1, 9),
        by="(1/18, 16/18, 1/18) rises to 1/9 exactly, at t = 4",
    )
