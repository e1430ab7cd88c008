"""e^0 and log 1 are exact numbers, also after a division; what the solver is told of Wright's omega function."""

from fractions import Fraction as F

from theory.proof import Ball, Numbers, exp, log, omega, prove, setting


def test_half_is_a_fraction_and_no_float() -> None:
    half = 1 / (1 + exp(0))
    assert isinstance(half, F)
    assert half == F(1, 2)
    assert Ball.of(half) * 2 == 1
    assert log(1) == 0
    assert isinstance(log(F(1)), F)


@setting("any x")
def anywhere(numbers: Numbers) -> F:
    """Every real number."""
    return numbers.real("x")


def test_omega_is_its_logarithm_less_than_its_argument() -> None:
    """Of omega(x) the solver knows w + log w = x, so that it is positive and rises, and no more than is true."""
    assert prove(lambda x: omega(x) > 0, anywhere).verdict == "proved"
    assert prove(lambda x: omega(x + 1) > omega(x), anywhere).verdict == "proved"
    assert prove(lambda x: omega(x) <= exp(x), anywhere).verdict == "proved"
    assert prove(lambda x: omega(x) < 1, anywhere).verdict == "refuted"
    assert prove(lambda x: omega(x) == omega(x + 1), anywhere, witness=False).verdict == "refuted"
    assert prove(lambda x: omega(x) <= exp(x - 1), anywhere, witness=False).verdict == "refuted"
    for x in (F(-30), F(-1), F(0), F(1), F(7, 2)):
        w = omega(x)
        assert abs(w + log(w) - x) < F(1, 10**12)
