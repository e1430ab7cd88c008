"""What the README promises of numbers at the ends of their range: underflow, overflow, ties, float32."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from dynamics import (
    DPO,
    IPO,
    LOSSES,
    LogLinear,
    PrefixTree,
    SelfPO,
    Tabular,
    get_loss,
    gradient_flow,
    kernel,
    pairs,
    score,
    simulate,
    step,
    tabular_theta,
)
from dynamics.errors import InvalidArgument
from dynamics.losses import pair_log_probs
from tests.dynamics.strategies import make_policy, slope

FAR = 1e4
LARGEST = 1e300
DTYPES = (torch.float64, torch.float32)


def sums_to_one(log_probs: torch.Tensor, tolerance: float = 1e-12) -> bool:
    return bool((log_probs <= 0).all()) and bool(((log_probs.exp().sum(-1) - 1).abs() <= tolerance).all())


# ---------------------------------------------------------------- losses


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_at_log_probabilities_of_minus_ten_thousand(name: str, dtype: torch.dtype) -> None:
    """exp(-1e4) is far below the smallest float: nothing may depend on it by way of the probability itself."""
    loss = get_loss(name)
    ends = torch.tensor([-1e-300 if dtype is torch.float64 else -1e-30, -1.0, -FAR], dtype=dtype)
    chosen, rejected, reference = torch.meshgrid(ends, ends, ends, indexing="ij")
    pair = pair_log_probs(chosen, rejected, reference, reference.flip(0))
    parts = (loss.value(pair), loss.margin(pair), loss.urgency(pair), *loss.partials(pair))
    assert all(bool(part.isfinite().all()) and part.dtype == dtype for part in parts)
    assert loss(chosen, rejected, reference, reference.flip(0)).equal(parts[0])


@pytest.mark.parametrize("name", LOSSES)
def test_losses_grow_to_infinity_and_not_to_nan(name: str) -> None:
    """At log-probabilities of -1e300 a square is beyond the range of floats, and is infinite."""
    loss = get_loss(name)
    for chosen, rejected in ((-LARGEST, -1.0), (-1.0, -LARGEST)):
        assert not math.isnan(float(loss(chosen, rejected, -1.0, -1.0)))


def test_the_logistic_loss_at_both_ends_is_exact() -> None:
    loss = DPO(beta=1.0)
    assert float(loss(-FAR, 0.0)) == FAR
    assert float(loss(0.0, -FAR)) == 0.0
    assert float(loss(0.0, -700.0)) == pytest.approx(math.exp(-700), rel=1e-14)
    near = SelfPO(beta=1.0, gamma=0.0, length_normalized=False)
    assert float(near(0.0, -700.0)) == pytest.approx(-700 * math.exp(-700), rel=1e-12)


def test_the_urgency_keeps_its_digits_where_a_probability_has_none() -> None:
    """1 - sigma(z) is 0 in floats from z = 37 on; the urgency goes on to e^-700."""
    z = torch.tensor([40.0, 100.0, 700.0], dtype=torch.float64)
    assert torch.allclose(DPO(beta=1.0).derivative(z), -torch.exp(-z), rtol=1e-14, atol=0)
    assert bool((1 - torch.sigmoid(z) == 0).all())  # the form that loses them


@pytest.mark.parametrize("name", LOSSES)
def test_losses_in_float32_are_those_in_float64(name: str) -> None:
    loss = get_loss(name)
    rng = np.random.default_rng(0)
    # a score that is an exponential is held at e^75 in float32: stay on this side of it
    scale = 5.0 if name in ("f_dpo_forward_kl", "squared_po", "chi_po") else 20.0
    values = [torch.tensor(-rng.exponential(scale, 200), dtype=torch.float32) for _ in range(4)]
    wide, narrow = loss(*(v.double() for v in values)), loss(*values)
    assert narrow.dtype == torch.float32
    assert float(((narrow - wide) / (1 + wide.abs())).abs().max()) < 3e-5


# ---------------------------------------------------------------- policies

ENDS = [0.0, -FAR, FAR, -LARGEST, LARGEST, 5e-324, -1e308, 1e308]


@settings(max_examples=30)
@given(st.lists(st.sampled_from(ENDS), min_size=3, max_size=3))
def test_logits_at_both_ends(theta: list[float]) -> None:
    log_probs = Tabular(3).log_probs(torch.tensor(theta, dtype=torch.float64))
    assert sums_to_one(log_probs)
    best = [y for y in range(3) if theta[y] >= max(theta) - 1e-300]
    assert all(float(log_probs[y]) == pytest.approx(-math.log(len(best)), abs=1e-12) for y in best)  # ties are shared
    assert bool(score(Tabular(3), theta).isfinite().all())
    assert bool(kernel(Tabular(3), theta).isfinite().all())


@pytest.mark.parametrize(
    "kind", ["tabular", "tabular_prompts", "log_linear", "log_linear_prompts", "prefix_tree", "mlp"]
)
@pytest.mark.parametrize("size", [1e2, 1e4, 1e100])
def test_every_policy_far_out(kind: str, size: float) -> None:
    policy, theta = make_policy(kind, seed=1)
    assert sums_to_one(policy.log_probs(size * theta))


def test_a_probability_of_1e_300_is_kept_and_zero_stays_zero() -> None:
    theta = tabular_theta([1.0, 1e-300, 0.0])
    log_probs = Tabular(3).log_probs(theta)
    assert float(log_probs[1]) == pytest.approx(math.log(1e-300), rel=1e-14)
    assert float(log_probs[2]) == -math.inf
    account = step(Tabular(3), theta, 1, 0, loss=DPO(beta=1.0), learning_rate=0.5)
    assert float(account.log_ratio_change) == pytest.approx(0.5, rel=1e-12)  # eta beta |d|^2 sigma(0) = 1/2, not lost
    assert float(account.actual[1]) == pytest.approx(1e-300 * math.expm1(0.5), rel=1e-10)
    assert float(account.new_log_probs[2]) == -math.inf


def test_a_tree_of_rare_tokens_does_not_underflow() -> None:
    tree = PrefixTree(["aa", "ab", "b"])
    theta = torch.tensor([-600.0 if edge[1] == "a" else 0.0 for edge in tree.edges], dtype=torch.float64)
    log_probs = tree.log_probs(theta)
    assert sums_to_one(log_probs)
    assert float(log_probs[0]) == -1200  # e^-1200 is no float


def test_the_checks_of_this_file_see_what_is_wrong() -> None:
    far = torch.tensor([800.0, -800.0], dtype=torch.float64)
    assert sums_to_one(torch.log_softmax(far, -1))
    assert not sums_to_one(far - far.exp().sum().log())  # without the shift by the largest
    assert not sums_to_one(torch.log(torch.tensor([0.5, 0.4])))
    assert not bool(torch.softmax(far, -1).log().isfinite().all())  # a probability on the way loses it


# ---------------------------------------------------------------- steps and runs


@pytest.mark.parametrize("rate", [1e3, 1e10, 1e100, 1e150])
@pytest.mark.parametrize("kind", ["tabular", "log_linear", "prefix_tree"])
def test_a_step_of_any_size_moves_mass_and_makes_none(kind: str, rate: float) -> None:
    policy, theta = make_policy(kind, seed=2)
    account = step(policy, theta, 0, 1, loss=DPO(beta=1.0), learning_rate=rate)
    assert sums_to_one(account.new_log_probs)
    assert float(account.actual.abs().max()) <= 1
    assert abs(float(account.actual.sum())) < 1e-12
    assert abs(sum(account.mass().values())) < 1e-12


def test_a_step_beyond_the_range_of_floats_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"^learning_rate: after a step of 1e\+308 .* use a smaller one"):
        step(LogLinear([[30.0], [1.0], [0.0]]), [0.0], 0, 1, loss=DPO(beta=100.0), learning_rate=1e308)


def test_a_saturated_run_stays_where_it_is() -> None:
    run = simulate(Tabular(3), [0.0] * 3, pairs(0, 1, shape=(3,)), loss=DPO(beta=1.0), learning_rate=1e6, steps=50)
    log_probs = run.log_probs.squeeze()
    assert sums_to_one(log_probs)
    ratio = run.log_ratio(0, 1).squeeze()
    assert bool((ratio.diff() >= 0).all())
    assert float(ratio[-1]) == pytest.approx(1e6, rel=1e-9)


def test_an_adamw_run_to_the_end_of_the_urgency() -> None:
    """When the gradient underflows, its second moment does so first: the quotient must not be 0 / 0."""
    from dynamics import AdamW

    rule = AdamW(weight_decay=0.0)
    given = pairs(0, 1, shape=(2,))
    run = simulate(Tabular(2), [400.0, -400.0], given, loss=DPO(beta=1.0), reference=[-math.log(2)] * 2,
                   steps=100, learning_rate=1.0, optimizer=rule)  # fmt: skip
    assert bool(run.log_probs.isfinite().all())


def test_a_run_that_leaves_the_range_does_not_touch_its_neighbours() -> None:
    """IPO with too large a learning rate grows without end and is NaN at last; the run beside it is not."""
    policy, given = LogLinear([[1.0], [0.0], [2.0]]), pairs(0, 1, shape=(3,))
    alone = simulate(policy, [0.0], given, loss=IPO(beta=0.5), learning_rate=0.1, steps=700)
    both = simulate(policy, [0.0], given, loss=IPO(beta=0.5), learning_rate=[0.1, 3.0], steps=700)
    assert both.log_probs[:, :, :1].equal(alone.log_probs)
    lost = both.log_probs[:, 0, 1, 0].isnan().all(-1)
    assert bool(lost[-1])
    first = int(lost.nonzero()[0])
    assert bool(lost[first:].all())
    assert not bool(both.log_probs[:first].isnan().any())


def test_ties_are_kept_by_every_loss() -> None:
    """Two responses that nothing tells apart stay as probable as one another, to the last bit."""
    given = pairs([0, 0], [1, 2], shape=(3,))
    for name in LOSSES:
        run = simulate(Tabular(3), [1.0, 0.3, 0.3], given, loss=get_loss(name), learning_rate=1.0, steps=50)
        assert run.log_probs[..., 1].equal(run.log_probs[..., 2])


def test_a_flow_far_beyond_saturation() -> None:
    flow = gradient_flow(Tabular(2), [0.0, 0.0], pairs(0, 1, shape=(2,)), [0.0, 1e9], loss=DPO(beta=1.0))
    m = float(flow.log_probs[-1, 0] - flow.log_probs[-1, 1])
    assert m + math.exp(m) == pytest.approx(1 + 2e9, rel=1e-6)


# ---------------------------------------------------------------- float32


def test_a_float32_step_is_the_float64_step_to_float32s_accuracy() -> None:
    features = np.random.default_rng(3).normal(size=(5, 3))
    theta = [0.3, -0.2, 0.1]
    narrow, wide = (
        step(LogLinear(features, dtype=dtype), theta, 0, 1, loss=DPO(beta=0.5), learning_rate=0.1)
        for dtype in DTYPES[::-1]
    )
    for name in ("actual", "predicted", "kernel", "drive", "log_probs"):
        a, b = getattr(narrow, name), getattr(wide, name)
        assert a.dtype == torch.float32
        assert float((a - b).abs().max() / b.abs().max()) < 1e-5
    assert slope([1e-1, 1e-2, 1e-3], [residual(wide_rate, features) for wide_rate in (1e-1, 1e-2, 1e-3)]) > 1.95


def residual(rate: float, features: np.ndarray) -> float:
    account = step(LogLinear(features), [0.3, -0.2, 0.1], 0, 1, loss=DPO(beta=0.5), learning_rate=rate)
    return float((account.actual - account.predicted).abs().max())


def test_the_kernel_of_a_model_in_float32_is_that_in_float64() -> None:
    pytest.importorskip("transformers")
    from dynamics.language_model import TokenSequence, sequence_kernel, tiny_model

    found = [TokenSequence((1, 2, 3, 4), 1), TokenSequence((1, 2, 4), 2), TokenSequence((5, 6, 7, 8, 9), 3)]
    wide = sequence_kernel(tiny_model(), found).kernel
    narrow = sequence_kernel(tiny_model(dtype=torch.float32), found).kernel
    norms = wide.diagonal().sqrt()
    error = (narrow - wide).abs() / (norms.unsqueeze(0) * norms)
    assert float(error.max()) < 1e-5
    assert float(error.max()) > 0


def test_a_sum_that_floats_would_lose_is_exact_in_fractions() -> None:
    """The worlds of the ledger are exact: 1e-30 beside 1 is not lost, as it is in float64."""
    from theory import World

    tiny = Fraction(1, 10**30)
    world = World.tabular([1 - 2 * tiny, tiny, tiny])
    assert world.change(0) + world.change(1) + world.change(2) == 0
    assert world.change(0) > 0
    assert 1.0 - 2e-30 == 1.0
