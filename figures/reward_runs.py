"""Runs of a tiny language model with a known true reward, and what the figures of sun2025 ask of them.

Two settings stand side by side: one epoch of fresh pairs with a cosine schedule, as the paper trains, and many epochs
on few pairs, in which every loss saturates. The learning rate of a 7B model has no counterpart in the tiny one, so
that a range of rates is shown, and both readings of gamma (0.8 as printed, 2 as Section 4.3's numbers need).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dynamics.grid import sweep
from figures.accuracy import Accuracy
from figures.registry import Arrays
from toy_models.overoptimization import SATURATED, STATIC, train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEPS_LABEL = "training step"
RATE_LABEL = "learning rate"
DIVERGENCE_LABEL = "divergence (nats)"
RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
GAMMAS = (0.8, 2.0)
PRINTED_GAMMA, LARGER_GAMMA = range(len(GAMMAS))
GAMMA_LINES = ("-", (0, (3, 1.2)))  # solid for the first gamma, dashed for the second

BY_ADAMW = Accuracy("trained with AdamW; 5e-10 was seen after changes of the start in its last digit", 1e-8, 1e-9)


def runs_of(
    losses: Sequence[str],
    rates: Sequence[float],
    gammas: Sequence[float],
    seeds: int,
    results: Sequence[str],
    **settings: Any,
) -> Arrays:
    """Train every loss with every learning rate and gamma on every seed.

    Returns:
        ``step`` (records,), and ``LOSS_RESULT`` (rates, gammas, seeds, records) for every loss and result named.
    """
    grid: dict[str, Sequence[Any]] = {"loss": list(losses), "learning_rate": list(rates), "gamma": list(gammas)}
    grid |= {name: [value] for name, value in settings.items()}
    table = sweep(train, grid, range(seeds), static=[name for name in STATIC if name in grid], jobs=1, batch_size=160)
    found = {"step": table["step"][0]}
    for result in results:
        values = table[result].reshape(len(losses), len(rates), len(gammas), seeds, -1)
        found |= {f"{loss}_{result}": values[i] for i, loss in enumerate(losses)}
    return found


def saturated(pairs: int, epochs: int) -> dict[str, Any]:
    """Return the settings of full batches on few pairs, without the learning rate, which is swept."""
    fixed = {name: value for name, value in SATURATED.items() if name != "learning_rate"}
    return fixed | {"pairs": pairs, "minibatch": pairs, "epochs": epochs}


def named(setting: str, arrays: Arrays) -> Arrays:
    """Return the arrays with the name of a setting before their own."""
    return {f"{setting}_{name}": values for name, values in arrays.items()}


def errors(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean over the first axis, seeds, and its standard error."""
    return values.mean(0), values.std(0, ddof=1) / np.sqrt(len(values))


def above(values: np.ndarray, least: float = 3.0) -> bool:
    """Return whether the mean over seeds is above 0 by ``least`` standard errors, in every entry; False of none.

    Example:
        >>> above(np.array([[1.0], [1.1], [1.2]])), above(np.array([[1.0], [-1.1], [0.2]])), above(np.empty((5, 0)))
        (True, False, False)
    """
    mean, error = errors(values)
    return bool(mean.size and (error > 0).all() and (mean > least * error).all())


def fall(reward: np.ndarray) -> np.ndarray:
    """Return how far each seed ends below its value at the step where the mean curve peaks."""
    return reward[:, reward.mean(0).argmax()] - reward[:, -1]


def band(axes: Axes, x: np.ndarray, values: np.ndarray, color: str, **line: Any) -> None:
    """Draw the mean over seeds, and a band of one standard error on each side."""
    mean, error = errors(values)
    axes.fill_between(x, mean - error, mean + error, color=color, alpha=0.18, linewidth=0)
    axes.plot(x, mean, color=color, **line)


def show_rates(axes: Axes, rates: np.ndarray) -> None:
    """Put the learning rates on a logarithmic axis."""
    axes.set(xscale="log", xlabel=RATE_LABEL, xticks=rates, xticklabels=[f"{rate:g}" for rate in rates])
    axes.minorticks_off()


def change(values: np.ndarray) -> np.ndarray:
    """Return end less start, with the seeds first: ``(..., seeds, records)`` becomes ``(seeds, ...)``."""
    return np.moveaxis(values[..., -1] - values[..., 0], -1, 0)


def end(values: np.ndarray) -> np.ndarray:
    """Return the last record with the seeds first: ``(..., seeds, records)`` becomes ``(seeds, ...)``."""
    return np.moveaxis(values[..., -1], -1, 0)


def between(rates: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return which learning rates lie between two; a hundredth beyond still counts, so that rounding does not decide.

    Example:
        >>> between(np.array([0.01, 0.03, 0.1, 0.3]), 0.03, 0.1).tolist()
        [False, True, True, False]
    """
    return (rates > 0.99 * low) & (rates < 1.01 * high)
