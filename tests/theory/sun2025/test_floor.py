import math

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given, strategies as st
from scipy.optimize import minimize_scalar

from dynamics import DPO, InvalidArgument, SelfPO
from theory.sun2025 import floor

SELF_PO = SelfPO(beta=1.0, gamma=0.0)
margins = st.floats(-60.0, 60.0)


def loss(margin: float, activation: str = "silu") -> float:
    return float(SelfPO(activation=activation).of_margin(torch.tensor(margin, dtype=torch.float64)))


def slope(margin: float) -> float:
    return float(SELF_PO.derivative(torch.tensor(margin, dtype=torch.float64)))


def test_w_agrees_with_thirty_digits_of_sympy() -> None:
    assert pytest.approx(float(sympy.N(sympy.LambertW(sympy.exp(-1)), 30)), abs=1e-16) == floor.W


def test_the_closed_form_of_the_minimum_is_exact() -> None:
    x, w = sympy.symbols("x w", positive=True)
    silu = x / (1 + sympy.exp(-x))
    # w e^w = 1/e says e^(1 + w) = 1 / w, which is e^-x at x = -(1 + w)
    slope_at, value_at = (f.subs(sympy.exp(-x), 1 / w).subs(x, -(1 + w)) for f in (sympy.diff(silu, x), silu))
    assert sympy.simplify(slope_at) == 0
    assert sympy.simplify(value_at) == -w


def test_a_search_finds_the_same_minimum() -> None:
    found = minimize_scalar(loss, bounds=(0.0, 5.0), options={"xatol": 1e-10})
    assert found.x == pytest.approx(floor.FLOOR_MARGIN, abs=1e-6)
    assert found.fun == pytest.approx(floor.FLOOR_VALUE, abs=1e-14)
    assert slope(floor.FLOOR_MARGIN) == pytest.approx(0.0, abs=1e-15)


def test_another_activation_has_another_floor() -> None:
    found = minimize_scalar(lambda m: loss(m, "gelu"), bounds=(0.0, 5.0), options={"xatol": 1e-10})
    assert abs(found.x - floor.FLOOR_MARGIN) > 0.5
    assert abs(found.fun - floor.FLOOR_VALUE) > 0.1


@given(margins)
def test_nothing_is_below_the_floor(margin: float) -> None:
    assert loss(margin) >= floor.FLOOR_VALUE - 1e-15


def test_probability_and_curvature_at_the_floor() -> None:
    margin = torch.tensor(floor.FLOOR_MARGIN, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(SELF_PO.of_margin(margin), margin, create_graph=True)
    (second,) = torch.autograd.grad(first, margin)
    assert float(second) == pytest.approx(floor.FLOOR_CURVATURE, abs=1e-14)
    assert 1 / (1 + math.exp(-floor.FLOOR_MARGIN)) == pytest.approx(floor.FLOOR_PROBABILITY, abs=1e-15)


@given(st.floats(-700.0, 700.0))
def test_silu_slope_is_what_the_loss_differentiates_to(x: float) -> None:
    assert float(floor.silu_slope(x)) == pytest.approx(-slope(-x), abs=1e-15)


@given(margins)
def test_slopes_stay_between_their_extremes_and_add_up_to_one(x: float) -> None:
    value = float(floor.silu_slope(x))
    assert -floor.STRONGEST_PULL - 1e-15 <= value <= floor.STRONGEST_PUSH + 1e-15
    assert value + float(floor.silu_slope(-x)) == pytest.approx(1.0, abs=1e-14)


def test_the_extremes_are_reached_where_the_second_derivative_vanishes() -> None:
    margin = torch.tensor([floor.STEEPEST_MARGIN, -floor.STEEPEST_MARGIN], dtype=torch.float64, requires_grad=True)
    weight = SELF_PO.derivative(margin)
    (bend,) = torch.autograd.grad(weight.sum(), margin)
    assert weight.tolist() == pytest.approx([-floor.STRONGEST_PUSH, floor.STRONGEST_PULL], abs=1e-15)
    assert bend.tolist() == pytest.approx([0.0, 0.0], abs=1e-15)
    assert (round(floor.STRONGEST_PUSH, 6), round(floor.STRONGEST_PULL, 6)) == (1.099839, 0.099839)


@given(margins)
def test_push_ratio_turns_the_logistic_weight_into_that_of_self_po(margin: float) -> None:
    at = torch.tensor(margin, dtype=torch.float64)
    ratio = float(floor.push_ratio(margin))
    assert ratio * float(DPO(beta=1.0).derivative(at)) == pytest.approx(float(SELF_PO.derivative(at)), abs=1e-15)
    assert ratio <= 1 + floor.W + 1e-15


def test_push_ratio_of_another_activation_is_something_else() -> None:
    at = torch.tensor(1.0, dtype=torch.float64)
    gelu = float(SelfPO(activation="gelu").derivative(at) / DPO(beta=1.0).derivative(at))
    assert abs(gelu - float(floor.push_ratio(1.0))) > 0.1


@given(st.floats(0.05, 10.0), st.floats(-5.0, 5.0), st.floats(0.01, 1.0))
def test_no_other_log_ratio_has_a_smaller_loss(beta: float, gamma: float, away: float) -> None:
    target = floor.target_log_ratio(beta, gamma)
    best, *others = (
        float(SelfPO(beta=beta, gamma=gamma).of_margin(torch.tensor(beta * ratio - gamma, dtype=torch.float64)))
        for ratio in (target, target - away, target + away)
    )
    assert best == pytest.approx(floor.FLOOR_VALUE, abs=1e-14)
    assert best < min(others)


def test_the_ratio_of_section_4_3_needs_gamma_divided_by_beta() -> None:
    as_written = floor.target_log_ratio(beta=2.5, gamma=0.8)
    as_configured = floor.target_log_ratio(beta=2.5, gamma=2.5 * 0.8)
    assert (round(as_written, 2), round(math.exp(as_written), 1)) == (0.83, 2.3)
    assert (round(as_configured, 2), round(math.exp(as_configured), 1)) == (1.31, 3.7)


@pytest.mark.parametrize(
    ("beta", "gamma"), [(0.0, 1.0), (-1.0, 1.0), (math.nan, 1.0), (1.0, math.inf), (1.0, math.nan)]
)
def test_impossible_hyper_parameters_are_refused(beta: float, gamma: float) -> None:
    with pytest.raises(InvalidArgument):
        floor.target_log_ratio(beta, gamma)


def test_extreme_arguments_are_stable() -> None:
    with np.errstate(all="raise", under="ignore"):
        assert floor.silu_slope(np.array([-1e4, 1e4])).tolist() == [0.0, 1.0]
        assert floor.push_ratio(np.array([-1e4, 1e4])).tolist() == [1.0, -9999.0]
