"""The playground's presets after neighbouring papers: what each text says, computed by `dynamics` in the same world."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from dynamics import LogLinear, pairs, simulate, step
from tests.notebooks.playground_page import PRESETS, at
from tests.notebooks.playground_worlds import python_loss
from theory.ledger import load_claims
from theory.neighbours import NEIGHBOURS

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from dynamics import StepAccount

AFTER = tuple(preset for preset in PRESETS if preset.split("-")[0] in NEIGHBOURS)


def in_dynamics(view: Page, preset: str, **changes: Any) -> dict[str, Any]:
    """Return the world of a preset, with changes, as `dynamics` takes it, and its number of steps."""
    code = """([preset, changes]) => {
      const state = { ...Worlds.preset(preset), ...changes };
      return { ...Worlds.world(state), steps: state.steps };
    }"""
    world = view.evaluate(code, [preset, changes])
    chosen, rejected, weight = zip(
        *((pair["chosen"], pair["rejected"], pair["weight"]) for pair in world["pairs"]), strict=True
    )
    return {
        "policy": LogLinear(world["features"], base_measure=np.exp(world["base"])),
        "theta": world["theta"],
        "preferences": pairs(chosen, rejected, shape=(3,), weight=weight),
        "loss": python_loss(world["loss"]),
        "learning_rate": world["learningRate"],
        "reference": world["reference"],
        "steps": world["steps"],
    }


def account(view: Page, preset: str, **changes: Any) -> StepAccount:
    """Return the first step of a preset, computed by `dynamics`."""
    world = in_dynamics(view, preset, **changes)
    return step(**{key: value for key, value in world.items() if key != "steps"})


def film(view: Page, preset: str, **changes: Any) -> np.ndarray:
    """Return log pi of every step of a preset, computed by `dynamics`, ``(steps + 1, responses)``."""
    return simulate(**in_dynamics(view, preset, **changes)).log_probs[:, 0, 0, 0].numpy()


def drive(view: Page, preset: str, **changes: Any) -> np.ndarray:
    """Return the drives of the three responses in the first step of a preset."""
    return account(view, preset, **changes).drive[0].numpy()


def slope(view: Page, preset: str, **changes: Any) -> np.ndarray:
    """Return how fast each probability moves in the first step of a preset, for each unit of the learning rate."""
    found = account(view, preset, **changes, rate=1.0)
    return found.predicted.numpy()


def says(view: Page, preset: str, *phrases: str) -> None:
    """Assert that the text of a preset has these phrases, which are what its test shows to be true."""
    text = view.evaluate("key => Worlds.PRESETS[key].text", preset)
    for phrase in phrases:
        assert phrase in text, f"the text of {preset} says something else: {text}"


# ---------------------------------------------------------------- what holds for all of them


@pytest.mark.parametrize("preset", AFTER)
def test_the_film_is_that_of_dynamics(view: Page, preset: str) -> None:
    shown = view.evaluate(
        "key => { const s = Worlds.preset(key); return PreferenceDynamics.walk(Worlds.world(s), s.steps).logProbs; }",
        preset,
    )
    np.testing.assert_allclose(shown, film(view, preset), rtol=0, atol=1e-9)
    other = film(view, preset, p=[0.5, 0.3, 0.2])
    assert np.abs(other - shown).max() > 0.01  # a world beside it has another film


def test_every_claim_that_is_named_is_in_the_ledger(view: Page) -> None:
    claims = load_claims()
    for preset, shown in view.evaluate("Worlds.PRESETS").items():
        paper, keys = shown["paper"], shown["claims"]
        assert paper == preset.split("-")[0]
        assert keys or preset not in AFTER, preset
        assert len(shown["title"]) <= 38, f"{preset}: on a phone the title would be cut off"
        for key in keys:
            assert key in claims, (preset, key)
            assert key.split(".")[0] == paper


def test_the_page_names_the_claims_and_groups_by_paper(view: Page) -> None:
    at(view, "preset=ren2024-squeeze")
    assert view.inner_text("#preset-claims") == (
        "Claims of the ledger: ren2024.residuals-cancel, ren2024.squeeze-at-one-context."
    )
    at(view, "")
    assert not view.is_visible("#preset-claims")
    groups = view.eval_on_selector_all("#preset optgroup", "all => all.map(g => [g.label, g.children.length])")
    papers = [re.search(r"\((\w+)\)$", label).group(1) for label, _ in groups]  # type: ignore[union-attr]
    assert sum(count for _, count in groups) == len(PRESETS)
    assert papers == list(dict.fromkeys(preset.split("-")[0] for preset in PRESETS))
    for (label, _), paper in zip(groups, papers, strict=True):
        assert label.startswith("after ") == (paper in NEIGHBOURS)
        if paper in NEIGHBOURS:  # named as the ledger names it
            year, name = paper[-4:], label.removeprefix("after ").split(" et al.")[0].split(" 20")[0]
            assert NEIGHBOURS[paper].title.startswith(name)
            assert year in label.split("(")[0]


# ---------------------------------------------------------------- Razin


def test_the_rejected_unembedding_must_be_longer(view: Page) -> None:
    preset = "razin2024-rejected-longer"
    says(view, preset, "its drive is −1/12", "below 1 or beyond 2, and the chosen one rises")
    np.testing.assert_allclose(drive(view, preset), [-1 / 12, -1 / 3, 5 / 12], rtol=1e-12)
    for length in (-1.0, 0.0, 0.5, 0.9, 2.1, 3.0):
        assert drive(view, preset, features=[[1, 0], [length, 0], [0, 0]])[0] > 1e-3, length
    for length in (1.1, 1.9):
        assert drive(view, preset, features=[[1, 0], [length, 0], [0, 0]])[0] < -1e-3, length


def test_identical_unembeddings(view: Page) -> None:
    preset = "razin2024-identical"
    says(view, preset, "nothing moves at all", "to the right, and the chosen one falls")
    logs = film(view, preset)
    np.testing.assert_allclose(logs, np.log(1 / 3), rtol=0, atol=1e-12)
    assert drive(view, preset, features=[[1, 0], [1.1, 0], [0, 0]])[0] < -1e-3
    h = 0.7  # unembeddings that are trained as well, the third features and on
    trained = LogLinear([[1, h, 0, 0], [1, 0, h, 0], [0, 0, 0, h]])
    np.testing.assert_allclose(step(trained, [0.0] * 4, 0, 1).drive[0], h**2, rtol=1e-12)


def test_alignment_alone(view: Page) -> None:
    preset = "razin2024-alignment"
    says(view, preset, "still the chosen one rises", "no farther from the third mark", "never falls")
    shown = np.array([1.9, 0.4])
    assert shown @ [2, 0] / (2 * np.linalg.norm(shown)) > 0.97  # nearly the same way
    assert np.linalg.norm(shown) < 2
    assert (np.diff(film(view, preset)[:, 0]) > 0).all()

    def with_rejected(x: float, y: float) -> float:
        return float(drive(view, preset, features=[[2, 0], [x, y], [0, 0]])[0])

    angles, lengths = np.linspace(0, 2 * np.pi, 13), (0.2, 1.0, 1.9, 2.0)
    found = [with_rejected(r * np.cos(a), r * np.sin(a)) for a in angles for r in lengths]
    assert min(found) > -1e-12
    assert with_rejected(2.4, 0.2) < -0.01  # a longer one


# ---------------------------------------------------------------- Ren, Yuan, Pal


def test_the_squeeze_cancels(view: Page) -> None:
    preset, p = "ren2024-squeeze", np.array([0.3, 0.1, 0.6])
    says(view, preset, "the other response, at 60 % the most probable, falls", "Its drive is π(rejected) − π(chosen)")
    assert (
        -account(view, preset).kernel[2, 1] > 0.1
    )  # a negative gradient on the rejected response alone would raise the other one
    np.testing.assert_allclose(drive(view, preset)[2], p[1] - p[0], rtol=1e-12)
    assert (np.diff(film(view, preset)[:, 2]) < 0).all()
    for q in ([0.5, 0.3, 0.2], [0.21, 0.01, 0.78]):
        np.testing.assert_allclose(drive(view, preset, p=q)[2], -0.2, rtol=1e-12)
    assert account(view, preset, p=[0.1, 0.3, 0.6]).actual[2] > 0.01


def test_whom_a_negative_step_squeezes(view: Page) -> None:
    preset = "ren2024-negative"
    says(view, preset, "0.54 − 0.2", "The chosen one is squeezed, the other one rises", "is the likeliest, and nobody")

    def lowered(p: np.ndarray) -> np.ndarray:
        """Return what the page has as ⟨g_y, g_l⟩, after comparing it with a small negative step."""
        shown = account(view, preset, p=p.tolist()).kernel[:, 1].numpy()
        policy, size = LogLinear(np.eye(3), base_measure=p), 1e-6
        gradient = np.array([0, 1, 0]) - p  # of log pi(rejected) by free logits
        change = policy.log_probs(torch.tensor(-size * gradient)) - policy.log_probs(
            torch.zeros(3, dtype=torch.float64)
        )
        np.testing.assert_allclose(change.numpy() / size, -shown, rtol=0, atol=1e-5)
        return shown

    first = lowered(np.array([0.1, 0.2, 0.7]))
    assert first[0] > 0.1 > -0.1 > first[2]
    for p in np.random.default_rng(0).dirichlet([1.0] * 3, 30):
        squeezed = lowered(p)[[0, 2]] > 0
        assert (squeezed == (p[[0, 2]] < (p**2).sum() - p[1])).all(), p
        if p[1] == p.max():
            assert not squeezed.any()
        assert not squeezed[p[[0, 2]].argmax()]


def test_unequal_weights_displace_a_tabular_policy(view: Page) -> None:
    preset = "yuan2024-tabular"
    says(view, preset, "the chosen response falls", "ten times as hard", "has 89 %", "Choose DPO")
    world = in_dynamics(view, preset)
    partials = account(view, preset).predicted.numpy()
    assert partials[0] < -1e-4
    assert partials[2] > 0
    push = view.evaluate("k => PreferenceDynamics.step(Worlds.world(Worlds.preset(k))).push", preset)
    np.testing.assert_allclose(push[1] / push[0], -10, rtol=1e-12)
    assert film(view, preset)[1, 0] < np.log(0.01)
    assert account(view, preset, loss="dpo").predicted[0] > 1e-3
    assert world["policy"].features.shape[-1] == 3  # a free logit each


def test_unequal_weights_shrink_the_margin(view: Page) -> None:
    preset = "yuan2024-margin"
    says(
        view,
        preset,
        "five times",
        "Both rise, the rejected one faster",
        "the loss falls, and the margin with it",
        "λ to 0",
    )
    push = view.evaluate("k => PreferenceDynamics.step(Worlds.world(Worlds.preset(k))).push", preset)
    np.testing.assert_allclose(push[0] / push[1], -5, rtol=1e-12)
    logs, found = film(view, preset), account(view, preset)
    margins = logs[:, 0] - logs[:, 1]
    assert (found.predicted[:2] > 1e-3).all()
    assert found.predicted[1] > 2 * found.predicted[0]
    assert margins[1] < margins[0] - 1e-3
    loss = in_dynamics(view, preset)["loss"]
    values = [float(loss(chosen, rejected, *logs[0, :2])) for chosen, rejected, _ in logs]
    assert values[1] < values[0] - 1e-4
    without = film(view, preset, more=0)
    assert (np.diff(without[:, 0] - without[:, 1]) > 0).all()


def test_dpop_does_not_protect(view: Page) -> None:
    preset = "pal2024-dpop"
    says(view, preset, "rises at first, falls below, and goes to 0", "λ = 3, and the chosen response stops at 0.247")
    logs = film(view, preset)
    start = np.log(1 / 3)
    assert logs[1, 0] > start + 0.01
    assert logs[-1, 0] < np.log(0.01)
    loss = in_dynamics(view, preset)["loss"]
    values = [float(loss(chosen, rejected, start, start)) for chosen, rejected, _ in logs]
    assert values[-1] < 0.05
    protected = film(view, preset, more=3)
    np.testing.assert_allclose(np.exp(protected[-100:, 0]), 0.247, rtol=0, atol=5e-4)
    for penalty in (1, 3, 10, 50):  # features as the ledger has them, scaled into the page
        features = [[scaled, 0] for scaled in 3 / (penalty + 4) * np.array([1, penalty + 3, -penalty - 4])]
        below = slope(view, preset, features=features, more=penalty, ref=[0.4, 0.3, 0.3])
        assert below[0] < 0, penalty


# ---------------------------------------------------------------- Rafailov, Azar, Chen


def test_the_mean_of_the_chosen_falls(view: Page) -> None:
    preset = "rafailov2024-mean"
    says(view, preset, "22, 15 and 8 in 45", "at the start only to second order", "first response rises, to 44/63")
    world = in_dynamics(view, preset)
    asked = world["preferences"]
    law = np.bincount(asked.chosen.numpy(), weights=asked.weight.numpy(), minlength=3) / asked.weight.sum().item()
    np.testing.assert_allclose(law, np.array([22, 15, 8]) / 45, rtol=1e-12)
    np.testing.assert_allclose(np.exp(world["reference"]), law, rtol=1e-12)
    logs = film(view, preset)
    mean = logs @ law
    assert (mean[1:] < mean[0]).all()
    assert logs[1, 0] > logs[0, 0]
    np.testing.assert_allclose(np.exp(logs[-1, 0]), 44 / 63, rtol=1e-6)
    fall = [film(view, preset, rate=rate, steps=1) @ law for rate in (0.02, 0.01)]
    np.testing.assert_allclose((fall[0][1] - fall[0][0]) / (fall[1][1] - fall[1][0]), 4, rtol=0.05)  # second order


def test_ipo_and_an_order_of_three(view: Page) -> None:
    preset = "azar2023-order"
    says(view, preset, "1/(2β), here 1. One pair reaches it", "2/3, 2/3 and 4/3", "The curve is the first")
    logs = film(view, preset)[-1]
    np.testing.assert_allclose(
        [logs[0] - logs[1], logs[1] - logs[2], logs[0] - logs[2]], [2 / 3, 2 / 3, 4 / 3], rtol=1e-6
    )
    one = film(view, preset, told="one")[-1]
    np.testing.assert_allclose(one[0] - one[1], 1, rtol=1e-4)
    shown = view.evaluate("k => PreferenceDynamics.step(Worlds.world(Worlds.preset(k))).margin.length", preset)
    assert shown == 6
    curve = "Worlds.world(Worlds.preset('azar2023-order')).pairs[0]"
    assert view.evaluate(curve) == {"chosen": 0, "rejected": 1, "weight": 1}  # the first gap


def test_ipo_leaves_a_pair_in_the_wrong_order(view: Page) -> None:
    preset = "chen2024-ipo"
    says(
        view,
        preset,
        "twelve times",
        "its loss goes to 0, and the rejected response stays ahead",
        "Choose DPO, and the order turns",
    )
    start, *_, end = film(view, preset)
    np.testing.assert_allclose(start[1] - start[0], np.log(12), rtol=1e-12)
    assert end[1] > end[0] + 1
    loss = in_dynamics(view, preset)["loss"]
    assert loss(end[0], end[1], start[0], start[1]) < 1e-6
    turned = film(view, preset, loss="dpo")[-1]
    assert turned[0] > turned[1] + 0.5


# ---------------------------------------------------------------- Pipano, Yan, Chen


def test_pushing_more_than_twice_as_hard(view: Page) -> None:
    preset = "pipano2026-border"
    says(view, preset, "1 + clip times as hard", "three times, and the chosen one falls at first", "displace at 1.16")
    for clip in (0.5, 1.0, 2.0, 3.0):
        code = "([k, more]) => PreferenceDynamics.step(Worlds.world({ ...Worlds.preset(k), more })).push"
        push = view.evaluate(code, [preset, clip])
        np.testing.assert_allclose(push[1] / push[0], -(1 + clip), rtol=1e-12)
    logs = film(view, preset)[:, 0]
    assert logs[1] < logs[0]
    assert logs[-1] > logs[0]  # at first only
    assert slope(view, preset, more=1.15)[0] > 1e-6 > -1e-6 > slope(view, preset, more=1.17)[0]
    rng = np.random.default_rng(0)
    for p in [[0.001, 0.003, 0.996], *rng.dirichlet([0.3] * 3, 40).clip(1e-6).tolist()]:
        assert slope(view, preset, more=1, p=p)[0] > 0, p
    assert slope(view, preset, more=1.02, p=[0.001, 0.003, 0.996])[0] < 0  # nearer to 1


def test_who_moves_faster_turns_round(view: Page) -> None:
    preset = "yan2024-faster"
    says(view, preset, "While the chosen one trails: in probability yes, in log-probability no")
    leads = []
    for logs in film(view, preset):
        lead = float(logs[0] - logs[1])
        if abs(lead) < 0.05:
            continue
        found = account(view, preset, p=np.exp(logs).tolist(), ref=[0.1, 0.6, 0.3])
        by_log, by_probability = found.drive[0].abs(), found.predicted.abs()
        assert bool(by_log[1] > by_log[0]) == (lead > 0)
        assert bool(by_probability[1] > by_probability[0]) == (lead < 0)
        leads.append(lead > 0)
    assert 3 < sum(leads) < len(leads) - 3  # on both sides of the crossing


def test_scores_of_equal_length(view: Page) -> None:
    preset = "chen2026-band"
    says(view, preset, "a cosine of 12/13", "both fall", "both rise")
    g = account(view, preset).kernel.numpy()
    np.testing.assert_allclose(g[0, 1] / g[0, 0], 12 / 13, rtol=1e-12)
    np.testing.assert_allclose(g[0, 0], g[1, 1], rtol=1e-12)
    assert drive(view, preset)[0] > 0.01 > -0.01 > drive(view, preset)[1]
    for further in (1.5, 2.0, 3.0):
        assert (drive(view, preset, features=[[1, 0.2], [further, -0.2], [-2, 0]])[:2] < -0.01).all()
        assert (drive(view, preset, features=[[further, 0.2], [1, -0.2], [-2, 0]])[:2] > 0.01).all()
