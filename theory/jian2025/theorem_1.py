"""Theorem 1: the change of both probabilities in one step, what is left of it in finite steps, and under AdamW."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction as F

import sympy as sp
import torch
from torch import Tensor

from dynamics.policies import LogLinear, Policy
from theory.claim import CONDITIONALLY, FALSE, FIRST_ORDER, MISPRINT, PROVED, claim
from theory.evidence import CORRECTED, FAILS, ORDER, Evidence
from theory.jian2025.cases import BOTH_FALL, BOTH_RISE, CurvedLogit, curved_logit, ladder
from theory.jian2025.gradient import first_order_is_exact
from theory.jian2025.smooth import (
    BETA,
    CHOSEN,
    REJECTED,
    log_probs,
    other_reference,
    residual,
    scores as scores_of,
    smooth_policies,
)
from theory.worlds import World, any_world, dot, one_feature

TINY = F(1, 10**12)
FACTORS = (F(3, 2), 8, 1000)  # e^s of the finite steps: small, large, nearly to the end

OPPOSED_SIGNS = World.log_linear([[1, -2], [-2, -3], [1, 5]], at=[1, 1])
"""Gradient descent raises the chosen response, its sign lowers it."""

Preconditioned = tuple[World, tuple[tuple[int, ...], ...]]


@claim(
    "jian2025.theorem-1",
    source="Theorem 1, Eqs. (2), (3); Eqs. (30), (32), (33)",
    says=r"\Delta_w=\eta\beta(1-\sigma(z))\,\pi_w\bigl(\|g_w\|^2-g_w\cdot g_l\bigr),\quad"
    r"\Delta_l=\eta\beta(1-\sigma(z))\,\pi_l\bigl(g_l\cdot g_w-\|g_l\|^2\bigr)",
    assumes="one pair, plain gradient descent, a policy with two derivatives",
    verdict=FIRST_ORDER,
    because="An equality only for the derivative at learning rate 0; at finite steps even the signs can differ.",
    proof=r"$\frac{d}{d\eta}\pi_y=\pi_y\,g_y\cdot\beta(1-\sigma(z))(g_w-g_l)$ at $\eta=0$.",
    instead=("jian2025.taylor-remainder", "jian2025.negative-drive"),
)
def theorem_1(evidence: Evidence) -> None:
    """The derivative for any policy with two parameters, slope 2 for four kinds of policies, and a finite step."""
    a, b, beta, reference, eta = sp.symbols("a b beta reference eta", real=True)
    log_w, log_l = sp.Function("log_w")(a, b), sp.Function("log_l")(a, b)
    sigma = 1 / (1 + sp.exp(-beta * (log_w - log_l) + reference))
    g_w, g_l = ([log_pi.diff(q) for q in (a, b)] for log_pi in (log_w, log_l))

    def derivative_is_printed(pair: Sequence[sp.Expr], other: Sequence[sp.Expr], log_pi: sp.Expr, sign: int) -> bool:
        printed = (
            beta * (1 - sigma) * sp.exp(log_pi) * sign * sum(x * (x - y) for x, y in zip(pair, other, strict=True))
        )
        step = [eta * sp.diff(sp.log(sigma), q) for q in (a, b)]
        rate = sum(sp.exp(log_pi).diff(q) * change.diff(eta) for q, change in zip((a, b), step, strict=True))
        return sp.expand(sp.numer(sp.together(rate - printed))) == 0

    def both(sign_of_rejected: int) -> bool:
        return derivative_is_printed(g_w, g_l, log_w, 1) and derivative_is_printed(g_l, g_w, log_l, sign_of_rejected)

    evidence.proves(lambda: both(-1), control=lambda: both(1), by="SymPy, the derivative at eta = 0", role=ORDER)
    for name in smooth_policies():
        evidence.slope(residual(_printed_changes, name), order=2, control=residual(_without_beta, name))
    evidence.fails(first_order_is_exact, at=ladder(1), control=World.log_linear([[1], [1], [0]], at=[2]))


def _printed_changes(policy: Policy, theta: Tensor, _: Tensor, learning_rate: float, beta: float = BETA) -> Tensor:
    """Return the right-hand sides of Eqs. (2) and (3)."""
    log_p, g = log_probs(policy, theta), scores_of(policy, theta)
    w, r = g[CHOSEN], g[REJECTED]
    log_ratios = log_p - other_reference(policy, theta)
    z = BETA * (log_ratios[CHOSEN] - log_ratios[REJECTED])
    terms = torch.stack([w @ w - w @ r, r @ w - r @ r])
    return learning_rate * beta * (1 - torch.sigmoid(z)) * log_p[[CHOSEN, REJECTED]].exp() * terms


def _without_beta(policy: Policy, theta: Tensor, delta: Tensor, learning_rate: float) -> Tensor:
    return _printed_changes(policy, theta, delta, learning_rate, beta=1.0)


@claim(
    "jian2025.theorem-1-rejected",
    source="Theorem 1, the line under Eq. (3)",
    says=r"\Delta_l=\Delta\pi_\theta(y_w|x)",
    verdict=MISPRINT,
    because=r"Eq. (3) is the change of $\pi(y_l|x)$, as in Eq. (32) and Corollary 1.",
    proof=r"It is the derivative of $\pi(y_l|x)$ along the step.",
)
def which_response(evidence: Evidence) -> None:
    """Eq. (3) against difference quotients of exact steps, for either response."""

    def eq_3_is_the_change_of(w: World, y: int, tolerance: F = F(1, 10**6)) -> bool:
        r = w.rejected
        printed = w.p[r] * (w.kernel(r, w.chosen) - w.squared_norm(r))
        return abs(w.exact_change(y, 1 + TINY) / TINY - printed) < tolerance

    fall_together = World.with_base([2, 1, 1], [[1], [2], [-4]])  # D_w = D_l = -1/2
    evidence.fails(lambda w: eq_3_is_the_change_of(w, w.chosen), at=BOTH_FALL, control=fall_together)
    evidence.holds(
        lambda w: eq_3_is_the_change_of(w, w.rejected),
        any_world,
        role=CORRECTED,
        control=lambda w: eq_3_is_the_change_of(w, w.chosen),
        worlds=200,
    )


@claim(
    "jian2025.theorem-1-sign",
    source="Section 2.2, the text on Fig. 1b",
    says=r"\mathrm{sign}\,\Delta_w=\mathrm{sign}\bigl(\|g_w\|^2-g_w\cdot g_l\bigr)",
    assumes="a log-linear policy with a negative gradient term",
    verdict=CONDITIONALLY,
    because=r"A positive gradient term is a promise for small steps only. On the ladder at $e^\theta=1/2$ it is "
    r"positive, "
    r"and a step to $e^\theta=4$ lowers $\pi_w$ from $2/7$ to $4/21$; at $e^\theta=1$ it is 0 and every step lowers "
    r"it.",
    proof=r"$\log\pi_y$ is concave along the step.",
    instead="jian2025.negative-drive",
)
def sign_of_a_finite_step(evidence: Evidence) -> None:
    """A long step can lower a response with a positive gradient term; none raises one whose term is negative."""

    def printed(w: World) -> bool:
        return all(_sign(w.exact_change(w.chosen, f)) == _sign(w.drive(w.chosen)) for f in FACTORS)

    def never_moves(w: World) -> bool:
        return all(w.exact_change(w.chosen, f) == 0 for f in FACTORS)

    evidence.fails(printed, at=ladder(F(1, 2)), control=BOTH_RISE)
    evidence.fails(printed, at=ladder(1), control=BOTH_FALL)
    evidence.holds(printed, one_feature, given=lambda w: w.drive(w.chosen) < 0, control=never_moves, worlds=200)


@claim(
    "jian2025.negative-drive",
    source="not in the paper; what Theorem 1 says exactly about finite steps",
    says=r"A_y\le 0\ \Rightarrow\ \Delta\pi_y\le 0\ \text{for every step size};\qquad"
    r"\Delta_w<0\Rightarrow\Delta_l<0,\quad \Delta_l>0\Rightarrow\Delta_w>0",
    assumes="a log-linear policy, one pair, any response y; A_y = g_y . (g_w - g_l)",
    verdict=PROVED,
    proof=r"Along $\theta+s(\phi_w-\phi_l)$, $\log\pi_y$ is concave with slope $A_y$ at $s=0$, and "
    r"$\log\pi_w-\log\pi_l$ "
    r"grows by $s\|\phi_w-\phi_l\|^2$.",
)
def negative_drive(evidence: Evidence) -> None:
    """Concavity decides one sign for every step size; the log-ratio decides the sign table of the pair."""

    def falls(w: World, flip: int = 1) -> bool:
        ys = [y for y in w.responses if flip * w.drive(y) <= 0]
        return all(flip * w.exact_change(y, f) <= 0 for f in FACTORS for y in ys)

    def table(w: World, exchanged: bool = False) -> bool:
        pair = (w.rejected, w.chosen) if exchanged else (w.chosen, w.rejected)
        changes = [[w.exact_change(y, f) for y in pair] for f in FACTORS]
        return all((a >= 0 or b < 0) and (b <= 0 or a > 0) for a, b in changes)

    evidence.holds(falls, any_world, control=lambda w: falls(w, flip=-1), worlds=200)
    evidence.holds(table, any_world, control=lambda w: table(w, exchanged=True), worlds=200)


@claim(
    "jian2025.finite-step-margin",
    source="not in the paper; the relative improvement of Section 2.3 in a finite step",
    says=r"\log\frac{\pi_w}{\pi_l}(\theta+\Delta\theta)\ge\log\frac{\pi_w}{\pi_l}(\theta)\quad\text{at every step "
    r"size}",
    assumes="a log-linear policy",
    verdict=CONDITIONALLY,
    because=r"With log-odds $\theta-\theta^2$ a step of size 2 from $\theta=0$ overshoots to log-odds of $-2$.",
    proof="jian2025.log-margin: for a log-linear policy the log-ratio is linear in the parameters.",
)
def finite_step_margin(evidence: Evidence) -> None:
    """Two responses, log-odds with a bend."""

    def rises(c: CurvedLogit) -> bool:
        return c.log_odds_after >= c.log_odds

    evidence.fails(rises, at=CurvedLogit(F(-1), F(0), F(2)), control=CurvedLogit(F(-1), F(0), F(1, 2)))
    evidence.holds(
        rises,
        curved_logit,
        given=lambda c: c.bend == 0,
        control=lambda c: c.log_odds_after >= c.log_odds + 2 * c.slope,
    )
    evidence.finds(rises, curved_logit, control=lambda c: c.bend != 0 or rises(c))


@claim(
    "jian2025.theorem-1-adam",
    source="Theorem 1 for the optimiser of Table 2",
    says=r"\text{AdamW: }\ \mathrm{sign}\,\Delta_w=\mathrm{sign}\bigl(\|g_w\|^2-g_w\cdot g_l\bigr)",
    verdict=FALSE,
    because=r"The first step of AdamW is along the signs of $g_w-g_l$. With uniform probabilities and features "
    r"$\phi_w=(1,-2)$, $\phi_l=(-2,-3)$, $\phi_o=(1,5)$ the gradient term is $+1$, but "
    r"$g_w\cdot\mathrm{sign}(g_w-g_l)=-1$.",
    instead="jian2025.preconditioned-margin",
)
def under_adam(evidence: Evidence) -> None:
    """Gradient descent raises what AdamW lowers, in exact numbers and with torch's own optimisers."""

    def same_sign(w: World) -> bool:
        step = [F(_sign(a)) for a in _difference(w)]
        return _sign(dot(w.scores[w.chosen], step)) == _sign(w.drive(w.chosen))

    evidence.fails(same_sign, at=OPPOSED_SIGNS, control=BOTH_FALL)
    evidence.measures(
        lambda: _falls_with(torch.optim.AdamW),
        control=lambda: _falls_with(torch.optim.SGD),
        by="one step of torch.optim.AdamW lowers the chosen response, one of torch.optim.SGD raises it",
        role=FAILS,
    )


def _falls_with(optimizer: type[torch.optim.Optimizer], learning_rate: float = 1e-3) -> bool:
    """Return whether one step of this optimiser on the DPO loss lowers the chosen response of OPPOSED_SIGNS."""
    policy = LogLinear([[float(a) for a in phi] for phi in OPPOSED_SIGNS.features])
    theta = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    before = policy.log_probs(theta).detach()
    with torch.enable_grad():
        change = policy.log_probs(theta) - before
        loss = -torch.nn.functional.logsigmoid(BETA * (change[CHOSEN] - change[REJECTED]))
        (theta.grad,) = torch.autograd.grad(loss, theta)
    optimizer([theta], lr=learning_rate).step()  # type: ignore[call-arg]
    return bool(policy.log_probs(theta.detach())[CHOSEN] < before[CHOSEN])


def preconditioned(source: random.Random) -> Preconditioned:
    """Draw a world and a square matrix of small whole numbers of its number of parameters."""
    w = any_world(source)
    k = len(w.features[0])
    return w, tuple(tuple(source.randint(-2, 2) for _ in range(k)) for _ in range(k))


@claim(
    "jian2025.preconditioned-margin",
    source="not in the paper; what is left of Theorem 1 under AdamW or RMSprop",
    says=r"\Delta\theta=s\,P(g_w-g_l),\ P\succeq 0\ \Rightarrow\ D[\log\pi_w-\log\pi_l]=s\,(g_w-g_l)^\top "
    r"P(g_w-g_l)\ge 0,"
    r"\quad D_w<0\Rightarrow D_l<0",
    assumes="no momentum and no weight decay, so the first step of Adam is included",
    verdict=PROVED,
    proof=r"$D[\log\pi_w-\log\pi_l]=(g_w-g_l)\cdot\Delta\theta$.",
)
def preconditioned_margin(evidence: Evidence) -> None:
    """P = B B^T for random B, and the diagonal P that turns g_w - g_l into its signs."""

    def moves_apart(w: World, step: Sequence[F]) -> bool:
        chosen, rejected = (dot(w.scores[y], step) for y in (w.chosen, w.rejected))
        return chosen >= rejected and (chosen >= 0 or rejected < 0) and (rejected <= 0 or chosen > 0)

    def semidefinite(case: Preconditioned) -> bool:
        w, b = case
        columns = [dot([F(row[j]) for row in b], _difference(w)) for j in range(len(b))]
        return moves_apart(w, [dot([F(a) for a in row], columns) for row in b])

    def indefinite(case: Preconditioned) -> bool:
        w, b = case
        return moves_apart(w, [dot([F(a) for a in row], _difference(w)) for row in b])

    evidence.holds(semidefinite, preconditioned, control=indefinite)
    evidence.holds(
        lambda w: moves_apart(w, [F(_sign(a)) for a in _difference(w)]),
        any_world,
        control=lambda w: moves_apart(w, [F(_sign(a)) for a in w.scores[w.chosen]]),
    )


def _difference(w: World) -> list[F]:
    return [a - b for a, b in zip(w.scores[w.chosen], w.scores[w.rejected], strict=True)]


def _sign(value: F) -> int:
    return (value > 0) - (value < 0)
