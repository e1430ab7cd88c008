"""The fit of a slope passes on the truth and fails on a wrong order; cases are printed exactly."""

from fractions import Fraction as F

import pytest

from dynamics.errors import InvalidArgument
from theory.evidence import Evidence, fitted_order, show


def test_slope_tells_orders_apart() -> None:
    evidence = Evidence()
    evidence.slope(lambda h: h**2, 2, control=lambda h: h)
    evidence.slope(lambda h: h**1.5, 2, control=lambda h: h)
    evidence.slope(lambda h: h**2, 2, control=lambda h: 5 * h**2)
    assert [(f.passed, f.control) for f in evidence.findings] == [(True, True), (False, True), (True, False)]


@pytest.mark.parametrize("residual", [lambda h: 0.0, lambda h: float("nan"), lambda h: -h])
def test_a_slope_of_nothing_is_refused(residual) -> None:
    with pytest.raises(InvalidArgument, match="residual"):
        fitted_order(residual, [0.1, 0.01])


def test_cases_print_as_fractions() -> None:
    assert show({"p": (F(1, 2), F(1, 2)), "n": 3}) == "p = (1/2, 1/2), n = 3"
