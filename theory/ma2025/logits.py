"""Section 3.2, Lemma 1 and Theorem 1: how one sample moves the logits, under DPO and under a balanced loss.

The logits are s = J theta with a rational matrix J, so that one gradient step is exact. The paper's assumptions say
that the rows of J are orthogonal and of one length g; tabular logits are the case J = 1.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction as F

import numpy as np
import sympy as sp

from theory.claim import CONDITIONALLY, MISPRINT, PROVED, claim
from theory.evidence import ALSO, CORRECTED, Evidence
from theory.ma2025.bandits import Bandit, bandit
from theory.ma2025.duals import Dual, softmax, variables
from theory.worlds import Vector, dot


@dataclass(frozen=True)
class LinearLogits:
    """A bandit whose logits are s = J theta.

    Attributes:
        world: policy, reference and beta; the sample is (0 chosen, 1 rejected).
        jacobian: J, one row ds_y / dtheta for every response.
    """

    world: Bandit
    jacobian: tuple[Vector, ...]

    def step(self, gradient: Vector) -> Vector:
        """Return the change of every logit in a descent step with learning rate 1, given the gradient dL/ds."""
        columns = list(zip(*self.jacobian, strict=True))
        theta = [-dot(gradient, column) for column in columns]
        return tuple(dot(row, theta) for row in self.jacobian)

    def __str__(self) -> str:
        """Return the matrix row by row under the bandit."""
        rows = "; ".join(", ".join(map(str, row)) for row in self.jacobian)
        return f"{self.world}\nJ = [{rows}]"


def orthogonal_logits(source: random.Random) -> LinearLogits:
    """Draw logits whose Jacobian is g times an orthogonal matrix (a reflection): Assumptions 1 and 2 to the letter."""
    world = bandit(source)
    n, g = len(world.p), F(source.randint(1, 5))
    v = [F(source.randint(-4, 4)) for _ in range(n - 1)] + [F(1)]
    norm = dot(v, v)
    rows = tuple(tuple(g * (int(i == j) - 2 * v[i] * v[j] / norm) for j in range(n)) for i in range(n))
    return LinearLogits(world, rows)


def any_logits(source: random.Random) -> LinearLogits:
    """Draw logits with any integer Jacobian of 1 to 4 parameters."""
    world, k = bandit(source), source.randint(1, 4)
    return LinearLogits(world, tuple(tuple(F(source.randint(-4, 4)) for _ in range(k)) for _ in world.responses))


@claim(
    "ma2025.assumption-2-evidence-1",
    source="Section 3.2, evidence 1 for Assumption 2",
    says=r"\mathbb{E}[c_{ij}]=0,\qquad\mathbb{E}[c_{ij}^2]=\mathcal{O}(1/N)",
    assumes="two independent directions, uniform on the sphere in N dimensions; then it is 1/N exactly",
    verdict=PROVED,
    proof=r"By symmetry $\mathbb{E}[c]=0$; one direction may be the first axis, and $\sum_k u_k^2=1$ has N equal "
    "parts.",
)
def assumption_2_evidence_1(evidence: Evidence) -> None:
    """The density of a coordinate on the sphere; all sign vectors; a million random directions."""

    def on_the_sphere(power: int = 1) -> bool:
        n = sp.Symbol("N", positive=True)  # c has density ~ (1 - c^2)^((N - 3) / 2): a beta integral
        moment = sp.gamma(sp.Rational(3, 2)) * sp.gamma(n / 2) / (sp.gamma(sp.Rational(1, 2)) * sp.gamma(n / 2 + 1))
        return sp.gammasimp(moment - 1 / n**power) == 0

    def of_signs(power: int = 1) -> bool:
        def moments(n: int) -> tuple[F, F]:
            cosines = [F(sum(signs), n) for signs in itertools.product((-1, 1), repeat=n)]
            return F(sum(cosines), 2**n), sum((c * c for c in cosines), F(0)) / 2**n

        return all(moments(n) == (F(0), F(1, n**power)) for n in range(2, 11))

    def sampled(power: float = 1) -> bool:
        source = np.random.default_rng(evidence.seed)
        for n in (10, 100, 1000):
            u = source.standard_normal((200_000 // n * 5, n))
            pairs = (u[0::2] * u[1::2]).sum(1) / np.linalg.norm(u[0::2], axis=1) / np.linalg.norm(u[1::2], axis=1)
            error = 8 * np.sqrt(2 / len(pairs))  # c^2 has a standard deviation of at most sqrt(2) times its mean
            if abs((pairs**2).mean() * n**power - 1) > error or abs(pairs.mean()) > 8 / np.sqrt(n * len(pairs)):
                return False
        return True

    evidence.proves(on_the_sphere, control=lambda: on_the_sphere(power=2), by="SymPy: the beta integral, all N")
    evidence.proves(of_signs, control=lambda: of_signs(power=2), by="all sign vectors for N = 2 to 10, exactly")
    evidence.measures(
        sampled, control=lambda: sampled(power=0.5), by="random directions for N = 10, 100, 1000, to 8 standard errors"
    )


@claim(
    "ma2025.lemma-1",
    source="Lemma 1, Eq. (9)",
    says=r"\frac{\partial p_i}{\partial s_j}=p_i(\delta_{ij}-p_j)",
    verdict=PROVED,
    proof=r"Differentiate $e^{s_i}/\sum_k e^{s_k}$.",
)
def lemma_1(evidence: Evidence) -> None:
    """Exact derivatives through the softmax."""

    def statement(world: Bandit, transposed: bool = False) -> bool:
        s, n = softmax(world.p), world.responses
        return all(s[i].slope[j] == world.p[i] * (int(i == j) - world.p[i if transposed else j]) for i in n for j in n)

    evidence.holds(statement, bandit, control=lambda world: statement(world, transposed=True))


@claim(
    "ma2025.theorem-1-eq-10",
    source="Theorem 1, Eq. (10)",
    says=r"\Delta^j s_i=\eta g^2\tau_{ij}(1-\kappa_{ij})",
    assumes=r"$\beta=1$ (else a factor $\beta$); Assumptions 1 and 2 as equations; logits linear in the parameters, "
    "else to first order in the step",
    verdict=PROVED,
    proof=r"$\partial L/\partial s$ is $-\beta(1-\kappa)$ at the chosen, $+\beta(1-\kappa)$ at the rejected response "
    "and 0 elsewhere; the Gram matrix of the rows of J is $g^2$ times the identity.",
)
def theorem_1_eq_10(evidence: Evidence) -> None:
    """Exact steps on orthogonal features, all logits; and a curved map, whose error is of second order."""

    def statement(case: LinearLogits, sign_of_rejected: int = -1) -> bool:
        world, row = case.world, case.jacobian[0]
        push = world.beta * (1 - world.kappa(0, 1)) * dot(row, row)
        expected = (push, sign_of_rejected * push, *(F(0) for _ in world.p[2:]))
        return case.step(world.pair_logit_gradient(0, 1)) == expected

    evidence.holds(statement, orthogonal_logits, control=lambda case: statement(case, sign_of_rejected=1))

    def curved(size: float, rows: float = 1.0) -> float:
        # s = g theta + theta^2 at theta = 0: the Jacobian is g times the identity there, and not after the step
        world, g = Bandit.of([1, 2, 3], q=[1, 1, 1]), 1.5
        push = np.array([-float(a) for a in world.pair_logit_gradient(0, 1)])
        theta = size * g * push
        return float(np.abs(g * theta + theta**2 - size * rows * g**2 * push).max())

    evidence.slope(curved, 2, control=lambda size: curved(size, rows=0.5), role=ALSO)


@claim(
    "ma2025.theorem-1-any-features",
    source="not in the paper; Eq. (10) without Assumptions 1 and 2",
    says=r"\Delta s_k=\eta\beta(1-\kappa)\,J_k\cdot(J_w-J_l);\qquad\Delta s_w=\eta\beta g^2(1-\kappa)(1-c_{wl})\ "
    r"\text{if}\ \|J_w\|=\|J_l\|=g",
    assumes=r"$J_k=\partial s_k/\partial\theta$; logits linear in the parameters, else to first order in the step",
    verdict=PROVED,
    proof=r"$\Delta\theta=\eta\beta(1-\kappa)(J_w-J_l)$.",
)
def theorem_1_any_features(evidence: Evidence) -> None:
    """Every logit moves, as far as its features overlap with the pair's."""

    def statement(case: LinearLogits, kept: int = 1) -> bool:
        rows, world = case.jacobian, case.world
        push = world.beta * (1 - world.kappa(0, 1))
        apart = [a - kept * b for a, b in zip(rows[0], rows[1], strict=True)]
        return case.step(world.pair_logit_gradient(0, 1)) == tuple(push * dot(row, apart) for row in rows)

    evidence.holds(statement, any_logits, control=lambda case: statement(case, kept=0))


def pull(world: Bandit, outer: Callable[[Dual], Dual] = lambda margin: margin) -> Vector:
    """Return df/ds for f = outer(pi_0 - pi_1), the argument of the sigmoid of a balanced loss, through the softmax."""
    s = softmax(world.p)
    return outer(s[0] - s[1]).slope


@claim(
    "ma2025.theorem-1-eq-11",
    source="Theorem 1, Eq. (11)",
    says=r"\Delta^j s_i=C\eta g^2\tau_{ij}(1-\kappa_{ij})(1-\pi_i+\pi_j)",
    assumes=r"$f=C(\pi_w-\pi_l)$; Assumptions 1 and 2",
    verdict=MISPRINT,
    because=r"A factor $\pi_i$ is lost (the proof of Theorem 2 has it), and no C makes up for it, since it differs "
    "between the two responses; the logits outside the pair move too.",
    proof=r"$\Delta s_i=C\eta g^2\tau_{ij}(1-\kappa_{ij})\,\pi_i(1-\pi_i+\pi_j)$ for the pair and "
    r"$\Delta s_k=-C\eta g^2(1-\kappa)\,\pi_k(\pi_w-\pi_l)$ for the others, by Lemma 1; together zero.",
)
def theorem_1_eq_11(evidence: Evidence) -> None:
    """The ratio of the two changes, which no constant alters, decides against the printed form."""

    def printed(world: Bandit) -> bool:
        w, l = world.p[:2]  # noqa: E741 - the paper's letters
        change = pull(world)
        return change[0] * (1 - l + w) == -change[1] * (1 - w + l)

    def mended(world: Bandit, others: int = 1) -> bool:
        w, l = world.p[:2]  # noqa: E741
        rest = tuple(-others * p * (w - l) for p in world.p[2:])
        return pull(world) == (w * (1 - w + l), -l * (1 - l + w), *rest)

    evidence.fails(printed, at=Bandit.of([1, 2, 3], q=[1, 1, 1]), control=Bandit.of([1, 1, 1], q=[1, 1, 1]))
    evidence.holds(mended, bandit, role=CORRECTED, control=lambda world: mended(world, others=0))


@claim(
    "ma2025.theorem-1-constant",
    source='Theorem 1, "where C is a constant"',
    says=r"f_{\pi_w}+f_{\pi_l}=0\implies\frac{\partial f}{\partial\pi_w}=C\ \text{for every policy}",
    assumes="f is affine",
    verdict=CONDITIONALLY,
    because=r"The condition leaves $f=F(\pi_w-\pi_l)$ with any function F, and $C=F'(\pi_w-\pi_l)$ moves with the "
    "policy.",
    proof=r"In $u=\pi_w-\pi_l$, $v=\pi_w+\pi_l$ the condition is $\partial f/\partial v=0$; an affine F has a constant "
    "derivative.",
)
def theorem_1_constant(evidence: Evidence) -> None:
    """A cubic is balanced everywhere, and its C is not constant."""

    def partials(world: Bandit, cubic: F, linear: F) -> tuple[F, F]:
        w, l = variables(world.p[:2])  # noqa: E741 - the paper's letters
        margin = w - l
        f = cubic * margin**3 + linear * margin + 7
        return f.slope[0], f.slope[1]

    def printed(case: tuple[F, F, Bandit, Bandit]) -> bool:
        cubic, linear, *worlds = case
        chosen = []
        for world in worlds:
            slopes = partials(world, cubic, linear)
            if sum(slopes) != 0:
                return False
            chosen.append(slopes[0])
        return chosen[0] == chosen[1]

    even, skewed = Bandit.of([1, 1], q=[1, 1]), Bandit.of([3, 1], q=[1, 1])
    evidence.fails(printed, at=(F(1), F(1), even, skewed), control=(F(0), F(1), even, skewed))
    evidence.holds(
        printed, two_policies, given=lambda case: case[0] == 0, control=lambda case: printed((F(1), *case[1:]))
    )


def two_policies(source: random.Random) -> tuple[F, F, Bandit, Bandit]:
    """Draw the coefficients of an odd cubic, half of them affine, and two policies."""
    cubic = F(source.choice((0, source.randint(1, 5))))
    return cubic, F(source.randint(1, 5)), bandit(source), bandit(source)


@claim(
    "ma2025.fitness-is-the-logit-gradient",
    source="Section 4.1, the definition of w before Theorem 2",
    says=r"w_i=\sum_{(i,j,\tau_{ij})}\tau_{ij}(1-\kappa_{ij}),\quad\mathbb{E}[w_i]=\sum_j(P_{ij}-\kappa_{ij})="
    r"-\frac1\beta\frac{\partial L_{dpo}}{\partial s_i},\quad\sum_i w_i=0",
    assumes=r"expectation over labels with $P_{ij}+P_{ji}=1$; pairs may be asked at different rates",
    verdict=PROVED,
    proof=r"A pair gives the response i the push $P_{ij}(1-\kappa_{ij})-P_{ji}\kappa_{ij}=P_{ij}-\kappa_{ij}$, "
    "and j its negative.",
)
def fitness_is_the_logit_gradient(evidence: Evidence) -> None:
    """The gradient through the softmax of the whole objective against the sum over pairs."""

    def statement(world: Bandit, power_of_beta: int = 1) -> bool:
        scale = world.beta**power_of_beta
        of_sum = tuple(
            sum((world.rate(i, j) * (world.label(i, j) - world.kappa(i, j)) for j in world.responses if j != i), F(0))
            for i in world.responses
        )
        gradient = tuple(-a / scale for a in world.logit_gradient)
        return of_sum == world.fitness == gradient and sum(of_sum) == 0

    evidence.holds(statement, bandit, control=lambda world: statement(world, power_of_beta=0), worlds=150)
