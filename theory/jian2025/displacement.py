"""When the chosen response falls (likelihood displacement), and how a run on one pair goes: Figs. 1a, 1b, exactly."""

from __future__ import annotations

import random
from fractions import Fraction as F

import sympy as sp

from theory.claim import PROVED, claim
from theory.evidence import ALSO, HOLDS, Evidence
from theory.jian2025.cases import BOTH_FALL, BOTH_RISE, any_or_similar, ladder, similar_pair
from theory.worlds import World, any_world, base_measure, dot, log_linear, one_feature

TINY = F(1, 10**12)
FAR = 10**12


@claim(
    "jian2025.displacement-condition",
    source="Theorem 2, case 1, Eq. (52)",
    says=r"D_w<0\iff\|g_w\|^2<g_w\cdot g_l",
    assumes=r"first-order changes; for a log-linear policy the right side is $(\phi_w-E\phi)\cdot(\phi_w-\phi_l)<0$",
    verdict=PROVED,
    proof="Theorem 1; the prefactor is positive.",
)
def displacement_condition(evidence: Evidence) -> None:
    """Against exact steps of size 1e-12, and from the features."""

    def decides(w: World, tilt: F = F(1)) -> bool:
        inner, square = w.kernel(w.chosen, w.rejected), w.squared_norm(w.chosen)
        if inner == square:  # the first order is silent
            return True
        return (w.exact_change(w.chosen, 1 + TINY) < 0) == (square < tilt * inner)

    def from_features(w: World, centre: bool = True) -> bool:
        mean = [dot(w.p, column) for column in zip(*w.features, strict=True)]
        phi_w = w.features[w.chosen]
        score = [a - m if centre else a for a, m in zip(phi_w, mean, strict=True)]
        d = [a - b for a, b in zip(phi_w, w.features[w.rejected], strict=True)]
        return (w.change(w.chosen) < 0) == (dot(score, d) < 0)

    evidence.holds(decides, any_or_similar, control=lambda w: decides(w, tilt=F(1, 2)), worlds=200)
    evidence.holds(from_features, any_or_similar, control=lambda w: from_features(w, centre=False))


def two_or_three(source: random.Random) -> World:
    """Draw a similar pair with or without the third response."""
    w = similar_pair(source)
    return w if source.random() < 0.5 else World.with_base(w.p[:2], w.features[:2])


@claim(
    "jian2025.displacement-two-responses",
    source="not in the paper",
    says=r"|\mathcal{Y}|=2\ \Rightarrow\ D_w\ge 0\ge D_l,\ \text{and}\ \Delta_w\ge 0\ \text{for every step of a "
    r"log-linear policy}",
    verdict=PROVED,
    proof=r"$\pi_wg_w=-\pi_lg_l$, so $g_w\cdot g_l\le 0$; the log-odds grow.",
)
def never_with_two(evidence: Evidence) -> None:
    """Two responses cannot both fall; three can."""

    def apart(w: World, at_most: int = 2) -> bool:
        if len(w.p) > at_most:
            return True
        steps = [w.exact_change(w.chosen, f) for f in (F(3, 2), 100)]
        return w.change(w.chosen) >= 0 >= w.change(w.rejected) and min(steps) >= 0

    evidence.holds(apart, two_or_three, control=lambda w: apart(w, at_most=3))


@claim(
    "jian2025.displacement-uniform",
    source="not in the paper; one parameter, three equally probable responses",
    says=r"\pi=\tfrac13,\ \phi_w=1,\ \phi_l=t,\ \phi_*=0:\qquad D_w<0\iff 1<t<2",
    assumes="first-order change",
    verdict=PROVED,
    proof=r"$A_w=\frac13(2-t)(1-t)$.",
)
def uniform_triple(evidence: Evidence) -> None:
    """The factorised drive by SymPy, and exact worlds over a grid of t."""
    t = sp.symbols("t", real=True)

    def drive_is(closed_form: sp.Expr) -> bool:
        return sp.expand((1 - (1 + t) / 3) * (1 - t) - closed_form) == 0

    def interval(value: F, upper: int = 2) -> bool:
        w = World.with_base([1, 1, 1], [[1], [value], [0]])
        return (w.change(w.chosen) < 0) == (1 < value < upper)

    evidence.proves(
        lambda: drive_is((2 - t) * (1 - t) / 3), control=lambda: drive_is((2 - t) * (1 + t) / 3), by="SymPy, the drive"
    )
    evidence.holds(interval, eighths, control=lambda value: interval(value, upper=3))


def eighths(source: random.Random) -> F:
    """Draw a multiple of 1/8 in [-2, 4]."""
    return F(source.randint(-16, 32), 8)


@claim(
    "jian2025.displacement-smallest",
    source="not in the paper; the smallest example of displacement",
    says=r"\pi=\tfrac13,\ (\phi_w,\phi_l,\phi_*)=(2,3,0):\quad D=\bigl(-\tfrac19,-\tfrac49,\tfrac59\bigr),\quad"
    r"\Delta_w<0\ \text{for every step size},\quad \pi_*\to 1\ \text{in training to convergence}",
    verdict=PROVED,
    proof=r"With $x=e^{-s}$, $\pi_w(s)=x^2/(1+x^2+x^3)<\frac13$ iff $(1-x)(1+x-x^2)>0$, which holds for $0<x<1$.",
)
def smallest(evidence: Evidence) -> None:
    """First order, every step size by SymPy, and the limit."""
    x = sp.symbols("x", positive=True)

    def first_order(w: World) -> bool:
        return [w.change(y) for y in w.responses] == [F(-1, 9), F(-4, 9), F(5, 9)]

    def every_size(power_w: int, power_l: int) -> bool:
        fall = sp.together(sp.Rational(1, 3) - x**power_w / (1 + x**power_w + x**power_l))
        inside = [sp.Rational(k, 20) for k in range(1, 20)]
        roots = [root for root in sp.real_roots(sp.numer(fall)) if 0 < root < 1]
        return not roots and all(fall.subs(x, value) > 0 for value in inside)

    def limit(w: World) -> bool:
        return w.after(FAR).p[2] > 1 - F(1, 10**9)

    evidence.proves(lambda: first_order(BOTH_FALL), control=lambda: first_order(BOTH_RISE), by="exact evaluation")
    # with features (2, 9, 0) the chosen response rises first, since 9 / 2 lies outside jian2025.displacement-uniform
    evidence.proves(
        lambda: every_size(2, 3), control=lambda: every_size(2, 9), by="SymPy, no root of a polynomial in (0, 1)"
    )
    evidence.proves(lambda: limit(BOTH_FALL), control=lambda: limit(BOTH_RISE), by="exact evaluation of a long step")


@claim(
    "jian2025.displacement-ladder",
    source="not in the paper; a policy with one parameter that runs through all cases",
    says=r"\phi=(1,0,2),\ x=e^\theta,\ Z=1+x+x^2:\quad A_w=\frac{1-x^2}{Z},\quad A_l=-\frac{x+2x^2}{Z},\quad"
    r"\frac{D_w-D_l}{s}=\frac{x(2+2x-x^2)}{Z^2}",
    verdict=PROVED,
    because=r"The rejected response always falls, the chosen one for $x>1$, and for $x>1+\sqrt3$ it falls more.",
    proof="Insert.",
)
def ladder_policy(evidence: Evidence) -> None:
    """The closed forms by SymPy, the two thresholds in exact worlds."""
    x = sp.symbols("x", positive=True)
    weights = [x, sp.Integer(1), x**2]
    z = sum(weights)
    mean = (x + 2 * x**2) / z

    def closed_forms(chosen: sp.Expr, rejected: sp.Expr, gap: sp.Expr) -> bool:
        drives = [1 - mean, -mean]
        difference = (weights[0] * drives[0] - weights[1] * drives[1]) / z
        pairs = ((drives[0], chosen), (drives[1], rejected), (difference, gap))
        return all(sp.simplify(a - b) == 0 for a, b in pairs)

    def thresholds(value: F, first: int = 1) -> bool:
        w = ladder(value)
        difference = w.change(w.chosen) - w.change(w.rejected)
        beyond = value > 1 and (value - 1) ** 2 > 3
        return (w.change(w.chosen) < 0) == (value > first) and (difference < 0) == beyond and w.change(w.rejected) < 0

    printed = ((1 - x**2) / z, -(x + 2 * x**2) / z, x * (2 + 2 * x - x**2) / z**2)
    wrong = (*printed[:2], x * (2 + 2 * x + x**2) / z**2)
    evidence.proves(lambda: closed_forms(*printed), control=lambda: closed_forms(*wrong), by="SymPy")
    evidence.holds(thresholds, positive_eighths, control=lambda value: thresholds(value, first=2))


def overtaken(source: random.Random) -> World:
    """Draw any world, or one in which a rare third response lies beyond the chosen one and wins in the end."""
    if source.random() < 0.5:
        return one_feature(source)
    pair = [source.randint(1, 12), source.randint(10, 90)]
    return World.with_base([*pair, source.randint(1, 3)], [[1], [0], [source.randint(2, 4)]])


def positive_eighths(source: random.Random) -> F:
    """Draw a multiple of 1/8 in (0, 5]."""
    return F(source.randint(1, 40), 8)


@claim(
    "jian2025.log-linear-path",
    source="not in the paper; the shape of the curves in Figs. 1a and 1b",
    says=r"s\mapsto A_y(s)\ \text{does not increase},\quad\log\pi_y(s)\ \text{is concave},\quad"
    r"\Delta_w<0\ \text{once}\Rightarrow\Delta_w<0\ \text{from then on}",
    assumes="a log-linear policy, one pair, any step sizes; s the length of the path so far; any response y",
    verdict=PROVED,
    proof=r"$\frac{d}{ds}\log\pi_y=A_y=\phi_y\cdot d-E_s[\phi\cdot d]$ and $\frac{d}{ds}E_s[\phi\cdot d]="
    r"\mathrm{Var}_s(\phi\cdot d)\ge 0$. So $\log\pi_w$ rises, then falls, and its peak is where $A_w=0$.",
)
def path(evidence: Evidence) -> None:
    """Three points of every path: drives, concavity, and no way back."""

    def drives_fall(w: World, in_probability: bool = False) -> bool:
        points = [w, w.after(F(3, 2)), w.after(F(9, 4))]
        series = [[v.change(y) if in_probability else v.drive(y) for v in points] for y in w.responses]
        return all(a >= b >= c for a, b, c in series)

    def concave(w: World, flip: int = 1) -> bool:
        p, q, r = w.p, w.after(F(3, 2)).p, w.after(F(9, 4)).p
        return all(flip * (q[y] ** 2 - p[y] * r[y]) >= 0 for y in w.responses)

    def no_way_back(w: World, flip: int = 1) -> bool:
        p = [flip * v.p[v.chosen] for v in (w, w.after(F(3, 2)), w.after(1000))]
        return p[1] >= p[0] or p[2] < p[1]

    evidence.holds(drives_fall, any_world, control=lambda w: drives_fall(w, in_probability=True), worlds=200)
    evidence.holds(concave, any_world, control=lambda w: concave(w, flip=-1), worlds=200)
    evidence.holds(no_way_back, overtaken, control=lambda w: no_way_back(w, flip=-1), worlds=200)


@claim(
    "jian2025.displacement-limit",
    source="not in the paper; where a long run on one pair ends",
    says=r"\lim_{s\to\infty}\pi_y>0\iff y\in\arg\max_y\phi_y\cdot(\phi_w-\phi_l),\qquad"
    r"\pi_l\to 0,\qquad\pi_w\to 0\iff y_w\notin\arg\max_y\phi_y\cdot(\phi_w-\phi_l)",
    assumes=r"a log-linear policy, one pair with $\phi_w\ne\phi_l$; DPO on one pair has $s\to\infty$",
    verdict=PROVED,
    proof=r"$\pi_y(s)\propto\pi_y(0)\,e^{s\,\phi_y\cdot d}$, and $\phi_l\cdot d=\phi_w\cdot d-\|d\|^2$.",
)
def limit_of_a_run(evidence: Evidence) -> None:
    """A step to e^s = 10^12: the winners keep their proportions, the rest is gone; y_l never wins."""

    def ends(w: World, most_probable_wins: bool = False) -> bool:
        d = [a - b for a, b in zip(w.features[w.chosen], w.features[w.rejected], strict=True)]
        along = w.p if most_probable_wins else tuple(dot(phi, d) for phi in w.features)
        winners = [y for y in w.responses if along[y] == max(along)]
        mass = sum(w.p[y] for y in winners)
        end = w.after(FAR).p
        kept = all(abs(end[y] - w.p[y] / mass) < F(1, 10**6) for y in winners)
        return kept and (w.rejected not in winners or not any(d))

    evidence.holds(ends, base_measure, role=HOLDS, control=lambda w: ends(w, most_probable_wins=True), worlds=200)
    evidence.fails(lambda w: w.after(FAR).p[w.chosen] > F(1, 10**6), at=ladder(F(1, 8)), control=BOTH_RISE, role=ALSO)
    evidence.holds(
        lambda w: w.after(FAR).p[w.rejected] < w.p[w.rejected] or not any(w.drive(y) for y in w.responses),
        log_linear,
        role=ALSO,
        control=lambda w: w.after(FAR).p[w.chosen] > w.p[w.chosen] or not any(w.drive(y) for y in w.responses),
        worlds=100,
    )
