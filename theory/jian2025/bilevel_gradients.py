"""The gradients of Section 3.3 and Appendix A.5: Eqs. (13), (14), (67)-(76), (81)-(85).

Everything is derived along one parameter t of theta or f of phi, of which there may be any number: log pi_w, log pi_l
and L_reg are arbitrary smooth functions of it.
"""

from fractions import Fraction as F

import sympy as sp

from theory.claim import FALSE, MISPRINT, PROVED
from theory.evidence import CORRECTED, FAILS
from theory.jian2025.cases import NEAR, after_inner_step
from theory.jian2025.regularizer import SUM, TWICE, gap_of_two_responses, slope_of_the_gap
from theory.proof import Named, exp, same
from theory.statement import claims_of

claim = claims_of("jian2025")
HALF = F(1, 2)


def dpo(log_w, log_l, beta, reference):
    """Return L_dpo of one pair."""
    return sp.log(1 + sp.exp(-beta * (log_w - log_l - reference)))


def dpo_gradient(log_w, log_l, beta, reference, by, *, sign=-1):
    """Return Eqs. (71) and (82) as printed."""
    urgency = 1 - 1 / (1 + sp.exp(-beta * (log_w - log_l - reference)))
    return -beta * urgency * (sp.diff(log_w, by) + sign * sp.diff(log_l, by))


SMOOTH = {"t": "real", "reference": "real"} | dict.fromkeys(("log_w", "log_l", "reg", "best"), "function")


@claim("eq-71", "Eqs. (68)-(73), (82), (83)", PROVED)
def eq_71(t, beta, reference, log_w, log_l, sign=-1):
    r"""\nabla L_{\mathrm{dpo}}=-\beta(1-\sigma(z))(\nabla\log\pi_w-\nabla\log\pi_l),\qquad
    \nabla L_{\mathrm{sft}}=-\nabla\log\pi_w,\qquad\nabla\in\{\nabla_\theta,\nabla_\phi\}

    Assumes: any differentiable policy; $L_{\mathrm{sft}}=-\log\pi_w$ by definition
    Proof: $\sigma'=\sigma(1-\sigma)$ and the chain rule.
    """
    terms = log_w(t), log_l(t), beta, reference
    return same(sp.diff(dpo(*terms), t), dpo_gradient(*terms, t, sign=sign))


eq_71.derived(symbols={name: SMOOTH[name] for name in ("t", "reference", "log_w", "log_l")}, wrong={"sign": F(-9, 10)})


@claim("eq-13", "Eq. (13); Eq. (67)", PROVED)
def eq_13(t, beta, reference, penalty, gamma, log_w, log_l, reg, best, sign=-1, regularized=1):
    r"""\nabla_\theta L=-\beta(1-\sigma(z))(\nabla_\theta\log\pi_w-\nabla_\theta\log\pi_l)+\gamma\nabla_\theta
    L_{\mathrm{reg}}-\lambda\bigl(\nabla_\theta\log\pi_{\theta,\phi}(y_w)-\nabla_\theta\log\pi_{\theta,\phi^*(\theta)}(y_w)\bigr)

    Assumes: $\phi^*(\theta)$ exists, is unique and exact; the pair's $y_w$ is the SFT datum; $\nabla_\theta
    L_{\mathrm{reg}}$ is Eq. (80); $z$, printed with $\pi_\theta$, means $\pi_{\theta,\phi}$
    Proof: Eqs. (71), (73), and the envelope theorem (jian2025.eq-10): the derivative of $L^*_{\mathrm{sft}}$ is that of
    $-\log\pi_w$ at the fixed $\phi^*(\theta)$.
    """
    terms, best_log_w = (log_w(t), log_l(t), beta, reference), best(t)  # best: log pi_w at the fixed phi*
    loss = dpo(*terms) + penalty * (-log_w(t) + best_log_w) + gamma * reg(t)
    printed = dpo_gradient(*terms, t) + regularized * gamma * reg(t).diff(t)
    return same(sp.diff(loss, t), printed - penalty * (log_w(t).diff(t) + sign * best_log_w.diff(t)))


eq_13.derived(symbols=SMOOTH, wrong={"sign": F(-9, 10)}, lemma="envelope")


@claim("eq-76", "Eq. (76)", MISPRINT, "eq-13")
def eq_76(c):
    r"""\nabla_\theta L=-\beta(1-\sigma(z))(\nabla_\theta\log\pi_w-\nabla_\theta\log\pi_l)
    -\lambda\bigl(\nabla_\theta\log\pi_{\theta,\phi}(y_w)-\nabla_\theta\log\pi_{\theta,\phi^*(\theta)}(y_w)\bigr)

    Because: It combines the terms of Eq. (67) and drops $\gamma\nabla_\theta L_{\mathrm{reg}}$, which Eq. (13) has. Two
    responses with log-odds $\theta$ at $\pi_w=2/3$: $L_{\mathrm{reg}}=2\pi_w-1$ has the slope 4/9.
    """
    return c.gamma * (slope_of_the_gap(c.p, c.theta, c.theta, 0) if c.p > HALF else 0) == 0


LOG_ODDS = {"h": "function"}
RANKED, MISRANKED = (Named(p=p, gamma=F(1), theta=F(1)) for p in (F(2, 3), F(1, 3)))
eq_76.false(at=RANKED, true_at=MISRANKED)
eq_76.derived(of=gap_of_two_responses, symbols=LOG_ODDS, role=FAILS, wrong={"share": F(9, 5)})
eq_76.derived(of=eq_13.predicate, symbols=SMOOTH, role=CORRECTED, wrong={"regularized": F(9, 10)}, lemma="envelope")


@claim("eq-14", "Eq. (14)", PROVED)
def eq_14(t, beta, reference, penalty, gamma, least, log_w, log_l, reg, times=1):
    r"""\nabla_\phi L=-\beta(1-\sigma(z))(\nabla_\phi\log\pi_w-\nabla_\phi\log\pi_l)+\gamma\nabla_\phi
    L_{\mathrm{reg}}-\lambda\nabla_\phi\log\pi_w

    Assumes: $\nabla_\phi L_{\mathrm{reg}}$ is jian2025.eq-84-mixed-hessian; with Eq. (84) in its place the formula is
    wrong wherever $L_{\mathrm{reg}}>0$
    Proof: Eqs. (82), (83); $L^*_{\mathrm{sft}}$ does not depend on $\phi$.
    """
    terms = log_w(t), log_l(t), beta, reference
    loss = dpo(*terms) + penalty * (-log_w(t) - least) + gamma * reg(t)
    printed = dpo_gradient(*terms, t) + gamma * reg(t).diff(t) - times * penalty * log_w(t).diff(t)
    return same(sp.diff(loss, t), printed)


IN_PHI = {name: kind for name, kind in SMOOTH.items() if name != "best"} | {"least": "real"}
eq_14.derived(symbols=IN_PHI, wrong={"times": NEAR})


@claim("eq-81", "Eqs. (81) and (85)", MISPRINT, "eq-14")
def eq_81(c):
    r"""\nabla_\phi L=\nabla_\phi L_{\mathrm{dpo}}+\lambda\nabla_\phi L_{\mathrm{sft}}+\gamma\nabla_\theta
    L_{\mathrm{reg}}

    Because: The last gradient must be in $\phi$, as in Eq. (14). As printed vectors of different lengths are added;
    where the blocks are equally long, the sum is wrong. Two responses with log-odds $\theta+2\phi$ at $\pi_w=2/3$: the
    last gradient is 8/9, not 4/9.
    """
    return slope_of_the_gap(c.p, c.theta, c.theta, 0) == slope_of_the_gap(c.p, c.theta, c.phi, 0)


eq_81.false(at=TWICE, true_at=SUM)
eq_81.derived(of=gap_of_two_responses, symbols=LOG_ODDS, role=FAILS, wrong={"share": F(9, 5)})
eq_81.derived(of=eq_14.predicate, symbols=IN_PHI, role=CORRECTED, wrong={"times": NEAR})


@claim("eq-81-value", "After Eq. (81): L*_sft(theta) is independent of phi", FALSE)
def value_after_one_step(c):
    r"""\nabla_\phi L_{\mathrm{sft}}(\theta,\phi'^{(K)})=0

    Because: It is true of $L^*_{\mathrm{sft}}(\theta)=\min_{\phi'}L_{\mathrm{sft}}(\theta,\phi')$ by definition.
    Algorithm 1 computes $L_{\mathrm{sft}}(\theta,\phi'^{(K)})$ with $\phi'^{(0)}=\phi$ in its place (line 9), which
    depends on $\phi$: with two responses, half of the data each, it is $\log 2$ at $\phi=0$ and larger at $\phi=\log 2$
    after one inner step at the rate 1. Eq. (14) holds if that value is held fixed.
    """
    moved = exp(after_inner_step(c.odds, 1))  # e^phi'^(1)
    return (1 + moved) * (1 + 1 / moved) == 4  # e^(2 L_sft), which is 4 at phi = 0


value_after_one_step.false(at=Named(odds=F(2)), true_at=Named(odds=F(1)))
