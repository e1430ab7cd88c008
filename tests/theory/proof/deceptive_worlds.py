"""False predicates about worlds: wrong for some number of responses, at a boundary, where they divide or take roots."""

from fractions import Fraction as F

from theory.proof import sqrt

HALF = F(1, 2)


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
