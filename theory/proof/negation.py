"""The negation of a statement: true where the statement is false, and where it has no value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from theory.proof.checks import truth_value
from theory.proof.symbols import NoValue, Truth


class Negation:
    """A predicate that is true exactly where another one is not.

    A statement that divides by zero in some world counts as false there, so its negation is true. A statement about a
    response that the world lacks says nothing there, and neither does its negation.

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
