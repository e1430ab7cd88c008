"""What the lines of evidence share: their control and what is never looked at in words, their role, their lemmas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from theory.evidence import ALSO, CONDITIONAL, HOLDS
from theory.proof.lemmas import LEMMAS
from theory.proof.reached import Reached
from theory.proof.written import arguments, sides, text_of

Wrong = Mapping[str, Any] | Callable[..., Any]
Predicate = Callable[..., Any]


def control_of(wrong: Wrong | str | None) -> str:
    """Return the control of a line of evidence, as it is written."""
    if wrong is None or isinstance(wrong, str):
        return wrong or ""
    return arguments(wrong) if isinstance(wrong, Mapping) else text_of(wrong)


def premise_of(wider: Predicate | None) -> str:
    """Return the wider premise that is a control, as it is written."""
    return "" if wider is None else f"the wider premise {text_of(wider)}"


def sides_at(what: Predicate, case: Any) -> tuple[str, ...]:
    """Return both sides of what is compared at a case; nothing if there is no case."""
    return () if case is None else sides(what, case)


def missed_by(reached: Reached, also: Callable[[], Any] | None = None) -> str:
    """Return what no case ever looks at, in words; ``also`` runs the statement on further cases first."""
    if also is not None and reached.missed():
        with reached:
            also()
    missed = reached.missed()
    return f"; never looked at, since no case meets the premise before it: {', '.join(missed)}" if missed else ""


def another(_: Any) -> bool:
    """Stand for the statement itself, as the control under a wider premise."""
    return False


def role_of(role: str | None, also: bool, given: Predicate | None) -> str:
    """Return what a line of evidence says about the claim."""
    return ALSO if also else role or (HOLDS if given is None else CONDITIONAL)


def lemmas_of(name: str) -> tuple[str, ...]:
    """Return the lemmas that a text names, separated by commas; raise TypeError for one that is not declared."""
    names = tuple(part.strip() for part in name.split(",") if part.strip())
    for part in names:
        if part not in LEMMAS:
            raise TypeError(f"no lemma {part!r} in theory.proof.lemmas; there are {', '.join(LEMMAS)}")
    return names
