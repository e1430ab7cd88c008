"""Show a claim's code to a reader: the text of a function, and both sides of its comparisons in a case."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache, partial
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

from theory.proof.balls import Ball
from theory.proof.exact import Surd

LONG = 28  # characters of a number; a longer one is shown by its first digits
MOST = 12  # comparisons shown of one case
SIGNS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
Outer = (ast.Lambda, ast.FunctionDef, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def text_of(function: Any) -> str:
    """Return the source text of a function: its name, or for a lambda its expression.

    Example:
        >>> def positive(x, least=0):
        ...     return x > least
        >>> text_of(positive), text_of(partial(positive, 3, least=Fraction(1, 2)))
        ('positive', 'positive(3) with least = 1/2')
    """
    if isinstance(function, partial):
        first = f"({', '.join(map(_value, function.args))})" if function.args else ""
        changed = f" with {arguments(function.keywords)}" if function.keywords else ""
        return text_of(function.func) + first + changed
    function = getattr(function, "predicate", function)
    if not isinstance(function, FunctionType):
        return type(function).__name__
    if function.__name__ != "<lambda>":
        return function.__name__
    node = node_of(function.__code__)
    return ast.unparse(node.body) if isinstance(node, ast.Lambda) else "another statement"


def arguments(changed: Any) -> str:
    """Return changed arguments in words.

    Example:
        >>> arguments({"cross": Fraction(21, 10), "strict": True})
        'cross = 21/10, strict = True'
    """
    return ", ".join(f"{name} = {_value(value)}" for name, value in changed.items())


def node_of(code: CodeType) -> ast.FunctionDef | ast.Lambda | None:
    """Return the syntax of a function, read from its file; None if there is no file."""
    written = _functions_in(code.co_filename).get((code.co_name, code.co_firstlineno), ())
    if code.co_name != "<lambda>":
        return written[0] if written else None
    starts = {(line, column) for line, _, column, _ in code.co_positions()}
    return next((node for node in written if _inside(node, starts)), None)


def sides(predicate: Callable[..., Any], case: Any) -> tuple[str, ...]:
    """Return each comparison that a predicate makes of an exact case, with the values of both sides, a line each.

    Comparisons inside a comprehension are left out: they are many.

    Example:
        >>> sides(lambda x, least=2: x * x > least, Fraction(1, 3))  # a lambda of a file
        ()
    """
    lines: list[str] = []
    codes = {function.__code__ for function in functions_of(predicate)}

    def look(frame: FrameType, event: str, _: Any) -> None:
        if event == "return" and frame.f_code in codes and (node := node_of(frame.f_code)) is not None:
            for comparison in _within(node, ast.Compare):
                lines.extend(_shown(comparison, frame))

    _profiled(look, lambda: predicate(case))
    return tuple(dict.fromkeys(lines))[:MOST]


def divides_whole_numbers(frame: FrameType) -> str:
    """Return the first quotient of two whole numbers in a function that is about to return: a float; "" for none."""
    for written, above, below in _quotients(frame.f_code.co_filename, frame.f_code):
        if type(_computed(above, frame)) is int and type(_computed(below, frame)) is int:
            return written
    return ""


@lru_cache(maxsize=4096)
def _quotients(_: str, code: CodeType) -> tuple[tuple[str, CodeType, CodeType], ...]:
    """Return the quotients in a function of a file: as they are written, and the code of both sides."""
    node = node_of(code)
    found = [] if node is None else [part for part in _within(node, ast.BinOp) if isinstance(part.op, ast.Div)]
    return tuple((ast.unparse(part), _compiled(part.left), _compiled(part.right)) for part in found)


def functions_of(predicate: Callable[..., Any]) -> Iterator[FunctionType]:
    """Yield the function of a predicate and those of claims that it calls by name."""
    from theory.proof.reading import _functions  # noqa: PLC0415

    return _functions(predicate)


def _profiled(look: Callable[[FrameType, str, Any], None], compute: Callable[[], Any]) -> None:
    before = sys.getprofile()
    sys.setprofile(look)
    try:
        compute()
    except (ArithmeticError, LookupError):  # a case without a value has no sides
        pass
    finally:
        sys.setprofile(before)


@lru_cache(maxsize=256)
def _functions_in(file: str) -> dict[tuple[str, int], list[Any]]:
    """Return the functions of a file by their name and the line on which they, or their decorators, begin."""
    try:
        nodes: list[Any] = list(ast.walk(ast.parse(Path(file).read_text(encoding="utf-8"))))
    except (OSError, SyntaxError, ValueError):
        return {}
    found: dict[tuple[str, int], list[Any]] = {}
    for node in nodes:
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            found.setdefault((node.name, first), []).append(node)
        elif isinstance(node, ast.Lambda):
            found.setdefault(("<lambda>", node.lineno), []).append(node)
    return found


def _inside(node: ast.Lambda, starts: set[tuple[int | None, int | None]]) -> bool:
    own = {(part.lineno, part.col_offset) for part in ast.walk(node.body) if isinstance(part, ast.expr)}
    return bool(own & starts)


def _within(node: ast.AST, kind: type[ast.AST]) -> Iterator[Any]:
    """Yield the parts of a function of one kind, but not those of functions and comprehensions inside it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Outer):
            continue
        if isinstance(child, kind):
            yield child
        yield from _within(child, kind)


def _evaluated(node: ast.expr, frame: FrameType) -> Any:
    return _computed(_compiled(node), frame)


def _compiled(node: ast.expr) -> CodeType:
    return compile(ast.Expression(node), "<side>", "eval")


def _computed(code: CodeType, frame: FrameType) -> Any:
    try:
        return eval(code, frame.f_globals, frame.f_locals)
    except Exception:
        return None


def _shown(comparison: ast.Compare, frame: FrameType) -> Iterator[str]:
    signs = [SIGNS.get(type(sign)) for sign in comparison.ops]
    values = [_evaluated(part, frame) for part in (comparison.left, *comparison.comparators)]
    if None in signs or not all(isinstance(value, (int, Fraction, Surd, Ball)) for value in values):
        return
    between = [*(f" {sign} " for sign in signs), ""]
    truth = {True: ", true", False: ", false"}.get(_evaluated(comparison, frame), "")
    numbers = "".join(_value(value) + sign for value, sign in zip(values, between, strict=True))
    yield f"{ast.unparse(comparison)}:  {numbers}{truth}"


def _value(value: Any) -> str:
    if isinstance(value, FunctionType):
        return text_of(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(_value, value))})"
    words = str(value)
    if isinstance(value, (int, Fraction)) and len(words) > LONG:
        return f"{float(value):.6g} (rounded)"
    return words
