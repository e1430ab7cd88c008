"""Remark 4 and what takes its place: which of the other responses gain, in a table and in a log-linear policy."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction as F

from theory.claim import CONDITIONALLY, PROVED, claim
from theory.evidence import ALSO, CONDITIONAL, Evidence
from theory.jian2025.cases import BOTH_FALL, BOTH_RISE
from theory.worlds import World, any_world, dot, log_linear, tabular

# y* = response 3 is more probable than response 2, which gains what y* loses
LESS_PROBABLE_GAINS = World.log_linear([[2], [0], [4], [1]], at=[F(1, 2)])


def gains_of_others(w: World, factor: int = 2) -> list[tuple[F, F]]:
    """Return (probability, exact change in a step of size log(factor)) of every response outside the pair.

    Example:
        >>> [(str(p), str(gain)) for p, gain in gains_of_others(LESS_PROBABLE_GAINS)]
        [('1/29', '441/667'), ('8/29', '-126/667')]
    """
    after = w.after(factor)
    return [(w.p[y], after.p[y] - w.p[y]) for y in w.others]


def alignment(w: World) -> list[F]:
    """Return phi_y . (phi_w - phi_l) of every response: what its logit gains per unit of size of the step."""
    d = [a - b for a, b in zip(w.features[w.chosen], w.features[w.rejected], strict=True)]
    return [dot(phi, d) for phi in w.features]


@claim(
    "jian2025.remark-4",
    source="Remark 4; Section 2.3 on Fig. 2a",
    says=r"y,y'\notin\{y_w,y_l\},\ \pi(y)>\pi(y'),\ \Delta\pi(\mathcal Y\setminus\{y_w,y_l\})>0"
    r"\implies\Delta\pi(y)>\Delta\pi(y')",
    assumes="tabular softmax",
    verdict=CONDITIONALLY,
    because=r"With shared parameters the mass goes to responses whose score is like $g_w-g_l$; they may be "
    r"improbable, while the most probable one loses.",
    proof=r"Tabular: all responses outside the pair are multiplied by the same factor $1/Z'$, "
    r"$Z'=1+(1-e^{-s})(\pi_we^{s}-\pi_l)$, so that gains are proportional to probabilities.",
    instead=("jian2025.mass-flow-log-linear", "jian2025.mass-flow-tabular"),
)
def remark_4(evidence: Evidence) -> None:
    """Exact steps: true in every table, false on a line of features."""

    def statement(w: World) -> bool:
        gains = gains_of_others(w)
        if sum(gain for _, gain in gains) <= 0:
            return True
        return all((a > b) == (p > q) or p == q for (p, a), (q, b) in itertools.combinations(gains, 2))

    def relative(w: World) -> bool:  # the same of logarithms: log pi(y) grows more where pi(y) is larger
        gains = gains_of_others(w)
        if sum(gain for _, gain in gains) <= 0:
            return True
        return all((a / p > b / q) == (p > q) or p == q for (p, a), (q, b) in itertools.combinations(gains, 2))

    def by_alignment(w: World) -> bool:
        after, gain = w.after(2), alignment(w)
        pairs = itertools.combinations(w.others, 2)
        return all((after.p[y] / w.p[y] > after.p[z] / w.p[z]) == (gain[y] > gain[z]) for y, z in pairs)

    in_a_table = World.tabular([F(1, 10), F(3, 10), F(2, 10), F(4, 10)])
    evidence.fails(statement, at=LESS_PROBABLE_GAINS, control=in_a_table)
    evidence.finds(statement, log_linear, control=by_alignment)
    evidence.holds(statement, tabular, role=CONDITIONAL, control=relative, worlds=200)


@claim(
    "jian2025.mass-flow-tabular",
    source="not in the paper; replaces Remark 4 for a tabular softmax",
    says=r"y,y'\notin\{y_w,y_l\}:\quad\frac{\pi'(y)}{\pi(y)}=\frac{\pi'(y')}{\pi(y')},\quad\text{both}>1"
    r"\iff\pi_l>\pi_we^{s}",
    assumes=r"tabular softmax, one exact step of size $s=\eta\beta\sigma(-z)$",
    verdict=PROVED,
    proof="Only the logits of the pair move; everything else is renormalised.",
)
def mass_flow_tabular(evidence: Evidence) -> None:
    """In log-probability no response outside the pair is special, y* least of all."""

    def statement(w: World, factor: int = 2) -> bool:
        ratios = {(p + gain) / p for p, gain in gains_of_others(w)}
        rises = w.p[w.rejected] > factor * w.p[w.chosen]
        return len(ratios) <= 1 and all((ratio > 1) == rises for ratio in ratios)

    evidence.holds(statement, tabular, control=lambda w: statement(w, factor=1))


@claim(
    "jian2025.mass-flow-log-linear",
    source="not in the paper; replaces Theorem 2 and Remark 4 for log-linear policies",
    says=r"\log\frac{\pi_s(y)}{\pi_s(y')}-\log\frac{\pi_0(y)}{\pi_0(y')}=s\,(\phi_y-\phi_{y'})\cdot(\phi_w-\phi_l)",
    assumes=r"log-linear policy, base measure allowed; $s$ is the sum of all steps on the pair",
    verdict=PROVED,
    proof=r"$\theta_s=\theta_0+s(\phi_w-\phi_l)$ and $\log\pi_s(y)=\phi_y\cdot\theta_s-\log Z_s$ up to the base "
    r"measure. Gains of log-probability are ordered by $\phi_y\cdot(\phi_w-\phi_l)$; prior probabilities do not enter.",
)
def mass_flow_log_linear(evidence: Evidence) -> None:
    """Exact at a step of size log 2, and as a statement on drives in any world."""

    def statement(w: World, times: int = 1) -> bool:
        after, gain = w.after(2), alignment(w)
        return all(
            (after.p[y] / w.p[y]) / (after.p[z] / w.p[z]) == F(2) ** int(times * (gain[y] - gain[z]))
            for y, z in itertools.pairwise(w.responses)
        )

    def drives(w: World) -> bool:
        gain = alignment(w)
        return all(w.drive(y) - w.drive(z) == gain[y] - gain[z] for y, z in itertools.pairwise(w.responses))

    def changes(w: World) -> bool:  # of probabilities instead of logarithms
        gain = alignment(w)
        return all((w.change(y) > w.change(z)) == (gain[y] > gain[z]) for y, z in itertools.pairwise(w.responses))

    evidence.holds(statement, log_linear, control=lambda w: statement(w, times=2))
    evidence.holds(drives, any_world, role=ALSO, control=changes)


def long_run(source: random.Random) -> tuple[World, int]:
    """Draw a log-linear world and a factor e^s from 2 to 2^12."""
    return log_linear(source), 2 ** source.randint(1, 12)


@claim(
    "jian2025.mass-flow-limit",
    source="not in the paper; where all the mass ends",
    says=r"\pi_s(\mathcal Y\setminus M)\le\frac{e^{-s}}{\pi_0(M)},\qquad "
    r"M=\arg\max_y\phi_y\cdot(\phi_w-\phi_l)\not\ni y_l",
    assumes=r"log-linear policy with whole-numbered features and $\phi_w\ne\phi_l$; the whole run on one pair, of "
    "total size $s$",
    verdict=PROVED,
    proof=r"Weights grow like $e^{s\,\phi_y\cdot d}$; those outside $M$ are at least $e^{s}$ behind. "
    r"$\phi_w\cdot d-\phi_l\cdot d=\|d\|^2>0$ keeps $y_l$ out. Whether $y_w$ is in $M$ decides whether its "
    r"probability goes to 0: training to convergence can extinguish the chosen response.",
)
def mass_flow_limit(evidence: Evidence) -> None:
    """The end of training depends on features only, not on where it started."""

    def statement(case: tuple[World, int], *, most_probable: bool = False) -> bool:
        w, factor = case
        gain = alignment(w)
        if gain[w.chosen] == gain[w.rejected]:
            return True
        score = w.p if most_probable else gain
        winners = [y for y in w.responses if score[y] == max(score)]
        after = w.after(factor)
        left = 1 - sum(after.p[y] for y in winners)
        return left <= 1 / (factor * sum(w.p[y] for y in winners)) and w.rejected not in winners

    evidence.holds(statement, long_run, control=lambda case: statement(case, most_probable=True), worlds=200)
    evidence.fails(
        lambda w: w.after(2**10).p[w.chosen] >= w.p[w.chosen],
        at=BOTH_FALL,
        control=BOTH_RISE,
        role=ALSO,
    )
