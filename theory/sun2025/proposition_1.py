"""Proposition 1, Figure 4: SiLU, softplus, and the entropy that is their difference."""

from fractions import Fraction as F
from typing import Any

import sympy as sp

from theory.claim import MISPRINT, PROVED
from theory.evidence import CORRECTED, FAILS
from theory.proof import derivative, exp, log, same, touch, world_of
from theory.sun2025.axis import claim
from theory.sun2025.silu import REAL, M, X, ln_2, sigma, silu, softplus


def gap(x):
    """Return f(x) of Eq. 33."""
    return silu(x) + log(2 + 0 * x) - softplus(x)


def gap_slope(x):
    return x * exp(-x) / (1 + exp(-x)) ** 2


GAP = gap(X)


@claim("proposition-1", "Proposition 1, Eq. (14)", MISPRINT, "proposition-1-mended", "entropy-identity")
def proposition_1(x):
    r"""\mathrm{SiLU}(x)+\ln 2>\mathrm{softplus}(x)\qquad\text{for every }x\in\mathbb{R}

    Because: Both sides are $\ln 2$ at $x=0$, and there alone. The sign must be $\ge$; the paper's proof ends in
    $f(x)\ge 0$. The text at hand is a machine conversion of the paper: if the print has $\ge$, nothing is wrong.
    """
    return silu(x) > log((1 + exp(x)) / 2)  # softplus less ln 2, exact at 0


def false_at_zero(x, at=0):
    return not proposition_1(0 * x + at)


@claim("proposition-1-mended", "proof of Proposition 1, its last line", PROVED)
def mended(x, share=1):
    r"""\mathrm{SiLU}(x)+\ln 2\ge\mathrm{softplus}(x)\quad\text{for every }x\in\mathbb{R},\qquad
    \text{with equality at }x=0\text{ and nowhere else}

    Because: It is proved twice, each time on the whole real line. First by the solver: $e^t$ is a number above all
    tangents of the exponential function, and the statement for every x is one question. Then the paper's way:
    $f(0)=0$ and the slope of f by SymPy, its sign (that of x, so that f falls before 0 and rises after it) by the
    solver. Besides, balls enclose $f>0$ for $1/8\le|x|\le 40$.
    Proof: Let $s=\sigma(x)$. Then $\mathrm{softplus}(x)-\mathrm{SiLU}(x)=s\cdot\ln(1/s)+(1-s)\cdot\ln(1/(1-s))$
    (sun2025.entropy-identity). Since $\ln(t)\le t-1$, with equality at $t=1$ only, $\ln(1/s)\le\ln(2)+1/(2s)-1$ and
    $\ln(1/(1-s))\le\ln(2)+1/(2(1-s))-1$. Multiplied by s and by $1-s$ and added, the right sides make
    $\ln(2)+1/2+1/2-1$. So the difference is at most $\ln(2)$, and equal to it only for $s=1/2$, that is $x=0$.
    """
    touch(x + ln_2(x))
    left, right = silu(x) + share * ln_2(x), softplus(x)
    return left >= right and (left == right) == (x == 0)


def slope(x, power=2):
    return same(sp.diff(GAP, x), x * sp.exp(-x) / (1 + sp.exp(-x)) ** power) & same(GAP.subs(x, 0), 0)


def slope_has_the_sign_of_x(x, at=0):
    f_slope = derivative(gap, gap_slope)(x)
    return (f_slope > 0) == (x > at) and (f_slope < 0) == (x < at)


BY_SLOPE: dict[str, Any] = {"of": slope_has_the_sign_of_x, "over": REAL, "wrong": {"at": F(1, 10)}, "lemma": "monotone"}
mended.proved(over=REAL, wrong={"share": F(99, 100)})
mended.derived(of=slope, symbols={"x": X}, wrong={"power": F(19, 10)}, also=True)
mended.proved(**BY_SLOPE, also=True)
for ends in ((-40, F(-1, 8)), (F(1, 8), 40)):
    mended.enclosed(*ends, of=mended, wrong={"share": F(99, 100)}, also=True)
proposition_1.proved(of=false_at_zero, over=REAL, role=FAILS, wrong={"at": F(1, 10)})
proposition_1.rests_on(mended, role=CORRECTED)


@claim("eq-34", "Eqs. (33) and (34)", PROVED)
def eq_34(u, share=1):
    r"""f(x)=\mathrm{SiLU}(x)+\ln 2-\mathrm{softplus}(x)=-\frac{x}{1+e^x}+\ln 2-\ln(1+e^{-x})

    Proof: $\mathrm{SiLU}(x)=x-x\sigma(-x)$ and $\mathrm{softplus}(x)=x+\ln(1+e^{-x})$.
    """
    x = sp.log(u)
    return same(GAP.subs(X, x), -x / (1 + u) + sp.log(2) - share * sp.log(1 + 1 / u))


eq_34.derived(wrong={"share": F(11, 10)})


@claim("eq-35", "Eq. (35) and the lines after it", PROVED)
def eq_35(limit=1):
    r"""f'(x)=\frac{xe^{-x}}{(1+e^{-x})^2},\quad f(0)=0,\qquad\min f=f(0),\qquad\lim_{x\to\pm\infty}f(x)=\ln 2

    Proof: Differentiate Eq. 34; the slope has the sign of x.
    """
    return same(sp.limit(GAP, X, sp.oo), limit * sp.log(2)) & same(sp.limit(GAP, X, -sp.oo), limit * sp.log(2))


eq_35.derived(wrong={"limit": F(11, 10)})
eq_35.derived(
    of=slope, symbols={"x": X}, wrong={"power": F(19, 10)}, part=r"f'(x)=\frac{xe^{-x}}{(1+e^{-x})^2},\quad f(0)=0"
)
eq_35.proved(**BY_SLOPE, part=r"\min f=f(0)")


@claim("least-constant", "not in the paper; how good Proposition 1 is", PROVED)
def least_constant(n, share=1):
    r"""\min\{c:\ \mathrm{SiLU}(x)+c\ge\mathrm{softplus}(x)\ \text{for every }x\}=\ln 2

    Proof: Proposition 1 for $c\ge\ln 2$; at $x=0$ the inequality fails for anything less.
    """
    x, c = n.x, n.c
    touch(x + ln_2(x))
    enough = c >= share * ln_2(x)
    return silu(x) + c >= softplus(x) if enough else silu(0 * x) + c < softplus(0 * x)


least_constant.proved(over=world_of("any x and c", x="real", c="real"), wrong={"share": F(9, 10)})


@claim("entropy-identity", "not in the paper; what Proposition 1 says", PROVED)
def entropy_identity(u, sign=1):
    r"""\mathrm{softplus}(x)-\mathrm{SiLU}(x)=H(\sigma(x)),\qquad
    \mathrm{SiLU}(-m)=-\log\sigma(m)-H(\sigma(m)),\quad H(p)=-p\log p-(1-p)\log(1-p)

    Because: Self PO's loss is the logistic loss less the entropy of the predicted preference: it rewards doubt.
    Proof: $\log\sigma(x)=x-\mathrm{softplus}(x)$ and $\log\sigma(-x)=-\mathrm{softplus}(x)$ in H.
    """
    x, s = sp.log(u), u / (1 + u)  # s = sigma(x)
    entropy = -s * sp.log(s) - (1 - s) * sp.log(1 / (1 + u))
    return same(softplus(x) - silu(x), sign * entropy) & same(silu(-x), -sp.log(s) - sign * entropy)


entropy_identity.derived(wrong={"sign": F(11, 10)})


@claim("figure-4", "Figure 4 and Section 3.2", PROVED)
def figure_4(x, share=1):
    r"""\mathrm{SiLU}(x)<\mathrm{softplus}(x)

    Because: The difference rises from 0 to $\ln 2$ at $x=0$ and falls back to 0: it is $\ln 2-f$ (sun2025.eq-35).
    Proof: The difference is the entropy of a coin with both sides possible.
    """
    return silu(x) < share * softplus(x)


figure_4.proved(over=REAL, wrong={"share": F(99, 100)})


@claim("expected-loss", "not in the paper; the loss under a label that is right with probability eta", PROVED)
def expected_loss(m, eta, weight=1):
    r"""\eta\,\mathrm{SiLU}(-m)+(1-\eta)\,\mathrm{SiLU}(m)=m\,(\sigma(m)-\eta)

    Proof: $\mathrm{SiLU}(m)-\mathrm{SiLU}(-m)=m$.
    """
    return same(eta * silu(-m) + (1 - eta) * silu(m), m * (sigma(m) - weight * eta))


expected_loss.derived(symbols={"m": M, "eta": "real"}, wrong={"weight": F(11, 10)})
