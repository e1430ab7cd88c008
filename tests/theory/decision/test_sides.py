"""Both sides of a comparison, as formula and as number, and the same truth as without them."""

import random
from fractions import Fraction as F

import pytest
from hypothesis import given, strategies as st

from theory.decision.decide import decide
from theory.decision.recipes import KINDS, Bounds, draw
from theory.decision.sides import sides_of
from theory.decision.typeset import decision_html, decision_latex, formula_html, formula_latex, side_latex
from theory.proof import Named, exp, holds_at, sqrt
from theory.worlds import World

LADDER = World.log_linear([[0], [1], [2]], at=[3])


@pytest.mark.parametrize(
    ("predicate", "shown"),
    [
        (lambda w: w.D_w >= w.D_l, "not D_w >= D_l: 21/169 < 24/169"),
        (lambda w: w.D_w - (w.D_l - 1) > 2 * w.wl, "not D_w - (D_l - 1) > 2 wl: 166/169 <= 336/169"),
        (lambda w: abs(w.A_l) * F(1, 2) / w.p_w == 1, "not |A_l| * 1/2/p_w == 1: 4 != 1"),
        (lambda w: -(w.A_l**2) != 0, "-A_l^2 != 0: -64/169 != 0"),
        (lambda w: w.kernel(w.chosen, w.y) < w.drive(w.rejected), "kernel(w, y) < drive(l): -105/169 < 8/13"),
        (lambda w: w.after(2).p_w < w.p[w.y], "after(2).p_w < p_y: 4/19 < 9/13"),
        (lambda w: sqrt(w.ww) > 2, "not sqrt(ww) > 2: 21/13 <= 2"),
        (lambda w: sqrt(w.p_w * 26) > 2, "not sqrt(p_w * 26) > 2: sqrt(2) <= 2"),
        (lambda w: sum(w.p) == 1, "p_w + p_l + p_y == 1: 1 == 1"),
    ],
)
def test_formula_and_numbers(predicate, shown: str) -> None:
    assert str(sides_of(predicate, LADDER)[-1]).replace("1 sqrt(2)", "sqrt(2)") == shown


def test_every_comparison_that_is_made_is_shown_and_no_other() -> None:
    found = sides_of(lambda w: w.A_w < 0 or w.A_l > 0 or w.A_y > 0, LADDER)
    assert [side.formula for side in found] == ["A_w < 0", "A_l > 0"]
    assert [side.true for side in found] == [False, True]


def test_numbers_of_a_setting_and_of_a_pair_have_names() -> None:
    assert str(*sides_of(lambda c: c.a * c.b > 1, Named(a=F(1), b=F(2, 3)))) == "not a b > 1: 2/3 <= 1"
    assert str(*sides_of(lambda c: c[1] * c[0].A_w > 1, (LADDER, F(1, 3)))) == "not 1/3 A_w > 1: 7/13 <= 1"
    assert "exp(a)" in str(*sides_of(lambda c: exp(c.a) > 1, Named(a=F(1))))


@given(st.integers(0, 10**6), st.sampled_from(KINDS))
def test_the_truth_is_the_same_with_and_without(seed: int, kind: str) -> None:
    world = draw(random.Random(seed), kind, Bounds(responses=5)).world
    predicates = [
        lambda w: w.D_w >= w.D_l and max(w.A_w, w.A_l) > 0,
        lambda w: abs(w.wl) < w.ww or sorted([w.A_w, w.A_l])[0] == w.A_l,
        lambda w: 2 / w.p_w - w.p_l**-1 > (w.ww - 3) * w.ll,
    ]
    for predicate in predicates:
        last = sides_of(predicate, world)[-1]
        assert last.true == holds_at(predicate, world)
        assert last.true == (last.slack >= 0 if last.relation in (">=", "<=", "==") else last.slack > 0)


def test_what_a_view_does_not_have_hides_no_verdict() -> None:
    assert sides_of(lambda w: w.nothing > 1, LADDER) == ()


def test_fractions_are_typeset() -> None:
    decision = decide(lambda w: w.D_w >= w.D_l, worlds=2)
    html, latex = decision_html(decision), decision_latex(decision)
    assert html == decision._repr_html_()
    assert latex == decision._repr_latex_()
    for part in ("<sup>21</sup>&frasl;<sub>169</sub>", "<sup>24</sup>&frasl;<sub>169</sub>", "&ge;", "w (chosen)"):
        assert part in html
    for part in (r"\tfrac{21}{169} < \tfrac{24}{169}", r"D_w \ge D_l", r"\begin{array}"):
        assert part in latex
    assert decision.case._repr_html_() in html
    assert decision.case._repr_latex_() in latex


def test_formulas_are_typeset() -> None:
    assert formula_latex("p_w ww - 2 sqrt(p_w p_l) wl") == r"\pi_w \|g_w\|^2 - 2 \sqrt{\pi_w \pi_l} g_w\cdot g_l"
    assert formula_html("A_w < 1") == "<i>A</i><sub>w</sub> &lt; 1"
    assert (
        side_latex(sides_of(lambda w: w.dd >= F(1, 2), LADDER)[0])
        == r"\|g_w-g_l\|^2 \ge \tfrac{1}{2}:\quad 1 \ge \tfrac{1}{2}"
    )
