"""One gradient step decomposed as A K G, and what the two residuals of DPO make of it where there is one context."""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, FIRST_ORDER, PROVED
from theory.evidence import CONDITIONAL, ORDER
from theory.proof import TABULAR, same, with_step
from theory.statement import claims_of
from theory.worlds import World

claim = claims_of("ren2024")
OTHER = 2  # a token that neither response has; all of them are alike


def log_softmax(logits, label):
    """Return log pi(label) of a list of logits."""
    return logits[label] - sp.log(sum(map(sp.exp, logits)))


def slope(a, b, c, loss, theta, eta, label):
    """Return d/d eta of log pi(label) at eta = 0, after theta moves by -eta dL/dtheta; a, b, c are logits of theta."""
    moved = theta - eta * sp.diff(loss(theta), theta)
    logits = [z(moved) for z in (a, b, c)]
    return sp.diff(log_softmax(logits, label), eta).doit().subs(eta, 0).doit()


@claim("proposition-1", "Proposition 1", FIRST_ORDER)
def proposition_1(a, b, c, u, v, w, theta, eta, g, h, k, sign=1):
    r"""\Delta\log\pi(\cdot\mid x_o)=-\eta\,\mathcal{A}\,\mathcal{K}\,\mathcal{G}+O(\eta^2),\qquad
    \mathcal{A}=I-1\pi^\top,\quad\mathcal{K}=\nabla z(x_o)\nabla z(x_u)^\top,\quad\mathcal{G}=\nabla_zL(x_u)

    Assumes: one SGD step on $x_u$; here with three labels and one parameter, with logits that are any functions of
    it (for more of either the same sums have more terms); any loss, of which a step sees the gradient only, so that
    $\mathcal{G}$ are any three numbers
    Because: First order only. The constant in the remainder also hides $|\mathcal{G}|^2$ and the curvature of the
    logits.
    Proof: The derivative of the log-softmax is $\mathcal{A}$; row y of $\mathcal{A}\mathcal{K}\mathcal{G}$ is
    $\langle\nabla\log\pi(y),\nabla L\rangle$.
    """
    z, gradient = [f(theta) for f in (a, b, c)], (g, h, k)
    normaliser = sum(map(sp.exp, z))
    total = sum(of * sp.diff(logit(theta), theta) for of, logit in zip(gradient, (u, v, w), strict=True))
    row = sp.diff(z[1], theta) - sum(sp.exp(x) / normaliser * sp.diff(x, theta) for x in z)

    def tangent(at):  # the loss up to second order in the logits of x_u
        return sum(of * logit(at) for of, logit in zip(gradient, (u, v, w), strict=True))

    return same(slope(a, b, c, tangent, theta, eta, 1), -sign * row * total)


FUNCTIONS = dict.fromkeys("abcuvw", "function") | dict.fromkeys(("theta", "g", "h", "k"), "real")
proposition_1.derived(symbols=FUNCTIONS, role=ORDER, wrong={"sign": F(11, 10)})


@claim("dpo-residuals", "Proposition 1 for DPO, its residuals", PROVED)
def dpo_residuals(beta, reference, share=1):
    r"""\mathcal{G}^\pm=\beta(1-a)\,\bigl(\pi(\cdot\mid\chi^\pm)-y^\pm\bigr)\quad\text{enter as}\quad
    \mathcal{K}^+\mathcal{G}^+-\mathcal{K}^-\mathcal{G}^-,\qquad a=\sigma(\text{margin})

    Assumes: the logits of the two contexts are free of each other; here with three tokens and one position
    Proof: The derivatives of the loss by the logits of either context.
    """
    plus, minus = sp.symbols("x0:3", real=True), sp.symbols("y0:3", real=True)
    margin = beta * (log_softmax(list(plus), 0) - log_softmax(list(minus), 1) - reference)
    loss = sp.log(1 + sp.exp(-margin))
    force = beta / (1 + sp.exp(margin))
    sides = []
    for logits, label, sign in ((plus, 0, 1), (minus, 1, -1)):
        normaliser = sum(map(sp.exp, logits))
        for k in (label, OTHER):
            residual = sp.exp(logits[k]) / normaliser - share * int(k == label)
            sides.append(same(sp.diff(loss, logits[k]), sign * force * residual))
    first, *rest = sides
    for other in rest:
        first = first & other
    return first


dpo_residuals.derived(symbols={"reference": "real"}, wrong={"share": F(9, 10)})


@claim("residuals-cancel", "not read in full; ours, Proposition 1 for DPO at one context", PROVED)
def residuals_cancel(w, times=1):
    r"""\chi^+=\chi^-:\quad\mathcal{G}^+-\mathcal{G}^-\propto y^--y^+,\qquad A_y=\pi_l-\pi_w\ \text{for every
    }y\notin\{y_w,y_l\}

    Assumes: one context (one token, or the first one in which the responses differ), tabular logits
    Because: The two terms in $\pi$ by which a negative gradient squeezes cancel. All responses outside the pair share
    one drive, whatever their probabilities.
    Proof: $(\pi-e_w)-(\pi-e_l)=e_l-e_w$; the rest is the normaliser.
    """
    return w.wy - w.ly == times * (w.p_l - w.p_w)


residuals_cancel.proved(over=TABULAR, wrong={"times": F(11, 10)})


@claim(
    "squeeze-at-one-context",
    "not read in full; ours, the squeezing effect of Appendix E read of a step of DPO at one context",
    CONDITIONALLY,
    "residuals-cancel",
)
def squeeze_at_one_context(case):
    r"""\text{a step of DPO raises the most probable }y\notin\{y_w,y_l\}

    Assumes: $\pi_we^s<\pi_l$, s the size of the step; one context, tabular logits
    Because: With $\pi=(3,1,6)/10$ the most probable response falls at every step size. In language models it can rise
    through contexts that differ and through shared parameters, which one softmax does not have.
    Proof: All other responses are divided by the one normaliser $1+(1-e^{-s})(\pi_we^s-\pi_l)$, so they rise together
    iff $e^s<\pi_l/\pi_w$.
    """
    w, E = case
    return w.after(E).p_y > w.p_y


STEP = with_step(TABULAR)
GREEDY_FALLS = World.tabular([F(3, 10), F(1, 10), F(6, 10)])
squeeze_at_one_context.false(
    at=(GREEDY_FALLS, F(3, 2)), true_at=(World.tabular([F(1, 10), F(3, 10), F(6, 10)]), F(3, 2))
)
squeeze_at_one_context.proved(
    over=STEP,
    role=CONDITIONAL,
    given=lambda case: case[0].p_w * case[1] < case[0].p_l,
    wrong_given=lambda case: case[0].p_w * case[1] < F(11, 10) * case[0].p_l,
)


def falls_otherwise(case, least=1):
    """Return whether the others fall at a step of size s with pi_w e^s > pi_l."""
    w, E = case
    return not w.p_w * E > least * w.p_l or w.after(E).p_y < w.p_y


squeeze_at_one_context.proved(over=STEP, of=falls_otherwise, also=True, wrong={"least": F(9, 10)})
