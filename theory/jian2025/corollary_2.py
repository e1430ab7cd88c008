"""Corollary 2: how much faster the chosen response gains than the rejected one, in probability and in its logarithm."""

from __future__ import annotations

from fractions import Fraction as F

from theory.claim import CONDITIONALLY, FALSE, PROVED, claim
from theory.evidence import ALSO, Evidence
from theory.worlds import World, any_world, log_linear, one_feature, sign_with_root, tabular

LADDER_AT_3 = World.log_linear([[1], [0], [2]], at=[3])
SMALLEST_TABULAR = World.tabular([F(1, 12), F(1, 3), F(7, 12)])


def gap(w: World) -> F:
    """Return D_w - D_l, the difference of the first-order changes of probability."""
    return w.change(w.chosen) - w.change(w.rejected)


def bound_49(w: World) -> bool:
    """Return whether D_w - D_l >= |sqrt(p_w) g_w - sqrt(p_l) g_l|^2."""
    c, r = w.chosen, w.rejected
    squares = w.p[c] * w.squared_norm(c) + w.p[r] * w.squared_norm(r)
    # gap - squares + 2 sqrt(p_w p_l) g_w . g_l >= 0
    return sign_with_root(gap(w) - squares, 2 * w.kernel(c, r), w.p[c] * w.p[r]) >= 0


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

    def exact(
        w: World,
    ) -> bool:  # a step of size s with e^s = 2: the ratio p_w / p_l grows by exactly 2^(|phi_w - phi_l|^2)
        c, r = w.chosen, w.rejected
        distance = sum((a - b) ** 2 for a, b in zip(w.features[c], w.features[r], strict=True))
        after = w.after(2)
        return (after.p[c] / after.p[r]) / (w.p[c] / w.p[r]) == F(2) ** int(distance)

    evidence.holds(
        statement, any_world, control=lambda w: w.drive(w.chosen) - w.drive(w.rejected) == w.squared_norm(w.chosen)
    )
    evidence.holds(exact, log_linear, control=lambda w: w.after(2).p[w.chosen] >= w.p[w.chosen])


@claim(
    "jian2025.corollary-2",
    source="Corollary 2, Eq. (6), as its proof ends in Eq. (49)",
    says=r"\Delta\pi_w-\Delta\pi_l\ge\eta\beta(1-\sigma(z))\,\|\sqrt{\pi_w}\,g_w-\sqrt{\pi_l}\,g_l\|^2\ge 0",
    verdict=FALSE,
    because=r"The inequality of arithmetic and geometric means is applied to a term whose sign is that of $g_w\cdot g_l$; "
    r"the bound holds if and only if $g_w\cdot g_l\le 0$ or $\pi_w=\pi_l$. Even the non-negativity fails.",
    instead=("jian2025.log-margin", "jian2025.corollary-2-equivalence", "jian2025.corollary-2-non-negativity"),
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

    def equivalent(w: World) -> bool:
        return bound_49(w) == (w.kernel(w.chosen, w.rejected) <= 0 or w.p[w.chosen] == w.p[w.rejected])

    evidence.holds(identity, any_world, control=lambda w: identity(w, sign=1))
    evidence.holds(equivalent, any_world, control=lambda w: bound_49(w) == (w.kernel(w.chosen, w.rejected) <= 1))


@claim(
    "jian2025.corollary-2-non-negativity",
    source="Corollary 2, its title; Section 3.1",
    says=r"\Delta\pi_w-\Delta\pi_l\ge 0",
    assumes="tabular softmax, or two responses",
    verdict=CONDITIONALLY,
    because="Parameters shared between responses can move the rejected response up more than the chosen one, or the "
    "chosen one down more.",
    proof=r"Tabular: $D_w-D_l=\pi_w+\pi_l-(\pi_w-\pi_l)^2>0$. In general the sign is that of "
    r"$\pi_w\|g_w\|^2+\pi_l\|g_l\|^2-(\pi_w+\pi_l)\,g_w\cdot g_l$.",
    instead="jian2025.log-margin",
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

    evidence.fails(printed, at=LADDER_AT_3, control=SMALLEST_TABULAR)
    evidence.fails(exact_step, at=LADDER_AT_3, control=World.log_linear([[1], [0], [2]], at=[1]))
    evidence.finds(printed, one_feature, control=lambda w: w.drive(w.chosen) >= w.drive(w.rejected))
    evidence.holds(
        printed, any_world, given=lambda w: w.kind == "tabular softmax", control=lambda w: w.change(w.chosen) >= F(1, 5)
    )
    evidence.holds(closed_form, tabular, role=ALSO, control=lambda w: gap(w) == w.p[w.chosen] + w.p[w.rejected])
