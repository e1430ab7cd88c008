"""Section 4.2 and Lemma 2: the Gaussian world, and the formula for w on which Sections 4.2 and 4.3 rest."""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, MISPRINT, PROVED, claim
from theory.evidence import CORRECTED, Evidence
from theory.ma2025.bandits import Bandit, bandit, beats, plain_bandit, untrained_bandit
from theory.worlds import Vector


def share_of_wins(world: Bandit, strengths: Vector) -> Vector:
    """Return sum over j != i of a_i / (a_i + a_j) for every i: the paper's alpha for a = p, and its beta for a = q.

    Example:
        >>> [str(a) for a in share_of_wins(Bandit.of([1, 3], q=[1, 1]), (F(1, 4), F(3, 4)))]
        ['1/4', '3/4']
    """
    n = world.responses
    return tuple(sum((beats(strengths[i], strengths[j]) for j in n if j != i), F(0)) for i in n)


@claim(
    "ma2025.eq-15",
    source="Eqs. (15) and (16)",
    says=r"\pi_\theta(y)=\frac{1}{\sqrt{2\pi\sigma}}\,e^{-(y-\mu)^2/2\sigma^2}",
    assumes="y is continuous and the right side a probability density",
    verdict=MISPRINT,
    because=r"$\sigma$ belongs outside the root: the printed form integrates to $\sqrt\sigma$, at the paper's "
    r"$\sigma=10$ to 3.16. Nothing follows from it, since only ratios are used.",
    proof=r"$\int e^{-(y-\mu)^2/2\sigma^2}dy=\sqrt{2\pi}\,\sigma$.",
)
def eq_15(evidence: Evidence) -> None:
    """The integral over the line."""

    def integrates_to_one(sigma: sp.Expr, twice: int = 1) -> bool:  # the power of sigma, times two
        y, mu = sp.symbols("y mu", real=True)
        bell = sp.exp(-((y - mu) ** 2) / (2 * sigma**2)) / (sp.sqrt(2 * sp.pi) * sigma ** sp.Rational(twice, 2))
        return sp.simplify(sp.integrate(bell, (y, -sp.oo, sp.oo))) == 1

    sigma = sp.Symbol("sigma", positive=True)
    evidence.fails(integrates_to_one, at=sp.Integer(10), control=sp.Integer(1))
    evidence.proves(
        lambda: integrates_to_one(sigma, twice=2),
        control=lambda: integrates_to_one(sigma),
        by="SymPy: the Gaussian integral with sigma outside the root",
        role=CORRECTED,
    )


@claim(
    "ma2025.lemma-2",
    source="Lemma 2, Eq. (18)",
    says=r"w_i=-(\alpha_i-\beta_i),\quad\alpha_i=\sum_{j\ne i}\frac{p_i}{p_i+p_j},\quad"
    r"\beta_i=\sum_{j\ne i}\frac{e^{r^*_i}}{e^{r^*_i}+e^{r^*_j}}",
    assumes=r"the reference is uniform, $\beta=1$ in the loss, every pair is asked once, expectation over labels",
    verdict=CONDITIONALLY,
    because=r"$\kappa_{ij}$ is made of $p/\pi_{ref}$, not of p. At DPO's own starting point $p=\pi_{ref}$ it is 1/2, "
    "and p does not enter w at all. Everything in Sections 4.2 and 4.3 inherits the assumption.",
    proof=r"With a uniform reference $\kappa_{ij}=p_i/(p_i+p_j)$; sum $P_{ij}-\kappa_{ij}$ over j.",
    instead=("ma2025.lemma-2-general", "ma2025.fitness-at-the-start"),
)
def lemma_2(evidence: Evidence) -> None:
    """An untrained policy refutes it, and so does each of the other two conditions dropped."""

    def printed(world: Bandit) -> bool:
        alpha, beta = share_of_wins(world, world.p), share_of_wins(world, world.q)
        return world.fitness == tuple(b - a for a, b in zip(alpha, beta, strict=True))

    def as_assumed(world: Bandit) -> bool:
        return world.beta == 1 and len(set(world.ref)) == 1 and set(world.asked) == {1}

    def with_alpha_twice(world: Bandit) -> bool:
        alpha, beta = share_of_wins(world, world.p), share_of_wins(world, world.q)
        return world.fitness == tuple(b - 2 * a for a, b in zip(alpha, beta, strict=True))

    plain = Bandit.of([3, 1], q=[1, 1])
    evidence.fails(printed, at=Bandit.of([3, 1], q=[1, 1], ref=[3, 1]), control=plain)
    evidence.fails(printed, at=Bandit.of([3, 1], q=[1, 1], beta=2), control=plain)
    evidence.fails(printed, at=Bandit.of([3, 2, 1], q=[1, 1, 1], asked=[2, 1, 1]), control=plain)
    evidence.holds(printed, plain_bandit, given=as_assumed, control=with_alpha_twice)


@claim(
    "ma2025.lemma-2-general",
    source="not in the paper; Lemma 2 for any reference and any beta",
    says=r"w_i=\sum_{j\ne i}\Bigl[\frac{q_i}{q_i+q_j}-\frac{\tilde p_i}{\tilde p_i+\tilde p_j}\Bigr],\quad"
    r"\tilde p=(\pi/\pi_{ref})^{\beta}",
    assumes="every pair is asked once, expectation over labels",
    verdict=PROVED,
    proof=r"$\kappa_{ij}=\sigma(\log\tilde p_i-\log\tilde p_j)$.",
)
def lemma_2_general(evidence: Evidence) -> None:
    """The policy tilted against its reference takes the place of p; against the gradient of the objective itself."""

    def statement(world: Bandit, power: int | None = None) -> bool:
        once = Bandit(world.p, world.q, world.ref, world.beta)
        tilted = tuple((p / r) ** (power or once.beta) for p, r in zip(once.p, once.ref, strict=True))
        alpha, beta = share_of_wins(once, tilted), share_of_wins(once, once.q)
        expected = tuple(b - a for a, b in zip(alpha, beta, strict=True))
        return tuple(-g / once.beta for g in once.logit_gradient) == expected

    evidence.holds(statement, bandit, control=lambda world: statement(world, power=1), worlds=100)


@claim(
    "ma2025.fitness-at-the-start",
    source="not in the paper; Lemma 2 where training begins",
    says=r"\pi=\pi_{ref}:\quad w_i=\sum_{j\ne i}\Bigl(P_{ij}-\frac12\Bigr)",
    assumes="pairs may be asked at different rates, which then weight the sum",
    verdict=PROVED,
    proof=r"$\kappa=\sigma(0)=1/2$ for every pair: the first step depends on the preferences alone, not on the policy.",
)
def fitness_at_the_start(evidence: Evidence) -> None:
    """The policy drops out."""

    def statement(world: Bandit) -> bool:
        n = world.responses
        wins = (sum((world.rate(i, j) * (world.label(i, j) - F(1, 2)) for j in n if j != i), F(0)) for i in n)
        return world.fitness == tuple(wins)

    def by_lemma_2(world: Bandit) -> bool:
        alpha, beta = share_of_wins(world, world.p), share_of_wins(world, world.q)
        return world.fitness == tuple(b - a for a, b in zip(alpha, beta, strict=True))

    evidence.holds(statement, untrained_bandit, control=by_lemma_2)
