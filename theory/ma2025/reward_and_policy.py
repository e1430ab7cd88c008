"""Equations (3) to (5), Corollaries 2 and 3: the two stages that stand for PPO, a reward model and a policy on it.

The objective of the second stage is differentiated in free probabilities, where a constant added to every derivative
means nothing: the simplex has no such direction. A verdict that a constant changes is no property of the objective.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction as F

import mpmath
import sympy as sp

from theory.claim import CONDITIONALLY, FALSE, MISPRINT, PROVED, claim
from theory.evidence import ALSO, CONDITIONAL, CORRECTED, Evidence
from theory.ma2025.bandits import Bandit, bandit, beats, normalised
from theory.ma2025.duals import exponentials
from theory.worlds import Vector

DIGITS = 40


@dataclass(frozen=True)
class RewardPair:
    """Two rewards, by their exponentials e^r."""

    chosen: F
    rejected: F

    def slopes(self, sign: int) -> tuple[F, F]:
        """Return the derivatives of sign * log sigma(r_w - r_l) in r_w and r_l."""
        x, y = exponentials([self.chosen, self.rejected])
        chosen, rejected = beats(x, y).log_slope
        return sign * chosen, sign * rejected

    def __str__(self) -> str:
        """Return the exponentials of the two rewards."""
        return f"e^r_w = {self.chosen}, e^r_l = {self.rejected}"


def reward_pair(source: random.Random) -> RewardPair:
    """Draw two rewards."""
    return RewardPair(F(source.randint(1, 50), source.randint(1, 50)), F(source.randint(1, 50), source.randint(1, 50)))


@claim(
    "ma2025.eq-3",
    source="Eq. (3)",
    says=r"L_R(r)=\mathbb{E}\,[\log\sigma(r_w-r_l)]",
    assumes="a loss is something to be minimised",
    verdict=MISPRINT,
    because="The minus sign is missing: a descent step on the printed loss lowers the reward of the chosen response.",
    proof=r"$\partial(-\log\sigma(r_w-r_l))/\partial r_w=-\sigma(r_l-r_w)<0$.",
)
def eq_3(evidence: Evidence) -> None:
    """Descent raises the reward of the chosen response, and lowers that of the rejected one, only with the minus."""

    def teaches(pair: RewardPair, sign: int) -> bool:
        chosen, rejected = pair.slopes(sign)
        return -chosen > 0 > -rejected

    even = RewardPair(F(1), F(1))
    # the sign is the whole claim: the mended loss at the same point is the case that the checker must let pass
    evidence.fails(lambda case: teaches(*case), at=(even, 1), control=(even, -1))
    evidence.holds(lambda pair: teaches(pair, -1), reward_pair, role=CORRECTED, control=lambda pair: teaches(pair, 1))


@claim(
    "ma2025.corollary-2",
    source="Corollary 2; the sentence after Eq. (3)",
    says=r"\Bigl|\frac{\partial L_R}{\partial r_w}\Bigr|=\Bigl|\frac{\partial L_R}{\partial r_l}\Bigr|,\qquad"
    r"\frac{\partial L_R}{\partial r_w}+\frac{\partial L_R}{\partial r_l}=0",
    assumes=r"Definition 1 with the reward $r_\phi$ in the place of $\pi_\theta$, which does not occur in the loss",
    verdict=PROVED,
    proof=r"The loss depends on $r_w-r_l$ alone. The same is true of DPO in its implicit rewards.",
)
def corollary_2(evidence: Evidence) -> None:
    """Balanced in every sample, so in expectation too."""

    def statement(pair: RewardPair) -> bool:
        chosen, rejected = pair.slopes(-1)
        return chosen + rejected == 0 != chosen

    def in_exponentials(pair: RewardPair) -> bool:  # the same loss, differentiated in e^r instead of r
        chosen, rejected = pair.slopes(-1)
        return chosen / pair.chosen + rejected / pair.rejected == 0

    evidence.holds(statement, reward_pair, control=in_exponentials)


@claim(
    "ma2025.eq-4",
    source="Eq. (4)",
    says=r"L_{ppo}(\pi)=\mathbb{E}_{x,\,y\sim\pi}\Bigl[r-\beta\log\frac{\pi}{\pi_{ref}}\Bigr]",
    assumes="a loss is something to be minimised",
    verdict=MISPRINT,
    because="This is the objective that PPO maximises, not a loss: it is largest at PPO's solution "
    r"$\pi^*\propto\pi_{ref}\,e^{r/\beta}$.",
    proof=r"$L_{ppo}(\pi)=L_{ppo}(\pi^*)-\beta\,\mathrm{KL}(\pi\|\pi^*)$.",
)
def eq_4(evidence: Evidence) -> None:
    """At PPO's solution the printed quantity is at its largest; its negative is the loss."""

    def least_at_solution(world: Bandit, sign: int) -> bool:
        solution = normalised([r * q for r, q in zip(world.ref, world.q, strict=True)])  # e^{r / beta} = q
        with mpmath.workdps(DIGITS):
            return bool(sign * objective(world, solution) <= sign * objective(world, world.p) + mpmath.mpf(10) ** -30)

    case = Bandit.of([1, 1], q=[2, 1])
    evidence.fails(lambda c: least_at_solution(*c), at=(case, 1), control=(case, -1))
    evidence.holds(
        lambda world: least_at_solution(world, -1),
        bandit,
        role=CORRECTED,
        control=lambda world: least_at_solution(world, 1),
        worlds=200,
    )


def objective(world: Bandit, p: Vector) -> mpmath.mpf:
    """Return sum_y p_y (r_y - beta log(p_y / ref_y)) with e^{r / beta} = q, at the working precision of mpmath."""
    return world.beta * mpmath.fsum(
        number(a) * mpmath.log(number(q * r / a)) for a, q, r in zip(p, world.q, world.ref, strict=True)
    )


def number(x: F) -> mpmath.mpf:
    """Return a fraction at the working precision of mpmath."""
    return mpmath.mpf(x.numerator) / x.denominator


@claim(
    "ma2025.eq-5",
    source="Eq. (5)",
    says=r"\frac{\partial L_{ppo}}{\partial\pi(y|x)}=\mathbb{E}_{x\sim p_{data}}\Bigl[r(x,y)-\beta\log"
    r"\frac{\pi(y|x)}{\pi_{ref}(y|x)}-\beta\Bigr]",
    assumes="there is one prompt; the probabilities as free coordinates",
    verdict=CONDITIONALLY,
    because=r"The derivative at one prompt x knows nothing of the other prompts: it is $p_{data}(x)[\dots]$ without an "
    "expectation.",
    proof=r"Differentiate $p_{data}(x)\,\pi(y|x)\,[r-\beta\log(\pi/\pi_{ref})]$ in $\pi(y|x)$.",
)
def eq_5(evidence: Evidence) -> None:
    """Symbolically, for prompts with two responses each."""

    def printed(case: dict[str, tuple[F, ...]], constant: int = 1) -> bool:
        data = [sp.Rational(a.numerator, a.denominator) for a in case["p_data"]]
        beta = sp.Symbol("beta", positive=True)
        pi, ref = ([sp.symbols(f"{name}{x}_:2", positive=True) for x in range(len(data))] for name in ("pi", "ref"))
        r = [sp.symbols(f"r{x}_:2", real=True) for x in range(len(data))]

        def gain(x: int, y: int) -> sp.Expr:
            return r[x][y] - beta * (sp.log(pi[x][y]) - sp.log(ref[x][y]))

        total = sum(d * sum(pi[x][y] * gain(x, y) for y in (0, 1)) for x, d in enumerate(data))
        mean = sum(d * (gain(x, 0) - constant * beta) for x, d in enumerate(data))
        return sp.expand(sp.diff(total, pi[0][0]) - mean) == 0

    one: dict[str, tuple[F, ...]] = {"p_data": (F(1),)}
    two = {"p_data": (F(1, 2), F(1, 2))}
    evidence.fails(printed, at=two, control=one)
    evidence.proves(
        lambda: printed(one), control=lambda: printed(one, constant=2), by="SymPy, one prompt", role=CONDITIONAL
    )


@claim(
    "ma2025.reward-shift",
    source="not in the paper; Eq. (5) on the simplex",
    says=r"\frac{\partial}{\partial s_k}\mathbb{E}_{y\sim\mathrm{softmax}(s)}\Bigl[r+c-\beta\log\frac{\pi}{\pi_{ref}}"
    r"\Bigr]=\pi_k\Bigl(G_k-\sum_j\pi_j G_j\Bigr),\quad G=r-\beta\log\frac{\pi}{\pi_{ref}}-\beta,\quad"
    r"\text{free of}\ c",
    verdict=PROVED,
    proof=r"The chain rule with $\partial\pi_j/\partial s_k=\pi_j(\delta_{jk}-\pi_k)$; constants cancel in "
    r"$G-\pi\cdot G$.",
)
def reward_shift(evidence: Evidence) -> None:
    """What moves a policy does not see a constant in the reward, nor the constant -beta of Eq. (5)."""
    x, r, ref = (sp.symbols(f"{name}:3", positive=True) for name in ("x", "r", "ref"))  # x = e^s
    beta, c = sp.symbols("beta c", positive=True)
    pi = [a / sum(x) for a in x]
    log_pi = [sp.log(a) - sp.log(sum(x)) for a in x]
    gain = [a + c - beta * (b - sp.log(d)) for a, b, d in zip(r, log_pi, ref, strict=True)]
    total = sum(p * g for p, g in zip(pi, gain, strict=True))
    gradient = [a * sp.diff(total, a) for a in x]

    def statement(kept: int = 1) -> bool:
        free = [g - c - beta for g in gain]  # G without the shift
        mean = sum(p * g for p, g in zip(pi, free, strict=True))
        formula = [p * (g - kept * mean) for p, g in zip(pi, free, strict=True)]
        return all(sp.cancel(a - b) == 0 for a, b in zip(gradient, formula, strict=True))

    evidence.proves(statement, control=lambda: statement(kept=0), by="SymPy, three responses")


@claim(
    "ma2025.optimal-reward",
    source="Section 3.1, the sentence after Eq. (5)",
    says=r"r^*(x,y)\propto\log P_{\mathcal{D}}(y|x)\quad\text{for the reward that the loss of Eq. (3) is least at}",
    assumes=r"the data distribution is a power of the utility, $P_{\mathcal{D}}^c\propto u$",
    verdict=CONDITIONALLY,
    because=r"The reward model learns $\log u$ from who wins, whatever the frequency with which responses are shown: "
    r"with $P_{\mathcal{D}}$ uniform the claim would leave no preferences at all.",
    proof=r"The expected loss is convex in r and stationary where $\sigma(r_i-r_j)=P_{ij}=u_i/(u_i+u_j)$: at "
    r"$r=\log u$ and, up to a constant, nowhere else.",
)
def optimal_reward(evidence: Evidence) -> None:
    """Stationarity of the expected loss of the reward model at e^r = P_D^c, pairs drawn from P_D."""

    def stationary(case: tuple[Bandit, int], power_of: int = 1) -> bool:
        world, power = case
        rewards = [a ** (power * power_of) for a in world.p]
        slopes = [F(0)] * len(rewards)
        for i, j in world.ordered_pairs:
            push = world.p[i] * world.p[j] * world.label(i, j) * (1 - beats(rewards[i], rewards[j]))
            slopes[i] += push
            slopes[j] -= push
        return not any(slopes)

    def is_power(case: tuple[Bandit, int]) -> bool:
        (world, power), first = case, case[0].responses[0]
        return all(
            world.q[i] * world.p[first] ** power == world.q[first] * world.p[i] ** power for i in world.responses
        )

    skewed = Bandit.of([1, 1], q=[2, 1])  # responses shown equally often, one preferred: no power of 1/2 will do
    evidence.fails(stationary, at=(skewed, 1), control=(Bandit.of([2, 1], q=[4, 1]), 2))
    evidence.holds(
        stationary, perhaps_power, given=is_power, control=lambda case: stationary(case, power_of=2), worlds=200
    )


def perhaps_power(source: random.Random) -> tuple[Bandit, int]:
    """Draw a world whose p plays the data distribution, and a power; in half of all cases the utility is p^power."""
    drawn, power = bandit(source), source.randint(1, 3)
    if source.random() < 0.5:
        return drawn, power
    return Bandit(drawn.p, tuple(a**power for a in drawn.p)), power


@claim(
    "ma2025.corollary-3",
    source="Corollary 3",
    says=r"r_w>r_l\implies\Bigl|\frac{\partial L_{ppo}}{\partial\pi_w}\Bigr|>"
    r"\Bigl|\frac{\partial L_{ppo}}{\partial\pi_l}\Bigr|",
    assumes="free coordinates, as Definition 1 has it; a good reward model prefers the winner",
    verdict=FALSE,
    because=r"A constant added to the reward decides it, and moves no policy. With the paper's own "
    r"$r^*=\log P_{\mathcal{D}}\le 0$ the loser's derivative is the larger one at $\pi=\pi_{ref}$.",
    instead=("ma2025.corollary-3-difference", "ma2025.reward-shift"),
)
def corollary_3(evidence: Evidence) -> None:
    """Three constants, three verdicts; beta = 1, pi = ref, P_D = (3/4, 1/4)."""

    def derivatives(case: dict[str, F | int]) -> tuple[mpmath.mpf, mpmath.mpf]:
        chosen, rejected = (mpmath.log(number(F(case[name]))) for name in ("P_D(w)", "P_D(l)"))
        return chosen + case["shift"] - 1, rejected + case["shift"] - 1

    def printed(case: dict[str, F | int]) -> bool:
        with mpmath.workdps(DIGITS):
            chosen, rejected = derivatives(case)
            return bool(abs(chosen) > abs(rejected))

    def balanced_at(shift: mpmath.mpf) -> bool:
        with mpmath.workdps(DIGITS):
            return bool(abs(sum(derivatives({**case, "shift": shift}))) < mpmath.mpf(10) ** -35)

    case: dict[str, F | int] = {"P_D(w)": F(3, 4), "P_D(l)": F(1, 4), "shift": 0}
    evidence.fails(printed, at=case, control={**case, "shift": 5})
    with mpmath.workdps(DIGITS):
        middle = 1 - mpmath.log(mpmath.mpf(3) / 16) / 2
    evidence.measures(
        lambda: balanced_at(middle),
        control=lambda: balanced_at(mpmath.mpf(0)),
        by="with the shift 1 - ln(3/16)/2 = 1.837 the same objective is balanced; 40 digits",
        role=ALSO,
    )


@claim(
    "ma2025.corollary-3-difference",
    source="not in the paper; what is true of Corollary 3",
    says=r"\frac{\partial L_{ppo}}{\partial\pi_w}-\frac{\partial L_{ppo}}{\partial\pi_l}=r_w-r_l-(h_w-h_l),\quad "
    r"h=\beta\log\frac{\pi}{\pi_{ref}};\qquad=0\ \text{at}\ \pi\propto\pi_{ref}\,e^{r/\beta}",
    assumes="one prompt",
    verdict=PROVED,
    proof="Subtract Eq. (5) at the two responses: all constants cancel. At the optimum h = r + const.",
)
def corollary_3_difference(evidence: Evidence) -> None:
    """The difference is free of constants, and vanishes at the optimum."""
    pi, ref, r = (sp.symbols(f"{name}:2", positive=True) for name in ("pi", "ref", "r"))
    beta, c, z = sp.symbols("beta c z", positive=True)
    terms = zip(pi, ref, r, strict=True)
    total = sum(a * (d + c - beta * (sp.log(a) - sp.log(b))) for a, b, d in terms)
    difference = sp.diff(total, pi[0]) - sp.diff(total, pi[1])

    def statement(sign: int = 1) -> bool:
        h = [beta * (sp.log(a) - sp.log(b)) for a, b in zip(pi, ref, strict=True)]
        return sp.expand(difference - (r[0] - r[1] - sign * (h[0] - h[1]))) == 0

    def at_optimum(power: int = 1) -> bool:
        optimum = {a: b * sp.exp(power * d / beta) / z for a, b, d in zip(pi, ref, r, strict=True)}
        return sp.simplify(sp.expand_log(difference.subs(optimum), force=True)) == 0

    evidence.proves(statement, control=lambda: statement(sign=-1), by="SymPy")
    evidence.proves(at_optimum, control=lambda: at_optimum(power=2), by="SymPy, at the optimum")
