"""Section 4 and Appendix D, Eqs. (11), (12), (26), (27): DPO from a Gaussian; Proposition 4.1."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction as F

import sympy as sp

from theory.claim import FALSE, PROVED, claim
from theory.evidence import ALSO, Evidence
from theory.wipf2024.logarithms import ZERO, Logs, log, power
from theory.wipf2024.objectives import BETAS, Case, Vector, minimisers, show, with_policies
from theory.wipf2024.variance import profile

THETA_W, THETA_L, REF_W, REF_L, LAMBDA = sp.symbols("theta_w theta_l rho_w rho_l lambda", positive=True)


@claim(
    "wipf2024.eq-26",
    source="Eq. (26)",
    says=r"\min_{\gamma>0}-\log\mathcal{N}\bigl([\xi_\theta;\xi_{\mathrm{ref}}]\,|\,0,\gamma I\bigr)\equiv"
    r"\log\left[\mu\Bigl[\frac{\pi_\theta(y_l)}{\pi_\theta(y_w)}\Bigr]^2"
    r"+\mu\Bigl[\frac{\pi_{\mathrm{ref}}(y_l)}{\pi_{\mathrm{ref}}(y_w)}\Bigr]^2\right]",
    assumes=r"any positive function $\mu$",
    verdict=PROVED,
    proof=r"Eq. (25) at $v=(\xi_\theta,\xi_{\mathrm{ref}})$.",
)
def eq_26(evidence: Evidence) -> None:
    """Symbolic scores."""
    a, b = sp.symbols("xi_theta xi_ref", positive=True)

    def identity(claimed: sp.Expr) -> bool:
        return (
            sp.simplify(sp.expand_log(profile(a**2 + b**2, 2) - sp.log(claimed) - 1 - sp.log(sp.pi), force=True)) == 0
        )

    evidence.proves(lambda: identity(a**2 + b**2), control=lambda: identity((a + b) ** 2), by="SymPy")


def dpo_symbolic() -> sp.Expr:
    """Return -ln sigma(margin) of one tuple, by the definition in Eq. (6)."""
    margin = LAMBDA * sp.log(THETA_W / REF_W) - LAMBDA * sp.log(THETA_L / REF_L)
    return sp.log(1 + sp.exp(-margin))


def is_zero(expression: sp.Expr) -> bool:
    """Return whether a sum of logarithms is 0, by simplifying its exponential to 1."""
    return sp.simplify(sp.powsimp(sp.expand(sp.simplify(sp.exp(expression))), force=True)) == 1


@claim(
    "wipf2024.eq-27",
    source="Eq. (27)",
    says=r"\log\left[\frac{\pi_\theta(y_l)^\lambda}{\pi_\theta(y_w)^\lambda}+\frac{\pi_{\mathrm{ref}}(y_l)^\lambda}"
    r"{\pi_{\mathrm{ref}}(y_w)^\lambda}\right]=-\log\sigma\Bigl(\lambda"
    r"\log\frac{\pi_\theta(y_w)}{\pi_{\mathrm{ref}}(y_w)}"
    r"-\lambda\log\frac{\pi_\theta(y_l)}{\pi_{\mathrm{ref}}(y_l)}\Bigr)+C",
    assumes=r"$C=\lambda\log\frac{\pi_{\mathrm{ref}}(y_l)}{\pi_{\mathrm{ref}}(y_w)}$",
    verdict=PROVED,
    proof="Take the ratio of the reference out of the bracket.",
)
def eq_27(evidence: Evidence) -> None:
    """Symbolic probabilities and lambda."""
    factor = sp.log((THETA_L / THETA_W) ** LAMBDA + (REF_L / REF_W) ** LAMBDA)

    def identity(sign: int) -> bool:
        return is_zero(factor - dpo_symbolic() - sign * LAMBDA * sp.log(REF_L / REF_W))

    evidence.proves(lambda: identity(1), control=lambda: identity(-1), by="SymPy")


@claim(
    "wipf2024.eq-12",
    source="Eq. (12)",
    says=r"\ell_{\mathrm{DPO}}\equiv\mathbb{E}_{\{y_w,y_l,x\}}\left[\log\left("
    r"\Bigl[\frac{\pi_{\mathrm{ref}}(y_l)}{\pi_{\mathrm{ref}}(y_w)}\Bigr]^\lambda"
    r"+\Bigl[\frac{\pi_\theta(y_l)}{\pi_\theta(y_w)}\Bigr]^\lambda\right)\right]",
    assumes=r"$\equiv$ is up to a constant that depends on the reference, as printed",
    verdict=PROVED,
    proof="The expectation of Eq. (27).",
)
def eq_12(evidence: Evidence) -> None:
    """The two expectations differ by the same amount at any two policies."""

    def expectation(c: Case, policy: Vector, beta: F) -> Logs:
        s, total = c.setting, ZERO
        for w, loser in itertools.permutations(s.responses, 2):
            gamma = power(s.reference[loser] / s.reference[w], s.beta)
            u = power(policy[loser] / policy[w], beta)
            total += s.preference(w, loser) * log(gamma + u)
        return total

    def identity(c: Case, beta: F) -> bool:
        difference = expectation(c, c.policy, beta) - expectation(c, c.other, beta)
        return c.setting.dpo(c.policy) - c.setting.dpo(c.other) == difference

    evidence.holds(
        lambda c: identity(c, c.setting.beta), with_policies, control=lambda c: identity(c, F(1)), worlds=100
    )


@dataclass(frozen=True)
class Tuples:
    """Preference tuples, and a constraint set: a few policies.

    Attributes:
        weights: how often each tuple occurs.
        reference: pi_ref(y_l) / pi_ref(y_w) of each tuple.
        policies: the constraint set; each policy is its pi(y_l) / pi(y_w) on every tuple.
        beta: the paper's lambda.
    """

    weights: Vector
    reference: Vector
    policies: tuple[Vector, ...]
    beta: F

    def squares(self, policy: Vector, beta: F | None = None) -> Vector:
        """Return v'v = xi_theta^2 + xi_ref^2 of each tuple, with mu(u) = u^(beta/2)."""
        exponent = self.beta if beta is None else beta
        pairs = zip(policy, self.reference, strict=True)
        return tuple(power(u, exponent) + power(c, exponent) for u, c in pairs)

    def own_variances(self, policy: Vector, beta: F | None = None) -> Logs:
        """Return Eq. (11) minimised over a variance for each tuple, without its constant."""
        return sum((w * log(a) for w, a in zip(self.weights, self.squares(policy, beta), strict=True)), ZERO)

    def one_variance(self, policy: Vector) -> Logs:
        """Return Eq. (11) minimised over one variance for all tuples, without its constant."""
        return log(sum((w * a for w, a in zip(self.weights, self.squares(policy), strict=True)), F(0)))

    def dpo(self, policy: Vector) -> Logs:
        """Return the loss of DPO (Eq. 6)."""
        ratios = (power(u / c, self.beta) for u, c in zip(policy, self.reference, strict=True))
        return sum((w * log(1 + ratio) for w, ratio in zip(self.weights, ratios, strict=True)), ZERO)

    def __str__(self) -> str:
        policies = ", ".join(map(show, self.policies))
        return f"weights {show(self.weights)}, reference {show(self.reference)}, S = {policies}, lambda = {self.beta}"


def tuples(source: random.Random) -> Tuples:
    """Draw 1 to 3 tuples and 2 to 4 policies."""
    n = source.randint(1, 3)
    weights = [source.randint(1, 5) for _ in range(n)]

    def squares() -> Vector:
        return tuple(F(source.randint(1, 9), source.randint(1, 9)) ** 2 for _ in range(n))

    policies = tuple(squares() for _ in range(source.randint(2, 4)))
    return Tuples(tuple(F(w, sum(weights)) for w in weights), squares(), policies, source.choice(BETAS))


def same_problem(c: Tuples, loss: Callable[[Vector], Logs]) -> bool:
    """Return whether ``loss`` has the minimisers of DPO on the constraint set."""
    return minimisers(loss, c.policies) == minimisers(c.dpo, c.policies)


@claim(
    "wipf2024.proposition-4.1",
    source="Proposition 4.1, with Eqs. (11), (26), (27)",
    says=r"\min_{\pi_\theta\in S_\pi,\,\{\gamma(y_w,y_l,x)>0\}}\mathbb{E}\,\bigl[-"
    r"\log\mathcal{N}([\xi_\theta;\xi_{\mathrm{ref}}]"
    r"\,|\,0,\gamma I)\bigr]\equiv\min_{\pi_\theta\in S_\pi}\ell_{\mathrm{DPO}}(\pi_\theta,\pi_{\mathrm{ref}},\lambda),"
    r"\qquad\mu(u)=u^{\lambda/2}",
    assumes="a variance of its own for each ordered tuple, as printed; any constraint set",
    verdict=PROVED,
    because="With one variance for all tuples it would be another problem (`wipf2024.one-variance`).",
    proof=r"Minimise over each $\gamma$ first: what is left is "
    r"$\ell_{\mathrm{DPO}}+1+\log\pi+\lambda\,\mathbb{E}\log\frac{\pi_{\mathrm{ref}}(y_l)}{\pi_{\mathrm{ref}}(y_w)}$ "
    "at every policy, so that no constraint can tell the two apart.",
)
def proposition_4_1(evidence: Evidence) -> None:
    """The profiled objective is DPO's loss and a constant: symbolically, and on random constraint sets."""
    ratio = sp.log(REF_L / REF_W)

    def derivation(exponent: sp.Expr) -> bool:
        xi, xi_ref = (THETA_L / THETA_W) ** exponent, (REF_L / REF_W) ** exponent
        return is_zero(profile(xi**2 + xi_ref**2, 2) - dpo_symbolic() - 1 - sp.log(sp.pi) - LAMBDA * ratio)

    def constant_apart(c: Tuples, beta: F | None = None) -> bool:
        first = c.policies[0]
        return all(
            c.own_variances(policy, beta) - c.own_variances(first, beta) == c.dpo(policy) - c.dpo(first)
            for policy in c.policies
        )

    evidence.proves(
        lambda: derivation(LAMBDA / 2),
        control=lambda: derivation(LAMBDA),
        by="SymPy: solve for gamma, insert, compare with -log sigma; control: mu(u) = u^lambda",
    )
    evidence.holds(constant_apart, tuples, control=lambda c: constant_apart(c, 2 * c.beta), worlds=100)
    evidence.holds(
        lambda c: same_problem(c, c.own_variances),
        tuples,
        control=lambda c: same_problem(c, c.one_variance),
        worlds=200,
    )


SHARED = Tuples(
    weights=(F(1, 2), F(1, 2)),
    reference=(F(1), F(1)),
    policies=((F(1, 4), F(4)), (F(2), F(2))),
    beta=F(1),
)


@claim(
    "wipf2024.one-variance",
    source="not in the paper; Proposition 4.1 with one variance for all tuples",
    says=r"\min_{\pi_\theta\in S_\pi,\,\gamma>0}\mathbb{E}\,\bigl[-\log\mathcal{N}([\xi_\theta;\xi_{\mathrm{ref}}]"
    r"\,|\,0,\gamma I)\bigr]\equiv\min_{\pi_\theta\in S_\pi}\ell_{\mathrm{DPO}}(\pi_\theta,\pi_{\mathrm{ref}},\lambda)",
    verdict=FALSE,
    because=r"The expectation moves inside the logarithm: $\log\mathbb{E}[v^\top v]$ in place of "
    r"$\mathbb{E}\log(v^\top v)$.",
    instead="wipf2024.proposition-4.1",
)
def one_variance(evidence: Evidence) -> None:
    """Two tuples and two policies part the two problems."""
    evidence.fails(
        lambda c: same_problem(c, c.one_variance),
        at=SHARED,
        control=Tuples((F(1),), (F(1),), ((F(1, 4),), (F(2),)), F(1)),
    )
    evidence.finds(
        lambda c: same_problem(c, c.one_variance), tuples, control=lambda c: same_problem(c, c.own_variances)
    )


@claim(
    "wipf2024.only-the-power",
    source="not in the paper; which functions in Eq. (26) give DPO",
    says=r"\log\bigl[\mu(s)^2+\mu(t)^2\bigr]-C(t)=\log\bigl[1+(s/t)^\lambda\bigr]\ \forall s,t>0"
    r"\iff\mu(u)=c\,u^{\lambda/2}",
    assumes=r"$\mu>0$; $C$ may depend on the reference, not on the policy",
    verdict=PROVED,
    proof=r"At $s=t$: $C(t)=\log\mu(t)^2$. Then $\mu(s)^2=\mu(t)^2(s/t)^\lambda$; take $t=1$.",
)
def only_the_power(evidence: Evidence) -> None:
    """The functional equation, solved; and other functions of the ratio do not satisfy it."""
    at_s, at_t, normaliser, s, t = sp.symbols("M_s M_t C s t", positive=True)  # M = mu^2, C = e^C(t)

    def solved(claimed: sp.Expr) -> bool:
        equal = sp.solve(2 * at_t / normaliser - 2, normaliser)  # s = t
        general = sp.solve((at_s + at_t) / equal[0] - (1 + (s / t) ** LAMBDA), at_s)
        return len(equal) == len(general) == 1 and sp.simplify(general[0] - claimed) == 0

    def satisfies(c: Tuples, square: Callable[[F, F], F]) -> bool:  # square = mu^2
        (u, *_), reference = c.policies[0], c.reference[0]
        left = (square(u, c.beta) + square(reference, c.beta)) / square(reference, c.beta)
        return left == 1 + power(u / reference, c.beta)

    evidence.proves(
        lambda: solved(at_t * (s / t) ** LAMBDA), control=lambda: solved(at_t * (s / t) ** (LAMBDA / 2)), by="SymPy"
    )
    evidence.holds(
        lambda c: satisfies(c, lambda u, beta: 3 * power(u, beta)),
        tuples,
        control=lambda c: satisfies(c, lambda u, beta: 1 + power(u, beta)),
    )
    evidence.finds(
        lambda c: satisfies(c, lambda u, _: (u / (1 + u)) ** 2),
        tuples,
        role=ALSO,
        control=lambda c: satisfies(c, power),
    )
