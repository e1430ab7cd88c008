"""Where the panels of a drawing are: what belongs together is one box, and the boxes hold what is drawn."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure as Drawing

from figures.panels import panel_boxes
from figures.style import paper_style


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    with paper_style():
        yield
    plt.close("all")


def test_a_grid_is_read_from_left_to_right_and_from_top_to_bottom() -> None:
    boxes = panel_boxes(plt.subplots(2, 3, figsize=(7, 4))[0])
    assert len(boxes) == 6
    assert [box[1] < 0.4 for box in boxes] == [True] * 3 + [False] * 3
    assert boxes[0][0] < boxes[1][0] < boxes[2][0]
    for left, top, width, height in boxes:
        assert min(left, top) >= 0
        assert left + width <= 1 + 1e-9
        assert top + height <= 1 + 1e-9
        assert 0.25 < width < 0.45
        assert 0.35 < height < 0.6


def test_a_box_holds_title_and_labels() -> None:
    drawing, (a, b) = plt.subplots(1, 2, figsize=(7, 3))
    plain = panel_boxes(drawing)
    a.set(title="a title\nof two lines", xlabel="below")
    b.set_ylabel("beside")
    drawing.draw_without_rendering()
    boxes = panel_boxes(drawing)
    assert len(boxes) == len(plain) == 2
    for axes, (left, top, width, height) in zip((a, b), boxes, strict=True):
        tight = axes.get_tightbbox()
        assert tight is not None
        assert left * drawing.bbox.width <= tight.x0
        assert (left + width) * drawing.bbox.width >= tight.x1 - 1e-6
        assert (1 - top) * drawing.bbox.height >= tight.y1 - 1e-6
        assert (1 - top - height) * drawing.bbox.height <= tight.y0


def with_colour_bar() -> Drawing:
    drawing, (a, b) = plt.subplots(1, 2)
    drawing.colorbar(a.imshow([[0, 1]]), ax=a)
    b.plot([0, 1])
    return drawing


def with_twin_and_inset() -> Drawing:
    drawing, (a, b) = plt.subplots(1, 2)
    a.twinx().plot([0, 1])
    b.inset_axes((0.5, 0.5, 0.4, 0.4)).plot([0, 1])
    return drawing


@pytest.mark.parametrize("draw", [with_colour_bar, with_twin_and_inset])
def test_what_belongs_to_a_panel_has_no_box_of_its_own(draw: object) -> None:
    assert len(panel_boxes(draw())) == 2  # type: ignore[operator]


def test_panels_one_above_another_with_one_set_of_numbers_are_one() -> None:
    assert panel_boxes(plt.subplots(2, 1, sharex=True)[0]) == []
    assert len(panel_boxes(plt.subplots(2, 1)[0])) == 2
    assert len(panel_boxes(plt.subplots(2, 2, sharex=True)[0])) == 2  # two columns


def test_a_single_panel_has_no_boxes() -> None:
    assert panel_boxes(plt.subplots()[0]) == []


def test_a_strip_belongs_to_its_neighbour_and_the_order_is_that_of_reading() -> None:
    drawing = plt.figure(figsize=(7, 3), layout="none")
    for left, bottom in ((0.08, 0.15), (0.5, 0.2)):  # the second begins a little higher
        drawing.add_axes((left, bottom, 0.3, 0.7))
    first = panel_boxes(drawing)
    assert len(first) == 2
    assert first[0][0] < first[1][0]
    bar = drawing.add_axes((0.84, 0.2, 0.02, 0.7))  # a colour bar that nobody declared to be one
    bar.set(xticks=[], yticks=[])
    found = panel_boxes(drawing)
    assert len(found) == 2
    assert found[1][0] + found[1][2] > 0.85
    bar.set_position((0.84, 0.2, 0.14, 0.7))  # the control: as wide as this it is a panel
    assert len(panel_boxes(drawing)) == 3
    plt.close(drawing)
