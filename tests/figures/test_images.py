"""The static figures against pictures that a person has inspected.

``pytest tests/figures/test_images.py --mpl-generate-path=tests/figures/images`` draws them again. Then they must be
looked at again.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest
from matplotlib.figure import Figure as Drawing
from matplotlib.testing.compare import compare_images

from figures.catalog import FIGURES
from figures.style import paper_style
from tests.figures.computed import computed

STATIC = [
    "feng2024-1a",
    "feng2024-1b",
    "jian2025-1a",
    "jian2025-1b",
    "jian2025-1c",
    "jian2025-tables-2-3",
    "ma2025-1",
    "new-balanced-update",
    "new-replicator-simplex",
    "new-self-po-entropy",
    "new-violation-region",
    "sun2025-1",
    "sun2025-4",
    "sun2025-7",
    "sun2025-table-2",
    "wipf2024-1",
    "wipf2024-2",
]
"""Figures in which nothing is trained from random starts, so that another machine draws the same."""

STYLE = str(files("figures") / "paper.mplstyle")
PICTURE = {"baseline_dir": "images", "style": STYLE, "tolerance": 4, "savefig_kwargs": {"dpi": 110}}


def picture(key: str) -> Drawing:
    with paper_style():
        return FIGURES[key].drawers[0](computed(key))


@pytest.mark.parametrize("key", STATIC)
@pytest.mark.mpl_image_compare(**PICTURE)
def test_picture(key: str) -> Drawing:
    return picture(key)


def test_a_moved_curve_would_be_seen(tmp_path: object) -> None:
    """Negative control: one curve a little off is beyond the tolerance, and the same picture is not."""
    paths = [f"{tmp_path}/{name}.png" for name in ("one", "same", "other")]
    for path in paths:
        drawing = picture("sun2025-4")
        if path.endswith("other.png"):
            line = drawing.axes[0].get_lines()[0]
            line.set_ydata(np.asarray(line.get_ydata()) + 0.2)
        drawing.savefig(path, dpi=110)
    assert compare_images(paths[0], paths[1], tol=PICTURE["tolerance"]) is None
    assert compare_images(paths[0], paths[2], tol=PICTURE["tolerance"]) is not None
