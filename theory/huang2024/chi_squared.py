r"""Chi-PO: the regulariser D + KL, D = 1/2 sum ref (t - 1)^2, t = pi / ref; the reward is beta (t + log t) + const."""

from __future__ import annotations

from fractions import Fraction as F

from theory.claim import PROVED
from theory.proof import Named, log, over_responses, same, setting, sums_of, touch
from theory.statement import claims_of

claim = claims_of("huang2024")
SOURCE = "not read in full; ours, after its bounds"


@claim("coverage", SOURCE, PROVED)
def coverage(y, share=1):
    r"""\mathbb{E}_\pi\Bigl[\frac\pi{\pi_{\mathrm{ref}}}\Bigr]=1+2D_{\chi^2}

    Assumes: any number of responses; $\pi=\pi_{\mathrm{ref}}(1+c)$ with c of mean zero under $\pi_{\mathrm{ref}}$
    Proof: $\sum\pi_{\mathrm{ref}}t^2=1+\sum\pi_{\mathrm{ref}}(t-1)^2$.
    """
    t = 1 + y.c
    return same(y.sum(y.p * t * t), 1 + share * y.sum(y.p * (t - 1) ** 2))


coverage.derived(sums=over_responses(p="probability", c="centred"), wrong={"share": F(11, 10)})


@sums_of("r = pi_ref > 0 and t = pi / pi_ref > 0 of one response")
def responses(numbers):
    """A policy and its reference."""
    r, t = numbers.positive("r"), numbers.positive("t")
    touch(1)
    return Named(r=r, p=r * t, squares=r * t * t, kl=r * t * log(t))


@claim("kl-below-chi-squared", SOURCE, PROVED)
def kl_below_chi_squared(s, times=1):
    r"""\mathrm{KL}(\pi\,\|\,\pi_{\mathrm{ref}})\le 2D_{\chi^2}(\pi\,\|\,\pi_{\mathrm{ref}})

    Assumes: shown as $\sum\pi\log t\le\sum\pi_{\mathrm{ref}}t^2-\sum\pi_{\mathrm{ref}}t$, whose right side is
    $\sum\pi_{\mathrm{ref}}(t-1)^2$ where both sum to 1
    Proof: $\log t\le t-1$, times $\pi$.
    """
    return times * s.kl <= s.squares - s.p


kl_below_chi_squared.by_induction(**responses, wrong={"times": F(11, 10)})


@sums_of("r = pi_ref > 0, any d = t - 1 and any f of one response")
def errors(numbers):
    """A shift of mass and an error of the reward."""
    r, d, f = numbers.positive("r"), numbers.real("d"), numbers.real("f")
    return Named(moved=r * d * f, squares=r * d * d, errors=r * f * f)


@claim("transfer", SOURCE, PROVED)
def transfer(s, times=1):
    r"""\bigl(\mathbb{E}_\pi[f]-\mathbb{E}_{\mathrm{ref}}[f]\bigr)^2\le 2D_{\chi^2}\ \mathbb{E}_{\mathrm{ref}}[f^2]

    Assumes: any f, such as the error of a reward model
    Because: So the chi-squared divergence bounds what an error on the reference can do under the policy. KL has no such
    bound.
    Proof: Cauchy and Schwarz.
    """
    return s.squares >= 0 and s.errors >= 0 and times * s.moved**2 <= s.squares * s.errors


transfer.by_induction(**errors, wrong={"times": F(11, 10)})


@setting("0 < low <= 1 <= high, the least and the largest t; beta (phi(high) - phi(low)) <= R with phi = t + log t")
def extremes(numbers):
    """The least and the largest ratio of policy and reference at the optimum, rewards in an interval of length R."""
    low = numbers.within("low", 0, 1)
    numbers.assume(low > 0)
    high = numbers.at_least("high", 1)
    touch(1)
    range_over_beta = numbers.at_least("R_over_beta", high + log(high) - low - log(low))
    return Named(low=low, high=high, R=range_over_beta)


@claim("density-ratios", SOURCE, PROVED)
def density_ratios(c, room=1):
    r"""e^{-R/\beta}\le\frac\pi{\pi_{\mathrm{ref}}}\le 1+\frac R\beta\quad\text{at the optimum},\qquad r\in[0,R]

    Assumes: $r=\beta(t+\log t)+\mathrm{const}$; the least t is at most 1 and the largest at least 1, since their mean
    is 1
    Because: With KL alone both bounds are exponential, $e^{\pm R/\beta}$.
    Proof: $\phi(t_{\max})\le\phi(t_{\min})+R/\beta\le 1+R/\beta$ and $\log t_{\max}\ge 0$; likewise for the least.
    """
    return c.high <= room + c.R and log(c.low) >= -c.R


density_ratios.proved(over=extremes, wrong={"room": F(9, 10)})
