"""Appendix A.1: the gradient of the DPO loss (Eqs. 16, 23-27), the linearised step (17-22), and its batch (28-30)."""

from __future__ import annotations

import random
from fractions import Fraction as F
from typing import Any

import mpmath
import sympy as sp
import torch
from torch import Tensor

from dynamics.policies import Policy
from theory.claim import CONDITIONALLY, FIRST_ORDER, PROVED, claim
from theory.evidence import FAILS, HOLDS, Evidence
from theory.jian2025.cases import EVEN_PAIR, Batch, batch, ladder
from theory.jian2025.smooth import (
    BETA,
    CHOSEN,
    REJECTED,
    dpo_gradient,
    log_probs,
    other_reference,
    residual,
    scores as scores_of,
    smooth_policies,
)
from theory.worlds import World, any_world, dot

SHARPEST_CURVATURE = sp.sqrt(3) / 18
"""The largest |d^2 pi_y / ds^2| along a log-linear path whose phi . d spans a range of 1: p(1-p)(1-2p) at its peak."""

StepCase = dict[str, Any]  # world: World, size: learning rate x beta x urgency, a Fraction


@claim(
    "jian2025.eq-24",
    source="Eq. (24)",
    says=r"\sigma'(z)=\sigma(z)\,(1-\sigma(z))",
    verdict=PROVED,
    proof=r"Differentiate $\sigma(z)=1/(1+e^{-z})$.",
)
def sigmoid_derivative(evidence: Evidence) -> None:
    """The derivative of the logistic function."""
    z = sp.symbols("z", real=True)
    sigma = 1 / (1 + sp.exp(-z))

    def derivative_is(closed_form: sp.Expr) -> bool:
        return sp.simplify(sp.diff(sigma, z) - closed_form) == 0

    evidence.proves(
        lambda: derivative_is(sigma * (1 - sigma)), control=lambda: derivative_is(sigma * (1 - 2 * sigma)), by="SymPy"
    )


@claim(
    "jian2025.eq-27",
    source="Eqs. (16), (23), (25)-(27)",
    says=r"\nabla_\theta\bigl(-\log\sigma(z)\bigr)=-\beta\,(1-\sigma(z))\,(\nabla\log\pi_w-\nabla\log\pi_l)",
    assumes="a differentiable policy and a reference that does not depend on its parameters",
    verdict=PROVED,
    proof=r"Chain rule: $\nabla z=\beta(g_w-g_l)$ and $(-\log\sigma)'(z)=-(1-\sigma(z))$.",
)
def loss_gradient(evidence: Evidence) -> None:
    """Along any parameter t of any policy, and against autograd for four kinds of policies."""
    t, beta, reference = sp.symbols("t beta reference", real=True)
    log_w, log_l = sp.Function("log_w")(t), sp.Function("log_l")(t)
    z = beta * (log_w - log_l) - reference
    sigma = 1 / (1 + sp.exp(-z))

    def gradient_is(weight: sp.Expr) -> bool:
        closed_form = -beta * weight * (log_w.diff(t) - log_l.diff(t))
        return sp.expand(sp.numer(sp.together(sp.diff(-sp.log(sigma), t) - closed_form))) == 0

    def agrees(beta_in_front: float) -> bool:
        for policy, theta in smooth_policies().values():
            reference = other_reference(policy, theta)
            log_ratios = log_probs(policy, theta) - reference
            urgency = torch.sigmoid(-BETA * (log_ratios[CHOSEN] - log_ratios[REJECTED]))
            g = scores_of(policy, theta)
            closed_form = -beta_in_front * urgency * (g[CHOSEN] - g[REJECTED])
            if not torch.allclose(dpo_gradient(policy, theta, reference), closed_form, rtol=1e-12, atol=1e-14):
                return False
        return True

    evidence.proves(lambda: gradient_is(1 - sigma), control=lambda: gradient_is(sigma), by="SymPy, any parameter")
    evidence.measures(
        lambda: agrees(BETA), control=lambda: agrees(1.0), by="autograd of Eq. (16), four policies, to 1e-12"
    )


@claim(
    "jian2025.eq-22",
    source="Eqs. (21), (22)",
    says=r"\Delta\pi_y=\nabla_\theta\pi_y\cdot\Delta\theta=\pi_y\,\nabla_\theta\log\pi_y\cdot\Delta\theta",
    verdict=FIRST_ORDER,
    because="The Taylor remainder is dropped between Eqs. (20) and (21); for a finite step nearly no change of "
    "probability is linear in it.",
    proof=r"$\nabla\pi=\pi\,\nabla\log\pi$; the remainder is of second order for a policy with two derivatives.",
    instead="jian2025.taylor-remainder",
)
def linearised_step(evidence: Evidence) -> None:
    """Slope 2 on every kind of policy; at a finite step the ladder at e^theta = 1 falls though its drive is 0."""

    def printed(policy: Policy, theta: Tensor, delta: Tensor, _: float) -> Tensor:
        return log_probs(policy, theta).exp() * (scores_of(policy, theta) @ delta)

    def without_pi(policy: Policy, theta: Tensor, delta: Tensor, _: float) -> Tensor:
        return scores_of(policy, theta) @ delta

    for name in smooth_policies():
        evidence.slope(residual(printed, name), order=2, control=residual(without_pi, name))
    # with g_w = g_l nothing moves at any step size, and the equation holds
    evidence.fails(first_order_is_exact, at=ladder(1), control=World.log_linear([[1], [1], [0]], at=[2]))


def first_order_is_exact(w: World) -> bool:
    """Return whether the exact change in a step of size ln 2 is the first-order one, to 30 digits."""
    with mpmath.workdps(40):
        gaps = [_real(w.exact_change(y, 2)) - mpmath.log(2) * _real(w.change(y)) for y in w.responses]
        return all(abs(gap) < mpmath.mpf("1e-30") for gap in gaps)


def step_case(source: random.Random) -> StepCase:
    """Draw a world and a step size; a quarter of them where the curvature is sharpest."""
    if source.random() < 0.25:  # p(1-p)(1-2p) peaks at p = 0.21132..., nearly 15/71
        scale = source.choice((1, 2, 5))
        world = World.with_base([15, 56], [[scale], [0]], *source.sample((0, 1), 2))
        return {"size": F(1, 1000 * scale**2), "world": world}
    return {"size": F(source.randint(1, 60), source.choice((20, 200, 2000))), "world": any_world(source)}


def remainder(case: StepCase) -> mpmath.mpf:
    """Return the largest |exact change - first-order change| of any probability, to working precision."""
    w, size = case["world"], case["size"]
    d = _direction(w)
    growth = [mpmath.exp(_real(size * dot(phi, d))) * _real(p) for p, phi in zip(w.p, w.features, strict=True)]
    total = mpmath.fsum(growth)
    return max(abs(growth[y] / total - _real(w.p[y] + size * w.change(y))) for y in w.responses)


@claim(
    "jian2025.eq-19",
    source="Eq. (19) and the estimate under it",
    says=r"\eta=10^{-5},\ \|\nabla\mathcal{L}\|\approx 1\ \Rightarrow\ "
    r""
    r""
    r""
    r""
    r""
    r"|\pi_{\theta+\Delta\theta}-\pi_\theta-\nabla\pi_\theta\cdot\Delta\theta|"
    r"\lesssim\eta^2\|\nabla\mathcal{L}\|^2=10^{-10}",
    assumes="a log-linear policy whose features differ by at most 4 in norm",
    verdict=CONDITIONALLY,
    because=r"The constant in $\mathcal{O}(\eta^2\|\nabla\mathcal{L}\|^2)$ is the curvature of $\pi$, which neither a "
    r"bounded nor a clipped gradient bounds. Two responses with features $10^5$ and $0$, $\eta=10^{-5}$ and "
    r"$\|\nabla\mathcal{L}\|=1$ have a remainder of $0.019$.",
    proof="From jian2025.taylor-remainder, since the range of $\\phi_y\\cdot d$ is at most $4\\|d\\|$ and "
    "$16\\sqrt3/36<1$.",
    instead="jian2025.taylor-remainder",
)
def size_of_the_remainder(evidence: Evidence) -> None:
    """The estimate needs a bound on the curvature of the policy, not on the gradient."""

    def printed(case: StepCase, constant: int = 1) -> bool:
        w, size = case["world"], case["size"]
        d = _direction(w)
        with mpmath.workdps(40):
            square = _real(size**2 * dot(d, d))  # eta |grad L| = size |d|
            return constant * remainder(case) <= square + mpmath.mpf("1e-35")

    def tame(case: StepCase) -> bool:
        phi = case["world"].features
        return all(dot(d, d) <= 16 for a in phi for b in phi for d in [[x - y for x, y in zip(a, b, strict=True)]])

    steep = World.with_base([1, 1], [[10**5], [0]])
    evidence.fails(
        printed, at={"size": F(1, 10**10), "world": steep}, control={"size": F(1, 10**5), "world": EVEN_PAIR}
    )
    evidence.holds(printed, step_case, given=tame, control=lambda case: printed(case, constant=100), worlds=200)


@claim(
    "jian2025.taylor-remainder",
    source="not in the paper; puts a constant into Eq. (19)",
    says=r"|\Delta\pi_y-D_y|\le\frac{\sqrt3}{36}\,s^2\rho^2,\qquad s=\eta\beta\sigma(-z),\quad"
    r"\rho=\max_y\phi_y\cdot d-\min_y\phi_y\cdot d,\quad d=\phi_w-\phi_l",
    assumes="a log-linear policy, one pair, any step size; a tabular softmax has a range of 2",
    verdict=PROVED,
    proof=r"Along the step $\pi_y''(s)=\pi_y(a_y^2-\mathrm{Var}\,a)$ with the centred $a_y=\phi_y\cdot d-E[\phi\cdot "
    r"d]$. "
    r"At a given $\pi_y$ and mean of the others it is largest when they share one value and least "
    r"when they sit at both ends of the range; over both, "
    r"$|\pi_y''|\le\max_p p(1-p)(1-2p)\,\rho^2=\frac{\sqrt3}{18}\rho^2$; integrate twice. Two responses with "
    r"$p=(3-\sqrt3)/6$ attain it as $s\to 0$.",
)
def taylor_remainder(evidence: Evidence) -> None:
    """The best constant; nine tenths of it are refuted."""

    def bounded(case: StepCase, share: float = 1.0) -> bool:
        w, size = case["world"], case["size"]
        d = _direction(w)
        along = [dot(phi, d) for phi in w.features]
        with mpmath.workdps(40):
            constant = share * mpmath.sqrt(3) / 36
            bound = constant * _real(size**2 * (max(along) - min(along)) ** 2)
            return remainder(case) <= bound + mpmath.mpf("1e-35")  # rounding, where nothing moves

    def sharpest(value: sp.Expr) -> bool:
        p = sp.symbols("p", positive=True)
        curvature = p * (1 - p) * (1 - 2 * p)
        return any(sp.simplify(curvature.subs(p, root) - value) == 0 for root in sp.solve(sp.diff(curvature, p), p))

    evidence.holds(bounded, step_case, control=lambda case: bounded(case, share=0.9))
    evidence.proves(
        lambda: sharpest(SHARPEST_CURVATURE), control=lambda: sharpest(SHARPEST_CURVATURE / 2), by="SymPy, the maximum"
    )


@claim(
    "jian2025.score-identity",
    source="not in the paper; behind the conservation of Eq. (55)",
    says=r"\sum_y\pi_y\,\nabla\log\pi_y=0",
    verdict=PROVED,
    proof=r"$\sum_y\pi_y\nabla\log\pi_y=\nabla\sum_y\pi_y=\nabla 1$.",
)
def score_identity(evidence: Evidence) -> None:
    """Whatever a step does to probabilities, it only moves them."""

    def balanced(w: World, others_only: bool = False) -> bool:
        changes = [w.change(y) for y in (w.others if others_only else w.responses)]
        return sum(changes) == 0 == sum(w.exact_change(y, 3) for y in w.responses)

    def autograd_balanced(weighted: bool) -> bool:
        sums = [
            (log_probs(policy, theta).exp() if weighted else torch.ones(()).double()) * scores_of(policy, theta).T
            for policy, theta in smooth_policies().values()
        ]
        return all(float(total.sum(-1).abs().max()) < 1e-14 for total in sums)

    evidence.holds(balanced, any_world, control=lambda w: balanced(w, others_only=True))
    evidence.measures(
        lambda: autograd_balanced(True),
        control=lambda: autograd_balanced(False),
        by="scores by autograd, four policies, to 1e-14",
    )


@claim(
    "jian2025.eq-30-batch",
    source="Eqs. (28)-(30)",
    says=r"\Delta\theta=\eta\,\mathbb{E}\bigl[\beta(1-\sigma(z))(g_w-g_l)\bigr]\ \Rightarrow\ "
    r"\Delta\pi_w=\eta\beta(1-\sigma(z))\,\pi_w\,(\|g_w\|^2-g_w\cdot g_l)",
    assumes="a batch of one pair",
    verdict=CONDITIONALLY,
    because="The expectation is dropped between Eqs. (28) and (30). In a batch the other pairs push too: they can turn "
    "the sign of every term, and even lower the log-ratio of a pair that is trained on.",
    proof="With one pair the expectation is its only term.",
    instead="jian2025.batch-margin",
)
def batch_of_one(evidence: Evidence) -> None:
    """Two prompts with one parameter: the pair with the smaller difference is dragged the wrong way."""

    def printed(b: Batch, half: F = F(1)) -> bool:
        own = [u * half * dot(w, d) for u, (w, _), d in zip(b.urgencies, b.scores, b.differences, strict=True)]
        return all(b.log_change(i, chosen=True) == value for i, value in enumerate(own))

    def every_log_ratio_rises(b: Batch) -> bool:
        return all(b.log_margin_change(i) >= 0 for i in range(len(b.scores)))

    half = F(1, 2)
    opposed = Batch((((half,), (-half,)), ((-3 * half,), (3 * half,))), (half, half))
    alone = Batch(opposed.scores[:1], opposed.urgencies[:1])
    evidence.fails(printed, at=opposed, control=alone)
    evidence.fails(every_log_ratio_rises, at=opposed, control=alone)
    evidence.holds(printed, batch, given=lambda b: len(b.scores) == 1, control=lambda b: printed(b, half=half))
    evidence.finds(every_log_ratio_rises, batch, role=FAILS, control=weighted_sum_rises)


def weighted_sum_rises(b: Batch, weighted: bool = True) -> bool:
    """Return whether the log-ratios of a batch rise on the average, weighted by the urgencies or not."""
    weights = b.urgencies if weighted else [F(1)] * len(b.urgencies)
    total = sum(u * b.log_margin_change(i) for i, u in enumerate(weights))
    square = len(b.scores) * dot(b.direction, b.direction)
    return (total == square if weighted else True) and total >= 0


@claim(
    "jian2025.batch-margin",
    source="not in the paper; what is left of Eq. (30) in a batch",
    says=r"\sum_{j=1}^N\sigma(-z_j)\,D\bigl[\log\pi_{w,j}-\log\pi_{l,j}\bigr]"
    r"=\frac{\eta\beta}{N}\Bigl\|\sum_{j=1}^N\sigma(-z_j)(g_{w,j}-g_{l,j})\Bigr\|^2\ge 0",
    verdict=PROVED,
    proof="The left side is the inner product of the sum of the weighted differences with the step, which is their "
    "mean.",
)
def batch_margin(evidence: Evidence) -> None:
    """Weighted by their urgencies, the log-ratios of a batch rise; unweighted they need not."""
    evidence.holds(weighted_sum_rises, batch, role=HOLDS, control=lambda b: weighted_sum_rises(b, weighted=False))


def _direction(w: World) -> list[F]:
    return [a - b for a, b in zip(w.features[w.chosen], w.features[w.rejected], strict=True)]


def _real(q: F) -> mpmath.mpf:
    return mpmath.mpf(q.numerator) / q.denominator
