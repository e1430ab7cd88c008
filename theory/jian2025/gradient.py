"""Appendix A.1: the linearised step (17-22), the gradient of the DPO loss (16, 23-27), and its batch (28-30)."""

import random
from fractions import Fraction as F
from typing import Any

import sympy as sp

from theory.claim import CONDITIONALLY, FIRST_ORDER, PROVED
from theory.evidence import CONDITIONAL, ORDER
from theory.jian2025.cases import EVEN_PAIR, Batch, along, batch, ladder
from theory.jian2025.finite_step import residual
from theory.jian2025.theorem_1 import NOTHING_MOVES, exact_in_a_step
from theory.proof import Named, exp, over_responses, same, setting, sqrt, sums_of
from theory.statement import claims_of
from theory.worlds import World, any_world, dot

claim = claims_of("jian2025")

# --- the remainder of a step ---------------------------------------------------------------------------------------


def remainders(w: World, size: F) -> list[Any]:
    """Return exact change - first-order change of every probability in a step of any rational size, as balls."""
    grown = [p * exp(size * a) for p, a in zip(w.p, along(w), strict=True)]
    total = sum(grown[1:], grown[0])
    return [g / total - (w.p[y] + size * w.change(y)) for y, g in enumerate(grown)]


def world_and_size(source: random.Random) -> tuple[World, F]:
    """Draw a world and the size of a step; a quarter of them where the curvature is sharpest."""
    if source.random() < 0.25:  # p(1-p)(1-2p) peaks at p = 0.21132..., nearly 15/71
        scale = source.choice((1, 2, 5))
        return World.with_base([15, 56], [[scale], [0]], *source.sample((0, 1), 2)), F(1, 1000 * scale**2)
    return any_world(source), F(source.randint(1, 60), source.choice((20, 200, 2000)))


SIZES = "2 to 8 responses, 1 to 4 features from -4 to 4 or a table, steps of size 1/2000 to 3"


@claim("eq-19", "Eq. (19) and the estimate under it", CONDITIONALLY, "taylor-remainder")
def eq_19(c, room=1):
    r"""\eta=10^{-5},\ \|\nabla\mathcal{L}\|\approx 1\ \Rightarrow\
    |\pi_{\theta+\Delta\theta}-\pi_\theta-\nabla\pi_\theta\cdot\Delta\theta|
    \lesssim\eta^2\|\nabla\mathcal{L}\|^2=10^{-10}

    Assumes: a log-linear policy whose features differ by at most 4 in norm
    Because: The constant in $\mathcal{O}(\eta^2\|\nabla\mathcal{L}\|^2)$ is the curvature of $\pi$, which neither a
    bounded nor a clipped gradient bounds. Two responses with features $10^5$ and $0$, $\eta=10^{-5}$ and
    $\|\nabla\mathcal{L}\|=1$ have a remainder of $0.019$.
    Proof: The bound of jian2025.taylor-remainder, since $\rho=\max(\phi_y-\phi_{y'})\cdot d\le 4\|d\|$ by
    Cauchy-Schwarz, and $16\sqrt3/36<1$.
    """
    return abs(c.remainder) <= room * c.size**2 * c.dd  # eta |grad L| = size |d|


def in_a_step(world: World, size: F, y: int = 0) -> Named:
    """Return the case of one response of a log-linear world in a step of any rational size s = eta beta sigma(-z)."""
    reach = size * (max(along(world)) - min(along(world)))
    return Named(remainder=remainders(world, size)[y], size=size, dd=world.dd, reach=reach)


def eq_19_of_every_response(case: tuple[World, F], room: Any = 1) -> bool:
    return all(eq_19(in_a_step(*case, y), room) for y in case[0].responses)


@setting("reach = s rho with rho <= 4 |d|, by Cauchy-Schwarz; the remainder is within jian2025.taylor-remainder")
def tame_features(numbers):
    """Every log-linear policy whose features differ by at most 4 in norm."""
    step = numbers.case_of(after_integration, taylor_remainder, keep="remainder reach")
    size, spread = numbers.positive("size"), numbers.within("spread", 0, 4)  # rho = spread |d|
    if spread > 0:
        numbers.assume(step.reach >= 0)
        norm = step.reach / (size * spread)
    else:
        numbers.assume(step.reach == 0)
        norm = numbers.at_least("norm", 0)
    return Named(remainder=step.remainder, size=size, dd=norm**2)


def tame(case: Any) -> bool:
    phi = case[0].features
    return all(dot(d, d) <= 16 for a in phi for b in phi for d in [[x - y for x, y in zip(a, b, strict=True)]])


@claim("taylor-remainder", "not in the paper; puts a constant into Eq. (19)", PROVED)
def taylor_remainder(c, share=1):
    r"""|\Delta\pi_y-D_y|\le\frac{\sqrt3}{36}\,s^2\rho^2,\qquad s=\eta\beta\sigma(-z),\quad
    \rho=\max_y\phi_y\cdot d-\min_y\phi_y\cdot d,\quad d=\phi_w-\phi_l;\qquad
    \frac{d^2\pi_y}{ds^2}=\pi_y(a_y^2-\mathrm{Var}\,a),\quad a_y=\phi_y\cdot d-E[\phi\cdot d]

    Assumes: a log-linear policy, one pair, any step size; a tabular softmax has a range of 2
    Proof: At a given $\pi_y$ and mean of the others it is largest when they share one value and least when they sit
    at both ends of the range; over both, $|\pi_y''|\le\max_p p(1-p)(1-2p)\,\rho^2=\frac{\sqrt3}{18}\rho^2$; integrate
    twice. Two responses with $p=(3-\sqrt3)/6$ attain it as $s\to 0$.
    """
    return abs(c.remainder) <= share * c.reach * sqrt(3 * c.reach**2) / 36  # reach = s rho >= 0


def remainder_of_every_response(case: tuple[World, F], share: Any = 1) -> bool:
    return all(taylor_remainder(in_a_step(*case, y), share) for y in case[0].responses)


def bend(p, a, mean, mean_square, times=1):
    """Return p ((a - mean)^2 - variance), the second derivative of a probability along a path."""
    return p * ((a - mean) ** 2 - times * (mean_square - mean**2))


def curvature(s, p, a, Z, times=1):
    """Z'/Z and Z''/Z are the mean and the second moment of phi . d, since Z is the sum of the weights p e^(s phi.d)."""
    weight = p * sp.exp(s * a)
    pi, moments = weight / Z(s), (Z(s).diff(s) / Z(s), Z(s).diff(s, 2) / Z(s))
    of_each = same(sp.diff(weight, s), a * weight) & same(sp.diff(weight, s, 2), a**2 * weight)
    return same(sp.diff(pi, s, 2), bend(pi, a, *moments, times)) & of_each


@sums_of("q > 0, 0 <= x <= 1: phi . d from its minimum, in units of its range")
def others(numbers):
    """All responses but y."""
    q, x = numbers.positive("q"), numbers.within("x", 0, 1)
    return Named(q=q, qx=q * x, qxx=q * x * x)


def sums_of_others(s, room=0):
    return s.q > 0 and s.qx**2 <= s.q * s.qxx and s.qxx + room * s.q <= s.qx <= s.q


@setting("0 <= x_y <= 1 of y; of the sums over all others, with the mass q < 1, what is proved by induction")
def one_and_the_others(numbers):
    """Every response y and all others together, with the range of phi . d as the unit."""
    rest, x = numbers.case_of(others["states"], sums_of_others), numbers.within("x_y", 0, 1)
    p = 1 - rest.q
    numbers.assume(p > 0)
    second = bend(p, x, p * x + rest.qx, p * x * x + rest.qxx)
    return Named(p=p, peak=p * (1 - p) * (1 - 2 * p), second=second)


def above(c, share=1):
    return c.second <= share * c.peak if c.p < F(1, 2) else c.second <= 0


def below(c, share=1):
    if c.p <= F(1, 2):
        return -16 * c.second <= share
    return -c.second <= -c.peak or -c.second <= F(95, 1000)


def peak(c, times=108):
    """(sqrt(3) / 18)^2 = 1/108 is above the squares of p(1-p)(1-2p), 1/16 and 95/1000."""
    return times * c.peak**2 <= 1 and times * F(1, 16) ** 2 <= 1 and times * F(95, 1000) ** 2 <= 1


@setting("the second derivative at some point of the step, in units of rho^2: what above, below and peak say of it")
def after_integration(numbers):
    """Every step: by Taylor's theorem the remainder is s^2 / 2 times the second derivative at some point of it."""
    curve = numbers.case_of(one_and_the_others, above, below, peak, keep="p peak second")
    reach = numbers.at_least("reach", 0)
    return Named(remainder=reach**2 * curve.second / 2, reach=reach)


taylor_remainder.derived(
    of=curvature,
    symbols={"s": "real", "a": "real", "Z": "function"},
    wrong={"times": F(11, 10)},
    part=r"\frac{d^2\pi_y}{ds^2}=\pi_y(a_y^2-\mathrm{Var}\,a)",
)
taylor_remainder.by_induction(of=sums_of_others, **others, wrong={"room": F(1, 100)})
taylor_remainder.proved(over=one_and_the_others, of=above, wrong={"share": F(9, 10)})
taylor_remainder.proved(over=one_and_the_others, of=below, wrong={"share": F(9, 10)})
taylor_remainder.proved(over=one_and_the_others, of=peak, wrong={"times": 109})
taylor_remainder.proved(over=after_integration, wrong={"share": F(9, 10)}, lemma="Taylor")
taylor_remainder.unrefuted(
    world_and_size, of=remainder_of_every_response, wrong={"share": F(9, 10)}, worlds=200, ranges=SIZES, also=True
)

# the statement on Eq. (19) rests on that bound
STEEP = World.with_base([1, 1], [[10**5], [0]])
eq_19.false(of=lambda case: eq_19(in_a_step(*case)), at=(STEEP, F(1, 10**10)), true_at=(EVEN_PAIR, F(1, 10**5)))
eq_19.rests_on(taylor_remainder, role=CONDITIONAL)
eq_19.proved(over=tame_features, role=CONDITIONAL, wrong={"room": F(7, 10)})
eq_19.unrefuted(
    world_and_size,
    of=eq_19_of_every_response,
    given=tame,
    wrong={"room": F(1, 25)},
    worlds=200,
    ranges=SIZES,
    also=True,
)


@claim("eq-22", "Eqs. (18), (20)-(22)", FIRST_ORDER, "taylor-remainder")
def eq_22(eta, L, times=1):
    r"""\Delta\pi_y=\nabla_\theta\pi_y\cdot\Delta\theta=\pi_y\,\nabla_\theta\log\pi_y\cdot\Delta\theta

    Assumes: a differentiable policy; $L(\eta)=\log\pi_y$ along the step, so that $L'=\nabla\log\pi_y\cdot\Delta\theta$
    Because: The Taylor remainder is dropped and $\approx$ becomes $=$ between Eqs. (20) and (21); for a finite step
    nearly no change of probability is linear in it.
    Proof: $\nabla\pi=\pi\,\nabla\log\pi$.
    """
    return same(sp.diff(sp.exp(L(eta)), eta), times * sp.exp(L(eta)) * L(eta).diff(eta))


eq_22.derived(symbols={"eta": "real", "L": "function"}, role=ORDER, wrong={"times": F(11, 10)})
eq_22.false(of=exact_in_a_step, at=ladder(1), true_at=NOTHING_MOVES)
eq_22.slope(
    residual(ladder(1), (1,), ladder(1).D_l), 2, wrong=residual(ladder(1), (1,), F(-1, 3) * F(9, 10)), also=True
)


# --- the gradient --------------------------------------------------------------------------------------------------


@claim("eq-24", "Eq. (24)", PROVED)
def eq_24(z, times=1):
    r"""\sigma'(z)=\sigma(z)\,(1-\sigma(z))

    Proof: Differentiate $\sigma(z)=1/(1+e^{-z})$.
    """
    sigma = 1 / (1 + sp.exp(-z))
    return same(sp.diff(sigma, z), sigma * (1 - times * sigma))


eq_24.derived(symbols={"z": "real"}, wrong={"times": F(11, 10)})


@claim("eq-27", "Eqs. (15)-(17), (23), (25)-(27)", PROVED)
def eq_27(t, beta, reference, log_w, log_l, front=1):
    r"""\nabla_\theta\bigl(-\log\sigma(z)\bigr)=-\beta\,(1-\sigma(z))\,(\nabla\log\pi_w-\nabla\log\pi_l)

    Assumes: a differentiable policy, along any one of its parameters $t$; a reference that does not depend on them
    Proof: Chain rule: $\nabla z=\beta(g_w-g_l)$ and $(-\log\sigma)'(z)=-(1-\sigma(z))$.
    """
    sigma = 1 / (1 + sp.exp(-beta * (log_w(t) - log_l(t)) + reference))
    return same(sp.diff(-sp.log(sigma), t), -(beta**front) * (1 - sigma) * (log_w(t).diff(t) - log_l(t).diff(t)))


ANY_PARAMETER = {"t": "real", "reference": "real", "log_w": "function", "log_l": "function"}
eq_27.derived(symbols=ANY_PARAMETER, wrong={"front": F(9, 10)})


@claim("score-identity", "not in the paper; behind the conservation of Eq. (55)", PROVED)
def score_identity(y, share=1):
    r"""\sum_y\pi_y\,\nabla\log\pi_y=0,\qquad\sum_y\Delta\pi_y=0\ \text{at every step size}

    Assumes: any policy: it is the softmax of its logits, whose derivatives $f_y$ by a parameter are any numbers
    Proof: $\nabla\log\pi_y=f_y-\sum\pi f$. After any step the probabilities still sum to 1.
    """
    mean = y.sum(y.p * y.f)
    return same(y.sum(y.p * (y.f - share * mean)), 0)


def mass_after_a_step(y, share=1):
    total = y.sum(y.p * y.growth)
    return same(y.sum(y.p * (y.growth - share * total)), 0)  # Z times the sum of all changes


score_identity.derived(sums=over_responses(p="probability", f="any"), wrong={"share": F(9, 10)})
score_identity.derived(
    of=mass_after_a_step,
    sums=over_responses(p="probability", growth="any"),
    wrong={"share": F(9, 10)},
    part=r"\sum_y\Delta\pi_y=0\ \text{at every step size}",
)


# --- a batch -------------------------------------------------------------------------------------------------------


@setting("N >= 1 pairs; own = g_w.(g_w - g_l) of one of them, others = sum of u_j g_w.(g_wj - g_lj) over the others")
def in_a_batch(numbers):
    """One pair of a batch of N."""
    pairs, u, own = numbers.natural("N", 1), numbers.between("u", 0, 1), numbers.real("own")
    others = (pairs - 1) * numbers.real("mean_of_others")  # an empty sum if there is one pair
    return Named(N=pairs, printed=u * own, others=others, change=(u * own + others) / pairs)


@claim("eq-30-batch", "Eqs. (28)-(30)", CONDITIONALLY, "batch-margin")
def eq_30_batch(c):
    r"""\Delta\theta=\eta\,\mathbb{E}\bigl[\beta(1-\sigma(z))(g_w-g_l)\bigr]\ \Rightarrow\
    \Delta\pi_w=\eta\beta(1-\sigma(z))\,\pi_w\,(\|g_w\|^2-g_w\cdot g_l)

    Assumes: a batch of one pair
    Because: The expectation is dropped between Eqs. (28) and (30). In a batch the other pairs push too: they can turn
    the sign of every term, and even lower the log-ratio of a pair that is trained on.
    Proof: With one pair the expectation is its only term.
    """
    return c.change == c.printed  # both in units of eta beta pi_w


def pair_of(b: Batch, i: int = 0) -> Named:
    """Return what the step of a batch does to log pi_w of one pair, what Eq. (30) says, and the push of the others."""
    pushes = [u * dot(b.scores[i][0], d) for u, d in zip(b.urgencies, b.differences, strict=True)]
    others = sum(pushes[:i] + pushes[i + 1 :], F(0))
    return Named(N=len(pushes), printed=pushes[i], others=others, change=b.log_change(i, chosen=True))


def is_the_mean_push(b: Batch, times: Any = 1) -> bool:
    pairs = [pair_of(b, i) for i in range(len(b.scores))]
    return all(c.change * c.N == c.printed + times * c.others for c in pairs)


def every_log_ratio_rises(b: Batch) -> bool:
    return all(b.log_margin_change(i) >= 0 for i in range(len(b.scores)))


HALF = F(1, 2)
OPPOSED = Batch((((HALF,), (-HALF,)), ((-3 * HALF,), (3 * HALF,))), (HALF, HALF))
ALONE = Batch(OPPOSED.scores[:1], OPPOSED.urgencies[:1])
eq_30_batch.false(at=pair_of(OPPOSED), true_at=pair_of(ALONE))
eq_30_batch.false(of=every_log_ratio_rises, at=OPPOSED, true_at=ALONE)
eq_30_batch.proved(over=in_a_batch, given=lambda c: c.N == 1, wrong_given=lambda c: c.N <= 2)
eq_30_batch.unrefuted(batch, of=is_the_mean_push, wrong={"times": F(9, 10)}, worlds=100, also=True)


@claim("batch-margin", "not in the paper; what is left of Eq. (30) in a batch", PROVED)
def batch_margin(pair, times=1):
    r"""\sum_{j=1}^N\sigma(-z_j)\,D\bigl[\log\pi_{w,j}-\log\pi_{l,j}\bigr]=\frac{\eta\beta}{N}\|S\|^2,\quad
    S=\sum_{j=1}^N\sigma(-z_j)(g_{w,j}-g_{l,j});\qquad\frac{\eta\beta}{N}\|S\|^2\ge 0

    Assumes: any number of pairs; both sides are sums over the parameters, so that it is shown for each of them
    Proof: The left side is the inner product of the sum of the weighted differences with the step, which is their mean.
    """
    push, pairs = pair.sum(pair.u * pair.d), pair.sum(1)
    return same(pair.sum(pair.u * (pair.d * push / pairs)), times * push**2 / pairs)


def unweighted_sum_rises(b: Batch) -> bool:
    return sum(b.log_margin_change(i) for i in range(len(b.scores))) >= 0


PUSH = r"\frac{\eta\beta}{N}\|S\|^2\ge 0"
MEAN_PUSH = setting("N >= 1, eta beta > 0, any sum of weighted differences")(
    lambda numbers: (numbers.real("push"), numbers.natural("N", 1), numbers.positive("rate"))
)
UNEVEN = Batch((((F(1),), (F(0),)), ((F(0),), (F(3),))), (F(9, 10), F(1, 10)))
batch_margin.derived(sums=over_responses(u="any", d="any"), wrong={"times": F(11, 10)})
batch_margin.proved(
    over=MEAN_PUSH, of=lambda c, least=0: c[2] * c[0] ** 2 / c[1] >= least, wrong={"least": F(1, 100)}, part=PUSH
)
batch_margin.false(of=unweighted_sum_rises, at=UNEVEN, true_at=ALONE, also=True)
