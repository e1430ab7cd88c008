"""Where the panels of a drawing are, so that a page can show them one below another on a narrow screen."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from matplotlib.transforms import Bbox

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

PADDING = 0.008  # of the width or height of the drawing
STRIP = 0.12  # of the width of the drawing: the widest strip, such as a colour bar


def panel_boxes(drawing: Drawing) -> list[list[float]]:
    """Return the box of every panel, from left to right and from top to bottom, as shares of width and height.

    A colour bar belongs to the panel of its picture. Panels one above another that share an axis whose numbers stand at
    the lowest only are one box: apart, they could not be read. So are panels of which one reaches into the other, and
    a narrow strip belongs to its neighbour.

    Returns:
        Lists [left, top, width, height], measured from the upper left corner; empty for a drawing of one panel.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> [[round(number, 1) for number in box] for box in panel_boxes(plt.subplots(1, 2, figsize=(6, 3))[0])]
        [[0.1, 0.1, 0.4, 0.9], [0.5, 0.1, 0.4, 0.9]]
        >>> plt.close()
    """
    drawing.draw_without_rendering()
    panels = [axes for axes in drawing.axes if axes.get_visible()]
    groups = [{axes} for axes in panels]
    for one, other in combinations(panels, 2):
        if _belong_together(one, other):
            joined = [group for group in groups if one in group or other in group]
            groups = [group for group in groups if group not in joined] + [set().union(*joined)]
    if len(groups) < 2:
        return []
    boxes = [Bbox.union([box for axes in group if (box := axes.get_tightbbox()) is not None]) for group in groups]
    width, height = drawing.bbox.width, drawing.bbox.height
    boxes = _apart(boxes, width)
    if len(boxes) < 2:
        return []
    found = []
    for box in boxes:
        left, right = max(0.0, box.x0 / width - PADDING), min(1.0, box.x1 / width + PADDING)
        top, bottom = max(0.0, 1 - box.y1 / height - PADDING), min(1.0, 1 - box.y0 / height + PADDING)
        found.append([round(float(number), 4) for number in (left, top, right - left, bottom - top)])
    return sorted(found, key=lambda box: (round(3 * box[1]), box[0]))


def _apart(boxes: list[Bbox], width: float) -> list[Bbox]:
    """Return the boxes, joined where one reaches into another or is a strip beside it."""
    for one, other in combinations(boxes, 2):
        beside = min(one.y1, other.y1) > max(one.y0, other.y0)
        gap = max(one.x0, other.x0) - min(one.x1, other.x1)
        strip = min(one.width, other.width) < STRIP * width and gap < STRIP * width
        if beside and (gap < -PADDING * width or strip):
            rest = [box for box in boxes if box is not one and box is not other]
            return _apart([*rest, Bbox.union([one, other])], width)
    return boxes


def _belong_together(one: Axes, other: Axes) -> bool:
    for bar, picture in ((one, other), (other, one)):
        if picture in getattr(bar, "_colorbar_info", {}).get("parents", ()):
            return True
    here, there = one.get_position(), other.get_position()
    if here.bounds == there.bounds:  # two scales of one panel
        return True
    inside = here.contains(there.x0, there.y0) and here.contains(there.x1, there.y1)
    if inside or (there.contains(here.x0, here.y0) and there.contains(here.x1, here.y1)):  # an inset
        return True
    above = one.get_shared_x_axes().joined(one, other) and abs(here.x0 - there.x0) < 0.05
    return bool(above and not (_numbered(one) and _numbered(other)))


def _numbered(axes: Axes) -> bool:
    """Return whether numbers or words stand at the horizontal axis."""
    return any(label.get_visible() and label.get_text() for label in axes.xaxis.get_ticklabels())
