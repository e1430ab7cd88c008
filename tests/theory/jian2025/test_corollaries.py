"""The exact comparisons with square roots against float64."""

import math
import random
from fractions import Fraction as F

from hypothesis import assume, given, strategies as st

from theory.jian2025.cases import EVEN_PAIR, ladder
from theory.jian2025.corollary_1 import eq_4, eq_5
from theory.jian2025.corollary_2 import eq_46, eq_49
from theory.jian2025.corollary_2_mended import leads
from theory.proof.families import draw_policy
from theory.worlds import World

worlds = st.integers(0, 10**6).map(lambda seed: draw_policy(random.Random(seed)))
shares = st.fractions(-2, 2, max_denominator=10)


def vectors(w: World) -> tuple[list[float], list[float]]:
    return [float(a) for a in w.scores[w.chosen]], [float(a) for a in w.scores[w.rejected]]


def sign(value: float) -> int:
    assume(abs(value) > 1e-9)  # closer to 0 float64 cannot tell, the fractions can
    return 1 if value > 0 else -1


@given(worlds, shares)
def test_corollary_1_against_floats(w: World, share: F) -> None:
    g_w, g_l = (math.hypot(*g) for g in vectors(w))
    p_w, p_l = float(w.p[w.chosen]), float(w.p[w.rejected])
    lower = p_w * (g_w**2 - float(share) * g_w * g_l)
    upper = p_l * (float(share) * g_w * g_l - g_l**2)
    assert eq_4(w, share) == (sign(float(w.D_w) - lower) > 0)
    assert eq_5(w, share) == (sign(float(w.D_l) - upper) < 0)


@given(worlds, st.fractions(F(1, 10), 3, max_denominator=10))
def test_eq_49_against_floats(w: World, beta: F) -> None:
    g_w, g_l = vectors(w)
    p_w, p_l = float(w.p[w.chosen]), float(w.p[w.rejected])
    square = sum((math.sqrt(p_w) * a - math.sqrt(p_l) * b) ** 2 for a, b in zip(g_w, g_l, strict=True))
    assert eq_49(w, beta) == (sign(float(beta * (w.D_w - w.D_l)) - square) > 0)


@given(worlds)
def test_eq_46_multiplies_an_inequality_by_the_inner_product(w: World) -> None:
    inner = float(w.kernel(w.chosen, w.rejected))
    p_w, p_l = float(w.p[w.chosen]), float(w.p[w.rejected])
    assert eq_46(w) == (sign((p_w + p_l - 2 * math.sqrt(p_w * p_l)) * inner) > 0)


def test_even_pairs_attain_the_bounds() -> None:
    # g_w = -g_l: the gap is 1, the square 1, and arithmetic and geometric mean agree
    assert EVEN_PAIR.D_w - EVEN_PAIR.D_l == 1
    assert eq_46(EVEN_PAIR)
    assert eq_49(EVEN_PAIR)
    assert not eq_49(EVEN_PAIR, beta=F(999, 1000))


def test_leads_looks_along_the_step() -> None:
    assert not leads(ladder(1))
    assert leads(World.log_linear([[3], [2], [0]], at=[1]))
