"""The word of a step, for every loss of the registry, against what a small step really does."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor

from dynamics import DPO, LOSSES, SFT, InvalidArgument, PreferenceLoss, get_loss
from dynamics.language_model import PairDrives, TokenSequence, model_step, pair_drives, tiny_model
from dynamics.language_model.pair_audit.measuring.pair_numbers import audit_pairs
from dynamics.language_model.prediction.drives import finite_chosen_slope
from dynamics.losses import PairLogProbs, pair_log_probs
from tests.dynamics.language_model.brute_force import SEQUENCES, own_log_probs, reference_logits, scores


@cache
def model() -> Any:
    """Return the model, made when it is first used, because that imports transformers."""
    return tiny_model("qwen2", seed=5)


LONG, SHORT = TokenSequence((2, 2, 21, 4, 4, 1, 2, 22, 17, 21), 2), TokenSequence((2, 2, 21), 2)
# of one token against four, and of eight against one; DPO lowers the first chosen response and raises the others
PAIRS = [(SEQUENCES[1], SEQUENCES[0]), (SEQUENCES[0], SEQUENCES[1]), (LONG, SHORT)]
REFERENCE = [[-9.0, -14.0], [-14.0, -9.0], [-25.0, -4.0]]
EVERY: dict[str, PreferenceLoss] = {name: get_loss(name) for name in LOSSES}
EVERY |= {"dpo+sft": DPO(beta=0.1) + 0.01 * SFT(), "-sft": -1.0 * SFT()}
MOVES = [1e-6, 2e-6]  # nats; the learning rate follows, so that a loss that hardly pushes still moves the model


@cache
def written_out(number: int) -> tuple[Tensor, Tensor]:
    """Both scores of a pair, by plain autograd through the reference forward."""
    g = scores(model(), PAIRS[number])
    return g[0], g[1]


def log_pi(model: Any, s: TokenSequence) -> Tensor:
    return own_log_probs(reference_logits(model, s.ids), s).sum()


def really(number: int, loss: PreferenceLoss, rate: float) -> float:
    """Step with autograd's derivatives of the loss's own value, and return the change of log pi(chosen)."""
    w, other = PAIRS[number]
    own = [log_pi(model(), s).detach().requires_grad_() for s in (w, other)]
    value = loss(own[0], own[1], *REFERENCE[number], w.length, other.length)
    slopes = torch.autograd.grad(value, own, allow_unused=True)
    gradient = sum((d * g for d, g in zip(slopes, written_out(number), strict=True) if d is not None), torch.zeros(()))
    before = [p.detach().clone() for p in model().parameters()]
    with torch.no_grad():
        for p, part in zip(before, gradient.split([p.numel() for p in before]), strict=True):
            p.sub_(rate * part.reshape(p.shape))
        kept = [p.data for p in model().parameters()]
        try:
            for p, new in zip(model().parameters(), before, strict=True):
                p.data = new
            return float(log_pi(model(), w)) - float(own[0])
        finally:
            for p, old in zip(model().parameters(), kept, strict=True):
                p.data = old


@cache
def found(number: int, name: str) -> PairDrives:
    return pair_drives(model(), PAIRS[number], loss=EVERY[name], reference=REFERENCE[number])


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("number", range(len(PAIRS)))
def test_the_word_is_that_of_the_step_that_is_taken(number: int, name: str) -> None:
    got = found(number, name)
    push = float(got.chosen_slope)
    assert got.displaced.tolist() == [push < 0]
    if not got.dloss_dlog_probs.any():
        assert push == 0
        assert really(number, EVERY[name], 1e-6) == 0
        return
    assert push != 0
    rates = [move / abs(push) for move in MOVES]
    changes = [really(number, EVERY[name], rate) for rate in rates]
    assert [c < 0 for c in changes] == [push < 0] * 2
    errors = [abs(c - rate * push) / abs(rate * push) for c, rate in zip(changes, rates, strict=True)]
    assert max(errors) < 1e-2
    if errors[0] > 1e-4:  # below it is the rounding of log pi, not the second order
        assert errors[1] / errors[0] == pytest.approx(2, rel=0.1)


def test_the_drive_alone_has_the_wrong_word() -> None:
    """The negative control: for these losses and pairs the sign of the drive is not that of the change."""
    wrong = {
        (number, name)
        for number in range(len(PAIRS))
        for name in EVERY
        if bool(found(number, name).drive[0, 0] < 0) != (really(number, EVERY[name], 1e-8) < 0)
    }
    assert {(0, name) for name in ("sft", "cpo", "simpo", "probability_margin")} <= wrong
    assert (2, "simpo") in wrong
    assert {(number, "-sft") for number in (1, 2)} <= wrong
    assert not {(number, name) for number in range(3) for name in ("dpo", "hinge")} & wrong
    assert {bool(found(number, "dpo").displaced) for number in range(3)} == {True, False}


def test_a_loss_that_does_not_push_moves_nothing() -> None:
    """Hinges at rest; the drive of the first pair is far below zero all the same."""
    step = model_step(model(), PAIRS[0], loss=get_loss("hinge", beta=1.0), reference=[-60.0, -9.0], learning_rate=1e-3)
    assert float(step.drive[0, 0]) < -1
    assert float(step.urgency) == float(step.chosen_slope) == 0
    assert not bool(step.displaced)
    assert step.actual_log_change.tolist() == step.predicted_log_change.tolist() == [0, 0]


def test_a_loss_that_pulls_back_turns_the_word_over() -> None:
    """Beyond its target IPO lowers the margin: what the drive says is the wrong way round."""
    how: dict[str, Any] = {"loss": get_loss("ipo", beta=0.5), "learning_rate": 1e-9}
    step = model_step(model(), PAIRS[0], reference=[-60.0, -9.0], **how)
    assert float(step.urgency) < 0
    assert float(step.drive[0, 0]) < 0 < float(step.chosen_slope)
    assert float(step.actual_log_change[0]) > 0
    assert not bool(step.displaced)


def test_each_pair_of_a_batch_has_its_own_word_whatever_the_weights() -> None:
    got = pair_drives(model(), SEQUENCES, [1, 0], [0, 1], weight=[0.25, 7.0], loss=DPO(beta=0.5))
    alone = [pair_drives(model(), SEQUENCES, w, other, loss=DPO(beta=0.5)) for w, other in ((1, 0), (0, 1))]
    torch.testing.assert_close(got.chosen_slope, torch.cat([a.chosen_slope for a in alone]), rtol=1e-12, atol=0)
    assert got.displaced.tolist() == [True, False]


@pytest.mark.parametrize("name", EVERY)
def test_an_audit_says_the_same_of_every_loss(name: str) -> None:
    """With the model as its own reference, against gradients that were written out."""
    lowers = [a.displaced for a in audit_pairs(model(), PAIRS, loss=EVERY[name])]
    for number, (w, other) in enumerate(PAIRS):
        own = [log_pi(model(), s).detach().requires_grad_() for s in (w, other)]
        value = EVERY[name](*own, *(o.detach() for o in own), w.length, other.length)
        d_w, d_l = (0.0 if d is None else float(d) for d in torch.autograd.grad(value, own, allow_unused=True))
        g_w, g_l = written_out(number)
        assert lowers[number] == (float(g_w @ (d_w * g_w + d_l * g_l)) > 0)


norms = st.floats(1e-3, 1e3)


@given(norms, norms, st.floats(-1, 1), st.sampled_from(sorted(EVERY)), st.floats(-30, -0.1), st.floats(-30, -0.1))
def test_the_sign_is_that_of_d_w_ww_less_d_l_wl(
    w: float, other: float, cosine: float, name: str, chosen: float, rejected: float
) -> None:
    pair = pair_log_probs([chosen], [rejected], [-3.0], [-4.0], [2], [5])
    table = [torch.tensor([v], dtype=torch.float64) for v in (w * w, cosine * w * other, other * other)]
    slopes = EVERY[name].partials(pair)
    exact = -float(slopes.chosen) * w * w - float(slopes.rejected) * cosine * w * other
    size = abs(float(slopes.chosen)) * w * w + abs(float(slopes.rejected)) * w * other
    got = float(finite_chosen_slope(EVERY[name], pair, *table, 1e-12))
    assert got == pytest.approx(exact, abs=1e-12 * size)
    if abs(exact) > 2e-12 * size:
        assert (got > 0) == (exact > 0)
        assert got != 0
    if abs(exact) < 5e-13 * size:
        assert got == 0


def test_what_rounding_decides_is_no_word() -> None:
    """Two responses whose scores are all but the same: float32 cannot tell which way, float64 can."""
    pair = pair_log_probs([-1.0], [-1.0])
    table = [torch.tensor([v], dtype=torch.float64) for v in (1.0, 1.0 + 1e-7, 1.0)]
    assert float(finite_chosen_slope(DPO(), pair, *table, 1e-5)) == 0
    assert float(finite_chosen_slope(DPO(), pair, *table, 1e-12)) < 0
    same = pair_drives(model(), [SEQUENCES[0], SEQUENCES[0]], dtype=torch.float32)
    assert same.displaced.tolist() == [False]
    assert float(same.chosen_slope) == 0


def test_a_loss_without_a_derivative_is_refused() -> None:
    never = PairLogProbs(*(torch.zeros(1, dtype=torch.float64) for _ in range(4)), torch.ones(1), torch.ones(1))
    with pytest.raises(InvalidArgument, match=r"derivative of .* is not finite"):
        finite_chosen_slope(get_loss("bdpo"), never, torch.ones(1), torch.zeros(1), torch.ones(1), 1e-12)
