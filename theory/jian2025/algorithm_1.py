"""Algorithm 1, Eqs. (11) and (12): one outer iteration, and what is left of it in its limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from dynamics import DPO, LogLinear, step
from theory.claim import CONDITIONALLY, FIRST_ORDER, PROVED, claim
from theory.evidence import CONDITIONAL, Evidence
from theory.jian2025.two_block_policy import CHOSEN, REJECTED, Objective, TwoBlockPolicy

EXACT = 1e-12  # absolute, float64; parameters are of order 1


def inner_loop(objective: Objective, theta: Tensor, phi: Tensor, steps: int, rate: float) -> Tensor:
    """Return phi'^(K): K steps of gradient descent on the SFT loss, Eq. (11)."""
    for _ in range(steps):
        phi = phi - rate * objective.policy.sft_derivatives(theta, phi)[0]
    return phi


def iterate(
    objective: Objective,
    theta: Tensor,
    phi: Tensor,
    *,
    rates: tuple[float, float] = (0.1, 0.1),
    inner_steps: int = 1,
    inner_rate: float = 0.2,
    in_turn: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return theta and phi after one outer iteration on one pair, whose chosen response is the SFT datum.

    Args:
        objective: loss, policy and weights.
        theta: of the outer block, before.
        phi: of the inner block, before.
        rates: learning rates of theta and of phi.
        inner_steps: K >= 0.
        inner_rate: learning rate of the inner loop.
        in_turn: whether phi's gradient is taken at the new theta, which is not what Eq. (12) says.

    Example:
        >>> policy = TwoBlockPolicy.random(0)
        >>> theta, phi = iterate(Objective(policy), *policy.point(0))
        >>> theta.shape, phi.shape
        (torch.Size([2]), torch.Size([3]))
    """
    phi_star = inner_loop(objective, theta, phi, inner_steps, inner_rate)
    new_theta = theta - rates[0] * objective.eq_13(theta, phi, phi_star)
    new_phi = phi - rates[1] * objective.eq_14(new_theta if in_turn else theta, phi)
    return new_theta, new_phi


def log_linear_objective(seed: int, penalty: float, gamma: float = 0.0) -> tuple[Objective, Tensor, Tensor, Tensor]:
    """Return an objective on a log-linear policy in two blocks, a point, and the reference's log-probabilities."""
    policy = TwoBlockPolicy.random(seed)
    theta, phi = policy.point(seed)
    straight = TwoBlockPolicy(policy.a, policy.b, torch.zeros_like(policy.c), bowl=0.0)
    reference = straight.log_probs(theta / 2, -phi)
    ratio = float(reference[CHOSEN] - reference[REJECTED])
    return Objective(straight, penalty=penalty, gamma=gamma, reference=ratio), theta, phi, reference


def dpo_on_both(seed: int, penalty: float) -> float:
    """Return how far an iteration is from a DPO step of ``dynamics`` on theta and phi together."""
    objective, theta, phi, reference = log_linear_objective(seed, penalty)
    joint = LogLinear(torch.cat([objective.policy.a, objective.policy.b], dim=1))
    account = step(
        joint,
        torch.cat([theta, phi]),
        CHOSEN,
        REJECTED,
        loss=DPO(beta=objective.beta),
        learning_rate=0.1,
        reference=reference,
    )
    return float((torch.cat(iterate(objective, theta, phi)) - account.new_theta).abs().max())


def dpo_on_theta(seed: int, penalty: float, rate_phi: float = 0.0) -> float:
    """Return how far an iteration is from a DPO step of ``dynamics`` on theta alone, phi in the base measure."""
    objective, theta, phi, reference = log_linear_objective(seed, penalty)
    adapter = LogLinear(objective.policy.a, base_measure=(objective.policy.b @ phi).exp())
    account = step(
        adapter, theta, CHOSEN, REJECTED, loss=DPO(beta=objective.beta), learning_rate=0.1, reference=reference
    )
    new_theta, new_phi = iterate(objective, theta, phi, rates=(0.1, rate_phi))
    return float(torch.cat([new_theta - account.new_theta, new_phi - phi]).abs().max())


@claim(
    "jian2025.algorithm-1-dpo",
    source=r"Algorithm 1 with lambda = gamma = 0; not stated in the paper",
    says=r"\lambda=\gamma=0\implies(\theta_{t+1},\phi_{t+1})=(\theta_t,\phi_t)-\eta\nabla L_{\mathrm{dpo}};\qquad"
    r"\text{also }\eta_\phi=0\implies\text{DPO on }\theta\text{ alone}",
    assumes=r"$\eta_\theta=\eta_\phi=\eta$, plain gradient descent",
    verdict=PROVED,
    proof="Terms (b), (d), (e) drop out of Eqs. (13) and (14).",
)
def dpo_limit(evidence: Evidence) -> None:
    """Against the steps of dynamics, which know of no blocks."""

    def equal(distance: Callable[[int, float], float], penalty: float) -> bool:
        return max(distance(seed, penalty) for seed in range(3)) < EXACT

    evidence.measures(
        lambda: equal(dpo_on_both, 0.0),
        control=lambda: equal(dpo_on_both, 0.1),
        by=f"joint DPO, three random log-linear policies, absolute tolerance {EXACT}",
    )
    evidence.measures(
        lambda: equal(dpo_on_theta, 0.0),
        control=lambda: equal(dpo_on_theta, 0.1),
        by=f"DPO on theta with phi frozen, likewise, absolute tolerance {EXACT}",
    )


@claim(
    "jian2025.algorithm-1-no-inner-step",
    source="Algorithm 1 with K = 0; not stated in the paper",
    says=r"K=0\implies\theta_{t+1}\ \text{does not depend on}\ \lambda",
    verdict=PROVED,
    proof=r"$\phi'^{(0)}=\phi$, so that the two halves of term (b) cancel. With an exact $\phi'^{(K)}=\phi_t$ they "
    "cancel as well.",
)
def no_inner_step(evidence: Evidence) -> None:
    """The penalty reaches theta only through the inner steps."""

    def statement(inner_steps: int) -> bool:
        policy = TwoBlockPolicy.random(1)
        theta, phi = policy.point(1)
        moved = [iterate(Objective(policy, penalty=c), theta, phi, inner_steps=inner_steps)[0] for c in (0.0, 5.0)]
        return float((moved[0] - moved[1]).abs().max()) < EXACT

    evidence.measures(
        lambda: statement(0), control=lambda: statement(1), by=f"a random policy, absolute tolerance {EXACT}"
    )


@claim(
    "jian2025.eq-12",
    source="Eq. (12) against lines 12 and 13 of Algorithm 1, carried out one after the other",
    says=r"\phi_t-\eta_\phi\nabla_\phi L(\theta_t,\phi_t)=\phi_t-\eta_\phi\nabla_\phi L(\theta_{t+1},\phi_t)",
    verdict=FIRST_ORDER,
    because=r"Both gradients belong to the old point. A program that updates $\theta$ first and then differentiates "
    r"again is another method, which differs by a term of order $\eta_\theta\eta_\phi$.",
    proof=r"$\nabla_\phi L$ is continuously differentiable away from $\delta=0$.",
)
def simultaneous(evidence: Evidence) -> None:
    """Jacobi and Gauss-Seidel agree to first order and not exactly."""
    policy = TwoBlockPolicy.random(2)
    objective = Objective(policy)
    theta, phi = policy.point(2)

    def distance(size: float, *, from_start: bool = False) -> float:
        both = [iterate(objective, theta, phi, rates=(size, size), in_turn=turn)[1] for turn in (False, True)]
        return float(((phi if from_start else both[0]) - both[1]).norm())

    evidence.fails(lambda size: distance(size) < EXACT, at=0.1, control=0.0)
    evidence.slope(distance, 2, control=lambda size: distance(size, from_start=True))


@claim(
    "jian2025.small-lambda",
    source="Appendix C.4: when lambda is small the model behaves similarly to vanilla DPO",
    says=r"\lim_{\lambda\to 0}(\theta_{t+1},\phi_{t+1})=\text{the update of DPO}",
    assumes=r"$\gamma=0$, and DPO trains the backbone $\phi$ as well as the adapter $\theta$",
    verdict=CONDITIONALLY,
    because=r"DPO on the adapter leaves the backbone where it is; here it moves, at $\lambda=0$ too.",
    proof=r"The update is affine in $\lambda$, with the joint DPO step at 0.",
)
def small_penalty(evidence: Evidence) -> None:
    """The limit is DPO on both blocks, reached linearly; it is not DPO on theta."""

    def adapter_only(rate_phi: float) -> bool:
        return dpo_on_theta(0, penalty=0.0, rate_phi=rate_phi) < EXACT

    evidence.fails(adapter_only, at=0.1, control=0.0)
    objective, theta, phi, _ = log_linear_objective(0, penalty=0.0)
    target = torch.cat(iterate(objective, theta, phi))

    def distance(penalty: float, gamma: float = 0.0) -> float:
        changed = replace(objective, penalty=penalty, gamma=gamma)
        return float((torch.cat(iterate(changed, theta, phi)) - target).norm())

    evidence.slope(distance, 1, role=CONDITIONAL, control=lambda penalty: distance(penalty, gamma=0.4))
