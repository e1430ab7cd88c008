"""False predicates that are built to deceive, none of which may ever be proved; and true ones that must be."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction as F
from itertools import count
from typing import Any

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


# --- which number of responses ---------------------------------------------------------------------------------------


def mass_is_less_than_one(w):  # false at n = 2 only
    return w.p_w + w.p_l < 1


def mass_is_one(w):  # true at n = 2 only
    return w.p_w + w.p_l == 1


def three_leave_some_mass(w):  # false at n = 3 only
    return w.p_w + w.p_l + w.p_y < 1


def three_are_all(w):  # true at n = 3 only
    return w.p_w + w.p_l + w.p_y == 1


def scores_never_opposite(w):  # false at n = 2 only: there g_w and g_l always point apart
    return w.wl**2 < w.ww * w.ll or w.ww == 0 or w.ll == 0 or w.wl >= 0 or w.p_w + w.p_l < 1


def scores_point_apart(w):  # true at n = 2 only
    return w.wl <= 0


def three_scores_balance(w):  # true at n = 3 only
    return w.p_w * w.ww + w.p_l * w.wl + w.p_y * w.wy == 0


def three_scores_do_not_balance(w):  # false at n = 3 only
    return w.p_w * w.ww + w.p_l * w.wl + w.p_y * w.wy != 0 or w.p_w + w.p_l + w.p_y < 1


def gains_more(w):
    return w.D_w >= w.D_l


# --- boundaries ------------------------------------------------------------------------------------------------------


def strict_margin(w):  # 0 where the scores are equal
    return w.dd > 0


def strict_cauchy_schwarz(w):
    return w.wl**2 < w.ww * w.ll


def strict_at_the_other(w):
    return w.A_y**2 < w.yy * w.dd


def strict_determinant(w):
    a, b, c, d, e, f = w.ww, w.ll, w.wl, w.yy, w.wy, w.ly
    return a * (b * d - f * f) - c * (c * d - f * e) + e * (c * f - b * e) > 0


def independent_beyond_three(w):
    return w.p_w + w.p_l + w.p_y == 1 or strict_determinant(w)


def strict_norms(w):
    return w.ww > 0


def strict_other_norm(w):
    return w.yy > 0


def likelier_strictly(w):  # at equal probabilities
    return abs(w.A_l) != w.A_w


def likely_is_a_half(w):
    return w.p_w <= HALF


def only_one_point(w):  # at p_w = 1/3 only
    return w.p_w != F(1, 3)


def thin_crack(w):  # false between 1/3 and 334/1000 only
    return w.p_w <= F(1, 3) or w.p_w >= F(334, 1000)


def hard_to_refute(w):
    return (w.ww * w.ll - w.wl**2) ** 2 * w.p_w > 0 or w.p_w**3 + w.p_l**3 > w.p_w


def far_away(w):  # no world with small numbers refutes it
    return w.ww <= 10**12


# --- divisions and roots ---------------------------------------------------------------------------------------------


def divides(w):
    return 1 / (w.ww - w.wl) != 0


def quotient_is_one(w):
    return w.wl / w.wl == 1


def negative_power(w):
    return w.wl**-1 * w.wl == 1


def divides_on_one_side(w):
    if w.wl >= 0:
        return w.ll / w.ll == 1
    return True


def division_behind_and(w):  # the guard looks at the other number
    return w.ww == 0 or w.ll / w.wl * w.wl == w.ll


def root_of_anything(w):
    return sqrt(w.wl) >= 0


def root_on_one_side(w):  # the definition of the root must not hide the other side
    if w.wl >= 0:
        return sqrt(w.wl) >= 0
    return False


def quotient_on_one_side(w):
    if w.wl != 0:
        return 1 / w.wl != 0
    return False


def root_undoes_the_square(w):
    return sqrt(w.wl**2) == w.wl


def root_is_smaller(w):
    return sqrt(w.ww) <= w.ww


def eq_49(w):
    return w.D_w - w.D_l >= w.p_w * w.ww - 2 * sqrt(w.p_w * w.p_l) * w.wl + w.p_l * w.ll


def cosine_at_most_one_half(w):
    return w.ww == 0 or w.ll == 0 or w.wl / (sqrt(w.ww) * sqrt(w.ll)) <= HALF


def swallows_the_division(w):  # true where it divides by zero, false elsewhere
    try:
        return 1 / w.dd < 0
    except ZeroDivisionError:
        return True


# --- Python's own ways -----------------------------------------------------------------------------------------------


def chained(w):
    return w.A_w > w.A_l > 0


def chained_equal(w):
    return w.A_w == w.A_w == w.A_l


def short_circuit(w):
    return w.ww >= 0 or (w.ww < 0 and w.ll < 0) if w.wl <= 0 else w.wl < w.ww


def and_returns_the_last(w):
    return w.A_w - w.A_l and w.dd >= 0 and w.A_w >= 0


def absolute(w):
    return abs(w.A_w) <= abs(w.A_l)


def largest(w):
    return max(w.A_w, w.A_l, 0) == w.A_w


def smallest(w):
    return min(w.ww, w.ll) == w.ww


def in_order(w):
    return sorted([w.p_w, w.p_l, HALF])[1] <= F(49, 100)


def helper(w, factor=3):
    def inner(x):
        return x * factor if x > 0 else x

    return inner(w.A_w) >= inner(w.A_l) + 1


def loops(w):
    total = 0
    for y in (w.chosen, w.rejected, w.y):
        total += w.p[y]
    return total < 1


def exclusive(w):
    return (w.A_w > 0) ^ (w.A_l < 0) == True  # noqa: E712


def with_or(w):
    return (w.A_w >= 0) | (w.A_l >= 0)


def equal_truths(w):
    return (w.A_w > 0) == (w.A_l < 0)


def unequal_truths(w):
    return (w.A_w > 0) != (w.A_l > 0)


def power_zero(w):
    return w.wl**0 == 0


def literal_index(w):
    return w.p[0] > 0 and w.kernel(0, 0) >= 0


# --- no statements ---------------------------------------------------------------------------------------------------


def returns_a_tuple(w):
    return w.A_w < 0, "a tuple is always true"


def returns_a_text(w):
    return "always true"


def returns_a_number(w):
    return w.ww - w.wl


def returns_one(w):
    return 1


def returns_none(w):
    w.A_w >= w.A_l  # noqa: B015


def forgotten_call(w):
    return w.kernel


def forgotten_inner_call(w):
    def check():
        return w.A_w < 0

    return check


def returns_itself(w):
    return w


def float_constant(w):
    return w.p_w + w.p_l <= 1.0


def float_constant_not_exact(w):  # the float is a little more than a third of itself times three
    return w.p_w <= F(1, 10) or w.p_w >= 0.1


def float_swallowed(w):
    try:
        return w.p_w < 0.5
    except TypeError:
        return True


def rounds(w):
    return round(w.p_w) >= 0


def remainder_swallowed(w):
    try:
        return w.p_w % 1 < HALF
    except TypeError:
        return True


def asks_for_the_kind(w):
    return isinstance(w.p_w, F) is False or w.A_w >= 0


def asks_for_a_numerator(w):
    return not hasattr(w.p_w, "numerator") or w.p_w.numerator > 3


def asks_for_features(w):
    try:
        return len(w.features) > 100
    except (AttributeError, TypeError):
        return True


def counts_the_responses(w):
    try:
        return len(w.p) > 100
    except TypeError:
        return True


# --- not the same twice ----------------------------------------------------------------------------------------------

CALLS = count()


def every_second_time(w):
    return next(CALLS) % 2 == 0 or w.A_w >= 0


SEEN: list[Any] = []


def keeps_a_number(w):
    SEEN.append(w.A_w)
    return SEEN[0] == w.A_w


KEPT: dict[str, Any] = {}


def keeps_a_truth_value(w):
    return KEPT.setdefault("chosen", w.A_w >= 0) and w.dd >= 0


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
        *(counts_the_responses, every_second_time, keeps_a_number, keeps_a_truth_value),
    )
] + [
    Trap("cross_21_10", margin, change={"cross": F(21, 10)}),
    Trap("gave_up", mass_is_one, work=1),
    Trap("gave_up_on_the_statement", hard_to_refute, work=300),
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
    Trap("same_exponent_keeps_the_order", same_exponent_keeps_the_order, powers),
]
"""True ones that the prover must prove."""

BY_NAME = {trap.name: trap for trap in FALSE}
TRUE_BY_NAME = {trap.name: trap for trap in TRUE}
