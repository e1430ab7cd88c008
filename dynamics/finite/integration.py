"""Integration in continuous time, and the checks of its arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.integrate import solve_ivp

from dynamics.errors import ArrayLike, InvalidArgument, check_finite, check_kind, to_tensor

RELATIVE_TOLERANCE = 1e-10
ABSOLUTE_TOLERANCE = 1e-12
LATEST = 1e50
LARGEST = 1e150
"""Largest number that is accepted in a right-hand side: the product of two such numbers does not overflow."""


def as_array(argument: str, value: ArrayLike) -> np.ndarray:
    """Return numbers as a float64 array on the CPU, or refuse anything that is not made of numbers."""
    return np.asarray(to_tensor(argument, value).detach().cpu())


def check_times(times: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return times as an array, or refuse anything but a list of increasing numbers from 0 to 1e50."""
    grid = as_array("times", times)
    if grid.ndim != 1 or not len(grid) or not ((grid >= 0) & (grid <= LATEST)).all() or (grid[1:] <= grid[:-1]).any():
        raise InvalidArgument("times", times, f"a list of increasing, finite numbers >= 0, up to {LATEST:g}")
    return grid


def check_function(argument: str, value: object) -> None:
    """Refuse anything but a function, also a class."""
    check_kind(argument, value, Callable, "a function")  # type: ignore[arg-type]


def solve(
    velocity: Callable[[float, np.ndarray], np.ndarray],
    start: np.ndarray,
    times: np.ndarray,
    until: Callable[[np.ndarray], float] | None,
) -> tuple[np.ndarray, np.ndarray, float | None]:
    """Integrate; return times, states (one a row) and the hitting time."""
    if times[-1] == 0:
        return times, start[np.newaxis], None

    def event(_: float, state: np.ndarray) -> float:
        assert until is not None
        return float(check_finite("until", to_tensor("until", until(state)).reshape(())))

    event.terminal = True  # type: ignore[attr-defined]
    solution = solve_ivp(
        velocity,
        (0.0, float(times[-1])),
        start,
        method="DOP853",
        t_eval=times,
        events=None if until is None else event,
        rtol=RELATIVE_TOLERANCE,
        atol=ABSOLUTE_TOLERANCE,
    )
    if solution.status < 0:
        raise InvalidArgument(
            "times", f"the integration stopped before t = {times[-1]:g} ({solution.message}); give earlier times"
        )
    # empty lists where no time was reported before the flow stopped
    found, states, hit = np.asarray(solution.t, float), np.reshape(solution.y, (len(start), -1)).T, None
    if solution.t_events is not None and solution.y_events is not None and len(solution.t_events[0]):
        hit = float(solution.t_events[0][0])
        found = np.append(found, hit)
        states = np.concatenate([states, solution.y_events[0][:1]])
    return found, states, hit
