"""The playground, opened from disk: one file, presets that show what their texts say, and sentences that are true."""

from __future__ import annotations

import math
import re
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from dynamics import DPO, LogLinear, step
from tests.browser import open_page
from tests.notebooks.playground_page import FILE, FOLDER, PRESETS, at
from theory.neighbours import NEIGHBOURS
from theory.report import PAPERS
from toy_models.displacement import LADDER, run_pair

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def film(view: Page, preset: str, **changes: Any) -> np.ndarray:
    """Return log pi of every step of a preset's film, ``(steps + 1, responses)``."""
    code = """([preset, changes]) => {
      const state = { ...Worlds.preset(preset), ...changes };
      return PreferenceDynamics.walk(Worlds.world(state), state.steps).logProbs;
    }"""
    return np.array(view.evaluate(code, [preset, changes]))


def first_step(view: Page, preset: str, **changes: Any) -> dict[str, Any]:
    """Return the account of a preset's first step."""
    code = "([preset, changes]) => PreferenceDynamics.step(Worlds.world({ ...Worlds.preset(preset), ...changes }))"
    return view.evaluate(code, [preset, changes])


# ---------------------------------------------------------------- one file


def test_the_page_is_made_of_its_sources() -> None:
    assert FILE.read_text(encoding="utf-8") == runpy.run_path(str(FOLDER / "assemble.py"))["assemble"]()


def test_it_needs_nothing_from_elsewhere() -> None:
    html = FILE.read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#|data:)""", html)
    assert not re.search(r"\b(?:fetch|XMLHttpRequest|import|require)\s*\(|@import|url\(", html)
    assert "https://" not in html


# ---------------------------------------------------------------- each preset shows what its text says


def test_each_of_the_five_papers_has_a_preset(view: Page) -> None:
    assert tuple(view.evaluate("Object.keys(Worlds.PRESETS)")) == PRESETS
    papers = {preset.split("-")[0] for preset in PRESETS}
    assert papers - set(NEIGHBOURS) == set(PAPERS)


def test_the_ladder_is_figure_1(view: Page) -> None:
    wanted = run_pair(LADDER, beta=0.5, learning_rate=0.5, steps=180)
    found = film(view, "jian2025-ladder")
    np.testing.assert_allclose(found, wanted.log_probs, rtol=0, atol=1e-10)
    peak = int(found[:, 0].argmax())
    assert 0 < peak < 180
    assert abs(math.exp(found[peak, 0]) - 1 / 3) < 1e-3
    at(view, f"preset=jian2025-ladder&at={peak - 2}")
    assert view.text_content("#why-title") == "Why did it rise?"
    at(view, f"preset=jian2025-ladder&at={peak + 2}")
    assert view.text_content("#why-title") == "Why did it fall?"
    assert "highest" in (view.get_attribute("#curves", "aria-label") or "")


def test_displaced_from_the_first_step(view: Page) -> None:
    policy = LogLinear([[2.0], [3.0], [0.0]])
    wanted = step(policy, [0.0], 0, 1, loss=DPO(beta=0.5), learning_rate=0.1)
    found = first_step(view, "jian2025-displaced")
    np.testing.assert_allclose(found["actual"], wanted.actual, rtol=1e-12)
    np.testing.assert_allclose(found["drive"][0], wanted.drive, rtol=1e-12)
    assert (np.diff(film(view, "jian2025-displaced")[:, :2], axis=0) < 0).all()
    below = first_step(view, "jian2025-displaced", features=[[2, 0], [1.5, 0], [0, 0]])
    assert below["drive"][0][0] > 0  # what the text proposes to try


def test_corollary_2_fails(view: Page) -> None:
    found = first_step(view, "jian2025-corollary-2")
    np.testing.assert_allclose(found["predicted"], np.array([21, 24, -45]) / 169, rtol=1e-12)
    at(view, "preset=jian2025-corollary-2")
    assert "It is false here: +0.124 against +0.142" in view.inner_text("#why")
    at(view, "preset=jian2025-tabular")
    assert "Corollary 2" not in view.inner_text("#why")


def test_tabular_others_gain_while_the_rejected_leads(view: Page) -> None:
    for preset in ("jian2025-tabular", "ma2025-replicator"):
        logs = film(view, preset, rate=0.01)
        gains, leads = np.sign(np.diff(logs[:, 2])), np.sign(logs[:-1, 1] - logs[:-1, 0])
        away = np.abs(logs[:-1, 1] - logs[:-1, 0]) > 0.05
        assert away.sum() > 10
        assert (gains[away] == leads[away]).all()


def test_replicator_keeps_its_invariant(view: Page) -> None:
    code = "PreferenceDynamics.flow(Worlds.world(Worlds.preset('ma2025-replicator')), [1, 10, 100]).logProbs"
    logs = np.array(view.evaluate(code))
    kept = logs[:, 0] + logs[:, 1] - 2 * logs[:, 2]
    np.testing.assert_allclose(kept, math.log(0.1 * 0.8 / 0.1**2), rtol=1e-6)
    assert logs[-1, 0] > math.log(0.9)


def test_the_cycle_rests_at_the_reference(view: Page) -> None:
    np.testing.assert_allclose(np.exp(film(view, "ma2025-cycle"))[-1], [0.2, 0.3, 0.5], atol=1e-3)


def test_tied_responses_stop_between(view: Page) -> None:
    ends = np.exp(film(view, "wipf2024-tied"))[-1]
    np.testing.assert_allclose(ends, [7 / 17, 7 / 17, 3 / 17], atol=1e-6)
    free = np.exp(film(view, "wipf2024-tied", kind="tabular", steps=400))[-1]
    np.testing.assert_allclose(free, np.array([1, 9, 1]) / 11, atol=1e-4)
    at(view, "preset=wipf2024-tied&at=60")
    assert view.text_content("#why-title") == "Why does nothing move?"
    assert "no direction" in view.inner_text("#why")


def test_speeds_of_a_softmax(view: Page) -> None:
    found = first_step(view, "feng2024-speeds")
    unit = found["urgency"][0] * 0.2
    np.testing.assert_allclose(np.array(found["predicted"]) / unit, [7 / 20, -13 / 50, -9 / 100], rtol=1e-12)


def test_self_po_has_a_floor_and_simpo_has_none(view: Page) -> None:
    ends = film(view, "sun2025-floor")[-1]
    assert abs(ends[0] - ends[1] - 1.2785) < 1e-4
    assert abs(math.exp(ends[0]) - 0.0705) < 1e-4
    logs = film(view, "sun2025-floor", loss="simpo", steps=1000)
    assert math.exp(logs[-1, 0]) < 1e-3
    assert (np.diff(logs[:, 0] - logs[:, 1]) > 0).all()


def test_the_balanced_loss_turns_the_fall(view: Page) -> None:
    assert first_step(view, "ma2025-balanced")["predicted"][0] > 0
    assert first_step(view, "ma2025-balanced", loss="dpo")["predicted"][0] < 0


# ---------------------------------------------------------------- the sentence


def check_sentence(view: Page, features: list[list[int]], weights: list[int]) -> None:
    """Compare the first sentence with the inner products, computed here."""
    code = """changes => {
      const state = { ...Worlds.START, ...changes };
      return Words.explain(PreferenceDynamics.step(Worlds.world(state)), state);
    }"""
    said = view.evaluate(code, {"features": features, "p": weights})
    p = np.array(weights) / sum(weights)
    g = np.array(features) - p @ np.array(features)
    product, square = g[0] @ g[1], g[0] @ g[0]
    if abs(product - square) < 1e-9:
        verb, relation, question = "stands still to first order", "equals", "Why does it stand still?"
    elif product > square:
        verb, relation, question = "falls", "is greater than", "Why did it fall?"
    else:
        verb, relation, question = "rises", "is less than", "Why did it rise?"
    sentence = said["sentences"][0].replace("\u2212", "-")
    number = r"(-?\d+(?:\.\d+)?)"
    found = re.fullmatch(
        rf"The chosen response {verb}, because ⟨g_w, g_l⟩ = {number} {relation} \|g_w\|² = {number}\.", sentence
    )
    assert found, sentence
    np.testing.assert_allclose([float(x) for x in found.groups()], [product, square], rtol=6e-3, atol=1e-9)
    assert said["question"] == question


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    features=st.lists(st.lists(st.integers(-3, 3), min_size=2, max_size=2), min_size=3, max_size=3),
    weights=st.lists(st.integers(1, 9), min_size=3, max_size=3),
)
def test_the_sentence_is_the_theorem(view: Page, features: list[list[int]], weights: list[int]) -> None:
    """The chosen response falls iff <g_w, g_l> > |g_w|^2, and the sentence says so with these numbers."""
    check_sentence(view, features, weights)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("chosen.drag > chosen.lift", "chosen.drag < chosen.lift"),
        ('x > 0 ? "rises" : "falls"', 'x < 0 ? "rises" : "falls"'),
        ("[gram[0][0], gram[0][1], gram[1][1]]", "[gram[1][1], gram[0][1], gram[0][0]]"),
    ],
)
def test_a_wrong_sentence_is_caught(browser: Browser, tmp_path: Path, right: str, wrong: str) -> None:
    html = FILE.read_text(encoding="utf-8")
    assert html.count(right) == 1
    (tmp_path / "index.html").write_text(html.replace(right, wrong), encoding="utf-8")
    page, _ = open_page(browser, tmp_path / "index.html")
    with pytest.raises(AssertionError):
        check_sentence(page, [[2, 0], [3, 0], [0, 0]], [1, 1, 1])
    page.close()


def test_without_shared_features_nobody_looks_alike(view: Page) -> None:
    for preset, ending in (
        ("yuan2024-tabular", "drags it down, for it moves probability to the likeliest response."),
        ("ren2024-squeeze", "drags it down, for it moves probability to the likeliest response, but its own push"),
        ("jian2025-displaced", "drags it down, for the two look alike to the model."),
    ):
        at(view, f"preset={preset}")
        assert ending in view.inner_text("#why")
        assert ("alike" in view.inner_text("#why")) == (preset == "jian2025-displaced")


def test_a_loss_beyond_its_target_says_so(view: Page) -> None:
    at(view, "p=0.8,0.1,0.1&ref=0.1,0.8,0.1&loss=ipo&beta=1")
    assert "passed its target" in view.inner_text("#why")
    at(view, "p=0.8,0.1,0.1&ref=0.1,0.8,0.1&loss=hinge&beta=1")
    assert view.text_content("#why-title") == "Why does nothing move?"


def test_a_long_step_is_called_long(view: Page) -> None:
    at(view, "kind=line&p=0.5,0.6,0.01&features=1,0;0,0;3,0&beta=1&rate=10")
    account = view.evaluate("PreferenceDynamics.step(Worlds.world(Worlds.fromAddress(location.hash).state))")
    turned = [a * b < 0 for a, b in zip(account["actual"], account["predicted"], strict=True)]
    assert any(turned) == ("A step this long" in view.inner_text("#why"))
    assert any(turned)
