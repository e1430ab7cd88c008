"""Standard theorems of analysis that a proof may use; a claim that uses one says so, and is counted separately."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LEMMAS = {
    "mean value": "a differentiable function changes between two points by its derivative somewhere between them, "
    "times their distance",
    "monotone": "a function whose derivative is nowhere negative does not fall",
    "Fermat": "where a differentiable function has an interior extremum its derivative is zero",
    "l'Hopital": "if numerator and denominator both tend to 0, or to infinity, their ratio tends to that of their "
    "derivatives",
    "Taylor": "an n times differentiable function differs from its Taylor polynomial by the n-th derivative somewhere "
    "between, times the n-th power of the distance, over n factorial",
    "convex": "a function whose second derivative is nowhere negative lies above its tangents",
    "autonomous flow": "the solution of u' = -F(u) with F > 0 continuous falls to every level above the first zero of "
    "F below it",
    "comparison": "of two positive functions the smaller one has a finite integral if the larger one has",
    "implicit function": "where the derivative in y is not zero, F(x, y) = 0 defines y as a differentiable function "
    "of x",
    "Clarke": "at a local minimum of a locally Lipschitz function 0 lies in its generalised gradient",
    "envelope": "the derivative of a minimum by a parameter is the partial derivative at the minimiser",
    "compactness": "a continuous function attains its minimum on a closed and bounded set",
    "continuous partials": "a function whose partial derivatives exist and are continuous is differentiable",
    "order of limits": "if one function is at most another one near a point, so are their limits there",
    "spectral": "a symmetric matrix has an orthonormal basis of eigenvectors",
    "linear system": "a system of linear equations whose rows are linearly independent has a solution",
    "LaSalle": "a bounded solution of u' = F(u), along which a differentiable function never rises, tends to the "
    "places at which that function stands still for ever",
    "separation of variables": "a solution of u' = f(u), with f continuous and without a zero, takes the integral of "
    "1 / f from one level to another",
    "linearisation": "a fixed point of an iteration attracts what is near it if the derivative there has a size below "
    "1, and repels it if the size is above 1",
    "intermediate value": "a continuous function takes every value between two of its values",
}
"""Name and statement of each lemma; a claim writer may add one that stands in a textbook."""

SYMPY, CHECKED = "sympy", "checked"
NOTED: list[list[tuple[Any, Any]]] = []
"""For each ``noting`` that is open: statements that settings assume, since they were proved, and for what worlds."""


def note(lemma: Any, family: Any) -> None:
    """Note that worlds are told to assume a statement which must have been proved for this kind of worlds.

    With ``SYMPY`` and None: that SymPy proved what a function is; with ``CHECKED`` too: for numbers of some kind, and
    only words say that the function was given no others.
    """
    for noted in NOTED:
        noted.append((lemma, family))


@contextmanager
def noting() -> Iterator[list[tuple[Any, Any]]]:
    """Return the statements that worlds are told to assume while it is open, with the kind of worlds of each."""
    noted: list[tuple[Any, Any]] = []
    NOTED.append(noted)
    try:
        yield noted
    finally:
        NOTED.pop()
