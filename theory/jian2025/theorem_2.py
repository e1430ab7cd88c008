"""Theorem 2: where probability mass goes when the chosen response falls (case 1), or the rejected one (case 2)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction as F

from theory.claim import CONDITIONALLY, FALSE, PROVED, claim
from theory.evidence import ALSO, CONDITIONAL, Evidence
from theory.jian2025.cases import BOTH_FALL
from theory.worlds import World, any_world, one_feature, tabular

# theta = (ln 2, 0): chosen, rejected and the most probable response all fall, a fourth one gains everything
ALL_BUT_ONE_FALL = World.log_linear([[-1, -1], [-1, -2], [1, -1], [0, 0]], at=[2, 1])
ONE_FEATURE_FALL = World.with_base([1, 1, 2, 1], [[0], [-1], [0], [2]])
CHOSEN_IS_GREEDY = World.with_base([3, 1, 2], [[2], [3], [0]])


def falls(w: World) -> bool:
    """Return whether the chosen response falls, to first order: |g_w|^2 < g_w . g_l, Eq. (52)."""
    return w.squared_norm(w.chosen) < w.kernel(w.chosen, w.rejected)


def rest(w: World) -> tuple[int, ...]:
    """Return the responses outside {y_w, y_l, y*}.

    Example:
        >>> rest(ALL_BUT_ONE_FALL)
        (3,)
    """
    return tuple(y for y in w.others if y != w.greedy)


def change_of_rest(w: World) -> F:
    """Return the first-order change of the mass outside {y_w, y_l, y*}.

    Example:
        >>> change_of_rest(ALL_BUT_ONE_FALL)
        Fraction(7, 32)
    """
    return sum((w.change(y) for y in rest(w)), F(0))


def change_of_pair(w: World) -> F:
    """Return D_w + D_l."""
    return w.change(w.chosen) + w.change(w.rejected)


def greedy_rises(w: World) -> bool:
    """Return whether there is a y* outside the pair and its probability rises, to first order."""
    return w.greedy is not None and w.change(w.greedy) > 0


def displaced(source: random.Random) -> World:
    """Draw a world in which the chosen response falls: 3 to 6 responses, 1 or 2 features, a base measure.

    Example:
        >>> falls(displaced(random.Random(0)))
        True
    """
    return _displaced(source, source.randint(3, 6), source.randint(1, 2))


def displaced_of_three(source: random.Random) -> World:
    """Draw a world of three responses in which the chosen one falls."""
    return _displaced(source, 3, 1)


def _displaced(source: random.Random, n: int, k: int) -> World:
    while True:
        weights = [source.randint(1, 12) for _ in range(n)]
        phi = [[source.randint(-4, 4) for _ in range(k)] for _ in range(n)]
        d = [a - b for a, b in zip(phi[0], phi[1], strict=True)]
        drives = [sum(a * b for a, b in zip(row, d, strict=True)) for row in phi]
        # whole numbers first: most draws are thrown away
        if drives[0] * sum(weights) < sum(w * a for w, a in zip(weights, drives, strict=True)):
            return World.with_base(weights, phi)


@dataclass(frozen=True)
class Curved:
    """A policy with one parameter that is not log-linear: pi_y proportional to 2^(linear t + quadratic t^2), t = 0.

    Responses are chosen, rejected, and others; the step has learning rate x beta x urgency = log 2.
    """

    linear: tuple[int, ...]
    quadratic: tuple[int, ...]

    def start(self) -> World:
        """Return the world at t = 0."""
        return World.log_linear([[a] for a in self.linear], at=[1])

    def change(self, y: int) -> F:
        """Return the exact change of pi_y in the step, which ends at t = linear_w - linear_l.

        Example:
            >>> str(Curved((2, 3, 0), (0, 4, 0)).change(1))
            '11/39'
        """
        t = self.linear[0] - self.linear[1]
        weights = [F(2) ** (a * t + b * t * t) for a, b in zip(self.linear, self.quadratic, strict=True)]
        return weights[y] / sum(weights) - F(1, len(weights))


@claim(
    "jian2025.theorem-2-case-1-rejected",
    source="Theorem 2, case 1, first conclusion; Eqs. (51)-(54)",
    says=r"\Delta\pi_w<0\implies\Delta\pi_l\le 0",
    assumes="first order in the step, one pair, plain gradient descent",
    verdict=PROVED,
    proof=r"$D_w/\pi_w-D_l/\pi_l=\eta\beta\sigma(-z)\,\|g_w-g_l\|^2\ge 0$, so $D_w<0$ gives $D_l<0$. "
    "Corollary 2, on which the printed proof leans, is neither true nor needed.",
)
def case_1_rejected(evidence: Evidence) -> None:
    """If the chosen response falls, so does the rejected one."""

    def statement(w: World) -> bool:
        return w.change(w.rejected) < 0

    def more(w: World) -> bool:  # what Corollary 2 would add
        return w.change(w.rejected) <= w.change(w.chosen)

    evidence.holds(statement, displaced, control=more)


@claim(
    "jian2025.theorem-2-case-1-rejected-finite-step",
    source="Theorem 2, case 1, first conclusion, read as a statement about an actual update",
    says=r"\pi_{\theta+\Delta\theta}(y_w)<\pi_\theta(y_w)\implies\pi_{\theta+\Delta\theta}(y_l)\le\pi_\theta(y_l)",
    assumes="log-linear policy",
    verdict=CONDITIONALLY,
    because="At a finite step the curvature of the logits can lift the rejected response while the chosen one falls.",
    proof=r"For a log-linear policy $\log(\pi_w/\pi_l)$ grows by exactly $s\|\phi_w-\phi_l\|^2$ in a step of size $s$: "
    r"if $\pi_w$ does not rise, $\pi_l$ falls.",
    instead="jian2025.theorem-2-case-1-rejected",
)
def case_1_rejected_finite_step(evidence: Evidence) -> None:
    """Exact steps: true for log-linear policies, false for a logit with a quadratic term."""

    def statement(policy: Curved) -> bool:
        displaced = falls(policy.start()) and policy.change(0) < 0
        return not displaced or policy.change(1) <= 0

    def exact(w: World) -> bool:
        return w.exact_change(w.rejected, 2) <= 0

    def chosen_falls(w: World) -> bool:
        return w.exact_change(w.chosen, 2) < 0

    evidence.fails(statement, at=Curved((2, 3, 0), (0, 4, 0)), control=Curved((2, 3, 0), (0, 2, 0)))
    evidence.holds(exact, one_feature, given=chosen_falls, control=lambda w: exact(w) and greedy_rises(w), worlds=200)


@claim(
    "jian2025.theorem-2-case-1",
    source="Theorem 2, case 1; Eq. (59)",
    says=r"\Delta\pi_w<0\implies\Delta\pi(y^*)>0",
    assumes=r"$y^*\notin\{y_w,y_l\}$ and $|\sum_{y\notin\{y_w,y_l,y^*\}}D_y|<|D_w+D_l|$",
    verdict=CONDITIONALLY,
    because=r"The theorem does not state the assumption; its proof does, in words. Without it, all of the mass can go "
    r"to a response outside $\{y_w,y_l,y^*\}$ while $y^*$, the most probable of all, falls too.",
    proof=r"Conservation: $D_*=-(D_w+D_l)-\sum_{\mathrm{rest}}D_y$, and $D_w+D_l<0$.",
    instead=("jian2025.theorem-2-three-responses", "jian2025.mass-flow-log-linear"),
)
def case_1(evidence: Evidence) -> None:
    """Refuted by a pure log-linear policy with four responses, and by one feature with a base measure."""

    def statement(w: World) -> bool:
        return not falls(w) or greedy_rises(w)

    def all_of_it(w: World) -> bool:
        return w.greedy is not None and w.change(w.greedy) >= -change_of_pair(w)

    evidence.fails(statement, at=ALL_BUT_ONE_FALL, control=BOTH_FALL)
    evidence.fails(statement, at=ONE_FEATURE_FALL, control=BOTH_FALL)
    evidence.finds(statement, displaced, control=lambda w: change_of_rest(w) > 0 or greedy_rises(w))
    evidence.holds(
        statement,
        displaced,
        given=lambda w: abs(change_of_rest(w)) < abs(change_of_pair(w)),
        control=all_of_it,
    )


@claim(
    "jian2025.theorem-2-three-responses",
    source="Theorem 2, case 1, with three responses; not in the paper",
    says=r"|\mathcal Y|=3,\ \Delta\pi_w<0\implies\Delta\pi(y^*)=|\Delta\pi_w|+|\Delta\pi_l|>0",
    verdict=PROVED,
    proof="There is nowhere else to go: the three changes sum to 0, and the rejected response falls as well.",
)
def three_responses(evidence: Evidence) -> None:
    """With three responses the theorem's first case is true, for exact steps too."""

    def statement(w: World) -> bool:
        lost = abs(w.change(w.chosen)) + abs(w.change(w.rejected))
        return w.change(w.others[0]) == lost > 0 and w.exact_change(w.others[0], 2) > 0

    def twice_the_rejected(w: World) -> bool:  # what Corollary 2 would bound: D_l <= D_w < 0
        return w.change(w.others[0]) <= 2 * abs(w.change(w.rejected))

    evidence.holds(statement, displaced_of_three, control=twice_the_rejected, worlds=200)


@claim(
    "jian2025.theorem-2-greedy-in-pair",
    source=r"Theorem 2, with y* as it is defined there: the highest probability output",
    says=r"y^*=\arg\max_{y\in\mathcal Y}\pi(y),\ \Delta\pi_w<0\implies\Delta\pi(y^*)>0",
    verdict=FALSE,
    because=r"Nothing keeps $y^*$ from being $y_w$ itself, which falls by assumption. The proof means another $y^*$, "
    r"the next-highest output.",
    instead="jian2025.theorem-2-case-1",
)
def greedy_in_pair(evidence: Evidence) -> None:
    """The definition in the theorem makes its first case contradict itself."""

    def statement(w: World) -> bool:
        top = max(w.responses, key=lambda y: w.p[y])
        return not falls(w) or w.change(top) > 0

    evidence.fails(statement, at=CHOSEN_IS_GREEDY, control=World.with_base([1, 1, 2], [[2], [3], [0]]))


@claim(
    "jian2025.theorem-2-case-2",
    source="Theorem 2, case 2; Eqs. (60)-(63)",
    says=r"\Delta\pi_l<0\implies\Delta\pi_w>0\ \text{or}\ \Delta\pi(y^*)>0",
    assumes=r"$|\sum_{y\notin\{y_w,y_l,y^*\}}D_y|<|D_l|$, or a tabular softmax",
    verdict=CONDITIONALLY,
    because=r"All three of $y_w,y_l,y^*$ can fall at once, in favour of a fourth response.",
    proof=r"$D_w+D_*=-D_l-\sum_{\mathrm{rest}}D_y>0$, so one of the two is positive. Tabular: $D_w>0$ always.",
)
def case_2(evidence: Evidence) -> None:
    """The same world refutes case 2; its assumption, or a tabular softmax, saves it."""

    def statement(w: World) -> bool:
        return w.change(w.rejected) >= 0 or w.change(w.chosen) > 0 or greedy_rises(w)

    def rejected_falls(w: World) -> bool:
        return w.change(w.rejected) < 0

    evidence.fails(statement, at=ALL_BUT_ONE_FALL, control=BOTH_FALL)
    evidence.holds(
        statement,
        any_world,
        given=lambda w: rejected_falls(w) and abs(change_of_rest(w)) < abs(w.change(w.rejected)),
        control=lambda w: w.change(w.chosen) > 0,
    )
    evidence.holds(
        statement,
        tabular,
        role=CONDITIONAL,
        control=lambda w: w.change(w.rejected) >= 0 or greedy_rises(w),
    )


@claim(
    "jian2025.theorem-2-case-2-greedy",
    source=r"Theorem 2, case 2, end of the proof: the other branch",
    says=r"\Delta\pi_l<0,\ \pi(y^*)>\pi_w\implies\Delta\pi(y^*)>0",
    verdict=FALSE,
    because=r"The probability of $y^*$ scales its change but does not give its sign. In a tabular softmax $y^*$ "
    r"falls whenever $\pi_w>\pi_l$, however probable it is.",
    instead="jian2025.theorem-2-greedy-sign",
)
def case_2_greedy(evidence: Evidence) -> None:
    """A tabular softmax with three responses, and a log-linear policy with one parameter, refute it."""

    def statement(w: World) -> bool:
        greedy = w.greedy
        premise = greedy is not None and w.change(w.rejected) < 0 and w.p[greedy] > w.p[w.chosen]
        return not premise or greedy_rises(w)

    evidence.fails(
        statement, at=World.tabular([F(1, 3), F(1, 6), F(1, 2)]), control=World.tabular([F(1, 8), F(1, 4), F(5, 8)])
    )
    evidence.fails(statement, at=World.log_linear([[0], [2], [3]], at=[F(5, 4)]), control=BOTH_FALL)


@claim(
    "jian2025.theorem-2-greedy-sign",
    source="not in the paper; when y* rises",
    says=r"\Delta\pi(y^*)>0\iff g_*\cdot g_w>g_*\cdot g_l;\qquad\text{tabular: }\iff\pi_l>\pi_w",
    verdict=PROVED,
    assumes="first order in the step",
    proof=r"$D_y=\eta\beta\sigma(-z)\pi_y\,g_y\cdot(g_w-g_l)$ for every $y$; in a tabular softmax "
    r"$g_y\cdot(g_w-g_l)=\pi_l-\pi_w$ for every $y$ outside the pair.",
)
def greedy_sign(evidence: Evidence) -> None:
    """The sign of the change of y* is that of a difference of kernels; conservation gives an independent account."""

    def statement(w: World, sign: int = 1) -> bool:
        if w.greedy is None:
            return True
        rises = sum(w.change(y) for y in w.responses if y != w.greedy) < 0
        return rises == (w.kernel(w.greedy, w.chosen) > sign * w.kernel(w.greedy, w.rejected))

    def in_a_table(w: World, factor: int = 1) -> bool:
        return w.greedy is None or (w.change(w.greedy) > 0) == (w.p[w.rejected] > factor * w.p[w.chosen])

    evidence.holds(statement, any_world, control=lambda w: statement(w, sign=-1))
    evidence.holds(in_a_table, tabular, control=lambda w: in_a_table(w, factor=2))


@claim(
    "jian2025.theorem-2-case-2-primarily",
    source=r"Theorem 2, case 2, Eq. (65), with y* the next-highest output",
    says=r"\pi_w>\pi(y^*),\ \|g_w\|^2>g_w\cdot g_l\implies\Delta\pi_w>0,\ \Delta\pi_w\ge\Delta\pi(y^*)",
    verdict=FALSE,
    because=r"The condition (65) is equivalent to $D_w>0$ and says nothing of how much goes elsewhere: with features "
    r"$(1,0,2)$ a less probable $y^*$ gains more than $y_w$.",
    instead="jian2025.eq-65",
)
def case_2_primarily(evidence: Evidence) -> None:
    """The chosen response rises, yet most of the mass goes to y*."""

    def statement(w: World) -> bool:
        greedy, c = w.greedy, w.chosen
        if greedy is None or w.p[c] <= w.p[greedy] or w.squared_norm(c) <= w.kernel(c, w.rejected):
            return True
        return w.change(c) > 0 and w.change(c) >= w.change(greedy)

    evidence.fails(
        statement, at=World.log_linear([[1], [0], [2]], at=[F(1, 2)]), control=World.log_linear([[2], [0], [1]], at=[2])
    )
    evidence.holds(
        lambda w: w.change(w.chosen) > 0,
        any_world,
        given=lambda w: w.squared_norm(w.chosen) > w.kernel(w.chosen, w.rejected),
        role=ALSO,
        control=lambda w: all(w.change(w.chosen) >= w.change(y) for y in w.others),
    )
