"""Eqs. (13), (14) and Algorithm 1 of jian2025 as printed, from scores and Hessians: an independent reference.

The ledger derives the formulas (jian2025.eq-13, eq-14, eq-84-mixed-hessian); here they are numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.functional import hessian, jacobian

CHOSEN, REJECTED = 0, 1


@dataclass(frozen=True, eq=False)
class TwoBlockPolicy:
    """Softmax of a.theta + b.phi + theta' C phi.

    Attributes:
        a: (responses, parameters of theta).
        b: (responses, parameters of phi).
        c: (responses, parameters of theta, parameters of phi).
    """

    a: Tensor
    b: Tensor
    c: Tensor

    @staticmethod
    def random(seed: int, responses: int = 4, sizes: tuple[int, int] = (2, 3)) -> TwoBlockPolicy:
        """Return a policy with standard normal features; ``sizes`` are the numbers of parameters of theta and phi."""
        source = torch.Generator().manual_seed(seed)
        shapes = (responses, sizes[0]), (responses, sizes[1]), (responses, *sizes)
        return TwoBlockPolicy(*(torch.randn(shape, generator=source, dtype=torch.float64) for shape in shapes))

    def point(self, seed: int) -> tuple[Tensor, Tensor]:
        """Return random theta and phi."""
        source = torch.Generator().manual_seed(seed)
        theta, phi = (torch.randn(x.shape[1], generator=source, dtype=torch.float64) / 2 for x in (self.a, self.b))
        return theta, phi

    def log_probs(self, theta: Tensor, phi: Tensor) -> Tensor:
        """Return log pi of every response, in nats; leading axes of both blocks are kept."""
        mixed = torch.einsum("yij,...i,...j->...y", self.c, theta, phi)
        return torch.log_softmax(theta @ self.a.mT + phi @ self.b.mT + mixed, dim=-1)

    def scores(self, theta: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of log pi in theta and in phi, (responses, parameters) each."""
        by_theta, by_phi = jacobian(self.log_probs, (theta, phi))
        return by_theta, by_phi


@dataclass(frozen=True)
class Step:
    """One outer iteration of Algorithm 1 on one pair, whose chosen response is the SFT datum.

    Attributes:
        policy: in two blocks.
        reference: log ref(y_w) - log ref(y_l).
        beta: of DPO.
        penalty: lambda, the weight of L_sft - L*_sft.
        gamma: weight of L_reg.
        rates: learning rates of theta and of phi.
        inner_steps: K >= 0.
        inner_rate: learning rate of the inner loop.
        in_turn: whether phi's gradient is taken at the new theta, which is not what Eq. (12) says.
    """

    policy: TwoBlockPolicy
    reference: float
    beta: float = 0.5
    penalty: float = 0.7
    gamma: float = 0.4
    rates: tuple[float, float] = (0.1, 0.05)
    inner_steps: int = 1
    inner_rate: float = 0.2
    in_turn: bool = False

    def __call__(self, theta: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
        """Return theta and phi after the iteration."""
        inner = phi
        for _ in range(self.inner_steps):
            inner = inner + self.inner_rate * self.policy.scores(theta, inner)[1][CHOSEN]
        new_theta = theta - self.rates[0] * self.eq_13(theta, phi, inner)
        new_phi = phi - self.rates[1] * self.eq_14(new_theta if self.in_turn else theta, phi)
        return new_theta, new_phi

    def eq_13(self, theta: Tensor, phi: Tensor, inner: Tensor) -> Tensor:
        """Return the gradient in theta as printed, with ``inner`` for phi*."""
        gap = self.policy.scores(theta, phi)[0][CHOSEN] - self.policy.scores(theta, inner)[0][CHOSEN]
        return self._dpo_and_regularizer(theta, phi, block=0) - self.penalty * gap

    def eq_14(self, theta: Tensor, phi: Tensor) -> Tensor:
        """Return the gradient in phi as printed."""
        score = self.policy.scores(theta, phi)[1][CHOSEN]
        return self._dpo_and_regularizer(theta, phi, block=1) - self.penalty * score

    def _dpo_and_regularizer(self, theta: Tensor, phi: Tensor, block: int) -> Tensor:
        log_probs, scores = self.policy.log_probs(theta, phi), self.policy.scores(theta, phi)
        z = self.beta * (log_probs[CHOSEN] - log_probs[REJECTED] - self.reference)
        push = -self.beta * torch.sigmoid(-z) * (scores[block][CHOSEN] - scores[block][REJECTED])

        def of(y: int) -> Tensor:  # Eq. (79) in theta, the mixed Hessian in phi
            second = hessian(lambda t, f: self.policy.log_probs(t, f)[y], (theta, phi))[block][0]
            product: Tensor = second @ scores[0][y] / scores[0][y].norm()
            return product

        active = scores[0][REJECTED].norm() > scores[0][CHOSEN].norm()
        return push + self.gamma * (of(REJECTED) - of(CHOSEN)) * active
