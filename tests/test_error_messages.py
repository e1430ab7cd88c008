"""Errors of bad input have one of two forms: a value and what is allowed, or a sentence that says what is wrong.

"runs: got none; allowed: at least one" forces a sentence into the form of the other kind.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("dynamics", "toy_models", "figures", "theory")
MEASURES = re.compile(r"(a tensor of )?(\{\} )?(of )?(shapes?|axes|on) |a tensor of ")
"""How a text begins that stands for a value: it gives the shape of an array, or its dtype and shape."""
NOT_VALUES = re.compile(
    r"(a )?(smaller|larger|different|more|fewer)\b|one of the two|at least one$|none\b", re.IGNORECASE
)
"""What cannot follow the word "allowed": it describes no values, but says what to do."""


def texts(node: ast.expr, function: ast.AST) -> Iterator[str]:
    """Yield the texts that an expression may be, with {} for what is computed; names are looked up in a function."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=values):
            yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in values)
        case ast.IfExp(body=body, orelse=other):
            yield from texts(body, function)
            yield from texts(other, function)
        case ast.BinOp(left=left):
            yield from texts(left, function)
        case ast.Call(func=ast.Name(id="str"), args=[ast.Name(id="problem")]):
            yield "{}"
        case ast.Name(id=name):
            for assigned in ast.walk(function):
                if isinstance(assigned, ast.Assign) and any(getattr(t, "id", "") == name for t in assigned.targets):
                    yield from texts(assigned.value, function)


def complaints(source: str) -> list[str]:
    """Return what is wrong with the InvalidArguments of a module, with the line."""
    found = []
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef):
            continue
        for call in ast.walk(function):
            if not isinstance(call, ast.Call) or getattr(call.func, "id", "") != "InvalidArgument":
                continue
            _, said, *allowed = call.args
            if allowed:
                forced = [text for text in texts(said, function) if not MEASURES.match(text)]
                forced += [text for text in texts(allowed[0], function) if NOT_VALUES.match(text)]
            else:
                own = [text for text in texts(said, function) if text != "{}"]  # {}: the sentence of another error
                forced = [text for text in own if len(text.split()) < 2 or "allowed:" in text]
            found += [f"{call.lineno}: {text}" for text in forced]
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_no_sentence_is_forced_into_the_form_of_a_value(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert sum(path.read_text(encoding="utf-8").count("InvalidArgument(") for path in files) > 10
    assert {str(path): found for path in files if (found := complaints(path.read_text(encoding="utf-8")))} == {}


@pytest.mark.parametrize(
    ("arguments", "good"),
    [
        ('"runs", "none", "at least one run"', False),
        ('"runs", "the list is empty; give at least one"', True),
        ('"x", x, "a finite number > 0"', True),
        ('"x", x.tolist(), "numbers >= 0"', True),
        ('"rate", rate, "a smaller one: this step overflows"', False),
        ('"x", f"shape {tuple(x.shape)}", "shape (3,)"', True),
        ('"x", f"{x.dtype} of shape {tuple(x.shape)}", "torch.int64 of shape (3,)"', True),
        ('"x", f"a function that raises {problem}", "a function"', False),
        ('"x", str(problem), "a function that autograd can differentiate"', False),
        ('"x", str(path), "the path of a file"', True),
        ('"x", "wrong"', False),
        ('"x", what, "one of the two"', False),
        ('"x", what, "numbers"', False),
    ],
)
def test_the_checker_of_forms_sees_a_forced_sentence(arguments: str, good: bool) -> None:
    source = f'def f(x, path, rate, problem):\n    what = "both of them"\n    raise InvalidArgument({arguments})\n'
    assert (complaints(source) == []) is good
