"""Corollary 2: how much faster the chosen response gains than the rejected one, in probability and in its logarithm.

Here are the statement and the steps of its proof; ``corollary_2_mended`` holds what is true in its place.
"""

from __future__ import annotations

import random
from fractions import Fraction as F
from typing import Any

from theory.claim import CONDITIONALLY, FALSE, PROVED, claim
from theory.evidence import ALSO, Evidence
from theory.jian2025.cases import EVEN_PAIR, SMALLEST_TABULAR, any_or_similar, ladder, similar_pair
from theory.worlds import World, any_world, log_linear, sign_with_root, tabular

LADDER_AT_3 = ladder(3)

WithBeta = dict[str, Any]  # world: World, beta: a Fraction


def gap(w: World) -> F:
    """Return D_w - D_l, the difference of the first-order changes of probability."""
    return w.change(w.chosen) - w.change(w.rejected)


def excess_over_square(w: World, beta: F = F(1)) -> int:
    """Return the sign of beta (D_w - D_l) - |sqrt(p_w) g_w - sqrt(p_l) g_l|^2, exactly."""
    c, r = w.chosen, w.rejected
    squares = w.p[c] * w.squared_norm(c) + w.p[r] * w.squared_norm(r)
    return sign_with_root(beta * gap(w) - squares, 2 * w.kernel(c, r), w.p[c] * w.p[r])


def bound_49(w: World) -> bool:
    """Return whether D_w - D_l >= |sqrt(p_w) g_w - sqrt(p_l) g_l|^2, which is also Eq. (47)."""
    return excess_over_square(w) >= 0


def bound_46(w: World) -> bool:
    """Return whether (p_w + p_l) g_w . g_l >= 2 sqrt(p_w p_l) g_w . g_l."""
    p, q, inner = w.p[w.chosen], w.p[w.rejected], w.kernel(w.chosen, w.rejected)
    return sign_with_root((p + q) * inner, -2 * inner, p * q) >= 0


@claim(
    "jian2025.log-margin",
    source="not in the paper; replaces Corollary 2",
    says=r"\frac{d}{d\eta}\bigl[\log\pi_w-\log\pi_l\bigr]=\beta\,\sigma(-z)\,\|g_w-g_l\|^2\ge 0",
    assumes="one pair, plain gradient descent; for log-linear policies exact at every step size",
    verdict=PROVED,
    proof=r"The first-order change of $\log\pi_y$ is $\eta\beta\sigma(-z)\,A_y$ with $A_y=g_y\cdot(g_w-g_l)$, and "
    r"$A_w-A_l=\|g_w-g_l\|^2$. For a log-linear policy $\log\pi_w-\log\pi_l$ is linear in $\theta$.",
)
def log_margin(evidence: Evidence) -> None:
    """The logarithm mends Corollary 2."""

    def statement(w: World) -> bool:
        c, r = w.chosen, w.rejected
        distance = w.squared_norm(c) - 2 * w.kernel(c, r) + w.squared_norm(r)
        return w.drive(c) - w.drive(r) == distance >= 0

    def exact(w: World, power: int = 1) -> bool:
        # a step of size s with e^s = 2: the ratio p_w / p_l grows by exactly 2^(|phi_w - phi_l|^2)
        c, r = w.chosen, w.rejected
        distance = sum((a - b) ** 2 for a, b in zip(w.features[c], w.features[r], strict=True))
        after = w.after(2)
        return (after.p[c] / after.p[r]) / (w.p[c] / w.p[r]) == F(2) ** (power * int(distance))

    evidence.holds(
        statement, any_world, control=lambda w: w.drive(w.chosen) - w.drive(w.rejected) == w.squared_norm(w.chosen)
    )
    evidence.holds(exact, log_linear, control=lambda w: exact(w, power=2))


@claim(
    "jian2025.corollary-2",
    source="Corollary 2, as its proof ends in Eq. (49)",
    says=r"\Delta\pi_w-\Delta\pi_l\ge\eta\beta(1-\sigma(z))\,\|\sqrt{\pi_w}\,g_w-\sqrt{\pi_l}\,g_l\|^2\ge 0",
    verdict=FALSE,
    because=r"The inequality of arithmetic and geometric means is applied to a term whose sign is that of $g_w\cdot "
    r"g_l$; "
    r"the bound holds if and only if $g_w\cdot g_l\le 0$ or $\pi_w=\pi_l$. Even the non-negativity fails.",
    instead=("jian2025.log-margin", "jian2025.corollary-2-equivalence", "jian2025.corollary-2-bound"),
)
def corollary_2(evidence: Evidence) -> None:
    """Eq. (49) fails in a tabular softmax with three responses; non-negativity fails on the ladder."""
    evidence.fails(bound_49, at=SMALLEST_TABULAR, control=World.tabular([F(1, 3), F(2, 3)]))
    evidence.fails(lambda w: gap(w) >= 0, at=LADDER_AT_3, control=SMALLEST_TABULAR)
    evidence.finds(bound_49, any_world, control=lambda w: w.drive(w.chosen) >= w.drive(w.rejected))


@claim(
    "jian2025.corollary-2-equivalence",
    source="not in the paper; when Eq. (49) holds",
    says=r"\text{Eq. (49)}\iff g_w\cdot g_l\le 0\ \text{or}\ \pi_w=\pi_l",
    assumes="first-order changes",
    verdict=PROVED,
    proof=r"$D_w-D_l=\|\sqrt{\pi_w}g_w-\sqrt{\pi_l}g_l\|^2-(\sqrt{\pi_w}-\sqrt{\pi_l})^2\,g_w\cdot g_l$ "
    r"in units of $\eta\beta\sigma(-z)$: expand both sides.",
)
def corollary_2_equivalence(evidence: Evidence) -> None:
    """The identity I1 decides when the printed bound is true."""

    def identity(w: World, sign: int = -1) -> bool:
        c, r = w.chosen, w.rejected
        norms = w.p[c] * w.squared_norm(c) + w.p[r] * w.squared_norm(r)
        inner = w.kernel(c, r)
        # both squares contain sqrt(p_w p_l): compare the rational parts and the coefficients of the root
        rational = norms + sign * (w.p[c] + w.p[r]) * inner
        root = -2 * inner - sign * 2 * inner
        return gap(w) == rational and root == 0

    def equivalent(w: World, threshold: int = 0) -> bool:
        return bound_49(w) == (w.kernel(w.chosen, w.rejected) <= threshold or w.p[w.chosen] == w.p[w.rejected])

    evidence.holds(identity, any_world, control=lambda w: identity(w, sign=1))
    evidence.holds(equivalent, any_or_similar, control=lambda w: equivalent(w, threshold=4))


def with_beta(source: random.Random) -> WithBeta:
    """Draw a world and a beta from 1/10 to 2."""
    return {"beta": F(source.randint(1, 20), 10), "world": any_world(source)}


@claim(
    "jian2025.eq-6",
    source="Corollary 2, Eq. (6) as printed",
    says=r"\Delta\pi_w-\Delta\pi_l\ge\eta(1-\sigma(z))\,\|\sqrt{\pi_w}\,g_w-\sqrt{\pi_l}\,g_l\|^2",
    verdict=FALSE,
    because=r"Eq. (6) has lost the $\beta$ of Eq. (49). At the paper's $\beta=1/2$ it fails in every tabular softmax "
    r"with "
    r"two responses, where Eq. (49) is true; for $\beta\ge 1$ Eq. (49) implies it.",
    instead=("jian2025.log-margin", "jian2025.corollary-2-equivalence", "jian2025.corollary-2-bound"),
)
def lost_beta(evidence: Evidence) -> None:
    """Two even responses at beta = 1/2; exactly when it fails with two responses."""

    def printed(case: WithBeta) -> bool:
        return excess_over_square(case["world"], case["beta"]) >= 0

    def decided(case: WithBeta, root: int = 2) -> bool:
        w, beta = case["world"], case["beta"]
        return printed(case) == (sign_with_root(2 * beta - 1, -root, w.p[0] * w.p[1]) >= 0)

    def implied(case: WithBeta, least: F = F(1)) -> bool:
        w, beta = case["world"], case["beta"]
        return beta < least or not bound_49(w) or printed(case)

    evidence.fails(printed, at={"beta": F(1, 2), "world": EVEN_PAIR}, control={"beta": F(1), "world": EVEN_PAIR})
    evidence.finds(printed, with_beta, control=lambda case: printed({**case, "beta": F(1)}) == bound_49(case["world"]))
    evidence.holds(decided, two_tabular_with_beta, role=ALSO, control=lambda case: decided(case, root=0))
    evidence.holds(implied, with_beta, role=ALSO, control=lambda case: implied(case, least=F(1, 2)))


def two_tabular_with_beta(source: random.Random) -> WithBeta:
    """Draw a tabular softmax with two responses and a beta from 1/10 to 2."""
    a, b = source.randint(1, 20), source.randint(1, 20)
    return {"beta": F(source.randint(1, 20), 10), "world": World.tabular([F(a, a + b), F(b, a + b)])}


@claim(
    "jian2025.eq-48",
    source="Eqs. (43)-(45), (48)",
    says=r"D_w-D_l=\pi_w\|g_w\|^2+\pi_l\|g_l\|^2-(\pi_w+\pi_l)\,g_w\cdot g_l,\quad \pi_w+\pi_l\ge "
    r"2\sqrt{\pi_w\pi_l},\quad "
    r"\pi_w\|g_w\|^2-2\sqrt{\pi_w\pi_l}\,g_w\cdot g_l+\pi_l\|g_l\|^2=\|\sqrt{\pi_w}g_w-\sqrt{\pi_l}g_l\|^2\ge 0",
    assumes=r"first-order changes, in units of $\eta\beta(1-\sigma(z))$",
    verdict=PROVED,
    proof="Expand.",
)
def true_steps(evidence: Evidence) -> None:
    """The steps of the proof that are right."""

    def eq_43(w: World, cross: int = 1) -> bool:
        c, r = w.chosen, w.rejected
        squares = w.p[c] * w.squared_norm(c) + w.p[r] * w.squared_norm(r)
        return gap(w) == squares - cross * (w.p[c] + w.p[r]) * w.kernel(c, r)

    def eq_45(w: World, factor: F = F(2)) -> bool:
        p, q = w.p[w.chosen], w.p[w.rejected]
        return sign_with_root(p + q, -factor, p * q) >= 0

    def eq_48(w: World, factor: int = 2) -> bool:
        c, r = w.chosen, w.rejected
        squares = w.p[c] * w.squared_norm(c) + w.p[r] * w.squared_norm(r)
        return sign_with_root(squares, -factor * w.kernel(c, r), w.p[c] * w.p[r]) >= 0

    evidence.holds(eq_43, any_world, control=lambda w: eq_43(w, cross=2))
    evidence.holds(eq_45, any_world, control=lambda w: eq_45(w, factor=F(21, 10)))
    evidence.holds(eq_48, any_world, control=lambda w: eq_48(w, factor=3))


@claim(
    "jian2025.eq-46",
    source="Eq. (46)",
    says=r"(\pi_w+\pi_l)\,g_w\cdot g_l\ge 2\sqrt{\pi_w\pi_l}\;g_w\cdot g_l",
    assumes=r"$g_w\cdot g_l\ge 0$, or $\pi_w=\pi_l$",
    verdict=CONDITIONALLY,
    because=r"Multiplying Eq. (45) by $g_w\cdot g_l$ turns it around when the scores point apart, as they do in every "
    "policy with two responses.",
    proof="Eq. (45) times a number that is not negative.",
)
def arithmetic_geometric(evidence: Evidence) -> None:
    """Right for scores that point the same way, wrong for two responses."""
    evidence.fails(bound_46, at=World.tabular([F(1, 3), F(2, 3)]), control=EVEN_PAIR)
    evidence.holds(
        bound_46,
        any_world,
        given=lambda w: w.kernel(w.chosen, w.rejected) >= 0 or w.p[w.chosen] == w.p[w.rejected],
        control=lambda w: bound_46(w) and bound_49(w),
    )


@claim(
    "jian2025.eq-47",
    source="the step from Eq. (46) to Eq. (47)",
    says=r"\text{Eq. (46)}\ \Rightarrow\ D_w-D_l\ge\pi_w\|g_w\|^2+\pi_l\|g_l\|^2-2\sqrt{\pi_w\pi_l}\;g_w\cdot g_l",
    verdict=FALSE,
    because=r"In Eq. (43) the term of Eq. (46) is subtracted, so a lower bound of it is an upper bound of the "
    r"difference. "
    r"Both equations hold only if $g_w\cdot g_l=0$ or $\pi_w=\pi_l$, and then with equality.",
    instead="jian2025.corollary-2-equivalence",
)
def wrong_direction(evidence: Evidence) -> None:
    """Eq. (46) is the reverse of what Eq. (47) needs."""

    def implies(w: World) -> bool:
        return not bound_46(w) or bound_49(w)

    def both(w: World, either: bool = False) -> bool:
        neutral = w.kernel(w.chosen, w.rejected) == 0 or w.p[w.chosen] == w.p[w.rejected]
        return ((bound_46(w) or bound_49(w)) if either else (bound_46(w) and bound_49(w))) == neutral

    evidence.fails(implies, at=SMALLEST_TABULAR, control=EVEN_PAIR)
    evidence.finds(implies, any_world, control=lambda w: bound_46(w) or bound_49(w))
    evidence.holds(both, any_world, role=ALSO, control=lambda w: both(w, either=True))


@claim(
    "jian2025.corollary-2-non-negativity",
    source="Corollary 2, its title; Remark 3; Section 2.3, key insight (2); Section 3.1",
    says=r"\Delta\pi_w-\Delta\pi_l\ge 0",
    assumes="tabular softmax, or two responses",
    verdict=CONDITIONALLY,
    because="Parameters shared between responses can move the rejected response up more than the chosen one, or the "
    "chosen one down more.",
    proof=r"Tabular: $D_w-D_l=\pi_w+\pi_l-(\pi_w-\pi_l)^2>0$. In general the sign is that of "
    r"$\pi_w\|g_w\|^2+\pi_l\|g_l\|^2-(\pi_w+\pi_l)\,g_w\cdot g_l$.",
    instead=("jian2025.log-margin", "jian2025.corollary-2-condition"),
)
def non_negativity(evidence: Evidence) -> None:
    """True for a tabular softmax; the ladder at e^theta = 3 refutes it in general, also for an exact step."""

    def printed(w: World) -> bool:
        return gap(w) >= 0

    def exact_step(w: World) -> bool:
        return w.exact_change(w.chosen, 3) >= w.exact_change(w.rejected, 3)

    def closed_form(w: World) -> bool:
        p, q = w.p[w.chosen], w.p[w.rejected]
        return gap(w) == p + q - (p - q) ** 2 > 0

    rejected_rises_more = World.log_linear([[0], [1], [2]], at=[3])
    evidence.fails(printed, at=LADDER_AT_3, control=SMALLEST_TABULAR)
    evidence.fails(printed, at=rejected_rises_more, control=EVEN_PAIR)
    evidence.fails(exact_step, at=LADDER_AT_3, control=ladder(1))
    evidence.finds(printed, similar_pair, control=lambda w: w.drive(w.chosen) >= w.drive(w.rejected))
    evidence.holds(
        printed,
        any_world,
        given=lambda w: w.kind == "tabular softmax" or len(w.p) == 2,
        control=lambda w: w.change(w.chosen) >= F(1, 5),
    )
    evidence.holds(closed_form, tabular, role=ALSO, control=lambda w: gap(w) == w.p[w.chosen] + w.p[w.rejected])
