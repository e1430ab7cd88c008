"""A histogram of numbers of any size and both signs, as rectangles to draw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 41  # odd: the middle bin is split at 0
WIDTH, HEIGHT = 440.0, 150.0
APART = 42.0  # least distance of two ticks


@dataclass(frozen=True)
class Bar:
    """A bar in the coordinates of the picture.

    Attributes:
        x: left edge.
        y: upper edge.
        width: width.
        height: height.
        count: number of values.
        low: lower limit of the values.
        high: upper limit.
    """

    x: float
    y: float
    width: float
    height: float
    count: int
    low: float
    high: float


@dataclass(frozen=True)
class Histogram:
    """A histogram on an axis that is linear near 0 and logarithmic beyond (asinh).

    Attributes:
        bars: the bars from left to right; no bar holds values of both signs.
        ticks: place and value of the ticks of the axis.
        zero: place of 0.
        below: number of values below 0.
        total: number of values.
        most: the largest count.
    """

    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, float], ...]
    zero: float
    below: int
    total: int
    most: int


def histogram(values: np.ndarray) -> Histogram:
    """Return the histogram of the finite values.

    Args:
        values: numbers; NaN is left out.

    Example:
        >>> found = histogram(np.array([-1.0, 1.0, 2.0, np.nan]))
        >>> found.total, found.below, sum(bar.count for bar in found.bars)
        (3, 1, 3)
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    sizes = np.abs(known[known != 0])
    scale = float(np.median(sizes)) if sizes.size else 1.0
    ends = np.arcsinh(np.array([min(known.min(initial=0), 0), max(known.max(initial=0), 0)]) / scale)
    if ends[0] == ends[1]:
        ends = np.array([-1.0, 1.0])
    step = (ends[1] - ends[0]) / BINS
    left, right = (int(np.ceil(abs(end) / step - 1e-9)) for end in ends)
    edges = np.arange(-left, right + 1) * step
    counts, _ = np.histogram(np.clip(np.arcsinh(known / scale), edges[0], edges[-1]), edges)
    below = int((known < 0).sum())

    def place(value: float) -> float:
        return float((value - edges[0]) / (edges[-1] - edges[0]) * WIDTH)

    most = int(counts.max(initial=1))
    limits = scale * np.sinh(edges)
    bars = tuple(
        Bar(
            place(edges[n]) + 0.5,
            HEIGHT * (1 - count / most),
            place(edges[n + 1]) - place(edges[n]) - 1,
            HEIGHT * count / most,
            int(count),
            float(limits[n]),
            float(limits[n + 1]),
        )
        for n, count in enumerate(counts)
        if count
    )
    ticks = [(place(float(np.arcsinh(value / scale))), value) for value in _ticks(scale, limits[0], limits[-1])]
    return Histogram(bars, _apart(ticks), place(0.0), below, int(known.size), most)


def _apart(ticks: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Leave out ticks that are too near to a tick of a larger number; 0 stays, and comes first."""
    kept: list[tuple[float, float]] = []
    for tick in sorted(ticks, key=lambda tick: (tick[1] != 0, -abs(tick[1]))):
        if all(abs(tick[0] - other[0]) >= APART for other in kept):
            kept.append(tick)
    return tuple(sorted(kept))


def _ticks(scale: float, low: float, high: float) -> list[float]:
    """Return 0 and the powers of ten between the limits, not too many on either side."""
    smallest = int(np.floor(np.log10(scale)))
    found = [0.0]
    for end, sign in ((high, 1.0), (-low, -1.0)):
        if end > 0:
            powers = range(smallest, int(np.floor(np.log10(end))) + 1)
            every = max(1, len(powers) // 3)
            found += [sign * 10.0**p for p in powers[::-1][::every]]
    return sorted(found)
