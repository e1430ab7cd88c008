import math

import pytest
import sympy as sp
from hypothesis import given, settings, strategies as st

from theory.sun2025.curves import X, silu, softplus
from theory.sun2025.floor import W, target_log_ratio
from theory.sun2025.minimum import LAMBERT, at_the_minimum, numerical_target, rounds_to

SETTINGS = settings(derandomize=True, deadline=None, max_examples=50)


@pytest.mark.parametrize("curve", [silu(X), softplus(X), sp.diff(silu(X), X, 2), sp.diff(silu(X), X, 3), X * silu(-X)])
def test_at_the_minimum_is_the_value_there(curve: sp.Expr) -> None:
    closed = at_the_minimum(curve).subs(LAMBERT, W).evalf()
    assert float(closed) == pytest.approx(float(curve.subs(X, -1 - W).evalf()), rel=1e-12)


@given(st.floats(0.5, 5.0), st.floats(0.0, 3.0), st.integers(1, 8))
@SETTINGS
def test_search_finds_the_closed_form_for_every_length(beta: float, gamma: float, length: int) -> None:
    found = numerical_target(beta, gamma, length)
    assert found == pytest.approx(length * target_log_ratio(beta, gamma), abs=1e-5 * length)


def test_rounds_to() -> None:
    assert rounds_to(math.pi, "3.14")
    assert not rounds_to(math.pi, "3.15")
    assert rounds_to(3.7113, "3.7")
    assert rounds_to(4.0, "4")
