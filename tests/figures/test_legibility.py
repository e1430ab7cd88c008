"""In every drawing, two lines that look alike to a colour-blind reader have labels beside them or another dash.

The arrays are those that the checks use, so that a drawing costs its layout only.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D
from matplotlib.text import Annotation, Text

from figures.catalog import FIGURES
from figures.style import CHOSEN, DPO_COLOR, FALLS, METHODS, RESPONSES, RISES, STATEMENTS, label_line
from tests.figures.computed import drawn
from tests.figures.vision import VISIONS, difference

ALIKE = 8.0  # CIEDE2000: below this, thin lines are taken for one another
NEAR = 16.0  # points between a label and its line
SMALLEST = 6.0  # points of text


@dataclass(frozen=True)
class Drawn:
    """A line of a panel.

    Attributes:
        color: as hex.
        look: its dashes, or its marker if it has no dashes.
        labelled: whether text in its colour stands beside it.
    """

    color: str
    look: str
    labelled: bool


def _points(line: Line2D) -> np.ndarray:
    """Return the line in pixels, densely, as far as it is inside its panel."""
    path = line.get_transform().transform(np.asarray(line.get_xydata()))
    path = path[np.isfinite(path).all(1)]
    if len(path) < 2:
        return path
    steps = np.linspace(0, 1, 8)[:, None, None]
    dense = (path[:-1] + steps * np.diff(path, axis=0)).reshape(-1, 2)
    box = line.axes.bbox  # type: ignore[union-attr]
    inside = (dense >= (box.x0 - 2, box.y0 - 2)).all(1) & (dense <= (box.x1 + 2, box.y1 + 2)).all(1)
    return dense[inside]


def _stands_beside(text: Text, points: np.ndarray, dpi: float) -> bool:
    if not len(points):
        return False
    box = text.get_window_extent()
    if isinstance(text, Annotation) and text.arrow_patch is not None:
        end = text.axes.transData.transform(text.xy)  # type: ignore[union-attr]
        if np.hypot(*(points - end).T).min() * 72 / dpi < NEAR:
            return True
    away = np.maximum(np.maximum((box.x0, box.y0) - points, points - (box.x1, box.y1)), 0)
    return bool(np.hypot(*away.T).min() * 72 / dpi < NEAR)


def _is_guide(line: Line2D) -> bool:
    """Return whether a line is straight along an axis, such as a zero line."""
    x, y = (np.unique(np.asarray(values, float)) for values in (line.get_xdata(), line.get_ydata()))
    return len(x) <= 1 or len(y) <= 1


def lines_of(axes: Axes) -> list[Drawn]:
    """Return the lines of a panel that carry data."""
    dpi = axes.get_figure(root=True).dpi  # type: ignore[union-attr]
    found = []
    for line in axes.get_lines():
        dashes = str(line.get_linestyle()) + str(getattr(line, "_unscaled_dash_pattern", ""))
        if not line.get_visible() or (_is_guide(line) and line.get_linestyle() != "None"):
            continue
        color = to_hex(line.get_color())
        points = _points(line)
        beside = [text for text in axes.texts if text.get_text() and to_hex(text.get_color()) == color]
        labelled = any(_stands_beside(text, points, dpi) for text in beside)
        look = dashes if line.get_linestyle() != "None" else f"marker {line.get_marker()}"
        found.append(Drawn(color, look, labelled))
    return found


def confusable(drawing: Drawing) -> list[str]:
    """Return pairs of lines of one panel of a drawing that is laid out that a reader may take for one another."""
    found = set()
    for axes in drawing.axes:
        for one, other in combinations(set(lines_of(axes)), 2):
            if one.color == other.color or one.look != other.look or (one.labelled and other.labelled):
                continue
            least = min(difference(one.color, other.color, vision) for vision in VISIONS)
            if least < ALIKE:
                found.add(f"{axes.get_title('left')}: {one.color} and {other.color} differ by {least:.1f}")
    return sorted(found)


OWN_COLORS = {
    "ma2025-table-1": "readings of one table",
    "new-balanced-update": "shades of an error",
}
"""Figures with colours of their own, and for what."""

PALETTE = {color.lower() for kind in (RESPONSES, METHODS, STATEMENTS) for color in kind.values()} | {
    RISES.lower(),
    FALLS.lower(),
}


def foreign(drawing: Drawing) -> set[str]:
    """Return colours of lines that are neither of the palette nor black, grey or white."""
    colors = {to_hex(line.get_color()) for axes in drawing.axes for line in axes.get_lines() if line.get_visible()}
    return {color for color in colors if color not in PALETTE and len({color[1:3], color[3:5], color[5:7]}) > 1}


def smallest_text(drawing: Drawing) -> float:
    """Return the size of the smallest text in points."""
    return min(text.get_fontsize() for text in drawing.findobj(Text) if text.get_text().strip() and text.get_visible())


@pytest.mark.parametrize("key", list(FIGURES))
def test_lines_that_look_alike_are_labelled_and_text_can_be_read(key: str) -> None:
    drawing = drawn(key)
    assert confusable(drawing) == []
    assert smallest_text(drawing) >= SMALLEST
    assert not foreign(drawing) or key in OWN_COLORS


@pytest.mark.parametrize(("colors", "label", "alike"), [
    (("#C2452D", "#6B7A2D"), None, True),  # red and green of one brightness
    (("#C2452D", "#6B7A2D"), 0.02, False),  # each with its label beside it
    (("#C2452D", "#6B7A2D"), 0.6, True),  # words in the colours of the lines, but elsewhere
    ((CHOSEN, DPO_COLOR), None, False),
])  # fmt: skip
def test_confusable_lines_are_seen(colors: tuple[str, str], label: float | None, alike: bool) -> None:
    drawing, axes = plt.subplots(figsize=(3.4, 2.4))
    for slope, color in zip((1.0, 0.2), colors, strict=True):
        axes.plot([0, 1], [0, slope], color=color)
        if label is not None:
            label_line(axes, 0.9 if label < 0.5 else 0.05, slope * (0.9 if label < 0.5 else 0) + label, "a line", color)
    drawing.draw_without_rendering()
    assert bool(confusable(drawing)) == alike
    plt.close(drawing)


def test_a_colour_of_no_palette_is_seen() -> None:
    drawing, axes = plt.subplots()
    axes.plot([0, 1], color=CHOSEN)
    axes.plot([1, 0], color="#777777")
    assert foreign(drawing) == set()
    axes.plot([1, 2], color="#CC79A7")
    assert foreign(drawing) == {"#cc79a7"}
    plt.close(drawing)


def test_small_text_is_seen() -> None:
    drawing, axes = plt.subplots()
    axes.text(0, 0, "too small", fontsize=4.5)
    assert smallest_text(drawing) == 4.5 < SMALLEST
    plt.close(drawing)
