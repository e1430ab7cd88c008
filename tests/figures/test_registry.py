"""What a figure is, and that every figure of the catalogue is a whole one that fits the page."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure as Drawing
from matplotlib.text import Text

from dynamics import InvalidArgument
from figures import language_model_probe
from figures.catalog import FIGURES
from figures.registry import Arrays, Figure, figure, select_figures
from figures.style import COLUMN_WIDTH, PAGE_WIDTH
from tests.figures.computed import computed, drawn
from theory.report import TITLES
from toy_models.masked_grid import table_1
from toy_models.multiplication.survey import SurveySettings, survey

PAPERS = "jian2025|wipf2024|feng2024|sun2025|ma2025"
SHORT = {
    "seeds": 2,
    "steps": 3,
    "draws": 2,
    "trained": 1,
    "trained_steps": 2,
    "tasks": 2,
    "learning_rates": (1e-5, 1e-4, 1e-3),
    "pairs": 320,
    "saturated_epochs": 20,
}
"""Settings with which a figure is computed in a moment, by all of its code."""
EVERY_FIGURE = pytest.mark.parametrize("key", list(FIGURES))


@pytest.fixture
def made() -> Iterator[Figure]:
    @figure("zz-1", "a ramp", source="nowhere", caption="It rises.")
    def ramp(height: float = 1.0, points: int = 3) -> Arrays:
        return {"y": np.linspace(0.0, height, points)}

    yield ramp
    del FIGURES["zz-1"]


def cut_off(drawing: Drawing) -> bool:
    (width, height), box = drawing.get_size_inches(), drawing.get_tightbbox()
    return min(box.x0, box.y0, width - box.x1, height - box.y1) < -0.02


def colliding(drawing: Drawing) -> list[tuple[str, str]]:
    """Pairs of horizontal or upright texts that stand on one another."""
    # matplotlib keeps labels of ticks beyond the ends of an axis, which it does not draw
    ticks = [(axis, t) for axes in drawing.axes for axis in (axes.xaxis, axes.yaxis) for t in axis.get_major_ticks()]
    ends = [(t, *sorted(axis.get_view_interval())) for axis, t in ticks]
    unseen = {t.label1 for t, low, high in ends if not low <= t.get_loc() <= high}
    shown = [
        t
        for t in drawing.findobj(Text)
        if t.get_text().strip() and t.get_visible() and t not in unseen and t.get_rotation() % 90 == 0
    ]
    # the box of an annotation would take in its arrow; two pixels at the sides of a glyph are air
    boxes = [(t.get_text(), Text.get_window_extent(t).padded(-2)) for t in shown]
    solid = [(text, box) for text, box in boxes if box.width > 0 and box.height > 0]
    return [(a, b) for (a, one), (b, two) in combinations(solid, 2) if one.overlaps(two)]


@EVERY_FIGURE
def test_every_figure_is_whole(key: str) -> None:
    spec = FIGURES[key]
    assert spec.key == key
    assert len(spec.checks) >= 3
    assert len(spec.drawers) == 1
    assert all(check.says.endswith(".") for check in spec.checks)
    assert re.fullmatch(r".+[^.]", spec.title)
    assert re.fullmatch(r"[A-Z(].+\.", spec.caption)
    assert re.fullmatch(r"([A-Z].+\.)?", spec.differs)
    beyond = key.startswith("new-")
    assert re.search(r"(?i)^not in (the papers|print)" if beyond else r"20\d\d, (Figure|Table)s? \d", spec.source)


@EVERY_FIGURE
def test_keys_and_claims_are_well_formed(key: str) -> None:
    known = rf"({PAPERS})-\d+[a-z]?(-lm)?|({PAPERS})-tables?(-\d+)+|new(-[a-z0-9]+)+"
    assert re.fullmatch(known, key)
    assert FIGURES[key].claims
    paper = "|".join(TITLES) if key.startswith("new-") else key.split("-", maxsplit=1)[0]
    for claim in FIGURES[key].claims:
        assert re.fullmatch(rf"({paper})\.[a-z0-9]+([-.][a-z0-9]+)*", claim)


@EVERY_FIGURE
def test_settings_go_into_a_manifest_that_every_json_reader_takes(key: str) -> None:
    spec = FIGURES[key]
    stored = json.loads(json.dumps(spec.settings, allow_nan=False))
    assert stored.keys() == spec.settings.keys()


@EVERY_FIGURE
def test_arrays_come_out_the_same_twice(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = FIGURES[key]
    short = [replace(one, setting=replace(one.setting, steps=3, reference_steps=3)) for one in table_1.READINGS]
    monkeypatch.setattr(table_1, "READINGS", tuple(short))  # it is no setting of its figure how long the readings train
    few = partial(survey, settings=SurveySettings(samples=60))  # nor how many responses are surveyed
    monkeypatch.setattr(language_model_probe, "survey", few)
    if {"seeds", "model", "tasks"} & spec.settings.keys():  # a short run shows it as well as a long one
        spec = spec.with_settings(**{name: value for name, value in SHORT.items() if name in spec.settings})
        first = spec.compute()
    else:
        first = computed(key)
    second = spec.compute()
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


@EVERY_FIGURE
def test_a_drawing_fits_the_page(key: str) -> None:
    drawing = drawn(key)
    width, height = drawing.get_size_inches()
    assert width in (COLUMN_WIDTH, PAGE_WIDTH)
    assert 1 < height < 9
    assert not cut_off(drawing)
    assert colliding(drawing) == []


def test_text_off_the_page_and_text_on_text_are_noticed() -> None:
    drawing = plt.figure(figsize=(COLUMN_WIDTH, 2))
    drawing.text(0.5, 0.5, "one")
    drawing.text(0.5, 0.9, "two")
    assert not cut_off(drawing)
    assert colliding(drawing) == []
    drawing.text(0.55, 0.52, "three")
    assert colliding(drawing) == [("one", "three")]
    drawing.text(0.95, 0.2, "too far to the right")
    assert cut_off(drawing)
    plt.close(drawing)


def test_settings_are_the_defaults_of_compute(made: Figure) -> None:
    assert made.settings == {"height": 1.0, "points": 3}
    assert made.compute(height=2.0)["y"].tolist() == [0.0, 1.0, 2.0]


def test_a_check_says_what_must_be_seen_and_fails_when_it_is_not(made: Figure) -> None:
    @made.check
    def rises(arrays: Arrays) -> bool:
        """It rises.

        Not a word more.
        """
        return bool((np.diff(arrays["y"]) > 0).all())

    assert [(check.name, check.says) for check in made.checks] == [("rises", "It rises.")]
    assert made.failures({"y": np.array([0.0, 1.0])}) == []
    assert [check.name for check in made.failures({"y": np.array([0.0, 0.0])})] == ["rises"]
    assert [check.name for check in made.failures({"y": np.array([0.0, np.nan])})] == ["rises"]


def test_a_check_without_words_or_with_a_name_that_is_taken_is_refused(made: Figure) -> None:
    with pytest.raises(InvalidArgument, match="docstring"):

        @made.check
        def silent(arrays: Arrays) -> bool:
            return True

    def twice(arrays: Arrays) -> bool:
        """It is there."""
        return True

    made.check(twice)
    with pytest.raises(InvalidArgument, match=r"has a check .* already"):
        made.check(twice)


def test_a_key_that_is_taken_is_refused(made: Figure) -> None:
    with pytest.raises(InvalidArgument, match=r"there is a figure .* already"):
        figure("zz-1", "another", source="nowhere", caption="It falls.")(dict)
    assert FIGURES["zz-1"] is made


def test_a_setting_without_a_default_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="height"):
        figure("zz-2", "another", source="nowhere", caption="It falls.")(lambda height: {})
    assert "zz-2" not in FIGURES


def test_select_takes_names_globs_and_nothing(made: Figure) -> None:
    assert sorted(spec.key for spec in select_figures([])) == sorted(FIGURES)
    assert select_figures(["zz-1"]) == [made]
    assert select_figures(["zz-*"]) == [made]
    assert [spec.key for spec in select_figures(["feng2024-1b", "feng2024-*"])] == ["feng2024-1a", "feng2024-1b"]


def test_select_goes_paper_by_paper_and_number_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [
        "jian2025-1a",
        "jian2025-1b",
        "jian2025-2",
        "jian2025-10",
        "jian2025-table-2",
        "ma2025-1",
        "new-a",
        "zz-1",
    ]
    for key in list(FIGURES):
        monkeypatch.delitem(FIGURES, key)
    for key in sorted(wanted, key=hash):
        monkeypatch.setitem(FIGURES, key, Figure(key, "", "", "", "", (), dict))
    assert [spec.key for spec in select_figures([])] == wanted


def test_select_refuses_a_name_that_no_figure_has(made: Figure) -> None:
    with pytest.raises(InvalidArgument, match=r"names: got feng2025-1; allowed: .*zz-1"):
        select_figures(["feng2024-1a", "feng2025-1"])
