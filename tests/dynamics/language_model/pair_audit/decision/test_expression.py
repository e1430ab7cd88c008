"""Expressions over columns: what they mean, and that nothing else gets through."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, strategies as st

from dynamics import InvalidArgument
from dynamics.language_model.pair_audit.decision.expression import parse

NAMES = ["a", "b", "x", "y"]
ATOMS = st.sampled_from(
    [
        "a",
        "b",
        "x < 1",
        "x >= y",
        "x + y > 2 * x",
        "-x != y",
        "0 < x <= 2",
        "abs(x) > 1",
        "True",
        "x in (1, -2)",
        "x not in [0]",
    ]
)
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        inner.map("not ({})".format),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
    ),
    max_leaves=6,
)
ROWS = st.fixed_dictionaries(
    {"a": st.booleans(), "b": st.booleans(), "x": st.integers(-3, 3), "y": st.floats(-3, 3, allow_nan=False)}
)


@given(EXPRESSIONS, ROWS)
def test_an_expression_means_what_it_means_in_python(text: str, row: dict[str, Any]) -> None:
    assert parse(text, NAMES).holds(row) == bool(eval(text, {"__builtins__": {"abs": abs}}, row))


@given(EXPRESSIONS, ROWS)
def test_a_reason_names_a_part_that_is_not_true(text: str, row: dict[str, Any]) -> None:
    found = parse(f"({text}) and (a or b)", NAMES)
    if not found.holds(row):
        part, _, rest = found.reason(row).rpartition(" (")
        assert not parse(part, NAMES).holds(row)
        assert rest.endswith(")")


def test_a_missing_value_makes_comparisons_false_and_zero_divides_to_nothing() -> None:
    row = {"x": None, "y": 0}
    assert not parse("x < 1", NAMES).holds(row)
    assert not parse("x >= 1", NAMES).holds(row)
    assert parse("not x < 1", NAMES).holds(row)
    assert not parse("1 / y > 0", NAMES).holds(row)
    assert not parse("x", NAMES).holds(row)
    assert math.isnan(parse("min(x, 1 / y)", NAMES).number(row))
    assert parse("x < 1", NAMES).reason(row) == "x < 1 (x is missing)"
    assert not parse("x in (1, 2)", NAMES).holds(row)
    assert parse("x not in (1, 2)", NAMES).holds(row)
    assert parse("x not in (1)", NAMES).holds({"x": 2})
    assert not parse("x not in (1)", NAMES).holds({"x": 1})
    assert parse("x in (1)", NAMES).holds({"x": 1})
    assert parse("y not in (0, 12345)", NAMES).reason({"y": 12345}) == "y not in (0, 12345) (y is 12345)"


@pytest.mark.parametrize(
    "text",
    [
        *("__import__('os').system('true')", "a.__class__", "a[0]", "[a for a in b]", "lambda: 1", "(a := 1)"),
        *("'text'", "f'{a}'", "a if b else x", "x ** 9", "x // 2", "x % 2", "~x", "a is b", "a in b", "print(a)"),
        *(
            "x in (1, 'a')",
            "x in (1, (2, 3))",
            "x in ('a')",
            "x in (1, 2) in (3, 4)",
            "1 < x in (1, 2)",
            "(1, 2) == (1, 2)",
            "x < (1, 2)",
        ),
        *("abs", "abs(x, y)", "min(x)", "abs(*a)", "min(x, y, key=a)", "1e999", "9" * 400, "...", "None", "", "a b"),
        *("a\nb", "1j", "\0", "a" * 2000, "(" * 300 + "a" + ")" * 300, "{a}", "a, b", "yield a", "a; b"),
    ],
)
def test_nothing_else_is_allowed(text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse(text, NAMES)
    assert refused.value.argument == "keep"


@pytest.mark.parametrize("text", ["not " * 200 + "a", "x" + " + x" * 240 + " > 0", "-" * 80 + "x > 0"])
def test_a_deep_expression_is_no_harm(text: str) -> None:
    assert parse(text, NAMES).holds({"a": True, "x": 1})


def test_an_unknown_column_is_named_with_those_that_exist() -> None:
    with pytest.raises(InvalidArgument, match="there is no column z; the columns are a, b, x, y"):
        parse("not z", NAMES)
