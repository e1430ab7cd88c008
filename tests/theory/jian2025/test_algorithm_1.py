import torch

from theory.jian2025.algorithm_1 import inner_loop, iterate
from theory.jian2025.two_block_policy import Objective, TwoBlockPolicy


def setting(seed):
    policy = TwoBlockPolicy.random(seed)
    return Objective(policy), *policy.point(seed)


def test_more_inner_steps_come_closer():
    objective, theta, phi = setting(0)
    best = objective.best_phi(theta)
    distances = [float((inner_loop(objective, theta, phi, k, 0.1) - best).norm()) for k in (0, 5, 20, 80)]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < distances[0] / 10


def test_exact_inner_solution_gives_the_gradient_step():
    objective, theta, phi = setting(1)
    by_theta, by_phi = objective.gradients(theta, phi)
    new_theta, new_phi = iterate(objective, theta, phi, rates=(0.1, 0.2), inner_steps=3000, inner_rate=0.1)
    torch.testing.assert_close(new_phi, phi - 0.2 * by_phi, rtol=0, atol=1e-12)
    torch.testing.assert_close(new_theta, theta - 0.1 * by_theta, rtol=0, atol=1e-8)
