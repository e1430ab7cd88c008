"""How accurate the arrays of a figure are: how far rounding, a solver's tolerance or float32 can change them.

A check of a figure must not depend on the last digits of its arrays, which differ between processors. Every figure
therefore declares how far each of its arrays may be off. The tests of the figures perturb the arrays by ten times that
and require the same result from every check; ``make portability`` measures how far the arrays differ between two kinds
of machines, and requires that this is at most what is declared.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Accuracy:
    """How far a computed number may be from the exact one.

    That is ``relative * |number| + absolute + exponential * (1 + exp(-number))``.

    Attributes:
        reason: what limits the accuracy.
        relative: error relative to the number itself.
        absolute: error in the units of the array, for numbers that are small differences of large ones; one value, or
            one for each column of the array.
        exponential: absolute error of x for an array that holds log x.
        repeatable: false for chaotic paths of gradient descent, on which rounding errors grow: results of different
            machines are not compared.

    Example:
        >>> Accuracy("three digits", relative=1e-3).bound(np.array([2.0, np.inf])).tolist()
        [0.002, 0.0]
    """

    reason: str
    relative: float = 0.0
    absolute: float | tuple[float, ...] = 0.0
    exponential: float = 0.0
    repeatable: bool = True

    def bound(self, values: np.ndarray) -> np.ndarray:
        """Return how far each number may be off; 0 for infinities and NaN."""
        finite = np.isfinite(values)
        numbers = np.where(finite, values, 0.0)
        bound = self.relative * np.abs(numbers) + np.asarray(self.absolute)
        if self.exponential:
            bound = bound + self.exponential * (1 + np.exp(-numbers))
        return np.where(finite, bound, 0.0)


ROUNDING = Accuracy("float64, sums and differences of a few hundred numbers of order one", 1e-14, 1e-15)
"""The accuracy of every array for which a figure declares none."""

TAIL = Accuracy("float64, numbers of many orders of magnitude, none of them a small difference", 1e-14)

FRACTIONS = Accuracy("exact fractions, rounded once", 2e-16)

COUNTED = Accuracy("a count over the number of cases, none of which is near enough to its border to be moved", 1e-14)

FLOW = Accuracy(
    "logarithms from solve_ivp at rtol 1e-10 and atol 1e-12; 8e-9 was seen between processors", absolute=1.1e-8
)

FLOW_MARGIN = Accuracy("2.5 times log-ratios from solve_ivp; 1.04e-8 was seen on an AMD EPYC", absolute=1.1e-8)

TRAINED = Accuracy("trained in float64 for hundreds of steps, through which rounding errors pass on", 1e-12, 1e-13)

ONE_CASE = Accuracy(
    "a share of 400 pairs; at times one of them lies so near to the border that rounding decides",
    absolute=2.5e-4,  # ten times that is one pair in every world
    repeatable=False,
)

FLOAT32 = Accuracy("log-probabilities of a model that is trained in float32, and their changes", 2e-6, 2e-5)

FLOAT32_PROBABILITIES = Accuracy("probabilities: exp of logarithms computed in float32", 2e-5)

FLOAT32_PRODUCTS = Accuracy("inner products of float32 gradients, and multiples of them; 2.2e-6 was seen", 5e-6)

FLOAT32_FORECASTS = Accuracy("changes by the kernel: float32 drives times learning rate and beta", 1e-5, 2e-7)

SEARCHED = Accuracy("place and value found by minimize_scalar: the value is flat at its place", 0.0, (2e-8, 1e-15))

ROUNDED = 1e-12
"""Tolerance of checks for float64 rounding: a hundred times the accuracy of numbers of order one."""


def accuracy_of(declared: dict[str, Accuracy], name: str) -> Accuracy:
    """Return the first accuracy whose name or glob fits the array's name; rounding if none does."""
    return next((accuracy for pattern, accuracy in declared.items() if fnmatchcase(name, pattern)), ROUNDING)


def perturbed(arrays: Arrays, declared: dict[str, Accuracy], times: float, seed: int) -> Arrays:
    """Return the arrays with noise: every float is moved up or down by ``times`` its accuracy.

    Integers, booleans and strings stay as they are, and so do infinities and NaN.

    Args:
        arrays: of a figure.
        declared: accuracy by name or glob of an array.
        times: size of the noise, in multiples of the accuracy.
        seed: of the signs.

    Example:
        >>> arrays = {"x": np.array([1.0, np.nan]), "n": np.array([3])}
        >>> moved = perturbed(arrays, {"x": Accuracy("three digits", relative=1e-3)}, times=10, seed=0)
        >>> bool(abs(moved["x"][0] - 1) < 0.011), moved["n"].tolist()
        (True, [3])
    """
    source = np.random.default_rng(seed)
    moved = {}
    for name, values in arrays.items():
        if values.dtype.kind != "f":
            moved[name] = values
            continue
        signs = source.choice([-1.0, 1.0], size=values.shape)
        moved[name] = np.asarray(values + times * signs * accuracy_of(declared, name).bound(values))
    return moved


def excess(arrays: Arrays, other: Arrays, declared: dict[str, Accuracy]) -> dict[str, float]:
    """Return how far two computations of each array differ, in units of its accuracy; infinite if not comparable.

    Example:
        >>> round(excess({"x": np.array([1.0])}, {"x": np.array([1.002])}, {"x": Accuracy("", relative=1e-3)})["x"], 3)
        2.0
    """
    found = {}
    for name, values in arrays.items():
        if not accuracy_of(declared, name).repeatable:
            continue
        twin = other.get(name, np.array([]))
        if values.shape != twin.shape or values.dtype.kind != twin.dtype.kind:
            found[name] = np.inf
        elif values.dtype.kind != "f":
            found[name] = 0.0 if np.array_equal(values, twin) else np.inf
        else:
            finite = np.isfinite(values) & np.isfinite(twin)
            same = np.array_equal(values[~finite], twin[~finite], equal_nan=True)
            bound = accuracy_of(declared, name).bound(values)[finite]
            apart = np.abs(values[finite] - twin[finite])
            ratio = np.divide(apart, bound, out=np.where(apart > 0, np.inf, 0.0), where=bound > 0)
            found[name] = float(ratio.max(initial=0.0)) if same else np.inf
    return found
