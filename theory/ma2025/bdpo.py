"""Balanced DPO, Eqs. (28) to (30): which labels it can fit, and Proposition 1 on the balance of its two partials."""

from __future__ import annotations

from fractions import Fraction as F
from functools import partial
from typing import Any

import sympy as sp

from theory.claim import PROVED
from theory.ma2025.balanced_losses import turns
from theory.ma2025.covariance import claim
from theory.ma2025.decompositions import FROZEN, LOGS, balanced, bdpo_effective_beta, bdpo_identity, slopes
from theory.ma2025.training import bdpo, push
from theory.proof import Named, exp, log, same, setting, world_of

two_shares = world_of("pi_w, pi_l between 0 and 1", w="share", r="share")


@claim("eq-29", "Eq. (29) and the sentence after it", PROVED)
def eq_29(case: Named, share: Any = F(1, 2)) -> Any:
    r"""\pi_w>\pi_l\implies\lambda_w=\frac{\log\pi_l}{\log\pi_w+\log\pi_l}>\tfrac12

    Proof: Both logarithms are negative and $|\log\pi_l|>|\log\pi_w|$.
    """
    a, b = log(case.w), log(case.r)
    return case.w <= case.r or b / (a + b) > share


eq_29.proved(over=two_shares, wrong={"share": F(11, 20)})


# --- which labels it fits ------------------------------------------------------------------------------------------


@setting(
    "low = beta log ref_l < 0 < high = -beta log ref_w; r = log pi_l / log pi_w > 0, of two policies; any margin F"
)
def margins(numbers: Any) -> Named:
    """Margins (low + r high) / (1 + r) of two policies."""
    low, high, r = -numbers.positive("low"), numbers.positive("high"), numbers.positive("r")
    f, further = ((low + s * high) / (1 + s) for s in (r, r + numbers.positive("more")))
    return Named(low=low, high=high, r=r, f=f, further=further, F=numbers.real("F"))


def takes_what_is_between(case: Named, top: Any = 1) -> Any:
    """Return whether f rises with r, and takes the value F at an r > 0 exactly if F is between the bounds."""
    inside = case.low < case.F and top * case.high > case.F
    rises = case.low < case.f < case.further < case.high
    return rises and (case.f != case.F or inside) and (not inside or (case.F - case.low) / (case.high - case.F) > 0)


def solves(low: Any, high: Any, value: Any, times: int = 1) -> Any:
    """The r at which f has a given value; and r runs from 0 to infinity as pi_w does from 0 to 1."""
    r, p = (value - low) / (high - value), sp.Symbol("p", positive=True)
    of_p = sp.log(1 - p) / sp.log(p)
    ends = same(sp.limit(of_p, p, 0, "+"), 0) & same(sp.limit(1 / of_p, p, 1, "-"), 0)
    return ends & same((low + times * r * high) / (1 + r), value)


def pushes_to_the_label(
    a: Any, b: Any, ref_a: Any, ref_b: Any, p: Any, label: Any, kappa: Any, detach: bool, sign: int = -1
) -> Any:
    """f is (low + r high) / (1 + r), minus that of the exchanged pair, and the push is a multiple of P - sigma(f)."""
    m, n = bdpo(detach)(a, b, ref_a, ref_b), bdpo(detach)(b, a, ref_b, ref_a)
    share = FROZEN[1] / sum(FROZEN) if detach else b / (a + b)
    of_loss = slopes(balanced(a, b, ref_a, ref_b, 1, share), a, b)
    found = same(m.f, (ref_b - b / a * ref_a) / (1 + b / a)) & same(n.f, sign * m.f)
    found &= same(m.of_w, of_loss[0]) & same(m.of_l, of_loss[1])
    pushed = push(label, p, (kappa, m), (1 - kappa, n))
    return found & same(pushed, (label - kappa) * (m.of_w * (1 - p) - m.of_l * p))


@claim("bdpo-labels", "not in the paper; which label probabilities bDPO can fit", PROVED)
def labels(case: Named, times: Any = 1) -> Any:
    r"""\sigma(f)=P\ \text{has a solution}\iff\frac{\mathrm{ref}_l^\beta}{1+\mathrm{ref}_l^\beta}<P<
    \frac{1}{1+\mathrm{ref}_w^\beta}

    Assumes: two responses; beyond the bounds the expected loss pushes one way at every policy, and the policy
    collapses; $\lambda_w$ differentiated or not
    Proof: $f$ rises with $r=\log\pi_l/\log\pi_w$ between the bounds of `ma2025.bdpo-identity`, and r runs from 0 to
    infinity. Exchanging the two responses changes its sign, so that the expected loss is the logistic one in $f$, and
    the push has the sign of $P-\sigma(f)$. Uniform reference, $\beta=1$: $P=0.6$ gives $\pi_1=0.718$, every $P\ge 2/3$
    gives $\pi_1=1$.
    """
    odds = case.P / (1 - case.P)
    between = case.of_l < odds < 1 / case.of_w
    return between == (case.of_l / (1 + case.of_l) < case.P and times / (1 + case.of_w) > case.P)


def rests_at(place: F = F(718, 1000)) -> bool:
    return all(turns(bdpo(detach), F(6, 10), place - F(6, 10000), place + F(6, 10000)) for detach in (False, True))


REFERENCE = "label P; ref_w^beta, ref_l^beta between 0 and 1"
label_and_reference = world_of(REFERENCE, P="share", of_w="share", of_l="share")
labels.proved(over=label_and_reference, wrong={"times": F(9, 10)})
labels.proved(of=takes_what_is_between, over=margins, wrong={"top": F(11, 10)})
labels.derived(of=solves, wrong={"times": F(11, 10)}, lemma="intermediate value")
for detach in (False, True):
    labels.derived(of=partial(pushes_to_the_label, detach=detach), symbols=LOGS, wrong={"sign": F(-9, 10)})
labels.rests_on(bdpo_identity, bdpo_effective_beta)
labels.enclosed(of=rests_at, wrong={"place": F(720, 1000)}, lemma="intermediate value", also=True)


# --- Proposition 1 -------------------------------------------------------------------------------------------------


def ratio(a: Any, b: Any, ref_a: Any, ref_b: Any, beta: Any, detach: bool) -> Any:
    """Return the ratio of both partial derivatives by the probabilities, and the two by their logarithms."""
    share = FROZEN[1] / sum(FROZEN) if detach else b / (a + b)
    of_w, of_l = slopes(balanced(a, b, ref_a, ref_b, beta, share), a, b)
    return (of_w / sp.exp(a)) / (of_l / sp.exp(b)), of_w, of_l


@claim("proposition-1", "Proposition 1, Eq. (30)", PROVED)
def proposition_1(a: Any, b: Any, beta: Any, power: int = 1) -> Any:
    r"""\pi_\theta=\pi_{\mathrm{ref}}\implies\frac{\partial\mathcal L}{\partial\pi_w}\Big/
    \frac{\partial\mathcal L}{\partial\pi_l}=-\frac{\pi_l\log\pi_l}{\pi_w\log\pi_w}

    Assumes: probabilities as free coordinates
    Proof: At the reference $\partial f/\partial\log\pi_w=\beta\lambda_w$ and $\partial
    f/\partial\log\pi_l=-\beta(1-\lambda_w)$.
    """
    ref_a, ref_b = sp.symbols("ref_a ref_b", negative=True)
    found = ratio(a, b, ref_a, ref_b, beta, detach=False)[0].subs({ref_a: a, ref_b: b})
    return same(found, -sp.exp(b - a) * (b / a) ** power)


proposition_1.derived(symbols={"a": "negative", "b": "negative"}, wrong={"power": F(9, 10)})


@claim("proposition-1-everywhere", "not in the paper; Proposition 1 without its premise", PROVED)
def everywhere(a: Any, b: Any, ref_a: Any, ref_b: Any, beta: Any, power: int = 1) -> Any:
    r"""\frac{\partial\mathcal L}{\partial\pi_w}\Big/\frac{\partial\mathcal L}{\partial\pi_l}
    =-\frac{\pi_l\log\pi_l}{\pi_w\log\pi_w}\quad\text{for every }\pi_\theta

    Assumes: probabilities as free coordinates; $\lambda_w$ differentiated or not
    Proof: With $\lambda_w$ differentiated both slopes carry the same factor
    $\log(\mathrm{ref}_w\mathrm{ref}_l)/\log(\pi_w\pi_l)$; with $\lambda_w$ detached it is 1.
    """
    live, *of_live = ratio(a, b, ref_a, ref_b, beta, detach=False)
    detached, *of_detached = ratio(a, b, ref_a, ref_b, beta, detach=True)
    expected, factor = -sp.exp(b - a) * (b / a) ** power, (ref_a + ref_b) / (a + b)
    common = same(of_live[0], factor * of_detached[0]) & same(of_live[1], factor * of_detached[1])
    return common & same(live, expected) & same(detached, expected)


everywhere.derived(symbols=LOGS, wrong={"power": F(9, 10)})  # that of DPO, Eq. (2)


@claim("proposition-1-balance", "Section 5.3, after Proposition 1: compared with Eq. (2), more balanced", PROVED)
def more_balanced(case: Named, least: Any = 0) -> Any:
    r"""\Bigl|\log\frac{\pi_l\log\pi_l}{\pi_w\log\pi_w}\Bigr|<\Bigl|\log\frac{\pi_l}{\pi_w}\Bigr|\quad(\pi_w\ne\pi_l)

    Assumes: $\pi_w+\pi_l\le 1$, as for two responses to one prompt
    Because: It may pass beyond balance: at $\pi_w=0.9,\pi_l=0.1$ the winner's gradient is 2.43 times the loser's,
    where DPO has 1/9.
    Proof: Exchanging the two changes both signs, so let $\pi_w>\pi_l$. With $x=-\log\pi_w$, $y=-\log\pi_l$ the left
    side is $|\log(y/x)-(y-x)|$; it lies above $-(y-x)$, as $y>x$, and below $y-x$ iff $\log(y/x)<2(y-x)$. For
    $x\ge\tfrac12$ that follows from $\log(y/x)<y/x-1$. Else $e^{-y}\le 1-e^{-x}<x$, so that $y>L=\log(1/x)>\log 2$
    and $2y-\log y>2L-\log L\ge L+1>L+2x$.
    """
    size, log_x = case.y - case.x, log(case.x)
    if 2 * case.x < 1:
        log(-log_x)  # log L
    return size <= least or -size < log(case.y) - log_x - size < size


@setting("0 < x = -log pi_w <= y = -log pi_l; pi_w + pi_l <= 1")
def two_probabilities(numbers: Any) -> Named:
    """Two probabilities by their logarithms."""
    x = numbers.positive("x")
    y = x + numbers.at_least("apart", 0)
    numbers.assume(exp(-x) + exp(-y) <= 1)
    return Named(x=x, y=y)


def beyond(told: F = F(243, 100)) -> bool:
    """Return whether the winner's gradient is 2.43 times the loser's, to 0.01."""
    w, r = F(9, 10), F(1, 10)
    return abs(r * log(r) / (w * log(w)) - told) < F(1, 100)


more_balanced.proved(over=two_probabilities, wrong={"least": F(-1, 10)})  # also where they are equal
more_balanced.enclosed(of=beyond, wrong={"told": F(245, 100)}, also=True)
