"""Implicit rewards and slopes of f-divergences, from their generating functions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, strategies as st
from mpmath import mpf

from dynamics import CPO, DPO, SFT, Hinge, InvalidArgument, PreferenceLoss, SimPO
from dynamics.losses import (
    DIVERGENCES,
    EXO,
    FDPO,
    IPO,
    ChiPO,
    DiscoPOP,
    DPOPerToken,
    IPOPerToken,
    RobustDPO,
    SquaredPO,
    WithDivergence,
    pair_log_probs,
)
from dynamics.losses.divergences import bounded_exp
from tests.dynamics.loss_formulas import MP
from tests.dynamics.strategies import close

# f(t) itself, written down from the literature and differentiated by mpmath
GENERATORS: dict[str, Callable[[mpf], mpf]] = {
    "reverse_kl": lambda t: t * MP.log(t),
    "forward_kl": lambda t: -MP.log(t),
    "js_divergence": lambda t: t * MP.log(t) - (t + 1) * MP.log((t + 1) / 2),
    "alpha_divergence": lambda t: (t ** MP.mpf("0.3") - MP.mpf("0.3") * t) / (MP.mpf("0.3") * MP.mpf("-0.7")),
    "squared": lambda t: MP.log(t) ** 2 / 2,
    "chi": lambda t: (t - 1) ** 2 / 2 + t * MP.log(t),
}
REWARDS: dict[str, tuple[Callable, Callable]] = {
    name: (lambda a, d=d: d.reward(a, 0.3), lambda a, d=d: d.slope(a, 0.3)) for name, d in DIVERGENCES.items()
} | {"squared": (SquaredPO().reward, SquaredPO().slope), "chi": (ChiPO().reward, ChiPO().slope)}


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("a", [-3.0, -0.5, 0.25, 1.5, 4.0])
def test_score_is_f_prime_and_force_is_t_f_double_prime(name: str, a: float) -> None:
    f, (reward, slope) = GENERATORS[name], REWARDS[name]
    t = MP.exp(a)
    here, there = torch.tensor(a, dtype=torch.float64), torch.tensor(0.75, dtype=torch.float64)
    gap = MP.diff(f, t) - MP.diff(f, MP.exp(0.75))  # a constant in f' does not matter
    assert float(reward(here) - reward(there)) == pytest.approx(float(gap), rel=1e-12, abs=1e-13)
    assert float(slope(here)) == pytest.approx(float(t * MP.diff(f, t, 2)), rel=1e-12, abs=1e-13)


def test_every_divergence_has_a_generator() -> None:
    assert set(DIVERGENCES) <= set(GENERATORS)


@given(st.floats(-40, 40), st.floats(-40, 40), st.sampled_from(sorted(DIVERGENCES)))
def test_dpo_with_a_divergence_is_f_dpo(a: float, b: float, name: str) -> None:
    pair = pair_log_probs(-50.0 + a, -60.0 + b, -50.0, -60.0)
    whole, made = FDPO(beta=0.3, divergence=name, alpha=0.7), WithDivergence(DPO(beta=0.3), name, alpha=0.7)
    close(whole.value(pair), made.value(pair))
    close(whole.margin(pair), made.margin(pair))
    close(whole.urgency(pair), made.urgency(pair))
    for got, want in zip(whole.partials(pair), made.partials(pair), strict=True):
        close(got, want)


@given(st.floats(-20, 20), st.floats(-20, 20))
def test_the_alpha_divergence_at_1_is_dpo_and_at_0_is_forward_kl(a: float, b: float) -> None:
    pair = pair_log_probs(-50.0 + a, -60.0 + b, -50.0, -60.0)
    for alpha, want in ((1.0, DPO(beta=0.3)), (0.0, FDPO(beta=0.3, divergence="forward_kl"))):
        got = FDPO(beta=0.3, divergence="alpha_divergence", alpha=alpha)
        close(got.value(pair), want.value(pair))
        for ours, theirs in zip(got.partials(pair), want.partials(pair), strict=True):
            close(ours, theirs)


@pytest.mark.parametrize(
    "loss", [DPO(), IPO(), IPOPerToken(), Hinge(), EXO(), RobustDPO(), DiscoPOP(), DPOPerToken()], ids=repr
)
def test_every_loss_that_trl_allows_takes_a_divergence(loss: PreferenceLoss) -> None:
    made = WithDivergence(loss, "js_divergence")
    chosen, rejected = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (-4.0, -2.0))
    pair = pair_log_probs(-4.0, -2.0, -3.0, -2.5, 3, 4)
    value = made.value(pair._replace(chosen=chosen, rejected=rejected))
    for got, want in zip(made.partials(pair), torch.autograd.grad(value, (chosen, rejected)), strict=True):
        close(got, want)
    close(WithDivergence(loss).value(pair), loss.value(pair))


@pytest.mark.parametrize("loss", [SimPO(), CPO(), SFT(), DPO() + 0.1 * SFT(), "dpo"], ids=repr)
def test_a_loss_that_sees_more_than_log_ratios_is_refused(loss: object) -> None:
    with pytest.raises(InvalidArgument, match=r"^loss"):
        WithDivergence(loss, "js_divergence")  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [FDPO, lambda **kind: WithDivergence(DPO(), **kind)])
def test_an_unknown_divergence_is_answered_with_the_known_ones(make: Callable) -> None:
    with pytest.raises(InvalidArgument, match=r"^divergence: got kl; allowed: one of .*reverse_kl"):
        make(divergence="kl")


def test_an_exponential_is_held_at_the_end_of_the_range() -> None:
    for dtype, largest in ((torch.float64, 690.0), (torch.float32, 75.0)):
        value, slope = bounded_exp(torch.tensor([largest, largest + 1], dtype=dtype))
        assert value[0] == value[1]
        assert bool(value.isfinite().all())
        assert slope.tolist() == [value[0].item(), 0.0]
