"""A user's predicate, checked: it must be a statement, and an error about it names the argument that it came as."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from dynamics.errors import InvalidArgument, check_kind
from theory.decision.view import unknown_name
from theory.decision.written import Written
from theory.names import ShortNames
from theory.proof.checks import truth_value
from theory.proof.reading import check_reading
from theory.proof.symbols import NotAStatement

Predicate = Callable[..., Any]


def predicate_of(argument: str, value: Any) -> Any:
    """Return a predicate: a text such as ``"A_w >= 0"`` is read, anything else is left as it is.

    Example:
        >>> from theory.worlds import World
        >>> predicate_of("conjecture", "A_w >= A_l")(World.log_linear([[0], [1]], at=[3]))
        True
    """
    return Written(value, argument) if isinstance(value, str) else value


def asked(argument: str, predicate: Any) -> Callable[[Any], bool]:
    """Return a predicate of exact cases that answers True or False, or raises an error that names the argument.

    Raises:
        InvalidArgument: it is no function, or its code computes with floats or asks for the type of its numbers; later,
            when it is called, that it returns no truth value (None, a tuple, a text, a number, a forgotten call), or
            asks for a name that the case does not have.

    Example:
        >>> asked("conjecture", lambda w: (w > 0, "a tuple is always true"))(1)
        Traceback (most recent call last):
        dynamics.errors.InvalidArgument: conjecture: a statement is True or False, not tuple (True, 'a tuple is ...
    """
    check_kind(argument, predicate, Callable, "a function of a world")  # type: ignore[arg-type]
    try:
        check_reading(predicate)
    except NotAStatement as problem:
        raise InvalidArgument(argument, str(problem)) from None

    def ask(case: Any) -> bool:
        try:
            value = predicate(case)
        except AttributeError as problem:
            lacking = case if getattr(case, "_world", None) is problem.obj else problem.obj
            if problem.name and _is_case(lacking):
                raise InvalidArgument(argument, unknown_name("such a world", problem.name, lacking)) from None
            raise
        try:
            return truth_value(value)
        except NotAStatement as problem:
            raise InvalidArgument(argument, str(problem)) from None

    return ask


def _is_case(value: Any) -> bool:
    """Return whether a value is a world, or the numbers of a setting."""
    return isinstance(value, (ShortNames, SimpleNamespace)) or hasattr(type(value), "caption")
