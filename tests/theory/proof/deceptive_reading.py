"""Predicates that read otherwise in symbols than in fractions, or that use Python in ways that are easily misread."""

from __future__ import annotations

import functools
import operator
import sys
from fractions import Fraction as F

from theory.proof import POLICY, TABULAR, TWO_RESPONSES, exp, log, power, setting, sqrt
from theory.proof.family import Family


def not_the_object_false(w):
    return (w.A_w > 0) is not False


def not_the_object_true(w):
    return not ((w.A_w <= 0) is True)  # noqa: E714 - the mistake


def matches_the_object_false(w):
    match w.A_w > 0:
        case False:
            return False
        case _:
            return True


def other_object(w):
    return w.A_w is not w.A_l


def asks_for_the_type(w):
    return not isinstance(w.p_w, (int, F)) or w.p_w == F(1, 7)


def asks_in_a_helper(w):
    return asks_for_the_type(w)


THIS = sys.modules[__name__]


class Tools:
    """Helpers that are reached as attributes of a class, of an object, or by a call of the object."""

    helper = staticmethod(asks_for_the_type)

    def __call__(self, w):
        return asks_for_the_type(w)


TOOLS = Tools()
BY_NAME_OF_HELPER = {"all": [asks_for_the_type]}


def asks_in_a_helper_of_a_module(w):
    return THIS.asks_for_the_type(w)


def asks_in_a_helper_of_a_module_of_a_module(w):
    return THIS.THIS.asks_in_a_helper(w)


def asks_in_a_helper_of_a_class(w):
    return Tools.helper(w)


def asks_in_a_helper_of_an_object(w, tools=TOOLS):
    return tools.helper(w)


def asks_in_an_object_that_is_called(w):
    return TOOLS(w)


def asks_in_a_helper_that_is_imported(w):
    from tests.theory.proof import deceptive_reading as here  # noqa: PLW0406 - on purpose

    return here.asks_for_the_type(w)


def asks_in_a_helper_by_its_name(w):
    return getattr(THIS, "asks_for_" + "the_type")(w)


def asks_in_a_helper_of_a_table(w):
    return BY_NAME_OF_HELPER["all"][0](w)


def asks_for_the_name_of_the_type(w):
    return type(w).__name__ != "World"


def looks_inside(w):
    return "kind" not in vars(w)


def looks_at_the_text(w):
    return str(w.p_w) != "1/2"


def looks_at_formatted_text(w):
    return f"{w.A_w}" != f"{w.A_l}"


def looks_at_the_text_of_a_truth(w):
    return "True" not in repr(w.A_w > 0)


def swallows_everything(w):
    try:
        return w.greedy > 5
    except BaseException:
        return True


KEPT: dict[str, object] = {}


def keeps_from_the_first_run(w):
    if "A" not in KEPT:
        KEPT["A"] = w.A_w
    return bool(KEPT["A"] <= 0) or bool(KEPT["A"] > 0)


def truth_as_a_key(w):
    return {True: 1, False: 2}.get(w.A_w > 0, 1) == 1


def matches_the_type(w):
    match w.A_w:
        case F():
            return False
        case _:
            return w.dd >= 0


def asks_for_an_attribute(w):
    return w.dd >= 0 if not hasattr(w.p_w, "__copy__") else w.p_w < 0


def takes_an_attribute_that_only_fractions_have(w):
    try:
        return w.p_w.__copy__ is None
    except AttributeError:
        return w.dd >= 0


REFUSED = [
    *(matches_the_type, asks_for_an_attribute, takes_an_attribute_that_only_fractions_have),
    *(not_the_object_false, not_the_object_true, matches_the_object_false, other_object, asks_for_the_type),
    *(asks_in_a_helper_of_a_module, asks_in_a_helper_of_a_module_of_a_module, asks_in_a_helper_of_a_class),
    *(asks_in_a_helper_of_an_object, asks_in_an_object_that_is_called, asks_in_a_helper_of_a_table),
    *(asks_in_a_helper_that_is_imported, asks_in_a_helper_by_its_name),
    *(asks_in_a_helper, asks_for_the_name_of_the_type, looks_inside, looks_at_the_text, looks_at_formatted_text),
    *(looks_at_the_text_of_a_truth, swallows_everything, keeps_from_the_first_run, truth_as_a_key),
]
"""False of some policy, and true of every symbol if Python had its way: they are errors."""


@setting("x real")
def any_real(numbers):
    """Every real number."""
    return numbers.real("x")


@setting("n a whole number from 1 on")
def any_natural(numbers):
    """Every natural number."""
    return numbers.natural("n", 1)


def gen_is_exhausted(x):
    signs = (truth for truth in (x >= 0, x < 0))
    any(signs)
    return all(signs)


def remembers_in_a_default(x, seen=[]):  # noqa: B006 - the mistake
    seen.append(x)
    return len(seen) > 0 and x != 13


def late_binding(x):
    return all(check() for check in [lambda: x >= k for k in (-100, -(10**6))])  # noqa: B023 - the mistake


OPEN: list[tuple[object, Family, object]] = [
    (lambda w: functools.reduce(operator.xor, [w.A_w > 0, w.A_l > 0, w.dd > 0], False) == (w.A_w > 0), POLICY, None),
    (lambda w: min((w.chosen, w.rejected), key=w.drive) == w.rejected and w.dd > 0, POLICY, None),
    (lambda w: sorted([w.A_w, w.A_l])[1] > sorted([w.A_l, w.A_w])[0], POLICY, None),
    (lambda w: len({w.chosen, w.rejected, w.y}) == 3 and w.p_y < w.p_w + w.p_l, POLICY, None),
    (lambda w: w.dd**0 == 1 and w.dd**1 > 0, POLICY, None),
    (lambda w: 1 / (1 / w.dd) == w.dd, POLICY, None),
    (lambda w: sqrt(w.ww) + sqrt(w.ll) > sqrt(w.ww + w.ll), POLICY, None),
    (lambda w: sqrt(w.dd) < sqrt(w.ww) + sqrt(w.ll) or w.ww == 0, POLICY, None),
    (lambda w: w.p_y * w.yy <= w.p_w * w.ww + w.p_l * w.ll, POLICY, None),
    (lambda w: w.p_w * w.wy + w.p_l * w.ly + w.p_y * w.yy <= 0 or w.p_y > w.p_w, POLICY, None),
    (lambda w: w.p_y < F(999, 1000) or w.p_w + w.p_l < F(1, 2000), POLICY, None),
    (lambda w: w.p_w**3 != F(1, 2), POLICY, None),
    (lambda w: not (F(1, 10**9) < w.p_w < F(2, 10**9) and w.A_w > 10**12), POLICY, None),
    (lambda w: w.dd > 0, POLICY, lambda w: sqrt(w.wl * 2 - w.ww - w.ll) >= 0),
    (lambda w: w.dd < F(1, 10**7), POLICY, lambda w: 1 / w.dd > 10**6),
    (lambda w: w.p_w > 5, POLICY, lambda w: w.ww < 0),
    (lambda w: w.p_w > 0 and w.p_y > 2, TWO_RESPONSES, None),
    (lambda w: F(1, 8) < w.S2, TABULAR, None),
    (lambda w: w.S2 * w.S2 < w.S3, TABULAR, None),
    (lambda w: w.S3 - w.p_w**3 - w.p_l**3 < w.S2 - w.p_w**2 - w.p_l**2, TABULAR, None),
    (lambda w: (w.S2 - w.p_w**2 - w.p_l**2) * 9 > (1 - w.p_w - w.p_l) ** 2, TABULAR, None),
    (lambda w: w.after(3).S2 >= w.S2, TABULAR, None),
    (lambda w: w.after(2).after(F(1, 2)).p_y < w.p_y, TABULAR, None),
    (lambda w: w.p_w**2 + w.p_l**2 + w.p_y**2 < w.S2, TABULAR, None),
    (lambda n: n * n != 2 and n != 3, any_natural, None),
    (lambda x: x * x != 2, any_real, None),
    (lambda x: exp(x) >= 1 + x + x * x / 2, any_real, None),
    (lambda x: exp(x) + exp(-x) > 2, any_real, None),
    (lambda x: log(x) <= x - 1, any_real, None),
    (lambda x: x <= 0 or power(x, F(1, 2)) <= (1 + x) / 2 - F(1, 10**9), any_real, None),
    (lambda x: (x > 0) | (x < 0), any_real, None),
    (lambda x: (x != 1) != (x != 2), any_real, None),
    (lambda x: ((x > 0) == (x > 1)) == (x <= 0), any_real, None),
    (lambda x: abs(abs(x) - 1) < abs(x), any_real, None),
    (gen_is_exhausted, any_real, None),
    (remembers_in_a_default, any_real, None),
    (late_binding, any_real, None),
]
"""False ones that are read as they are meant: refuted, or at the least not proved."""
