"""The negation of a statement: true where the statement is false, and where it has no value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from theory.proof.checks import truth_value
from theory.proof.symbols import NoValue, Truth


class Negation:
    """A predicate that is true exactly where another one is not.

    A statement that divides by zero is not true there, so that its negation is. Where a statement says nothing, since
    it speaks of a response that the world lacks, the negation says nothing either.

    Args:
        predicate: the statement.

    Example:
        >>> from theory.proof import POLICY, prove
        >>> prove(Negation(lambda w: w.dd < 0), POLICY).verdict
        'proved'
        >>> Negation(lambda x: 1 / x > 0)(0)
        True
    """

    def __init__(self, predicate: Callable[..., Any]) -> None:
        self.predicate = predicate

    def __call__(self, case: Any, **change: Any) -> Any:
        """Return whether the statement is not true of a case."""
        try:
            value = self.predicate(case, **change)
        except (NoValue, ZeroDivisionError):
            return True
        return ~value if isinstance(value, Truth) else not truth_value(value)
