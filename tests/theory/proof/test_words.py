"""What is printed of a formula, read back, is that formula."""

from __future__ import annotations

import math
import re
from fractions import Fraction as F
from typing import Any

import pytest
import z3
from hypothesis import given, strategies as st

from theory.proof import exp, log, sqrt
from theory.proof.symbols import Number, Run, Truth
from theory.proof.words import rendered

VALUES = {"x": 0.7, "y": 1.3, "r": 2.9, "s": 0.21}
Tree = Any

NUMBERS = st.one_of(
    st.sampled_from([*VALUES]), st.sampled_from([F(-3), F(-1, 2), F(0), F(1), F(1, 3), F(2), F(5, 7)]).map(lambda v: v)
)
SHAPES = st.recursive(
    NUMBERS,
    lambda part: st.one_of(
        st.tuples(st.sampled_from("+-*/"), part, part),
        st.tuples(st.sampled_from(["neg", "sqrt", "log", "exp"]), part),
        st.tuples(st.sampled_from([2, 3]), part),
    ),
    max_leaves=9,
)
SIGNS = ["<", "<=", ">", ">=", "==", "!="]
TRUTHS = st.recursive(
    st.tuples(st.sampled_from(SIGNS), SHAPES, SHAPES),
    lambda part: st.one_of(
        st.tuples(st.sampled_from(["&", "|", "iff", "xor"]), part, part), st.tuples(st.just("not"), part)
    ),
    max_leaves=4,
)


def run_without_questions() -> Run:
    return Run(z3.Context(), [False] * 1000, lambda _: True)  # no divisor is zero, nothing under a root is negative


def in_symbols(tree: Tree, run: Run) -> Any:
    if isinstance(tree, str):
        return Number(run, run.names[tree]) if tree in run.names else run.real(tree)
    if isinstance(tree, F):
        return Number(run, run.constant(tree))
    kind, *parts = tree
    return combined(kind, *(in_symbols(part, run) for part in parts), roots=(sqrt, log, exp))


def in_floats(tree: Tree) -> Any:
    if isinstance(tree, (str, F)):
        return VALUES[tree] if isinstance(tree, str) else float(tree)
    kind, *parts = tree
    return combined(kind, *map(in_floats, parts), roots=(math.sqrt, math.log, math.exp))


def combined(kind: Any, a: Any, b: Any = None, *, roots: Any) -> Any:
    root, logarithm, exponential = roots
    ways = {
        "+": lambda: a + b,
        "-": lambda: a - b,
        "*": lambda: a * b,
        "/": lambda: a / b,
        "neg": lambda: -a,
        "sqrt": lambda: root(a),
        "log": lambda: logarithm(a),
        "exp": lambda: exponential(a),
        2: lambda: a**2,
        3: lambda: a**3,
        "<": lambda: a < b,
        "<=": lambda: a <= b,
        ">": lambda: a > b,
        ">=": lambda: a >= b,
        "==": lambda: a == b,
        "!=": lambda: a != b,
        "&": lambda: a & b,
        "|": lambda: a | b,
        "iff": lambda: a == b,
        "xor": lambda: a ^ b,
        "not": lambda: ~a if isinstance(a, Truth) else not a,
    }
    return ways[kind]()


def read_back(text: str) -> Any:
    """Return the value of what is printed, read by Python's own rules of precedence."""
    code = re.sub(r"(?<![\w.])e\^\(", "exp(", text).replace("^", "**")
    code = re.sub(r"(?<![<>!=])=(?!=)", "==", code)
    names = {"exp": math.exp, "log": math.log, "sqrt": math.sqrt, "true": True, "false": False}
    return eval(code, {"__builtins__": {}}, names | VALUES | {"xor": lambda a, b: a != b})


def printed(tree: Tree) -> str:
    run = run_without_questions()
    return rendered(run, in_symbols(tree, run).term)


@given(SHAPES)
def test_a_number_reads_back(tree: Tree) -> None:
    try:
        value = in_floats(tree)
        text = printed(tree)
    except (ArithmeticError, ValueError):  # it has no value
        return
    assert read_back(text) == pytest.approx(value, rel=1e-6, abs=1e-9), text


@given(TRUTHS)
def test_a_truth_value_reads_back(tree: Tree) -> None:
    try:
        value = in_floats(tree)
        text = printed(tree)
    except (ArithmeticError, ValueError):
        return
    if not near_a_tie(tree):
        assert read_back(text) == value, text


def near_a_tie(tree: Tree) -> bool:
    kind, *parts = tree
    if kind not in SIGNS:
        return any(map(near_a_tie, parts))
    left, right = map(in_floats, parts)
    return abs(left - right) <= 1e-6 * (1 + abs(left) + abs(right))


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        (("neg", ("+", F(1), "r")), "-(1 + r)"),
        (("+", "x", ("neg", ("+", F(1), "r"))), "x - (1 + r)"),
        (("*", "x", ("neg", "r")), "x*(-r)"),
        (("+", "x", ("*", F(-2), "r")), "x - 2*r"),
        (("-", "x", ("*", F(-1, 2), "r")), "x - (-1/2*r)"),
        ((2, ("*", F(1, 2), "x")), "(1/2)^2*x^2"),
        (("-", "x", F(-1, 2)), "x - (-1/2)"),
        ((2, ("/", "x", ("+", "x", "y"))), "(x/(x + y))^2"),
        ((2, F(1, 3)), "(1/3)^2"),
        ((2, F(-3)), "(-3)^2"),
        ((2, ("*", "x", "y")), "x^2*y^2"),
        ((2, ("exp", "x")), "(e^(x))^2"),
        ((2, ("+", "x", "y")), "(x + y)^2"),
        (("/", "x", ("/", "y", "r")), "x/(y/r)"),
        (("/", "x", F(1, 3)), "x/(1/3)"),
        (("iff", ("<", "x", "y"), ("<", "r", "s")), "(x < y) = (r < s)"),
        (("not", ("<", "x", "y")), "x >= y"),
        (("not", ("&", ("<", "x", "y"), ("<", "r", "s"))), "not (x < y and r < s)"),
        (("&", ("|", ("<", "x", "y"), ("<", "r", "s")), ("<", "x", "s")), "(x < y or r < s) and x < s"),
    ],
)
def test_brackets_stand_where_they_are_needed(tree: Tree, text: str) -> None:
    assert printed(tree) == text


def test_a_formula_that_is_printed_wrong_would_be_seen() -> None:
    assert read_back("-1 + r") != pytest.approx(in_floats(("neg", ("+", F(1), "r"))))
    assert read_back("x/(x + y)^2") != pytest.approx(in_floats((2, ("/", "x", ("+", "x", "y")))))
