import math

import pytest
import torch
from hypothesis import given, settings, strategies as st

from dynamics.losses import BDPO, DPO
from theory.ma2025 import training as t

quick = settings(derandomize=True, deadline=None, max_examples=50)
probabilities = st.floats(0.05, 0.95)


@quick
@given(probabilities, probabilities, st.floats(-3, 3))
def test_the_drift_of_dpo_in_closed_form(label: float, reference: float, log_odds: float) -> None:
    gap = log_odds - math.log(reference / (1 - reference))
    expected = label - 1 / (1 + math.exp(-gap))  # P (1 - kappa) - (1 - P) kappa
    assert float(t.drift(DPO(beta=1.0), label, log_odds, reference)) == pytest.approx(expected, abs=1e-12)


@quick
@given(st.floats(0.1, 0.9), st.floats(0.3, 0.7))
def test_dpo_rests_at_reference_times_utility(label: float, reference: float) -> None:
    odds = label / (1 - label) * reference / (1 - reference)
    (rest,) = t.resting_points(DPO(beta=1.0), label, reference)
    assert rest == pytest.approx(odds / (1 + odds), abs=1e-5)
    assert t.is_minimum(DPO(beta=1.0), label, rest, reference)
    assert not t.is_minimum(DPO(beta=1.0), label, 0.9 * rest, reference)


def test_a_live_loss_drifts_down_its_value_and_a_detached_one_does_not() -> None:
    x, h = torch.tensor(0.3, dtype=torch.float64), 1e-6
    for detach, agrees in ((False, True), (True, False)):
        loss = t.version_2(symmetric=True, detach=detach)
        slope = (t.expected_loss(loss, 0.6, x + h, 0.6) - t.expected_loss(loss, 0.6, x - h, 0.6)) / (2 * h)
        assert (abs(float(t.drift(loss, 0.6, x, 0.6) + slope)) < 1e-8) is agrees


def test_drift_leaves_its_argument_and_the_threads_alone() -> None:
    x, before = torch.zeros(3, dtype=torch.float64), torch.get_num_threads()
    t.drift(BDPO(beta=1.0), 0.6, x)
    assert not x.requires_grad
    assert torch.get_num_threads() == before
