import pytest
import torch

from theory.jian2025.two_block_policy import CHOSEN, Objective, TwoBlockPolicy

SEEDS = range(4)


def setting(seed):
    policy = TwoBlockPolicy.random(seed)
    return Objective(policy), *policy.point(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_closed_form_of_the_sft_derivatives(seed):
    objective, theta, phi = setting(seed)
    slope, curvature = objective.policy.sft_derivatives(theta, phi)
    torch.testing.assert_close(slope, -objective.policy.scores(theta, phi)[1][CHOSEN])
    torch.testing.assert_close(curvature, -objective.policy.hessian(CHOSEN, theta, phi, "phi phi"))


@pytest.mark.parametrize("seed", SEEDS)
def test_best_phi_is_a_minimiser(seed):
    objective, theta, _ = setting(seed)
    best = objective.best_phi(theta)
    assert objective.policy.sft_derivatives(theta, best)[0].norm() < 1e-12
    source = torch.Generator().manual_seed(seed)
    for _ in range(20):
        other = best + torch.randn(3, generator=source, dtype=torch.float64)
        assert objective.sft(theta, other) > objective.sft(theta, best)


@pytest.mark.parametrize("seed", SEEDS)
def test_best_phi_carries_its_derivative(seed):
    objective, theta, _ = setting(seed)
    exact = torch.autograd.functional.jacobian(objective.best_phi, theta)
    h = 1e-5
    for i, unit in enumerate(torch.eye(len(theta), dtype=torch.float64)):
        ends = [objective.best_phi(theta + sign * h * unit) for sign in (1, -1)]
        torch.testing.assert_close(exact[:, i], (ends[0] - ends[1]) / (2 * h), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("seed", SEEDS)
def test_gradients_against_finite_differences(seed):
    objective, theta, phi = setting(seed)
    h = 1e-6
    for block, gradient in enumerate(objective.gradients(theta, phi)):
        for i in range(len(gradient)):
            shift = [torch.zeros_like(theta), torch.zeros_like(phi)]
            shift[block][i] = h
            ends = [objective.value(theta + s * shift[0], phi + s * shift[1]).detach() for s in (1, -1)]
            assert float((ends[0] - ends[1]) / (2 * h)) == pytest.approx(float(gradient[i]), rel=1e-5, abs=1e-7)
