"""Term (e), the regularizer L_reg = max(0, |g_l| - |g_w|): what it guards against and what a step on it does."""

from __future__ import annotations

import random
from fractions import Fraction as F
from functools import lru_cache
from typing import NamedTuple

import sympy as sp

from theory.claim import FALSE, PROVED, claim
from theory.evidence import Evidence
from theory.jian2025.cases import BOTH_RISE
from theory.worlds import World, any_world, dot, sign_with_root, tabular


def longer_rejected(w: World) -> bool:
    """Return whether L_reg > 0: |g_l| > |g_w|."""
    return w.squared_norm(w.rejected) > w.squared_norm(w.chosen)


@claim(
    "jian2025.term-e",
    source="Section 3.3, term (e); Appendix C.4: a safeguard against increases of dispreferred samples",
    says=r"L_{\mathrm{reg}}=0\implies\Delta\pi_l\le 0",
    verdict=FALSE,
    because=r"The hinge has the sign opposite to the one that Remark 2 asks for. $L_{\mathrm{reg}}=0$ means "
    r"$\|g_w\|\ge\|g_l\|$, where the chosen response rises and the rejected one may rise as well.",
    instead=("jian2025.eq-7-certificate", "jian2025.displacement-hinges"),
)
def term_e(evidence: Evidence) -> None:
    """Features 3 and 2 against 0: L_reg = 0, and both rise."""

    def statement(w: World, *, mirrored: bool = False) -> bool:
        zero = not longer_rejected(w) if not mirrored else w.squared_norm(w.chosen) <= w.squared_norm(w.rejected)
        return not zero or w.change(w.rejected) <= 0

    evidence.fails(statement, at=BOTH_RISE, control=World.tabular([F(1, 3), F(2, 3)]))
    evidence.finds(statement, any_world, control=lambda w: statement(w, mirrored=True))


@claim(
    "jian2025.displacement-hinges",
    source="not in the paper; regularizers that do what term (e) is said to do",
    says=r"\max(0,g_w\cdot g_l-\|g_w\|^2)=0\iff\Delta\pi_w\ge 0,\qquad\max(0,g_w\cdot "
    r"g_l-\|g_l\|^2)=0\iff\Delta\pi_l\le 0",
    assumes="first order in the step; both are identically 0 for a tabular softmax, which needs neither",
    verdict=PROVED,
    proof=r"They are the hinges of $-A_w$ and of $A_l$. Tabular: $A_w=1-\pi_w+\pi_l>0$, $A_l=-(1+\pi_w-\pi_l)<0$.",
)
def displacement_hinges(evidence: Evidence) -> None:
    """Both hinges against changes of probability, and against closed forms in a table."""

    def hinges(w: World) -> tuple[F, F]:
        inner = w.kernel(w.chosen, w.rejected)
        return max(F(0), inner - w.squared_norm(w.chosen)), max(F(0), inner - w.squared_norm(w.rejected))

    def statement(w: World, *, swapped: bool = False) -> bool:
        first, second = hinges(w) if not swapped else hinges(w)[::-1]
        return (first == 0) == (w.change(w.chosen) >= 0) and (second == 0) == (w.change(w.rejected) <= 0)

    evidence.holds(statement, any_world, control=lambda w: statement(w, swapped=True))
    evidence.holds(lambda w: max(hinges(w)) == 0, tabular, control=lambda w: not longer_rejected(w))


@claim(
    "jian2025.term-e-tabular",
    source=r"not in the paper; L_reg of a tabular softmax",
    says=r"\|g_l\|^2-\|g_w\|^2=2(\pi_w-\pi_l),\qquad L_{\mathrm{reg}}>0\iff\pi_w>\pi_l",
    assumes="tabular softmax",
    verdict=PROVED,
    proof=r"$\|g_y\|^2=1-2\pi_y+\sum_{y'}\pi_{y'}^2$. The regularizer punishes a pair that is ranked correctly.",
)
def term_e_tabular(evidence: Evidence) -> None:
    """In a table the regularizer is active exactly where the chosen response is the more probable one."""

    def statement(w: World, factor: int = 2) -> bool:
        lead = w.p[w.chosen] - w.p[w.rejected]
        difference = w.squared_norm(w.rejected) - w.squared_norm(w.chosen)
        return difference == factor * lead and longer_rejected(w) == (lead > 0)

    evidence.holds(statement, tabular, control=lambda w: statement(w, factor=1))


def regularizer_step_sign(w: World, y: int) -> int:
    """Return the sign of the first-order change of pi_y in a descent step on L_reg alone, where L_reg > 0.

    For log-linear policies the Hessian of every log pi is -C, the covariance of the features, so that the step is along
    C (g_l / |g_l| - g_w / |g_w|); its sign is that of a number with one square root and is decided exactly.

    Example:
        >>> w = World.tabular([F(2, 3), F(1, 3)])
        >>> regularizer_step_sign(w, 0), regularizer_step_sign(w, 1)
        (-1, 1)
    """
    if not longer_rejected(w):
        return 0
    c, r = w.chosen, w.rejected
    a, b = covariance_form(w, y, r), covariance_form(w, y, c)
    # a / n_l - b / n_w has the sign of a n_l n_w - b n_l^2, unless the chosen score is 0 and has no direction
    if w.squared_norm(c) == 0:
        return (a > 0) - (a < 0)
    return sign_with_root(-b * w.squared_norm(r), a, w.squared_norm(c) * w.squared_norm(r))


def covariance_form(w: World, y: int, z: int) -> F:
    """Return g_y . C g_z, with C the covariance of the features.

    Example:
        >>> str(covariance_form(World.tabular([F(1, 2), F(1, 2)]), 0, 1))
        '-1/4'
    """
    u, v = w.scores[y], w.scores[z]
    # scores are features less their mean, so that C = sum p g g'
    return sum((p * dot(g, u) * dot(g, v) for p, g in zip(w.p, w.scores, strict=True)), F(0))


@claim(
    "jian2025.term-e-step",
    source="Section 3.3, term (e): it penalizes updates that might increase the probability of dispreferred samples",
    says=r"-\gamma\nabla_\theta L_{\mathrm{reg}}\ne 0\implies\Delta\pi_l\le 0\ \text{or}\ \Delta\pi_w\ge 0",
    verdict=FALSE,
    because=r"A step on $L_{\mathrm{reg}}$ alone can take from the chosen response and give to the rejected one: "
    r"with two responses it always does.",
    instead=("jian2025.term-e-tabular-step", "jian2025.displacement-hinges"),
)
def term_e_step(evidence: Evidence) -> None:
    """Two responses, 2/3 and 1/3."""

    def statement(w: World) -> bool:
        return regularizer_step_sign(w, w.rejected) <= 0 or regularizer_step_sign(w, w.chosen) >= 0

    def hinge_step(w: World) -> bool:  # where L_reg = 0 it does nothing
        return longer_rejected(w) or statement(w)

    evidence.fails(statement, at=World.tabular([F(2, 3), F(1, 3)]), control=World.tabular([F(1, 3), F(2, 3)]))
    evidence.finds(statement, tabular, control=hinge_step)


def ranked_table(source: random.Random) -> World:
    """Draw a tabular softmax in which the chosen response is more probable than the rejected one."""
    raw = [source.randint(1, 30) for _ in range(source.randint(2, 6))]
    raw[0] = raw[1] + source.randint(1, 30)
    return World.tabular([F(a, sum(raw)) for a in raw])


@claim(
    "jian2025.term-e-tabular-step",
    source="not in the paper; what term (e) does to a tabular softmax",
    says=r"\pi_w>\pi_l\implies-\nabla_\theta L_{\mathrm{reg}}\cdot g_w<0",
    assumes="tabular softmax",
    verdict=PROVED,
    proof=r"$g_w^\top C(g_w-g_l)=\pi_w(1-\pi_w)+\pi_l^2-(\pi_w-S)(\pi_w-\pi_l)\ge\pi_l^2>0$ with $S=\sum_y\pi_y^2$, "
    r"$C$ the covariance of one-hot vectors. As $\|g_w\|<\|g_l\|$, also $g_w^\top C(g_w/\|g_w\|-g_l/\|g_l\|)>0$, "
    r"which is the derivative of $L_{\mathrm{reg}}$ along $g_w$ with its sign changed.",
)
def term_e_tabular_step(evidence: Evidence) -> None:
    """The lemma: wherever it acts, the regularizer lowers the chosen response."""

    def statement(w: World) -> bool:
        return regularizer_step_sign(w, w.chosen) < 0

    def identity(w: World, factor: int = 1) -> bool:
        p, q, square = w.p[0], w.p[1], sum(a**2 for a in w.p)
        form = covariance_form(w, 0, 0) - covariance_form(w, 0, 1)
        return form == p * (1 - p) + factor * q**2 - (p - square) * (p - q) >= q**2

    evidence.holds(statement, ranked_table, control=lambda w: regularizer_step_sign(w, w.rejected) < 0, worlds=200)
    evidence.holds(identity, ranked_table, control=lambda w: identity(w, factor=2))


class Stall(NamedTuple):
    """DPO and the regularizer at two equally probable responses with z = 0."""

    beta: F
    gamma: F

    def slopes(self) -> tuple[sp.Expr, ...]:
        """Return left slope, right slope and right curvature of L_dpo + gamma L_reg in m = theta_w - theta_l at 0.

        Example:
            >>> Stall(F(1, 2), F(1)).slopes()
            (-1/4, -1/4 + sqrt(2)/2, 1/16)
        """
        at = {symbol: sp.Rational(a.numerator, a.denominator) for symbol, a in zip((BETA, GAMMA), self, strict=True)}
        return tuple(expression.subs(at) for expression in stall_slopes())

    def is_minimum(self) -> bool:
        """Return whether m = 0 is a local minimiser."""
        left, right, curvature = self.slopes()
        return bool(left < 0 and (right > 0 or (right == 0 and curvature > 0)))


BETA, GAMMA, M = sp.symbols("beta gamma m", positive=True)


@lru_cache(maxsize=1)
def stall_slopes() -> tuple[sp.Expr, ...]:
    """Return the three numbers of ``Stall.slopes`` in symbols.

    Example:
        >>> stall_slopes()[1]
        -beta/2 + sqrt(2)*gamma/2
    """
    dpo = sp.log(1 + sp.exp(-BETA * M))
    p = 1 / (1 + sp.exp(-M))
    total = dpo + GAMMA * sp.sqrt(2) * (p - (1 - p))  # |g_l| - |g_w| = sqrt(2) (p_w - p_l), positive on the right
    derivatives = sp.diff(dpo, M), sp.diff(total, M), sp.diff(total, M, 2)
    return tuple(sp.simplify(value.subs(M, 0)) for value in derivatives)


@claim(
    "jian2025.term-e-stall",
    source=r"not in the paper; how large gamma may be",
    says=r"\pi_w=\pi_l=\tfrac12\ \text{is a local minimiser of}\ L_{\mathrm{dpo}}+\gamma L_{\mathrm{reg}}"
    r"\iff\gamma\ge\beta/\sqrt2",
    assumes=r"tabular softmax with two responses, $z=0$ there",
    verdict=PROVED,
    proof=r"To the right of $\theta_w=\theta_l$ the slopes are $-\beta/2$ and $+\gamma/\sqrt2$; the curvature "
    r"$\beta^2/4$ decides the case of equality. With the paper's $\beta=1/2$ learning stops from $\gamma=0.354$ on.",
)
def term_e_stall(evidence: Evidence) -> None:
    """The symbolic slopes for random rational beta and gamma, and for equality."""

    def statement(case: Stall, root: int = 2) -> bool:
        return case.is_minimum() == (root * case.gamma**2 >= case.beta**2)

    evidence.holds(statement, stall, worlds=40, control=lambda case: statement(case, root=1))
    _, slope, curvature = stall_slopes()
    evidence.proves(
        lambda: sp.solve(slope, GAMMA) == [BETA / sp.sqrt(2)] and curvature == BETA**2 / 4,
        control=lambda: sp.solve(slope, GAMMA) == [BETA / 2] and curvature == BETA**2 / 4,
        by="SymPy: the right slope vanishes at that gamma, where the curvature is positive",
    )


def stall(source: random.Random) -> Stall:
    """Draw beta and gamma on both sides of the threshold."""
    return Stall(F(source.randint(1, 12), 4), F(source.randint(1, 12), 5))
