from fractions import Fraction as F

import pytest

from theory.ma2025.imbalance import BALANCED, NEGATIVE, POSITIVE, kind


@pytest.mark.parametrize(
    ("chosen", "rejected", "expected"),
    [
        (-2, 2, BALANCED),
        (2, -2, BALANCED),
        (-3, 2, POSITIVE),
        (-2, 3, NEGATIVE),
        (2, 2, NEGATIVE),  # equal sizes with equal signs: "else", as Definition 1 is printed
    ],
)
def test_the_three_cases_of_definition_1(chosen: int, rejected: int, expected: str) -> None:
    assert kind(F(chosen), F(rejected)) == expected
