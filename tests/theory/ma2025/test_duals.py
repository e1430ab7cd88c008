from fractions import Fraction as F

import pytest
import sympy as sp
import torch
from hypothesis import given, settings, strategies as st

from theory.ma2025.duals import Dual, exponentials, softmax, variables

exactly = settings(derandomize=True, deadline=None, max_examples=60)
positive = st.fractions(F(1, 9), 9, max_denominator=9)


def expression(a, b):
    """Return a function that uses every operation, on anything that has arithmetic."""
    return (3 - a * b**2) / (1 + a) + 2 / (b + a) - (a - b) * a / 5 + b**-2


@exactly
@given(positive, positive)
def test_every_operation_agrees_with_sympy(a: F, b: F) -> None:
    x, y = sp.symbols("x y")
    at = {x: sp.Rational(a.numerator, a.denominator), y: sp.Rational(b.numerator, b.denominator)}
    dual = expression(*variables([a, b]))
    expected = [expression(x, y), *(sp.diff(expression(x, y), v) for v in (x, y))]
    for found, wanted in zip((dual.value, *dual.slope), expected, strict=True):
        assert sp.Rational(found.numerator, found.denominator) == wanted.subs(at)


@exactly
@given(st.lists(positive, min_size=2, max_size=5))
def test_softmax_agrees_with_autograd(weights: list[F]) -> None:
    s = torch.tensor([float(w) for w in weights], dtype=torch.float64).log()
    expected = torch.autograd.functional.jacobian(lambda x: torch.softmax(x, 0), s)
    found = torch.tensor([[float(a) for a in p.slope] for p in softmax(weights)], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-15)


@exactly
@given(st.lists(positive, min_size=2, max_size=5))
def test_probabilities_sum_to_one_with_no_slope_and_unnormalised_ones_do_not(weights: list[F]) -> None:
    p = softmax(weights)
    total = sum(p[1:], p[0])
    assert total == Dual(F(1), (F(0),) * len(p))
    raw = exponentials(weights)
    assert any(sum(raw[1:], raw[0]).slope)


@exactly
@given(positive, positive)
def test_log_slope_and_detach(a: F, b: F) -> None:
    x, y = variables([a, b])
    assert (x**3 * y).log_slope == (3 / a, 1 / b)
    assert (x.detached() * y).slope == (0, a)
    assert (x * y).slope == (b, a)


def test_a_pole_is_an_error_and_not_a_number() -> None:
    (x,) = variables([0])
    with pytest.raises(ZeroDivisionError):
        1 / x
