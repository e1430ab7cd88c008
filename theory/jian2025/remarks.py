"""Remarks 1 and 3 and the text on Fig. 1: what the signs of the changes follow from, and what they do not."""

from __future__ import annotations

import random
from fractions import Fraction as F

import sympy as sp

from theory.claim import FALSE, PROVED, claim
from theory.evidence import HOLDS, Evidence
from theory.jian2025.cases import BOTH_FALL, BOTH_RISE, ladder, similar_pair
from theory.worlds import Rational, World, any_world, dot, log_linear, one_feature

TwoWorlds = dict[str, World]


def two_worlds(source: random.Random) -> TwoWorlds:
    """Draw two similar pairs; in most of them the scores are parallel."""
    return {"one": similar_pair(source), "other": similar_pair(source)}


@claim(
    "jian2025.remark-1-direction",
    source="Remark 1, first sentence",
    says=r"\cos(g_w,g_l)=\cos(g_w',g_l')\ \Rightarrow\ \mathrm{sign}\,\Delta_w=\mathrm{sign}\,\Delta_w'",
    verdict=FALSE,
    because=r"The similarity of the gradients does not determine the direction without the ratio of their lengths. "
    r"Uniform "
    r"features $(2,3,0)$ and $(3,2,0)$ both have cosine 1; the first pair falls, the second rises.",
    instead="jian2025.direction",
)
def similarity_alone(evidence: Evidence) -> None:
    """Two worlds with the same similarity and opposite directions."""

    def printed(case: TwoWorlds, and_lengths: bool = False) -> bool:
        one, other = (_cosine_and_ratio(w) for w in case.values())
        if one is None or other is None or one[0] != other[0] or (and_lengths and one[1] != other[1]):
            return True
        return len({_sign(w.change(w.chosen)) for w in case.values()}) == 1

    opposite, alike = {"one": BOTH_FALL, "other": BOTH_RISE}, {"one": BOTH_FALL, "other": ladder(2)}
    evidence.fails(printed, at=opposite, control=alike)
    evidence.finds(printed, two_worlds, control=lambda case: printed(case, and_lengths=True))


def _cosine_and_ratio(w: World) -> tuple[F, F] | None:
    """Return sign x square of the cosine of g_w and g_l, and |g_w|^2 / |g_l|^2; None if a score is 0."""
    square_w, square_l, inner = w.squared_norm(w.chosen), w.squared_norm(w.rejected), w.kernel(w.chosen, w.rejected)
    if not square_w * square_l:
        return None
    return inner * abs(inner) / (square_w * square_l), square_w / square_l


@claim(
    "jian2025.direction",
    source="not in the paper; mends Remark 1",
    says=r"D_w<0\iff\cos(g_w,g_l)>\frac{\|g_w\|}{\|g_l\|},\qquad D_l>0\iff\cos(g_w,g_l)>\frac{\|g_l\|}{\|g_w\|}",
    assumes="both scores differ from 0; first-order changes",
    verdict=PROVED,
    proof=r"$D_w<0$ is $\|g_w\|^2<g_w\cdot g_l=\|g_w\|\|g_l\|\cos$.",
)
def similarity_and_lengths(evidence: Evidence) -> None:
    """The signs of both changes from the cosine and the ratio of the lengths, squared."""

    def decided(w: World, swap: bool = False) -> bool:
        found = _cosine_and_ratio(w)
        if found is None:
            return True
        signed_square, ratio = found
        # both sides of cos > ratio are squared; a negative cosine stays negative
        chosen_falls, rejected_rises = signed_square > ratio, signed_square > 1 / ratio
        if swap:
            chosen_falls, rejected_rises = rejected_rises, chosen_falls
        return (w.change(w.chosen) < 0) == chosen_falls and (w.change(w.rejected) > 0) == rejected_rises

    evidence.holds(decided, any_world, control=lambda w: decided(w, swap=True))
    evidence.holds(decided, one_feature, control=lambda w: decided(w, swap=True))


@claim(
    "jian2025.remark-1-more",
    source="Remark 1: a gradient term below 0 makes the preferred response decrease more",
    says=r"\|g_w\|^2-g_w\cdot g_l<0\ \Rightarrow\ \Delta_w<\Delta_l",
    verdict=FALSE,
    because=r"With uniform features $(2,3,0)$ both fall, by $-1/9$ and $-4/9$: the dispreferred one falls four times "
    r"as "
    "much. The statement also contradicts Corollary 2 and Remark 3.",
    instead=("jian2025.log-margin", "jian2025.displacement-order"),
)
def falls_more(evidence: Evidence) -> None:
    """Displacement, but the rejected response falls more."""

    def printed(w: World) -> bool:
        return w.drive(w.chosen) >= 0 or w.change(w.chosen) < w.change(w.rejected)

    def in_logarithm(w: World) -> bool:  # the opposite order always holds
        return w.drive(w.chosen) >= 0 or w.log_change(w.chosen) >= w.log_change(w.rejected)

    evidence.fails(printed, at=BOTH_FALL, control=ladder(3))
    evidence.finds(printed, one_feature, control=in_logarithm)


@claim(
    "jian2025.displacement-order",
    source="not in the paper; mends Remarks 1 and 3",
    says=r"D_w<0\ \text{and}\ D_w<D_l\ \Rightarrow\ \pi_w>\pi_l,\qquad "
    r"D_w<0\ \Rightarrow\ \bigl(D_w<D_l\iff\pi_w|A_w|>\pi_l|A_l|\bigr)",
    assumes="first-order changes",
    verdict=PROVED,
    proof=r"$D_y=s\,\pi_yA_y$, and $A_l\le A_w<0$ by jian2025.log-margin.",
)
def order_of_the_falls(evidence: Evidence) -> None:
    """Only a chosen response that is already ahead can lose more than the rejected one."""

    def ahead(w: World, exchanged: bool = False) -> bool:
        c, r = (w.rejected, w.chosen) if exchanged else (w.chosen, w.rejected)
        return not w.change(c) < min(F(0), w.change(r)) or w.p[c] > w.p[r]

    def weighed(w: World, power: int = 1) -> bool:
        c, r = w.chosen, w.rejected
        heavier = w.p[c] ** power * abs(w.drive(c)) > w.p[r] ** power * abs(w.drive(r))
        return w.change(c) >= 0 or (w.change(c) < w.change(r)) == heavier

    for worlds in (similar_pair, one_feature):
        evidence.holds(ahead, worlds, control=lambda w: ahead(w, exchanged=True))
    evidence.holds(weighed, similar_pair, control=lambda w: weighed(w, power=0))


@claim(
    "jian2025.sign-table",
    source="not in the paper; mends Remark 3",
    says=r"D_w<0\Rightarrow D_l<0\ \text{and}\ D\log\pi_l\le D\log\pi_w,\quad D_l>0\Rightarrow D_w>0,\quad "
    r"(D_w\le 0\le D_l)\Rightarrow g_w=g_l",
    assumes="first-order changes; any differentiable policy",
    verdict=PROVED,
    proof=r"$D_w/\pi_w-D_l/\pi_l=s\|g_w-g_l\|^2\ge 0$ (jian2025.log-margin), with equality iff $g_w=g_l$.",
)
def sign_table(evidence: Evidence) -> None:
    """Which signs of the two changes occur together."""

    def table(w: World, exchanged: bool = False) -> bool:
        c, r = (w.rejected, w.chosen) if exchanged else (w.chosen, w.rejected)
        a, b = w.change(c), w.change(r)
        stuck = a <= 0 <= b
        return (
            (a >= 0 or (b < 0 and w.log_change(r) <= w.log_change(c)))
            and (b <= 0 or a > 0)
            and (not stuck or w.scores[c] == w.scores[r])
        )

    evidence.holds(table, any_world, control=lambda w: table(w, exchanged=True))
    evidence.holds(table, one_feature, control=lambda w: table(w, exchanged=True))


@claim(
    "jian2025.remark-3-both-fall",
    source="Remark 3, second sentence",
    says=r"\text{there are policies with}\ \Delta_w<0\ \text{and}\ \Delta_l<0",
    verdict=PROVED,
    proof="jian2025.displacement-smallest: uniform probabilities and features (2, 3, 0), at every step size.",
)
def both_fall(evidence: Evidence) -> None:
    """First order and exact steps; with the roles exchanged they do not fall in a small step."""

    def fall(w: World) -> bool:
        pair = (w.chosen, w.rejected)
        return all(w.change(y) < 0 for y in pair) and all(w.exact_change(y, f) < 0 for y in pair for f in (F(3, 2), 9))

    evidence.proves(lambda: fall(BOTH_FALL), control=lambda: fall(BOTH_RISE), by="exact evaluation")


@claim(
    "jian2025.remark-3-order",
    source="Remark 3, example",
    says=r"\Delta_w<0\ \Rightarrow\ \Delta_l<\Delta_w",
    verdict=FALSE,
    because=r"On the ladder at $e^\theta=3$ the changes are $-24/169$ and $-21/169$: the preferred response loses more "
    r"probability, also in the exact step to $e^\theta=9$.",
    instead=("jian2025.sign-table", "jian2025.displacement-order"),
)
def rejected_falls_more(evidence: Evidence) -> None:
    """Displacement in which the chosen response loses more probability."""

    def printed(w: World) -> bool:
        return w.change(w.chosen) >= 0 or w.change(w.rejected) < w.change(w.chosen)

    def exact(w: World) -> bool:
        changes = [w.exact_change(y, 3) for y in (w.chosen, w.rejected)]
        return changes[0] >= 0 or changes[1] < changes[0]

    evidence.fails(printed, at=ladder(3), control=BOTH_FALL)
    evidence.fails(exact, at=ladder(3), control=BOTH_FALL)
    evidence.finds(printed, similar_pair, control=lambda w: w.change(w.chosen) >= 0 or w.change(w.rejected) < 0)


@claim(
    "jian2025.figure-1c",
    source="Section 2.2, the text on Fig. 1c",
    says=r"\log\frac{\Delta_w}{\Delta_l}>0\ \text{at every step},\qquad "
    r"\log\frac{\Delta_w}{\Delta_l}>0\ \Rightarrow\ \Delta_w-\Delta_l\ge 0\ \text{even when both decline}",
    verdict=FALSE,
    because=r"The logarithm does not exist while $\Delta_w>0>\Delta_l$, which is how Fig. 1b begins. When both "
    r"decline, a "
    r"positive logarithm means $\Delta_w<\Delta_l$: it is evidence against Corollary 2.",
    instead=("jian2025.figure-1c-log-margin", "jian2025.figure-1c-ratio"),
)
def log_delta_ratio(evidence: Evidence) -> None:
    """Undefined at the start of a run, and of the opposite meaning at its end."""

    def exists(w: World) -> bool:
        return w.change(w.chosen) * w.change(w.rejected) > 0

    def implies_the_order(w: World) -> bool:
        a, b = w.change(w.chosen), w.change(w.rejected)
        positive = a * b > 0 and abs(a) > abs(b)
        return not positive or a >= b

    def declining_implies_the_opposite(w: World) -> bool:
        a, b = w.change(w.chosen), w.change(w.rejected)
        return not (a < 0 and b < 0) or (abs(a) > abs(b)) == (a < b)

    evidence.fails(exists, at=ladder(F(1, 2)), control=ladder(3))
    evidence.fails(implies_the_order, at=ladder(3), control=BOTH_RISE)
    evidence.finds(implies_the_order, similar_pair, control=declining_implies_the_opposite)


@claim(
    "jian2025.figure-1c-ratio",
    source="not in the paper; what the curve of Fig. 1c does while both decline",
    says=r"D_w<0\ \text{at}\ s\ \Rightarrow\ \frac{D_w}{D_l}(s')\ge\frac{D_w}{D_l}(s)\ \text{for}\ s'\ge s",
    assumes="a log-linear policy, one pair, s the length of the path so far",
    verdict=PROVED,
    proof=r"$D_w/D_l=(\pi_w/\pi_l)(A_w/A_l)$. The first factor grows like $e^{s\|d\|^2}$; the second is "
    r"$1-\|d\|^2/(E[\phi\cdot d]-\phi_l\cdot d)$, and $E[\phi\cdot d]$ does not fall along the path.",
)
def ratio_of_changes(evidence: Evidence) -> None:
    """From one point of the declining phase to later ones, in exact rationals."""

    def grows(w: World, power: int = 1) -> bool:
        ratios = [_ratio(v, power) for v in (w, w.after(F(3, 2)), w.after(8))]
        return ratios[0] <= ratios[1] <= ratios[2]

    def _ratio(w: World, power: int) -> F:
        return (w.change(w.chosen) / w.change(w.rejected)) ** power

    evidence.holds(
        grows,
        one_feature,
        given=lambda w: w.change(w.chosen) < 0,
        role=HOLDS,
        control=lambda w: grows(w, power=-1),
        worlds=200,
    )


@claim(
    "jian2025.figure-1c-log-margin",
    source="not in the paper; the curve that is positive and increasing throughout",
    says=r"\frac{z}{\beta}=\log\frac{\pi_w}{\pi_l}-\log\frac{\pi_{ref,w}}{\pi_{ref,l}}=s\,\|\phi_w-\phi_l\|^2,\qquad "
    r"z+e^z=1+\beta^2\|\phi_w-\phi_l\|^2\,t\ \text{under gradient flow}",
    assumes="a log-linear policy, one pair, start at the reference; s the length of the path so far, t the time",
    verdict=PROVED,
    proof=r"The log-ratio is linear in $\theta$, and $\dot z=\beta^2\|d\|^2\sigma(-z)$ means $(1+e^z)\dot "
    r"z=\beta^2\|d\|^2$.",
)
def log_margin_of_a_run(evidence: Evidence) -> None:
    """Along exact steps, and the conserved form of the flow."""

    def linear(w: World, square: Rational = 1) -> bool:
        d = [a - b for a, b in zip(w.features[w.chosen], w.features[w.rejected], strict=True)]
        runs = [(w.after(f), f) for f in (F(3, 2), F(9, 4), 8)]
        odds = w.p[w.chosen] / w.p[w.rejected]
        power = int(square * dot(d, d))
        return all(v.p[v.chosen] / v.p[v.rejected] / odds == F(f) ** power for v, f in runs)

    def conserved(weight_of_exponential: int) -> bool:
        z, rate = sp.symbols("z rate", positive=True)
        velocity = rate / (1 + sp.exp(z))
        return sp.simplify((1 + weight_of_exponential * sp.exp(z)) * velocity - rate) == 0

    evidence.holds(linear, log_linear, control=lambda w: linear(w, square=2), worlds=200)
    evidence.proves(lambda: conserved(1), control=lambda: conserved(-1), by="SymPy, time derivative of z + e^z")


def _sign(value: F) -> int:
    return (value > 0) - (value < 0)
