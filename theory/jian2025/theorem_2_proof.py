"""The proof of Theorem 2, equation by equation: conservation, the general change, and what happens to the rest."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction as F
from typing import Any

from theory.claim import CONDITIONALLY, EMPTY, FALSE, FIRST_ORDER, MISPRINT, PROVED, claim
from theory.evidence import ALSO, CORRECTED, VACUOUS, Evidence
from theory.jian2025.cases import BOTH_FALL, ladder
from theory.jian2025.finite_step import residual
from theory.jian2025.theorem_2 import (
    ALL_BUT_ONE_FALL,
    change_of_pair,
    change_of_rest,
    displaced,
    falls,
    greedy_rises,
    rest,
)
from theory.worlds import World, any_world, log_linear, tabular

# the rest has mass 1/100, and more of the change than everything else together
SMALL_BUT_STEEP = World.with_base([25, 25, 49, 1], [[1], [2], [1], [-124]])


@dataclass(frozen=True)
class Response:
    """One response of a world."""

    world: World
    y: int

    def __str__(self) -> str:
        """Return the world and the index."""
        return f"{self.world}\nresponse {self.y}"


def response(source: random.Random) -> Response:
    """Draw a world of any kind and one of its responses."""
    world = any_world(source)
    return Response(world, source.choice(world.responses))


@claim(
    "jian2025.eq-53",
    source=r"Proof of Theorem 2, between Eqs. (53) and (54): even if this condition does not hold",
    says=r"\Delta\pi_w<0\ \text{and}\ \|g_w\|\ge\|g_l\|\implies\Delta\pi_l\le 0",
    verdict=EMPTY,
    because=r"The case does not exist: $D_w<0$ means $\|g_w\|^2<g_w\cdot g_l\le\|g_w\|\,\|g_l\|$, hence "
    r"$\|g_w\|<\|g_l\|$.",
    instead="jian2025.theorem-2-case-1-rejected",
)
def eq_53(evidence: Evidence) -> None:
    """The branch for which the proof calls on Corollary 2 is empty."""

    def no_such_world(w: World, factor: int = 1) -> bool:
        return factor * w.squared_norm(w.chosen) < w.squared_norm(w.rejected)

    evidence.holds(no_such_world, displaced, role=VACUOUS, control=lambda w: no_such_world(w, factor=2))


@claim(
    "jian2025.eq-54",
    source="Proof of Theorem 2, Eq. (54) and the line after it",
    says=r"\Delta\pi_w<0\implies\Delta\pi_l\le\Delta\pi_w<0",
    verdict=FALSE,
    because="It is Corollary 2. Both fall, but the chosen one may fall more. That the rejected response falls is "
    "right, for another reason.",
    instead=("jian2025.theorem-2-case-1-rejected", "jian2025.log-margin"),
)
def eq_54(evidence: Evidence) -> None:
    """The ladder at e^theta = 3: -24 against -21."""

    def statement(w: World) -> bool:
        return not falls(w) or w.change(w.rejected) <= w.change(w.chosen)

    evidence.fails(statement, at=ladder(3), control=ladder(2))
    evidence.finds(statement, displaced, control=lambda w: w.drive(w.rejected) <= w.drive(w.chosen))


@claim(
    "jian2025.eq-55",
    source="Eq. (55)",
    says=r"\sum_{y\in\mathcal Y}\Delta\pi(y)=0",
    verdict=PROVED,
    proof=r"Exact changes: both policies sum to 1. First order: $\sum_y\pi_y g_y=\nabla\sum_y\pi_y=0$.",
)
def eq_55(evidence: Evidence) -> None:
    """Mass is conserved, also by the first-order changes."""
    evidence.holds(
        lambda w: sum(w.change(y) for y in w.responses) == 0,
        any_world,
        control=lambda w: sum(w.drive(y) for y in w.responses) == 0,
    )


@claim(
    "jian2025.eq-56",
    source="Eqs. (56) and (62)",
    says=r"\Delta\pi_w<0\implies\sum_{y\notin\{y_w,y_l\}}\Delta\pi_y=-(\Delta\pi_w+\Delta\pi_l)>0;\qquad"
    r"\Delta\pi_l<0\implies\sum_{y\ne y_l}\Delta\pi_y=-\Delta\pi_l>0",
    verdict=PROVED,
    proof="Conservation, and in the first case that the rejected response falls as well.",
)
def eq_56(evidence: Evidence) -> None:
    """What the pair loses, the others gain together."""

    def others_gain(w: World) -> bool:
        return sum(w.change(y) for y in w.others) == -change_of_pair(w) > 0

    def all_but_rejected(w: World) -> bool:
        loss = w.change(w.rejected)
        return loss >= 0 or sum(w.change(y) for y in w.responses if y != w.rejected) == -loss

    evidence.holds(others_gain, displaced, control=lambda w: all(w.change(y) > 0 for y in w.others))
    evidence.holds(all_but_rejected, any_world, control=lambda w: w.change(w.rejected) >= 0 or w.change(w.chosen) > 0)


@claim(
    "jian2025.eq-57",
    source="Eq. (57), second line",
    says=r"\Delta\pi(y)=\eta\beta(1-\sigma(z))\,\pi(y)\bigl((g_y\cdot g_w-g_l)\cdot g_l\bigr)",
    verdict=MISPRINT,
    because=r"A parenthesis is misplaced and a factor repeated. As printed a vector is subtracted from a number: "
    r"this has a meaning with one parameter only, and is false there. It should read $g_y\cdot g_w-g_y\cdot g_l$.",
)
def eq_57(evidence: Evidence) -> None:
    """With one parameter the printed line can be evaluated; the mended one follows from the first line."""

    def printed(case: Response) -> bool:
        w, y = case.world, case.y
        ((a,), (b,), (c,)) = (w.scores[i] for i in (y, w.chosen, w.rejected))
        return w.change(y) == w.p[y] * (a * b - c) * c

    def mended(case: Response, sign: int = -1) -> bool:
        w, y = case.world, case.y
        return w.change(y) == w.p[y] * (w.kernel(y, w.chosen) + sign * w.kernel(y, w.rejected))

    unit_rejected = World.with_base([1, 1, 1], [[0], [1], [-1]])  # g_l = 1, and y = l: there the two lines agree
    evidence.fails(printed, at=Response(ladder(3), 0), control=Response(unit_rejected, 1))
    evidence.holds(mended, response, role=CORRECTED, control=lambda case: mended(case, sign=1))
    w = BOTH_FALL
    kernels = [w.p[0] * (w.kernel(0, w.chosen) - w.kernel(0, w.rejected)), w.p[0] * w.kernel(0, w.chosen)]
    off, off_without = (residual(w, (0,), k) for k in kernels)
    evidence.slope(off, 2, role=CORRECTED, control=off_without)


@claim(
    "jian2025.eq-58",
    source="Eq. (58)",
    says=r"\Delta\Bigl[\sum_{y\notin\{y_w,y_l,y^*\}}\pi(y)\Bigr]=\eta\beta(1-\sigma(z))"
    r"\sum_{y\notin\{y_w,y_l,y^*\}}\pi(y)\,\bigl(g_y\cdot g_w-g_y\cdot g_l\bigr)",
    verdict=FIRST_ORDER,
    proof=r"The first line of Eq. (57), summed; the remainder is of second order in the step.",
)
def eq_58(evidence: Evidence) -> None:
    """Equality fails for a finite step, the residual vanishes with the square of its size."""

    def printed(w: World) -> bool:  # if it were an equality, twice the step would be twice the change
        once, twice = (sum(w.exact_change(y, factor) for y in rest(w)) for factor in (2, 4))
        return twice == 2 * once

    still = World.log_linear([[0, 0], [0, 0], [1, 0], [0, 1]], at=[1, 1])  # g_w = g_l: nothing moves
    evidence.fails(printed, at=ALL_BUT_ONE_FALL, control=still)
    rate, left = change_of_rest(ALL_BUT_ONE_FALL), rest(ALL_BUT_ONE_FALL)
    evidence.slope(residual(ALL_BUT_ONE_FALL, left, rate), 2, control=residual(ALL_BUT_ONE_FALL, left, rate * F(9, 10)))
    evidence.holds(
        lambda w: w.greedy is None or change_of_rest(w) == -change_of_pair(w) - w.change(w.greedy),
        any_world,
        role=ALSO,
        control=lambda w: w.greedy is None or change_of_rest(w) == -change_of_pair(w),
    )


def reach(w: World) -> F:
    """Return an upper bound of what the rest can move: its mass times the largest |g_y . (g_w - g_l)| in it.

    Example:
        >>> str(reach(SMALL_BUT_STEEP))
        '31/25'
    """
    return sum((w.p[y] for y in rest(w)), F(0)) * max((abs(w.drive(y)) for y in rest(w)), default=F(0))


@claim(
    "jian2025.eq-59",
    source="Eq. (59), and Eq. (63) with the same assumption",
    says=r"\pi(y)\approx 0\ \text{for}\ y\notin\{y_w,y_l,y^*\}\implies"
    r"\Delta\pi(y^*)\approx-(\Delta\pi_w+\Delta\pi_l)>0",
    assumes=r"$r\,\max_y|g_y\cdot(g_w-g_l)|<|\pi_wA_w+\pi_lA_l|$, where $r$ is the mass outside $\{y_w,y_l,y^*\}$ and "
    "$y$ runs over it: the second half of the paper's assumption, low similarity, with a number",
    verdict=CONDITIONALLY,
    because=r"A small probability does not bound a score: $\sum_y\pi_yg_y=0$ lets rare responses have large ones. "
    r"A rest of mass 1/100 can gain all that $y_w$, $y_l$ and $y^*$ lose.",
    proof="Eq. (55) and the triangle inequality.",
    instead="jian2025.eq-59-bound",
)
def eq_59(evidence: Evidence) -> None:
    """Small probabilities alone are not enough; with a bound on the drives of the rest they are."""

    def statement(w: World, small: F = F(1, 20)) -> bool:
        negligible = sum(w.p[y] for y in rest(w)) <= small
        return not (negligible and falls(w)) or greedy_rises(w)

    def without_base(case: dict[str, Any]) -> bool:
        return statement(World.log_linear([[phi] for phi in case["features"]], at=[case["e^theta"]]))

    def all_of_it(w: World) -> bool:
        return w.greedy is not None and w.change(w.greedy) >= -change_of_pair(w)

    evidence.fails(statement, at=SMALL_BUT_STEEP, control=BOTH_FALL)
    evidence.fails(
        without_base,
        at={"features": (0, 1, 2, -37), "e^theta": F(21, 20)},
        control={"features": (2, 3, 0, -4), "e^theta": F(2)},
    )
    evidence.holds(greedy_rises, displaced, given=lambda w: reach(w) < -change_of_pair(w), control=all_of_it)


@claim(
    "jian2025.eq-59-bound",
    source="not in the paper; Eqs. (59) and (63) with an error bound",
    says=r"|D_*+D_w+D_l|\le\eta\beta\sigma(-z)\;r\,G\,\|g_w-g_l\|,\qquad r=\sum_{\mathrm{rest}}\pi_y,\ "
    r"G=\max_{\mathrm{rest}}\|g_y\|",
    verdict=PROVED,
    proof=r"$D_*+D_w+D_l=-\sum_{\mathrm{rest}}D_y$ and Cauchy-Schwarz, term by term.",
)
def eq_59_bound(evidence: Evidence) -> None:
    """Squares of both sides, exactly; without the mass or without the score it is no bound."""

    def sides(w: World) -> tuple[F, F, F, F]:
        c, r = w.chosen, w.rejected
        mass = sum((w.p[y] for y in rest(w)), F(0))
        steepest = max((w.squared_norm(y) for y in rest(w)), default=F(0))
        distance = w.squared_norm(c) - 2 * w.kernel(c, r) + w.squared_norm(r)
        star = w.change(w.greedy) if w.greedy is not None else F(0)
        return (star + change_of_pair(w)) ** 2, mass**2, steepest, distance

    def statement(w: World) -> bool:
        left, mass, steepest, distance = sides(w)
        return left <= mass * steepest * distance

    def without_score(w: World) -> bool:
        left, mass, _, distance = sides(w)
        return left <= mass * distance

    evidence.holds(statement, any_world, control=without_score)
    evidence.holds(
        lambda w: abs(change_of_rest(w)) <= reach(w),
        any_world,
        control=lambda w: abs(change_of_rest(w)) <= reach(w) / 2,
    )


@dataclass(frozen=True)
class Clipped:
    """A step with the gradient clipped to a largest norm, in units of beta x urgency; one parameter."""

    world: World
    largest: F

    def __str__(self) -> str:
        """Return the largest norm and the world."""
        return f"gradient clipped to norm {self.largest}\n{self.world}"

    def change(self, y: int) -> F:
        """Return the first-order change of pi(y) per unit of learning rate."""
        w = self.world
        ((d,),) = [tuple(a - b for a, b in zip(w.scores[w.chosen], w.scores[w.rejected], strict=True))]
        kept = min(F(1), self.largest / abs(d))
        return w.p[y] * w.scores[y][0] * d * kept


@claim(
    "jian2025.eq-59-clipping",
    source="Proof of Theorem 2, between Eqs. (58) and (59): the assumption is reasonable because of gradient clipping",
    says=r"\text{gradients clipped}\implies"
    r"\Bigl|\sum_{y\notin\{y_w,y_l,y^*\}}\Delta\pi(y)\Bigr|<|\Delta\pi_w+\Delta\pi_l|",
    verdict=FALSE,
    because="Clipping multiplies the whole step by one number: all changes shrink alike, and their proportions stay.",
    instead="jian2025.eq-59-bound",
)
def eq_59_clipping(evidence: Evidence) -> None:
    """However hard the gradient is clipped, the rest moves more than the pair."""

    def statement(step: Clipped) -> bool:
        moved = sum((step.change(y) for y in rest(step.world)), F(0))
        return abs(moved) < abs(step.change(step.world.chosen) + step.change(step.world.rejected))

    evidence.fails(statement, at=Clipped(SMALL_BUT_STEEP, F(1, 1000)), control=Clipped(BOTH_FALL, F(1, 1000)))


@claim(
    "jian2025.eq-64",
    source="Eq. (64), second line",
    says=r"\Delta\pi(y^*)=\eta\beta(1-\sigma(z))\,\pi(y^*)\bigl(\|g_*\|^2-g_*\cdot g_l\bigr)",
    verdict=MISPRINT,
    because=r"The line of $y_w$ with $y^*$ put in everywhere. It should read $g_*\cdot g_w-g_*\cdot g_l$. In a tabular "
    r"softmax the printed form is always positive: it has the wrong sign whenever $\pi_w>\pi_l$.",
)
def eq_64(evidence: Evidence) -> None:
    """A tabular softmax: the true change is -1/12, the printed one +1/3."""
    w = World.tabular([F(1, 3), F(1, 6), F(1, 2)])

    def printed(w: World) -> bool:
        y = w.others[0] if w.greedy is None else w.greedy
        return w.change(y) == w.p[y] * (w.squared_norm(y) - w.kernel(y, w.rejected))

    def closed_form(w: World, sign: int = 1) -> bool:  # what the mended line becomes in a table
        y = w.greedy
        if y is None:
            return True
        mended = w.p[y] * (w.kernel(y, w.chosen) - w.kernel(y, w.rejected))
        return mended == sign * w.p[y] * (w.p[w.rejected] - w.p[w.chosen])

    like_the_chosen = World.with_base([1, 1, 2], [[1], [0], [1]])  # g_* = g_w: there the two agree
    evidence.fails(printed, at=w, control=like_the_chosen)
    evidence.holds(closed_form, tabular, role=CORRECTED, control=lambda w: closed_form(w, sign=-1))
    predictions = [w.p[2] * (k - w.kernel(2, 1)) for k in (w.kernel(2, 0), w.squared_norm(2))]
    off, off_printed = (residual(w, (2,), prediction) for prediction in predictions)
    evidence.slope(off, 2, role=CORRECTED, control=off_printed)
    evidence.holds(
        lambda w: w.greedy is None or w.squared_norm(w.greedy) > w.kernel(w.greedy, w.rejected),
        tabular,
        role=ALSO,
        control=lambda w: w.greedy is None or w.kernel(w.greedy, w.chosen) > w.kernel(w.greedy, w.rejected),
    )


@claim(
    "jian2025.eq-65",
    source="Eq. (65)",
    says=r"\|g_w\|^2>g_w\cdot g_l\iff\Delta\pi_w>0",
    assumes="first order in the step",
    verdict=PROVED,
    proof=r"Theorem 1: $D_w=\eta\beta\sigma(-z)\pi_w\,(\|g_w\|^2-g_w\cdot g_l)$.",
)
def eq_65(evidence: Evidence) -> None:
    """The sign of D_w, from all the other changes: they sum to -D_w."""

    def statement(w: World, rejected: bool = False) -> bool:
        c = w.rejected if rejected else w.chosen
        others_lose = sum(w.change(y) for y in w.responses if y != w.chosen) < 0
        return others_lose == (w.squared_norm(c) > w.kernel(w.chosen, w.rejected))

    evidence.holds(statement, any_world, control=lambda w: statement(w, rejected=True))


@claim(
    "jian2025.eq-65-most-probable",
    source=r"Proof of Theorem 2, before Eq. (65), with y* the highest probability output of the theorem",
    says=r"\pi_w>\pi(y^*),\ \|g_w\|^2>g_w\cdot g_l\implies\text{mass primarily flows to }y_w",
    verdict=EMPTY,
    because=r"No response is more probable than the most probable one. With the proof's other $y^*$, the next-highest "
    "output, the condition can be met, and the conclusion is false.",
    instead="jian2025.eq-65",
)
def eq_65_most_probable(evidence: Evidence) -> None:
    """The premise contradicts the definition of y*."""
    evidence.holds(
        lambda w: not w.p[w.chosen] > max(w.p),
        log_linear,
        role=VACUOUS,
        control=lambda w: w.greedy is None or not w.p[w.chosen] > w.p[w.greedy],
    )
