"""Where (x1, x2) can be, where it starts and where it is driven, once it belongs to a policy and its reference."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, EMPTY, FALSE, PROVED, claim
from theory.evidence import ALSO, VACUOUS, Evidence, show
from theory.feng2024.ratios import BETA, LOSS, X1, X2, Point
from theory.worlds import World, any_world, base_measure, tabular

DISPLACED = World.log_linear([[1], [0], [3]], at=[1])
UNDISPLACED = World.with_base([1, 1, 1], [[1], [0], [-3]])
TINY_STEP = 1 + F(1, 2**100)  # e^(size of a step) so short that its sign is that of its first order


@dataclass(frozen=True)
class Reach:
    """Two ratios, and a reference with 1 / a and 1 / b on the pair and the rest elsewhere."""

    x1: F
    x2: F
    a: F
    b: F

    @property
    def policy(self) -> tuple[F, F, F]:
        """Return pi(y_w), pi(y_l) and what is left for the other responses: a policy if none is negative."""
        chosen, rejected = self.x1 / self.a, self.x2 / self.b
        return chosen, rejected, 1 - chosen - rejected

    @property
    def possible(self) -> bool:
        """Return whether there are such a reference and such a policy."""
        return min(self.policy) >= 0 and 1 / self.a + 1 / self.b <= 1

    def __str__(self) -> str:
        """Return the fields in numbers that can be checked by hand."""
        return show(vars(self))


def any_reach(source: random.Random) -> Reach:
    """Draw ratios from the box [0, a] x [0, b] of a reference over three responses."""
    q = [source.randint(1, 9) for _ in range(3)]
    a, b = F(sum(q), q[0]), F(sum(q), q[1])
    return Reach(a * F(source.randint(0, 9), 9), b * F(source.randint(0, 9), 9), a, b)


def moved(w: World, factor: F | int = 2) -> tuple[F, F]:
    """Return (x1, x2) after an exact step from theta = ref with e^(size of the step) = ``factor``."""
    after = w.after(factor)
    return after.p[w.chosen] / w.p[w.chosen], after.p[w.rejected] / w.p[w.rejected]


@claim(
    "feng2024.ratio-box",
    source="Section 3.1, after Corollary 1",
    says=r"x_1\in[0,a],\quad x_2\in[0,b],\qquad a=1/\mathrm{ref}_w\ge 1,\ b=1/\mathrm{ref}_l\ge 1",
    verdict=PROVED,
    because="True, but most of the box cannot be reached: see feng2024.ratio-triangle.",
    proof="A probability is at most 1.",
)
def ratio_box(evidence: Evidence) -> None:
    """Over exact steps of every kind of policy."""

    def boxed(w: World, slack: int = 1) -> bool:
        x1, x2 = moved(w)
        return slack * x1 * w.p[w.chosen] <= 1 and slack * x2 * w.p[w.rejected] <= 1

    evidence.holds(boxed, any_world, control=lambda w: boxed(w, 2))


@claim(
    "feng2024.ratio-triangle",
    source="not in the paper; completes the box of Section 3.1",
    says=r"(x_1,x_2)\text{ belongs to a policy}\iff x_1,x_2\ge 0\ \text{and}\ \frac{x_1}{a}+\frac{x_2}{b}\le 1",
    verdict=PROVED,
    proof=r"$\pi_w+\pi_l\le 1$; what is left over goes to the other responses.",
)
def ratio_triangle(evidence: Evidence) -> None:
    """Half of the box, seen from both sides: nothing else is possible, and a policy's steps stay in it."""
    evidence.holds(
        lambda r: r.possible == (r.x1 / r.a + r.x2 / r.b <= 1),
        any_reach,
        control=lambda r: r.possible == (r.x1 <= r.a and r.x2 <= r.b),
    )
    evidence.holds(
        lambda w: moved(w)[0] * w.p[w.chosen] + moved(w)[1] * w.p[w.rejected] <= 1,
        any_world,
        control=lambda w: moved(w)[0] * w.p[w.rejected] + moved(w)[1] * w.p[w.chosen] <= 1,
    )


@claim(
    "feng2024.footnote-2",
    source="Footnote 2; Section 3.2, before Figure 1",
    says=r"\mathrm{ref}_w=\mathrm{ref}_l=1:\quad(x_1,x_2)=(\pi_w,\pi_l)\in[0,1]^2\ \text{up to stretching}",
    verdict=FALSE,
    because="Two responses cannot both have reference probability 1, and half of the square, with the corner (1, 1) "
    "of the second regime, belongs to no policy. With a real reference the start is (1, 1) for every SFT model, so "
    "the figure's initial positions mean nothing for DPO. And a gradient does not stretch with its axes: where the "
    "references differ, the arrows in probabilities are no stretched image of those in ratios.",
    instead=("feng2024.ratio-triangle", "feng2024.start-gradient"),
)
def footnote_2(evidence: Evidence) -> None:
    """Four ways in which the figure is no picture of a policy."""

    def reference_exists(r: Reach) -> bool:
        return 1 / r.a + 1 / r.b <= 1

    def reached(r: Reach) -> bool:  # as probabilities of the pair, whatever the reference
        return min(r.policy) >= 0

    def starts_at_its_probabilities(reach: Reach) -> bool:  # theta = ref: pi = (1 / a, 1 / b)
        return (reach.x1, reach.x2) == (1 / reach.a, 1 / reach.b)

    def stretched(r: Reach) -> bool:  # beta = 1: slope of -grad in (pi_w, pi_l), and of the stretched arrow
        p = Point(r.x1, r.x2)
        return (p.d2 * r.b) / (p.d1 * r.a) == (p.d2 / r.b) / (p.d1 / r.a)

    one, half = F(1), F(1, 2)
    evidence.fails(reference_exists, at=Reach(one, one, one, one), control=Reach(one, one, F(2), F(2)))
    evidence.fails(reached, at=Reach(one, one, one, one), control=Reach(half, half, one, one))
    evidence.fails(
        starts_at_its_probabilities, at=Reach(one, one, F(10), F(5)), control=Reach(F(1, 10), F(1, 5), F(10), F(5))
    )
    evidence.fails(stretched, at=Reach(half, half, F(10), F(5)), control=Reach(half, half, F(5), F(5)))


@claim(
    "feng2024.start-gradient",
    source="not in the paper; replaces the initial positions of Section 3.3.2",
    says=r"\frac{\partial L}{\partial\pi_w}=-\frac{\beta}{2\,\mathrm{ref}_w},\quad"
    r"\frac{\partial L}{\partial\pi_l}=\frac{\beta}{2\,\mathrm{ref}_l}\qquad\text{at }\theta=\mathrm{ref}",
    verdict=PROVED,
    proof="The chain rule at $x_1=x_2=1$.",
)
def start_gradient(evidence: Evidence) -> None:
    """What the SFT model does decide: the gradient in probabilities at the start."""
    p, q, r, s = sp.symbols("p q r s", positive=True)
    loss = LOSS.subs({X1: p / r, X2: q / s}, simultaneous=True)

    def slopes(half: int = 2) -> bool:
        at = {p: r, q: s}
        left = sp.simplify(sp.diff(loss, p).subs(at) + BETA / (half * r))
        right = sp.simplify(sp.diff(loss, q).subs(at) - BETA / (half * s))
        return left == 0 and right == 0

    evidence.proves(slopes, control=lambda: slopes(1), by="SymPy: the gradient in (pi_w, pi_l) at pi = ref")


@claim(
    "feng2024.sft-sensitivity",
    source="Section 3.3.2, Limitation 2, with theta = ref at the start",
    says=r"\text{the initial position }(x_1,x_2)\text{ depends on the SFT model}",
    verdict=EMPTY,
    because="With the SFT model as reference, as DPO has it, the initial position is (1, 1) for every SFT model. It "
    "would mean something for a reference-free loss.",
    instead="feng2024.start-gradient",
)
def sft_sensitivity(evidence: Evidence) -> None:
    """Every SFT model starts at the same point, unless the reference is left out."""

    def same_start(w: World, *, reference: bool = True) -> bool:
        x1, x2 = moved(w, 1)  # a step of size 0 from theta = ref
        scale = (F(1), F(1)) if reference else (w.p[w.chosen], w.p[w.rejected])
        return x1 * scale[0] == 1 == x2 * scale[1]

    evidence.holds(same_start, any_world, role=VACUOUS, control=lambda w: same_start(w, reference=False))


def as_told(w: World) -> bool:
    """Return whether the chosen response is above its reference after a step from it, and the rejected one below."""
    x1, x2 = moved(w)
    return x1 > 1 > x2


@claim(
    "feng2024.levels",
    source="Section 3.1, after Corollary 1",
    says=r"\pi(y_w)>\frac1a,\qquad\pi(y_l)<\frac1b",
    assumes="tabular softmax, one pair, the flow started at the reference",
    verdict=CONDITIONALLY,
    because="x1 and x2 are treated as free. With shared parameters both can fall: with features 1 (chosen), 0, 3 the "
    "chosen response is below its reference from the first step on.",
    proof=r"A step multiplies the weights of the pair by $e^s$ and $e^{-s}$ and leaves the others alone.",
    instead=("feng2024.margin-rises", "feng2024.winner-rises-iff"),
)
def levels(evidence: Evidence) -> None:
    """True for a table, false on the ladder."""
    evidence.fails(as_told, at=DISPLACED, control=World.tabular([F(1, 3), F(1, 3), F(1, 3)]))
    evidence.finds(as_told, base_measure, control=lambda w: moved(w)[0] >= moved(w)[1])
    evidence.holds(
        as_told, any_world, given=lambda w: w.kind == "tabular softmax", control=lambda w: moved(w)[0] > F(3, 2)
    )


@claim(
    "feng2024.margin-rises",
    source="Section 3.1, after Corollary 1",
    says=r"x_2<x_1",
    assumes="one pair with different features, the flow of a log-linear policy started at the reference",
    verdict=PROVED,
    proof=r"$x_1/x_2$ is multiplied by $e^{s\|\phi_w-\phi_l\|^2}$, whatever the other responses do.",
)
def margin_rises(evidence: Evidence) -> None:
    """This part survives shared parameters."""

    def distance(w: World) -> F:
        pair = zip(w.features[w.chosen], w.features[w.rejected], strict=True)
        return sum(((a - b) ** 2 for a, b in pair), F(0))

    def rises(w: World) -> bool:
        x1, x2 = moved(w)
        return x1 > x2 if distance(w) else x1 == x2

    def exact(w: World, factor: int = 2) -> bool:
        x1, x2 = moved(w)
        return x1 / x2 == factor ** distance(w)

    evidence.holds(rises, any_world, control=lambda w: moved(w)[0] > 1 or moved(w)[1] < F(1, 2))
    evidence.holds(exact, any_world, control=lambda w: exact(w, 3))


@claim(
    "feng2024.winner-vanishes",
    source="not in the paper; the far end of the counterexample to Section 3.1",
    says=r"\phi=(1,0,3):\quad\frac{d\log\pi_w}{d\theta}\Big|_0=-\frac13,\qquad"
    r"\lim_{\theta\to\infty}\pi_w=0,\qquad x_2<x_1",
    verdict=PROVED,
    proof=r"$\pi_w=e^\theta/(1+e^\theta+e^{3\theta})$, and DPO moves $\theta$ up for ever.",
)
def winner_vanishes(evidence: Evidence) -> None:
    """The preferred response can vanish while DPO does all that it promises for the ratio."""
    theta = sp.Symbol("theta", real=True)

    def vanishes(third: int = 3) -> bool:
        weights = [sp.exp(theta), sp.Integer(1), sp.exp(third * theta)]
        return sp.limit(weights[0] / sum(weights), theta, sp.oo) == 0

    evidence.proves(vanishes, control=lambda: vanishes(-3), by="SymPy: the limit of pi_w")
    evidence.proves(
        lambda: DISPLACED.drive(0) == F(-1, 3), control=lambda: UNDISPLACED.drive(0) == F(-1, 3), by="exact drive"
    )
    x1, x2 = moved(DISPLACED, 10**6)
    evidence.proves(
        lambda: x2 < x1 < F(1, 10**10), control=lambda: x1 < x2, by="exact probabilities at theta = ln 10^6", role=ALSO
    )


@claim(
    "feng2024.similar-responses",
    source="Section 3.3.1, on literally similar responses",
    says=r"y_w\approx y_l\implies\frac{\partial L}{\partial x_2}\ \text{counteracts}\ \frac{\partial L}{\partial x_1}",
    verdict=EMPTY,
    because="How similar two responses are is no variable of the framework: L is a function of x1, x2 and beta, so two "
    "policies in which the preferred response moves opposite ways have the same point and the same field there.",
    instead="feng2024.winner-rises-iff",
)
def similar_responses(evidence: Evidence) -> None:
    """Same point, same field, opposite movement of the preferred response."""

    def blind(first: World, second: World) -> bool:
        points = [Point(w.p[w.chosen] / F(1, 3), w.p[w.rejected] / F(1, 3)) for w in (first, second)]
        same_field = points[0].d1 == points[1].d1 and points[0].d2 == points[1].d2
        return same_field and first.change(first.chosen) < 0 < second.change(second.chosen)

    evidence.proves(
        lambda: blind(DISPLACED, UNDISPLACED),
        control=lambda: blind(UNDISPLACED, UNDISPLACED),
        by="two exact worlds: features (1, 0, 3) and (1, 0, -3), uniform probabilities",
        role=VACUOUS,
    )


@claim(
    "feng2024.winner-rises-iff",
    source="not in the paper; what Section 3.3.1 wants to say",
    says=r"\frac{d}{dt}\log\pi_w>0\iff g_w\cdot g_l<\|g_w\|^2,\qquad g_y=\nabla_\theta\log\pi_y",
    verdict=PROVED,
    proof=r"$\frac{d}{dt}\log\pi_w=\beta\sigma(-z)\,g_w\cdot(g_w-g_l)$.",
)
def winner_rises_iff(evidence: Evidence) -> None:
    """The kernel decides; checked against exact, very short steps. Ties are left to the second order."""

    def statement(w: World, share: F = F(1)) -> bool:
        inner, norm = w.kernel(w.chosen, w.rejected), share * w.squared_norm(w.chosen)
        return inner == norm or (moved(w, TINY_STEP)[0] > 1) == (inner < norm)

    evidence.holds(statement, base_measure, control=lambda w: statement(w, F(1, 2)))
    evidence.holds(statement, tabular, role=ALSO, control=lambda w: statement(w, F(-1, 2)), worlds=100)
