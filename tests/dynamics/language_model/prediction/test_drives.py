from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from dynamics import DPO, IPO, SFT, InvalidArgument, PreferenceLoss, SimPO, pairs
from dynamics.language_model import pair_drives, predict_change, sequence_kernel, tiny_model
from dynamics.language_model.kernel.assembly import TIED_CROSS
from dynamics.language_model.prediction.drives import dloss_dlog_probs
from dynamics.losses import get_loss
from tests.dynamics.language_model.brute_force import SEQUENCES, own_log_probs, reference_logits, scores

REFERENCE = [-15.0, -6.0, -30.0, -14.0, -20.0]
LOSSES: list[PreferenceLoss] = [
    DPO(beta=0.5),
    IPO(beta=0.1),
    SimPO(beta=2.0),
    DPO(beta=0.2) + 0.3 * SFT(),
    get_loss("bdpo", beta=0.5),
    get_loss("self_po", beta=0.5),
]
MODELS = [("qwen2", True), ("qwen2", False), ("llama", True), ("gpt2", True)]


def loss_gradient(model: Any, loss: PreferenceLoss, chosen: list[int], rejected: list[int], weight: Tensor) -> Tensor:
    """The gradient of the weighted mean of losses by autograd through the loss's own value, all parameters in a row."""
    own = torch.stack([own_log_probs(reference_logits(model, s.ids), s).sum() for s in SEQUENCES])
    ref = torch.tensor(REFERENCE, dtype=torch.float64)
    length = torch.tensor([float(s.length) for s in SEQUENCES], dtype=torch.float64)
    value = loss(own[chosen], own[rejected], ref[chosen], ref[rejected], length[chosen], length[rejected])
    named = list(model.parameters())
    parts = torch.autograd.grad((weight * value).sum() / weight.sum(), named, allow_unused=True)
    return torch.cat([torch.zeros(p.numel()) if g is None else g.flatten() for p, g in zip(named, parts, strict=True)])


@pytest.mark.parametrize(("architecture", "tied"), MODELS)
def test_drives_are_products_of_scores(architecture: str, tied: bool) -> None:
    """Of the pair's own responses and of others, of the same prompt and of other ones."""
    model = tiny_model(architecture, tied=tied)
    g = scores(model, SEQUENCES)
    got = pair_drives(model, SEQUENCES, [0, 2], [3, 4])
    expected = torch.stack([g @ (g[0] - g[3]), g @ (g[2] - g[4])])
    assert float((got.drive - expected).abs().max()) < 1e-12 * float(expected.abs().max())
    assert got.displaced.tolist() == [bool(expected[0, 0] < 0), bool(expected[1, 2] < 0)]
    torch.testing.assert_close(
        got.log_probs,
        torch.stack([own_log_probs(reference_logits(model, s.ids), s).sum() for s in SEQUENCES]).detach(),
        rtol=0,
        atol=1e-11,
    )


@pytest.mark.parametrize("loss", LOSSES, ids=["dpo", "ipo", "simpo", "dpo+sft", "bdpo", "self_po"])
def test_the_prediction_is_the_score_times_the_gradient_of_the_loss(loss: PreferenceLoss) -> None:
    """No closed form of the loss and no kernel on the other side: autograd through the loss itself."""
    model = tiny_model("qwen2")
    weight = torch.tensor([1.0, 0.5], dtype=torch.float64)
    got = pair_drives(model, SEQUENCES, [0, 2], [3, 4], weight=weight, loss=loss, reference=REFERENCE)
    g = scores(model, SEQUENCES)
    expected = -1e-3 * (g @ loss_gradient(model, loss, [0, 2], [3, 4], weight))
    assert float((got.predict(1e-3) - expected).abs().max()) < 1e-11 * float(expected.abs().max())
    by_hand = predict_change(
        sequence_kernel(model, SEQUENCES).kernel,
        got.log_probs,
        got.preferences,
        loss=loss,
        learning_rate=1e-3,
        reference=REFERENCE,
        lengths=[float(s.length) for s in SEQUENCES],
    )
    torch.testing.assert_close(by_hand, got.predict(1e-3), rtol=1e-10, atol=0)
    wrong = pair_drives(model, SEQUENCES, [0, 2], [3, 4], weight=[1.0, 1.0], loss=loss, reference=REFERENCE)
    assert float((wrong.predict(1e-3) - expected).abs().max()) > 1e-2 * float(expected.abs().max())


def test_theorem_one() -> None:
    """For DPO on one pair the prediction is learning rate, beta, urgency and drive, for every response."""
    model = tiny_model("llama")
    got = pair_drives(model, SEQUENCES, 0, 3, loss=DPO(beta=0.4), reference=REFERENCE)
    z = 0.4 * ((got.log_probs[0] - REFERENCE[0]) - (got.log_probs[3] - REFERENCE[3]))
    torch.testing.assert_close(got.margin, z.reshape(1), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(got.urgency, torch.sigmoid(-got.margin), rtol=1e-12, atol=0)
    torch.testing.assert_close(got.predict(1e-3), 1e-3 * 0.4 * got.urgency * got.drive[0], rtol=1e-11, atol=0)
    own, other = got.drive[0, 0], got.drive[0, 3]
    assert float(own - other) > 0  # ||g_w - g_l||^2: the margin of a single pair always grows


def test_other_responses_do_not_change_the_drive_and_come_after_the_pair() -> None:
    model = tiny_model("gpt2")
    alone = pair_drives(model, SEQUENCES[:2])
    among = pair_drives(model, SEQUENCES)
    torch.testing.assert_close(alone.drive, among.drive[:, :2], rtol=1e-10, atol=1e-10)
    assert among.cross_kernel.kernel.shape == (5, 2)  # nothing between two other responses
    assert among.dloss_dlog_probs.count_nonzero() == 2
    assert among.dloss_dlog_probs[0] == -among.dloss_dlog_probs[1] < 0


def test_without_the_tied_cross_terms_the_prediction_is_wrong() -> None:
    model = tiny_model("qwen2")
    account = sequence_kernel(model, SEQUENCES)
    wrong = account.kernel - account.by_module[TIED_CROSS]
    got = pair_drives(model, SEQUENCES, 0, 3, loss=DPO(beta=0.5)).predict(1e-3)
    guess = predict_change(wrong, account.log_probs, pairs(0, 3, shape=(5,)), loss=DPO(beta=0.5), learning_rate=1e-3)
    assert float((got - guess).abs().max()) > 1e-2 * float(got.abs().max())


def test_parameters_and_other_options_reach_the_kernel() -> None:
    model = tiny_model("qwen2")
    some = pair_drives(model, SEQUENCES, 0, 3, parameters="*mlp*", contraction="materialised")
    g = scores(model, SEQUENCES, lambda name: "mlp" in name)
    expected = g @ (g[0] - g[3])
    assert float((some.drive[0] - expected).abs().max()) < 1e-11 * float(expected.abs().max())
    assert set(some.cross_kernel.contractions.values()) <= {"materialised", "unused"}


def test_bad_arguments_are_named() -> None:
    model = tiny_model()
    with pytest.raises(InvalidArgument, match="from 0 to 4"):
        pair_drives(model, SEQUENCES, 0, 5)
    with pytest.raises(InvalidArgument, match="both the chosen and the rejected"):
        pair_drives(model, SEQUENCES, 1, 1)
    with pytest.raises(InvalidArgument, match="reference"):
        pair_drives(model, SEQUENCES, 0, 1, reference=[-1.0])
    with pytest.raises(InvalidArgument, match="learning_rate"):
        pair_drives(model, SEQUENCES, 0, 1).predict(float("nan"))
    with pytest.raises(InvalidArgument, match="kernel"):
        predict_change(torch.eye(3), [-1.0, -2.0], pairs(0, 1, shape=(2,)), loss=DPO(), learning_rate=0.1)
    with pytest.raises(InvalidArgument, match="log_probs"):
        dloss_dlog_probs(torch.zeros(3), pairs(0, 1, shape=(2,)), DPO())
