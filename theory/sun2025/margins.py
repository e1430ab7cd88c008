"""Does SiLU prevent over-optimisation? The margins under gradient flow and gradient descent, alone and coupled."""

import math
from fractions import Fraction as F
from functools import cache

import numpy as np
import sympy as sp
from scipy.optimize import brentq

from dynamics import logistic_margin
from dynamics.errors import check_positive
from theory.claim import CONDITIONALLY, PROVED
from theory.evidence import CONDITIONAL, FAILS
from theory.proof import TABULAR, Named, derivative, exp, integral, omega, same, setting, sums_of, world_of
from theory.sun2025 import floor
from theory.sun2025.axis import claim
from theory.sun2025.floor import FLOOR_CURVATURE, FLOOR_MARGIN
from theory.sun2025.silu import bend, lambert, sigma, silu_slope, slope_of_logistic, slope_of_spo

LIMIT_OF_STEPS = 2 / FLOOR_CURVATURE
"""2 (1 + W) / W = 9.1822: the largest learning_rate |grad m|^2 at which gradient descent settles at the floor."""


def push(margin: np.ndarray | float) -> np.ndarray:
    """Return -dL/dm = sigma(-m) (1 - m sigma(m)): the speed of a margin under gradient flow with |grad m| = 1."""
    return floor.silu_slope(-np.asarray(margin, dtype=float))


def shared_floor(ordinary: float, scale: float) -> float:
    """Return where one parameter settles that is the margin of many pairs, and times ``scale`` that of one more.

    Gradient flow from theta = 0 with N pairs of margin theta and one of margin c theta stops at the first root of
    N push(theta) + c push(c theta).

    Args:
        ordinary: N, > 0.
        scale: c, > 0.

    Returns:
        theta; the margin of the last pair is c theta.

    Raises:
        InvalidArgument: an argument that is no finite number > 0.

    Example:
        >>> round(shared_floor(100, 10), 4), round(shared_floor(1, 1), 4)
        (1.2784, 1.2785)
    """
    check_positive("ordinary", ordinary)
    check_positive("scale", scale)

    def total(theta: np.ndarray | float) -> np.ndarray:
        return ordinary * push(theta) + scale * push(scale * np.asarray(theta))

    grid = np.linspace(0.0, max(1.0, 1 / scale) * FLOOR_MARGIN + 1e-6, 4001)
    first = int(np.argmax(total(grid) < 0))
    return float(brentq(lambda theta: float(total(theta)), grid[first - 1], grid[first], xtol=1e-14))


def descend(margin: float, size: float, steps: int) -> float:
    """Return a margin after gradient descent with learning_rate |grad m|^2 = ``size``."""
    for _ in range(steps):
        margin += size / (1 + math.exp(margin)) * (1 - margin / (1 + math.exp(-margin)))
    return margin


@claim("settles", "Abstract and Section 3.2, for one pair", PROVED)
def settles(c, shift=0):
    r"""\dot m=\|\nabla m\|^2\,\sigma(-m)(1-m\sigma(m)):\quad m(t)\to 1+W\ \text{monotonically from every }m(0),
    \qquad\log\frac{\pi_w}{\pi_l}\to\frac{\gamma+1+W}{\beta}

    Assumes: one pair, gradient flow, gradient of the margin bounded away from 0
    Because: The approach is exponential with the rate $\|\nabla m\|^2W/(1+W)$; for a tabular softmax
    $\|\nabla m\|^2=2\beta^2$. No absolute probability is held: sun2025.levels-unconstrained.
    Proof: The speed has the sign of $1+W-m$ (sun2025.figure-7); its slope at the fixed point is $-\mathrm{SiLU}''$.
    """
    speed, fixed = -slope_of_spo(c.m), 1 + c.W + shift
    end = (c.gamma + fixed) / c.beta
    before, beyond = (c.m < fixed) == (c.h < end), (c.m > fixed) == (c.h > end)
    return (speed > 0) == (c.m < fixed) and (speed < 0) == (c.m > fixed) and before and beyond


@setting("any margin m and gamma, beta > 0; the log-ratio is h, with m = beta h - gamma")
def any_log_ratio(numbers):
    """Every pair."""
    m, gamma, beta = numbers.real("m"), numbers.real("gamma"), numbers.positive("beta")
    return Named(m=m, gamma=gamma, beta=beta, h=(m + gamma) / beta, W=lambert(m))


@cache
def derivative_at_the_floor(order):
    """Return a derivative of SiLU(-m) at m = 1 + W, where e^m = 1 / W."""
    m, lambert = sp.symbols("m W", positive=True)
    return sp.simplify(sp.diff(-m / (1 + sp.exp(m)), m, order).subs(sp.exp(m), 1 / lambert).subs(m, 1 + lambert))


def rate(W, times=1):
    return same(derivative_at_the_floor(1), 0) & same(derivative_at_the_floor(2), times * W / (1 + W))


settles.proved(over=any_log_ratio, wrong={"shift": F(1, 10)}, lemma="autonomous flow")
settles.derived(of=rate, wrong={"times": F(11, 10)}, also=True)
settles.proved(over=TABULAR, of=lambda w, square=2: w.dd == square, wrong={"square": F(21, 10)}, also=True)


@claim("logistic-never-settles", "Section 1, on logsigmoid; the closed form is ours", PROVED)
def logistic_never_settles(m, k, times=1):
    r"""\dot m=\sigma(-m)\implies m+e^m=m(0)+e^{m(0)}+t,\qquad m\sim\ln t\to\infty

    Assumes: one pair, gradient flow, unit gradient of the margin
    Proof: $\frac{d}{dt}(m+e^m)=(1+e^m)\,\sigma(-m)=1$, so that m grows beyond every bound, and $\ln t/m\to 1$.
    """
    speed = -sp.diff(-sp.log(sigma(m)), m)
    growth = sp.limit(sp.log(m + sp.exp(m) + k) / m, m, sp.oo)
    return same(sp.diff(m + sp.exp(m), m) * speed, times) & same(growth, 1) & same(speed, sigma(-m))


def in_dynamics(shift=0.0):
    times = np.array([0.5, 5.0, 500.0])
    margin = logistic_margin(times, rate=1.0, start=-0.7)
    return bool(np.abs(margin + np.exp(margin) + 0.7 - math.exp(-0.7) - times - shift).max() < 1e-9)


logistic_never_settles.derived(symbols={"k": "real"}, wrong={"times": F(11, 10)}, lemma="autonomous flow")
logistic_never_settles.numerical(
    of=in_dynamics, wrong={"shift": 1e-6}, tolerance="dynamics.logistic_margin at 3 times, 1e-9", also=True
)


@claim(
    "prevents-over-optimisation",
    "Abstract; Section 3.2; Appendix C",
    CONDITIONALLY,
    "settles",
    "shared-parameters",
)
def prevents_over_optimisation(s, share=0):
    r"""m_i(t)\to 1+W\qquad\text{for every pair }i

    Assumes: margins that can be moved independently: constant, linearly independent gradients; gradient flow
    Because: With shared parameters one pair is carried along by the others: of the margins $\theta$ and $2\theta$ at
    most one can be at the floor, and 100 pairs of margin $\theta$ and one of margin $10\theta$ settle where the last
    one has the margin 12.78, ten times the floor (sun2025.shared-parameters).
    Proof: Independence gives parameters $\theta^*$ at which every margin is $1+W$. Along the flow
    $\frac{d}{dt}\frac12\|\theta-\theta^*\|^2=-\sum_iL'(m_i)(m_i-1-W)$, and each term is negative but at the floor:
    nothing rests as long as a margin is at a distance from it. With shared parameters something does.
    """
    change = s.fixed.away * s.force  # of half the squared distance from theta*
    return s.distance >= 0 and change <= -share * s.distance and (s.distance == 0 or change < 0)


@sums_of(
    "W = e^(-1 - W); theta is at the distance r > 0 from theta*, where every margin is 1 + W; a margin m is linear, "
    "with the slope (m - 1 - W) / r in the direction from theta* to theta; the flow moves in it by -slope L'(m)",
    fixed=lambda numbers: Named(away=numbers.positive("r"), W=omega(0 * numbers.real("unit") - 1)),
)
def margins(numbers, fixed):
    """Any number of pairs, and of parameters."""
    m = numbers.real("m")
    slope = (m - 1 - fixed.W) / fixed.away
    return Named(force=-slope * slope_of_spo(m), distance=(m - 1 - fixed.W) ** 2)


def not_at_rest(c, scale=2):
    """The margins theta and 2 theta, where they stand still: one of them is not at the floor."""
    distance = (c.theta - c.floor) ** 2 + (scale * c.theta - c.floor) ** 2
    return not prevents_over_optimisation(Named(force=0 * distance, distance=distance, fixed=Named(away=1)))


one_parameter = world_of("any theta, floor > 0", theta="real", floor="positive")
prevents_over_optimisation.proved(over=one_parameter, of=not_at_rest, role=FAILS, wrong={"scale": 1})
prevents_over_optimisation.by_induction(
    **margins, role=CONDITIONAL, wrong={"share": F(1, 10)}, lemma="LaSalle, linear system"
)


@claim("shared-parameters", "not in the paper; how far a pair can be carried", PROVED)
def shared_parameters(c, shift=0):
    r"""N\,L'(\theta)+c\,L'(c\theta)=0\implies\theta<1+W<c\,\theta\ (c>1):\quad(N,c)=(100,10)\Rightarrow c\theta=12.78,
    \quad(N,c)=(10^4,20)\Rightarrow c\theta=25.57

    Assumes: gradient flow from $\theta=0$, N pairs of margin $\theta$, one of $c\theta$
    Because: The restoring force of a margin far beyond the floor is exponentially small, that of the many is not.
    Proof: Up to $(1+W)/c$ both push $\theta$ up, from $1+W$ on both pull it back; the first rest point lies between. In
    numbers: the sum is positive up to 1.27835, or 1.278425, and negative at 1.27845, or 1.278475.
    """
    total, last = both_pushes(c.theta, c.many, c.scale), c.scale * c.theta
    return (last > 1 + c.W or total > 0) and (c.theta < 1 + c.W + shift or total < 0)


def both_pushes(theta, many, scale):
    return many * silu_slope(-theta) + scale * silu_slope(-scale * theta)


@setting("any theta; N > 0 pairs of margin theta, one of c theta, c > 1")
def crowd(numbers):
    """Every crowd and every theta."""
    theta, many, scale = numbers.real("theta"), numbers.positive("N"), 1 + numbers.positive("more")
    return Named(theta=theta, many=many, scale=scale, W=omega(0 * theta - 1))


def first_rests_before(theta, many=100, scale=10, at=F(127845, 10**5)):
    """Both push theta up so far, and pull it back at a place that is a little further."""
    return both_pushes(theta, many, scale) > 0 > both_pushes(at, many, scale)


shared_parameters.proved(over=crowd, wrong={"shift": F(-1, 4)}, lemma="autonomous flow")
shared_parameters.enclosed(
    0,
    F(127835, 10**5),
    of=first_rests_before,
    wrong={"at": F(127835, 10**5)},
    lemma="autonomous flow, intermediate value",
    part=r"(N,c)=(100,10)\Rightarrow c\theta=12.78",
)
shared_parameters.enclosed(
    0,
    F(1278425, 10**6),
    of=lambda theta, at=F(1278475, 10**6): first_rests_before(theta, 10**4, 20, at),
    wrong={"at": F(1278425, 10**6)},
    lemma="autonomous flow, intermediate value",
    part=r"(N,c)=(10^4,20)\Rightarrow c\theta=25.57",
)
prevents_over_optimisation.rests_on(shared_parameters, role=FAILS)


@claim("slow-return", "not in the paper; the way back from beyond the floor", PROVED)
def slow_return(start=12):
    r"""t(12\to 2)=\int_2^{12}\frac{dm}{\sigma(-m)(m\sigma(m)-1)}=1.65\cdot 10^4

    Assumes: one pair, gradient flow, unit gradient of the margin
    Because: Beyond m = 2.4 the pull weakens exponentially: a margin that got there stays for a time of order $e^m/m$.
    Proof: Separate the variables; the integral is enclosed on 2000 pieces.
    """
    time = integral(lambda m: -1 / silu_slope(-m), 2, start, 2000)
    return abs(time - 16500) < 82


slow_return.enclosed(wrong={"start": F(119, 10)}, lemma="separation of variables")


descent, multiplier = (lambda m, size: m + size * silu_slope(-m)), (lambda m, size: 1 - size * bend(-m))


def second(m, size):
    s, spread = sigma(-m), sigma(-m) * (1 - sigma(-m))
    return size * spread * (3 * (1 - 2 * s) - m * (1 - 6 * spread))


def third(m, size):
    s, spread = sigma(-m), sigma(-m) * (1 - sigma(-m))
    return -size * spread * (4 - 24 * spread - m * (1 - 2 * s) * (1 - 12 * spread))


@claim("step-size", "not in the paper; gradient descent instead of the flow", PROVED)
def step_size(c, limit=2):
    r"""\text{locally stable at }1+W\iff\eta\|\nabla m\|^2\le\frac{2(1+W)}{W},\qquad\frac{2(1+W)}{W}=9.1822,\qquad
    f(x)=-x+ax^2+bx^3+O(x^4)\implies f(f(x))=x-2(a^2+b)x^3+O(x^4)

    Assumes: one pair, plain gradient descent, constant gradient of the margin
    Because: At equality the approach is slow, as one over the root of the number of steps. A larger step can jump the
    floor: from m = -10 with size 20 to m = 10 at once, and 100 further steps bring it back to 8.6 only.
    Proof: The multiplier at the fixed point is $1-\eta\|\nabla m\|^2W/(1+W)$. At equality it is $-1$, and with the
    second and the third derivative of a step $a^2+b\ge 1$. Two steps from a small $x$ then make $x-2kx^3+rkx^3$ with
    $k=a^2+b$ and $|r|\le 1$, which is nearer to 0.
    """
    at, bound = (1 + c.W, c.size), limit * (1 + c.W) / c.W
    once = derivative(descent, multiplier)
    slope, twice = once(*at), derivative(once, second)
    if c.size != bound:
        return (abs(slope) < 1) == (c.size < bound) and (abs(slope) > 1) == (c.size > bound)
    a, known = (2 - c.W) / (1 + c.W), sigma(-at[0]) == c.W / (1 + c.W)
    flips = known and slope == -1 and twice(*at) == 2 * a and a**2 + derivative(twice, third)(*at) / 6 >= 1
    small = 0 < c.k * c.x**2 <= F(1, 2)
    return flips and (not small or abs(c.x - (2 - c.r) * c.k * c.x**3) < abs(c.x))


@setting("any step size, W + log W = -1; any k >= 1, |r| <= 1 and distance x")
def any_step(numbers):
    """Every step size."""
    size, x = numbers.positive("size_over_limit"), numbers.real("x")
    W, k, r = lambert(x), numbers.at_least("k", 1), numbers.within("r", -1, 1)
    return Named(size=size * 2 * (1 + W) / W, W=W, k=k, r=r, x=x)


def two_steps(x, a, b, d, times=2):
    def step(y):
        return -y + a * y**2 + b * y**3 + d * y**4

    return same(sp.series(step(step(x)), x, 0, 4).removeO(), x - times * (a**2 + b) * x**3)


def jump(later=F(86, 10)):
    path = [F(-10)]
    for _ in range(101):
        path.append(path[-1] + 20 * silu_slope(-path[-1]))
    return abs(path[1] - 10) < F(5, 100) and abs(path[-1] - later) < F(5, 100)


step_size.proved(over=any_step, wrong={"limit": F(19, 10)}, lemma="linearisation, Taylor")
step_size.enclosed(
    of=lambda digits=F(91822, 10**4): abs(2 * (1 + omega(-1)) / omega(-1) - digits) < F(5, 10**5),
    wrong={"digits": F(9182, 1000)},
    part=r"\frac{2(1+W)}{W}=9.1822",
)
step_size.derived(
    of=two_steps,
    symbols=dict.fromkeys("xabd", "real"),
    wrong={"times": F(21, 10)},
    part=r"f(x)=-x+ax^2+bx^3+O(x^4)\implies f(f(x))=x-2(a^2+b)x^3+O(x^4)",
)
step_size.enclosed(of=jump, wrong={"later": F(85, 10)}, also=True)


@claim("displacement-limited", "not in the paper; what the finite minimum does for the chosen response", PROVED)
def displacement_limited(c, power=1):
    r"""\phi=(1,0,3),\ \beta=1,\ \gamma=0:\quad\pi_w:\tfrac13\to 0.0705\ \text{with SPO},\qquad\pi_w\to 0\
    \text{with the logistic loss}

    Assumes: three responses, one parameter, gradient flow from the uniform policy
    Because: Displacement of the chosen response is limited, not prevented.
    Proof: The margin is $\theta$, and $1/\pi_w=e^{-\theta}+1+e^{2\theta}$ rises. The flow of SPO stops at a $\theta$
    between 1.27846 and 1.27847. That of the logistic loss passes every $\theta$, and $1/\pi_w\ge 3+\theta$.
    """
    falls = derivative(one_over_chosen, its_slope)(c.theta) > 0
    return falls and slope_of_logistic(c.theta) < 0 and one_over_chosen(c.theta) >= power * (3 + c.theta)


one_over_chosen, its_slope = (
    (lambda theta: sum(exp((phi - 1) * theta) for phi in (1, 0, 3))),  # phi of the chosen response is 1
    (lambda theta: -exp(-theta) + 2 * exp(2 * theta)),
)


def where_it_stops(share, end=F(705, 10**4), low=F(127846, 10**5), high=F(127847, 10**5)):
    """SPO pushes theta up from 0 to one place and back at another; between the two 1 / pi_w is as said."""
    between = one_over_chosen(low + share * (high - low))
    stops = slope_of_spo(share * low) < 0 < slope_of_spo(high)
    return stops and one_over_chosen(F(0)) == 3 and abs(1 / between - end) < F(5, 10**5)


displacement_limited.proved(
    over=world_of("theta >= 0", theta="nonnegative"), wrong={"power": F(11, 10)}, lemma="autonomous flow, monotone"
)
displacement_limited.enclosed(
    0,
    1,
    of=where_it_stops,
    wrong={"end": F(706, 10**4)},
    lemma="autonomous flow, intermediate value",
    part=r"\pi_w:\tfrac13\to 0.0705\ \text{with SPO}",
)


@claim("noisy-labels", "not in the paper; labels that are right with probability eta", PROVED)
def noisy_labels(c, room=0):
    r"""m^*(\eta)=\arg\min_m m(\sigma(m)-\eta):\quad\mathrm{SiLU}'(m^*)=\eta,\quad m^*(1-\eta)=-m^*(\eta),\quad
    |m^*|<1+W,\quad\text{increasing in }\eta

    Assumes: $0<\eta<1$
    Because: 0.4113, 0.9124, 1.2339 for eta = 0.7, 0.9, 0.99, where the log-odds are 0.847, 2.197, 4.595: the loss
    ranks rightly and recovers no rewards.
    Proof: The expected loss (sun2025.expected-loss) has the slope $\mathrm{SiLU}'(m)-\eta$. $\mathrm{SiLU}'$ is at
    most 0 up to $-(1+W)$, at least 1 from $1+W$ on, and rises between, since
    $\mathrm{SiLU}''(m)=\sigma(m)\sigma(-m)(2-m\tanh\frac m2)$ and $1+W<2$: it takes every value in $(0,1)$ once, there.
    """
    slope, below, above = derivative(expected_loss, expected_slope), c.m <= -1 - c.W, c.m >= 1 + c.W
    here, rising = slope(c.m, c.eta), derivative(slope, expected_bend)(c.m, c.eta)
    return here < 0 if below else here > 0 if above else rising > room


expected_loss, expected_slope = (lambda m, eta: m * (sigma(m) - eta)), (lambda m, eta: silu_slope(m) - eta)


def expected_bend(m, _):
    return bend(m)


@setting("any margin m, 0 < eta < 1")
def label(numbers):
    """Every margin and every share of right labels."""
    m = numbers.real("m")
    return Named(m=m, eta=numbers.between("eta", 0, 1), W=lambert(m))


def in_digits(third=F(12339, 10**4), half=F(5, 10**5)):
    """SiLU' passes through eta within 5e-5 of each printed number."""
    printed = ((F(7, 10), F(4113, 10**4)), (F(9, 10), F(9124, 10**4)), (F(99, 100), third))
    return all(silu_slope(m - half) < eta < silu_slope(m + half) for eta, m in printed)


noisy_labels.proved(over=label, wrong={"room": F(1, 4)}, lemma="monotone, intermediate value")
noisy_labels.derived(
    of=lambda m, eta, whole=1: same(-sp.diff(expected_loss(m, eta), m), expected_slope(-m, whole - eta)),
    symbols={"m": "real"},
    wrong={"whole": F(11, 10)},
    part=r"m^*(1-\eta)=-m^*(\eta)",
)
noisy_labels.enclosed(of=in_digits, wrong={"third": F(1235, 1000)}, also=True, lemma="intermediate value")
