from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dynamics import DPO, IPO, SFT, AdamW, InvalidArgument, PreferenceLoss, SimPO
from dynamics.language_model import (
    StepChange,
    model_step,
    predict_change,
    sequence_kernel,
    sequence_log_probs,
    tiny_model,
)
from dynamics.language_model.kernel import computation, cross_kernel as cross_module
from dynamics.language_model.kernel.assembly import TIED_CROSS
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
    errors = [float((s.actual_log_change - s.predicted_log_change).norm()) for s in steps]
    assert slope(RATES, errors) == pytest.approx(2, abs=0.02)
    assert bool((steps[0].relative_error < 1e-3).all())
    for eta, s in zip(RATES, steps, strict=True):  # the kernel and forward mode share no code
        assert float((s.predict(eta) - s.predicted_log_change).abs().max()) < 1e-11 * float(
            s.predicted_log_change.abs().max()
        )


@pytest.mark.parametrize("optimizer", [None, AdamW()], ids=["sgd", "adamw"])
def test_a_step_without_a_kernel_is_the_same_step(optimizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("gpt2")
    how: dict[str, Any] = {"weight": [1.0, 0.5], "loss": DPO(beta=0.5), "reference": REFERENCE, "optimizer": optimizer}
    whole = model_step(model, SEQUENCES, [0, 2], [3, 4], learning_rate=1e-6, **how)
    monkeypatch.setattr(computation, "compute_blocks", None)
    monkeypatch.setattr(cross_module, "compute_blocks", None)
    got = model_step(model, SEQUENCES, [0, 2], [3, 4], learning_rate=1e-6, kernel=False, **how)
    assert type(got) is StepChange
    # AdamW's step is the sign of gradients, some of which are nearly 0
    for name in ("log_probs", "new_log_probs", "predicted_log_change", "actual_log_change"):
        torch.testing.assert_close(getattr(got, name), getattr(whole, name), rtol=1e-9, atol=1e-12)
    with pytest.raises(InvalidArgument, match="memory: it is an option of the kernel"):
        model_step(model, SEQUENCES, kernel=False, memory="graph")
    with pytest.raises(InvalidArgument, match="kernel"):
        model_step(model, SEQUENCES, kernel=1)  # type: ignore[call-overload]
    with pytest.raises(TypeError):  # the negative control: with a kernel it is needed
        model_step(model, SEQUENCES)


@pytest.mark.parametrize(
    ("architecture", "tied"), [("qwen2", True), ("qwen2", False), ("llama", False), ("gpt2", True)]
)
def test_the_prediction_is_right_to_first_order_for_adamw(architecture: str, tied: bool) -> None:
    """Every sequence, along the step that AdamW takes; what the kernel says about SGD is off in proportion."""
    model = tiny_model(architecture, tied=tied)
    how: dict[str, Any] = {"weight": [1.0, 0.5], "loss": DPO(beta=0.5), "optimizer": AdamW()}
    steps = [model_step(model, SEQUENCES, [0, 2], [3, 4], learning_rate=eta, **how) for eta in RATES]
    for number in range(len(SEQUENCES)):
        errors = [float((s.actual_log_change - s.predicted_log_change)[number].abs()) for s in steps]
        assert slope(RATES, errors) == pytest.approx(2, abs=0.05)
    wrong = [float((s.actual_log_change - s.predict(eta)).norm()) for eta, s in zip(RATES, steps, strict=True)]
    assert slope(RATES, wrong) == pytest.approx(1, abs=0.02)
    assert bool((steps[0].relative_error < 1e-3).all())


def test_a_live_optimizer_takes_the_step_that_it_would_take() -> None:
    """Its rate, its moments: the prediction follows them, and neither it nor the model moves."""
    model = tiny_model("llama")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-7)
    for p in model.parameters():
        p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    optimizer.step()
    errors = []
    for eta in RATES:
        optimizer.param_groups[0]["lr"] = eta
        got = model_step(model, SEQUENCES, 0, 3, loss=DPO(beta=0.5), optimizer=optimizer)
        errors.append(float((got.actual_log_change - got.predicted_log_change).norm()))
    assert slope(RATES, errors) == pytest.approx(2, abs=0.02)
    first = model_step(model, SEQUENCES, 0, 3, loss=DPO(beta=0.5), optimizer=AdamW(), learning_rate=RATES[-1])
    assert float((first.predicted_log_change - got.predicted_log_change).abs().max()) > 0.1 * float(
        got.predicted_log_change.abs().max()
    )
    assert {int(s["step"]) for s in optimizer.state.values()} == {1}


@pytest.mark.parametrize(("architecture", "seed", "chosen", "rejected"), [("qwen2", 5, 1, 0), ("gpt2", 0, 3, 0)])
def test_the_sign_of_theorem_one_is_not_that_of_adamw(architecture: str, seed: int, chosen: int, rejected: int) -> None:
    """jian2025 trains with AdamW and reasons about SGD: here are pairs whose winner SGD lowers and AdamW raises."""
    model = tiny_model(architecture, seed=seed, layers=1)
    pair = [SEQUENCES[chosen], SEQUENCES[rejected]]
    sgd = model_step(model, pair, learning_rate=1e-8)
    adamw = model_step(model, pair, learning_rate=1e-8, optimizer=AdamW(weight_decay=0.0))
    assert sgd.displaced.tolist() == adamw.displaced.tolist() == [True]
    assert float(sgd.predicted_log_change[0]) < 0 < float(adamw.predicted_log_change[0])
    assert float(sgd.actual_log_change[0]) < 0 < float(adamw.actual_log_change[0])
    for s in (sgd, adamw):  # the margin grows under both: d . P d >= 0 for any diagonal P >= 0
        assert float(s.actual_log_change[0] - s.actual_log_change[1]) > 0


def test_without_the_tied_cross_terms_the_error_falls_only_linearly() -> None:
    model = tiny_model("qwen2")
    account = sequence_kernel(model, SEQUENCES)
    wrong = account.kernel - account.by_module[TIED_CROSS]
    errors = []
    for eta in RATES:
        s = model_step(model, SEQUENCES, 0, 3, learning_rate=eta, loss=DPO(beta=0.5))
        guess = predict_change(wrong, account.log_probs, s.preferences, loss=DPO(beta=0.5), learning_rate=eta)
        errors.append(float((s.actual_log_change - guess).abs().max()))
    assert slope(RATES, errors) == pytest.approx(1, abs=0.1)


def test_a_padding_token_in_the_input_of_a_tied_model() -> None:
    """The kernel follows torch, which keeps row 2 of the embedding out of every score; the head moves it all the same.

    So the kernel's prediction is off in proportion to the step, and forward mode is right.
    """
    model = tiny_model("llama", pad_token_id=2)
    steps = [model_step(model, SEQUENCES, 0, 3, learning_rate=eta, loss=DPO(beta=0.5)) for eta in RATES]
    errors = [float((s.actual_log_change - s.predicted_log_change).norm()) for s in steps]
    kernel = [float((s.actual_log_change - s.predict(eta)).norm()) for eta, s in zip(RATES, steps, strict=True)]
    assert slope(RATES, errors) == pytest.approx(2, abs=0.02)
    assert slope(RATES, kernel) == pytest.approx(1, abs=0.05)


def test_theorem_one_on_a_single_pair() -> None:
    """With the model as its own reference z = 0, and the prediction is eta beta / 2 times the drive."""
    model = tiny_model("llama")
    got = model_step(model, SEQUENCES, 0, 3, loss=DPO(beta=0.4), learning_rate=1e-3)
    g = scores(model, SEQUENCES)
    torch.testing.assert_close(got.drive, (g @ (g[0] - g[3])).unsqueeze(0), rtol=1e-11, atol=1e-9)
    torch.testing.assert_close(got.predicted_log_change, 1e-3 * 0.4 * 0.5 * got.drive[0], rtol=1e-11, atol=1e-12)
    assert float(got.margin) == 0
    assert float(got.urgency) == 0.5
    assert got.displaced.tolist() == [bool(got.drive[0, 0] < 0)]
    assert float(got.predicted_log_change[0] - got.predicted_log_change[3]) > 0  # the margin itself always grows


def test_displacement_is_seen_and_happens() -> None:
    """Two sequences that share nearly everything: the push on the rejected one drags the chosen one down."""
    found = []
    for seed in range(12):
        got = model_step(tiny_model("qwen2", seed=seed), SEQUENCES, 0, 3, loss=DPO(beta=0.5), learning_rate=1e-7)
        assert bool(got.displaced[0]) == bool(got.actual_log_change[0] < 0)
        found.append(bool(got.displaced[0]))
    assert {True, False} == set(found)


@pytest.mark.parametrize("optimizer", [None, AdamW()], ids=["sgd", "adamw"])
def test_the_step_is_taken_back(optimizer: Any) -> None:
    model = tiny_model("gpt2", dtype=torch.float32)
    before = [p.clone() for p in model.parameters()]
    places = [p.data_ptr() for p in model.parameters()]
    got = model_step(model, SEQUENCES, 0, 1, learning_rate=1e-2, optimizer=optimizer)
    assert float(got.actual_log_change.abs().min()) > 1e-6
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    assert [p.data_ptr() for p in model.parameters()] == places
    expected = sequence_log_probs(model, SEQUENCES, dtype=torch.float64).total
    torch.testing.assert_close(got.log_probs, expected, rtol=0, atol=1e-12)


def test_only_the_parameters_of_the_filter_move() -> None:
    model = tiny_model("qwen2")
    how: dict[str, Any] = {"parameters": "*mlp*", "loss": DPO(beta=0.5)}
    steps = [model_step(model, SEQUENCES, 0, 3, learning_rate=eta, **how) for eta in RATES]
    errors = [float((s.actual_log_change - s.predicted_log_change).abs().max()) for s in steps]
    assert slope(RATES, errors) == pytest.approx(2, abs=0.1)
    everything = model_step(model, SEQUENCES, 0, 3, learning_rate=RATES[0], loss=DPO(beta=0.5))
    assert float((everything.actual_log_change - steps[0].actual_log_change).abs().max()) > float(errors[0])


def test_bad_arguments_are_named() -> None:
    model = tiny_model()
    with pytest.raises(InvalidArgument, match="from 0 to 4"):
        model_step(model, SEQUENCES, 0, 5)
    with pytest.raises(InvalidArgument, match="learning_rate"):
        model_step(model, SEQUENCES, 0, 1, learning_rate=float("nan"))
    with pytest.raises(InvalidArgument, match="reference"):
        model_step(model, SEQUENCES, 0, 1, reference=[-1.0])
    with pytest.raises(InvalidArgument, match="has its own"):
        model_step(model, SEQUENCES, learning_rate=0.1, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
