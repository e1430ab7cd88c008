import pytest

from theory.ma2025.figure_1 import ROWS, extremes, imbalance, outside, panel
from theory.proof.balls import midpoint
from toy_models import gaussian_preferences as toy


@pytest.mark.parametrize(
    ("row", "uniform", "shiftless"), list(zip(ROWS, (0.261, 0.802, 0.195), (2.32, 2.46, 2.23), strict=True))
)
def test_dispersion(row: tuple[int, int], uniform: float, shiftless: float) -> None:
    assert midpoint(panel(row, shiftless=False).dispersion) == pytest.approx(uniform, abs=6e-4)
    assert midpoint(panel(row, shiftless=True).dispersion) == pytest.approx(shiftless, abs=6e-3)


@pytest.mark.parametrize("shiftless", [False, True])
def test_panels_are_those_of_the_toy(shiftless: bool) -> None:
    for row in ROWS:
        at, world = panel(row, shiftless=shiftless), toy.GaussianWorld(*row)
        sampling: toy.Sampling = "shiftless" if shiftless else "uniform"
        expected = toy.fitness(world.log_policy, world.log_utility, sampling)
        found = [midpoint(w) for w in at.w]
        scale = expected.abs().max().item() / max(map(abs, found))
        assert [w * scale for w in found] == pytest.approx(expected.tolist(), abs=1e-10)
        assert extremes(at.w) == (expected.argmin().item(), expected.argmax().item())
        ratio = toy.imbalance(world.log_policy, world.log_utility, sampling)
        assert midpoint(imbalance(row, shiftless=shiftless)) == pytest.approx(ratio, rel=1e-10)


@pytest.mark.parametrize(
    ("row", "w", "product"), list(zip(ROWS, (0.579, 0.198, 0.669), (0.05, 0.019, 0.07), strict=True))
)
def test_shares_outside(row: tuple[int, int], w: float, product: float) -> None:
    at = panel(row, shiftless=False)
    assert midpoint(outside(at.w, at.modes)) == pytest.approx(w, abs=6e-4)
    assert midpoint(outside(at.product, at.modes)) == pytest.approx(product, abs=6e-4)
