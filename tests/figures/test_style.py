"""One look for every figure, readable in print and by the colour-blind."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from coloraide import Color

from figures import style
from figures.style import label_line, label_panel, paper_style
from tests.figures.vision import VISIONS, smallest_difference

EVERYTHING = {**style.RESPONSES, **style.METHODS, **style.STATEMENTS}
SHARE_A_DRAWING = {
    "responses": list(style.RESPONSES.values()),
    "losses of a margin": [style.METHODS[name] for name in ("dpo", "self_po", "slic", "ipo", "identity", "gelu")],
    "jian2025": [style.METHODS[name] for name in ("dpo", "dpo_nll", "stable_po")],
    "wipf2024": [style.DPO_COLOR, style.RLHF_COLOR, style.EXACT_COLOR],
    "ma2025": [style.DPO_COLOR, style.BALANCED_COLOR, style.EXACT_COLOR],
    "statements": [style.EXACT_COLOR, style.PRINTED_COLOR],
}


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("colors", SHARE_A_DRAWING.values(), ids=SHARE_A_DRAWING)
def test_colours_that_share_a_drawing_differ_to_every_eye(colors: list[str], vision: str) -> None:
    assert smallest_difference(colors, vision) > 10


def test_no_two_things_have_one_colour() -> None:
    """To normal vision every response, method and statement differs from every other: blue is never DPO and chosen."""
    assert smallest_difference(list(EVERYTHING.values()), "normal") > 15
    assert smallest_difference([*EVERYTHING.values(), "#0072C0"], "normal") < 15  # a second blue would be seen


def test_every_colour_can_be_read_on_white() -> None:
    """A thin line, and a label in its colour, need a contrast to the page; WCAG asks for 3, gold has a little less."""
    assert all(Color(color).contrast("white") > 2.6 for color in EVERYTHING.values())
    assert Color("#F0E442").contrast("white") < 1.5  # the yellow of Okabe and Ito is not among them for this reason


def test_red_and_green_of_one_brightness_cannot_be_told_apart() -> None:
    """Negative control of the simulation: a pair that is plain to normal vision and lost to a deuteranope."""
    red, green = "#C2452D", "#6B7A2D"
    assert smallest_difference([red, green], "normal") > 30
    assert smallest_difference([red, green], "deutan") < 10


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
