"""Quantiles and correlations of the numbers of many pairs."""

from __future__ import annotations

import numpy as np

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
RESAMPLES = 1000  # for the interval of a correlation
FEWEST = 10
"""Fewest points with an interval: of three points in the right order, every resampled set is so too, and the interval
would be 1 to 1, though one order of six is right by chance."""


def quantiles(values: np.ndarray) -> dict[str, float]:
    """Return quantiles by their probability; an empty dictionary if there are no values.

    Example:
        >>> quantiles(np.arange(5.0))["0.5"]
        2.0
    """
    if not values.size:
        return {}
    return {f"{q:g}": float(v) for q, v in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True)}


def correlations(x: np.ndarray, y: np.ndarray) -> tuple[float | None, float | None]:
    """Return Pearson's and Spearman's correlation; None for both with fewer than 3 points or without spread.

    Example:
        >>> [round(r, 3) for r in correlations(np.array([1.0, 2.0, 9.0]), np.array([3.0, 2.0, 1.0]))]
        [-0.918, -1.0]
    """
    ranks = spearman(x, y)
    if ranks is None:
        return None, None
    from scipy.stats import pearsonr  # noqa: PLC0415 - it takes a while to import

    return float(pearsonr(x, y).statistic), ranks


def spearman(x: np.ndarray, y: np.ndarray) -> float | None:
    """Return the correlation of ranks; None with fewer than 3 points or without spread.

    Example:
        >>> spearman(np.arange(9.0), np.exp(np.arange(9.0)))
        1.0
    """
    if x.size < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    from scipy.stats import rankdata  # noqa: PLC0415 - it takes a while to import

    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def spearman_interval(x: np.ndarray, y: np.ndarray, seed: int) -> tuple[float, float] | None:
    """Return the 95 % interval of the correlation of ranks over 1000 resampled sets of points.

    None with fewer than ``FEWEST`` points, and where there is no correlation.

    Args:
        x: values, ``(points,)``.
        y: values of the same points.
        seed: of the resampling.

    Example:
        >>> low, high = spearman_interval(np.arange(10.0), np.array([1.0, 0, 2, 4, 3, 5, 7, 8, 6, 9]), seed=0)
        >>> low < 0.9 < high
        True
    """
    if len(x) < FEWEST:
        return None
    drawn = np.random.default_rng(seed).integers(0, len(x), (RESAMPLES, len(x)))
    found = [value for draw in drawn if (value := spearman(x[draw], y[draw])) is not None]
    if spearman(x, y) is None or not found:
        return None
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)
