"""Use the derivative that SymPy takes of a formula, with the numbers of a statement."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import CodeType
from typing import Any

from theory.proof.lemmas import CHECKED, SYMPY, note
from theory.proof.reading import LIBRARY, codes_of, is_claims, steps_of
from theory.proof.symbols import NotAStatement
from theory.proof.written import functions_of

ASKING = ("COMPARE_OP", "CONTAINS_OP", "IS_OP", "UNARY_NOT", "PUSH_EXC_INFO")  # the last one begins "except"
JUMPS = ("IF_TRUE", "IF_FALSE")  # in the names of instructions, which differ between versions of Python
LOOKUPS = {"index", "count", "get"}  # methods by which a container compares, as it does for a key in brackets


def derivative(function: Callable[..., Any], written: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function as it is written, once SymPy has proved that it is the derivative of another.

    Both are formulas in numbers of any kind, made of arithmetic and of exp and log of ``theory.proof``. The derivative
    is that by the first number. It has a value only where both have one: SymPy forgets where a formula has none, and
    1/x is the derivative of log x for positive x alone.

    Raises:
        NotAStatement: SymPy does not prove it, or a formula asks a question: SymPy's symbol is equal to no number, so
            that only one of the answers would be looked at.

    Example:
        >>> from fractions import Fraction
        >>> from theory.proof import exp, log, prove, world_of
        >>> slope = derivative(lambda x: x * exp(x), lambda x: (1 + x) * exp(x))
        >>> slope(Fraction(0))
        Fraction(1, 1)
        >>> curve = derivative(lambda x, b: log(b * x), lambda x, b: 1 / x)
        >>> steep = lambda c, least=0: curve(c.x, c.b) > least
        >>> [prove(steep, world_of("", x="positive", b="positive"), least=least).verdict for least in (0, 1)]
        ['proved', 'refuted']
        >>> derivative(lambda x: x * exp(x), lambda x: x * exp(x))
        Traceback (most recent call last):
        theory.proof.symbols.NotAStatement: SymPy does not prove that x*exp(x) + exp(x) is x*exp(x)
    """
    note(SYMPY, None)
    return _derivative(function, written)


@lru_cache(maxsize=256)
def _derivative(function: Callable[..., Any], written: Callable[..., Any]) -> Callable[..., Any]:
    import sympy as sp  # noqa: PLC0415 - loaded for a proof only

    from theory.proof.calculus import same  # noqa: PLC0415

    for formula in (function, written):
        _refuse_questions(formula)
    symbols = [sp.Symbol(name, real=True) for name in inspect.signature(function).parameters]
    derived, expected = sp.diff(function(*symbols), symbols[0]), written(*symbols)
    if not _proves(lambda: same(derived, expected)):
        raise NotAStatement(f"SymPy does not prove that {derived} is {expected}")

    def slope(*numbers: Any) -> Any:
        function(*numbers)  # has no value where it has none
        return written(*numbers)

    slope.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return slope


def checked(function: Any, identity: Callable[..., Any], **symbols: str) -> Any:
    """Return a function, once SymPy has proved an identity about it, such as that it returns the slopes of a loss.

    The identity is proved for positive numbers, or as ``symbols`` says: give the function no others. No machine looks
    whether you do, so that the claim counts as joined in prose.

    Args:
        function: what a statement computes with.
        identity: predicate for SymPy, which calls the function.
        **symbols: what its arguments are, if not positive numbers.

    Raises:
        NotAStatement: SymPy does not prove it, it does not call the function, or a formula in it asks a question.

    Example:
        >>> from theory.proof import same
        >>> square = lambda x: x * x
        >>> checked(square, lambda a, b: same(square(a * b), square(a) * square(b)))(3)
        9
        >>> checked(square, lambda a, b: same(square(a + b), square(a) + square(b)))
        Traceback (most recent call last):
        theory.proof.symbols.NotAStatement: SymPy does not prove <lambda>
    """
    note(SYMPY, None)
    note(CHECKED, None)
    _refuse_questions(identity)
    if is_claims(function.__module__) and all(part is not function for part in functions_of(identity)):
        raise NotAStatement(f"{identity.__name__} says nothing of {function.__name__}, which it does not call")
    if not _proved(identity, tuple(symbols.items())):
        raise NotAStatement(f"SymPy does not prove {identity.__name__}")
    return function


@lru_cache(maxsize=256)
def _proved(identity: Callable[..., Any], symbols: tuple[tuple[str, str], ...]) -> bool:
    return _proves(identity, dict(symbols))


def _proves(identity: Callable[..., Any], symbols: Mapping[str, str] | None = None) -> bool:
    from theory.proof.calculus import prove_identity  # noqa: PLC0415

    before = sys.getprofile()  # whoever looks for floats: SymPy's proof is not part of the computation
    sys.setprofile(None)
    try:
        return prove_identity(identity, symbols).verdict == "proved"
    finally:
        sys.setprofile(before)


def _refuse_questions(formula: Callable[..., Any]) -> None:
    for part in functions_of(formula):
        own = not str(part.__module__).startswith(LIBRARY)  # exp and log ask what kind of number they are given
        if own and any(map(_asks, codes_of(part.__code__))):
            raise NotAStatement(f"{part.__name__} asks a question, which a symbol answers once for all numbers")


def _asks(code: CodeType) -> bool:
    """Return whether a code compares, has two branches, catches an error, or looks something up by its value."""
    names = [step.opname for step in steps_of(code)]
    jumps = any(name.endswith(JUMPS) or "IF_TRUE_OR" in name or "IF_FALSE_OR" in name for name in names)
    looks = bool(LOOKUPS & set(code.co_names)) or any(name.startswith(("BUILD_SET", "SET_ADD")) for name in names)
    return jumps or looks or any(name.startswith(ASKING) for name in names)
