"""e^0 and log 1 are exact numbers, also after a division; what the solver is told of sums and of Wright's omega."""

from collections.abc import Callable
from fractions import Fraction as F
from typing import Any

from theory.proof import Ball, Named, Numbers, exp, log, omega, prove, setting, world_of
from theory.proof.symbols import Truth


def test_half_is_a_fraction_and_no_float() -> None:
    half = 1 / (1 + exp(0))
    assert isinstance(half, F)
    assert half == F(1, 2)
    assert Ball.of(half) * 2 == 1
    assert log(1) == 0
    assert isinstance(log(F(1)), F)


TWO = world_of("any real a, b", a="real", b="real")


def test_the_solver_knows_the_exponential_of_a_sum() -> None:
    # e^a may be at most 1, or e^b may be: neither alone bounds e^(a + b), only the product does
    def product(c: Named, share: F = F(1)) -> Truth:
        return exp(c.a + c.b) == share * exp(c.a) * exp(c.b)

    assert _proved(product)
    assert not _proved(product, share=F(11, 10))
    assert _proved(lambda c: exp(2 * c.a) == exp(c.a) ** 2)
    assert _proved(lambda c: exp(c.a - c.b) * exp(c.b) == exp(c.a))
    assert not _proved(lambda c: exp(2 * c.a) == exp(c.a) * exp(c.b))
    assert not _proved(lambda c: exp(2 * c.a + c.b) == exp(c.a) * exp(c.b))


def test_the_order_in_which_the_points_are_met_does_not_matter() -> None:
    assert _proved(lambda c: exp(c.a) * exp(c.b) == exp(c.a + c.b))
    assert _proved(lambda c: exp(c.b) * exp(c.a - c.b) == exp(c.a))
    assert not _proved(lambda c: exp(c.b) * exp(c.a - c.b) == exp(c.a) + 1)


def _proved(statement: Callable[..., Any], **change: Any) -> bool:
    return prove(statement, TWO, witness=False, **change).verdict == "proved"


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
