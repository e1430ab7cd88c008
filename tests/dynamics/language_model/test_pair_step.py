from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dynamics import DPO, IPO, SFT, InvalidArgument, PreferenceLoss, SimPO, pairs
from dynamics.language_model import model_step, predict_change, sequence_kernel, sequence_log_probs, tiny_model
from dynamics.language_model.kernel import TIED_CROSS
from tests.dynamics.language_model.brute_force import SEQUENCES, scores

REFERENCE = [-15.0, -6.0, -30.0, -14.0, -20.0]
LOSSES: list[PreferenceLoss] = [DPO(beta=0.5), IPO(beta=0.1), SimPO(beta=2.0), DPO(beta=0.2) + 0.3 * SFT()]
RATES = [1e-7, 2e-7, 4e-7, 8e-7]


def slope(rates: list[float], errors: list[float]) -> float:
    return float(np.polyfit(np.log(rates), np.log(errors), 1)[0])


@pytest.mark.parametrize("loss", LOSSES, ids=["dpo", "ipo", "simpo", "dpo+sft"])
@pytest.mark.parametrize("architecture", ["qwen2", "gpt2"])
def test_the_prediction_is_right_to_first_order(architecture: str, loss: PreferenceLoss) -> None:
    """The error falls with the square of the learning rate, and is a small part of every single change."""
    model = tiny_model(architecture)
    how: dict[str, Any] = {"weight": [1.0, 0.5], "loss": loss, "reference": REFERENCE}
    steps = [model_step(model, SEQUENCES, [0, 2], [3, 4], learning_rate=eta, **how) for eta in RATES]
    errors = [float((s.actual - s.predicted).norm()) for s in steps]
    assert slope(RATES, errors) == pytest.approx(2, abs=0.02)
    assert bool(((steps[0].actual - steps[0].predicted).abs() < 1e-3 * steps[0].predicted.abs()).all())


def test_without_the_tied_cross_terms_the_error_falls_only_linearly() -> None:
    model = tiny_model("qwen2")
    account = sequence_kernel(model, SEQUENCES)
    wrong = account.kernel - account.by_module[TIED_CROSS]
    errors = []
    for eta in RATES:
        s = model_step(model, SEQUENCES, 0, 3, learning_rate=eta, loss=DPO(beta=0.5))
        guess = predict_change(wrong, account.log_probs, s.preferences, loss=DPO(beta=0.5), learning_rate=eta)
        errors.append(float((s.actual - guess).abs().max()))
    assert slope(RATES, errors) == pytest.approx(1, abs=0.1)


def test_theorem_one_on_a_single_pair() -> None:
    """With the model as its own reference z = 0, and the prediction is eta beta / 2 times the drive."""
    model = tiny_model("llama")
    got = model_step(model, SEQUENCES, 0, 3, loss=DPO(beta=0.4), learning_rate=1e-3)
    g = scores(model, SEQUENCES)
    torch.testing.assert_close(got.drive, (g @ (g[0] - g[3])).unsqueeze(0), rtol=1e-11, atol=1e-9)
    torch.testing.assert_close(got.predicted, 1e-3 * 0.4 * 0.5 * got.drive[0], rtol=1e-12, atol=0)
    assert float(got.margin) == 0
    assert float(got.urgency) == 0.5
    assert got.displaced.tolist() == [bool(got.drive[0, 0] < 0)]
    assert float(got.predicted[0] - got.predicted[3]) > 0  # the margin itself always grows


def test_displacement_is_seen_and_happens() -> None:
    """Two sequences that share nearly everything: the push on the rejected one drags the chosen one down."""
    found = []
    for seed in range(12):
        got = model_step(tiny_model("qwen2", seed=seed), SEQUENCES, 0, 3, loss=DPO(beta=0.5), learning_rate=1e-7)
        assert bool(got.displaced[0]) == bool(got.actual[0] < 0)
        found.append(bool(got.displaced[0]))
    assert {True, False} == set(found)


def test_the_step_is_taken_back() -> None:
    model = tiny_model("gpt2", dtype=torch.float32)
    before = [p.clone() for p in model.parameters()]
    places = [p.data_ptr() for p in model.parameters()]
    got = model_step(model, SEQUENCES, 0, 1, learning_rate=1e-2)
    assert float(got.actual.abs().min()) > 1e-6
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    assert [p.data_ptr() for p in model.parameters()] == places
    expected = sequence_log_probs(model, SEQUENCES, dtype=torch.float64).total
    torch.testing.assert_close(got.log_probs, expected, rtol=0, atol=1e-12)


def test_only_the_parameters_of_the_filter_move() -> None:
    model = tiny_model("qwen2")
    how: dict[str, Any] = {"parameters": "*mlp*", "loss": DPO(beta=0.5)}
    steps = [model_step(model, SEQUENCES, 0, 3, learning_rate=eta, **how) for eta in RATES]
    errors = [float((s.actual - s.predicted).abs().max()) for s in steps]
    assert slope(RATES, errors) == pytest.approx(2, abs=0.1)
    everything = model_step(model, SEQUENCES, 0, 3, learning_rate=RATES[0], loss=DPO(beta=0.5))
    assert float((everything.actual - steps[0].actual).abs().max()) > float(errors[0])


def test_bad_arguments_are_named() -> None:
    model = tiny_model()
    with pytest.raises(InvalidArgument, match="from 0 to 4"):
        model_step(model, SEQUENCES, 0, 5)
    with pytest.raises(InvalidArgument, match="learning_rate"):
        model_step(model, SEQUENCES, 0, 1, learning_rate=float("nan"))
    with pytest.raises(InvalidArgument, match="reference"):
        model_step(model, SEQUENCES, 0, 1, reference=[-1.0])
    with pytest.raises(InvalidArgument, match="kernel"):
        predict_change(torch.eye(3), [-1.0, -2.0], pairs(0, 1, shape=(2,)), loss=DPO(), learning_rate=0.1)
