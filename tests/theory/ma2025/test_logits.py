import pytest
import torch

from dynamics import DPO, ProbabilityMargin
from dynamics.losses import pair_log_probs
from theory.ma2025.logits import pull

S = torch.tensor([0.3, -0.2, 1.1, 0.0], dtype=torch.float64)


@pytest.mark.parametrize("orthogonal", [True, False])
def test_a_step_moves_the_logits_as_theorem_1_says(orthogonal: bool) -> None:
    draw = torch.Generator().manual_seed(1)
    jacobian = torch.randn(4, 6, generator=draw, dtype=torch.float64)
    if orthogonal:
        jacobian = 1.5 * torch.linalg.qr(jacobian.T).Q.T
    theta = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    log_p = (S + jacobian @ theta).log_softmax(0)
    pair = pair_log_probs(log_p[0], log_p[1], -1.0, -1.5)
    (gradient,) = torch.autograd.grad(DPO(beta=2.0).value(pair), theta)
    push = 2.0 * (1 - torch.sigmoid(DPO(beta=2.0).margin(pair).detach()))
    expected = push * jacobian @ (jacobian[0] - jacobian[1])
    if orthogonal:
        expected = push * 1.5**2 * torch.tensor([1.0, -1.0, 0.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(-jacobian @ gradient, expected, rtol=0, atol=1e-14)


def test_pull_is_the_push_of_the_balanced_loss() -> None:
    s = S.clone().requires_grad_()
    loss = ProbabilityMargin(scale=3.0)
    pair = pair_log_probs(*s.log_softmax(0)[:2])
    (gradient,) = torch.autograd.grad(loss.value(pair), s)
    push = 3.0 * (1 - torch.sigmoid(loss.margin(pair).detach()))
    expected = push * torch.stack(pull(torch.softmax(S, 0)))
    torch.testing.assert_close(-gradient, expected, rtol=0, atol=1e-15)
