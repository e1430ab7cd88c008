"""Length desensitization: weights of tokens, sums, and partials token by token."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from dynamics import DPO, IPO, InvalidArgument, PreferenceLoss
from dynamics.losses import IPOPerToken, LengthDesensitized, NCAPair, TokenLogProbs, token_log_probs
from tests.dynamics.strategies import close

LOSSES: list[PreferenceLoss] = [DPO(beta=0.3), IPO(beta=0.3), IPOPerToken(beta=0.3), NCAPair(beta=0.3)]


def tokens(seed: int, padding: float = -1.0) -> TokenLogProbs:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 6, 3), rng.integers(1, 8, 3)
    sides = []
    for length, width in zip(lengths, (5, 7), strict=True):
        for _ in range(2):
            values = -rng.exponential(1.0, (3, width))
            values[np.arange(width) >= length[:, None]] = padding
            sides.append(values)
    return token_log_probs(sides[0], sides[2], sides[1], sides[3], *lengths)


@given(st.integers(0, 1000), st.floats(0, 1), st.sampled_from(LOSSES))
def test_partials_by_tokens_are_autograds(seed: int, alpha: float, loss: PreferenceLoss) -> None:
    given_tokens, made = tokens(seed), LengthDesensitized(loss, alpha)
    chosen, rejected = (v.clone().requires_grad_() for v in given_tokens[:2])
    total = made.value(given_tokens._replace(chosen=chosen, rejected=rejected)).sum()
    for got, want in zip(made.partials(given_tokens), torch.autograd.grad(total, (chosen, rejected)), strict=True):
        close(got, want)


@given(st.integers(0, 1000), st.floats(0, 1))
def test_sums_are_those_written_out(seed: int, alpha: float) -> None:
    made = tokens(seed)
    pair = LengthDesensitized(DPO(), alpha).pair(made)
    for i in range(3):
        w, r = int(made.chosen_length[i]), int(made.rejected_length[i])
        shared = min(w, r)
        close(pair.chosen[i], made.chosen[i, :shared].sum() + alpha * made.chosen[i, shared:w].sum())
        close(pair.reference_rejected[i], (v := made.reference_rejected[i])[:shared].sum() + alpha * v[shared:r].sum())
        assert (int(pair.chosen_length[i]), int(pair.rejected_length[i])) == (w, r)


def test_alpha_1_is_the_plain_loss_and_alpha_0_forgets_the_tail() -> None:
    made = token_log_probs([[-1.0, -2.0, -4.0]], [[-3.0]], [[-1.0, -1.0, -1.0]], [[-1.0]], [3], [1])
    whole = DPO(beta=1.0)(-7.0, -3.0, -3.0, -1.0)
    close(LengthDesensitized(DPO(beta=1.0), 1.0).value(made), [float(whole)])
    close(LengthDesensitized(DPO(beta=1.0), 0.0).value(made), [float(DPO(beta=1.0)(-1.0, -3.0, -1.0, -1.0))])
    assert LengthDesensitized(DPO(), 0.0).partials(made).chosen[0, 1:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("padding", [0.0, -math.inf, math.nan, 7.0])
def test_padding_is_not_looked_at(padding: float) -> None:
    loss = LengthDesensitized(DPO(), 0.5)
    close(loss.value(tokens(3, padding)), loss.value(tokens(3)), 0.0)
    for got, want in zip(loss.partials(tokens(3, padding)), loss.partials(tokens(3)), strict=True):
        close(got, want, 0.0)


ONE = {
    "chosen": [[-1.0, -2.0]],
    "rejected": [[-3.0]],
    "reference_chosen": [[-1.0, -1.0]],
    "reference_rejected": [[-1.0]],
    "chosen_length": [2],
    "rejected_length": [1],
}


@pytest.mark.parametrize(
    ("change", "argument"),
    [
        ({"chosen": [[-1.0, 0.5]]}, "chosen"),
        ({"reference_rejected": [[math.nan]]}, "rejected"),
        ({"reference_chosen": [[-1.0]]}, "chosen"),
        ({"rejected_length": [2]}, "rejected_length"),
        ({"chosen_length": [0]}, "chosen_length"),
        ({"chosen_length": [1.5]}, "chosen_length"),
        ({"chosen_length": 2}, "chosen"),
        ({"rejected": -3.0, "reference_rejected": -1.0}, "rejected"),
    ],
)
def test_wrong_tokens(change: dict, argument: str) -> None:
    assert token_log_probs(**ONE).chosen.shape == (1, 2)
    with pytest.raises(InvalidArgument) as caught:
        token_log_probs(**(ONE | change))
    assert caught.value.argument == argument


@pytest.mark.parametrize(
    ("loss", "alpha", "argument"), [(DPO(), 1.5, "alpha"), (DPO(), -0.1, "alpha"), (1, 0.5, "loss")]
)
def test_wrong_settings(loss: object, alpha: float, argument: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        LengthDesensitized(loss, alpha)  # type: ignore[arg-type]
    assert caught.value.argument == argument
