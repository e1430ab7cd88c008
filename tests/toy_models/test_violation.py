"""The boundaries of Corollary 2 against exact fractions, and the path of a log-linear policy against single steps."""

from __future__ import annotations

import math
import random
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import find, given, strategies as st

from dynamics import InvalidArgument, LogLinear, drives, kernel, pairs, score
from theory.jian2025.corollary_2 import eq_49
from theory.jian2025.corollary_2_mended import leads
from theory.worlds import World, base_measure, dot
from toy_models.displacement import LADDER, LADDER_CROSSOVER, run_pair
from toy_models.violation import largest_safe_cosine, pair_path, tabular_kernel, violated_from

shares = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 4))


def tabular(case: tuple[int, int, int, int]) -> tuple[World, int]:
    """A tabular world whose others are equally probable, in exact fractions."""
    w, y, rest, others = case
    total = w + y + rest * others
    return World.tabular([F(w, total), F(y, total), *[F(rest, total)] * others]), others


@given(shares)
def test_the_tabular_border_is_exact(case: tuple[int, int, int, int]) -> None:
    world, others = tabular(case)
    value = float(tabular_kernel(float(world.p[0]), float(world.p[1]), others))
    assert value == pytest.approx(float(world.kernel(0, 1)), abs=1e-12)
    assert eq_49(world) == (world.kernel(0, 1) <= 0 or world.p[0] == world.p[1])


def test_both_sides_of_the_border_occur() -> None:
    assert not eq_49(tabular(find(shares, lambda case: not eq_49(tabular(case)[0])))[0])
    assert eq_49(tabular(find(shares, lambda case: eq_49(tabular(case)[0])))[0])


@given(st.integers(1, 60), st.integers(1, 60), st.fractions(F(1, 20), F(20)), st.fractions(F(1, 50), F(1)))
def test_below_the_safe_cosine_nothing_fails(p: int, q: int, ratio: F, cosine: F) -> None:
    """In floats, D_w - D_l = p r^2 + q - (p + q) r cos with lengths r and 1."""
    safe = float(largest_safe_cosine(math.log(p / q)))
    assert safe == pytest.approx(2 * math.sqrt(p * q) / (p + q), rel=1e-12)
    if float(cosine) <= safe:
        assert p * ratio**2 + q - (p + q) * ratio * float(cosine) >= -1e-9 * (p + q) * max(1, ratio) ** 2


@given(st.floats(-300, 300))
def test_above_the_safe_cosine_some_ratio_fails(log_ratio: float) -> None:
    safe = float(largest_safe_cosine(log_ratio))
    assert safe == pytest.approx(1 / math.cosh(log_ratio / 2), rel=1e-12)
    if safe > 0.99:
        return
    share = 1 / (1 + math.exp(-log_ratio))
    cosine = min(1.0, safe * 1.01)
    worst = cosine / (2 * share) if share > 0 else math.inf
    if math.isfinite(worst):
        assert share * worst**2 - cosine * worst + (1 - share) < 0


def test_extreme_ratios_do_not_overflow() -> None:
    assert largest_safe_cosine([-2000.0, 0.0, 2000.0]).tolist() == [0.0, 1.0, 0.0]


def random_features(seed: int, responses: int = 5, parameters: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(seed)
    features = torch.randn(responses, parameters, generator=source, dtype=torch.float64)
    return features, torch.randn(parameters, generator=source, dtype=torch.float64)


@pytest.mark.parametrize("seed", range(4))
def test_the_path_is_that_of_the_policy(seed: int) -> None:
    """Log-probabilities, drives, D_w - D_l, N and g_w . g_l at points of the path, from dynamics."""
    features, theta = random_features(seed)
    policy = LogLinear(features)
    chosen, rejected = 2, 0
    d = features[chosen] - features[rejected]
    gains = [0.0, 0.5, 3.0]
    path = pair_path(features, policy.log_probs(theta), gains, chosen=chosen, rejected=rejected)
    for t, gain in enumerate(gains):
        at = theta + gain / d.square().sum() * d
        p = policy.log_probs(at).exp()
        g = score(policy, at)
        drive = drives(kernel(policy, at), pairs(chosen, rejected, shape=(5,)))[0]
        np.testing.assert_allclose(path.log_probs[t], p.log(), rtol=0, atol=1e-12)
        np.testing.assert_allclose(path.drive[t], drive, rtol=0, atol=1e-12)
        change = p * drive
        assert path.difference[t] == pytest.approx(float(change[chosen] - change[rejected]), abs=1e-13)
        root = p[chosen].sqrt() * g[chosen] - p[rejected].sqrt() * g[rejected]
        assert path.bound[t] == pytest.approx(float(root.square().sum()), abs=1e-13)
        assert path.kernel[t] == pytest.approx(float(g[chosen] @ g[rejected]), abs=1e-12)
        scale = float(change[chosen].abs() + change[rejected].abs())
        assert path.relative[t] == pytest.approx(path.difference[t] / scale, abs=1e-10)
        # Eq. 49 holds here iff g_w . g_l <= 0
        assert (path.difference[t] >= path.bound[t]) == (path.kernel[t] <= 0)


def test_a_batch_is_its_members() -> None:
    features = torch.stack([random_features(seed)[0] for seed in range(3)])
    start = torch.log_softmax(torch.stack([f[:, 0] for f in features]), 1)
    whole = pair_path(features, start, [0.0, 1.0, 2.0])
    assert whole.relative.shape == (3, 3)
    for b in range(3):
        alone = pair_path(features[b], start[b], [0.0, 1.0, 2.0])
        np.testing.assert_allclose(whole.drive[b], alone.drive, rtol=0, atol=1e-14)
        np.testing.assert_allclose(whole.relative[b], alone.relative, rtol=0, atol=1e-13)
        assert whole.chosen_wins[b] == alone.chosen_wins


def test_the_eventual_violation_theorem() -> None:
    """Worlds of the ledger: D_w < D_l for good if and only if y_w is not among the winners."""
    source = random.Random(1)
    gains = np.concatenate([np.linspace(0, 20, 100), np.geomspace(21, 300, 30)])
    counts = {True: 0, False: 0}
    for _ in range(150):
        world = base_measure(source)
        d = [a - b for a, b in zip(world.features[world.chosen], world.features[world.rejected], strict=True)]
        if dot(d, d) == 0:
            continue
        features = np.array([[float(v) for v in row] for row in world.features])
        log_p = np.log([float(q) for q in world.p])
        path = pair_path(features, log_p, gains, chosen=world.chosen, rejected=world.rejected)
        assert bool(path.chosen_wins) == leads(world)
        assert (np.sign(path.difference[0]) == np.sign(float(world.D_w - world.D_l))) or abs(
            world.D_w - world.D_l
        ) < 1e-12
        assert np.isfinite(path.relative).all()
        assert (int(violated_from(path.relative)) >= 0) == (not leads(world))
        counts[leads(world)] += 1
    assert min(counts.values()) > 10


def test_the_ladder_is_violated_from_step_67_on() -> None:
    run = run_pair(LADDER)
    assert int(violated_from(run.predicted[:, 0] - run.predicted[:, 1])) == 67
    assert int(violated_from(run.actual[:, 0] - run.actual[:, 1])) in (66, 67)
    start = np.log(np.exp([-3.0, 0.0, -6.0]) / np.exp([-3.0, 0.0, -6.0]).sum())
    crossing = math.log(LADDER_CROSSOVER) + 3
    path = pair_path(LADDER.features, start, [crossing - 1e-6, crossing + 1e-6])
    assert path.relative[0] > 0 > path.relative[1]


def test_violated_from() -> None:
    assert int(violated_from(np.array([-1.0, -1.0]))) == 0
    assert int(violated_from(np.array([-1.0, 0.0]))) == -1
    assert int(violated_from(np.array([-1.0, 1.0, -1.0]))) == 2
    assert violated_from(np.array([[1.0, -1.0], [1.0, np.nan]])).tolist() == [1, -1]


@pytest.mark.parametrize(
    ("arguments", "at"),
    [
        ({"features": [[1.0], [1.0], [2.0]]}, "features"),
        ({"log_probs": [math.log(0.5)] * 2}, "features, log_probs, gain"),
        ({"log_probs": [0.0, 0.0, 0.0]}, "exp(log_probs)"),
        ({"gain": [math.inf]}, "gain"),
        ({"gain": 1.0}, "features, log_probs, gain"),
        ({"chosen": 3}, "chosen"),
    ],
)
def test_paths_that_make_no_sense_are_refused(arguments: dict[str, Any], at: str) -> None:
    good: dict[str, Any] = {
        "features": [[1.0], [0.0], [2.0]],
        "log_probs": np.log([0.2, 0.3, 0.5]),
        "gain": [0.0, 1.0],
    }
    assert pair_path(**good).difference.shape == (2,)
    with pytest.raises(InvalidArgument) as refused:
        pair_path(**{**good, **arguments})
    assert refused.value.argument == at


def test_probabilities_out_of_range_are_refused() -> None:
    for p_w, p_l in ((-0.1, 0.2), (0.7, 0.4)):
        with pytest.raises(InvalidArgument, match="p_w"):
            tabular_kernel(p_w, p_l)
