"""What the notebooks show: pictures with an alternative text, and pictures with sliders.

The lines that draw are here and in ``figures.plots``, so that a cell of a notebook holds the idea and little else.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
from IPython.display import display
from IPython.utils.capture import capture_output
from ipywidgets import interactive
from PIL import Image

from figures.style import REFERENCE, paper_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

RESOLUTION = 200  # dots per inch in the file; shown at half of it
COLORS = 64  # enough for lines and shades, and a quarter of the size
WIDGET = "application/vnd.jupyter.widget-view+json"


@contextmanager
def picture(alt: str, caption: str = "", *, size: tuple[float, float] = (5.0, 2.4), columns: int = 1) -> Iterator[Any]:
    """Yield axes to draw on, and show the picture when the block ends.

    Args:
        alt: what the picture shows, for those who do not see it.
        caption: numbers that are written below the picture; they are part of the alternative text, too.
        size: width and height in inches.
        columns: number of axes side by side; if there are several, an array of them is yielded.
    """
    with paper_style():
        figure, axes = plt.subplots(1, columns, figsize=size)
        try:
            yield axes
            figure.text(0.0, -0.03, caption, va="top", fontsize=8, linespacing=1.4)
            drawn, file = BytesIO(), BytesIO()
            figure.savefig(drawn, format="png", dpi=RESOLUTION, bbox_inches="tight")
        finally:
            plt.close(figure)
    image = Image.open(drawn)
    image.convert("RGB").quantize(COLORS).save(file, format="png", optimize=True)
    png, words, width = b64encode(file.getvalue()).decode(), f"{alt} {caption}".strip(), image.width // 2
    tag = f'<img src="data:image/png;base64,{png}" width="{width}" alt="{escape(words)}">'
    about = {"image/png": {"alt": words, "width": width}}
    # the tag, because few programs that show notebooks read the alternative text of image/png
    display({"text/html": tag, "image/png": png, "text/plain": words}, raw=True, metadata=about)


def explore(show: Callable[..., None], **controls: Any) -> None:
    """Show what a function shows, with sliders for its arguments.

    Where no kernel runs, so that no slider can work, what is shown at the start of the sliders stands in their place.

    Args:
        show: shows one picture, made with ``picture``, or one object.
        controls: widgets, or what ``ipywidgets.interact`` takes for them; they start at the defaults of ``show``.
    """
    with capture_output() as captured:
        show()
    still = captured.outputs[0]
    sliders: Any = interactive(show, **controls)
    view = sliders._repr_mimebundle_()[WIDGET]  # what display(sliders) would send, here beside the picture
    display({**still.data, WIDGET: view}, raw=True, metadata=still.metadata)


def signed(values: Mapping[str, Any], digits: int = 3) -> str:
    """Return named numbers as words, with their signs."""
    return ", ".join(f"{name} {float(value):+.{digits}f}" for name, value in values.items())


def plot_curves(axes: Axes, x: ArrayLike, curves: Mapping[str, tuple[ArrayLike, str]], **look: Any) -> None:
    """Draw curves in their colours over one axis, with a legend and a line at 0.

    Args:
        axes: where to draw.
        x: along the axis.
        curves: values and colour by name.
        look: settings of the axes, such as ``xlabel``.
    """
    for name, (values, color) in curves.items():
        axes.plot(x, values, color=color, label=name)
    axes.axhline(0, color=REFERENCE, linewidth=0.6)
    axes.set(**look)
    axes.legend()


def show_table(heads: Sequence[str], rows: Mapping[str, Sequence[Any]], digits: int = 4) -> None:
    """Print rows of numbers or words below their heads."""
    first = max(map(len, rows))
    print(" " * first, *(f"{head:>12}" for head in heads))
    for name, values in rows.items():
        words = [value if isinstance(value, str) else f"{float(value):.{digits}f}" for value in values]
        print(f"{name:<{first}}", *(f"{word:>{max(12, len(head))}}" for word, head in zip(words, heads, strict=True)))
