import pytest
import sympy as sp

from theory.sun2025.floor import W
from theory.sun2025.minimum import LAMBERT, at_the_minimum
from theory.sun2025.silu import X, silu, softplus


@pytest.mark.parametrize("curve", [silu(X), softplus(X), sp.diff(silu(X), X, 2), sp.diff(silu(X), X, 3), X * silu(-X)])
def test_at_the_minimum_is_the_value_there(curve: sp.Expr) -> None:
    closed = at_the_minimum(curve).subs(LAMBERT, W).evalf()
    assert float(closed) == pytest.approx(float(curve.subs(X, -1 - W).evalf()), rel=1e-12)
