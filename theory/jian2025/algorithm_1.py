"""Algorithm 1 and Eqs. (11), (12): one outer iteration as it is printed, and what is left of it in its limits.

Everything is derived along one parameter t of theta and one f of phi, of which there may be any number; the losses are
arbitrary smooth functions of both. ``inner`` is phi'^(K), which is held fixed where the gradient is taken.
"""

from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, FALSE, FIRST_ORDER, PROVED
from theory.evidence import CONDITIONAL, ORDER
from theory.proof import Named, checked, exp, same, setting
from theory.statement import claims_of

claim = claims_of("jian2025")
LOSSES = {"t": "real", "f": "real", "inner": "real"} | dict.fromkeys(("dpo", "sft", "reg"), "function")
HALF = F(1, 2)


def gradients(t, f, inner, dpo, sft, reg, penalty, gamma):
    """Return the gradients of Eq. (9) by theta and phi as lines 8 to 11 of Algorithm 1 compute them."""
    by_theta = dpo(t, f) + penalty * (sft(t, f) - sft(t, inner)) + gamma * reg(t, f)
    by_phi = dpo(t, f) + penalty * sft(t, f) + gamma * reg(t, f)
    return sp.diff(by_theta, t), sp.diff(by_phi, f)


@claim("algorithm-1-dpo", "Algorithm 1 with lambda = gamma = 0; not stated in the paper", PROVED)
def dpo_limit(t, f, inner, eta, dpo, sft, reg, penalty=0, gamma=0):
    r"""\lambda=\gamma=0\implies(\theta_{t+1},\phi_{t+1})=(\theta_t,\phi_t)-\eta\nabla L_{\mathrm{dpo}};\qquad
    \text{also }\eta_\phi=0\implies\text{DPO on }\theta\text{ alone}

    Assumes: $\eta_\theta=\eta_\phi=\eta$, plain gradient descent
    Proof: Terms (b), (d), (e) drop out of Eqs. (13) and (14), and $\eta_\phi$ does not enter that of $\theta$.
    """
    by_theta, by_phi = gradients(t, f, inner, dpo, sft, reg, penalty, gamma)
    loss = dpo(t, f)
    return same(t - eta * by_theta, t - eta * sp.diff(loss, t)) & same(f - eta * by_phi, f - eta * sp.diff(loss, f))


dpo_limit.derived(symbols=LOSSES, wrong={"penalty": F(1, 10)})


@claim("algorithm-1-no-inner-step", "Algorithm 1 with K = 0; not stated in the paper", PROVED)
def no_inner_step(t, f, penalty, gamma, dpo, sft, reg, moved=0):
    r"""K=0\implies\theta_{t+1}\ \text{does not depend on}\ \lambda

    Proof: $\phi'^{(0)}=\phi$, so that the two halves of term (b) cancel. With an exact $\phi'^{(K)}=\phi_t$ they cancel
    as well.
    """
    inner = sp.Symbol("inner", real=True)
    by_theta = gradients(t, f, inner, dpo, sft, reg, penalty, gamma)[0].subs(inner, f + moved)
    return same(by_theta, sp.diff(dpo(t, f) + gamma * reg(t, f), t))


no_inner_step.derived(symbols={k: v for k, v in LOSSES.items() if k != "inner"}, wrong={"moved": F(1, 10)})


@claim("algorithm-1-gamma", "Algorithm 1, its input; Tables 2 and 3", FALSE)
def inputs_determine_the_step(runs):
    r"""\theta_0,\phi_0,\lambda,\eta_\theta,\eta_\phi,\eta_{\phi'},T,K\ \text{and the data determine}\ \theta_T,\phi_T

    Because: $\gamma$, the weight of $L_{\mathrm{reg}}$ in Eqs. (7) and (9), is not among the inputs, and no table gives
    a value: the regularizer of every experiment is unspecified. Nor are $\beta$ and the reference among them. Two
    responses with log-odds $\theta$ at $\pi_w=2/3$, where $L_{\mathrm{reg}}$ has the slope 4/9.
    """
    first, second = (-HALF + run.gamma * F(4, 9) for run in runs)  # gradients at z = 0 with beta = 1
    return first == second


WITHOUT, WITH = Named(gamma=F(0)), Named(gamma=F(1))
inputs_determine_the_step.false(at=(WITHOUT, WITH), true_at=(WITH, WITH))


@claim("eq-12", "Eq. (12) against lines 12 and 13 of Algorithm 1, carried out one after the other", FIRST_ORDER)
def eq_12(s, t, rate, slope, G, share=1):
    r"""\phi_t-\eta_\phi\nabla_\phi L(\theta_t,\phi_t)=\phi_t-\eta_\phi\nabla_\phi L(\theta_{t+1},\phi_t)

    Assumes: $\nabla_\phi L=G$ is differentiable along the step of $\theta$; both rates proportional to $s$
    Because: Both gradients belong to the old point. A program that updates $\theta$ first and then differentiates again
    is another method, which differs by a term of order $\eta_\theta\eta_\phi$.
    Proof: $s\,(G(\theta-s\nabla_\theta L)-G(\theta))$ has the derivative 0 at $s=0$.
    """
    difference = s * rate * (G(t - s * slope) - share * G(t))
    return same(sp.diff(difference, s).subs(s, 0).doit(), 0)


def one_after_the_other(step):
    """Two responses with log-odds theta + phi = 0, beta = 1, z = 0: the gradient of L_dpo before and after."""
    return 1 / (1 + exp(step.rate / 2)) == HALF


eq_12.derived(
    symbols={"s": "real", "t": "real", "slope": "real", "G": "function"}, role=ORDER, wrong={"share": F(9, 10)}
)
eq_12.false(of=one_after_the_other, at=Named(rate=F(1, 10)), true_at=Named(rate=F(0)))


# --- the weights of the hyperparameter study -----------------------------------------------------------------------


@setting("gamma = 0, DPO trains phi as well; any gradients of L_dpo, of term (b) and of L_sft, lambda > 0")
def dpo_on_both(numbers):
    """One parameter of theta and one of phi."""
    given = {name: numbers.real(name) for name in ("dpo_theta", "gap", "dpo_phi", "sft", "reg")}
    return Named(**given, penalty=numbers.positive("penalty"), gamma=0, trained=1)


@claim("small-lambda", "Appendix C.4: small lambda", CONDITIONALLY)
def small_lambda(c, times=1):
    r"""\lim_{\lambda\to 0}\nabla L=\nabla L_{\mathrm{dpo}},\qquad
    |\nabla_\theta L-\nabla_\theta L_{\mathrm{dpo}}|\le\lambda\,|\text{term (b)}|,\quad
    |\nabla_\phi L-\nabla_\phi L_{\mathrm{dpo}}|\le\lambda\,|\nabla_\phi L_{\mathrm{sft}}|

    Assumes: $\gamma=0$, and DPO trains the backbone $\phi$ as well as the adapter $\theta$
    Because: The paper says that the model then behaves similarly to vanilla DPO. DPO on the adapter leaves the backbone
    where it is; here it moves, at $\lambda=0$ too.
    Proof: The gradient is affine in $\lambda$, with that of the joint DPO at 0.
    """
    gradient = checked(gradient_of_parts, is_the_gradient, gamma="real", **LOSSES)
    by_theta = gradient(c.dpo_theta, c.gap, c.reg, c.penalty, c.gamma)
    by_phi = gradient(c.dpo_phi, c.sft, c.reg, c.penalty, c.gamma)
    close_theta = times * abs(by_theta - c.dpo_theta) <= c.penalty * abs(c.gap)
    return close_theta and times * abs(by_phi - c.trained * c.dpo_phi) <= c.penalty * abs(c.sft)


def gradient_of_parts(dpo, sft, reg, penalty, gamma):
    """Return what Eq. (9) makes of the gradients of its parts; that of ``sft`` is term (b) in theta."""
    return dpo + penalty * sft + gamma * reg


def is_the_gradient(t, f, inner, penalty, gamma, dpo, sft, reg):
    by_theta, by_phi = gradients(t, f, inner, dpo, sft, reg, penalty, gamma)
    of_dpo, of_sft, of_reg = (part(t, f) for part in (dpo, sft, reg))
    gap = sp.diff(of_sft - sft(t, inner), t)
    of_theta = gradient_of_parts(sp.diff(of_dpo, t), gap, sp.diff(of_reg, t), penalty, gamma)
    of_phi = gradient_of_parts(sp.diff(of_dpo, f), sp.diff(of_sft, f), sp.diff(of_reg, f), penalty, gamma)
    return same(by_theta, of_theta) & same(by_phi, of_phi)


def without_penalty(t, f, inner, penalty, dpo, sft, reg, times=1):
    found = [sp.limit(by, penalty, 0) for by in gradients(t, f, inner, dpo, sft, reg, penalty, 0)]
    return same(found[0], times * sp.diff(dpo(t, f), t)) & same(found[1], sp.diff(dpo(t, f), f))


# two responses with log-odds theta + phi = 0, beta = 1, z = 0: the gradient of L_dpo is -1/2 in both blocks
BOTH, ADAPTER = (
    Named(dpo_theta=-HALF, dpo_phi=-HALF, gap=F(0), sft=F(1), reg=F(0), penalty=F(1, 10), gamma=0, trained=trained)
    for trained in (1, 0)
)
small_lambda.false(at=ADAPTER, true_at=BOTH)
small_lambda.proved(over=dpo_on_both, role=CONDITIONAL, wrong={"times": F(11, 10)})
small_lambda.derived(
    of=without_penalty,
    symbols=LOSSES,
    role=CONDITIONAL,
    wrong={"times": F(11, 10)},
    part=r"\lim_{\lambda\to 0}\nabla L=\nabla L_{\mathrm{dpo}}",
)


@claim("large-lambda", "Appendix C.4: lambda too large", PROVED)
def large_lambda(t, f, inner, gamma, dpo, sft, reg, weight=1):
    r"""\lim_{\lambda\to\infty}\frac{\nabla_\phi L}{\lambda}=\nabla_\phi L_{\mathrm{sft}},\qquad
    \lim_{\lambda\to\infty}\frac{\nabla_\theta L}{\lambda}=\nabla_\theta\bigl(L_{\mathrm{sft}}(\theta,\phi)
    -L_{\mathrm{sft}}(\theta,\phi'^{(K)})\bigr)

    Because: The paper says that the optimization can become overly constrained. In the limit the preferences are gone:
    the backbone is trained by SFT alone and the adapter by term (b) alone.
    Proof: The gradients are affine in $\lambda$.
    """
    penalty = sp.Symbol("penalty", positive=True)
    by_theta, by_phi = (sp.expand(g / penalty) for g in gradients(t, f, inner, dpo, sft, reg, penalty, gamma))
    gap = sft(t, f) - weight * sft(t, inner)
    return same(sp.limit(by_theta, penalty, sp.oo), sp.diff(gap, t)) & same(
        sp.limit(by_phi, penalty, sp.oo), sp.diff(sft(t, f), f)
    )


large_lambda.derived(symbols=LOSSES, wrong={"weight": F(9, 10)})
