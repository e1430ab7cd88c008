"""The numbers and pictures of a report as files of their own, for a notebook or a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dynamics.errors import InvalidArgument
from dynamics.files import write_atomically
from dynamics.language_model.pair_audit.report.histogram import HEIGHT, WIDTH, Histogram, histogram
from dynamics.language_model.pair_audit.report.page import read_finished, say_number
from dynamics.language_model.pair_audit.results.store import Results

MOST = 5000
"""Pairs that a picture shows at most; of more, the displaced ones and a random sample of the others are shown."""
OWN, SET, FINE, INK = "#b3460f", "#7a3b8f", "#2f6f9f", "#333"
SIZE = 440.0  # width and height of the picture of all pairs


def write_files(results: Results, folder: Path) -> list[Path]:
    """Write the arrays of a finished audit (.npz) and its pictures (.svg).

    ``arrays.npz`` holds ``row``, ``flags`` (1 for displaced, 2 for displaced by the set), ``norm_ratio`` and the
    columns that the report has, one entry for each audited pair. The pictures are ``pairs.svg`` (cosine and ratio of
    norms) and the histograms ``own_step.svg`` and, if the step on all pairs was computed, ``set_step.svg``.

    Args:
        results: what the command ``pairs`` wrote.
        folder: it is made if only itself is missing.

    Returns:
        The files.

    Raises:
        InvalidArgument: the folder cannot be made, there is no finished audit, or lines of it are missing.
    """
    _, columns = read_finished(results)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as problem:
        raise InvalidArgument("files", f"no folder {folder} can be made ({problem.strerror})") from problem
    place = folder / "arrays.npz"
    arrays: dict[str, Any] = dict(columns)
    write_atomically(place, lambda temporary: np.savez_compressed(temporary, **arrays))
    pictures = {"pairs.svg": picture_of_pairs(columns)}
    for name, kind, color in (("own_step", "own", OWN), ("set_step", "set", SET)):
        values = columns[f"{kind}_chosen_change"]
        if np.isfinite(values).any():
            pictures[f"{name}.svg"] = picture_of_histogram(histogram(values), color)
    for name, text in pictures.items():
        _write_text(folder / name, text)
    return [place, *(folder / name for name in pictures)]


def picture_of_histogram(found: Histogram, color: str = OWN) -> str:
    """Return a histogram as SVG.

    Args:
        found: the histogram.
        color: of the bars below 0.
    """
    bars = [
        f'<rect x="{bar.x:.1f}" y="{bar.y:.1f}" width="{bar.width:.1f}" height="{bar.height:.1f}" '
        f'fill="{FINE if bar.low >= 0 else color}"/>'
        for bar in found.bars
    ]
    ticks = [_text(x, HEIGHT + 18, say_number(value, 1), "middle") for x, value in found.ticks]
    lines = [
        f'<path d="M0 {HEIGHT}H{WIDTH}M{found.zero:.1f} 0V{HEIGHT}" stroke="{INK}" fill="none"/>',
        _text(WIDTH / 2, HEIGHT + 38, "change of log \u03c0(chosen), nats per unit of learning rate", "middle"),
        _text(0, -8, f"{found.below} of {found.total} fall; highest bar: {found.most}", "start"),
    ]
    return _svg((-14, -24, WIDTH + 28, HEIGHT + 70), [*bars, *ticks, *lines])


def picture_of_pairs(columns: dict[str, np.ndarray], seed: int = 0) -> str:
    """Return all pairs by the cosine of their gradients and the ratio of the norms as SVG.

    Args:
        columns: what ``read_columns`` returns.
        seed: of the sample that is shown of more than 5000 pairs.
    """
    known = np.isfinite(columns["cosine"]) & (columns["norm_ratio"] > 0)
    cosine, flags = columns["cosine"][known], columns["flags"][known]
    height = np.log10(columns["norm_ratio"][known])
    shown = np.flatnonzero(flags & 1)
    others = np.random.default_rng(seed).permutation(np.flatnonzero(~flags & 1))[: max(0, MOST - len(shown))]
    low, high = min(height.min(initial=0), -0.3) - 0.05, max(height.max(initial=0), 0.3) + 0.05

    def x(value: float) -> float:
        return (value + 1) / 2 * SIZE

    def y(value: Any) -> float:
        return float((high - value) / (high - low) * SIZE)

    border = " ".join(f"{x(10.0**v):.1f},{y(v):.1f}" for v in np.linspace(low, 0, 50))
    points = [
        f'<circle cx="{x(float(cosine[n])):.1f}" cy="{y(float(height[n])):.1f}" r="2.5" fill-opacity="0.7" '
        f'fill="{OWN if flags[n] & 1 else SET if flags[n] & 2 else FINE}"/>'
        for n in (*others, *shown)
    ]
    words = [
        _text(SIZE / 2, SIZE + 34, "cosine of g_w and g_l", "middle"),
        *(_text(x(value), SIZE + 16, say_number(value, 1), "middle") for value in (-1.0, 0.0, 1.0)),
        *(
            _text(-6, y(np.log10(value)) + 4, f"{value:g}", "end")
            for power in range(int(np.floor(low)), int(np.ceil(high)) + 1)
            for value in (1 * 10.0**power, 2 * 10.0**power, 5 * 10.0**power)
            if low <= np.log10(value) <= high and (high - low < 3 or value == 10.0**power)
        ),
        _text(
            0, -10, f"|g_w| / |g_l|; {len(points)} of {len(cosine)} pairs; below the line |g_l| cos &gt; |g_w|", "start"
        ),
    ]
    frame = f'<path d="M0 0H{SIZE}V{SIZE}H0Z" stroke="{INK}" fill="none"/>'
    line = f'<polyline points="{border}" stroke="{OWN}" fill="none"/>'
    return _svg((-50, -28, SIZE + 70, SIZE + 74), [*points, frame, line, *words])


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{INK}">{text}</text>'


def _svg(box: tuple[float, float, float, float], parts: list[str]) -> str:
    view = " ".join(f"{number:g}" for number in box)
    style = 'font-family="sans-serif" font-size="13"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}" width="{box[2]:g}" height="{box[3]:g}" {style}>'
    return "\n".join([head, *parts, "</svg>", ""])


def _write_text(place: Path, text: str) -> None:
    write_atomically(place, lambda temporary: temporary.write_text(text, encoding="utf-8"))
