"""Section 4, Eq. (8): a preference probability as a function mu of the ratio of probabilities; which mu it can be."""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import FALSE, MISPRINT, PROVED
from theory.evidence import CORRECTED, FAILS
from theory.proof import Named, Numbers, power, same, setting
from theory.wipf2024.claims import claim

U = sp.Symbol("u", positive=True)


def falling(ratio):
    """Return 1 / (1 + u): with u = pi(y_2) / pi(y_1), the probability that y_1 is preferred."""
    return 1 / (1 + ratio)


def rising(ratio):
    """Return u / (1 + u): with u = pi(y_2) / pi(y_1), the probability that y_1 is NOT preferred."""
    return ratio / (1 + ratio)


def preferred(ratio):
    """Return p*(y_1 beats y_2) = pi*(y_1) / (pi*(y_1) + pi*(y_2)) (Eq. 15) for pi*(y_2) / pi*(y_1) = ``ratio``."""
    first = F(1)
    return first / (first + ratio)


@setting("0 < low < high; a reference ratio > 0")
def two_ratios(numbers: Numbers) -> Named:
    """Every two ratios u = pi(y_2) / pi(y_1)."""
    low = numbers.positive("low")
    return Named(low=low, high=low + numbers.positive("more"), reference=numbers.positive("reference"))


TWO_TO_ONE = Named(low=F(1, 2), high=F(2), reference=F(1))  # pi* = (2/3, 1/3), and the responses exchanged


@claim("eq-8", "Eq. (8)", MISPRINT, "dispreference")
def eq_8(c):
    r"""p^*(y_1\succ y_2|x)=\mu\Bigl[\frac{\pi^*(y_2|x)}{\pi^*(y_1|x)}\Bigr],\qquad
    \mu:\mathbb{R}\to[0,1]\ \text{increasing}

    Because: By Eq. (15) $\mu(u)=\frac{1}{1+u}$, which falls: the more probable $y_2$, the less is $y_1$ preferred.
    $\pi^*=(\frac23,\frac13)$ asks for $\mu(\frac12)=\frac23$ and $\mu(2)=\frac13$. Either $\mu$ decreases, or the ratio
    is turned over, or the left side is $p^*(y_2\succ y_1|x)$; and $\mu$ is needed on $(0,\infty)$ only.
    Proof: $\pi_1/(\pi_1+\pi_2)=1/(1+u)$ falls; in $v=1/u$ it is $v/(1+v)$, which rises.
    """
    return preferred(c.low) < preferred(c.high)


def turned_over(c, times=1):
    u, v = c.low, 1 / c.low
    of_the_ratio = preferred(u) == times * falling(u) == rising(v)
    return of_the_ratio and 1 - preferred(u) == rising(u) and preferred(c.low) > preferred(c.high)


eq_8.false(at=TWO_TO_ONE, true_at=Named(low=F(2), high=F(1, 2)))
eq_8.proved(
    over=two_ratios,
    of=lambda c, times=1: preferred(c.low) * times > preferred(c.high),
    role=FAILS,
    wrong={"times": F(9, 10)},
)
eq_8.proved(over=two_ratios, of=turned_over, role=CORRECTED, wrong={"times": F(11, 10)})


@claim("eq-8-reference", "Section 4, after Eq. (8), on the reference", PROVED)
def eq_8_reference(chosen, rejected, reference, other, strength=1):
    r"""-\log\mu\Bigl[\frac{\pi_\theta(y_2|x)}{\pi_\theta(y_1|x)}\Bigr]\ \text{is independent of any effect of}\
    \pi_{\mathrm{ref}}

    Assumes: $\mu(u)=\frac1{1+u}$ of Eq. (15)
    Because: No reference occurs in it; but it is DPO with $\lambda=1$ and a reference that is uniform on the pair, so
    that it is regularised all the same, towards that one.
    Proof: $1+\pi_2/\pi_1$ is DPO's $1+\frac{\pi_2\,\mathrm{ref}_1}{\pi_1\,\mathrm{ref}_2}$ where the reference cancels.
    """
    margin = strength * (sp.log(chosen / reference) - sp.log(rejected / reference))
    return same(sp.diff(-sp.log(falling(rejected / chosen)), other), 0) & same(
        -sp.log(falling(rejected / chosen)), sp.log(1 + sp.exp(-margin))
    )


@setting("u = pi(y_2) / pi(y_1) > 0, the same ratio of the reference > 0")
def two_odds(numbers: Numbers) -> Named:
    """Every policy and every reference, by their ratios on a pair."""
    return Named(u=numbers.positive("u"), reference=numbers.positive("reference"))


def only_if_uniform(c, times=1):
    return (1 + c.u == 1 + c.u / c.reference) == (times * c.reference == 1)


eq_8_reference.derived(wrong={"strength": F(11, 10)})
eq_8_reference.proved(over=two_odds, of=only_if_uniform, wrong={"times": F(11, 10)}, also=True)


@claim("eq-8-likelihood", "Section 4, the sentence after Eq. (8)", MISPRINT)
def eq_8_likelihood(c):
    r"""\text{minimising}\ -\log\mu\Bigl[\frac{\pi_\theta(y_l|x)}{\pi_\theta(y_w|x)}\Bigr],\ \mu\ \text{increasing},
    \ \text{raises}\ \frac{\pi_\theta(y_w|x)}{\pi_\theta(y_l|x)}

    Because: With an increasing $\mu$ the loss falls as the ratio grows: it makes the rejected response the more
    probable one.
    Proof: $-\log\mu$ is decreasing where $\mu$ is increasing, and the other way round.
    """
    return c.mu_low > c.mu_high  # a smaller ratio, a smaller loss -log mu


def mu_of(low, high):
    """Name two values of a monotone mu > 0 at ratios u < v."""
    return Named(mu_low=low, mu_high=high)


@setting("0 < mu(u) < mu(v) for u < v")
def increasing(numbers: Numbers) -> Named:
    """Every increasing mu."""
    low = numbers.positive("low")
    return mu_of(low, low + numbers.positive("more"))


@setting("0 < mu(v) < mu(u) for u < v")
def decreasing(numbers: Numbers) -> Named:
    """Every decreasing mu."""
    high = numbers.positive("high")
    return mu_of(high + numbers.positive("more"), high)


eq_8_likelihood.false(at=mu_of(F(1, 2), F(2)), true_at=mu_of(F(2), F(1, 2)))
eq_8_likelihood.proved(
    over=increasing, of=lambda c, least=0: c.mu_high - c.mu_low > least, role=FAILS, wrong={"least": F(1, 10)}
)
eq_8_likelihood.proved(
    over=decreasing, of=lambda c, times=1: c.mu_low > times * c.mu_high, role=CORRECTED, wrong={"times": F(11, 10)}
)


def gaussian_factor(mu, reference):
    """Return e^loss of Eq. (26): mu(u)^2 + mu(u_ref)^2."""
    return mu**2 + reference**2


@claim("one-function", "Eqs. (8), (9) and (26) together", FALSE, "dispreference")
def one_function(c):
    r"""\exists\ \text{one}\ \mu>0\ \text{that serves as preference probability in Eq. (8) and in}\
    \log\bigl[\mu(u_\theta)^2+\mu(u_{\mathrm{ref}})^2\bigr],\ u=\tfrac{\pi(y_l)}{\pi(y_w)},\ \text{favouring}\ y_w

    Because: Eq. (8) needs a $\mu$ that falls, and with such a $\mu$ the Gaussian loss rewards the rejected
    response; the loss needs one that rises, and that is the probability of the opposite preference.
    Proof: Eq. (15) leaves only $\mu(u)=1/(1+u)$ for Eq. (8), which falls; and $\mu^2$ falls with a positive $\mu$.
    """
    return is_preference(c) and favours_the_winner(c)


def is_preference(c):
    return c.mu_low == preferred(c.low) and c.mu_high == preferred(c.high)


def favours_the_winner(c, least=0):
    return gaussian_factor(c.mu_high, c.mu_reference) - gaussian_factor(c.mu_low, c.mu_reference) > least


@setting("0 < low < high; mu > 0 at both and at the reference")
def any_mu(numbers: Numbers) -> Named:
    """Every positive mu, by its values at any two ratios and at the reference."""
    low = numbers.positive("low")
    high = low + numbers.positive("more")
    named = {name: numbers.positive(name) for name in ("mu_low", "mu_high", "mu_reference")}
    return Named(low=low, high=high, **named)


@setting("0 < low < high; mu > 0 a preference probability, as Eq. (8) has it")
def preference_mu(numbers: Numbers) -> Named:
    """The mu of Eq. (8)."""
    low = numbers.positive("low")
    high = low + numbers.positive("more")
    return Named(
        low=low, high=high, mu_low=preferred(low), mu_high=preferred(high), mu_reference=numbers.positive("mu")
    )


one_function.proved(
    over=preference_mu,
    of=lambda c, least=0: not one_function(c) and not favours_the_winner(c, least),
    role=FAILS,
    wrong={"least": F(-1, 10)},
)
one_function.proved(
    over=any_mu, of=lambda c: favours_the_winner(c) == (c.mu_high > c.mu_low), wrong=favours_the_winner, also=True
)


@claim("dispreference", "not in the paper; the reading of Eq. (8) that fits Eqs. (9) to (12)", PROVED)
def dispreference(c, times=1):
    r"""p^*(y_2\succ y_1|x)=\mu\Bigl[\frac{\pi^*(y_2|x)}{\pi^*(y_1|x)}\Bigr],\quad\mu(u)=\frac{u}{1+u}:\quad
    \log\bigl[\mu(u_\theta)^2+\mu(u_{\mathrm{ref}})^2\bigr]\ \text{increases with}\
    u_\theta=\tfrac{\pi_\theta(y_l)}{\pi_\theta(y_w)}

    Because: The probability that the label is wrong is a score to be made small.
    Proof: $\mu$ rises, and so does $\mu^2+\mu_{\mathrm{ref}}^2$ with a positive $\mu$.
    """
    low, high = (gaussian_factor(rising(u), rising(c.reference)) for u in (c.low, c.high))
    return 1 - preferred(c.low) == rising(c.low) and times * low < high


dispreference.proved(over=two_ratios, wrong={"times": F(11, 10)})


# --- the power as a preference probability -------------------------------------------------------------------------


@setting("u > 0, exponent lambda / 2 > 0")
def powers(numbers: Numbers) -> Named:
    """Every ratio and every exponent."""
    u, exponent = numbers.positive("u"), numbers.positive("exponent")
    return power_at(u, power(u, exponent))


def power_at(u, value):
    """Name mu(u) = u^(lambda/2) and mu(1/u), for the responses exchanged."""
    return Named(u=u, value=value, opposite=1 / value)


@claim(
    "power-is-a-probability", "Eq. (8) with the power of Proposition 4.1", FALSE, "power-is-a-score", "proposition-4.1"
)
def power_is_a_probability(c):
    r"""p^*(y_1\succ y_2|x)=\mu\Bigl[\frac{\pi^*(y_2|x)}{\pi^*(y_1|x)}\Bigr],\quad\mu(u)=u^{\lambda/2}\in[0,1]

    Because: $\mu(4)=4$ at $\lambda=2$. Nor is it a probability after any repair of Eq. (8): the two orders of a pair
    must sum to 1, and $u^a+u^{-a}\ge 2$.
    """
    return 0 <= c.value <= 1


def never_sum_to_one(c, least=2):
    return c.value + c.opposite >= least


power_is_a_probability.false(at=power_at(F(4), F(4)), true_at=power_at(F(1, 4), F(1, 4)))
power_is_a_probability.proved(over=powers, of=never_sum_to_one, role=FAILS, wrong={"least": F(21, 10)})


@claim("power-is-a-score", "not in the paper; what the power of Proposition 4.1 is", PROVED)
def power_is_a_score(u, a, sign=-1):
    r"""\mu(u)=u^{a}\ \text{increases},\quad\mu(u)\to 0\ (u\to 0),\quad\mu(u)\to\infty\ (u\to\infty),\quad
    \mu(u)\,\mu(1/u)=1,\quad\mu(u)+\mu(1/u)=2+\bigl(u^{a/2}-u^{-a/2}\bigr)^2\ge 2

    Assumes: $u>0$, $a>0$
    Proof: Expand the square. So it is a score of how bad the pair looks, not a probability; Proposition 4.1 needs no
    more.
    """
    square = (u ** (a / 2) + sign * u ** (-a / 2)) ** 2
    ends = same(sp.limit(u**a, u, 0, "+"), 0) & same(sp.limit(1 / u**a, u, sp.oo), 0)
    return same(u**a + (1 / u) ** a, 2 + sp.expand(square)) & same(u**a * (1 / u) ** a, 1) & ends


@setting("0 < u < v, a > 0")
def two_powers(numbers: Numbers) -> Named:
    """Powers of every two ratios."""
    u, exponent = numbers.positive("u"), numbers.positive("a")
    return Named(low=power(u, exponent), high=power(u + numbers.positive("more"), exponent))


power_is_a_score.derived(wrong={"sign": F(-9, 10)})
power_is_a_score.proved(
    over=two_powers,
    of=lambda c, times=1: c.high > times * c.low,
    wrong={"times": F(11, 10)},
    part=r"\mu(u)=u^{a}\ \text{increases}",
)
