"""False predicates that misuse Python: short circuits, no statements at all, memory from one call to the next."""

from fractions import Fraction as F
from itertools import count
from typing import Any

HALF = F(1, 2)


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
