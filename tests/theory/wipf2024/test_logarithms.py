"""Sums of logarithms compared without rounding."""

from fractions import Fraction as F

import mpmath
import pytest
from hypothesis import assume, given, settings, strategies as st

from dynamics.errors import InvalidArgument
from theory.wipf2024.logarithms import ROUNDING, ZERO, Logs, log, power

positive = st.fractions(min_value=F(1, 1000), max_value=1000, max_denominator=1000)
coefficients = st.fractions(min_value=-20, max_value=20, max_denominator=50)
sums = st.lists(st.tuples(coefficients, positive), max_size=6).map(lambda terms: Logs(tuple(terms)))
rationals = st.fractions(min_value=-50, max_value=50, max_denominator=100)


def in_digits(value: Logs, digits: int = 60) -> mpmath.mpf:
    with mpmath.workdps(digits):
        parts = [
            mpmath.mpf(c.numerator) / c.denominator * mpmath.log(mpmath.mpf(a.numerator) / a.denominator)
            for c, a in value.terms
        ]
        return mpmath.fsum(parts) + mpmath.mpf(value.constant.numerator) / value.constant.denominator


def sign(value: mpmath.mpf) -> int:
    return (value > 0) - (value < 0)


@settings(max_examples=50)
@given(sums, rationals)
def test_signs_agree_with_sixty_digits(a: Logs, constant: F) -> None:
    value = in_digits(a + constant)
    exact = (a + constant).sign()
    # a sum that vanishes exactly shows as rounding error of 60 digits
    assert exact == (0 if abs(value) < mpmath.mpf(10) ** -50 else sign(value))


@settings(max_examples=50)
@given(sums, rationals)
def test_the_float_is_within_its_bound(a: Logs, constant: F) -> None:
    total, bound = (a + constant)._approximation
    assert abs(in_digits(a + constant) - total) <= bound


@settings(max_examples=50)
@given(sums, sums, coefficients)
def test_arithmetic(a: Logs, b: Logs, factor: F) -> None:
    assert a + b == b + a
    assert (a + b) * factor == factor * a + factor * b
    assert a - a == ZERO == 0 * a
    assert a - b == -(b - a)
    assert 1 - a == -(a - 1)


@given(positive, positive)
def test_logarithm_of_products_and_powers(a: F, b: F) -> None:
    assert log(a * b) == log(a) + log(b)
    assert log(a / b) == log(a) - log(b)
    assert log(a**7) / 7 == log(a)
    assert (log(a) < log(b)) == (a < b)
    assert (log(a) <= log(b)) == (a <= b)
    assert (log(a) > log(b)) == (a > b)
    assert (log(a) >= log(b)) == (a >= b)


def convergents(count: int) -> list[tuple[int, int]]:
    """Convergents p/q of ln 3 / ln 2, which alternate around it and get as near as 1/q^2."""
    with mpmath.workdps(200):
        x, found = mpmath.log(3) / mpmath.log(2), [(1, 0)]
        before = (0, 1)
        for _ in range(count):
            whole = int(mpmath.floor(x))
            p, q = found[-1]
            found.append((whole * p + before[0], whole * q + before[1]))
            before = (p, q)
            x = 1 / (x - whole)
    return found[1:]


def test_near_ties_beyond_floats_are_decided() -> None:
    found = convergents(60)
    signs = [(q * log(3) - p * log(2)).sign() for p, q in found]
    assert signs == [1, -1] * 30
    p, q = found[-1]
    difference = q * log(3) - p * log(2)
    assert abs(float(difference)) < ROUNDING * 8 * p  # floats can not tell


def test_a_rational_is_never_a_logarithm() -> None:
    near = F(693147180559945309417232121458, 10**30)  # ln 2 to 30 digits, rounded down
    assert near < log(2) < near + F(1, 10**30)
    assert log(2) != near


def test_equality_with_other_things() -> None:
    assert log(2) != "0.693"
    assert log(1) == 0
    with pytest.raises(TypeError):
        hash(log(2))


@given(positive, st.integers(-5, 5))
def test_half_powers_of_squares(root: F, n: int) -> None:
    assert power(root**2, F(n, 2)) == root**n
    assert power(root, n) == root**n


@given(positive)
def test_irrational_powers_are_refused(base: F) -> None:
    numerator, denominator = (round(n**0.5) ** 2 == n for n in (base.numerator, base.denominator))
    assume(not (numerator and denominator))
    with pytest.raises(InvalidArgument, match="square"):
        power(base, F(1, 2))


@pytest.mark.parametrize("argument", [0, -1, F(-1, 3)])
def test_logarithms_of_nothing_are_refused(argument: F) -> None:
    with pytest.raises(InvalidArgument, match="argument"):
        log(argument)


@pytest.mark.parametrize(("base", "exponent"), [(0, 1), (-4, F(1, 2)), (4, F(1, 3))])
def test_powers_out_of_range_are_refused(base: int, exponent: F) -> None:
    with pytest.raises(InvalidArgument, match="base"):
        power(base, exponent)
