"""Section 4, Eq. (8): a preference probability as a function mu of the ratio of probabilities; which mu it can be."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction as F

import sympy as sp

from theory.claim import FALSE, MISPRINT, PROVED, claim
from theory.evidence import ALSO, CORRECTED, Evidence
from theory.wipf2024.logarithms import power
from theory.wipf2024.objectives import BETAS

Mu = Callable[[F], F]


def falling(ratio: F) -> F:
    """Return 1 / (1 + u): with u = pi(y_2) / pi(y_1), the probability that y_1 is preferred."""
    return 1 / (1 + ratio)


def rising(ratio: F) -> F:
    """Return u / (1 + u): with u = pi(y_2) / pi(y_1), the probability that y_1 is NOT preferred."""
    return ratio / (1 + ratio)


@dataclass(frozen=True)
class Ratios:
    """Two pairs of responses, each by its ratio u = pi(y_2) / pi(y_1), and a reference ratio."""

    first: F
    second: F
    reference: F

    def __str__(self) -> str:
        return f"u = {self.first} and {self.second}, reference {self.reference}"


def ratios(source: random.Random) -> Ratios:
    """Draw ratios that are squares, half of them above 1."""
    return Ratios(*(F(source.randint(1, 9), source.randint(1, 9)) ** 2 for _ in range(3)))


TWO_TO_ONE = Ratios(F(1, 2), F(2), F(1))  # pi* = (2/3, 1/3), and the responses exchanged
ONE_TO_FOUR = Ratios(F(1, 4), F(4), F(1))
MU: dict[str, Mu] = {"1/(1+u)": falling, "u/(1+u)": rising}


def preferred(ratio: F) -> F:
    """Return p*(y_1 beats y_2) = pi*(y_1) / (pi*(y_1) + pi*(y_2)) (Eq. 15) for pi*(y_2) / pi*(y_1) = ``ratio``."""
    first, second = F(1), ratio
    return first / (first + second)


@claim(
    "wipf2024.eq-8",
    source="Eq. (8)",
    says=r"p^*(y_1\succ y_2|x)=\mu\Bigl[\frac{\pi^*(y_2|x)}{\pi^*(y_1|x)}\Bigr],\qquad"
    r"\mu:\mathbb{R}\to[0,1]\ \text{increasing}",
    verdict=MISPRINT,
    because=r"By Eq. (15) $\mu(u)=\frac{1}{1+u}$, which falls: the more probable $y_2$, the less is $y_1$ preferred. "
    r"$\pi^*=(\frac23,\frac13)$ asks for $\mu(\frac12)=\frac23$ and $\mu(2)=\frac13$. Either $\mu$ decreases, or the "
    r"ratio is turned over, or the left side is $p^*(y_2\succ y_1|x)$; and $\mu$ is needed on $(0,\infty)$ only.",
    proof=r"$\pi_1/(\pi_1+\pi_2)=1/(1+u)$ with derivative $-1/(1+u)^2$; in $v=1/u$ it is $v/(1+v)$ with derivative "
    "$1/(1+v)^2$.",
)
def eq_8(evidence: Evidence) -> None:
    """The preference falls with the printed ratio; it rises with the ratio turned over."""

    def increasing(c: Ratios, exponent: int) -> bool:  # a larger u^exponent, a larger preference
        a, b = c.first**exponent, c.second**exponent
        return (preferred(c.first) - preferred(c.second)) * (a - b) > 0 or a == b

    printed, turned_over = 1, -1
    evidence.fails(lambda c: increasing(*c), at=(TWO_TO_ONE, printed), control=(TWO_TO_ONE, turned_over))
    evidence.holds(
        lambda c: increasing(c, turned_over), ratios, role=CORRECTED, control=lambda c: increasing(c, printed)
    )
    evidence.holds(
        lambda c: preferred(c.first) == falling(c.first) and 1 - preferred(c.first) == rising(c.first),
        ratios,
        role=CORRECTED,
        control=lambda c: preferred(c.first) == rising(c.first),
    )
    u = sp.Symbol("u", positive=True)

    def falls(mu: sp.Expr) -> bool:
        return bool(sp.diff(mu, u).simplify().is_negative)

    evidence.proves(
        lambda: falls(1 / (1 + u)),
        control=lambda: falls(u / (1 + u)),
        by="SymPy, sign of the derivative",
        role=CORRECTED,
    )


@claim(
    "wipf2024.eq-8-likelihood",
    source="Section 4, the sentence after Eq. (8)",
    says=r"\text{minimising}\ -\log\mu\Bigl[\frac{\pi_\theta(y_l|x)}{\pi_\theta(y_w|x)}\Bigr],\ \mu\ \text{increasing},"
    r"\ \text{raises}\ \frac{\pi_\theta(y_w|x)}{\pi_\theta(y_l|x)}",
    verdict=MISPRINT,
    because=r"With an increasing $\mu$ the loss falls as the ratio grows: it makes the rejected response the more "
    "probable one.",
    proof=r"$-\log\mu$ is decreasing where $\mu$ is increasing, and the other way round.",
)
def eq_8_likelihood(evidence: Evidence) -> None:
    """A smaller share of the rejected response must mean a smaller loss, that is a larger mu."""

    def favours_the_winner(c: Ratios, mu: Mu) -> bool:
        low, high = sorted((c.first, c.second))
        return mu(low) > mu(high) or low == high  # -log mu is then smaller at the smaller ratio

    evidence.fails(
        lambda c: favours_the_winner(c[0], lambda u: power(u, c[1])),
        at=(ONE_TO_FOUR, F(1, 2)),
        control=(ONE_TO_FOUR, F(-1, 2)),
    )
    evidence.holds(
        lambda c: favours_the_winner(c, falling),
        ratios,
        role=CORRECTED,
        control=lambda c: favours_the_winner(c, rising),
    )


def gaussian_factor(mu: Mu, ratio: F, reference: F) -> F:
    """Return e^loss of Eq. (26): mu(u)^2 + mu(u_ref)^2."""
    return mu(ratio) ** 2 + mu(reference) ** 2


@claim(
    "wipf2024.one-function",
    source="Eqs. (8), (9) and (26) together",
    says=r"\text{one}\ \mu\ \text{serves as preference probability in Eq. (8) and in}\ "
    r"\log\bigl[\mu(u_\theta)^2+\mu(u_{\mathrm{ref}})^2\bigr],\ u=\tfrac{\pi(y_l)}{\pi(y_w)},\ \text{favouring}\ y_w",
    verdict=FALSE,
    because=r"Eq. (8) needs a $\mu$ that falls, and with such a $\mu$ the Gaussian loss rewards the rejected "
    "response; the loss needs one that rises, and that is the probability of the opposite preference.",
    instead="wipf2024.dispreference",
)
def one_function(evidence: Evidence) -> None:
    """With mu = 1/(1+u) the loss of Eq. (26) falls as the rejected response gains."""

    def favours_the_winner(c: Ratios, mu: Mu) -> bool:
        low, high = sorted((c.first, c.second))
        return gaussian_factor(mu, low, c.reference) < gaussian_factor(mu, high, c.reference)

    evidence.fails(
        lambda c: favours_the_winner(c[0], MU[c[1]]), at=(TWO_TO_ONE, "1/(1+u)"), control=(TWO_TO_ONE, "u/(1+u)")
    )
    u, c = sp.symbols("u c", positive=True)

    def punishes(mu: sp.Expr) -> bool:  # does the loss rise with the share of the rejected response?
        return bool(sp.factor(sp.diff(sp.log(mu**2 + c**2), u)).is_positive)

    evidence.proves(
        lambda: punishes(u / (1 + u)),
        control=lambda: punishes(1 / (1 + u)),
        by="SymPy, sign of the slope of the loss: right for u/(1+u), wrong for 1/(1+u)",
        role=ALSO,
    )


@claim(
    "wipf2024.dispreference",
    source="not in the paper; the reading of Eq. (8) that fits Eqs. (9) to (12)",
    says=r"p^*(y_2\succ y_1|x)=\mu\Bigl[\frac{\pi^*(y_2|x)}{\pi^*(y_1|x)}\Bigr],\quad\mu(u)=\frac{u}{1+u}:\quad"
    r"\log\bigl[\mu(u_\theta)^2+\mu(u_{\mathrm{ref}})^2\bigr]\ \text{increases with}\ "
    r"u_\theta=\tfrac{\pi_\theta(y_l)}{\pi_\theta(y_w)}",
    verdict=PROVED,
    proof=r"$\mu'(u)=(1+u)^{-2}>0$, and the slope of the loss is $2\mu\mu'/(\mu^2+\mu_{\mathrm{ref}}^2)$.",
)
def dispreference(evidence: Evidence) -> None:
    """The probability that the label is wrong is a score to be made small."""

    def statement(c: Ratios, mu: Mu) -> bool:
        low, high = sorted((c.first, c.second))
        probability = 1 - preferred(c.first) == mu(c.first)
        rises = gaussian_factor(mu, low, c.reference) < gaussian_factor(mu, high, c.reference) or low == high
        return probability and rises

    evidence.holds(lambda c: statement(c, rising), ratios, control=lambda c: statement(c, lambda u: u))
    evidence.holds(lambda c: statement(c, rising), ratios, control=lambda c: statement(c, falling))


# --- the power as a preference probability -------------------------------------------------------------------------


@dataclass(frozen=True)
class Power:
    """A ratio and the exponent lambda / 2."""

    ratio: F
    exponent: F

    @property
    def value(self) -> F:
        """Return mu(u) = u^(lambda/2)."""
        return power(self.ratio, self.exponent)

    @property
    def opposite(self) -> F:
        """Return mu(1/u), for the responses exchanged."""
        return power(1 / self.ratio, self.exponent)

    def __str__(self) -> str:
        return f"u = {self.ratio}, lambda/2 = {self.exponent}"


def powers(source: random.Random) -> Power:
    """Draw a ratio and an exponent such that the power is rational."""
    return Power(F(source.randint(1, 9), source.randint(1, 9)) ** 2, source.choice(BETAS))


@claim(
    "wipf2024.power-is-a-probability",
    source="Eq. (8) with the power of Proposition 4.1",
    says=r"p^*(y_1\succ y_2|x)=\mu\Bigl[\frac{\pi^*(y_2|x)}{\pi^*(y_1|x)}\Bigr],\quad\mu(u)=u^{\lambda/2}\in[0,1]",
    verdict=FALSE,
    because=r"$\mu(4)=4$ at $\lambda=2$. Nor is it a probability after any repair of Eq. (8): the two orders of a "
    r"pair must sum to 1, and $u^a+u^{-a}\ge 2$.",
    instead=("wipf2024.power-is-a-score", "wipf2024.proposition-4.1"),
)
def power_is_a_probability(evidence: Evidence) -> None:
    """Out of range above u = 1; and the two orders never sum to 1."""
    evidence.fails(lambda c: 0 <= c.value <= 1, at=Power(F(4), F(1)), control=Power(F(1, 4), F(1)))
    evidence.holds(
        lambda c: c.value + c.opposite != 1,
        powers,
        role=ALSO,
        control=lambda c: c.value + c.opposite != 2,  # it is 2 where u = 1
    )


@claim(
    "wipf2024.power-is-a-score",
    source="not in the paper; what the power of Proposition 4.1 is",
    says=r"\mu(u)=u^{a}\ \text{increases from}\ 0\ \text{without bound},\quad\mu(u)\,\mu(1/u)=1,\quad"
    r"\mu(u)+\mu(1/u)=2+\bigl(u^{a/2}-u^{-a/2}\bigr)^2\ge 2",
    assumes="$u>0$, $a>0$",
    verdict=PROVED,
    proof="Expand the square. So it is a score of how bad the pair looks, not a probability; Proposition 4.1 needs no "
    "more.",
)
def power_is_a_score(evidence: Evidence) -> None:
    """The identity, and the order of scores."""
    u, a = sp.symbols("u a", positive=True)

    def identity(sign: int) -> bool:
        square = sp.expand((u ** (a / 2) + sign * u ** (-a / 2)) ** 2)
        return sp.simplify(square - (u**a + u**-a - 2)) == 0

    evidence.proves(lambda: identity(-1), control=lambda: identity(1), by="SymPy")
    evidence.holds(
        lambda c: c.value * c.opposite == 1 and c.value + c.opposite >= 2,
        powers,
        control=lambda c: c.value * c.opposite == 1 and c.value + c.opposite > 2,
    )
    evidence.holds(
        lambda c: power(2**2 * c.ratio, c.exponent) > c.value > 0,
        powers,
        control=lambda c: power(2**2 * c.ratio, c.exponent) > 2 * c.value,
    )
