"""Losses of a whole batch: against autograd, against the batch written out, against the losses of single pairs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from dynamics import DPO, LOSSES, SFT, get_loss
from dynamics.losses import (
    AOT,
    AOTUnpaired,
    BetaDPO,
    ConservativeDPO,
    PairLogProbs,
    Partials,
    PreferenceLoss,
    SFTPerToken,
    pair_log_probs,
)
from dynamics.losses.aot import sorted_coupling
from tests.dynamics.strategies import close, tensor

BATCH: list[PreferenceLoss] = [
    AOT(beta=0.3),
    AOT(beta=0.3, label_smoothing=0.2),
    AOTUnpaired(beta=0.3),
    SFTPerToken(),
    BetaDPO(beta=0.3, alpha=0.05, baseline=1.0),
    DPO(beta=0.3) + 0.5 * SFTPerToken() + 2 * AOT(beta=0.1),
]


def batch(seed: int, size: int, runs: tuple[int, ...] = ()) -> PairLogProbs:
    rng = np.random.default_rng(seed)
    values = [-rng.exponential(5.0, (*runs, size)) - 1e-3 for _ in range(4)]
    return pair_log_probs(*values, rng.integers(1, 30, size), rng.integers(1, 30, size))


def assert_total_partials_are_autograds(loss: PreferenceLoss, pair: PairLogProbs, weight: Tensor) -> None:
    chosen, rejected = (values.clone().requires_grad_() for values in pair[:2])
    total = loss.total(pair._replace(chosen=chosen, rejected=rejected), weight).sum()
    want = torch.autograd.grad(total, (chosen, rejected), materialize_grads=True)
    for got, wanted in zip(loss.total_partials(pair, weight), want, strict=True):
        close(got.expand_as(wanted), wanted)


@settings(max_examples=40)
@given(st.sampled_from(BATCH), st.integers(0, 1000), st.integers(1, 7), st.sampled_from([(), (2,), (2, 3)]))
def test_partials_of_the_total_are_autograds(loss: PreferenceLoss, seed: int, size: int, runs: tuple[int, ...]) -> None:
    weight = tensor(np.random.default_rng(seed).choice([0.0, 0.3, 1.0, 2.5], (*runs, size)))
    weight[..., 0] = 1.0
    assert_total_partials_are_autograds(loss, batch(seed, size, runs), weight)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_has_a_total(name: str) -> None:
    loss, pair, ones = get_loss(name), batch(3, 5), torch.ones(5, dtype=torch.float64)
    assert_total_partials_are_autograds(loss, pair, tensor([1.0, 0.5, 0.0, 2.0, 3.0]))
    close(loss.total(pair, ones), loss.value(pair).sum())
    for whole, single in zip(loss.total_partials(pair, ones), loss.partials(pair), strict=True):
        close(whole, single.expand(5))


class _Uncoupled(AOT):
    """What comes of forgetting the others of the batch."""

    def total_partials(self, pair: PairLogProbs, weight: Tensor) -> Partials:
        alone = ConservativeDPO(self.beta, self.label_smoothing).partials(pair)
        return Partials(weight * alone.chosen, weight * alone.rejected)


def test_the_comparison_sees_pairs_that_are_not_coupled() -> None:
    pair, weight = batch(0, 4), torch.ones(4, dtype=torch.float64)
    assert_total_partials_are_autograds(AOT(beta=0.3), pair, weight)
    with pytest.raises(AssertionError):
        assert_total_partials_are_autograds(_Uncoupled(beta=0.3), pair, weight)


@given(st.sampled_from(BATCH), st.integers(0, 1000), st.lists(st.integers(0, 3), min_size=2, max_size=6))
def test_a_weight_is_how_often_a_pair_is_written_down(loss: PreferenceLoss, seed: int, counts: list[int]) -> None:
    counts = [counts[0] + 1, *counts[1:]]
    pair, often = batch(seed, len(counts)), torch.tensor(counts)
    written = PairLogProbs(*(values.repeat_interleave(often, -1) for values in pair))
    close(loss.total(pair, often.double()), loss.value(written).sum(), 1e-11)
    for got, want in zip(loss.total_partials(pair, often.double()), loss.partials(written), strict=True):
        parts = torch.zeros(len(counts), dtype=torch.float64)
        close(got, parts.index_add(0, torch.arange(len(counts)).repeat_interleave(often), want), 1e-11)


@pytest.mark.parametrize("loss", BATCH, ids=repr)
def test_a_pair_of_weight_0_may_have_no_loss(loss: PreferenceLoss) -> None:
    pair, weight = batch(1, 4), tensor([1.0, 2.0, 1.0, 0.0])
    broken = PairLogProbs(*(values.clone() for values in pair))
    for values in broken[:4]:
        values[3] = -torch.inf  # log 0 - log 0
    whole = PairLogProbs(*(values[:3] for values in pair))
    close(loss.total(broken, weight), loss.total(whole, weight[:3]))
    for got, want in zip(loss.total_partials(broken, weight), loss.total_partials(whole, weight[:3]), strict=True):
        close(got, torch.cat([want, torch.zeros(1, dtype=torch.float64)]))


# ---------------------------------------------------------------- optimal transport

first = st.lists(st.integers(-5, 5), min_size=1, max_size=6)


@given(first, st.integers(0, 100))
def test_with_equal_weights_rank_meets_rank(values: list[int], seed: int) -> None:
    a = tensor(values)
    b = a[torch.randperm(len(values), generator=torch.Generator().manual_seed(seed))] * 2 - 1
    met = sorted_coupling(a, b, torch.ones_like(a))
    held = met.mass > 0
    close(met.mass[held], torch.ones(len(values)))
    close(a[met.first[held]], a.sort().values, 0.0)
    close(b[met.second[held]], b.sort().values, 0.0)


@settings(max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 6), st.floats(0, 0.4))
def test_aot_is_at_most_cdpo_and_on_one_pair_is_cdpo(seed: int, size: int, share: float) -> None:
    pair, cdpo = batch(seed, size), ConservativeDPO(beta=0.3, label_smoothing=share)
    for kind in (AOT, AOTUnpaired):
        loss = kind(beta=0.3, label_smoothing=share)
        assert float(loss.value(pair).mean()) <= float(cdpo.value(pair).mean()) + 1e-12
        one = PairLogProbs(*(values[:1] for values in pair))
        close(loss.value(one), cdpo.value(one))
        close(loss.value(PairLogProbs(*(v[0] for v in pair))), cdpo.value(one)[0])


def test_some_batch_has_less_loss_under_aot() -> None:
    """The twin: with another order of the rejected responses the paired loss differs, the unpaired does not."""
    pair = batch(0, 5)
    turned = pair._replace(rejected=pair.rejected.flip(0), reference_rejected=pair.reference_rejected.flip(0))
    close(AOTUnpaired().value(pair).mean(), AOTUnpaired().value(turned).mean())
    assert abs(float(DPO().value(pair).mean() - DPO().value(turned).mean())) > 1e-3
    assert float(AOT().value(pair).mean()) < float(DPO().value(pair).mean()) - 1e-3


# ---------------------------------------------------------------- the others


@given(st.integers(0, 1000), st.integers(1, 6))
def test_sft_per_token_is_sft_over_the_mean_length(seed: int, size: int) -> None:
    pair = batch(seed, size)
    close(SFTPerToken().value(pair).mean(), SFT().value(pair).mean() / pair.chosen_length.mean())
    close(SFTPerToken().value(pair).mean(), -pair.chosen.sum() / pair.chosen_length.sum())


def test_beta_of_a_batch_grows_with_its_mean_and_has_a_floor() -> None:
    pair = pair_log_probs([-1.0, -1.0], [-3.0, -5.0])  # log-ratios 2 and 4
    close(BetaDPO(beta=0.5, alpha=0.1, baseline=1.0).batch_beta(pair), [0.6])
    close(BetaDPO(beta=0.5, alpha=0.0).value(pair), DPO(beta=0.5).value(pair))
    close(BetaDPO(beta=0.5, alpha=-10.0).batch_beta(pair), [1e-3])
    close(BetaDPO(beta=0.5, alpha=0.1, baseline=1.0).value(pair), DPO(beta=0.6).value(pair))
