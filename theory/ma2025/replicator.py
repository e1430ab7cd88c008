"""Theorem 2 for DPO, Equation (12): the replicator equation, and what follows from its being one.

The policy is tabular: a step adds gamma w_i to every logit. In exact arithmetic a step is given by the factors
e^{gamma w_i}, any positive rationals.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from fractions import Fraction as F

import mpmath
import numpy as np
import sympy as sp
import torch

from dynamics import DPO, Tabular, bradley_terry, preference_matrix, replicator_fitness, step, tabular_theta
from theory.claim import FIRST_ORDER, PROVED, claim
from theory.evidence import ALSO, ORDER, Evidence
from theory.ma2025.bandits import Bandit, bandit, normalised, perhaps_trained_bandit
from theory.ma2025.duals import softmax
from theory.worlds import Vector, dot


@dataclass(frozen=True)
class Selection:
    """A policy and the fitness of its responses, both any rationals.

    Attributes:
        p: probabilities.
        w: fitness, any sign.
        other: a second distribution, to measure distances to.
    """

    p: Vector
    w: Vector
    other: Vector

    @property
    def mean(self) -> F:
        """Return sum_j p_j w_j."""
        return dot(self.p, self.w)

    @property
    def velocity(self) -> Vector:
        """Return the right side of Eq. (12) for gamma = 1: p_i (w_i - mean)."""
        return tuple(p * (w - self.mean) for p, w in zip(self.p, self.w, strict=True))

    @property
    def variance(self) -> F:
        """Return Var_p(w)."""
        return sum((p * (w - self.mean) ** 2 for p, w in zip(self.p, self.w, strict=True)), F(0))

    def __str__(self) -> str:
        """Return policy, fitness and its mean in a form that can be checked by hand."""
        p, w = (", ".join(map(str, values)) for values in (self.p, self.w))
        return f"p = ({p}), w = ({w}), mean fitness {self.mean}"


def selection(source: random.Random) -> Selection:
    """Draw a policy of 2 to 6 responses, a fitness and another policy."""
    n = source.randint(2, 6)
    p, other = (normalised([source.randint(1, 12) for _ in range(n)]) for _ in range(2))
    return Selection(p, tuple(F(source.randint(-9, 9), source.randint(1, 4)) for _ in range(n)), other)


def dpo_step(n: int, learning_rate: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (p, w, p after) of one real full-batch DPO step of a tabular policy, every pair asked once.

    The paper sums over pairs where ``dynamics`` takes their mean: w and the learning rate are those of the sum.

    Args:
        n: number of responses.
        learning_rate: gamma; beta is 1, the reference is not uniform.
        seed: of policy, reference and rewards.
    """
    draw = torch.Generator().manual_seed(seed)
    log_p, log_ref = (torch.log_softmax(torch.randn(n, generator=draw, dtype=torch.float64), 0) for _ in range(2))
    table = preference_matrix(bradley_terry(torch.randn(n, generator=draw, dtype=torch.float64)))
    total = float(table.weight.sum())
    account = step(
        Tabular(n),
        tabular_theta(log_p.exp()),
        preferences=table,
        loss=DPO(beta=1.0),
        learning_rate=total * learning_rate,
        reference=log_ref,
    )
    w = total * replicator_fitness(log_p, table, DPO(beta=1.0), log_ref)
    return log_p.exp().numpy(), w.numpy(), account.new_log_probs.exp().numpy()


@claim(
    "ma2025.theorem-2",
    source="Theorem 2, Eq. (12)",
    says=r"\Delta\pi_i=\gamma\,\pi_i\Bigl(w_i-\sum_j w_j\pi_j\Bigr)",
    assumes=r"tabular logits, full batch; $\beta=1$ (else a factor $\beta$); any sampling of pairs, its weights go "
    "into w",
    verdict=FIRST_ORDER,
    because="It is the replicator equation with fitness w. The probabilities of an exact step are those of "
    "multiplicative weights.",
    proof=r"$\Delta s=\gamma w$ and Lemma 1: $\Delta\pi_i=\sum_j\pi_i(\delta_{ij}-\pi_j)\gamma w_j+O(\gamma^2)$.",
    instead=("ma2025.multiplicative-weights", "ma2025.theorem-2-remainder"),
)
def theorem_2(evidence: Evidence) -> None:
    """The derivative is exact, the residual of a real DPO step vanishes with slope 2, and the equality is not exact."""

    def derivative(world: Bandit, averaged: int = 1) -> bool:
        push = tuple(-a / world.beta for a in world.logit_gradient)
        change = tuple(dot(s.slope, push) for s in softmax(world.p))
        w, mean = world.fitness, averaged * world.mean_fitness
        return change == tuple(p * (a - mean) for p, a in zip(world.p, w, strict=True))

    def residual(size: float, averaged: int = 1) -> float:
        p, w, after = dpo_step(4, size, seed=1)
        return float(np.abs(after - p - size * p * (w - averaged * (p @ w))).max())

    def equality(case: dict[str, Vector]) -> bool:
        with mpmath.workdps(40):
            log2 = mpmath.log(2)  # gamma = log 2, so that e^(gamma w) is rational for whole w
            weights = [p * F(2) ** int(w) for p, w in zip(case["p"], case["w"], strict=True)]
            mean = dot(case["p"], case["w"])
            for p, w, after in zip(case["p"], case["w"], normalised(weights), strict=True):
                change, predicted = after - p, p * (w - mean)
                error = mpmath.mpf(change.numerator) / change.denominator
                error -= log2 * predicted.numerator / predicted.denominator
                if abs(error) > mpmath.mpf(10) ** -30:
                    return False
        return True

    half = (F(1, 2), F(1, 2))
    evidence.holds(derivative, bandit, role=ORDER, control=lambda world: derivative(world, averaged=0), worlds=100)
    evidence.slope(residual, 2, control=lambda size: residual(size, averaged=0))
    evidence.fails(equality, at={"p": half, "w": (F(1), F(-1))}, control={"p": half, "w": (F(0), F(0))})


@claim(
    "ma2025.multiplicative-weights",
    source="not in the paper; Eq. (12) for a step of any size",
    says=r"\pi_i'=\frac{\pi_i\,e^{\gamma w_i}}{\sum_j\pi_j\,e^{\gamma w_j}},\qquad"
    r"\log\frac{\pi_i'}{\pi_j'}=\log\frac{\pi_i}{\pi_j}+\gamma(w_i-w_j)",
    assumes="tabular logits, full batch, plain gradient descent",
    verdict=PROVED,
    proof="The step adds $\\gamma w_i$ to the logit of i.",
)
def multiplicative_weights(evidence: Evidence) -> None:
    """Real DPO steps, small and huge; w is unchanged by constants where it matters."""

    def statement(power: float = 1.0) -> bool:
        worst = 0.0
        for seed, (n, gamma) in enumerate(((2, 0.1), (3, 1.0), (5, 5.0), (8, 0.01))):
            p, w, after = dpo_step(n, gamma, seed=evidence.seed + seed)
            expected = p * np.exp(power * gamma * (w + 3.0))  # a constant added to w changes nothing
            worst = max(worst, float(np.abs(after - expected / expected.sum()).max()))
        return worst < 1e-13

    def log_ratios(case: Selection, sign: int = 1) -> bool:
        factors = [F(2) ** int(w * 12) for w in case.w]  # e^(gamma w_i) for gamma = 12 log 2
        after = normalised([p * a for p, a in zip(case.p, factors, strict=True)])
        ratio = (after[0] / after[1]) / (case.p[0] / case.p[1])
        return ratio == F(2) ** (sign * int(12 * (case.w[0] - case.w[1])))

    evidence.measures(
        statement, control=lambda: statement(power=1.01), by="four real DPO steps with gamma up to 5, to 1e-13"
    )
    evidence.holds(log_ratios, selection, control=lambda case: log_ratios(case, sign=-1))


@claim(
    "ma2025.theorem-2-remainder",
    source="not in the paper; the second order of Eq. (12)",
    says=r"\Delta\pi_i=\gamma\pi_i(w_i-\bar w)+\frac{\gamma^2}{2}\pi_i\bigl[(w_i-\bar w)^2-"
    r"\mathrm{Var}_\pi(w)\bigr]+O(\gamma^3),\quad\bar w=\sum_j w_j\pi_j",
    assumes="tabular logits, full batch, plain gradient descent",
    verdict=PROVED,
    proof=r"Differentiate the multiplicative weights twice in $\gamma$ at 0.",
)
def theorem_2_remainder(evidence: Evidence) -> None:
    """Two derivatives in SymPy; slope 3 on real DPO steps."""

    def statement(weight_of_variance: int = 1) -> bool:
        gamma, *w = sp.symbols("gamma w:3", real=True)
        x = sp.symbols("x:3", positive=True)
        after = [a * sp.exp(gamma * b) for a, b in zip(x, w, strict=True)]
        p = [a / sum(x) for a in x]
        mean = sum(a * b for a, b in zip(p, w, strict=True))
        variance = sum(a * (b - mean) ** 2 for a, b in zip(p, w, strict=True))
        first, second = (sp.diff(after[0] / sum(after), gamma, k).subs(gamma, 0) for k in (1, 2))
        bracket = (w[0] - mean) ** 2 - weight_of_variance * variance
        return sp.simplify(first - p[0] * (w[0] - mean)) == 0 == sp.simplify(second - p[0] * bracket)

    def residual(size: float, half: float = 0.5) -> float:
        p, w, after = dpo_step(4, size, seed=1)
        away = w - p @ w
        bracket = away**2 - p @ away**2
        return float(np.abs(after - p - size * p * away - half * size**2 * p * bracket).max())

    evidence.proves(statement, control=lambda: statement(weight_of_variance=2), by="SymPy, three responses")
    evidence.slope(residual, 3, control=lambda size: residual(size, half=1.0), role=ALSO, sizes=(0.1, 0.03, 0.01))


@claim(
    "ma2025.replicator-gains",
    source="not in the paper; consequences of Eq. (12) in continuous time",
    says=r"\dot\pi_i=\pi_i(w_i-\bar w):\quad\frac{d}{dt}\log\frac{\pi_i}{\pi_j}=w_i-w_j,\quad"
    r"\frac{d}{dt}\mathbb{E}_\pi[w]\Big|_{w\ \text{fixed}}=\mathrm{Var}_\pi(w)\ge 0,\quad"
    r"\frac{d}{dt}\mathrm{KL}(\rho\|\pi)=-\sum_i(\rho_i-\pi_i)w_i",
    assumes=r"$\rho$ is any fixed distribution; time in units of $\gamma$",
    verdict=PROVED,
    proof=r"Put the velocity in: $d\log\pi_i/dt=w_i-\bar w$; $\sum_i w_i\pi_i(w_i-\bar w)$ is the variance; and "
    r"$-\sum_i\rho_i(w_i-\bar w)$ is the last.",
)
def replicator_gains(evidence: Evidence) -> None:
    """Three identities of the replicator equation: log-ratios, Fisher's theorem, distances."""

    def log_ratio(case: Selection, sign: int = -1) -> bool:
        rates = [v / p for v, p in zip(case.velocity, case.p, strict=True)]
        return rates[0] - rates[1] == case.w[0] + sign * case.w[1]

    def mean_rises(case: Selection, power: int = 1) -> bool:
        return dot(case.w, case.velocity) == case.variance**power >= 0

    def distance(case: Selection, sign: int = -1) -> bool:
        rate = -sum(r * v / p for r, v, p in zip(case.other, case.velocity, case.p, strict=True))
        return rate == sign * sum((r - p) * w for r, p, w in zip(case.other, case.p, case.w, strict=True))

    evidence.holds(log_ratio, selection, control=lambda case: log_ratio(case, sign=1))
    evidence.holds(mean_rises, selection, control=lambda case: mean_rises(case, power=2))
    evidence.holds(distance, selection, control=lambda case: distance(case, sign=1))


@claim(
    "ma2025.rest-points",
    source="not in the paper; where Eq. (12) stands still",
    says=r"\Delta\pi=0\iff w=0\iff\pi\propto\pi_{ref}\,q^{1/\beta},\quad q=e^{r^*}",
    assumes="all probabilities positive; every pair is asked",
    verdict=PROVED,
    proof=r"$\Delta\pi=0$ iff all $w_i$ are equal, and $\sum_i w_i=0$. The objective is convex in the logits and flat "
    r"only along constants, so $w=0$ at its one minimum, where $\kappa=P$.",
)
def rest_points(evidence: Evidence) -> None:
    """Equivalent in random worlds, half of which are at rest."""

    def optimal(world: Bandit, beta: int) -> bool:
        scaled = [(p / r) ** beta / q for p, q, r in zip(world.p, world.q, world.ref, strict=True)]
        return len(set(scaled)) == 1

    def statement(world: Bandit, beta: int | None = None) -> bool:
        still = not any(p * (w - world.mean_fitness) for p, w in zip(world.p, world.fitness, strict=True))
        return still == (not any(world.fitness)) == optimal(world, beta or world.beta)

    evidence.holds(statement, perhaps_trained_bandit, control=lambda world: statement(world, beta=1))


@claim(
    "ma2025.natural-gradient",
    source="not in the paper; what Eq. (12) ascends",
    says=r"F\,w=\nabla_s\,\mathbb{E}_\pi[w],\quad F=\mathrm{diag}(\pi)-\pi\pi^{\top}",
    assumes="w held fixed; F is the Fisher information of the logits, defined up to constants in w",
    verdict=PROVED,
    proof=r"$\partial\,\mathbb{E}_\pi[w]/\partial s_k=\pi_k(w_k-\bar w)$. So a DPO step $\Delta s=\gamma w$ is a step "
    "of the natural policy gradient with reward w; the plain policy gradient would be $F w$.",
)
def natural_gradient(evidence: Evidence) -> None:
    """DPO's step in the logits solves F ds = gradient of the mean fitness."""

    def statement(case: Selection, outer: int = 1) -> bool:
        probabilities = softmax(case.p)
        gain = sum((s * w for s, w in zip(probabilities[1:], case.w[1:], strict=True)), probabilities[0] * case.w[0])
        fisher_times_w = tuple(p * w - outer * p * case.mean for p, w in zip(case.p, case.w, strict=True))
        return gain.slope == fisher_times_w

    evidence.holds(statement, selection, control=lambda case: statement(case, outer=0))


@claim(
    "ma2025.hedge-regret",
    source="not in the paper; Eq. (12) as an online algorithm",
    says=r"\sum_{t\le T}\bigl(w^t_i-\pi^t\cdot w^t\bigr)\le\frac{\log n}{\gamma}+\frac{\gamma T R^2}{8}"
    r"\quad\text{for every}\ i",
    assumes=r"exact steps from the uniform policy; $w^t$ arbitrary, $\max_i w^t_i-\min_i w^t_i\le R$",
    verdict=PROVED,
    proof=r"$\log\sum_j\pi_j e^{\gamma w_j}\le\gamma\bar w+\gamma^2R^2/8$ (Hoeffding); sum over t. It is the analysis "
    "of the Hedge algorithm.",
)
def hedge_regret(evidence: Evidence) -> None:
    """Random fitness sequences, persistent and alternating; each half of the bound is needed."""

    def statement(case: dict[str, float], start: float = 1.0, drift: float = 1.0) -> bool:
        n, gamma, steps = int(case["n"]), case["gamma"], int(case["steps"])
        source = np.random.default_rng(int(case["seed"]))
        bias = source.uniform(-1, 1, n) * case["persistence"]
        w = np.clip(bias + source.choice((-1.0, 1.0), (steps, n)), -1, 1)
        log_p, total, own = np.full(n, -math.log(n)), np.zeros(n), 0.0
        for row in w:
            own += float(np.exp(log_p) @ row)
            total += row
            log_p = log_p + gamma * row
            log_p -= np.logaddexp.reduce(log_p)
        return float(total.max()) - own <= start * math.log(n) / gamma + drift * gamma * steps * 4 / 8 + 1e-9

    evidence.holds(statement, sequences, control=lambda case: statement(case, start=0.0), worlds=100)
    evidence.holds(statement, sequences, control=lambda case: statement(case, drift=0.0), worlds=100)


def sequences(source: random.Random) -> dict[str, float]:
    """Draw the parameters of a sequence of fitness vectors with R = 2."""
    return {
        "n": source.randint(2, 6),
        "gamma": source.choice((0.03, 0.3, 2.0)),
        "steps": source.randint(1, 60),
        "persistence": source.choice((0.0, 2.0)),
        "seed": source.randint(0, 10**6),
    }
