"""Balanced DPO, Eqs. (28) to (30): which labels it can fit, and Proposition 1 on the balance of its two partials."""

from __future__ import annotations

from fractions import Fraction as F
from functools import partial

import sympy as sp

from theory.claim import PROVED
from theory.ma2025.balanced_losses import turns
from theory.ma2025.covariance import claim
from theory.ma2025.decompositions import FROZEN, LOGS, WORDS, balanced, bdpo_effective_beta, of_logs, slopes
from theory.ma2025.training import bdpo, push
from theory.proof import Named, exp, log, same, setting, world_of

two_shares = world_of("pi_w, pi_l between 0 and 1", w="share", r="share")


@claim("eq-29", "Eq. (29) and the sentence after it", PROVED)
def eq_29(case, share=F(1, 2)):
    r"""\pi_w>\pi_l\implies\lambda_w=\frac{\log\pi_l}{\log\pi_w+\log\pi_l}>\tfrac12

    Proof: Both logarithms are negative and $|\log\pi_l|>|\log\pi_w|$.
    """
    a, b = log(case.w), log(case.r)
    return case.w <= case.r or b / (a + b) > share


eq_29.proved(over=two_shares, wrong={"share": F(11, 20)})


# --- which labels it fits ------------------------------------------------------------------------------------------


def pushes_to_the_label(a, b, ref_a, ref_b, p, label, kappa, detach, sign=-1):
    """f is (low + r high) / (1 + r), minus that of the exchanged pair, and the push is a multiple of P - sigma(f)."""
    m, n = bdpo(detach)(a, b, ref_a, ref_b), bdpo(detach)(b, a, ref_b, ref_a)
    share = FROZEN[1] / sum(FROZEN) if detach else b / (a + b)
    of_loss = slopes(balanced(a, b, ref_a, ref_b, 1, share), a, b)
    found = same(m.f, (ref_b - b / a * ref_a) / (1 + b / a)) & same(n.f, sign * m.f)
    found &= same(m.of_w, of_loss[0]) & same(m.of_l, of_loss[1])
    pushed = push(label, p, (kappa, m), (1 - kappa, n))
    return found & same(pushed, (label - kappa) * (m.of_w * (1 - p) - m.of_l * p))


@claim("bdpo-labels", "not in the paper; which label probabilities bDPO can fit", PROVED)
def labels(c, times=1):
    r"""\sigma(f)=P\ \text{has a solution}\iff\frac{\mathrm{ref}_l^\beta}{1+\mathrm{ref}_l^\beta}<P<
    \frac{1}{1+\mathrm{ref}_w^\beta}

    Assumes: two responses; $\lambda_w$ differentiated or not
    Because: Beyond the bounds the expected loss pushes one way at every policy, and the policy collapses: exchanging
    the two responses changes the sign of $f$, so that the expected loss is the logistic one in $f$, and the push has
    the sign of $P-\sigma(f)$. Uniform reference, $\beta=1$: $P=0.6$ gives $\pi_1=0.718$, every $P\ge 2/3$ gives
    $\pi_1=1$.
    Proof: $f$ takes a value F between the bounds of `ma2025.bdpo-identity`, and no other, where
    $\log\pi_l/\log\pi_w=r=(F-\beta\log\mathrm{ref}_l)/(-\beta\log\mathrm{ref}_w-F)$. Of two responses that ratio is at
    most r for $\pi_w=r/4(1+r)$ and at least r for $\pi_w=1-1/4(1+r)$, for any $r>0$.
    """
    low, high, value = c.beta * c.ref_b, -c.beta * c.ref_a, log(c.P / (1 - c.P))
    fits = exp(low) / (1 + exp(low)) < c.P < times * exp(high) / (1 + exp(high))
    is_value = of_logs(c.a, c.b, c.ref_a, c.ref_b, c.beta) == value
    if value <= low or value >= high:
        return not fits and not is_value
    r = (value - low) / (high - value)
    return fits and r > 0 and is_value == (c.b == r * c.a) and is_reached(c.r)


def is_reached(r):
    """Return whether log(1 - p) / log p is at most r at one p, and at least r at another."""
    p, q = r / (4 * (1 + r)), 1 / (4 * (1 + r))
    return log(1 - p) >= r * log(p) and log(q) <= r * log(1 - q)


def rests_at(place=F(718, 1000)):
    return all(turns(bdpo(detach), F(6, 10), place - F(6, 10000), place + F(6, 10000)) for detach in (False, True))


label_and_policy = world_of(WORDS + "; 0 < P < 1; r > 0", **LOGS, beta="positive", P="share", r="positive")
labels.proved(over=label_and_policy, wrong={"times": F(11, 10)}, lemma="intermediate value")
for detach in (False, True):
    labels.derived(of=partial(pushes_to_the_label, detach=detach), symbols=LOGS, wrong={"sign": F(-9, 10)}, also=True)
labels.rests_on(bdpo_effective_beta, also=True)
labels.enclosed(of=rests_at, wrong={"place": F(720, 1000)}, lemma="intermediate value", also=True)


# --- Proposition 1 -------------------------------------------------------------------------------------------------


def ratio(a, b, ref_a, ref_b, beta, detach):
    """Return the ratio of both partial derivatives by the probabilities, and the two by their logarithms."""
    share = FROZEN[1] / sum(FROZEN) if detach else b / (a + b)
    of_w, of_l = slopes(balanced(a, b, ref_a, ref_b, beta, share), a, b)
    return (of_w / sp.exp(a)) / (of_l / sp.exp(b)), of_w, of_l


@claim("proposition-1", "Proposition 1, Eq. (30)", PROVED)
def proposition_1(a, b, beta, power=1):
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
def everywhere(a, b, ref_a, ref_b, beta, power=1):
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
def more_balanced(case, least=0):
    r"""\Bigl|\log\frac{\pi_l\log\pi_l}{\pi_w\log\pi_w}\Bigr|<\Bigl|\log\frac{\pi_l}{\pi_w}\Bigr|\quad(\pi_w\ne\pi_l)

    Assumes: $\pi_w+\pi_l\le 1$, as for two responses to one prompt
    Because: It may pass beyond balance: at $\pi_w=0.9,\pi_l=0.1$ the winner's gradient is 2.43 times the loser's,
    where DPO has 1/9.
    Proof: With $x=-\log\pi_w$, $y=-\log\pi_l$ the left side is $|\log(y/x)-(y-x)|$. Let $x<y$, else exchange them:
    $\log(y/x)-(y-x)$ lies above $-(y-x)$, and below $y-x$ iff $\log(y/x)<2(y-x)$. For
    $x\ge\tfrac12$ that follows from $\log(y/x)<y/x-1$. Else $e^{-y}\le 1-e^{-x}<x$, so that $y>L=\log(1/x)>\log 2$
    and $2y-\log y>2L-\log L\ge L+1>L+2x$.
    """
    smaller = min(case.x, case.y)
    if 2 * smaller < 1:
        log(-log(smaller))  # log L
    left, right = log(case.y) - log(case.x) - (case.y - case.x), case.y - case.x
    return abs(right) <= least or abs(left) < abs(right)


@setting("x = -log pi_w > 0, y = -log pi_l > 0; pi_w + pi_l <= 1")
def two_probabilities(numbers):
    """Two probabilities by their logarithms."""
    x, y = numbers.positive("x"), numbers.positive("y")
    numbers.assume(exp(-x) + exp(-y) <= 1)
    return Named(x=x, y=y)


def beyond(told: F = F(243, 100)) -> bool:
    """Return whether the winner's gradient is 2.43 times the loser's, to 0.01."""
    w, r = F(9, 10), F(1, 10)
    return abs(r * log(r) / (w * log(w)) - told) < F(1, 100)


more_balanced.proved(over=two_probabilities, wrong={"least": F(-1, 10)})  # also where they are equal
more_balanced.enclosed(of=beyond, wrong={"told": F(245, 100)}, also=True)
