"""What is true in the place of Corollary 2: when the chosen response gains more probability, and when it cannot."""

from __future__ import annotations

import random
from fractions import Fraction as F

import mpmath

from theory.claim import PROVED, claim
from theory.evidence import ALSO, HOLDS, Evidence, Sampler, Statement
from theory.jian2025.cases import BOTH_FALL, BOTH_RISE, any_or_similar, similar_pair
from theory.jian2025.corollary_2 import gap
from theory.worlds import BASE_MEASURE, TABULAR, World, any_world, base_measure, dot, one_feature, tabular


@claim(
    "jian2025.corollary-2-identity",
    source="not in the paper; the difference without square roots",
    says=r"D_w-D_l=\frac{\pi_w+\pi_l}{2}\|g_w-g_l\|^2+\frac{\pi_w-\pi_l}{2}\bigl(\|g_w\|^2-\|g_l\|^2\bigr)",
    assumes=r"first-order changes, in units of $\eta\beta\sigma(-z)$",
    verdict=PROVED,
    proof="Expand both sides.",
)
def identity_2(evidence: Evidence) -> None:
    """Only a shorter chosen score with a larger probability, or the reverse, can make the difference negative."""

    def identity(w: World, sign: int = 1) -> bool:
        p, q = w.p[w.chosen], w.p[w.rejected]
        lengths = w.squared_norm(w.chosen) - w.squared_norm(w.rejected)
        return gap(w) == (p + q) / 2 * _distance(w) + sign * (p - q) / 2 * lengths

    evidence.holds(identity, any_world, control=lambda w: identity(w, sign=-1))


@claim(
    "jian2025.corollary-2-condition",
    source="not in the paper; necessary and sufficient for the non-negativity",
    says=r"D_w\ge D_l\iff\pi_w\|g_w\|^2+\pi_l\|g_l\|^2\ge(\pi_w+\pi_l)\,g_w\cdot g_l"
    r"\iff(\pi_w+\pi_l)\|g_w-g_l\|^2\ge(\pi_l-\pi_w)\bigl(\|g_w\|^2-\|g_l\|^2\bigr)",
    assumes="first-order changes",
    verdict=PROVED,
    proof="jian2025.eq-48 and jian2025.corollary-2-identity.",
)
def condition(evidence: Evidence) -> None:
    """Both forms of the condition, and the factorised form for scores on a line."""

    def first(w: World, share: F = F(1)) -> bool:
        p, q = w.p[w.chosen], w.p[w.rejected]
        squares = p * w.squared_norm(w.chosen) + q * w.squared_norm(w.rejected)
        return (gap(w) >= 0) == (squares >= share * (p + q) * w.kernel(w.chosen, w.rejected))

    def second(w: World, sign: int = 1) -> bool:
        p, q = w.p[w.chosen], w.p[w.rejected]
        lengths = w.squared_norm(w.chosen) - w.squared_norm(w.rejected)
        return (gap(w) >= 0) == ((p + q) * _distance(w) >= sign * (q - p) * lengths)

    def on_a_line(w: World, sign: int = -1) -> bool:
        a, b = w.scores[w.chosen][0], w.scores[w.rejected][0]
        return gap(w) == (a - b) * (w.p[w.chosen] * a + sign * w.p[w.rejected] * b)

    evidence.holds(first, similar_pair, control=lambda w: first(w, share=F(9, 10)))
    evidence.holds(second, similar_pair, control=lambda w: second(w, sign=-1))
    evidence.holds(first, any_world, control=lambda w: first(w, share=F(2)))
    evidence.holds(on_a_line, one_feature, role=ALSO, control=lambda w: on_a_line(w, sign=1))


def tabular_or_similar(source: random.Random) -> World:
    """Draw a tabular softmax or a similar pair."""
    return (tabular if source.random() < 0.5 else similar_pair)(source)


def _sufficient(name: str, says: str, proof: str, *, premise: Statement, near: Statement, over: Sampler) -> None:
    """Register the claim that ``premise`` implies D_w >= D_l; ``near`` is a wider premise that does not."""

    def evidence_of(evidence: Evidence) -> None:
        def lengths(w: World) -> F:
            return w.p[w.chosen] * w.squared_norm(w.chosen) + w.p[w.rejected] * w.squared_norm(w.rejected)

        evidence.holds(
            lambda w: not premise(w) or gap(w) >= 0, over, control=lambda w: not near(w) or gap(w) >= 0
        )  # and the premise is not empty:
        evidence.holds(
            lambda w: gap(w) >= 0,
            over,
            given=premise,
            role=HOLDS,
            control=lambda w: gap(w) >= 3 * lengths(w),
            worlds=100,
        )

    claim(
        f"jian2025.corollary-2-if-{name}",
        source="not in the paper; sufficient for the non-negativity",
        says=says + r"\ \Rightarrow\ D_w-D_l\ge 0",
        assumes="first-order changes",
        verdict=PROVED,
        proof=proof,
    )(evidence_of)


def _cosine_at_most(w: World, squared_factor: int = 1) -> bool:
    """Return whether cos(g_w, g_l) <= factor 2 sqrt(p_w p_l) / (p_w + p_l); true of a vanishing score."""
    p, q, inner = w.p[w.chosen], w.p[w.rejected], w.kernel(w.chosen, w.rejected)
    squares = w.squared_norm(w.chosen) * w.squared_norm(w.rejected)
    return inner <= 0 or inner**2 * (p + q) ** 2 <= squared_factor * 4 * p * q * squares


_sufficient(
    "scores-apart",
    r"g_w\cdot g_l\le 0",
    "Every term of jian2025.eq-48 is then at least 0.",
    premise=lambda w: w.kernel(w.chosen, w.rejected) <= 0,
    near=lambda w: w.kernel(w.chosen, w.rejected) <= 9,
    over=similar_pair,
)
_sufficient(
    "equal-probabilities",
    r"\pi_w=\pi_l",
    "The second term of jian2025.corollary-2-identity vanishes.",
    premise=lambda w: w.p[w.chosen] == w.p[w.rejected],
    near=lambda w: max(w.p[w.chosen], w.p[w.rejected]) <= 5 * min(w.p[w.chosen], w.p[w.rejected]),
    over=similar_pair,
)
_sufficient(
    "longer-and-likelier",
    r"(\pi_w-\pi_l)(\|g_w\|^2-\|g_l\|^2)\ge 0",
    "Both terms of jian2025.corollary-2-identity are then at least 0.",
    premise=lambda w: _product(w) >= 0,
    near=lambda w: _product(w) >= -4,
    over=similar_pair,
)
_sufficient(
    "dissimilar",
    r"\cos(g_w,g_l)\le\frac{2\sqrt{\pi_w\pi_l}}{\pi_w+\pi_l}",
    r"As a quadratic form in the two lengths, jian2025.eq-48 has the discriminant "
    r"$(\pi_w+\pi_l)^2\cos^2-4\pi_w\pi_l\le 0$.",
    premise=_cosine_at_most,
    near=lambda w: _cosine_at_most(w, squared_factor=4),
    over=similar_pair,
)
_sufficient(
    "two-responses",
    r"|\mathcal{Y}|=2",
    r"$\pi_wg_w=-\pi_lg_l$, so $g_w\cdot g_l\le 0$.",
    premise=lambda w: len(w.p) == 2,
    near=lambda w: len(w.p) <= 3,
    over=similar_pair,
)
_sufficient(
    "tabular",
    r"\text{tabular softmax}",
    r"$D_w-D_l=\pi_w+\pi_l-(\pi_w-\pi_l)^2$, and $(\pi_w-\pi_l)^2<|\pi_w-\pi_l|$ for $0<|\pi_w-\pi_l|<1$.",
    premise=lambda w: w.kind == TABULAR,
    near=lambda w: w.kind in (TABULAR, BASE_MEASURE),
    over=tabular_or_similar,
)

Quadratic = dict[str, F]


def quadratic(source: random.Random) -> Quadratic:
    """Draw two probabilities and a cosine in (0, 1]."""
    a, b, c = (source.randint(1, 12) for _ in range(3))
    return {"p_w": F(a, a + b + c), "p_l": F(b, a + b + c), "cosine": F(source.randint(1, 40), 40)}


@claim(
    "jian2025.corollary-2-sharp-cosine",
    source="not in the paper; the condition on the cosine cannot be improved",
    says=r"\cos>\frac{2\sqrt{\pi_w\pi_l}}{\pi_w+\pi_l}\ \Rightarrow\ D_w<D_l\ \text{at}\ "
    r"\frac{\|g_w\|}{\|g_l\|}=\frac{(\pi_w+\pi_l)\cos}{2\pi_w}",
    verdict=PROVED,
    proof=r"There the quadratic $\pi_wr^2-(\pi_w+\pi_l)\cos\,r+\pi_l$ is least, and equal to "
    r"$\pi_l-(\pi_w+\pi_l)^2\cos^2/(4\pi_w)$.",
)
def sharp_cosine(evidence: Evidence) -> None:
    """Above the threshold some ratio of the lengths violates the inequality, below it none does."""

    def threshold(case: Quadratic, factor: int = 4) -> bool:
        p, q, cosine = case["p_w"], case["p_l"], case["cosine"]
        ratio = (p + q) * cosine / (2 * p)
        least = p * ratio**2 - (p + q) * cosine * ratio + q
        return (least < 0) == (cosine**2 * (p + q) ** 2 > factor * p * q)

    def world_of(case: Quadratic) -> World:
        """Return a world with scores on a line at the worst ratio; cosine 1."""
        p, q = case["p_w"], case["p_l"]
        ratio = (p + q) / (2 * p)
        return World.with_base([p, q, 1 - p - q], [[ratio], [1], [-(p * ratio + q) / (1 - p - q)]])

    def realised(case: Quadratic, strict: bool = True) -> bool:
        w = world_of(case)
        return gap(w) < 0 if strict and w.p[0] != w.p[1] else gap(w) == 0

    evidence.holds(threshold, quadratic, control=lambda case: threshold(case, factor=3))
    evidence.holds(realised, quadratic, role=ALSO, control=lambda case: realised(case, strict=False))


@claim(
    "jian2025.corollary-2-bound",
    source="not in the paper; a lower bound that is true",
    says=r"D_w-D_l\ge N-(\sqrt{\pi_w}-\sqrt{\pi_l})^2\|g_w\|\|g_l\|"
    r"\ge-(\sqrt{\pi_w}-\sqrt{\pi_l})^2\|g_w\|\|g_l\|,\qquad N=\|\sqrt{\pi_w}g_w-\sqrt{\pi_l}g_l\|^2",
    assumes=r"first-order changes, in units of $\eta\beta\sigma(-z)$",
    verdict=PROVED,
    proof="The identity of jian2025.corollary-2-equivalence and Cauchy-Schwarz; equality for scores that point the "
    "same way.",
)
def lower_bound(evidence: Evidence) -> None:
    """To 35 digits, since the bound has two different square roots; nine tenths of the correction are not enough."""

    def bounded(w: World, share: float = 1.0, with_square: bool = True) -> bool:
        with mpmath.workdps(50):
            p, q, square_w, square_l, inner, exact = (
                mpmath.mpf(v.numerator) / v.denominator
                for v in (
                    w.p[w.chosen],
                    w.p[w.rejected],
                    w.squared_norm(w.chosen),
                    w.squared_norm(w.rejected),
                    w.kernel(w.chosen, w.rejected),
                    gap(w),
                )
            )
            square = p * square_w + q * square_l - 2 * mpmath.sqrt(p * q) * inner if with_square else 0
            correction = share * (mpmath.sqrt(p) - mpmath.sqrt(q)) ** 2 * mpmath.sqrt(square_w * square_l)
            return bool(exact - square + correction >= -mpmath.mpf("1e-35"))

    evidence.holds(bounded, any_or_similar, control=lambda w: bounded(w, share=0.9))
    evidence.holds(
        lambda w: bounded(w, with_square=False),
        similar_pair,
        control=lambda w: bounded(w, share=0.0, with_square=False),
    )


FAR = 10**12  # e^s of a step to nearly the end of the path, where an output with a smaller phi . d is left behind


def leads(w: World) -> bool:
    """Return whether y_w is among the responses with the largest phi_y . (phi_w - phi_l)."""
    along = _along(w)
    return along[w.chosen] == max(along)


@claim(
    "jian2025.eventual-violation",
    source="not in the paper; how often Corollary 2 fails on a long run",
    says=r"w\notin\arg\max_y\phi_y\cdot(\phi_w-\phi_l)\ \Rightarrow\ D_w<D_l<0\ \text{from some step on}",
    assumes="a log-linear policy, one pair, steps that add up to infinity (as under DPO)",
    verdict=PROVED,
    proof=r"The mass ends on $\arg\max\phi\cdot d$, so $A_w$ and $A_l$ tend to negative constants, while "
    r"$\pi_w/\pi_l\to\infty$.",
)
def eventual_violation(evidence: Evidence) -> None:
    """Far along the path of every such world; at its start it need not be so, nor if y_w leads."""

    def violated(w: World, far: int = FAR) -> bool:
        end = w.after(far)
        return end.change(end.chosen) < end.change(end.rejected) < 0

    evidence.holds(
        violated,
        base_measure,
        given=lambda w: not leads(w),
        role=HOLDS,
        control=lambda w: violated(w, far=1),
        worlds=200,
    )
    evidence.fails(violated, at=BOTH_RISE, control=BOTH_FALL, role=ALSO)
    evidence.holds(
        lambda w: not leads(w) or w.change(w.chosen) >= 0,
        one_feature,
        role=ALSO,
        control=lambda w: w.change(w.chosen) >= 0,
    )


def _along(w: World) -> list[F]:
    d = [a - b for a, b in zip(w.features[w.chosen], w.features[w.rejected], strict=True)]
    return [dot(phi, d) for phi in w.features]


def _product(w: World) -> F:
    return (w.p[w.chosen] - w.p[w.rejected]) * (w.squared_norm(w.chosen) - w.squared_norm(w.rejected))


def _distance(w: World) -> F:
    """Return |g_w - g_l|^2, from the features: they differ from the scores by a constant."""
    d = [a - b for a, b in zip(w.features[w.chosen], w.features[w.rejected], strict=True)]
    return dot(d, d)
