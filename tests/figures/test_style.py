"""One look for every figure, readable in print and by the colour-blind."""

from itertools import combinations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from figures import style
from figures.style import label_line, label_panel, paper_style

ROLES = ("CHOSEN", "REJECTED", "GREEDY", "OTHERS")
LOSSES = ("DPO_COLOR", "SELF_PO_COLOR", "HINGE_COLOR", "IPO_COLOR", "IDENTITY_COLOR")

# Vienot, Brettel and Mollon (1999): what is left of linear RGB without one kind of cone
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
    "deuteranopia": np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(color: str, vision: str) -> np.ndarray:
    srgb = np.array(to_rgb(color))
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ (VISION[vision] @ linear).clip(0, 1) / TO_XYZ.sum(axis=1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def closest(colors: list[str], vision: str) -> float:
    return min(float(np.linalg.norm(lab(a, vision) - lab(b, vision))) for a, b in combinations(colors, 2))


@pytest.mark.parametrize("vision", list(VISION))
@pytest.mark.parametrize("names", [ROLES, LOSSES])
def test_colours_that_share_a_figure_can_be_told_apart(names: tuple[str, ...], vision: str) -> None:
    assert closest([getattr(style, name) for name in names], vision) > 10


def test_red_and_green_of_one_brightness_cannot() -> None:
    red, green = "#C2452D", "#6B7A2D"
    assert closest([red, green], "normal") > 40
    assert closest([red, green], "deuteranopia") < 10


def test_the_style_holds_inside_and_not_outside() -> None:
    with mpl.rc_context({"font.size": 33.0, "axes.grid": True}):
        with paper_style():
            assert mpl.rcParams["font.size"] == 8.0
            assert mpl.rcParams["axes.grid"] is False  # nothing of the user's own defaults shines through
            assert mpl.rcParams["pdf.fonttype"] == 42
        assert mpl.rcParams["font.size"] == 33.0
        assert mpl.rcParams["axes.grid"] is True


def test_the_style_is_undone_after_an_error() -> None:
    before = dict(mpl.rcParams)
    with pytest.raises(RuntimeError, match="in between"), paper_style():
        raise RuntimeError("in between")
    assert dict(mpl.rcParams) == before


def test_labels_stand_where_they_are_put() -> None:
    drawing, axes = plt.subplots()
    axes.set_title("what it is", loc="left")
    label_panel(axes, "a")
    assert axes.get_title(loc="left") == "a  what it is"
    label_line(axes, 1.0, 2.0, "a line", style.CHOSEN, ha="right", fontsize=6)
    (label,) = axes.texts
    assert (label.get_text(), label.xy, label.get_color()) == ("a line", (1.0, 2.0), style.CHOSEN)
    assert (label.get_ha(), label.get_fontsize()) == ("right", 6)
    assert label.get_path_effects()
    plt.close(drawing)
