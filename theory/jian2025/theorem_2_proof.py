"""The proof of Theorem 2, equation by equation: conservation, the general change, and what happens to the rest."""

from __future__ import annotations

import random
from fractions import Fraction as F
from typing import NamedTuple

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
SMALL_BUT_STEEP_PURE = World.log_linear([[0], [1], [2], [-5000]], at=[F(1001, 1000)])


class Response(NamedTuple):
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
    because=r"The case does not exist: $D_w<0$ means $\|g_w\|^2<g_w\cdot g_l\le\|g_w\|\,\|g_l\|$, hence $\|g_w\|<\|g_l\|$.",
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
    because="It is Corollary 2. Both fall, but the chosen one may fall more: the conclusion of the line, that the rejected "
    "response falls, is right for another reason.",
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
    evidence.holds(
        all_but_rejected, any_world, control=lambda w: w.change(w.rejected) >= 0 or w.change(w.chosen) > 0
    )


@claim(
    "jian2025.eq-57",
    source="Eq. (57), second line",
    says=r"\Delta\pi(y)=\eta\beta(1-\sigma(z))\,\pi(y)\bigl((g_y\cdot g_w-g_l)\cdot g_l\bigr)",
    verdict=MISPRINT,
    because=r"A parenthesis is misplaced and a factor repeated. As printed a vector is subtracted from a number, which means "
    r"something only with one parameter, and is false there. It should read $g_y\cdot g_w-g_y\cdot g_l$.",
)
def eq_57(evidence: Evidence) -> None:
    """With one parameter the printed line can be evaluated; the mended one follows from the first line."""

    def printed(case: Response) -> bool:
        w, y = case
        ((a,), (b,), (c,)) = (w.scores[i] for i in (y, w.chosen, w.rejected))
        return w.change(y) == w.p[y] * (a * b - c) * c

    def mended(case: Response, sign: int = -1) -> bool:
        w, y = case
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

    def exactly(case: tuple[World, F]) -> bool:  # a step of size log 2 > 1/2 changes the mass by more than half the rate
        w, size = case
        return sum(w.exact_change(y, 2) for y in rest(w)) == size * change_of_rest(w)

    # g_w = g_l: nothing moves, and the printed equality is exact
    still = World.log_linear([[0, 0], [0, 0], [1, 0], [0, 1]], at=[1, 1])
    evidence.fails(exactly, at=(ALL_BUT_ONE_FALL, F(1, 2)), control=(still, F(1, 2)))
    rate, left = change_of_rest(ALL_BUT_ONE_FALL), rest(ALL_BUT_ONE_FALL)
    evidence.slope(
        residual(ALL_BUT_ONE_FALL, left, rate), 2, control=residual(ALL_BUT_ONE_FALL, left, rate * F(9, 10))
    )
    evidence.holds(
        lambda w: w.greedy is None or change_of_rest(w) == -change_of_pair(w) - w.change(w.greedy),
        any_world,
        role=ALSO,
        control=lambda w: w.greedy is None or change_of_rest(w) == -change_of_pair(w),
    )


def attention(w: World) -> F:
    """Return an upper bound of what the rest can move: its mass times its largest drive."""
    return sum((w.p[y] for y in rest(w)), F(0)) * max((abs(w.drive(y)) for y in rest(w)), default=F(0))
