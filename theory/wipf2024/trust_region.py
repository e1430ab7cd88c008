"""Proposition 3.1 in a constraint met in practice: the policies within a divergence of the reference."""

from fractions import Fraction as F
from functools import lru_cache

import sympy as sp

from theory.claim import PROVED
from theory.proof import Named, Undecided, exp, leftovers, log, over_responses, same, sums_of, world_of
from theory.wipf2024.claims import claim

TARGET = (F(6, 10), F(3, 10), F(1, 10))
RADIUS = F(1, 20)
SIDE = (F(16, 100), F(49, 100))  # every probability of the region lies in it
FINEST = 21  # halvings of the side, to 2e-7
ROUNDED = F(51, 10**6)  # of numbers printed to four digits

ODDS = [[a / (a + b) for b in TARGET] for a in TARGET]
APART = [(i, j) for i in range(3) for j in range(3) if i != j]

DPO = tuple(F(digits, 10**4) for digits in (4484, 3523, 1992))
FORWARD = tuple(F(digits, 10**4) for digits in (4656, 3249, 2095))
RLHF = tuple(F(digits, 10**4) for digits in (4592, 3360, 2048))


def divergence(q):
    """Return KL(q, uniform)."""
    return sum(x * log(3 * x) for x in q)


WINS = {(i, j): TARGET[i] / (TARGET[i] + TARGET[j]) for i in range(3) for j in range(3) if i != j}
WINS_OF_ALL = [sum(wins for (i, _), wins in WINS.items() if i == k) for k in range(3)]


def of_pairs(q, log=log):
    """Return DPO's loss."""
    return -sum(wins * log(q[i] / (q[i] + q[j])) for (i, j), wins in WINS.items())


def slopes_of_pairs(q):
    """Return the partial derivatives of DPO's loss in the probabilities."""
    x, y, z = q
    a, b, c = 1 / (y + z), 1 / (x + z), 1 / (x + y)
    return [b + c - WINS_OF_ALL[0] / x, a + c - WINS_OF_ALL[1] / y, a + b - WINS_OF_ALL[2] / z]


def of_forward_divergence(q, log=log):
    """Return KL(target, q) up to a constant."""
    return -sum(p * log(x) for p, x in zip(TARGET, q, strict=True))


def slopes_of_forward_divergence(q):
    return [-p / x for p, x in zip(TARGET, q, strict=True)]


SLOPES = {of_pairs: slopes_of_pairs, of_forward_divergence: slopes_of_forward_divergence}


@lru_cache(maxsize=4)
def rest_points(loss):
    """Return boxes with every place of the rim at which the gradient is along that of the divergence."""

    def differ(left, right):
        try:
            return left != right
        except Undecided:
            return False

    def is_clear(x, y):
        q = x, y, 1 - x - y
        if differ(divergence(q), RADIUS):
            return True
        (a, b, c), logs = SLOPES[loss](q), [log(z) for z in q]
        return differ((a - c) * (logs[1] - logs[2]), (b - c) * (logs[0] - logs[2]))

    return [(x, y, 1 - x - y) for x, y in leftovers(is_clear, SIDE, SIDE, finest=FINEST)]


@claim("minimal-trust-region", "not in the paper; an instance of Proposition 3.1", PROVED)
def trust_region(loss=of_pairs, printed=DPO, shift=0):
    r"""S=\{\pi:\mathrm{KL}(\pi\|\pi_{\mathrm{ref}})\le 0.05\},\ \pi^*=(.6,.3,.1):\quad
    \hat\pi_{\mathrm{RLHF}}=(.4592,.3360,.2048),\quad\hat\pi_{\mathrm{DPO}}=(.4484,.3523,.1992)

    Assumes: one prompt, three responses, uniform reference, $\lambda=1$, all pairs asked equally often
    Because: With two responses the same ball is an interval, and the two agree.
    Proof: RLHF's optimum is a tempered $\pi^*$, its power $\pi_a\propto(\pi^*)^a$ with the exponent that meets the
    radius: $a\,[\mathrm{KL}(\pi\|\pi^*)-\mathrm{KL}(\pi_a\|\pi^*)]=\mathrm{KL}(\pi\|\pi_a)+(1-a)[0.05-
    \mathrm{KL}(\pi\|\pi_{\mathrm{ref}})]$ for every policy. DPO's loss rests nowhere but at $\pi^*$, outside, so it is
    least on the rim, where its gradient is along that of the divergence. Boxes that cover the rim leave two such
    places, and the loss is larger at one. The other is not tempered, and neither is the optimum of
    $\mathrm{KL}(\pi^*\|\pi)$, $(.4656,.3249,.2095)$.
    """

    def is_near(box):
        return all(abs(x - y - shift) < ROUNDED for x, y in zip(box, printed, strict=True))

    boxes = rest_points(loss)
    near, far = [box for box in boxes if is_near(box)], [box for box in boxes if not is_near(box)]
    inside = [F(999, 1000) * x + F(1, 3000) for x in near[0]] if near else TARGET
    feasible = divergence(inside) < RADIUS < divergence(TARGET)
    return feasible and all(loss(box) > loss(inside) for box in far)


def are_not_tempered(room=F(1, 100)):
    """Of a power of the target, log(q_1 / q_2) is to log(q_2 / q_3) as log 2 to log 3."""
    places = rest_points(of_pairs) + rest_points(of_forward_divergence)
    return all(abs(log(x / y) * log(3) - log(y / z) * log(2)) > room for x, y, z in places)


def slopes(x, y, z, times=1):
    """The partial derivatives of both losses, and of the divergence on the simplex."""
    q, same_slopes = (x, y, z), same(0, 0)
    for loss, partials in SLOPES.items():
        for variable, partial in zip(q, partials(q), strict=True):
            same_slopes &= same(sp.diff(loss(q, sp.log), variable), times * partial)
    third = 1 - x - y
    rim = sum(r * sp.log(3 * r) for r in (x, y, third))
    return same_slopes & same(sp.diff(rim, x), sp.log(x) - sp.log(third))


LEMMAS = "Fermat, compactness"
trust_region.enclosed(wrong={"shift": F(1, 1000)}, lemma=LEMMAS)
trust_region.derived(of=slopes, wrong={"times": F(11, 10)})
trust_region.enclosed(
    of=lambda shift=0: trust_region(of_forward_divergence, FORWARD, shift),
    wrong={"shift": F(1, 1000)},
    lemma=LEMMAS + ", convex",
    also=True,
)


# the region lies in the boxes, and DPO's loss rests at the target only


def two_groups(x):
    return x * log(3 * x) + (1 - x) * log(3 * (1 - x) / 2)


def outside_beyond(low=SIDE[0], high=SIDE[1]):
    return two_groups(low) > RADIUS and two_groups(high) > RADIUS


def grouped(odds, split, times=1):
    """One response against the other two: x is 1 / (1 + odds), and y has the share 1 / (1 + split) of the rest."""
    x, rest, t = 1 / (1 + odds), odds / (1 + odds), 1 / (1 + split)
    within = t * sp.log(2 * t) + split * t * sp.log(2 * split * t)
    between = x * sp.log(3 * x) + rest * sp.log(3 * rest / 2)
    parts = x, rest * t, rest * split * t
    slope = sp.diff(between, odds) / sp.diff(x, odds)
    same_slope = same(slope, sp.log(x) - sp.log(rest / 2))
    return same_slope & same(sum(p * sp.log(3 * p) for p in parts), between + times * rest * within)


def steps_away_from_uniform(c, third=F(1, 3)):
    """A split costs at least 0, and two groups cost more the further x is from 1/3."""
    within = c.t * log(2 * c.t) + (1 - c.t) * log(2 * (1 - c.t))
    return within >= 0 and (log(c.x) < log((1 - c.x) / 2)) == (c.x < third)


@sums_of("margins d of the policy and d* of the target, for any number of pairs")
def margins(numbers):
    """Any number of pairs."""
    d, target = numbers.real("d"), numbers.real("d_star")
    rise = 1 / (1 + exp(-d)) - 1 / (1 + exp(-target))
    return Named(rise=rise * (d - target), distance=(d - target) ** 2)


def rises_away_from_the_target(s, share=0):
    return s.distance >= 0 and s.rise >= share * s.distance and (s.distance == 0 or s.rise > 0)


def slope_of_a_pair(d, target, times=1):
    wins = 1 / (1 + sp.exp(-target))
    loss = wins * sp.log(1 + sp.exp(-d)) + (1 - wins) * sp.log(1 + sp.exp(d))
    return same(sp.diff(loss, d), times * (1 / (1 + sp.exp(-d)) - wins))


trust_region.enclosed(of=outside_beyond, wrong={"low": F(1, 5)}, lemma="monotone")
trust_region.derived(of=grouped, wrong={"times": F(11, 10)})
two_shares = world_of("0 < x, t < 1", x="share", t="share")
trust_region.proved(over=two_shares, of=steps_away_from_uniform, wrong={"third": F(3, 10)})
trust_region.by_induction(**margins, of=rises_away_from_the_target, wrong={"share": F(1, 10)})
trust_region.derived(of=slope_of_a_pair, symbols=dict.fromkeys(("d", "target"), "real"), wrong={"times": F(11, 10)})


# RLHF's optimum


def tempered(a):
    weights = [exp(a * log(p)) for p in TARGET]
    return [w / sum(weights) for w in weights]


EXPONENT = (F(4505, 10**4), F(4506, 10**4))


def is_printed(a, shift=0):
    return all(abs(x - y - shift) < ROUNDED for x, y in zip(tempered(a), RLHF, strict=True))


def meets_the_radius(low=EXPONENT[0], high=EXPONENT[1]):
    return divergence(tempered(low)) < RADIUS < divergence(tempered(high))


def excess(y, times=1):
    """Quantities are log pi and log pi* of each response; log Z of the power and log n are any numbers."""
    a, log_z, log_n = (y.one(name).log_target for name in ("a", "log Z", "log n"))
    to_target, to_power = y.log_pi - y.log_target, y.log_pi - (a * y.log_target - log_z)
    from_uniform = y.sum(y.pi * (y.log_pi + log_n))
    constant = log_z + (a - 1) * log_n
    return same(a * y.sum(y.pi * to_target), times * y.sum(y.pi * to_power) + (a - 1) * from_uniform - constant)


@sums_of("p, q > 0")
def two_policies(numbers):
    """Two policies with any number of responses."""
    p, q = numbers.positive("p"), numbers.positive("q")
    return Named(p=p, q=q, divergence=p * log(p / q), distance=(p - q) ** 2)


def gibbs(s, times=1):
    excess = s.divergence - times * (s.p - s.q)
    return excess >= 0 and s.distance >= 0 and (excess == 0) == (s.distance == 0)


def no_policy_beats_it(c, slack=0):
    at_the_power = -(1 - c.a) * c.radius - c.constant
    return c.to_power - (1 - c.a) * (c.radius - c.less) - c.constant >= at_the_power + slack


QUANTITIES = over_responses(pi="probability", log_pi="any", log_target="any")
KINDS = {"a": "share", "constant": "real", **dict.fromkeys(("radius", "less", "to_power"), "nonnegative")}
trust_region.enclosed(*EXPONENT, of=is_printed, wrong={"shift": F(1, 1000)}, lemma="intermediate value")
trust_region.enclosed(of=meets_the_radius, wrong={"low": EXPONENT[1]}, lemma="intermediate value")
trust_region.derived(of=excess, sums=QUANTITIES, wrong={"times": F(11, 10)})
trust_region.by_induction(**two_policies, of=gibbs, wrong={"times": F(11, 10)})
trust_region.proved(
    over=world_of("0 < a < 1; KL(pi, pi_a) >= 0; KL(pi, ref) = radius - less", **KINDS),
    of=no_policy_beats_it,
    wrong={"slack": F(1, 10)},
)
trust_region.enclosed(of=are_not_tempered, wrong={"room": F(1, 5)})
