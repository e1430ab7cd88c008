"""The points at which an identity is tried are values of its symbols, as what is assumed of these allows."""

from typing import Any

import pytest
import sympy as sp

from theory.proof.calculus import prove_identity, same
from theory.proof.points import POINTS, problem_at_points, values_at

SIGNS = ["positive", "negative", "real", "nonnegative", "nonpositive", "zero"]
KINDS = [*SIGNS, "integer", "even", "odd", "rational", "complex", "finite", "prime"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_value_is_of_the_kind_that_is_assumed(kind: str) -> None:
    symbol = sp.Symbol("s", **{kind: True})
    values = [values_at(symbol, point) for point in range(POINTS)]
    allowed = [one for one in values if one is not None]
    assert all(getattr(one[symbol], f"is_{kind}") for one in allowed)
    assert len(allowed) == POINTS or kind == "prime"


def test_every_value_of_several_assumptions_meets_them_all() -> None:
    symbol = sp.Symbol("s", odd=True, negative=True)
    for point in range(POINTS):
        values = values_at(symbol, point)
        assert values is not None
        assert values[symbol] % 2 == 1
        assert values[symbol] < 0


TRUE_OF_ITS_KIND: list[tuple[str, Any]] = [  # and false of other numbers
    ("nonnegative", lambda n: same(sp.LambertW(n * sp.exp(n)), n)),
    ("odd", lambda n: same(sp.floor(n / 2), (n - 1) / 2)),
    ("odd", lambda n: same((sp.Mod(n, 4) - 1) * (sp.Mod(n, 4) - 3), 0)),
    ("zero", lambda n: same(n * 7, n)),
    ("imaginary", lambda n: same(sp.Abs(n) ** 2, -(n**2))),
]


@pytest.mark.parametrize(("kind", "statement"), TRUE_OF_ITS_KIND)
def test_what_is_true_is_not_refuted_by_values_that_are_excluded(kind: str, statement: Any) -> None:
    assert prove_identity(statement, {"n": kind}).verdict in ("proved", "undecided")
    if kind != "imaginary":
        assert prove_identity(statement, {"n": "real"}).verdict == "refuted"


def test_where_no_value_is_allowed_nothing_is_decided() -> None:
    assert prove_identity(lambda n: same(sp.Abs(n), n), {"n": "imaginary"}).verdict == "undecided"
    assert prove_identity(lambda n: same(n - n, n), {"n": "prime"}).verdict in ("undecided", "refuted")


def test_an_integral_that_is_left_lends_no_value_to_what_has_none() -> None:
    x, y, t = sp.symbols("x y t", positive=True)
    left = sp.Integral(sp.exp(sp.exp(t**2)), (t, 1, 2))
    for zero in (sp.log(3 * x) - sp.log(x) - sp.log(3), (x + 1) ** 2 - x**2 - 2 * x - 1):
        problem = problem_at_points((1 + y) * left / zero - left / zero - y * left / zero)
        assert problem is not None
        assert "no value" in problem[1]
    assert problem_at_points((1 + y) * left / (x + 1) - left / (x + 1) - y * left / (x + 1)) is None
