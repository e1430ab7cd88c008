"""Theorem 1 and Corollary 1: the loss of one pair in ratio coordinates, its gradient, and what their ratio means."""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import FALSE, PROVED
from theory.feng2024.ratios import BETA, D1, D2, LOSS, X1, X2, claim
from theory.proof import TABULAR, Named, Numbers, same, setting
from theory.worlds import World


@claim("eq-1", "Eq. (1), its last two lines", PROVED)
def eq_1(times=1):
    r"""-\log\sigma\Bigl(\beta\log x_1-\beta\log x_2\Bigr)=-\log\frac{x_1^\beta}{x_1^\beta+x_2^\beta}

    Assumes: one pair (the second line of print drops the expectation) and x1, x2 > 0
    Proof: $\sigma(\beta\log x_1-\beta\log x_2)=1/(1+(x_2/x_1)^\beta)$.
    """
    return same(sp.log(1 + sp.exp(-(BETA * sp.log(X1) - times * BETA * sp.log(X2)))), LOSS)


eq_1.derived(wrong={"times": F(11, 10)})


@claim("theorem-1", "Theorem 1, Eq. (2); Theorem 2, Eq. (4)", PROVED)
def theorem_1(power=0):
    r"""\frac{\partial L}{\partial x_1}=-\frac{\beta x_2^\beta}{x_1(x_1^\beta+x_2^\beta)},\qquad
    \frac{\partial L}{\partial x_2}=\frac{\beta x_2^{\beta-1}}{x_1^\beta+x_2^\beta}

    Proof: Differentiate $L=\log(x_1^\beta+x_2^\beta)-\beta\log x_1$.
    """
    printed = -BETA * X2**BETA / (X1 * (X1**BETA + X2**BETA)), BETA * X2 ** (BETA - 1 + power) / (X1**BETA + X2**BETA)
    return same(sp.diff(LOSS, X1), printed[0]) & same(sp.diff(LOSS, X2), printed[1])


theorem_1.derived(wrong={"power": F(1, 10)})


@claim("corollary-1", "Corollary 1, Eq. (3)", PROVED)
def corollary_1(power=1):
    r"""\left|\frac{\partial L}{\partial x_1}\Big/\frac{\partial L}{\partial x_2}\right|=\frac{x_2}{x_1}

    Proof: Divide the two lines of Theorem 1; $\beta$ cancels, and the signs are those of feng2024.no-critical-point.
    """
    return same(-D1 / D2, (X2 / X1) ** power)


corollary_1.derived(wrong={"power": F(11, 10)})


@claim("tangential", "not in the paper; what Corollary 1 says of the field", PROVED)
def tangential(c, power=0):
    r"""x_1\frac{\partial L}{\partial x_1}+x_2\frac{\partial L}{\partial x_2}=0,\qquad L(cx_1,cx_2)=L(x_1,x_2)

    Proof: The loss depends on $x_2/x_1$ alone, so it is homogeneous of degree 0; the rest is Euler's identity.
    """
    scaled = LOSS.subs({X1: c * X1, X2: c ** (1 + power) * X2}, simultaneous=True)
    return same(X1 * D1 + X2 * D2, 0) & same(sp.expand_log(scaled, force=True), sp.expand_log(LOSS, force=True))


tangential.derived(wrong={"power": F(1, 10)})


# --- what the ratio compares ---------------------------------------------------------------------------------------


@setting("pi_w, pi_l, ref_w, ref_l > 0, at most 1 together")
def pair(numbers: Numbers) -> Named:
    """Every policy and every reference, seen on one pair."""
    ref_w, pi_w = numbers.between("ref_w", 0, 1), numbers.between("pi_w", 0, 1)
    ref_l, pi_l = numbers.within("ref_l", 0, 1 - ref_w), numbers.within("pi_l", 0, 1 - pi_w)
    numbers.assume(ref_l > 0, pi_l > 0)
    return Named(pi_w=pi_w, pi_l=pi_l, ref_w=ref_w, ref_l=ref_l)


@claim(
    "corollary-1-interpretation",
    "Corollary 1, its wording",
    FALSE,
    "probability-rates",
    "log-rates",
    "softmax-rates",
)
def interpretation(pi):
    r"""\frac{\text{increase of }\pi(y_w)}{\text{decrease of }\pi(y_l)}=\frac{x_2}{x_1}

    Because: $x_2/x_1$ compares the rates of the ratios $\pi/\mathrm{ref}$, not of the probabilities. Along the
    gradient in $(\pi_w,\pi_l)$ the comparison is $\pi_l/\pi_w$ whatever the reference; in a softmax it is another.
    """
    x1, x2 = pi.pi_w / pi.ref_w, pi.pi_l / pi.ref_l
    rate_of_ratios = x2 / x1
    return rate_of_ratios * pi.ref_l / pi.ref_w == x2 / x1  # d pi = ref dx and dL/dpi = dL/dx / ref


def in_softmax(w):
    return w.D_w == -w.D_l  # theta = ref, so that x2 / x1 = 1


UNEQUAL = Named(pi_w=F(1, 5), pi_l=F(2, 5), ref_w=F(1, 10), ref_l=F(2, 5))
EQUAL = Named(pi_w=F(1, 5), pi_l=F(2, 5), ref_w=F(1, 10), ref_l=F(1, 10))
interpretation.false(at=UNEQUAL, true_at=EQUAL)
interpretation.false(
    of=in_softmax, at=World.tabular([F(1, 2), F(1, 5), F(3, 10)]), true_at=World.tabular([F(1, 2), F(1, 2)])
)


@claim("probability-rates", "not in the paper; replaces the wording of Corollary 1", PROVED)
def probability_rates(pi, times=1):
    r"""\left|\frac{\partial L}{\partial\pi_w}\Big/\frac{\partial L}{\partial\pi_l}\right|=\frac{\pi_l}{\pi_w},
    \qquad\text{equal to }\frac{x_2}{x_1}\iff\mathrm{ref}_w=\mathrm{ref}_l

    Assumes: the two probabilities are moved as free coordinates
    Proof: By the chain rule the ratio of Corollary 1 is multiplied by $\mathrm{ref}_l/\mathrm{ref}_w$.
    """
    return interpretation(pi) == (times * pi.ref_w == pi.ref_l)


def by_probability(p, q, r, s, power=1):
    loss = LOSS.subs({X1: p / r, X2: q / s}, simultaneous=True)
    return same(-sp.diff(loss, p) / sp.diff(loss, q), (q / p) ** power)


probability_rates.proved(over=pair, wrong={"times": F(11, 10)})
probability_rates.derived(
    of=by_probability,
    wrong={"power": F(11, 10)},
    part=r"\left|\frac{\partial L}{\partial\pi_w}\Big/\frac{\partial L}{\partial\pi_l}\right|=\frac{\pi_l}{\pi_w}",
)


@claim("log-rates", "not in the paper; replaces the wording of Corollary 1", PROVED)
def log_rates(u, v, r, s, times=1):
    r"""\frac{\partial L}{\partial\log\pi_w}=-\frac{\partial L}{\partial\log\pi_l}

    Assumes: the two log-probabilities are moved as free coordinates
    Proof: $L$ is a function of $\log\pi_w-\log\pi_l$: both move at the same rate.
    """
    loss = LOSS.subs({X1: sp.exp(u) / r, X2: sp.exp(v) / s}, simultaneous=True)
    return same(sp.diff(loss, u), -times * sp.diff(loss, v))


log_rates.derived(symbols={"u": "real", "v": "real"}, wrong={"times": F(11, 10)})


@claim("softmax-rates", "not in the paper; replaces the wording of Corollary 1", PROVED)
def softmax_rates(w, sign=1):
    r"""\frac{d\pi_w}{-d\pi_l}=\frac{\pi_w(1-\pi_w+\pi_l)}{\pi_l(1-\pi_l+\pi_w)}

    Assumes: tabular softmax, gradient flow of the logits
    Proof: The drives are $A_w=1-\pi_w+\pi_l$ and $A_l=-(1-\pi_l+\pi_w)$.
    """
    return w.D_w / -w.D_l == w.p_w * (1 - w.p_w + sign * w.p_l) / (w.p_l * (1 - w.p_l + w.p_w))


softmax_rates.proved(over=TABULAR, wrong={"sign": F(9, 10)})


# --- Appendix A ----------------------------------------------------------------------------------------------------


@claim("eq-5", "Eq. (5), its four lines, and Eq. (6), its two", PROVED)
def eq_5(exponent=-1):
    r"""\frac{\partial L}{\partial x_1}=-\frac{x_1^\beta+x_2^\beta}{x_1^\beta}\Bigl(\frac{\beta x_1^{\beta-1}}
    {x_1^\beta+x_2^\beta}-\frac{\beta x_1^{2\beta-1}}{(x_1^\beta+x_2^\beta)^2}\Bigr)=\dots

    Proof: Every line is the derivative; the steps are the quotient rule, a common denominator and cancelling.
    """
    a, b, twice = X1**BETA, X2**BETA, X1 ** (2 * BETA + exponent)
    first, second = sp.diff(LOSS, X1), sp.diff(LOSS, X2)
    return (
        same(first, -(a + b) / a * (BETA * X1 ** (BETA - 1) / (a + b) - BETA * twice / (a + b) ** 2))
        & same(first, -(BETA * X1 ** (BETA - 1) * (a + b) - BETA * twice) / (a * (a + b)))
        & same(first, -BETA * X1 ** (BETA - 1) * b / (a * (a + b)))
        & same(first, D1)
        & same(second, BETA * X2 ** (BETA - 1) / (a + b))
        & same(second, D2)
    )


eq_5.derived(wrong={"exponent": F(-11, 10)})
