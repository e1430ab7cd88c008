"""A small policy in two blocks of parameters and the objective of Eq. (9) on it, for autograd in float64.

Two accounts of the same gradients: autograd on the objective, with the derivative of phi*(theta) from the implicit
function theorem; and the formulas of the paper, built from scores and Hessians.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.functional import hessian, jacobian
from torch.nn.functional import logsigmoid

from dynamics.errors import InvalidArgument

CHOSEN, REJECTED = 0, 1
NEWTON_STEPS = 100


@dataclass(frozen=True, eq=False)
class TwoBlockPolicy:
    """Softmax of a.theta + b.phi + theta' C phi, less bowl |phi|^2 / 2 for the chosen response.

    The bowl gives the SFT loss of a single response a minimiser in phi, and makes it unique: the loss is the logarithm
    of a sum of exponentials of convex functions.

    Attributes:
        a: (responses, parameters of theta).
        b: (responses, parameters of phi).
        c: (responses, parameters of theta, parameters of phi).
        bowl: > 0.

    Example:
        >>> policy = TwoBlockPolicy.random(seed=0)
        >>> policy.log_probs(torch.zeros(2).double(), torch.zeros(3).double()).exp()
        tensor([0.2500, 0.2500, 0.2500, 0.2500], dtype=torch.float64)
    """

    a: Tensor
    b: Tensor
    c: Tensor
    bowl: float = 1.0

    @staticmethod
    def random(seed: int, responses: int = 4, sizes: tuple[int, int] = (2, 3)) -> TwoBlockPolicy:
        """Return a policy with standard normal features; ``sizes`` are the numbers of parameters of theta and phi."""
        source = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=source, dtype=torch.float64)

        return TwoBlockPolicy(normal(responses, sizes[0]), normal(responses, sizes[1]), normal(responses, *sizes))

    def point(self, seed: int) -> tuple[Tensor, Tensor]:
        """Return random theta and phi."""
        source = torch.Generator().manual_seed(seed)
        theta, phi = (torch.randn(x.shape[1], generator=source, dtype=torch.float64) / 2 for x in (self.a, self.b))
        return theta, phi

    def log_probs(self, theta: Tensor, phi: Tensor) -> Tensor:
        """Return log pi of every response, in nats."""
        bowl = torch.zeros_like(self.a[:, 0])
        bowl[CHOSEN] = self.bowl
        logits = self.a @ theta + self.b @ phi + torch.einsum("yij,i,j->y", self.c, theta, phi)
        return torch.log_softmax(logits - bowl * phi.square().sum() / 2, dim=-1)

    def sft_derivatives(self, theta: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
        """Return gradient and Hessian in phi of -log pi(y_w), in closed form."""
        p = self.log_probs(theta, phi).exp()
        bowl = torch.zeros_like(p)
        bowl[CHOSEN] = self.bowl
        rows = self.b + torch.einsum("yij,i->yj", self.c, theta) - bowl[:, None] * phi
        mean = p @ rows
        identity = torch.eye(len(phi), dtype=phi.dtype)
        covariance = (p[:, None] * (rows - mean)).mT @ (rows - mean)
        return mean - rows[CHOSEN], covariance + self.bowl * (1 - p[CHOSEN]) * identity

    def scores(self, theta: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of log pi in theta and in phi, (responses, parameters) each."""
        by_theta, by_phi = jacobian(self.log_probs, (theta, phi))
        return by_theta, by_phi

    def hessian(self, y: int, theta: Tensor, phi: Tensor, blocks: str) -> Tensor:
        """Return second derivatives of log pi(y): ``blocks`` is "theta theta", "phi theta" or "phi phi"."""
        rows, columns = ({"theta": 0, "phi": 1}[name] for name in blocks.split())
        second: Tensor = hessian(lambda t, f: self.log_probs(t, f)[y], (theta, phi))[rows][columns]
        return second


@dataclass(frozen=True)
class Objective:
    """Eq. (9) for one pair, the chosen response being the SFT data.

    Attributes:
        policy: in two blocks.
        beta: of DPO.
        penalty: lambda, the weight of L_sft - L*_sft.
        gamma: weight of L_reg.
        reference: log ref(y_w) - log ref(y_l).
    """

    policy: TwoBlockPolicy
    beta: float = 0.5
    penalty: float = 0.7
    gamma: float = 0.4
    reference: float = 0.3

    def margin(self, theta: Tensor, phi: Tensor) -> Tensor:
        """Return z."""
        log_probs = self.policy.log_probs(theta, phi)
        return self.beta * (log_probs[CHOSEN] - log_probs[REJECTED] - self.reference)

    def sft(self, theta: Tensor, phi: Tensor) -> Tensor:
        """Return -log pi(y_w), Eq. (72)."""
        return -self.policy.log_probs(theta, phi)[CHOSEN]

    def delta(self, theta: Tensor, phi: Tensor) -> Tensor:
        """Return |grad_theta log pi(y_l)| - |grad_theta log pi(y_w)|."""
        by_theta: Tensor = jacobian(lambda t: self.policy.log_probs(t, phi), theta, create_graph=True)
        return by_theta[REJECTED].norm() - by_theta[CHOSEN].norm()

    def best_phi(self, theta: Tensor) -> Tensor:
        """Return phi*(theta), with the derivative that the implicit function theorem gives it.

        Raises:
            InvalidArgument: theta at which the damped Newton iteration does not settle.
        """
        fixed = theta.detach()
        phi = torch.zeros_like(self.policy.b[0])
        for _ in range(NEWTON_STEPS):
            move = self._newton(fixed, phi)
            if move.norm() < 1e-6:
                for _ in range(2):
                    phi = phi - self._newton(fixed, phi)
                # a last step, differentiated: at the optimum its derivative is that of phi*
                return phi - self._newton(theta, phi)
            size = 1.0
            while self.sft(fixed, phi - size * move) > self.sft(fixed, phi):
                size /= 2
            phi = phi - size * move
        raise InvalidArgument("theta", fixed.tolist(), "a point at which Newton's method finds phi*")

    def value(self, theta: Tensor, phi: Tensor) -> Tensor:
        """Return Eq. (9), L_dpo + lambda (L_sft - L*_sft) + gamma L_reg."""
        excess = self.sft(theta, phi) - self.sft(theta, self.best_phi(theta))
        regularizer = torch.clamp(self.delta(theta, phi), min=0)
        return -logsigmoid(self.margin(theta, phi)) + self.penalty * excess + self.gamma * regularizer

    def gradients(self, theta: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of ``value`` in theta and phi, by autograd."""
        leaves = [block.detach().clone().requires_grad_() for block in (theta, phi)]
        by_theta, by_phi = torch.autograd.grad(self.value(*leaves), leaves)
        return by_theta, by_phi

    def regularizer_gradient(self, theta: Tensor, phi: Tensor, blocks: str) -> Tensor:
        """Return Eq. (80) for "theta theta", Eq. (84) as printed for "phi phi", and its true form for "phi theta"."""
        if self.delta(theta, phi) <= 0:
            return torch.zeros_like(theta if blocks == "theta theta" else phi)
        by_theta, by_phi = self.policy.scores(theta, phi)
        score = by_phi if blocks == "phi phi" else by_theta

        def of(y: int) -> Tensor:
            return self.policy.hessian(y, theta, phi, blocks) @ score[y] / score[y].norm()

        return of(REJECTED) - of(CHOSEN)

    def eq_13(self, theta: Tensor, phi: Tensor, phi_star: Tensor) -> Tensor:
        """Return the gradient in theta as printed; ``phi_star`` stands for the optimum or for phi'^(K)."""
        here, at_star = (self.policy.scores(theta, at)[0] for at in (phi, phi_star))
        return (
            self._dpo(here, theta, phi)
            + self.gamma * self.regularizer_gradient(theta, phi, "theta theta")
            - self.penalty * (here[CHOSEN] - at_star[CHOSEN])
        )

    def eq_14(self, theta: Tensor, phi: Tensor, blocks: str = "phi theta") -> Tensor:
        """Return the gradient in phi as printed; ``blocks`` names the gradient of L_reg, its true form if not given."""
        here = self.policy.scores(theta, phi)[1]
        regularizer = self.regularizer_gradient(theta, phi, blocks)
        return self._dpo(here, theta, phi) + self.gamma * regularizer - self.penalty * here[CHOSEN]

    def _newton(self, theta: Tensor, phi: Tensor) -> Tensor:
        slope, curvature = self.policy.sft_derivatives(theta, phi)
        return torch.linalg.solve(curvature, slope)

    def _dpo(self, score: Tensor, theta: Tensor, phi: Tensor) -> Tensor:
        urgency = torch.sigmoid(-self.margin(theta, phi))
        return -self.beta * urgency * (score[CHOSEN] - score[REJECTED])
