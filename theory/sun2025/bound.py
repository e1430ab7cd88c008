"""Is the loss of Self PO an upper bound of the DPO loss, and what follows from it?

Throughout x = -m is the argument of SiLU, and x + Delta that of DPO's softplus; Delta = beta ln(ref_w / ref_l) - gamma
is what the idealized reference leaves out.
"""

from __future__ import annotations

import math
import random
from fractions import Fraction as F
from typing import Any

import sympy as sp
from mpmath import mp
from scipy.optimize import brentq
from scipy.special import expit

from dynamics import DPO, SelfPO
from dynamics.errors import check_nonnegative
from theory.claim import CONDITIONALLY, FALSE, PROVED, claim
from theory.evidence import ALSO, FAILS, Evidence
from theory.sun2025.curves import M, any_number, exact, logistic_loss, mp_sigma, mp_silu, mp_softplus, precise, silu
from theory.sun2025.floor import FLOOR_MARGIN, FLOOR_PROBABILITY, W, silu_slope

Case = dict[str, F]


def any_gap(source: random.Random) -> Case:
    """Draw x and a Delta of either sign, often small ones."""
    return {"x": any_number(source), "Delta": any_number(source) / source.choice((1, 10))}


def valid(case: Case) -> bool:
    """Return whether Eq. 8 holds for the pair."""
    return case["Delta"] >= 0


@precise
def slack(case: Case, constant: str = "0", share: F | int = 0, *, positive_part: bool = False) -> Any:
    """Return L_SPO + constant + share Delta - L_DPO of one pair, at forty digits.

    Args:
        case: x and Delta.
        constant: "0", "ln 2" or "W".
        share: factor of Delta.
        positive_part: take max(Delta, 0).
    """
    x, delta = exact(case["x"]), exact(case["Delta"])
    value = {"0": mp.mpf(0), "ln 2": mp.log(2), "W": mp.lambertw(mp.exp(-1)).real}[constant]
    extra = exact(F(share)) * (max(delta, mp.mpf(0)) if positive_part else delta)
    return mp_silu(x) + value + extra - mp_softplus(x + delta)


ROUNDING = -1e-35  # at x = Delta = 0 both sides are ln 2


def pointwise_constant(delta: float) -> float:
    """Return B(Delta) = sup_x [softplus(x + Delta) - SiLU(x)], the least constant for one pair.

    The supremum is attained between x = 0 and x = 1 + W: the slope sigma(x + Delta) - SiLU'(x) is positive before and
    negative after.

    Args:
        delta: beta ln(ref_w / ref_l) - gamma, >= 0.

    Returns:
        Nats; ln 2 at 0, and close to Delta + W for a large Delta.

    Raises:
        InvalidArgument: a negative or infinite ``delta``.

    Example:
        >>> [round(pointwise_constant(delta), 4) for delta in (0.0, 1.0, 20.0)]
        [0.6931, 1.401, 20.2785]
    """
    check_nonnegative("delta", delta)
    if delta == 0:
        return math.log(2)

    def slope(x: float) -> float:
        return float(expit(x + delta) - silu_slope(x))

    x = float(brentq(slope, 0.0, FLOOR_MARGIN + 1e-9, xtol=1e-15))
    return float(math.log1p(math.exp(-x - delta)) + delta + x * expit(-x))


@claim(
    "sun2025.upper-bound",
    source="Abstract; Section 1; Section 3.2; Conclusion",
    says=r"L_{DPO}(\pi;\mathrm{ref})\le L_{SPO}(\pi)",
    verdict=FALSE,
    because="Without the two constants it is the other way round: under Eq. (8) the SPO loss of every pair is strictly "
    r"smaller. At pi = ref with k the ratio of the reference it is 0 and the DPO loss is $\ln 2$.",
    instead=("sun2025.upper-bound-constant", "sun2025.upper-bound-assumption-free", "sun2025.always-below"),
)
def upper_bound(evidence: Evidence) -> None:
    """False at the start of training already."""

    def bound(case: Case) -> bool:
        return bool(slack(case) >= 0)

    def at_the_start(target: int = 0) -> bool:  # pi = ref and k = ref_w / ref_l: m = 0
        return bool(silu(sp.Integer(target)) < logistic_loss(sp.Integer(target)))

    mis_ranked = {"x": F(1), "Delta": F(-6)}
    evidence.fails(bound, at={"x": F(0), "Delta": F(0)}, control=mis_ranked)
    evidence.proves(at_the_start, control=lambda: at_the_start(2), by="SymPy: 0 < log 2", role=FAILS)
    evidence.finds(bound, any_gap, control=lambda case: bool(slack(case, "ln 2", 1, positive_part=True) >= ROUNDING))


@claim(
    "sun2025.always-below",
    source="not in the paper; the true order of the two losses",
    says=r"\frac{\mathrm{ref}(y_w)}{\mathrm{ref}(y_l)}\ge k=e^{\gamma/\beta}\ \text{on}\ D\implies "
    r"L_{SPO}(\pi)<L_{DPO}(\pi;\mathrm{ref})",
    verdict=PROVED,
    proof=r"$\mathrm{SiLU}(x)<\mathrm{softplus}(x)\le\mathrm{softplus}(x+\Delta)$.",
)
def always_below(evidence: Evidence) -> None:
    """Under the paper's assumption the bound without constants fails for every pair."""
    evidence.holds(
        lambda case: bool(slack({**case, "Delta": abs(case["Delta"])}) < 0),
        any_gap,
        control=lambda case: bool(slack({**case, "Delta": -abs(case["Delta"])}) < 0),
    )


@claim(
    "sun2025.upper-bound-constant",
    source="Theorem 1 and Proposition 1 put together",
    says=r"L_{DPO}(\pi;\mathrm{ref})\le L_{SPO}(\pi)+\ln 2+\beta\,\mathbb{E}\log\frac{\mathrm{ref}(y_w)}"
    r"{\mathrm{ref}(y_l)}-\gamma",
    assumes=r"Eq. (8) with $k=e^{\gamma/\beta}$",
    verdict=CONDITIONALLY,
    because=r"A positive $\gamma$ means a reference that prefers $y_w$ by the factor k on every pair; an SFT model "
    "with one pair ranked wrongly is outside, and the bound can fail there.",
    proof=r"$\mathrm{softplus}(x+\Delta)\le\mathrm{softplus}(x)+\Delta\le\mathrm{SiLU}(x)+\ln 2+\Delta$ where "
    r"$\Delta\ge 0$.",
    instead="sun2025.upper-bound-assumption-free",
)
def upper_bound_constant(evidence: Evidence) -> None:
    """For each pair, hence for the mean; and not for a mis-ranked pair."""

    def bound(case: Case) -> bool:
        return bool(slack(case, "ln 2", 1) >= ROUNDING)

    evidence.fails(bound, at={"x": F(0), "Delta": F(-5)}, control={"x": F(0), "Delta": F(5)})
    evidence.holds(bound, any_gap, given=valid, control=lambda case: bool(slack(case, "W", 1) >= ROUNDING))


@claim(
    "sun2025.upper-bound-assumption-free",
    source="not in the paper; the bound without Eq. (8)",
    says=r"L_{DPO}(\pi;\mathrm{ref})\le L_{SPO}(\pi)+\ln 2+\mathbb{E}\max\Bigl(\beta\log\frac{\mathrm{ref}(y_w)}"
    r"{\mathrm{ref}(y_l)}-\gamma,0\Bigr)",
    verdict=PROVED,
    proof=r"Where $\Delta<0$, $\mathrm{softplus}(x+\Delta)<\mathrm{softplus}(x)\le\mathrm{SiLU}(x)+\ln 2$.",
)
def upper_bound_assumption_free(evidence: Evidence) -> None:
    """For every reference and every gamma."""
    evidence.holds(
        lambda case: bool(slack(case, "ln 2", 1, positive_part=True) >= ROUNDING),
        any_gap,
        control=lambda case: bool(slack(case, "ln 2", 1) >= ROUNDING),
    )


@claim(
    "sun2025.best-constant",
    source="not in the paper; the least constant for one pair",
    says=r"B(\Delta)=\sup_x[\mathrm{softplus}(x+\Delta)-\mathrm{SiLU}(x)],\quad B(0)=\ln 2,\quad "
    r"W<B(\Delta)-\Delta\le\ln 2,\quad\lim_{\Delta\to\infty}B(\Delta)-\Delta=W",
    verdict=PROVED,
    because="B is 0.7456, 1.0022, 1.4010, 2.3188, 5.2803, 20.2785 at 0.1, 0.5, 1, 2, 5, 20.",
    proof=r"$B(\Delta)-\Delta=\sup_x[\log(e^{-\Delta}+e^x)-x\sigma(x)]$ falls with $\Delta$, down to "
    r"$\sup_x x\sigma(-x)=W$.",
)
def best_constant(evidence: Evidence) -> None:
    """The closed stationarity condition against the bound at random x, and the two ends."""

    def covers(case: Case, share: float = 1.0) -> bool:
        delta = abs(case["Delta"])
        least = share * pointwise_constant(float(delta))
        at = [F(k, 8) for k in range(-16, 33)] + [case["x"]]
        return all(-float(slack({"x": x, "Delta": delta})) <= least + 1e-12 for x in at)

    def falls(case: Case, step: float = 0.5) -> bool:
        delta = abs(float(case["Delta"]))
        here, there = (pointwise_constant(d) - d for d in (delta, delta + step))
        return W < there + 1e-12 < here + 2e-12 <= math.log(2) + 3e-12 and (there < here or delta > 20)

    def table(third: float = 1.4010) -> bool:
        known = {0.1: 0.7456, 0.5: 1.0022, 1.0: third, 2.0: 2.3188, 5.0: 5.2803, 20.0: 20.2785}
        return all(abs(pointwise_constant(delta) - value) < 5.1e-5 for delta, value in known.items())

    evidence.holds(covers, any_gap, control=lambda case: covers(case, 0.98), worlds=30)
    evidence.holds(falls, any_gap, control=lambda case: falls({**case, "Delta": abs(case["Delta"]) + F(1, 2)}, -0.5))
    evidence.measures(table, control=lambda: table(1.4015), by="six values, to 5e-5")
    evidence.measures(
        lambda: abs(pointwise_constant(40.0) - 40.0 - W) < 1e-12,
        control=lambda: abs(pointwise_constant(10.0) - 10.0 - W) < 1e-12,
        by="B(40) - 40 = W to 1e-12",
    )


@claim(
    "sun2025.optimising-implies",
    source="Abstract; Section 3.2, after Eq. (16); Conclusion",
    says=r"\pi\in\arg\min L_{SPO}\implies\pi\in\arg\min L_{DPO}",
    verdict=FALSE,
    because=r"At the minimiser of SPO, $m=1+W$, the logistic loss is $\ln(1+W)=0.2457$, its slope $-W/(1+W)=-0.2178$; "
    "its infimum is 0. Beyond that margin the two gradients point opposite ways. A bound that is loose by a constant "
    "says nothing about minimisers.",
    instead=("sun2025.what-the-bound-gives", "sun2025.gradients-disagree"),
)
def optimising_implies(evidence: Evidence) -> None:
    """A larger margin has a smaller DPO loss and a larger SPO loss."""

    @precise
    def follows(margins: tuple[F, F]) -> bool:  # a lower SPO loss has a lower DPO loss
        spo, dpo = ([f(-exact(m)) for m in margins] for f in (mp_silu, mp_softplus))
        return not (spo[0] < spo[1] and dpo[0] > dpo[1])

    @precise
    def at_the_floor(factor: int = 1) -> bool:
        w = mp.lambertw(mp.exp(-1)).real
        value, slope = mp_softplus(-1 - w) - mp.log(1 + w), -mp_sigma(-1 - w) + factor * w / (1 + w)
        return max(abs(value), abs(slope)) < mp.mpf(10) ** -37

    evidence.fails(follows, at=(F(5, 4), F(2)), control=(F(5, 4), F(1)))
    evidence.measures(at_the_floor, control=lambda: at_the_floor(2), by="mpmath at 40 digits, to 1e-37", role=ALSO)


@claim(
    "sun2025.gradients-disagree",
    source="not in the paper; where the two losses disagree",
    says=r"\frac{dL_{SPO}}{dm}\cdot\frac{dL_{DPO}}{dm}<0\iff m>1+W",
    assumes=r"one pair, the idealized reference ($\Delta=0$)",
    verdict=PROVED,
    proof=r"The product is $(1-\mathrm{SiLU}(m))\,\sigma(-m)^2$, and $\mathrm{SiLU}(m)>1\iff m>1+W$.",
)
def gradients_disagree(evidence: Evidence) -> None:
    """Signs at rational margins, none of which is the irrational 1 + W."""
    slopes = [sp.lambdify(M, sp.diff(loss, M), "mpmath") for loss in (silu(-M), logistic_loss(M))]

    @precise
    def statement(m: F, shift: int = 0) -> bool:
        product = slopes[0](exact(m)) * slopes[1](exact(m))
        return bool((product < 0) == (exact(m) > 1 + mp.lambertw(mp.exp(-1)).real + shift))

    evidence.holds(statement, any_number, control=lambda m: statement(m, 1))


@claim(
    "sun2025.what-the-bound-gives",
    source="not in the paper; what does follow from the bound at the minimiser of SPO",
    says=r"L_{SPO}(\pi)=-W\implies L_{DPO}(\pi;\mathrm{ref})\le\ln 2-W+C,\qquad\ln 2-W+C<\ln 2\iff C<W",
    assumes=r"Eq. (8) with $k=e^{\gamma/\beta}$; $C=\mathbb{E}\Delta$",
    verdict=PROVED,
    because=r"$\ln 2-W=0.41468$: below the $\ln 2$ of the start only if the reference's log-ratios exceed $\gamma$ by "
    "less than 0.27846 in the mean.",
    proof="Put $L_{SPO}=-W$ into sun2025.upper-bound-constant.",
)
def what_the_bound_gives(evidence: Evidence) -> None:
    """For data sets of pairs at the floor."""

    def guaranteed(deltas: tuple[float, ...], constant: float = math.log(2) - W) -> bool:
        dpo = sum(math.log1p(math.exp(d - FLOOR_MARGIN)) for d in deltas) / len(deltas)
        mean = sum(deltas) / len(deltas)
        return dpo <= constant + mean and (constant + mean < math.log(2)) == (mean < W)

    evidence.holds(guaranteed, any_deltas, control=lambda d: guaranteed(d, 0.2))
    evidence.measures(
        lambda: abs(math.log(2) - W - 0.41468) < 5e-6 and abs(-math.log(FLOOR_PROBABILITY) - 0.24566) < 5e-6,
        control=lambda: abs(math.log(2) - 2 * W - 0.41468) < 5e-6,
        by="0.41468 and the true value 0.24566 at C = 0, to 5e-6",
    )


def any_deltas(source: random.Random) -> tuple[float, ...]:
    """Draw the Deltas of 1 to 5 pairs, all >= 0, often small."""
    scale = source.choice((0.1, 0.5, 5.0))
    return tuple(source.uniform(0, scale) for _ in range(source.randint(1, 5)))


def long_and_short(t: float) -> tuple[float, float]:
    """Return the DPO loss and the SPO loss (Eq. 17) of two tokens at -t against one at -3 t / 4, a flat reference.

    Example:
        >>> [round(value, 6) for value in long_and_short(1000.0)]
        [250.0, -0.0]
    """
    pair = (-t, -0.75 * t, -1.0, -1.0, 2, 1)
    return float(DPO(beta=1.0)(*pair)), float(SelfPO(beta=1.0, gamma=0.0)(*pair))


@claim(
    "sun2025.upper-bound-length-normalised",
    source="Section 3.3, Eq. (17), with the claim of Section 3.2",
    says=r"\exists\,c\ \forall\pi:\ L_{DPO}(\pi;\mathrm{ref})\le L_{SPO}(\pi)+c\qquad\text{with Eq. (17)}",
    verdict=FALSE,
    because=r"The bound holds against a DPO of per-token averages only. Take $|y_w|=2$, $|y_l|=1$, $\log\pi(y_w)=-t$, "
    r"$\log\pi(y_l)=-\frac34t$ and equal reference probabilities: DPO's margin is $-\beta t/4$, that of Eq. (17) "
    r"$+\beta t/4$, and the difference of the losses grows without bound.",
    instead="sun2025.upper-bound-assumption-free",
)
def upper_bound_length_normalised(evidence: Evidence) -> None:
    """No constant will do."""
    t = sp.Symbol("t", positive=True)  # a quarter of the t in print

    def bounded(case: dict[str, float]) -> bool:
        dpo, spo = long_and_short(case["t"])
        return dpo <= spo + case["c"]

    def diverges(margin: sp.Expr = t) -> bool:  # Eq. 17's margin; DPO's is -t
        return bool(sp.limit(logistic_loss(-t) - silu(-margin), t, sp.oo) == sp.oo)

    evidence.fails(bounded, at={"t": 1000.0, "c": 200.0}, control={"t": 1.0, "c": 200.0})
    evidence.proves(diverges, control=lambda: diverges(-t), by="SymPy: the difference tends to oo", role=FAILS)
    evidence.holds(
        lambda x: not bounded({"t": 4 * abs(float(x)) + 4, "c": abs(float(x))}),
        any_number,
        role=FAILS,
        control=lambda x: not bounded({"t": abs(float(x)) + 1, "c": abs(float(x))}),
        worlds=40,
    )


def slack_of_averages(case: dict[str, float], constant: float = math.log(2)) -> float:
    """Return SPO (Eq. 17) + constant + max(Delta, 0) less the DPO of per-token averages, for one pair."""
    beta, gamma, chosen, rejected = case["beta"], case["gamma"], case["chosen"], case["rejected"]
    reference = case["reference"]  # per-token average log-ratio of the reference
    spo = float(SelfPO(beta=beta, gamma=gamma)(3 * chosen, 2 * rejected, chosen_length=3, rejected_length=2))
    dpo = math.log1p(math.exp(-beta * (chosen - rejected - reference)))
    return spo + constant + max(beta * reference - gamma, 0.0) - dpo


def any_averages(source: random.Random) -> dict[str, float]:
    """Draw per-token averages, of the policy for both responses and of the reference for the ratio."""
    chosen, rejected = -source.uniform(0.1, 4), -source.uniform(0.1, 4)
    settings = {"beta": source.uniform(0.5, 3), "gamma": source.uniform(0, 2), "reference": source.uniform(-2, 2)}
    return {**settings, "chosen": chosen, "rejected": rejected}


@claim(
    "sun2025.upper-bound-of-averages",
    source="not in the paper; what Eq. (17) does bound",
    says=r"\mathbb{E}[-\log\sigma(\beta(h-h_{\mathrm{ref}}))]\le L_{SPO}+\ln 2+\mathbb{E}\max(\beta h_{\mathrm{ref}}"
    r"-\gamma,0),\quad h=\frac{\log\pi(y_w)}{|y_w|}-\frac{\log\pi(y_l)}{|y_l|}",
    verdict=PROVED,
    proof="sun2025.upper-bound-assumption-free with per-token averages in the place of the log-probabilities.",
)
def upper_bound_of_averages(evidence: Evidence) -> None:
    """For responses of three and two tokens."""
    evidence.holds(
        lambda case: slack_of_averages(case) >= -1e-12,
        any_averages,
        control=lambda case: slack_of_averages(case, W) >= -1e-12,
    )
