"""Sections 1 and 3.1: the losses that the paper starts from, and what they let happen to the two probabilities."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from fractions import Fraction as F

import sympy as sp

from dynamics import DPO, SelfPO
from theory.claim import CONDITIONALLY, MISPRINT, PROVED, claim
from theory.evidence import ALSO, CORRECTED, HOLDS, Evidence, show
from theory.sun2025.curves import X, same, sigma, softplus
from theory.sun2025.floor import FLOOR_VALUE, target_log_ratio


@dataclass(frozen=True)
class Pair:
    """Probabilities of a pair under policy and reference, with beta = power: odds and powers stay rational."""

    chosen: F
    rejected: F
    reference_chosen: F
    reference_rejected: F
    power: int = 1

    @property
    def odds_against(self) -> F:
        """Return e^-z = [(pi_l / ref_l) / (pi_w / ref_w)]^beta."""
        ratio = (self.rejected / self.reference_rejected) / (self.chosen / self.reference_chosen)
        return F(ratio**self.power)

    def scaled(self, chosen: F, rejected: F) -> Pair:
        """Return the pair whose policy's probabilities are multiplied."""
        references = self.reference_chosen, self.reference_rejected
        return Pair(self.chosen * chosen, self.rejected * rejected, *references, self.power)

    def __str__(self) -> str:
        """Return the fields in numbers that can be checked by hand."""
        return show(vars(self))


def any_pair(source: random.Random) -> Pair:
    """Draw a policy and a reference over three responses, beta from 1 to 3; the policy's pi_w is 0 now and then."""
    p, q = ([source.randint(1, 12) for _ in range(3)] for _ in range(2))
    if source.random() < 0.1:
        p[0] = 0
    chosen, rejected = F(p[0], sum(p)), F(p[1], sum(p))
    return Pair(chosen, rejected, F(q[0], sum(q)), F(q[1], sum(q)), source.randint(1, 3))


def possible(pair: Pair) -> bool:
    """Return whether the chosen response has any probability."""
    return pair.chosen > 0


@claim(
    "sun2025.eq-1",
    source="Eq. (1)",
    says=r"L=\log\Bigl(1+\Bigl(\frac{\pi(y_l)/\mathrm{ref}(y_l)}{\pi(y_w)/\mathrm{ref}(y_w)}\Bigr)^\beta\Bigr)",
    assumes=r"one pair, $\pi(y_w)>0$",
    verdict=PROVED,
    proof=r"$-\log\sigma(z)=\log(1+e^{-z})$ and $e^{-z}$ is the ratio to the power $\beta$.",
)
def eq_1(evidence: Evidence) -> None:
    """In symbols from Eq. 5, and against the loss of ``dynamics``."""
    a, b, beta = sp.symbols("a b beta", positive=True)

    def rewritten(power: sp.Expr = beta) -> bool:
        eq_5 = -sp.log(sigma(beta * sp.log(a) - beta * sp.log(b)))
        return bool(sp.simplify(sp.powsimp(eq_5 - sp.log(1 + b**power / a**power), force=True)) == 0)

    def in_dynamics(pair: Pair, sign: int = 1) -> bool:
        logs = [math.log(q) for q in (pair.chosen, pair.rejected, pair.reference_chosen, pair.reference_rejected)]
        seen = float(DPO(beta=float(pair.power))(*logs))
        return abs(seen - math.log1p(pair.odds_against**sign)) < 1e-12 * (1 + seen)

    evidence.proves(rewritten, control=lambda: rewritten(2 * beta), by="SymPy: Eq. 5 less Eq. 1 simplifies to 0")
    evidence.holds(in_dynamics, any_pair, given=possible, role=ALSO, control=lambda p: in_dynamics(p, -1), worlds=100)


@claim(
    "sun2025.eq-2",
    source="Eq. (2)",
    says=r"\pi(y_l)=0\implies L=\min L",
    assumes=r"$\pi(y_w)>0$",
    verdict=CONDITIONALLY,
    because=r"At $\pi(y_w)=0$ as well the ratio is 0/0 and the loss has no value. No softmax attains the minimum.",
    proof=r"$e^L=1+0=1$ there, and $e^L>1$ wherever $\pi(y_l)>0$.",
)
def eq_2(evidence: Evidence) -> None:
    """The minimum 0 stands on the edge, but for its corner."""

    def least(pair: Pair) -> bool:
        try:
            return pair.scaled(F(1), F(0)).odds_against == 0
        except ZeroDivisionError:  # 0 / 0
            return False

    half = F(1, 2)
    evidence.fails(least, at=Pair(F(0), F(0), half, half), control=Pair(F(1), F(0), half, half))
    evidence.holds(least, any_pair, given=possible, control=lambda p: p.odds_against == 0)
    evidence.holds(
        lambda p: p.odds_against > 0, any_pair, given=possible, role=ALSO, control=lambda p: p.odds_against > F(1, 2)
    )


@claim(
    "sun2025.ratio-regardless",
    source="Section 1, after Eq. (2)",
    says=r"\lim_{\pi(y_l)\to 0}\frac{\pi(y_w)}{\pi(y_l)}=\infty\quad\text{whatever }\pi(y_w)",
    assumes=r"$\pi(y_l)=o(\pi(y_w))$, as for a fixed $\pi(y_w)>0$",
    verdict=CONDITIONALLY,
    because=r"Where $\pi(y_w)$ falls as fast or faster, the ratio stays bounded.",
    proof="Division.",
)
def ratio_regardless(evidence: Evidence) -> None:
    """A power law pi_w = eps^p, pi_l = eps shows both cases."""
    eps = sp.Symbol("epsilon", positive=True)

    def grows(power: F) -> bool:
        return bool(sp.limit(eps ** (sp.Rational(power.numerator, power.denominator) - 1), eps, 0, "+") == sp.oo)

    evidence.fails(grows, at=F(1), control=F(0))
    evidence.fails(grows, at=F(2), control=F(1, 2))
    evidence.holds(grows, any_power, given=lambda p: p < 1, control=lambda p: grows(p + 1), worlds=20)


def any_power(source: random.Random) -> F:
    """Draw an exponent from 0 to 2."""
    return F(source.randint(0, 8), 4)


@claim(
    "sun2025.both-may-fall",
    source="Section 1, on Figure 3",
    says=r"L\bigl(a\,\pi(y_w),ab\,\pi(y_l)\bigr)<L\bigl(\pi(y_w),\pi(y_l)\bigr)\qquad(0<a,b<1)",
    assumes="DPO; SimPO for responses of one length",
    verdict=PROVED,
    proof=r"The loss sees the ratio alone, which grows by $1/b$.",
)
def both_may_fall(evidence: Evidence) -> None:
    """Both probabilities fall, the loss falls too."""

    def falls(pair: Pair, b: F = F(2, 3)) -> bool:
        return pair.scaled(F(1, 2), F(1, 2) * b).odds_against < pair.odds_against

    evidence.holds(falls, any_pair, given=possible, role=HOLDS, control=lambda p: falls(p, F(1)))


@claim(
    "sun2025.levels-unconstrained",
    source="not in the paper; the same of its own loss",
    says=r"L_{SPO}(\rho\epsilon,\epsilon)=\min L_{SPO}=-W(1/e),\quad\rho=e^{(\gamma+1+W)/\beta},\qquad"
    r"\text{for every }0<\epsilon\le\frac{1}{1+\rho}",
    verdict=PROVED,
    because="SPO too lets both probabilities fall: it bounds their ratio and neither of them.",
    proof="The loss sees the ratio alone.",
)
def levels_unconstrained(evidence: Evidence) -> None:
    """Eleven orders of magnitude of the two levels, one loss, the least."""
    c, p, q, beta, gamma = sp.symbols("c p q beta gamma", positive=True)

    def invariant(power: int = 1) -> bool:
        def argument(chosen: sp.Expr, rejected: sp.Expr) -> sp.Expr:
            return -(beta * sp.log(chosen) - beta * sp.log(rejected) - gamma)

        change = argument(c * p, c**power * q) - argument(p, q)
        return bool(sp.simplify(sp.expand_log(change)) == 0)

    def least(case: dict[str, float], factor: float = 1.0) -> bool:
        loss = SelfPO(beta=case["beta"], gamma=case["gamma"], length_normalized=False)
        rejected = case["log_epsilon"]
        chosen = rejected + factor * target_log_ratio(case["beta"], case["gamma"])
        return abs(float(loss(chosen, rejected)) - FLOOR_VALUE) < 1e-12

    evidence.proves(invariant, control=lambda: invariant(2), by="SymPy: SiLU's argument at (c p, c q) and (p, q)")
    evidence.holds(least, any_level, control=lambda case: least(case, 1.1))


def any_level(source: random.Random) -> dict[str, float]:
    """Draw beta, gamma and a log-probability of the rejected response that leaves room for the chosen one."""
    beta, gamma = source.uniform(0.5, 4.0), source.uniform(0.0, 3.0)
    return {"beta": beta, "gamma": gamma, "log_epsilon": -1.2 * target_log_ratio(beta, gamma) - source.uniform(0, 25)}


@dataclass(frozen=True)
class Tilt:
    """A reference, the factors e^(r / beta) of a reward, and a policy that need not be the optimal one."""

    reference: tuple[F, ...]
    factors: tuple[F, ...]
    policy: tuple[F, ...]

    @property
    def partition(self) -> F:
        """Return Z = sum ref e^(r / beta)."""
        return sum((q * f for q, f in zip(self.reference, self.factors, strict=True)), F(0))

    @property
    def optimum(self) -> tuple[F, ...]:
        """Return the policy that is optimal for the reward under a KL penalty."""
        return tuple(q * f / self.partition for q, f in zip(self.reference, self.factors, strict=True))

    def __str__(self) -> str:
        """Return the fields in numbers that can be checked by hand."""
        return show(vars(self))


def any_tilt(source: random.Random) -> Tilt:
    """Draw a reference, a reward and another policy over 2 to 5 responses."""
    n = source.randint(2, 5)
    p, q, f = ([source.randint(1, 12) for _ in range(n)] for _ in range(3))
    return Tilt(tuple(F(a, sum(q)) for a in q), tuple(F(a, 4) for a in f), tuple(F(a, sum(p)) for a in p))


def reward_of(tilt: Tilt, policy: tuple[F, ...]) -> bool:
    """Return whether Eq. 3 holds with ``policy`` in it: e^(r / beta) = Z policy / ref for every response."""
    return all(f == tilt.partition * p / q for f, p, q in zip(tilt.factors, policy, tilt.reference, strict=True))


@claim(
    "sun2025.eq-3",
    source="Eq. (3)",
    says=r"r(x,y)=\beta\log\frac{\pi_\theta(y\mid x)}{\mathrm{ref}(y\mid x)}+\beta\log Z(x)",
    verdict=MISPRINT,
    because=r"$\pi_\theta$ is introduced as the learned policy; the identity holds for the policy $\pi_r$ that is "
    r"optimal for $r$ under the KL penalty, and for no other.",
    proof=r"$\pi_r=\mathrm{ref}\,e^{r/\beta}/Z$.",
)
def eq_3(evidence: Evidence) -> None:
    """Equal rewards and a policy that prefers one response all the same."""
    half = F(1, 2)
    at = Tilt((half, half), (F(1), F(1)), (F(2, 3), F(1, 3)))
    good = Tilt((half, half), (F(1), F(1)), (half, half))
    evidence.fails(lambda t: reward_of(t, t.policy), at=at, control=good)
    evidence.holds(
        lambda t: reward_of(t, t.optimum), any_tilt, role=CORRECTED, control=lambda t: reward_of(t, t.reference)
    )


@claim(
    "sun2025.eq-5",
    source="Eqs. (4) and (5)",
    says=r"\sigma(r(x,y_w)-r(x,y_l))=\sigma\Bigl(\beta\log\frac{\pi_r(y_w)}{\mathrm{ref}(y_w)}"
    r"-\beta\log\frac{\pi_r(y_l)}{\mathrm{ref}(y_l)}\Bigr)",
    verdict=PROVED,
    proof=r"The partition function cancels in the difference of two rewards of one prompt.",
)
def eq_5(evidence: Evidence) -> None:
    """The preference of Bradley and Terry, from rewards and from the policy (beta = 1)."""

    def preference(t: Tilt, policy: tuple[F, ...]) -> bool:
        from_rewards = t.factors[0] / (t.factors[0] + t.factors[1])
        odds_against = (policy[1] / t.reference[1]) / (policy[0] / t.reference[0])
        return from_rewards == 1 / (1 + odds_against)

    evidence.holds(lambda t: preference(t, t.optimum), any_tilt, control=lambda t: preference(t, t.policy))


@claim(
    "sun2025.eq-13",
    source="Eq. (13)",
    says=r"\log\sigma(x)=-\log(1+e^{-x})=-\mathrm{softplus}(-x)",
    verdict=PROVED,
    proof="Take the logarithm of $1/(1+e^{-x})$.",
)
def eq_13(evidence: Evidence) -> None:
    """A definition unfolded."""

    def identity(sign: int = -1) -> bool:
        return same(sp.log(sigma(X)), -softplus(sign * X)) and same(softplus(-X), sp.log(1 + sp.exp(-X)))

    evidence.proves(identity, control=lambda: identity(1), by="SymPy: the difference simplifies to 0")
