"""Expressions over the columns of an audit, such as ``not displaced and cosine < 0.9``: parsed, never run as code."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from dynamics.errors import InvalidArgument

Row = Mapping[str, Any]

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_AMONG: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.In: lambda value, among: value in _listed(among),
    ast.NotIn: lambda value, among: value not in _listed(among),
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {"abs": abs, "min": min, "max": max}
ALLOWED = "columns, numbers, and, or, not, comparisons, in (1, 2), + - * /, abs(), min(), max()"
LONGEST = 1000
"""Most characters of an expression."""


@dataclass(frozen=True)
class Expression:
    """A checked expression over columns.

    A column without a value for a pair counts as NaN: every comparison with it is false, except ``!=`` and ``not in``.
    A division by zero is NaN too.

    Attributes:
        text: as it was written.
        body: its syntax tree, which holds nothing but what is allowed.
    """

    text: str
    body: ast.expr

    def holds(self, row: Row) -> bool:
        """Return whether the expression is true of a row. NaN is not true."""
        return _truth(_value(self.body, row))

    def number(self, row: Row) -> float:
        """Return the value of the expression for a row as a number; true is 1."""
        return float(_value(self.body, row))

    def reason(self, row: Row) -> str:
        """Return which part of the expression is not true of a row, with the values of its columns.

        Example:
            >>> keep = parse("not displaced and cosine < 0.9", ["displaced", "cosine"])
            >>> keep.reason({"displaced": True, "cosine": 1})
            'not displaced (displaced is true)'
        """
        parts = self.body.values if isinstance(self.body, ast.BoolOp) and isinstance(self.body.op, ast.And) else []
        failed = next((part for part in parts if not _truth(_value(part, row))), self.body)
        names = sorted({node.id for node in ast.walk(failed) if isinstance(node, ast.Name) and node.id in row})
        said = ", ".join(f"{name} is {_say(row[name])}" for name in names)
        return f"{ast.unparse(failed)} ({said})"


def parse(text: str, columns: Collection[str], argument: str = "keep") -> Expression:
    """Parse an expression and check that it holds nothing but columns, numbers and operations of logic and arithmetic.

    Args:
        text: the expression.
        columns: the names of the columns.
        argument: the name of the argument, for errors.

    Raises:
        InvalidArgument: the text is not an expression, contains something that is not allowed, or a name that is not a
            column.

    Example:
        >>> parse("cosine < 0.5 or not displaced", ["cosine", "displaced"]).holds({"cosine": 0.7, "displaced": True})
        False
        >>> parse("__import__('os')", ["cosine"])
        Traceback (most recent call last):
            ...
        dynamics.errors.InvalidArgument: keep: __import__('os') is not allowed; use columns, numbers, and, or, not...
    """
    try:
        if len(text) > LONGEST:
            raise ValueError(f"it is longer than {LONGEST} characters")
        body = ast.parse(text.strip(), mode="eval").body
        _check(body, frozenset(columns), argument)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as problem:
        if isinstance(problem, InvalidArgument):
            raise
        said = getattr(problem, "msg", None) or str(problem)
        raise InvalidArgument(argument, f"{text!r} is not an expression ({said}); use {ALLOWED}") from None
    return Expression(text, body)


def _check(node: ast.AST, columns: frozenset[str], argument: str) -> None:
    parts: list[ast.AST]
    match node:
        case ast.Constant(value=bool() | int() | float() as number) if abs(float(number)) < math.inf:
            parts = []
        case ast.Name(id=name) if name in columns:
            parts = []
        case ast.Name(id=name):
            raise InvalidArgument(argument, f"there is no column {name}; the columns are {', '.join(sorted(columns))}")
        case ast.BoolOp(values=values):
            parts = [*values]
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            parts = [operand]
        case ast.BinOp(left=left, right=right) if type(node.op) in _ARITHMETIC:
            parts = [left, right]
        case ast.Compare(
            left=left, ops=[ast.In() | ast.NotIn()], comparators=[ast.Tuple() | ast.List() | ast.Constant() as among]
        ):
            parts = [left, *getattr(among, "elts", [among])]  # to Python "in (9)" is "in 9"
        case ast.Compare(left=left, comparators=others) if all(type(op) in _COMPARE for op in node.ops):
            parts = [left, *others]
        case ast.Call(func=ast.Name(id=name), args=[_, *_] as given, keywords=[]) if name in _FUNCTIONS:
            if (name == "abs") != (len(given) == 1):
                raise InvalidArgument(argument, f"{name}() takes {'one number' if name == 'abs' else 'two or more'}")
            parts = [*given]
        case _:
            raise InvalidArgument(argument, f"{ast.unparse(node)} is not allowed; use {ALLOWED}")
    for part in parts:
        _check(part, columns, argument)


def _value(node: ast.AST, row: Row) -> Any:
    """Return the value of a checked expression: a truth value, or a number."""
    found: Any
    match node:
        case ast.Constant(value=value):
            found = value
        case ast.Name(id=name):
            known = row.get(name)
            found = math.nan if known is None else known
        case ast.BoolOp(op=op, values=values):
            found = (all if isinstance(op, ast.And) else any)(_truth(_value(value, row)) for value in values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            found = not _truth(_value(operand, row))
        case ast.UnaryOp(operand=operand):
            found = -_value(operand, row)
        case ast.BinOp(left=left, op=operation, right=right):
            try:
                found = _ARITHMETIC[type(operation)](_value(left, row), _value(right, row))
            except (ZeroDivisionError, OverflowError):
                found = math.nan
        case ast.Compare(left=left, ops=ops, comparators=others):
            sides = [_value(part, row) for part in (left, *others)]
            found = all((_COMPARE | _AMONG)[type(op)](a, b) for op, a, b in zip(ops, sides, sides[1:], strict=False))
        case ast.Tuple(elts=among) | ast.List(elts=among):
            found = tuple(_value(part, row) for part in among)
        case ast.Call(func=ast.Name(id=name), args=given):
            found = _FUNCTIONS[name](*(_value(part, row) for part in given))
        case _:
            raise TypeError(ast.dump(node))
    return found


def _listed(among: Any) -> tuple[Any, ...]:
    return among if isinstance(among, tuple) else (among,)


def _truth(value: Any) -> bool:
    return bool(value) and value == value  # noqa: PLR0124 - NaN is not true


def _say(value: Any) -> str:
    if value is None:
        return "missing"
    if isinstance(value, int):  # also true and false
        return str(value).lower()
    return f"{value:.4g}"
