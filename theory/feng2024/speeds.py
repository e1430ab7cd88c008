"""Remark 1 and the abstract: is the dispreferred response pushed down faster than the preferred one is raised?"""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, FALSE, PROVED, claim
from theory.evidence import Evidence
from theory.feng2024.ratios import BETA, D1, D2, X1, X2, Point, anywhere
from theory.worlds import World, tabular

SFT_WINS = World.tabular([F(1, 2), F(1, 5), F(3, 10)])
SFT_LOSES = World.tabular([F(1, 5), F(1, 2), F(3, 10)])


@claim(
    "feng2024.remark-1",
    source="Remark 1 as Sec. 3.3.1 uses it, Limitation 1",
    says=r"\left|\frac{\partial L}{\partial x_2}\right|>\left|\frac{\partial L}{\partial x_1}\right|",
    assumes=r"$x_2<x_1$: the pair is ranked more rightly than by the reference",
    verdict=CONDITIONALLY,
    because="The two rates are equal where training starts, at theta = ref, and reversed for a pair ranked more "
    "wrongly than by the reference. It is a statement about ratios; for probabilities see feng2024.softmax-speeds.",
    proof=r"By Corollary 1 the ratio of the rates is $x_1/x_2$.",
)
def remark_1(evidence: Evidence) -> None:
    """True below the diagonal of the plane, false on it and above."""

    def faster(p: Point) -> bool:
        return p.d2 > -p.d1

    below = Point(F(2), F(1))
    evidence.fails(faster, at=Point(F(1), F(1)), control=below)
    evidence.fails(faster, at=Point(F(1), F(2)), control=below)
    evidence.holds(faster, anywhere, given=lambda p: p.x2 < p.x1, control=lambda p: p.d2 > -2 * p.d1)


@claim(
    "feng2024.equal-at-the-start",
    source="not in the paper; Theorem 1 where training starts",
    says=r"\frac{\partial L}{\partial x_1}=-\frac{\beta}{2},\quad\frac{\partial L}{\partial x_2}=\frac{\beta}{2}"
    r"\qquad\text{at }\theta=\mathrm{ref}",
    verdict=PROVED,
    proof=r"$x_1=x_2=1$ there.",
)
def equal_at_the_start(evidence: Evidence) -> None:
    """The corner (1, 1) is where every run with its own reference begins."""

    def start(second: int = 1) -> bool:
        at = {X1: sp.Integer(1), X2: sp.Integer(second)}
        return sp.simplify(D1.subs(at) + BETA / 2) == 0 and sp.simplify(D2.subs(at) - BETA / 2) == 0

    evidence.proves(start, control=lambda: start(2), by="SymPy: Eq. 2 at x1 = x2 = 1")


@claim(
    "feng2024.abstract-faster",
    source="Abstract; Introduction; Conclusion",
    says=r"|\Delta\pi(y_l)|>|\Delta\pi(y_w)|",
    verdict=FALSE,
    because=r"In a softmax the probability that is larger moves faster: where $\pi_w>\pi_l$ and any other response has "
    r"mass, the preferred one gains more than the dispreferred one loses. The paper's inference takes rates of "
    r"$\pi/\mathrm{ref}$ for rates of $\pi$.",
    instead=("feng2024.softmax-speeds", "feng2024.log-speeds", "feng2024.remark-1"),
)
def abstract_faster(evidence: Evidence) -> None:
    """False to first order and for an exact step of finite size."""

    def faster(w: World) -> bool:
        return -w.change(w.rejected) > w.change(w.chosen)

    def faster_in_a_step(w: World) -> bool:
        return -w.exact_change(w.rejected, 2) > w.exact_change(w.chosen, 2)

    evidence.fails(faster, at=SFT_WINS, control=SFT_LOSES)
    evidence.fails(faster_in_a_step, at=SFT_WINS, control=SFT_LOSES)
    evidence.finds(faster, tabular, control=lambda w: -w.change(w.rejected) > w.change(w.rejected))


@claim(
    "feng2024.softmax-field",
    source="not in the paper; the gradient field of a policy",
    says=r"\dot\pi_w=c\,\pi_w(1-\pi_w+\pi_l),\quad\dot\pi_l=-c\,\pi_l(1-\pi_l+\pi_w),\quad"
    r"\dot\pi_o=-c\,\pi_o(\pi_w-\pi_l),\qquad c=\beta\sigma(-z)",
    assumes="tabular softmax, gradient flow of the logits, one pair",
    verdict=PROVED,
    proof=r"$\dot\pi_y=c\,\pi_y\,g_y\cdot(g_w-g_l)$ with $g_y\cdot g_z=[y=z]-\pi_y-\pi_z+\sum\pi^2$.",
)
def softmax_field(evidence: Evidence) -> None:
    """The three kinds of responses, against the kernel."""

    def field(w: World, sign: int = -1) -> bool:
        p, q = w.p[w.chosen], w.p[w.rejected]
        pair = w.change(w.chosen) == p * (1 - p + q) and w.change(w.rejected) == -q * (1 - q + p)
        return pair and all(w.change(y) == sign * w.p[y] * (p - q) for y in w.others)

    evidence.holds(field, tabular, control=lambda w: field(w, 1))


@claim(
    "feng2024.softmax-speeds",
    source="not in the paper; replaces the abstract's claim",
    says=r"\dot\pi_w-|\dot\pi_l|=c\,(\pi_w-\pi_l)(1-\pi_w-\pi_l),\qquad c=\beta\sigma(-z)",
    assumes="tabular softmax, gradient flow of the logits, one pair",
    verdict=PROVED,
    proof="Subtract the first two lines of feng2024.softmax-field. With two responses both sides are 0.",
)
def softmax_speeds(evidence: Evidence) -> None:
    """Which probability moves faster is decided by which is larger."""

    def identity(w: World, sign: int = 1) -> bool:
        p, q = w.p[w.chosen], w.p[w.rejected]
        return w.change(w.chosen) + w.change(w.rejected) == (p - q) * (1 - p - sign * q)

    evidence.holds(identity, tabular, control=lambda w: identity(w, -1))


@claim(
    "feng2024.log-speeds",
    source="not in the paper; replaces the abstract's claim",
    says=r"\Bigl|\frac{d}{dt}\log\pi_l\Bigr|>\frac{d}{dt}\log\pi_w\iff\pi_w>\pi_l",
    assumes="tabular softmax, gradient flow of the logits, one pair",
    verdict=PROVED,
    proof=r"$|A_l|-A_w=2(\pi_w-\pi_l)$.",
)
def log_speeds(evidence: Evidence) -> None:
    """The nearest true relative of the abstract's claim."""

    def faster(w: World) -> bool:
        return -w.log_change(w.rejected) > w.log_change(w.chosen)

    evidence.holds(
        lambda w: faster(w) == (w.p[w.chosen] > w.p[w.rejected]),
        tabular,
        control=lambda w: faster(w) == (w.p[w.chosen] >= w.p[w.rejected]),
    )
