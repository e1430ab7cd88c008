from fractions import Fraction as F

import pytest

from theory.ma2025.imbalance import BALANCED, NEGATIVE, POSITIVE, figure_1_ratio, kind
from toy_models.gaussian_preferences import GaussianWorld, imbalance


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


@pytest.mark.parametrize("means", [(45, 55), (30, 70), (48, 52)])
@pytest.mark.parametrize("sampling", ["uniform", "shiftless"])
def test_ratios_of_figure_1_agree_with_the_toy_world(means: tuple[int, int], sampling: str) -> None:
    world = GaussianWorld(*means)
    expected = imbalance(world.log_policy, world.log_utility, sampling)
    found = figure_1_ratio(*means, shiftless=sampling == "shiftless")
    assert found == pytest.approx(expected, rel=1e-10)
    assert found != pytest.approx(figure_1_ratio(*means, shiftless=sampling != "shiftless"), rel=0.1)
