"""False predicates that are built to deceive, none of which may ever be proved; and true ones that must be."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction as F
from typing import Any

from tests.theory.proof.deceptive_named import DERIVED_FALSE, NAMED_FALSE, NAMED_TRUE, REALS, SHARED_FALSE
from tests.theory.proof.deceptive_python import (
    absolute,
    and_returns_the_last,
    asks_for_a_numerator,
    asks_for_features,
    chained,
    chained_equal,
    counts_the_responses,
    equal_truths,
    every_second_time,
    exclusive,
    float_constant,
    float_constant_not_exact,
    float_swallowed,
    forgotten_call,
    forgotten_inner_call,
    helper,
    in_order,
    keeps_a_number,
    keeps_a_truth_value,
    largest,
    literal_index,
    loops,
    power_zero,
    remainder_swallowed,
    returns_a_number,
    returns_a_text,
    returns_a_tuple,
    returns_itself,
    returns_none,
    returns_one,
    rounds,
    short_circuit,
    smallest,
    unequal_truths,
    with_or,
)
from tests.theory.proof.deceptive_reading import not_the_object_false
from tests.theory.proof.deceptive_worlds import (
    cosine_at_most_one_half,
    divides,
    divides_on_one_side,
    division_behind_and,
    eq_49,
    far_away,
    gains_more,
    hard_to_refute,
    independent_beyond_three,
    likelier_strictly,
    likely_is_a_half,
    mass_is_less_than_one,
    mass_is_one,
    negative_power,
    only_one_point,
    quotient_is_one,
    quotient_on_one_side,
    root_is_smaller,
    root_of_anything,
    root_on_one_side,
    root_undoes_the_square,
    scores_never_opposite,
    scores_point_apart,
    strict_at_the_other,
    strict_cauchy_schwarz,
    strict_determinant,
    strict_margin,
    strict_norms,
    strict_other_norm,
    swallows_the_division,
    thin_crack,
    three_are_all,
    three_leave_some_mass,
    three_scores_balance,
    three_scores_do_not_balance,
)
from theory.proof import POLICY, TABULAR, TWO_RESPONSES, Family, Named, beside, exp, log, power, setting, sqrt

HALF = F(1, 2)


@dataclass(frozen=True)
class Trap:
    name: str
    predicate: Callable[..., Any]
    over: Family = POLICY
    given: Callable[..., Any] | None = None
    work: int | None = None
    change: dict[str, Any] = field(default_factory=dict)


@setting("x and y are real")
def plane(numbers):
    """Every pair of real numbers."""
    return Named(x=numbers.real("x"), y=numbers.real("y"))


@setting("t real")
def line(numbers):
    """Every real t."""
    return numbers.real("t")


@setting("x > 0, y > 0, beta > 0")
def powers(numbers):
    """Every x, y, beta > 0."""
    return Named(x=numbers.positive("x"), y=numbers.positive("y"), beta=numbers.positive("beta"))


@setting("x^2 = 2 and x > 0")
def root_of_two(numbers):
    """The root of two."""
    x = numbers.positive("x")
    numbers.assume(x * x == 2)
    return x


@setting("x^2 < 0")
def nothing(numbers):
    """No number at all."""
    x = numbers.real("x")
    numbers.assume(x * x < 0)
    return x


@beside(POLICY, "beta > 0")
def with_beta(numbers):
    """Every beta."""
    return numbers.positive("beta")


def margin(w, cross=2):
    return w.A_w - w.A_l == w.ww - cross * w.wl + w.ll >= 0


# --- numbers of one's own --------------------------------------------------------------------------------------------


def product_commutes_with_sum(v):
    return (v.x + v.y) ** 2 == v.x**2 + v.y**2


def motzkin_less(v):  # Motzkin's polynomial is 0 at (1, 1)
    return v.x**4 * v.y**2 + v.x**2 * v.y**4 - 3 * v.x**2 * v.y**2 + 1 > 0


def nothing_is_true(x):
    return x > 0 and x < 0


def two_is_a_square(x):
    return x < F(14142, 10000)


def beta_is_one(case):
    w, beta = case
    return beta * w.dd == w.dd


def tangent_strict(t):
    return exp(t) > 1 + t


def exponential_of_one(t):
    return exp(t) < 3 or t > 2


def exponential_is_even(t):
    return exp(t) * exp(t) == exp(2 * t) + 1


def logarithm_of_anything(t):
    return log(t) <= t - 1


def power_is_monotone_in_beta(v):
    return power(v.x, v.beta) <= power(v.x, v.beta + 1)


def powers_in_order(v):
    return power(v.x, v.beta) <= power(v.y, v.beta)


# --- tabular ---------------------------------------------------------------------------------------------------------


def sum_of_squares_strict(w):  # equality where the rest of the mass is on one response
    rest = 1 - w.p_w - w.p_l
    return w.p_w**2 + w.p_l**2 + rest**2 > w.S2 or rest <= 0


def sum_of_squares_of_the_pair(w):  # false at n = 2 only
    return w.p_w**2 + w.p_l**2 < w.S2


def cubes_strict(w):  # equality for equal probabilities
    return w.S2**2 < w.S3


def step_raises_all(w):
    later = w.after(2)
    return later.p_w > w.p_w and later.p_y > w.p_y


def tabular_wide(w):
    return w.D_w - w.D_l >= F(1, 50)


def tabular_identity(w, square=0):
    return w.D_w - w.D_l == w.p_w + w.p_l - square * (w.p_w - w.p_l) ** 2


FALSE = [
    Trap(f.__name__, f)
    for f in (
        *(mass_is_less_than_one, mass_is_one, three_leave_some_mass, three_are_all, scores_never_opposite),
        *(scores_point_apart, three_scores_balance, three_scores_do_not_balance, gains_more, strict_margin),
        *(
            strict_cauchy_schwarz,
            strict_at_the_other,
            strict_determinant,
            independent_beyond_three,
            strict_norms,
            strict_other_norm,
        ),
        *(
            likelier_strictly,
            likely_is_a_half,
            only_one_point,
            thin_crack,
            far_away,
            divides,
            quotient_is_one,
            negative_power,
        ),
        *(divides_on_one_side, division_behind_and, root_of_anything, root_on_one_side, quotient_on_one_side),
        *(root_undoes_the_square, root_is_smaller, eq_49, cosine_at_most_one_half, swallows_the_division, chained),
        *(chained_equal, short_circuit, and_returns_the_last, absolute, largest, smallest, in_order, helper, loops),
        *(exclusive, with_or, equal_truths, unequal_truths, power_zero, literal_index, returns_a_tuple, returns_a_text),
        *(returns_a_number, returns_one, returns_none, forgotten_call, forgotten_inner_call, returns_itself),
        *(
            float_constant,
            float_constant_not_exact,
            float_swallowed,
            rounds,
            remainder_swallowed,
            asks_for_a_numerator,
            asks_for_features,
        ),
        *(counts_the_responses, every_second_time, keeps_a_number, keeps_a_truth_value, not_the_object_false),
    )
] + [
    Trap("cross_21_10", margin, change={"cross": F(21, 10)}),
    Trap("gave_up", mass_is_one, work=600),
    Trap("gave_up_on_the_statement", hard_to_refute, work=1200),
    Trap("no_such_world", nothing_is_true, nothing),
    Trap("empty_premise", gains_more, given=lambda w: w.ww < 0),
    Trap("wide_premise", gains_more, given=lambda w: w.wl <= F(1, 10)),
    Trap("premise_divides", lambda w: w.ww == 1, given=lambda w: w.ww / w.ww == 1),
    Trap("three", mass_is_less_than_one, TWO_RESPONSES),
    *(Trap(f.__name__, f, plane) for f in (product_commutes_with_sum, motzkin_less)),
    Trap("root_of_two_is_rational", two_is_a_square, root_of_two),
    Trap("beta_is_one", beta_is_one, with_beta),
    *(Trap(f.__name__, f, line) for f in (tangent_strict, exponential_is_even, logarithm_of_anything)),
    *(Trap(f.__name__, f, powers) for f in (power_is_monotone_in_beta, powers_in_order)),
    *(
        Trap(f.__name__, f, TABULAR)
        for f in (sum_of_squares_strict, sum_of_squares_of_the_pair, cubes_strict, step_raises_all)
    ),
    *(Trap(f.__name__, f, TABULAR) for f in (tabular_wide, tabular_identity)),
    *(Trap(f"tabular_{f.__name__}", f, TABULAR) for f in (mass_is_less_than_one, three_leave_some_mass)),
]
"""False ones, or none at all."""


def swapped_roots(c, narrow=False):
    """Its two roots change places at some x, where what was told of the exponentials of the others is false."""
    usual = c.x != F(123457, 1000003) if narrow else c.x > 0
    r, s = (sqrt(c.a), sqrt(c.b)) if usual else (sqrt(c.b), sqrt(c.a))
    return (exp(r) < exp(s)) == (c.a < c.b)


@setting("a, b > 0; x real")
def two_roots(numbers):
    return Named(a=numbers.positive("a"), b=numbers.positive("b"), x=numbers.real("x"))


FALSE += [Trap(f"swapped_roots_{n}", swapped_roots, two_roots, change={"narrow": n}) for n in (True, False)]


def exponentials_in_order(c):
    return not sqrt(c.a) > c.x or exp(sqrt(c.a)) > exp(c.x)


# --- true, and only just ---------------------------------------------------------------------------------------------


def determinant(w):
    a, b, c, d, e, f = w.ww, w.ll, w.wl, w.yy, w.wy, w.ly
    return a * (b * d - f * f) - c * (c * d - f * e) + e * (c * f - b * e) >= 0


def two_scores_balance(w):
    return w.p_w * w.ww + w.p_l * w.wl == 0


def third_score_follows(w):
    return w.p_w + w.p_l + w.p_y < 1 or w.p_w * w.wy + w.p_l * w.ly + w.p_y * w.yy == 0


def equivalence(w, threshold=0):
    return eq_49(w) == (w.wl <= threshold or w.p_w == w.p_l)


def chosen_falls_then_rejected_falls(w):
    return not w.A_w < 0 or w.A_l < 0


def swallowed_but_right(w):
    try:
        return 1 / w.dd > 0
    except ZeroDivisionError:
        return w.dd == 0


def sums_of_powers(w):
    return w.S2 <= 1 and w.S3 <= w.S2 and w.S2**2 <= w.S3 and w.p_w**2 + w.p_l**2 <= w.S2


def sum_of_squares(w):
    return w.p_w**2 + w.p_l**2 + (1 - w.p_w - w.p_l) ** 2 >= w.S2


def step_of_a_table(w):
    later = w.after(2)
    return later.p_w > w.p_w and later.p_l < w.p_l and (later.p_y < w.p_y) == (2 * w.p_w > w.p_l)


def tangent(t):
    return exp(t) >= 1 + t and (t == 0 or exp(t) > 1 + t) and (t >= 1 or exp(t) * (1 - t) <= 1)


def same_exponent_keeps_the_order(v):
    return (v.x < v.y) == (power(v.x, v.beta) < power(v.y, v.beta))


TRUE = [
    Trap("margin", margin),
    Trap("gains_more_of_two", gains_more, TWO_RESPONSES),
    Trap("two_scores_balance", two_scores_balance, TWO_RESPONSES),
    *(Trap(f.__name__, f) for f in (determinant, third_score_follows, equivalence, chosen_falls_then_rejected_falls)),
    Trap("swallowed_but_right", swallowed_but_right),
    Trap("apart_gains_more", gains_more, given=lambda w: w.wl <= 0),
    *(Trap(f"tabular_{f.__name__}", f, TABULAR) for f in (gains_more, sums_of_powers, sum_of_squares, step_of_a_table)),
    Trap("tangent", tangent, line),
    Trap("exponentials_in_order", exponentials_in_order, two_roots),
    Trap("same_exponent_keeps_the_order", same_exponent_keeps_the_order, powers),
]
"""True ones that the prover must prove."""

FALSE += [Trap(name, predicate, over, change=change) for name, predicate, over, change in NAMED_FALSE]
FALSE += [Trap(predicate.__name__, predicate, REALS, work=work) for predicate, work in SHARED_FALSE]
FALSE += [Trap(predicate.__name__, predicate, REALS) for predicate in DERIVED_FALSE]
TRUE += [Trap(name, predicate, over) for name, predicate, over in NAMED_TRUE]

BY_NAME = {trap.name: trap for trap in FALSE}
TRUE_BY_NAME = {trap.name: trap for trap in TRUE}
