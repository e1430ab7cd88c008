"""Remark 1 and the abstract: is the dispreferred response pushed down faster than the preferred one is raised?"""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, FALSE, PROVED
from theory.feng2024.ratios import BETA, D1, D2, PLANE, X1, X2, Point, claim
from theory.proof import TABULAR, same
from theory.worlds import World

SFT_WINS = World.tabular([F(1, 2), F(1, 5), F(3, 10)])
SFT_LOSES = World.tabular([F(1, 5), F(1, 2), F(3, 10)])


@claim(
    "abstract-faster",
    "Abstract; Introduction; Conclusion",
    FALSE,
    "softmax-speeds",
    "log-speeds",
    "remark-1",
)
def abstract_faster(w):
    r"""|\Delta\pi(y_l)|>|\Delta\pi(y_w)|

    Because: In a softmax the probability that is larger moves faster: where $\pi_w>\pi_l$ and any other response has
    mass, the preferred one gains more than the dispreferred one loses. The paper's inference takes rates of
    $\pi/\mathrm{ref}$ for rates of $\pi$.
    """
    return abs(w.D_l) > abs(w.D_w)


def in_a_step(w):
    return abs(w.exact_change(w.rejected, 2)) > abs(w.exact_change(w.chosen, 2))


abstract_faster.false(at=SFT_WINS, true_at=SFT_LOSES)
abstract_faster.false(at=SFT_WINS, true_at=SFT_LOSES, of=in_a_step)
abstract_faster.proved(
    over=TABULAR,
    of=lambda w, more=0: w.p_w <= w.p_l + more or not abstract_faster(w),
    wrong={"more": F(-1, 10)},
    also=True,
)


@claim("softmax-field", "not in the paper; the gradient field of a policy", PROVED)
def softmax_field(w, sign=-1):
    r"""\dot\pi_w=c\,\pi_w(1-\pi_w+\pi_l),\quad\dot\pi_l=-c\,\pi_l(1-\pi_l+\pi_w),\quad
    \dot\pi_o=-c\,\pi_o(\pi_w-\pi_l),\qquad c=\beta\sigma(-z)

    Assumes: tabular softmax, gradient flow of the logits, one pair
    Proof: $\dot\pi_y=c\,\pi_y\,g_y\cdot(g_w-g_l)$ with $g_y\cdot g_z=[y=z]-\pi_y-\pi_z+\sum\pi^2$.
    """
    p, q = w.p_w, w.p_l
    return w.D_y == sign * w.p_y * (p - q) and w.D_w == p * (1 - p + q) and w.D_l == -q * (1 - q + p)


def of_the_pair(w, sign=1):  # with two responses as well
    p, q = w.p_w, w.p_l
    return w.D_w == p * (1 - p + sign * q) and w.D_l == -q * (1 - q + sign * p)


softmax_field.proved(over=TABULAR, wrong={"sign": F(-9, 10)})
softmax_field.proved(
    over=TABULAR,
    of=of_the_pair,
    wrong={"sign": F(9, 10)},
    part=r"\dot\pi_w=c\,\pi_w(1-\pi_w+\pi_l),\quad\dot\pi_l=-c\,\pi_l(1-\pi_l+\pi_w)",
)


@claim("softmax-speeds", "not in the paper; replaces the abstract's claim", PROVED)
def softmax_speeds(w, share=1):
    r"""\dot\pi_w-|\dot\pi_l|=c\,(\pi_w-\pi_l)(1-\pi_w-\pi_l),\qquad c=\beta\sigma(-z)

    Assumes: tabular softmax, gradient flow of the logits, one pair
    Proof: Subtract the first two lines of feng2024.softmax-field. With two responses both sides are 0.
    """
    return w.D_w - abs(w.D_l) == (w.p_w - w.p_l) * (1 - w.p_w - share * w.p_l)


softmax_speeds.proved(over=TABULAR, wrong={"share": F(9, 10)})


@claim("log-speeds", "not in the paper; replaces the abstract's claim", PROVED)
def log_speeds(w, times=1):
    r"""\Bigl|\frac{d}{dt}\log\pi_l\Bigr|>\frac{d}{dt}\log\pi_w\iff\pi_w>\pi_l

    Assumes: tabular softmax, gradient flow of the logits, one pair
    Proof: $|A_l|-A_w=2(\pi_w-\pi_l)$.
    """
    return (abs(w.A_l) > w.A_w) == (w.p_w > times * w.p_l)


log_speeds.proved(over=TABULAR, wrong={"times": F(11, 10)})


@claim("remark-1", "Remark 1 as Section 3.3.1 uses it, Limitation 1", CONDITIONALLY)
def remark_1(p, times=1):
    r"""\left|\frac{\partial L}{\partial x_2}\right|>\left|\frac{\partial L}{\partial x_1}\right|

    Assumes: $x_2<x_1$: the pair is ranked more rightly than by the reference
    Because: The two rates are equal where training starts, at theta = ref, and reversed for a pair ranked more
    wrongly than by the reference. It is a statement about ratios; for probabilities see feng2024.softmax-speeds.
    Proof: By Corollary 1 the ratio of the rates is $x_1/x_2$.
    """
    return abs(p.d2) > times * abs(p.d1)


def ranked_rightly(p, times=1):
    return p.x2 < times * p.x1


remark_1.false(at=Point(F(1), F(1)), true_at=Point(F(11, 10), F(1)))
remark_1.false(at=Point(F(1), F(2)), true_at=Point(F(2), F(1)))
remark_1.proved(over=PLANE, given=ranked_rightly, wrong_given=lambda p: ranked_rightly(p, times=F(11, 10)))


@claim("equal-at-the-start", "not in the paper; Theorem 1 where training starts", PROVED)
def equal_at_the_start(half=2):
    r"""\frac{\partial L}{\partial x_1}=-\frac{\beta}{2},\quad\frac{\partial L}{\partial x_2}=\frac{\beta}{2}
    \qquad\text{at }\theta=\mathrm{ref}

    Proof: $x_1=x_2=1$ there.
    """
    at = {X1: sp.Integer(1), X2: sp.Integer(1)}
    return same(D1.subs(at), -BETA / half) & same(D2.subs(at), BETA / half)


equal_at_the_start.derived(wrong={"half": F(21, 10)})
