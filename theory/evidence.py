"""Checkers for claims: exact random search, counterexamples, symbolic proofs, slopes; each with a negative control.

A checker tests a claim's statement and, by the same procedure, a perturbed statement (the negative control), for which
it must report the opposite. If it does not, it cannot tell true from false, and the claim is reported as broken.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any, TypeVar

import numpy as np

from dynamics.errors import InvalidArgument, check_count
from theory.proof.checks import show
from theory.proof.solver import Known
from theory.proof.written import sides, text_of
from theory.strength import MACHINE, NUMERICAL, UNREFUTED, Strength

T = TypeVar("T")
Sampler = Callable[[random.Random], Any]
Statement = Callable[[Any], bool]

# What a finding says about the claim; the verdict follows from these and from nothing else (theory.claim.earned).
HOLDS = "the statement holds"
FAILS = "the statement fails"
CORRECTED = "the corrected statement holds"
CONDITIONAL = "the statement holds under the extra assumption"
ORDER = "the statement holds to first order"
VACUOUS = "the statement says nothing"
ALSO = "a further fact"

PATIENCE = 60  # random draws for each case wanted, before the extra assumption counts as too rare to search under
SLOPE_TOLERANCE = 0.1


@dataclass(frozen=True)
class Finding:
    """What one checker found.

    Attributes:
        role: what it says about the claim, one of the constants above.
        kind: "search", "counterexample", "proof", "numeric" or "slope"; in the new form of a claim also the prover.
        passed: whether the checker confirmed what ``role`` says.
        control: whether it rejected the perturbed statement, as it must.
        detail: what was done and found, in words.
        strength: how strongly it is supported; None if ``kind`` alone determines that.
        assumes: what the prover may assume about the worlds, in words.
        of: what was run in the place of the claim's own function, as it is written; "" for that function itself.
        joined: whether the claim's own function was run, or a machine proved that what was run implies it.
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
    joined: bool = True
    over: str = ""
    wrong: str = ""
    sides: tuple[str, ...] = ()
    far: bool = False

    def known(self) -> Strength:
        """Return how strongly it is supported; symbolic work whose generality was not checked is not proved."""
        if self.strength is not None:
            return self.strength
        if self.kind == "search":
            return Strength(UNREFUTED, (self.detail.split("\n")[0].removeprefix("no counterexample in "),))
        if self.kind == "proof":
            return Strength(UNREFUTED, ("symbolic or exact, generality not checked",))
        if self.kind == "counterexample":
            return Strength(MACHINE, ("exact evaluation",))
        return Strength(NUMERICAL, (self.detail.split("\n")[0],))


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
        self.watched: list[tuple[int, Any]] = []  # a finding by its number, and what its cases reached of the statement

    @cached_property
    def known(self) -> Known:
        """Return what the proofs of the claim share, so that none is made twice."""
        return Known()

    def holds(
        self,
        statement: Statement,
        over: Sampler,
        *,
        control: Statement,
        given: Statement | None = None,
        role: str | None = None,
        worlds: int | None = None,
    ) -> None:
        """Require that a search of random cases finds none in which ``statement`` is false.

        Args:
            statement: predicate of a case.
            over: draws a case from a ``random.Random``: a sampler of ``theory.worlds``, or one of your own.
            control: a perturbed statement that the same search must refute.
            given: an extra assumption: only cases that satisfy it count, and the role becomes CONDITIONAL.
            role: what it says about the claim; HOLDS without ``given``.
            worlds: number of cases, if this search needs fewer than the others.
        """
        count = min(worlds or self.worlds, self.worlds)
        cases = list(itertools.islice(_cases(over, given, self.seed, count), count))
        refuted = next((case for case in cases if not statement(case)), None)
        wrong = sum(not control(case) for case in cases)
        enough = len(cases) == count
        detail = f"no counterexample in {count} cases"
        if not enough:
            detail = f"only {len(cases)} of {count} cases satisfy the assumption"
        if refuted is not None:
            detail = f"refuted by\n{refuted}"
        role = role or (HOLDS if given is None else CONDITIONAL)
        passed = enough and refuted is None
        far = bool(cases) and wrong == len(cases)
        found = Finding(role, "search", passed, wrong > 0, detail, over=text_of(over), far=far)
        self._found(found, statement, control)

    def fails(self, statement: Statement, at: object, *, control: object, role: str = FAILS) -> None:
        """Require that ``statement`` is false at a given counterexample.

        Args:
            statement: predicate of a case.
            at: the counterexample, in exact numbers.
            control: a case in which the statement is true, so that it is not a counterexample.
            role: what it says about the claim; FAILS by default.
        """
        passed = not statement(at)
        detail = f"{'false' if passed else 'TRUE'} at\n{show(at)}"
        strength = None if exact(at) else Strength(NUMERICAL, ("evaluated in floating point",))
        known = bool(statement(control))
        self.findings.append(
            Finding(role, "counterexample", passed, known, detail, strength, sides=sides(statement, at))
        )

    def finds(self, statement: Statement, over: Sampler, *, control: Statement, role: str = FAILS) -> None:
        """Require that a search of random cases finds a counterexample to ``statement``.

        Args:
            statement: predicate of a case.
            over: draws a case.
            control: a true statement, to which the same search must find no counterexample.
            role: what it says about the claim; FAILS by default.
        """
        cases = list(itertools.islice(_cases(over, None, self.seed, self.worlds), self.worlds))
        false = [case for case in cases if not statement(case)]
        detail = f"false in {len(false)} of {len(cases)} random cases"
        strength = Strength(MACHINE, ("exact evaluation",)) if false and exact(false[0]) else None
        rejected = all(control(case) for case in cases)
        found = Finding(role, "search", bool(false), rejected, detail, strength, over=text_of(over))
        self._found(found, statement, control)

    def proves(self, statement: Callable[[], bool], *, control: Callable[[], bool], by: str, role: str = HOLDS) -> None:
        """Run a deterministic proof or exact computation that must end in True.

        Args:
            statement: returns whether the proof went through (a SymPy simplification to 0, an exact evaluation).
            control: the same proof of a perturbed statement; must return False.
            by: how it is proved, a few words.
            role: what it says about the claim; HOLDS by default.
        """
        self._found(Finding(role, "proof", bool(statement()), not control(), by), statement, control)

    def measures(
        self, statement: Callable[[], bool], *, control: Callable[[], bool], by: str, role: str = HOLDS
    ) -> None:
        """Like ``proves``, for a comparison in floating point (state the tolerance in ``by``)."""
        self._found(Finding(role, "numeric", bool(statement()), not control(), by), statement, control)

    def _found(self, found: Finding, statement: Callable[..., Any], control: Any) -> None:
        """Keep a finding, with what was run and the control as they are written."""
        named = dataclasses.replace(found, of=text_of(statement), wrong=text_of(control) if control else "")
        self.findings.append(named)

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


def uniform(**ranges: tuple[float, float]) -> Sampler:
    """Return a sampler of named float64 numbers, uniform in their ranges, as a dictionary.

    Example:
        >>> sorted(uniform(z=(-1, 1), delta=(0, 2))(random.Random(0)))
        ['delta', 'z']
    """

    def draw(source: random.Random) -> dict[str, float]:
        return {name: source.uniform(low, high) for name, (low, high) in ranges.items()}

    return draw


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


@lru_cache(maxsize=64)
def _pool(over: Sampler, seed: int, block: int, size: int) -> tuple[Any, ...]:
    # claims that share a module-level sampler share its cases, so that worlds and their kernels are computed once
    source = random.Random(f"{getattr(over, '__qualname__', over)}/{seed}/{block}")
    return tuple(over(source) for _ in range(size))


def _cases(over: Sampler, given: Statement | None, seed: int, count: int) -> Iterator[Any]:
    for block in range(1 if given is None else PATIENCE):
        for case in _pool(over, seed, block, count):
            if given is None or given(case):
                yield case


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
    "Sampler",
    "Statement",
    "exact",
    "fitted_order",
    "show",
    "uniform",
]
