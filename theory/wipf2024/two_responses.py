"""When Proposition 3.1 can not happen: two responses for each prompt, which is the setting of the paper's own proof."""

from __future__ import annotations

import random
from fractions import Fraction as F

import sympy as sp

from theory.claim import PROVED
from theory.proof import Named, Numbers, derivative, exp, log, same, setting
from theory.proof.settings import either
from theory.wipf2024.claims import claim
from theory.wipf2024.objectives import divergence, pair


@claim("two-responses", "not in the paper; Appendix C ends where this begins", PROVED)
def two_responses(c, times=1):
    r"""\arg\min_{p\in\prod_x[a_x,b_x]}\ell_{\mathrm{RLHF}}=\arg\min_{p\in\prod_x[a_x,b_x]}\ell_{\mathrm{DPO}},
    \quad p_x=\mathrm{clip}(p^{**}_x,a_x,b_x),\quad\mathrm{logit}\,p^{**}_x=\mathrm{logit}\,\pi_{\mathrm{ref}}(y_1|x)
    +\tfrac1\lambda\bigl(r^*(y_1,x)-r^*(y_2,x)\bigr)

    Assumes: two responses for each prompt, any $\pi_{\mathrm{ref}}$, $r^*$ and $\lambda>0$, expected loss under
    Bradley-Terry labels, and a constraint that is an interval at each prompt
    Because: So Eq. (7) needs a constraint with a hole at some prompt, a constraint that couples prompts, or a third
    response. The setting of Appendix C, two responses, offers the first two only, and the proof exhibits neither.
    Proof: By the logit of $p=\pi(y_1)$:
    $\ell_{\mathrm{RLHF}}'=\lambda p(1-p)(\mathrm{logit}\,p-\mathrm{logit}\,p^{**})$ and
    $\ell_{\mathrm{DPO}}'=\lambda\bigl[\sigma(\lambda(\mathrm{logit}\,p-\mathrm{logit}\,\pi_{\mathrm{ref}}))
    -\sigma(r_1^*-r_2^*)\bigr]$. Both have the sign of $p-p^{**}$: both losses fall strictly up to $p^{**}$ and rise
    strictly beyond, and both are sums over prompts.
    """
    slope = derivative(*OF_A_PAIR[c.loss])(c.logit, c.strength, c.reference, c.first, c.second)
    beyond = c.strength * (c.logit - c.reference) - times * (c.first - c.second)  # lambda (logit p - logit p**)
    return (slope > 0) == (beyond > 0) and (slope < 0) == (beyond < 0)


def sigmoid(t):
    return exp(t) / (1 + exp(t))


def rlhf(logit, strength, reference, first, second):
    """Return RLHF's loss of two responses by the logit of the policy, that of the reference, and both rewards."""
    p, q = sigmoid(logit), sigmoid(reference)
    return p * (strength * log(p / q) - first) + (1 - p) * (strength * log((1 - p) / (1 - q)) - second)


def slope_of_rlhf(logit, strength, reference, first, second):
    return exp(logit) / (1 + exp(logit)) ** 2 * (strength * (logit - reference) - first + second)


def dpo(logit, strength, reference, first, second):
    """Return DPO's expected loss of two responses with labels by these rewards."""
    margin, wins = strength * (logit - reference), sigmoid(first - second)
    return wins * log(1 + exp(-margin)) + (1 - wins) * log(1 + exp(margin))


def slope_of_dpo(logit, strength, reference, first, second):
    return strength * (sigmoid(strength * (logit - reference)) - sigmoid(first - second))


OF_A_PAIR = {"RLHF": (rlhf, slope_of_rlhf), "DPO": (dpo, slope_of_dpo)}


def logits(loss):
    @setting("logits of the policy and of the reference, both rewards, lambda > 0")
    def of_two(numbers: Numbers) -> Named:
        """Two responses: every policy, reward, reference and lambda."""
        real = {name: numbers.real(name) for name in ("logit", "reference", "first", "second")}
        return Named(loss=loss, strength=numbers.positive("lambda_"), **real)

    return of_two


two_responses.proved(
    over=either("either loss of every policy, reward, reference and lambda", "", {n: logits(n) for n in OF_A_PAIR}),
    wrong={"times": F(11, 10)},
    lemma="monotone",
)


# --- which sets can part the two, with one prompt ------------------------------------------------------------------

P, Q, X = sp.symbols("p q x", positive=True)


def backward(p: sp.Expr, q: sp.Expr) -> sp.Expr:
    """Return KL(pi, pi*) of two responses, which is RLHF."""
    return p * sp.log(p / q) + (1 - p) * sp.log((1 - p) / (1 - q))


@claim("every-constraint-set", "not in the paper; when Proposition 3.1 needs no third response", PROVED)
def every_constraint_set(times=2):
    r"""\Bigl[\forall S:\ \arg\min_{S}\mathrm{KL}(\pi\|\pi^*)=\arg\min_{S}\mathrm{KL}(\pi^*\|\pi)\Bigr]
    \iff\pi^*(y_1|x)=\tfrac12

    Assumes: one prompt, two responses, $\lambda=1$, uniform reference: the setting of Appendix C
    Proof: At $q=\frac12$ both divergences are increasing functions of $|p-\frac12|$: even, with slopes of the sign of
    $p-q$ (wipf2024.two-responses). Otherwise they have the same second derivative $\frac{1}{q(1-q)}$ at $p=q$, but
    third derivatives $-\frac{1-2q}{(q(1-q))^2}$ and twice that: the points level with $q-\varepsilon$ differ, and a
    point between them, together with $q-\varepsilon$, is a set on which the minimisers differ.
    """
    second, third = 1 / (Q * (1 - Q)), -(1 - 2 * Q) / (Q * (1 - Q)) ** 2

    def at_target(loss: sp.Expr, order: int) -> sp.Expr:
        return sp.diff(loss, P, order).subs(P, Q)

    rlhf, dpo = backward(P, Q), backward(Q, P)
    seconds = same(at_target(rlhf, 2), second) & same(at_target(dpo, 2), second)
    return seconds & same(at_target(rlhf, 3), third) & same(at_target(dpo, 3), times * third)


def even_at_one_half(target=F(1, 2)):
    half, q = sp.Rational(1, 2), sp.Rational(target)
    above, below = half + X / 100, half - X / 100  # x / 100 stays below 1/2 at the points that are tried
    return same(backward(above, q), backward(below, q)) & same(backward(q, above), backward(q, below))


def target(source: random.Random) -> F:
    """Draw q = pi*(y_1), not 1/2."""
    return F(source.choice([k for k in range(1, 60) if k != 30]), 60)


def parted_by_two(q, bend=F(3, 2)):
    """Return whether q - e and q + e + bend (1 - 2q) e^2 / (3 q (1 - q)) are ordered in opposite ways.

    To that order the two are level under KL(pi, pi*) at bend = 1, and under KL(pi*, pi) at bend = 2.
    """
    e = min(q, 1 - q) / 20
    one, other = pair(q - e), pair(q + e + bend * (1 - 2 * q) * e**2 / (3 * q * (1 - q)))
    rlhf = divergence(one, pair(q)) - divergence(other, pair(q))
    dpo = divergence(pair(q), one) - divergence(pair(q), other)
    return rlhf.sign() * dpo.sign() == -1


every_constraint_set.derived(wrong={"times": F(21, 10)}, lemma="Taylor")
every_constraint_set.derived(of=even_at_one_half, wrong={"target": F(11, 20)}, lemma="monotone")
every_constraint_set.unrefuted(
    target, of=parted_by_two, wrong={"bend": 2}, also=True, worlds=60, ranges="q = 1/60 to 59/60"
)
