"""Section 4.2 and Lemma 2: the Gaussian world, and the formula for w on which Sections 4.2 and 4.3 rest."""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, MISPRINT, PROVED
from theory.evidence import CONDITIONAL, CORRECTED, FAILS
from theory.ma2025.bandits import Bandit, beats
from theory.ma2025.covariance import claim
from theory.proof import Named, checked, same, sqrt, sums_of
from theory.worlds import Vector


def share_of_wins(world: Bandit, strengths: Vector) -> Vector:
    """Return sum over j != i of a_i / (a_i + a_j) for every i: the paper's alpha for a = p, and its beta for a = q.

    Example:
        >>> [str(a) for a in share_of_wins(Bandit.of([1, 3], q=[1, 1]), (F(1, 4), F(3, 4)))]
        ['1/4', '3/4']
    """
    n = world.responses
    return tuple(sum((beats(strengths[i], strengths[j]) for j in n if j != i), F(0)) for i in n)


def integral(sigma, twice):
    """Return the integral of Eq. (15) with sigma to the power ``twice`` / 2 under the bell."""
    y, mu = sp.symbols("y mu", real=True)
    bell = sp.exp(-((y - mu) ** 2) / (2 * sigma**2)) / (sp.sqrt(2 * sp.pi) * sigma ** sp.Rational(twice, 2))
    return sp.integrate(bell, (y, -sp.oo, sp.oo))


@claim("eq-15", "Eqs. (15), (16)", MISPRINT)
def eq_15(sigma):
    r"""\pi_\theta(y)=\frac{1}{\sqrt{2\pi\sigma}}\,e^{-(y-\mu)^2/2\sigma^2}

    Assumes: y is continuous and the right side a probability density
    Because: $\sigma$ belongs outside the root: the printed form integrates to $\sqrt\sigma$, at the paper's $\sigma=10$
    to 3.16. The reach of the root is that of a machine conversion of the paper; nothing follows from it, since only
    ratios are used.
    Proof: $\int e^{-(y-\mu)^2/2\sigma^2}dy=\sqrt{2\pi}\,\sigma$.
    """
    return sqrt(sigma) == 1  # the integral of the right side


def as_printed(sigma, power=1):
    return same(integral(sigma, 1), sp.sqrt(sigma) ** power)


def sigma_outside(sigma, twice=2):
    return same(integral(sigma, twice), 1)


eq_15.false(at=F(10), true_at=F(1))
eq_15.derived(of=as_printed, role=FAILS, wrong={"power": F(11, 10)})
eq_15.derived(of=sigma_outside, role=CORRECTED, wrong={"twice": F(9, 5)})


# --- the pushes on one response, summed over all others -------------------------------------------------------------


def response(numbers):
    """Return utility of response i and tilted = (p / ref)^beta."""
    return Named(tilted=numbers.positive("tilted"), q=numbers.positive("q"))


def share_of(first, second):
    """Return kappa of a pair, for (p / ref)^beta of both responses."""
    return first / (first + second)


def kappa(p_i, p_j, r_i, r_j, beta, power=1):
    margin = beta * sp.log(p_i / r_i) - beta * sp.log(p_j / r_j)
    return same(1 / (1 + sp.exp(-margin)), share_of((p_i / r_i) ** (power * beta), (p_j / r_j) ** (power * beta)))


def push(i, tilted, q):
    """Return what the pair {i, j} adds to w_i: tau (1 - kappa) in expectation over its label."""
    wins, of_policy = share_of(i.q, q), checked(share_of, kappa)(i.tilted, tilted)
    return wins * (1 - of_policy) - (1 - wins) * of_policy


@sums_of("(p / ref)^beta and q of every response > 0", fixed=response)
def others(numbers, i):
    """Any number of pairs of i with another response."""
    tilted, q = numbers.positive("tilted_j"), numbers.positive("q_j")
    return Named(w=push(i, tilted, q), alpha=share_of(i.tilted, tilted), beta=share_of(i.q, q))


def of_the_policy(numbers):
    """Return probability and utility of response i, and the reference probability of every response."""
    return Named(p=numbers.positive("p"), q=numbers.positive("q"), ref=numbers.positive("ref"))


@sums_of("p and q of every response > 0; one reference probability, beta = 1", fixed=of_the_policy)
def others_alike(numbers, i):
    """Any number of pairs of i with another response, under a uniform reference."""
    p, q = numbers.positive("p_j"), numbers.positive("q_j")
    w = push(Named(tilted=i.p / i.ref, q=i.q), p / i.ref, q)
    return Named(w=w, alpha=share_of(i.p, p), beta=share_of(i.q, q))


@sums_of("tilted = 1 for every response, since the policy is the reference; any rates", fixed=response)
def at_the_start(numbers, i):
    """Any number of pairs, asked at any rates, before training."""
    q, rate = numbers.positive("q_j"), numbers.positive("rate")
    return Named(w=rate * push(Named(tilted=F(1), q=i.q), F(1), q), wins=rate * (i.q / (i.q + q) - F(1, 2)))


def of_first(world: Bandit) -> Named:
    """Return w, alpha and beta of the first response."""
    alpha, beta = share_of_wins(world, world.p), share_of_wins(world, world.q)
    return Named(w=world.fitness[0], alpha=alpha[0], beta=beta[0])


@claim("lemma-2", "Lemma 2, Eq. (18)", CONDITIONALLY, "lemma-2-general", "fitness-at-the-start")
def lemma_2(s, twice=1):
    r"""w_i=-(\alpha_i-\beta_i),\quad\alpha_i=\sum_{j\ne i}\frac{p_i}{p_i+p_j},\quad
    \beta_i=\sum_{j\ne i}\frac{e^{r^*_i}}{e^{r^*_i}+e^{r^*_j}}

    Assumes: the reference is uniform, $\beta=1$ in the loss, every pair is asked once, expectation over labels
    Because: $\kappa_{ij}$ is made of $p/\pi_{ref}$, not of p. At DPO's own starting point $p=\pi_{ref}$ it is 1/2, and
    p does not enter w at all. Everything in Sections 4.2 and 4.3 inherits the assumption.
    Proof: With a uniform reference $\kappa_{ij}=p_i/(p_i+p_j)$; sum $P_{ij}-\kappa_{ij}$ over j.
    """
    return s.w == s.beta - twice * s.alpha


PLAIN = of_first(Bandit.of([3, 1], q=[1, 1]))
lemma_2.false(at=of_first(Bandit.of([3, 1], q=[1, 1], ref=[3, 1])), true_at=PLAIN)
lemma_2.false(at=of_first(Bandit.of([3, 1], q=[1, 1], beta=2)), true_at=PLAIN)
lemma_2.false(at=of_first(Bandit.of([3, 2, 1], q=[1, 1, 1], asked=[2, 1, 1])), true_at=PLAIN)
lemma_2.by_induction(**others_alike, role=CONDITIONAL, wrong={"twice": F(11, 10)})
lemma_2.derived(of=kappa, wrong={"power": F(11, 10)}, also=True)


@claim("lemma-2-general", "not in the paper; Lemma 2 for any reference and any beta", PROVED)
def lemma_2_general(s, twice=1):
    r"""w_i=\sum_{j\ne i}\Bigl[\frac{q_i}{q_i+q_j}-\frac{\tilde p_i}{\tilde p_i+\tilde p_j}\Bigr],\quad
    \tilde p=(\pi/\pi_{ref})^{\beta}

    Assumes: every pair is asked once, expectation over labels
    Proof: $\kappa_{ij}=\sigma(\log\tilde p_i-\log\tilde p_j)$.
    """
    return s.w == s.beta - twice * s.alpha


lemma_2_general.by_induction(**others, wrong={"twice": F(11, 10)})


@claim("fitness-at-the-start", "not in the paper; Lemma 2 where training begins", PROVED)
def fitness_at_the_start(s, share=1):
    r"""\pi=\pi_{ref}:\quad w_i=\sum_{j\ne i}\Bigl(P_{ij}-\frac12\Bigr)

    Assumes: pairs may be asked at different rates, which then weight the sum
    Proof: $\kappa=\sigma(0)=1/2$ for every pair: the first step depends on the preferences alone, not on the policy.
    """
    return s.w == share * s.wins


fitness_at_the_start.by_induction(**at_the_start, wrong={"share": F(9, 10)})
