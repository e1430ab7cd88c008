"""What the checkers of a claim find, and the slope of a residual.

A checker tests a claim's statement and, by the same procedure, a perturbed statement (the negative control), for which
it must report the opposite. If it does not, it cannot tell true from false, and the claim is reported as broken. The
other checkers are lines of evidence of ``theory.statement``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal

import numpy as np

from dynamics.errors import InvalidArgument, check_count
from theory.proof.checks import show
from theory.proof.solver import Known
from theory.strength import NUMERICAL, Strength

# What a finding says about the claim; the verdict follows from these and from nothing else (theory.claim.earned).
HOLDS = "the statement holds"
FAILS = "the statement fails"
CORRECTED = "the corrected statement holds"
CONDITIONAL = "the statement holds under the extra assumption"
ORDER = "the statement holds to first order"
VACUOUS = "the statement says nothing"
ALSO = "a further fact"

MADE: Literal["made"] = "made"  # see Finding.joined
Joined = bool | Literal["made"]

SLOPE_TOLERANCE = 0.1


@dataclass(frozen=True)
class Finding:
    """What one checker found.

    Attributes:
        role: what it says about the claim, one of the constants above.
        kind: the checker: a prover, "search", "counterexample", "evaluation", "numeric", "slope" or "claim".
        passed: whether the checker confirmed what ``role`` says.
        control: whether it rejected the perturbed statement, as it must.
        detail: what was done and found, in words.
        strength: how strongly it is supported; None for a comparison in floating point, which ``detail`` describes.
        assumes: what the prover may assume about the worlds, in words.
        of: what was run in the place of the claim's own function, as it is written; "" for that function itself.
        joined: whether the claim's own function was run, or a machine proved that what was run implies it; ``MADE`` if
            it implies it in cases only that the line makes of its own ones.
        part: the words of the claim's statement that were proved, if it lists several statements and this is one.
        used: whether a later line assumes what this one proves, and no more than that: a machine joins the two.
        over: the cases that it covers, in words generated from them.
        wrong: the control, as it is written.
        sides: both sides of each comparison at the case that is shown, a line each.
        far: whether the control is far from the statement: false in every case that was tried. Such a control shows
            little, since a checker that refutes everything but what is obviously true would reject it too.
    """

    role: str
    kind: str
    passed: bool
    control: bool
    detail: str
    strength: Strength | None = None
    assumes: str = ""
    of: str = ""
    joined: Joined = True
    over: str = ""
    wrong: str = ""
    sides: tuple[str, ...] = ()
    far: bool = False
    part: str = ""
    used: bool = False

    def known(self) -> Strength:
        """Return how strongly it is supported: in floating point only, if nothing else is said."""
        return self.strength or Strength(NUMERICAL, (self.detail.split("\n")[0],))


class Evidence:
    """Collects the findings of one claim.

    Args:
        worlds: how many random cases a search tries.
        seed: of the random cases.
        record: called with every query to the solver and its answer, to write a certificate.
    """

    def __init__(
        self, worlds: int = 500, seed: int = 0, record: Callable[[str, list[Any], str], None] | None = None
    ) -> None:
        self.worlds = check_count("worlds", worlds)
        self.seed = check_count("seed", seed, minimum=0)
        self.record = record
        self.findings: list[Finding] = []
        self.facts: list[tuple[Any, Any, int]] = []  # a predicate, the kind of worlds, the finding that proves it
        self.reached: list[
            tuple[int, Any]
        ] = []  # number of a finding, and the parts of its statement that were reached

    def use(self, noted: Sequence[tuple[Any, Any]], role: str) -> None:
        """Mark the findings on which a line rests whose worlds were told to assume lemmas.

        A finding that says something else about the claim than the line does is not marked: the line joins nothing to
        it.

        Args:
            noted: each lemma, and the kind of worlds of which it was assumed.
            role: what the line says about the claim.

        Raises:
            TypeError: no finding so far proves such a lemma for these very worlds.
        """
        for lemma, family in noted:
            if family is None:  # SymPy proved it
                continue
            wanted = getattr(lemma, "predicate", lemma)
            at = next((k for what, over, k in self.facts if what is wanted and over is family), None)
            if at is None:
                name = getattr(wanted, "__name__", wanted)
                raise TypeError(f"nothing before proves {name} over {family.name}: it must not be assumed there")
            self.findings[at] = dataclasses.replace(
                self.findings[at], used=self.findings[at].used or self.findings[at].role == role
            )

    @cached_property
    def known(self) -> Known:
        """Return what the proofs of the claim share, so that none is made twice."""
        return Known()

    def slope(
        self,
        residual: Callable[[float], float],
        order: int,
        *,
        control: Callable[[float], float],
        sizes: Sequence[float] = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3),
        role: str = ORDER,
    ) -> None:
        """Fit the order at which ``residual(size)`` vanishes: the slope of its logarithm.

        Args:
            residual: distance between the exact and the predicted quantity for a step of that size, > 0.
            order: the order that must be found, to within 0.1.
            control: residual of a perturbed prediction, whose order must differ.
            sizes: step sizes of the regression.
            role: what it says about the claim; ORDER by default.
        """
        found, perturbed = (fitted_order(f, sizes) for f in (residual, control))
        passed, rejected = abs(found - order) < SLOPE_TOLERANCE, not abs(perturbed - order) < SLOPE_TOLERANCE
        detail = f"slope {found:.2f} (expected {order}); perturbed: {perturbed:.2f}"
        self.findings.append(Finding(role, "slope", passed, rejected, detail))


def fitted_order(residual: Callable[[float], float], sizes: Sequence[float]) -> float:
    """Return the slope of log residual(size) against log size, by least squares.

    Example:
        >>> round(fitted_order(lambda h: 3 * h**2, [0.1, 0.01]), 6)
        2.0
    """
    values = [residual(size) for size in sizes]
    if not all(value > 0 and np.isfinite(value) for value in values):
        raise InvalidArgument("residual", values, "positive, finite numbers at every size")
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def exact(case: object) -> bool:
    """Return whether a case consists of whole numbers and fractions.

    Example:
        >>> exact({"p": Fraction(1, 2)}), exact((1, 0.5))
        (True, False)
    """
    if isinstance(case, (int, Fraction, str)) or case is None:
        return True
    if isinstance(case, dict):
        return all(exact(value) for value in case.values())
    if isinstance(case, (tuple, list)):
        return all(exact(value) for value in case)
    if dataclasses.is_dataclass(case):
        return all(exact(getattr(case, field.name)) for field in dataclasses.fields(case))
    return hasattr(case, "__dict__") and bool(vars(case)) and all(exact(value) for value in vars(case).values())


__all__ = [
    "ALSO",
    "CONDITIONAL",
    "CORRECTED",
    "FAILS",
    "HOLDS",
    "ORDER",
    "VACUOUS",
    "Evidence",
    "Finding",
    "exact",
    "fitted_order",
    "show",
]
