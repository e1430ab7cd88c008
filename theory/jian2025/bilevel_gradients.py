"""The gradients of Section 3.3 and Appendix A.5: Eqs. (13), (14), (71)-(85), against autograd."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import sympy as sp
from torch import Tensor

from theory.claim import MISPRINT, PROVED, claim
from theory.evidence import CORRECTED, Evidence
from theory.jian2025.two_block_policy import CHOSEN, Objective, TwoBlockPolicy

TOLERANCE = 1e-9  # absolute, float64; the gradients are of order 1


class Point(NamedTuple):
    """An objective at a point, and what autograd says there."""

    objective: Objective
    theta: Tensor
    phi: Tensor
    gradients: tuple[Tensor, Tensor]


Formula = Callable[[Point], Tensor]


@lru_cache(maxsize=1)
def points() -> tuple[Point, ...]:
    """Return six points, half of them with L_reg > 0; theta and phi are equally long.

    Example:
        >>> [bool(at.objective.delta(at.theta, at.phi) > 0) for at in points()]
        [True, True, True, False, False, False]
    """
    found: dict[bool, list[tuple[Objective, Tensor, Tensor]]] = {True: [], False: []}
    for seed in range(100):
        objective = Objective(TwoBlockPolicy.random(seed, sizes=(3, 3)))
        theta, phi = objective.policy.point(seed)
        found[bool(objective.delta(theta, phi) > 0)].append((objective, theta, phi))
        if min(map(len, found.values())) >= 3:
            break
    return tuple(Point(o, t, f, o.gradients(t, f)) for o, t, f in found[True][:3] + found[False][:3])


ACTIVE, IDLE = "three points with L_reg > 0", "three points with L_reg = 0"
WHERE = {ACTIVE: slice(0, 3), IDLE: slice(3, 6), "all": slice(0, 6)}  # of ``points``


def error(formula: Formula, block: int, where: str = "all") -> float:
    """Return how far a formula is from autograd's gradient in theta (block 0) or phi (block 1), at most."""
    return max(float((formula(at) - at.gradients[block]).abs().max()) for at in points()[WHERE[where]])


def eq_13(at: Point) -> Tensor:
    """Return Eq. (13) with the exact phi*."""
    return at.objective.eq_13(at.theta, at.phi, at.objective.best_phi(at.theta))


def eq_76(at: Point) -> Tensor:
    """Return Eq. (76), Eq. (13) without the regularizer."""
    return eq_13(at) - at.objective.gamma * at.objective.regularizer_gradient(at.theta, at.phi, "theta theta")


def eq_14(at: Point, blocks: str = "phi theta") -> Tensor:
    """Return Eq. (14); with ``blocks`` "phi phi" Eq. (84) is put in, with "theta theta" it is Eq. (85)."""
    return at.objective.eq_14(at.theta, at.phi, blocks)


@claim(
    "jian2025.eq-71",
    source="Eqs. (69)-(73), (82), (83)",
    says=r"\nabla L_{\mathrm{dpo}}=-\beta(1-\sigma(z))(\nabla\log\pi_w-\nabla\log\pi_l),\qquad"
    r"\nabla L_{\mathrm{sft}}=-\nabla\log\pi_w,\qquad\nabla\in\{\nabla_\theta,\nabla_\phi\}",
    verdict=PROVED,
    proof=r"$\sigma'=\sigma(1-\sigma)$ and the chain rule.",
)
def dpo_and_sft(evidence: Evidence) -> None:
    """SymPy, with log pi_w and log pi_l arbitrary functions of theta and phi."""
    theta, phi, beta, reference = sp.symbols("theta phi beta r", real=True)
    chosen, rejected = (sp.Function(name)(theta, phi) for name in ("f_w", "f_l"))
    z = beta * (chosen - rejected - reference)
    urgency = 1 - 1 / (1 + sp.exp(-z))

    def statement(by: sp.Symbol, sign: int = -1) -> bool:
        dpo = sp.diff(sp.log(1 + sp.exp(-z)), by)
        closed = -beta * urgency * (sp.diff(chosen, by) + sign * sp.diff(rejected, by))
        return bool(sp.simplify(dpo - closed) == 0)

    evidence.proves(
        lambda: statement(theta) and statement(phi),
        control=lambda: statement(theta, sign=1) or statement(phi, sign=1),
        by="SymPy, arbitrary smooth log-probabilities",
    )


@claim(
    "jian2025.eq-13",
    source="Eq. (13), and Eq. (67)",
    says=r"\nabla_\theta L=-\beta(1-\sigma(z))(\nabla_\theta\log\pi_w-\nabla_\theta\log\pi_l)+\gamma\nabla_\theta "
    r"L_{\mathrm{reg}}-\lambda\bigl(\nabla_\theta\log\pi_{\theta,\phi}(y_w)-\nabla_\theta\log\pi_{\theta,\phi^*(\theta)}(y_w)\bigr)",
    assumes=r"$\phi^*(\theta)$ exists, is unique and exact; the pair's $y_w$ is the SFT datum; Eq. (80) for "
    r"$\nabla_\theta L_{\mathrm{reg}}$; $z$, printed with $\pi_\theta$, means $\pi_{\theta,\phi}$",
    verdict=PROVED,
    proof="Eqs. (71), (73), (80) and the envelope theorem.",
)
def gradient_theta(evidence: Evidence) -> None:
    """Autograd, with the derivative of phi*(theta) from the implicit function theorem, at six points."""

    def without_star(at: Point) -> Tensor:  # term (b) without its second half
        score = at.objective.policy.scores(at.theta, at.phi)[0][CHOSEN]
        return at.objective.eq_13(at.theta, at.phi, at.phi) - at.objective.penalty * score

    evidence.measures(
        lambda: error(eq_13, 0) < TOLERANCE,
        control=lambda: error(without_star, 0) < TOLERANCE,
        by=f"float64 autograd on Eq. (9), random policies of four responses, absolute tolerance {TOLERANCE}",
    )


@claim(
    "jian2025.eq-14",
    source="Eq. (14)",
    says=r"\nabla_\phi L=-\beta(1-\sigma(z))(\nabla_\phi\log\pi_w-\nabla_\phi\log\pi_l)+\gamma\nabla_\phi "
    r"L_{\mathrm{reg}}-\lambda\nabla_\phi\log\pi_w",
    assumes=r"the mixed Hessian in $\nabla_\phi L_{\mathrm{reg}}$; with Eq. (84) in its place the formula is wrong "
    r"wherever $L_{\mathrm{reg}}>0$",
    verdict=PROVED,
    proof=r"Eqs. (82), (83); $L^*_{\mathrm{sft}}$ does not depend on $\phi$.",
)
def gradient_phi(evidence: Evidence) -> None:
    """Autograd at six points; Eq. (84) is the negative control."""
    evidence.measures(
        lambda: error(eq_14, 1) < TOLERANCE,
        control=lambda: error(lambda at: eq_14(at, "phi phi"), 1, ACTIVE) < TOLERANCE,
        by=f"float64 autograd on Eq. (9), random policies of four responses, absolute tolerance {TOLERANCE}",
    )


@claim(
    "jian2025.eq-76",
    source="Eq. (76)",
    says=r"\nabla_\theta L=-\beta(1-\sigma(z))(\nabla_\theta\log\pi_w-\nabla_\theta\log\pi_l)"
    r"-\lambda\bigl(\nabla_\theta\log\pi_{\theta,\phi}(y_w)-\nabla_\theta\log\pi_{\theta,\phi^*(\theta)}(y_w)\bigr)",
    verdict=MISPRINT,
    because=r"It combines the terms of Eq. (67) and drops $\gamma\nabla_\theta L_{\mathrm{reg}}$, which Eq. (13) has.",
)
def lost_regularizer(evidence: Evidence) -> None:
    """Wrong where L_reg > 0."""

    def printed(where: str) -> bool:
        return error(eq_76, 0, where) < TOLERANCE

    evidence.fails(printed, at=ACTIVE, control=IDLE)
    evidence.measures(
        lambda: error(eq_13, 0, ACTIVE) < TOLERANCE,
        control=lambda: error(eq_76, 0, ACTIVE) < TOLERANCE,
        by=f"with the term: float64 autograd, absolute tolerance {TOLERANCE}",
        role=CORRECTED,
    )


@claim(
    "jian2025.eq-81",
    source="Eqs. (81) and (85)",
    says=r"\nabla_\phi L=\nabla_\phi L_{\mathrm{dpo}}+\lambda\nabla_\phi L_{\mathrm{sft}}+\gamma\nabla_\theta "
    r"L_{\mathrm{reg}}",
    verdict=MISPRINT,
    because=r"The last gradient must be in $\phi$, as in Eq. (14). As printed vectors of different lengths are "
    "added; where the blocks are equally long, the sum is wrong.",
)
def wrong_block(evidence: Evidence) -> None:
    """Blocks of different lengths cannot be added; blocks of equal length give another vector."""

    def printed(where: str) -> bool:
        return error(lambda at: eq_14(at, "theta theta"), 1, where) < TOLERANCE

    def lengths_agree(sizes: tuple[int, int]) -> bool:
        objective = Objective(TwoBlockPolicy.random(0, sizes=sizes))
        theta, phi = objective.policy.point(0)
        by_phi = objective.eq_14(theta, phi)
        return objective.regularizer_gradient(theta, phi, "theta theta").shape == by_phi.shape

    evidence.fails(printed, at=ACTIVE, control=IDLE)
    evidence.fails(lengths_agree, at=(2, 3), control=(3, 3))
    evidence.measures(
        lambda: error(eq_14, 1, ACTIVE) < TOLERANCE,
        control=lambda: error(lambda at: eq_14(at, "theta theta"), 1, ACTIVE) < TOLERANCE,
        by=f"with the gradient in phi: float64 autograd, absolute tolerance {TOLERANCE}",
        role=CORRECTED,
    )
