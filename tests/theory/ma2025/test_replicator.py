"""Real steps of DPO against Theorem 2, its exact form, and its second order."""

import numpy as np
import pytest
import torch

from dynamics import DPO, Tabular, bradley_terry, preference_matrix, replicator_fitness, step, tabular_theta
from theory.evidence import fitted_order

SIZES = (0.1, 0.03, 0.01)


def dpo_step(n: int, gamma: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (p, w, p after) of a real full-batch DPO step; ``dynamics`` takes the mean over pairs, the paper sums."""
    draw = torch.Generator().manual_seed(seed)
    log_p, log_ref = (torch.log_softmax(torch.randn(n, generator=draw, dtype=torch.float64), 0) for _ in range(2))
    table = preference_matrix(bradley_terry(torch.randn(n, generator=draw, dtype=torch.float64)))
    total = float(table.weight.sum())
    account = step(
        Tabular(n),
        tabular_theta(log_p.exp()),
        preferences=table,
        loss=DPO(beta=1.0),
        learning_rate=total * gamma,
        reference=log_ref,
    )
    w = total * replicator_fitness(log_p, table, DPO(beta=1.0), log_ref)
    return log_p.exp().numpy(), w.numpy(), account.new_log_probs.exp().numpy()


@pytest.mark.parametrize(("n", "gamma"), [(2, 0.1), (3, 1.0), (5, 5.0), (8, 0.01)])
def test_a_step_of_any_size_multiplies_weights(n: int, gamma: float) -> None:
    p, w, after = dpo_step(n, gamma, seed=n)
    grown = p * np.exp(gamma * w)
    np.testing.assert_allclose(after, grown / grown.sum(), rtol=0, atol=1e-13)
    assert abs(after - p).max() > 1e-4


@pytest.mark.parametrize(("mean", "second", "order"), [(1.0, 0.0, 2), (0.0, 0.0, 1), (1.0, 0.5, 3), (1.0, 1.0, 2)])
def test_the_residual_of_a_step_has_the_order_of_what_is_left_out(mean: float, second: float, order: int) -> None:
    def residual(size: float) -> float:
        p, w, after = dpo_step(4, size, seed=1)
        centred = w - p @ w
        bracket = centred**2 - p @ centred**2
        return float(abs(after - p - size * p * (w - mean * (p @ w)) - second * size**2 * p * bracket).max())

    assert fitted_order(residual, SIZES) == pytest.approx(order, abs=0.1)
