"""A policy class of one parameter that cannot express the reward: DPO learns what the counts of comparisons say."""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import PROVED
from theory.proof import Named, exp, same, setting
from theory.statement import claims_of

claim = claims_of("gopalan2025")


def cross_entropy(p, gap):
    """Return -p log sigma(gap) - (1 - p) log sigma(-gap)."""
    return p * sp.log(1 + sp.exp(-gap)) + (1 - p) * sp.log(1 + sp.exp(gap))


def wins(gap):
    """Return the Bradley-Terry probability of a gap of rewards."""
    return 1 / (1 + sp.exp(-gap))


@claim("proposition-1", "Proposition 1", PROVED)
def proposition_1(p, gap, share=1):
    r"""-p\log\sigma(z)-(1-p)\log\sigma(-z)=\mathrm{KL}\bigl(\mathrm{Bern}(p)\,\|\,\mathrm{Bern}(\sigma(z))\bigr)+H(p)

    Assumes: the population loss of one pair with label probability p; over all pairs with their counts n it is the
    weighted sum
    Because: So DPO projects the true reward on the rewards that the policy class expresses, weighted by the counts.
    Proof: Expand the divergence.
    """
    s = wins(gap)
    kl = p * sp.log(p / s) + (1 - p) * sp.log((1 - p) / (1 - s))
    entropy = -p * sp.log(p) - (1 - p) * sp.log(1 - p)
    return same(cross_entropy(p, gap), kl + share * entropy)


@claim("reversal", "not in the paper; sharpens Proposition 3", PROVED)
def reversal(n_12, n_13, n_23, beta, half=1):
    r"""\pi_\theta\propto(e^\theta,e^{-\theta},1),\
    r^*=(1,2,0):\quad\frac{dL}{d\theta}\Big|_0=\frac\beta2\tanh\tfrac12\Bigl[2n_{12} -n_{13}+n_{23}\frac{\tanh
    1}{\tanh\frac12}\Bigr]<0\iff n_{13}>2n_{12}+1.648\dots\,n_{23}

    Assumes: population loss with counts n of comparisons, uniform reference ($\theta=0$)
    Because: Then DPO raises $a_1$, lowers the best response $a_2$ and lowers the mean reward, for every $\beta$: that
    $\beta$ be large, as the paper has it, is not needed. Reinforcement learning on the same class goes the right way.
    With each response compared, three comparisons suffice: $(a_1,a_3)$ twice and $(a_2,a_3)$ once.
    Proof: The gaps of the class are linear in $\theta$, so L is convex and its minimiser has the sign of $-L'(0)$.
    """
    theta = sp.Symbol("theta", real=True)
    pairs = ((n_12, wins(-1), 2 * theta), (n_13, wins(1), theta), (n_23, wins(2), -theta))
    loss = sum(n * cross_entropy(p, beta * gap) for n, p, gap in pairs)
    small, ratio = sp.tanh(sp.Rational(1, 2)), sp.tanh(1) / sp.tanh(sp.Rational(1, 2))
    slope = beta / 2 * small * (2 * half * n_12 - n_13 + n_23 * ratio)
    return same(sp.diff(loss, theta).subs(theta, 0).rewrite(sp.exp), slope.rewrite(sp.exp))


def is_convex(n, p, beta, k, power=2):
    """Return whether the second derivative of one pair's loss is n (k beta)^2 sigma (1 - sigma) > 0."""
    theta = sp.Symbol("theta", real=True)
    s = wins(beta * k * theta)
    return same(sp.diff(n * cross_entropy(p, beta * k * theta), theta, 2), n * (beta * k) ** power * s * (1 - s))


proposition_1.derived(symbols={"gap": "real"}, wrong={"share": F(11, 10)})
reversal.derived(wrong={"half": F(11, 10)}, lemma="convex")
reversal.derived(of=is_convex, symbols={"k": "real"}, wrong={"power": 3}, also=True)


@claim("reversal-constant", "not in the paper; after Proposition 3", PROVED)
def reversal_constant(low=F(16480, 10000), high=F(16481, 10000)):
    r"""1.6480<\frac{\tanh 1}{\tanh\frac12}<1.6481

    Assumes: natural logarithm's base
    Proof: Interval arithmetic.
    """
    tanh_1, tanh_half = ((exp(F(k)) - 1) / (exp(F(k)) + 1) for k in (2, 1))
    return low * tanh_half < tanh_1 < high * tanh_half


reversal_constant.enclosed(wrong={"low": F(16481, 10000), "high": F(17, 10)})


@setting("x = e^theta > 1, the policy (x, 1/x, 1) / (x + 1/x + 1) against the uniform reference")
def beyond_zero(numbers):
    """Every positive theta."""
    x = 1 + numbers.positive("more")
    total = x + 1 / x + 1
    return Named(first=x / total, best=1 / x / total, x=x)


@claim("reversal-effects", "Proposition 3, the three effects", PROVED)
def reversal_effects(c, share=1):
    r"""\theta>0\ \Rightarrow\ \pi(a_1)>\tfrac13>\pi(a_2),\quad\mathbb{E}_{\pi_\theta}[r^*]<\mathbb{E}_{\pi_0}[r^*]=1

    Assumes: as in gopalan2025.reversal
    Because: All three effects come together, at every $\theta>0$.
    Proof: $\mathbb{E}[r^*]-1=(1/x-1)/(x+1/x+1)$ with $x=e^\theta$.
    """
    return 3 * c.first > 1 > 3 * c.best and c.first + 2 * c.best < share


reversal_effects.proved(over=beyond_zero, wrong={"share": F(9, 10)})
