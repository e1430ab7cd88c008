"""Theorem 2 for DPO, Equation (12): the replicator equation, and what follows from its being one.

The policy is a table of logits, so that a step adds gamma w_i to every logit: the probabilities of an exact step are
pi_i e^(gamma w_i) / Z. Every sum is over any number of responses.
"""

from __future__ import annotations

from fractions import Fraction as F
from typing import NamedTuple

import sympy as sp

from theory.claim import FIRST_ORDER, PROVED
from theory.evidence import ORDER
from theory.ma2025.bandits import normalised
from theory.ma2025.covariance import claim
from theory.ma2025.logits import fitness_is_the_logit_gradient
from theory.proof import Named, derivative, exp, log, over_responses, same, sums_of
from theory.worlds import Vector, dot


class Selection(NamedTuple):
    """A policy and the fitness of its responses, any fractions."""

    p: Vector
    w: Vector

    @property
    def mean(self) -> F:
        """Return sum_j p_j w_j."""
        return dot(self.p, self.w)

    @property
    def velocity(self) -> Vector:
        """Return the right side of Eq. (12) for gamma = 1: p_i (w_i - mean).

        Example:
            >>> [str(v) for v in Selection((F(1, 4), F(3, 4)), (F(1), F(0))).velocity]
            ['3/16', '-3/16']
        """
        return tuple(p * (w - self.mean) for p, w in zip(self.p, self.w, strict=True))


STEP = r"\Delta s_i=\gamma w_i"


# --- one step ------------------------------------------------------------------------------------------------------


@claim("multiplicative-weights", "not in the paper; Eq. (12) for a step of any size", PROVED)
def multiplicative_weights(s_i, s_j, w_i, w_j, rest, later, gamma, power=1):
    r"""\Delta s_i=\gamma w_i,\qquad\pi_i'=\frac{\pi_i\,e^{\gamma w_i}}{\sum_j\pi_j\,e^{\gamma w_j}},\qquad
    \log\frac{\pi_i'}{\pi_j'}=\log\frac{\pi_i}{\pi_j}+\gamma(w_i-w_j)

    Assumes: tabular logits, full batch, plain gradient descent
    Proof: The first part is ma2025.fitness-is-the-logit-gradient; the sums of $e^s$ and of $e^{s+\gamma w}$ over all
    further responses may be any numbers, and so may w.
    """
    before = [sp.exp(s) / (sp.exp(s_i) + sp.exp(s_j) + rest) for s in (s_i, s_j)]
    grown = [sp.exp(s + gamma * w) for s, w in ((s_i, w_i), (s_j, w_j))]
    after = [e / (sum(grown) + later) for e in grown]
    total = (sum(grown) + later) / (sp.exp(s_i) + sp.exp(s_j) + rest)  # sum pi e^(gamma w)
    ratio = same(after[0] / after[1], before[0] / before[1] * sp.exp(power * gamma * (w_i - w_j)))
    return same(after[0], before[0] * sp.exp(gamma * w_i) / total) & ratio


multiplicative_weights.derived(symbols=dict.fromkeys(("s_i", "s_j", "w_i", "w_j"), "real"), wrong={"power": F(11, 10)})
multiplicative_weights.rests_on(fitness_is_the_logit_gradient, part=STEP)


@claim("theorem-2-remainder", "not in the paper; the second order of Eq. (12)", PROVED)
def remainder(s, total, w, g, mean, square, h, variance=1):
    r"""\Delta s_i=\gamma w_i,\qquad\Delta\pi_i=\gamma\pi_i(w_i-\bar w)+\frac{\gamma^2}{2}\pi_i\bigl[(w_i-\bar w)^2-
    \mathrm{Var}_\pi(w)\bigr]+O(\gamma^3),\quad\bar w=\sum_j w_j\pi_j

    Assumes: tabular logits, full batch, plain gradient descent
    Proof: Differentiate the multiplicative weights twice in $\gamma$ at 0. Their normaliser, the sum of
    $\pi_je^{\gamma w_j}$, has there the value 1 and the derivatives $\mathbb E_\pi[w]$ and $\mathbb E_\pi[w^2]$.
    """
    p, grown = sp.exp(s) / total, sp.exp(s + g * w) / total
    first, second = (sp.diff(grown, g, k).subs(g, 0) for k in (1, 2))
    of_a_term = same(first, p * w) & same(second, p * w**2)
    after = grown / (1 + mean * g + square * g**2 / 2 + g**3 * h(g))
    first, second = (sp.diff(after, g, k).subs(g, 0).doit() for k in (1, 2))
    bracket = (w - mean) ** 2 - variance * (square - mean**2)
    return of_a_term & same(first, p * (w - mean)) & same(second, p * bracket)


SYMBOLS = {"s": "real", "w": "real", "mean": "real", "h": "function"}
remainder.derived(symbols=SYMBOLS, wrong={"variance": F(11, 10)}, lemma="Taylor")
remainder.rests_on(fitness_is_the_logit_gradient, part=STEP)


@claim(
    "theorem-2",
    "Theorem 2, Eq. (12); proof, Eqs. (38)-(41)",
    FIRST_ORDER,
    "multiplicative-weights",
    "theorem-2-remainder",
)
def theorem_2(s, total, w, g, mean, h, kept=1):
    r"""\Delta s_i=\gamma w_i,\qquad\Delta\pi_i=\gamma\,\pi_i\Bigl(w_i-\sum_j w_j\pi_j\Bigr)

    Assumes: tabular logits, full batch; $\beta=1$ (else a factor $\beta$); any sampling of pairs, its weights go into w
    Because: It is the replicator equation with fitness w. The probabilities of an exact step are those of
    multiplicative weights: from $(1/2,1/2)$ with $w=(1,-1)$ and $\gamma=\log 2$ the first one rises by 3/10, not by
    $\frac12\log 2$.
    Proof: $\Delta s=\gamma w$ and Lemma 1: $\Delta\pi_i=\sum_j\pi_i(\delta_{ij}-\pi_j)\gamma w_j+O(\gamma^2)$.
    """
    p, grown = sp.exp(s) / total, sp.exp(s + g * w) / total
    after = grown / (1 + mean * g + g**2 * h(g))
    of_a_term = same(sp.diff(grown, g).subs(g, 0), p * w)  # so that their sum changes by the mean
    return of_a_term & same(sp.diff(after, g).subs(g, 0).doit(), p * (w - kept * mean))


def in_an_exact_step(case: Selection) -> bool:
    gamma = log(2)  # e^(gamma w) is a fraction for whole w
    after = normalised([p * F(2) ** int(w) for p, w in zip(case.p, case.w, strict=True)])
    return all(b - a == gamma * v for a, b, v in zip(case.p, after, case.velocity, strict=True))


HALF = (F(1, 2), F(1, 2))
theorem_2.derived(symbols=SYMBOLS, role=ORDER, wrong={"kept": F(9, 10)})
theorem_2.rests_on(fitness_is_the_logit_gradient, role=ORDER, part=STEP)
theorem_2.false(at=Selection(HALF, (F(1), F(-1))), true_at=Selection(HALF, (F(0), F(0))), of=in_an_exact_step)


# --- in continuous time --------------------------------------------------------------------------------------------


def gain(p, w, mean):
    """Return p times the advantage over the mean fitness."""
    return p * (w - mean)


def velocity(y):
    """Return the right side of Eq. (12) for gamma = 1."""
    return gain(y.p, y.w, y.sum(y.p * y.w))


@claim("replicator-gains", "not in the paper; consequences of Eq. (12) in continuous time", PROVED)
def replicator_gains(y, sign=-1):
    r"""\dot\pi_i=\pi_i(w_i-\bar w):\quad\frac{d}{dt}\log\frac{\pi_i}{\pi_j}=w_i-w_j,\quad
    \frac{d}{dt}\mathbb{E}_\pi[w]\Big|_{w\ \text{fixed}}=\mathrm{Var}_\pi(w),\quad
    \mathrm{Var}_\pi(w)\ge 0,\quad\frac{d}{dt}\mathrm{KL}(\rho\|\pi)=-\sum_i(\rho_i-\pi_i)w_i

    Assumes: $\rho$ is any fixed distribution; time in units of $\gamma$
    Proof: Put the velocity in: $d\log\pi_i/dt=w_i-\bar w$; $\sum_i w_i\pi_i(w_i-\bar w)$ is the variance; and
    $-\sum_i\rho_i(w_i-\bar w)$ is the last.
    """
    i, j, mean = y.one("i"), y.one("j"), y.sum(y.p * y.w)
    rho = y.p * (1 + y.c)  # any distribution, since c is centred
    of_log = derivative(log, one_over)
    derivative(of_divergence, slope_of_divergence)  # SymPy proves that it is
    rates = [of_log(k.p) * gain(k.p, k.w, mean) for k in (i, j)]
    fisher = same(y.sum(y.w * velocity(y)), y.sum(y.p * (y.w - mean) ** 2))
    divergence = same(y.sum(slope_of_divergence(y.p, rho) * velocity(y)), sign * y.sum((rho - y.p) * y.w))
    return same(rates[0] - rates[1], i.w - j.w) & fisher & divergence


def one_over(p):
    return 1 / p


def of_divergence(p, r):
    """Return the term of KL for a response of probability p under the policy and r under the fixed distribution."""
    return r * log(r / p)


def slope_of_divergence(p, r):
    return -r / p


@sums_of("p > 0, any w - mean")
def squares(numbers):
    """Any number of responses."""
    return Named(variance=numbers.positive("p") * numbers.real("away") ** 2)


replicator_gains.derived(sums=over_responses(p="probability", w="any", c="centred"), wrong={"sign": F(-9, 10)})
replicator_gains.by_induction(
    of=lambda s, least=0: s.variance >= least,
    **squares,
    wrong={"least": F(1, 100)},
    part=r"\mathrm{Var}_\pi(w)\ge 0",
)


@claim("natural-gradient", "not in the paper; what Eq. (12) ascends", PROVED)
def natural_gradient(s_k, w_k, rest, with_w, outer=1):
    r"""F\,w=\nabla_s\,\mathbb{E}_\pi[w],\quad F=\mathrm{diag}(\pi)-\pi\pi^{\top}

    Assumes: w held fixed; F is the Fisher information of the logits, defined up to constants in w
    Proof: $\partial\,\mathbb{E}_\pi[w]/\partial s_k=\pi_k(w_k-\bar w)$; the sums of $e^s$ and $e^sw$ over all others
    may be any numbers. So a DPO step $\Delta s=\gamma w$ is a step of the natural policy gradient with reward w;
    the plain policy gradient would be $F w$.
    """
    total = sp.exp(s_k) + rest
    p_k, mean = sp.exp(s_k) / total, (sp.exp(s_k) * w_k + with_w) / total
    return same(sp.diff(mean, s_k), p_k * w_k - outer * p_k * mean)


natural_gradient.derived(symbols=dict.fromkeys(("s_k", "w_k", "with_w"), "real"), wrong={"outer": F(9, 10)})


# --- where it stands still -----------------------------------------------------------------------------------------


@sums_of("p > 0, any w; the mean is any number", fixed=lambda numbers: numbers.real("mean"))
def responses(numbers, mean):
    """Any number of responses."""
    p, w = numbers.positive("p"), numbers.real("w")
    return Named(n=1, w=w, with_p=p * w, size=w**2, moved=gain(p, w, mean) ** 2)


def still(s, times=1):
    """Return whether nothing moves exactly if all w are 0, where sum w = 0 and the mean is sum p w."""
    mean = s.fixed
    all_equal = (s.moved != 0) | ((s.w == s.n * mean) & (s.size == times * s.n * mean**2))
    all_zero = (s.size != 0) | ((s.with_p == 0) & ((mean != 0) | (s.moved == 0)))
    kept = (s.n > 0) & (s.moved >= 0) & (s.size >= 0) & all_equal & all_zero  # for the induction
    return kept & ((s.w != 0) | (s.with_p != mean) | ((s.moved == 0) == (s.size == 0)))


def largest(numbers):
    """Return the response i whose t / q, t = (pi / ref)^beta, is the largest."""
    return Named(t=numbers.positive("t"), q=numbers.positive("q"))


@sums_of("rate, t_j, q_j > 0, t_j / q_j at most t_i / q_i", fixed=largest)
def with_others(numbers, i):
    """Any number of pairs of the response i of the largest t / q with others."""
    q, rate = numbers.positive("q_j"), numbers.positive("rate")
    gap = numbers.within("gap", 0, 1)
    t = (1 - gap) * i.t * q / i.q
    numbers.assume(t > 0)
    label, kappa = i.q / (i.q + q), i.t / (i.t + t)
    return Named(w=rate * (label * (1 - kappa) - (1 - label) * kappa), gap=gap)


@claim("rest-points", "not in the paper; where Eq. (12) stands still", PROVED)
def rest_points(s, most=0):
    r"""\sum_i w_i=0,\qquad\Delta\pi=0\iff w=0,\qquad w=0\iff\pi\propto\pi_{ref}\,q^{1/\beta},\quad q=e^{r^*}

    Assumes: all probabilities positive; every pair is asked
    Proof: $\Delta\pi=0$ iff all $w_i$ are equal, and $\sum_i w_i=0$. With $t=(\pi/\pi_{ref})^\beta$ the response of the
    largest $t/q$ loses every comparison on average: $w_i\le 0$, and $w_i=0$ only if $t/q$ is the same for all: then
    $\kappa=P$.
    """
    return (s.w <= 0) & (s.gap >= 0) & ((s.w == 0) == (s.gap <= most))


rest_points.by_induction(**with_others, wrong={"most": F(1, 10)})
rest_points.by_induction(of=still, **responses, wrong={"times": F(11, 10)}, part=r"\Delta\pi=0\iff w=0")
rest_points.rests_on(fitness_is_the_logit_gradient, part=r"\sum_i w_i=0")


# --- Hedge ---------------------------------------------------------------------------------------------------------


def spread(numbers):
    """Return the range of the fitness, in units of 1 / gamma."""
    low = numbers.real("low")
    high = low + numbers.positive("width")
    return Named(low=low, high=high, of_low=exp(low), of_high=exp(high))


@sums_of("p > 0; x = gamma w between low and high", fixed=spread)
def below_the_chord(numbers, ends):
    """Any number of responses."""
    p, share = numbers.positive("p"), numbers.within("share", 0, 1)
    x = ends.low + share * (ends.high - ends.low)
    return Named(Z=p * exp(x), chord=p * (ends.of_low + share * (ends.of_high - ends.of_low)))


def second_derivative(u, h, low, sign=-1):
    """log(1 - u + u e^h) - u h vanishes at 0 with its derivative; its second one is t (1 - t), at most 1/4."""
    chord = sp.exp(low) + u * (sp.exp(low + h) - sp.exp(low))
    value, t = sp.log(1 - u + u * sp.exp(h)) - u * h, u * sp.exp(h) / (1 - u + u * sp.exp(h))
    start = same(value.subs(h, 0), 0) & same(sp.diff(value, h).subs(h, 0), 0)
    at_most = same(sp.Rational(1, 4) - t * (1 - t), (t - sp.Rational(1, 2)) ** 2)
    start &= same(chord, sp.exp(low) * (1 - u + u * sp.exp(h)))
    return start & at_most & same(sp.diff(value, h, 2), t * (1 + sign * t))


def rate_and_range(numbers):
    """Return gamma, R and log n."""
    return Named(gamma=numbers.positive("gamma"), R=numbers.positive("R"), log_n=numbers.positive("log_n"))


@sums_of("log Z <= gamma w-bar + gamma^2 R^2 / 8 in each round", fixed=rate_and_range)
def rounds(numbers, given):
    """Any number of rounds."""
    own, gain, room = numbers.real("own"), numbers.real("gain"), numbers.at_least("room", 0)
    log_Z = given.gamma * own + given.gamma**2 * given.R**2 / 8 - room
    return Named(T=1, own=own, gain=gain, log_Z=log_Z, log_p=given.gamma * gain - log_Z)


@claim("hedge-regret", "not in the paper; Eq. (12) as an online algorithm", PROVED)
def hedge_regret(s, start=1):
    r"""\sum_{t\le T}\bigl(w^t_i-\pi^t\cdot w^t\bigr)\le\frac{\log n}{\gamma}+\frac{\gamma T R^2}{8}
    \quad\text{for every}\ i

    Assumes: exact steps from the uniform policy; $w^t$ arbitrary, $\max_i w^t_i-\min_i w^t_i\le R$
    Proof: $Z=\sum_j\pi_j e^{\gamma w_j}$ lies below the chord of $e^x$, and $\log Z\le\gamma\bar w+\gamma^2R^2/8$
    follows (Hoeffding), since the second derivative of its logarithm is at most 1/4. A step multiplies $\pi_i$ by
    $e^{\gamma w_i}/Z$, and $\pi_i\le 1$ after T of them, which started from $1/n$; sum over t.
    """
    g = s.fixed
    kept = (s.log_p == g.gamma * s.gain - s.log_Z) & (s.log_Z <= g.gamma * s.own + s.T * g.gamma**2 * g.R**2 / 8)
    bound = start * g.log_n / g.gamma + g.gamma * s.T * g.R**2 / 8
    return kept & ((s.log_p > g.log_n) | (s.gain - s.own <= bound))


hedge_regret.by_induction(**rounds, wrong={"start": 0})
hedge_regret.by_induction(of=lambda s, times=1: times * s.Z <= s.chord, **below_the_chord, wrong={"times": F(11, 10)})
hedge_regret.derived(of=second_derivative, symbols={"low": "real"}, wrong={"sign": F(-9, 10)}, lemma="Taylor")
hedge_regret.rests_on(multiplicative_weights)
