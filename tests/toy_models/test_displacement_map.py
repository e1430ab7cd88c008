"""Random worlds: what is sampled, and their drives and paths against other ways to the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from dynamics import InvalidArgument
from toy_models.displacement_map import POLICIES, displacement, displacement_map, random_worlds

SEEDS = list(range(6))
OVERLAPS = [-0.5, 0.0, 0.3, 0.6, 0.9, 0.99]


def batch(policy: str, responses: int, overlap: Any = OVERLAPS, seed: Any = SEEDS) -> dict[str, Any]:
    return {"policy": policy, "responses": responses, "overlap": overlap, "seed": seed}


def scores(policy: str, responses: int) -> tuple[Tensor, Tensor]:
    """Probabilities and scores of every response in every world, by forward mode."""
    log_probs, theta = random_worlds(policy, responses, OVERLAPS, SEEDS)
    rows = torch.func.jacfwd(log_probs)(theta)
    return log_probs(theta).exp(), torch.stack([rows[b, :, b] for b in range(len(theta))])


@pytest.mark.parametrize("policy", POLICIES)
def test_drives_against_forward_mode(policy: str) -> None:
    p, g = scores(policy, 8)
    found = displacement(batch(policy, 8), gain=0.5)
    torch.testing.assert_close(p.sum(1), torch.ones(6, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.einsum("by,byi->bi", p, g), torch.zeros_like(g[:, 0]), rtol=0, atol=1e-12)
    gram = g @ g.mT
    drive = gram[:, :, 0] - gram[:, :, 1]
    torch.testing.assert_close(found["drive"], drive[:, 0], rtol=0, atol=1e-10)
    assert found["displaced"].tolist() == (drive[:, 0] < 0).double().tolist()
    assert found["violated"].tolist() == (p[:, 0] * drive[:, 0] < p[:, 1] * drive[:, 1]).double().tolist()
    cosine = gram[:, 0, 1] / (gram[:, 0, 0] * gram[:, 1, 1]).sqrt()
    torch.testing.assert_close(found["cosine"], cosine, rtol=0, atol=1e-12)
    torch.testing.assert_close(found["log_ratio"], (p[:, 0] / p[:, 1]).log(), rtol=0, atol=1e-12)
    gap = (g[:, 0] - g[:, 1]).square().sum(1)
    torch.testing.assert_close(found["fall"], torch.relu(-drive[:, 0]) / gap, rtol=0, atol=1e-12)


def test_the_path_of_a_log_linear_policy_is_exact() -> None:
    """pi_y(s) is proportional to pi_y exp(s g_y . d), and log(pi_w / pi_l) gains s |d|^2."""
    p, g = scores("log-linear", 8)
    d = g[:, 0] - g[:, 1]
    for gain in (0.3, 4.0):
        s = gain / d.square().sum(1, keepdim=True)
        after = torch.log_softmax(p.log() + s * torch.einsum("byi,bi->by", g, d), 1)
        change = displacement(batch("log-linear", 8), gain=gain)["change"]
        torch.testing.assert_close(change, (after - p.log())[:, 0], rtol=0, atol=1e-10)


def test_the_path_of_a_tabular_policy_is_exact() -> None:
    p, _ = scores("tabular", 4)
    moved = p.log() + torch.tensor([1.0, -1.0, 0.0, 0.0])  # a gain of 2 nats
    change = displacement(batch("tabular", 4), gain=2.0)["change"]
    torch.testing.assert_close(change, (torch.log_softmax(moved, 1) - p.log())[:, 0], rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=25)
@given(responses=st.sampled_from([2, 4, 8]), overlap=st.floats(-0.99, 0.99), seed=st.integers(0, 10**6), data=st.data())
def test_never_where_nothing_is_shared(responses: int, overlap: float, seed: int, data: st.DataObject) -> None:
    """Tabular policies and prefix trees, and every policy with two responses (up to rounding)."""
    policy = data.draw(st.sampled_from(list(POLICIES) if responses == 2 else ["tabular", "prefix-tree"]))
    found = displacement(batch(policy, responses, [overlap], [seed]), gain=1.0)
    for name in ("displaced", "sunk", "violated", "fall"):
        assert found[name].tolist() == [0.0]


@pytest.mark.parametrize("policy", ["log-linear", "feature-mlp"])
def test_the_tests_above_can_fail(policy: str) -> None:
    found = displacement(batch(policy, 8, [0.95] * 100, range(100)), gain=4.0)
    assert 0.1 < float(found["displaced"].mean()) < 0.9
    assert 0.1 < float(found["sunk"].mean()) < 0.9
    assert float(found["violated"].mean()) > 0


def test_a_row_of_output_weights_each_is_no_protection() -> None:
    """The map's zeros for this class are not a theorem: with larger output weights worlds are displaced."""
    log_probs, theta = random_worlds("output-mlp", 8, [0.95] * 300, range(300))
    shares = []
    for scale in (1.0, 8.0):
        at = theta.clone()
        at[:, 32:-8] *= scale  # behind 16 weights and 16 biases of the hidden layer, before 8 biases
        at.requires_grad_()
        values = log_probs(at)
        g_w, g_l = (torch.autograd.grad(values[:, y].sum(), at, retain_graph=True)[0] for y in (0, 1))
        shares.append(float(((g_w * (g_w - g_l)).sum(1) < 0).double().mean()))
    assert shares[0] < 0.01
    assert shares[1] > 0.05


def features_of(policy: str, responses: int) -> Tensor:
    """The vectors whose cosine is the overlap, read off the policy from outside."""
    log_probs, theta = random_worlds(policy, responses, OVERLAPS, SEEDS)
    if policy == "output-mlp":
        return theta[:, 32:-responses].reshape(6, responses, 16)
    at_zero = torch.zeros_like(theta)  # there log pi = -log responses, and g_y = phi_y - mean phi
    rows = torch.func.jacfwd(log_probs)(at_zero)
    centred = torch.stack([rows[b, :, b] for b in range(6)])
    draws = [
        torch.randn(8 + 8 * responses, generator=torch.Generator().manual_seed(s), dtype=torch.float64) for s in SEEDS
    ]
    chosen = torch.stack([row[8:16] for row in draws])  # the chosen response's features are the plain draws
    return centred + (chosen - centred[:, 0]).unsqueeze(1)


@pytest.mark.parametrize("policy", ["log-linear", "output-mlp"])
def test_the_overlap_is_the_cosine(policy: str) -> None:
    features = features_of(policy, 4)
    w, y = features[:, 0], features[:, 1]
    cosine = (w * y).sum(1) / (w.norm(dim=1) * y.norm(dim=1))
    np.testing.assert_allclose(cosine, OVERLAPS, rtol=0, atol=1e-12)


def test_the_overlap_of_a_tree_is_the_common_prefix() -> None:
    """In a tree of depth 3 the pair shares 0, 1 or 2 tokens; a push on a shared edge moves both alike."""
    overlaps = [0.0, 0.2, 1 / 3, 0.6, 0.99]
    log_probs, theta = random_worlds("prefix-tree", 8, overlaps, [3] * 5)
    rows = torch.func.jacfwd(log_probs)(theta)
    shared = []
    for b in range(5):
        g_w, g_l = rows[b, 0, b], rows[b, 1, b]
        shared.append(int(((g_w == g_l) & (g_w > 0)).sum()))  # edges that both take
    assert shared == [0, 1, 1, 2, 2]
    assert sorted(log_probs(theta)[0].tolist()) == pytest.approx(sorted(log_probs(theta)[4].tolist()))


def test_a_world_depends_on_its_seed_alone() -> None:
    whole = displacement(batch("feature-mlp", 4), gain=0.5)
    for b in (0, 5):
        alone = displacement(batch("feature-mlp", 4, OVERLAPS[b : b + 1], SEEDS[b : b + 1]), gain=0.5)
        for name, values in alone.items():
            torch.testing.assert_close(values[0], whole[name][b], rtol=0, atol=1e-13)
    log_probs, theta = random_worlds("log-linear", 4, [0.1, 0.9], [5, 5])
    assert torch.equal(theta[0], theta[1])
    log_ratio = log_probs(theta)[:, 2] - log_probs(theta)[:, 0]  # the rejected response alone is another one
    assert float(log_ratio[0]) == pytest.approx(float(log_ratio[1]), abs=1e-12)
    assert float((log_probs(theta)[0] - log_probs(theta)[1]).abs().max()) > 1e-3


def test_the_map_is_the_mean_over_the_worlds() -> None:
    table = displacement_map(["tabular", "log-linear"], [2, 4], [0.0, 0.9], worlds=40, seed=100)
    assert len(table) == 8
    cell = table.where(policy="log-linear", responses=4, overlap=0.9)
    single = displacement(batch("log-linear", 4, [0.9] * 40, range(100, 140)))
    for name in ("displaced", "sunk", "fall", "change"):
        values = single[name].numpy()
        assert float(cell[name][0]) == pytest.approx(values.mean(), abs=1e-12)
        assert float(cell[name + "_error"][0]) == pytest.approx(values.std(ddof=1) / np.sqrt(40), abs=1e-12)
    assert cell["count"].tolist() == [40]
    again = displacement_map(["tabular", "log-linear"], [2, 4], [0.0, 0.9], worlds=40, seed=100)
    other = displacement_map(["tabular", "log-linear"], [2, 4], [0.0, 0.9], worlds=40, seed=200)
    assert np.array_equal(table["change"], again["change"])
    assert not np.array_equal(table["change"], other["change"])


@pytest.mark.parametrize(
    ("arguments", "at"),
    [
        ({"policy": "transformer"}, "policy"),
        ({"responses": 1}, "responses"),
        ({"policy": "prefix-tree", "responses": 6}, "responses"),
        ({"overlap": [1.0]}, "overlap"),
        ({"overlap": [0.1, 0.2]}, "overlap"),
        ({"overlap": [float("nan")]}, "overlap"),
    ],
)
def test_worlds_that_make_no_sense_are_refused(arguments: dict[str, Any], at: str) -> None:
    good: dict[str, Any] = {"policy": "tabular", "responses": 4, "overlap": [0.5], "seeds": [0]}
    assert random_worlds(**good)[1].shape == (1, 4)
    with pytest.raises(InvalidArgument) as refused:
        random_worlds(**{**good, **arguments})
    assert refused.value.argument == at


@pytest.mark.parametrize("gain", [0.0, -1.0, float("inf")])
def test_a_path_needs_a_length(gain: float) -> None:
    with pytest.raises(InvalidArgument, match="gain"):
        displacement(batch("tabular", 4), gain=gain)
