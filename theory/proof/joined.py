"""Whether a proof of another predicate is a proof of the claim: the other one calls the claim's own function.

A line of evidence may run another predicate than the claim's own (``of=``). What it proves is then true of that
predicate. It counts for the claim only if a machine links the two: the predicate calls the claim's function, with its
default arguments, and on every path that call returns True (or False, where the line refutes the claim).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from theory.proof.written import functions_of


class Callee(Protocol):
    """A claim's statement, which can record the results of its calls."""

    predicate: Callable[..., Any]
    heard: list[Heard] | None


@dataclass(frozen=True)
class Heard:
    """A call of a claim's own statement.

    Attributes:
        truth: what it returned.
        given: its arguments by name, without those that have a default.
    """

    truth: Any
    given: Mapping[str, Any]


@dataclass(frozen=True)
class Joint:
    """A statement about the results of a claim's function when another predicate calls it.

    Attributes:
        holds: the statement.
        calls: how often the claim was called, each time that the statement was run and called it.
    """

    holds: Callable[..., Any]
    calls: list[int]


def own_calls(predicate: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Return whether a call leaves all arguments that have a default as they are.

    Example:
        >>> def positive(x, least=0):
        ...     return x > least
        >>> own_calls(positive, (1,), {}), own_calls(positive, (1, 0), {}), own_calls(positive, (1,), {"least": 2})
        (True, True, False)
    """
    signature = inspect.signature(predicate)
    given = signature.bind(*args, **kwargs).arguments
    defaults = {name: p.default for name, p in signature.parameters.items() if p.default is not p.empty}
    return all(type(given[n]) is type(d) and given[n] == d for n, d in defaults.items() if n in given)


def hear(own: Callee, truth: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Record the result of a call of a claim's own statement, if somebody listens and all defaults are left."""
    if own.heard is not None and own_calls(own.predicate, args, kwargs):
        signature = inspect.signature(own.predicate)
        given = signature.bind(*args, **kwargs).arguments.items()
        needed = {name: one for name, one in given if signature.parameters[name].default is inspect.Parameter.empty}
        own.heard.append(Heard(truth, needed))


def through(own: Callee, other: Callable[..., Any], *, fails: bool, somewhere: bool) -> Joint | None:
    """Return the predicate that is true where ``other`` calls a claim's own, which is true; None if it never does.

    Args:
        own: the claim's statement.
        other: a predicate that may call it.
        fails: whether the claim's own statement must be false there instead of true.
        somewhere: whether it is enough that the claim's own statement is called in some cases, and false in all of
            these: that refutes a statement about every case, but not "there is a case".
    """
    if all(function is not own.predicate for function in functions_of(other)):
        return None

    calls: list[int] = []

    def holds(*case: Any) -> Any:
        heard = [call.truth for call in listening(own, lambda: other(*case))]
        if not heard:
            return somewhere
        calls.append(len(heard))
        return not any(heard) if fails else all(heard)

    return Joint(holds, calls)


def listening(own: Callee, call: Callable[[], Any]) -> list[Heard]:
    """Run a function and return each call of a claim's own statement in it."""
    before, own.heard = own.heard, []
    try:
        call()
        return own.heard
    finally:
        own.heard = before
