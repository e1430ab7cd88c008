"""A user's predicate, checked: it must be a statement, and an error about it names the argument that it came as."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dynamics.errors import InvalidArgument, check_kind
from theory.decision.written import Written
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
        InvalidArgument: the predicate is not a function, or its code computes with floats or asks for the type of its
            numbers. The returned function raises it too, if the predicate returns anything but True or False: None, a
            tuple, a text, a number, or a method that was not called.

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
        value = predicate(case)
        try:
            return truth_value(value)
        except NotAStatement as problem:
            raise InvalidArgument(argument, str(problem)) from None

    return ask
