"""What a predicate may return, in any reading, and a case in words."""

from __future__ import annotations

from theory.proof.symbols import NotAStatement


def truth_value(value: object) -> bool:
    """Return a value if it is True or False; a tuple, a text, a number or a method that was not called is an error.

    Raises:
        NotAStatement: the value is not a truth value.

    Example:
        >>> truth_value((1 > 2, "a tuple is always true"))
        Traceback (most recent call last):
        theory.proof.symbols.NotAStatement: a statement is True or False, not tuple (False, 'a tuple is always true')
    """
    if not isinstance(value, bool):
        raise NotAStatement(f"a statement is True or False, not {type(value).__name__} {value!r:.60}")
    return value


def show(case: object) -> str:
    """Return a case as text; the items of a dictionary or tuple without quotes or type names.

    Example:
        >>> from fractions import Fraction
        >>> show({"p": Fraction(1, 2)})
        'p = 1/2'
    """
    if isinstance(case, dict):
        return ", ".join(f"{name} = {show(value)}" for name, value in case.items())
    if isinstance(case, (tuple, list)):
        return "(" + ", ".join(show(item) for item in case) + ")"
    return str(case)
