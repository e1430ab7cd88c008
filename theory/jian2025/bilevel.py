"""The bilevel problem, Eq. (7): what its regularizer certifies, when it has solutions, and with LoRA."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction as F
from typing import Any

import sympy as sp

from theory.claim import CONDITIONALLY, EMPTY, PROVED, claim
from theory.evidence import ALSO, CONDITIONAL, VACUOUS, Evidence
from theory.jian2025.cases import BOTH_RISE, Batch
from theory.worlds import World, any_world, dot


def longer_rejected(w: World) -> bool:
    """Return whether L_reg > 0: |g_l| > |g_w|."""
    return w.ll > w.ww


@dataclass(frozen=True)
class TwoBlocks:
    """A log-linear policy with two blocks of parameters: one world, two sets of features."""

    theta: World
    phi: World

    def log_change(self, y: int, rate_theta: F = F(1), rate_phi: F = F(1)) -> F:
        """Return the first-order change of log pi(y) in a DPO step on both blocks, per unit of beta x urgency."""
        return rate_theta * self.theta.drive(y) + rate_phi * self.phi.drive(y)

    def __str__(self) -> str:
        """Return both worlds."""
        return f"theta-block: {self.theta}\nphi-block: {self.phi}"


def two_blocks(source: random.Random) -> TwoBlocks:
    """Draw a world and other features for a second block; in a third of the cases that block is frozen."""
    theta = any_world(source)
    top = source.choice((0, 2, 4))
    phi = [[source.randint(-top, top) for _ in range(2)] for _ in theta.p]
    return TwoBlocks(theta, World.with_base(theta.p, phi, theta.chosen, theta.rejected))


@claim(
    "jian2025.eq-7-certificate",
    source="Eq. (7) with the update (12); the abstract: absolute improvement of the preferred sample",
    says=r"L_{\mathrm{reg}}(\theta,\phi)=0\implies\Delta\pi_w\ge 0",
    assumes=r"only $\theta$ moves, in a step of plain gradient descent on the DPO loss of one pair; first order in "
    "the step",
    verdict=CONDITIONALLY,
    because=r"The norms are those of the $\theta$-block. When $\phi$ moves as well, with AdamW, or when other pairs "
    r"share the step, $\pi_w$ can fall although $L_{\mathrm{reg}}=0$.",
    proof=r"$\|g_w\|\ge\|g_l\|$ gives $g_w\cdot g_l\le\|g_w\|^2$.",
    instead="jian2025.regularizer-region",
)
def eq_7_certificate(evidence: Evidence) -> None:
    """A certificate for one block, one pair, one optimizer; a counterexample for each of the three."""

    def both_move(case: TwoBlocks) -> bool:
        return longer_rejected(case.theta) or case.log_change(case.theta.chosen) >= 0

    def signs(w: World) -> bool:  # the first step of AdamW without weight decay is along the sign of the gradient
        d = [a - b for a, b in zip(w.scores[w.chosen], w.scores[w.rejected], strict=True)]
        step = tuple(F((a > 0) - (a < 0)) for a in d)
        return longer_rejected(w) or dot(w.scores[w.chosen], step) >= 0

    def batch(pairs: Batch) -> bool:
        lengths = [(dot(w, w), dot(r, r)) for w, r in pairs.scores]
        return any(r > w for w, r in lengths) or all(pairs.log_change(i, chosen=True) >= 0 for i in range(len(lengths)))

    uniform = World.log_linear([[2], [0], [-2]], at=[1])
    against, along = (World.log_linear(rows, at=[1]) for rows in ([[2], [8], [-10]], [[2], [0], [-2]]))
    evidence.fails(both_move, at=TwoBlocks(uniform, against), control=TwoBlocks(uniform, along))
    evidence.fails(signs, at=World.log_linear([[3, -4], [0, -5], [-3, 9]], at=[1, 1]), control=BOTH_RISE)
    one, half = F(1), F(1, 2)
    opposed = Batch((((one,), (-one,)), ((-2 * one,), (2 * one,))), (half, half))
    evidence.fails(batch, at=opposed, control=Batch(opposed.scores[:1] * 2, (half, half)))
    evidence.holds(
        both_move,
        two_blocks,
        given=lambda case: case.phi.squared_norm(case.phi.chosen) == case.phi.squared_norm(case.phi.rejected) == 0,
        control=lambda case: longer_rejected(case.theta) or case.log_change(case.theta.rejected) <= 0,
        worlds=200,
    )


def soft_sft(share: Any, phi: sp.Symbol) -> sp.Expr:
    """Return the SFT loss of two responses with pi = sigma(phi), ``share`` of the data being the first response."""
    return share * sp.log(1 + sp.exp(-phi)) + (1 - share) * sp.log(1 + sp.exp(phi))


def minimisers(share: F) -> sp.Set:
    """Return the minimisers of that loss; it is convex, so that they are the zeros of its derivative.

    Example:
        >>> minimisers(F(2, 3)), minimisers(F(1))
        ({log(2)}, EmptySet)
    """
    odds = sp.symbols("odds", positive=True)
    phi = sp.symbols("phi", real=True)
    slope = sp.diff(soft_sft(sp.Rational(share.numerator, share.denominator), phi), phi)
    zeros = sp.solve(sp.together(sp.simplify(slope.subs(sp.exp(phi), odds).subs(sp.exp(-phi), 1 / odds))), odds)
    return sp.FiniteSet(*(sp.log(zero) for zero in zeros if zero.is_positive))


def label_share(source: random.Random) -> F:
    """Draw a share strictly between 0 and 1."""
    return F(source.randint(1, 20), 21)


@claim(
    "jian2025.eq-7-lower-level",
    source="Eq. (7), its constraint; Eq. (74)",
    says=r"\arg\min_{\phi'\in\Phi}L_{\mathrm{sft}}(\theta,\phi')\ne\emptyset",
    assumes=r"the responses of $\mathcal D_{\mathrm{sft}}$ to one prompt differ, or $\Phi$ is compact",
    verdict=CONDITIONALLY,
    because=r"With one response to every prompt and $\Phi=\mathbb R^n$ the loss of a softmax tends to 0 at infinity "
    r"and is nowhere 0: there is no $\phi^*(\theta)$, and no pair $(\theta,\phi)$ is feasible.",
    proof=r"Two responses with shares $q$ and $1-q$: $\phi^*=\log\frac q{1-q}$. Compact $\Phi$: a continuous "
    r"function has a least value.",
)
def eq_7_lower_level(evidence: Evidence) -> None:
    """Hard labels have no minimiser, mixed ones have one."""

    def exists(share: F) -> bool:
        return bool(minimisers(share) != sp.S.EmptySet)

    def at_the_odds(share: F, power: int = 1) -> bool:
        odds = share / (1 - share)
        return bool(minimisers(share) == sp.FiniteSet(sp.log(sp.Rational(odds.numerator, odds.denominator) ** power)))

    evidence.fails(exists, at=F(1), control=F(2, 3))
    evidence.holds(at_the_odds, label_share, worlds=8, role=CONDITIONAL, control=lambda q: at_the_odds(q, power=2))


T1, T2, F1, F2, F3 = sp.symbols("theta_1 theta_2 f_1 f_2 f_3", real=True)
BACKBONE = (F1, F2, F3)
LABELS = (sp.Rational(1, 2), sp.Rational(1, 6), sp.Rational(1, 3))  # of the SFT data
ADAPTER = tuple(sp.Integer(a) * T1 * T2 for a in (1, 3, -1))  # rank one: a column times a row


def logits() -> list[sp.Expr]:
    """Return W = phi + psi(theta): a backbone with an adapter, three responses."""
    return [f + a for f, a in zip(BACKBONE, ADAPTER, strict=True)]


def backbone_at_optimum(*, whole: bool = True) -> dict[sp.Symbol, sp.Expr]:
    """Return phi*(theta) of the SFT loss; with ``whole`` False only the first component of phi is trained.

    Example:
        >>> backbone_at_optimum()[F1]
        -theta_1*theta_2 - log(2)
    """
    if whole:
        return {f: sp.log(q) - a for f, q, a in zip(BACKBONE, LABELS, ADAPTER, strict=True)}
    rest = sp.log(sp.exp(ADAPTER[1]) + sp.exp(ADAPTER[2]))
    return {F1: sp.log(LABELS[0] / (1 - LABELS[0])) + rest - ADAPTER[0], F2: sp.Integer(0), F3: sp.Integer(0)}


def sft_loss() -> sp.Expr:
    """Return the SFT loss of ``logits`` with the labels' shares."""
    total = sp.log(sum(sp.exp(v) for v in logits()))
    return sum(q * (total - v) for q, v in zip(LABELS, logits(), strict=True))


@claim(
    "jian2025.eq-7-lora",
    source="Eq. (7) with the choice of Section 3.3: phi the backbone, theta a LoRA adapter",
    says=r"\min_{\theta}\ "
    r"L_{\mathrm{dpo}}(\theta,\phi)\quad\text{s.t.}\quad\phi\in\arg\min_{\phi'}L_{\mathrm{sft}}(\theta,\phi')",
    assumes=r"weights $W=\phi+\psi(\theta)$, $\Phi=\mathbb R^n$, the SFT loss has one minimiser as a function of $\pi$",
    verdict=EMPTY,
    because=r"The backbone can undo whatever the adapter does: the constraint fixes $\pi$, and $L_{\mathrm{dpo}}$ is "
    r"the same number for every $\theta$. Only $L_{\mathrm{reg}}$, which sees the parametrisation, still varies.",
    proof=r"$\phi^*(\theta)=W^*-\psi(\theta)$.",
    instead="jian2025.eq-10-lora",
)
def eq_7_lora(evidence: Evidence) -> None:
    """On the feasible set the margin does not depend on theta; if the backbone cannot undo the adapter it does."""

    def margin_is_constant(*, whole: bool = True) -> bool:
        feasible = backbone_at_optimum(whole=whole)
        chosen, rejected = (v.subs(feasible) for v in logits()[:2])
        return all(sp.simplify(sp.diff(chosen - rejected, t)) == 0 for t in (T1, T2))

    def stationary(*, whole: bool = True) -> bool:
        feasible = backbone_at_optimum(whole=whole)
        trained = BACKBONE if whole else BACKBONE[:1]
        return all(sp.simplify(sp.diff(sft_loss(), f).subs(feasible)) == 0 for f in trained)

    def regularizer(*theta: int) -> sp.Expr:  # on the feasible set, where the probabilities are the labels' shares
        at = dict(zip((T1, T2), theta, strict=True))
        rows = [[sp.diff(a, t).subs(at) for t in (T1, T2)] for a in ADAPTER]
        mean = [sum(q * row[i] for q, row in zip(LABELS, rows, strict=True)) for i in (0, 1)]
        chosen, rejected = (sp.sqrt(sum((a - m) ** 2 for a, m in zip(row, mean, strict=True))) for row in rows[:2])
        return sp.Max(0, rejected - chosen)

    evidence.proves(
        margin_is_constant,
        control=lambda: margin_is_constant(whole=False),
        by="SymPy, three responses, backbone plus rank-one adapter",
        role=VACUOUS,
    )
    evidence.proves(
        lambda: stationary() and stationary(whole=False),
        control=lambda: sp.simplify(sp.diff(sft_loss(), F2).subs(backbone_at_optimum(whole=False))) == 0,
        by="SymPy: both backbones are stationary points of the SFT loss in what is trained",
        role=ALSO,
    )
    evidence.proves(
        lambda: regularizer(0, 1) != regularizer(0, 2),
        control=lambda: regularizer(0, 1) != regularizer(1, 0),
        by="L_reg at theta = (0, 1) and (0, 2) on the feasible set",
        role=ALSO,
    )


@claim(
    "jian2025.eq-10-lora",
    source="not in the paper; Eqs. (10) and (13) for an adapter on a trained backbone",
    says=r"W=\phi+\psi(\theta)\implies\nabla_\theta L^*_{\mathrm{sft}}(\theta)=0,\quad"
    r"\nabla_\theta L=\nabla_\theta\bigl(L_{\mathrm{dpo}}+\lambda L_{\mathrm{sft}}+\gamma L_{\mathrm{reg}}\bigr)",
    verdict=PROVED,
    assumes=r"$\Phi=\mathbb R^n$ and an exact $\phi^*(\theta)$",
    proof=r"$L^*_{\mathrm{sft}}(\theta)=\min_WL_{\mathrm{sft}}(W)$ is constant. The method is then DPO with an NLL "
    r"term and a regularizer; the bilevel structure adds nothing.",
)
def eq_10_lora(evidence: Evidence) -> None:
    """The SFT gradient in theta vanishes at phi*(theta), not at another phi."""

    def vanishes(**choice: bool) -> bool:
        at = backbone_at_optimum(**choice)
        return all(sp.simplify(sp.diff(sft_loss(), t).subs(at)) == 0 for t in (T1, T2))

    evidence.proves(vanishes, control=lambda: vanishes(whole=False), by="SymPy, three responses, rank-one adapter")
