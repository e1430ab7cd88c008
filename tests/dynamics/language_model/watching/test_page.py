"""The page of a watched run in a real browser, wide and narrow, and its axes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser import accessibility_problems, launch, open_page
from tests.optional import needs

needs("transformers")

from dynamics.language_model.watching.page import _axis, picture_of_prediction, write_page
from tests.dynamics.language_model.watching.test_probes import a_run


def test_the_page_fits_wide_and_narrow_and_can_be_read_aloud(tmp_path: Path) -> None:
    page, history = tmp_path / "watch.html", [{"step": n, "loss": 0.7 - n / 100} for n in (1, 2, 3)]
    long = "a response of many words " * 30 + "x" * 300
    write_page(a_run(), page, history, [("3 x 4 = ?", "12", long)] * 3)
    with launch() as browser:
        for width in (1280, 390):
            view, complaints = open_page(browser, page, viewport={"width": width, "height": 900})
            assert complaints == []
            assert view.evaluate("document.documentElement.scrollWidth") <= width
            assert accessibility_problems(view) == []


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([0.0, 100.0], ["0", "50", "100"]),
        ([-0.499, 0.111], ["−0.4", "−0.2", "0.0"]),
        ([-0.000129, 0.00315], ["0.000", "0.001", "0.002", "0.003"]),
        ([0.0, 4.0], ["0", "1", "2", "3", "4"]),
        ([0.0, 0.0], ["−1.0", "−0.5", "0.0", "0.5", "1.0"]),
    ],
)
def test_ticks_are_round_numbers(values: list[float], wanted: list[str]) -> None:
    axis = _axis(values, 420.0, flip=False)
    assert [text for _, text in axis.ticks] == wanted
    for place, text in axis.ticks:
        assert place == pytest.approx(axis.place(float(text.replace("−", "-"))), abs=1e-6)


def test_on_the_dashed_line_predicted_and_actual_are_equal() -> None:
    picture = picture_of_prediction(a_run())
    assert picture is not None
    line = next(curve for curve in picture.curves if curve.dashed)
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in line.points.split())
    places = {name: (x, y) for x, y, name, _ in picture.marks}

    def height(x: float) -> float:
        return y0 + (x - x0) * (y1 - y0) / (x1 - x0)

    for name in ("a", "b"):  # predicted rightly in size, too
        assert places[name][1] == pytest.approx(height(places[name][0]))
    assert abs(places["c"][1] - height(places["c"][0])) > 10
