"""False neighbours of what is proved only since sums have names and equations may be left out of a question."""

from fractions import Fraction as F

from theory.decision.group import batch, sampled_group
from theory.decision.second_order import second_order
from theory.proof import POLICY, derivative, exp, log, world_of
from theory.proof.families import LOG_LINEAR


def variance(w, least=0):
    """V is a variance."""
    return w.V - least >= 0


def variance_strict(w):
    """It is 0 where the two scores are equal."""
    return w.V > 0


def second_change(w, times=1):
    """S_w = p_w (A_w^2 - V)."""
    return w.S_w <= times * w.p_w * w.A_w**2


def still(w):
    """Nothing moves exactly where the two scores are equal."""
    return (w.V == 0) == (w.dd == 0)


def still_if_one_is_zero(w):
    """The other one may be longer."""
    return (w.V == 0) == (w.ww == 0)


def falls_in_a_step(w, most=0):
    """A response whose drive is not positive falls at every step."""
    return not w.A_y <= most or w.after(2).p_y <= w.p_y


def falls_strictly(w):
    """It stays where no response moves."""
    return not w.A_y <= 0 or w.after(2).p_y < w.p_y


def three_in_balance(w):
    """What needs the equations of few responses: of three, the changes sum to zero; of more they need not."""
    return w.D_w + w.D_l + w.D_y == 0


def shares_a_response(b):
    """What one pair rejects, the other prefers."""
    return b[0].A_w >= b[0].A_l


def signs_raise_the_mean(b, room=0):
    """Advantages over their deviation are signs for groups of two, and signs do not raise the mean of any reward."""
    return sum(b.change(y) * b.reward[y] for y in range(3)) >= room


SECOND = second_order()
BATCH = batch([(0, 1), (1, 2)], tabular=True)
NORMALISED = sampled_group(3, normalised=True)

NAMED_FALSE = [
    ("variance_strict", variance_strict, SECOND, {}),
    ("variance_far_from_zero", variance, SECOND, {"least": F(1, 100)}),
    ("second_change_near", second_change, SECOND, {"times": F(9, 10)}),
    ("still_if_one_is_zero", still_if_one_is_zero, SECOND, {}),
    ("falls_in_a_step_near", falls_in_a_step, LOG_LINEAR, {"most": F(1, 10)}),
    ("falls_strictly", falls_strictly, LOG_LINEAR, {}),
    ("three_in_balance", three_in_balance, POLICY, {}),
    ("shares_a_response", shares_a_response, BATCH, {}),
    ("signs_raise_the_mean", signs_raise_the_mean, NORMALISED, {}),
]


def products_share_a_factor(c):
    """Two products with a factor in common are two numbers."""
    return c.a**2 * c.b + c.d**2 >= c.a**2 * c.c + c.d**2 - 1


def products_change_places(c):
    """What a name stands for on one side of a fork it must stand for on the other."""
    first, second = (c.a * c.b, c.a * c.d) if c.x > 0 else (c.a * c.d, c.a * c.b)
    return c.p + first * c.a >= second * c.a + c.q or c.p <= c.q


def sums_change_places(c):
    """Two sums with a summand in common change places between two questions."""
    first, second = (c.a - c.b, c.a + c.b) if c.x > 0 else (c.a + c.b, c.a - c.b)
    return c.p * first * first >= c.q * second * second or c.p < c.q


def flows_leave_something(c):
    """The flows around a triangle cancel, which says nothing of the last product."""
    around = c.a * (c.b - c.c) + c.b * (c.c - c.a) + c.c * (c.a - c.b)
    return around + c.d * c.a * (c.p - c.q) >= c.d * c.a * (c.q - c.p) or c.p < c.q


REALS = world_of("any real numbers", **dict.fromkeys("abcdpqx", "real"))
SHARED_FALSE = [
    (products_share_a_factor, 800),
    (products_change_places, 1200),
    (sums_change_places, 4200),
    (flows_leave_something, 1200),
]
"""False statements, and work with which the solver must give names to what they are made of before it answers."""


def slope_of_the_logarithm(c):
    """1/x is the derivative of log x where there is a logarithm, which SymPy forgets."""
    return c.x == 0 or derivative(log, lambda x: 1 / x)(c.x) * c.x == 1


def slope_of_what_cancels(c):
    """x / x is 1, but for 0, and so is e^(log x) / x for positive x only."""
    return derivative(lambda x: exp(log(x)), lambda x: x / x)(c.x) == 1


DERIVED_FALSE = [slope_of_the_logarithm, slope_of_what_cancels]
"""False where a function has no value, true of the derivative that SymPy returns."""

NAMED_TRUE = [
    ("variance", variance, SECOND),
    ("second_change", second_change, SECOND),
    ("still", still, SECOND),
    ("falls_in_a_step", falls_in_a_step, LOG_LINEAR),
]
