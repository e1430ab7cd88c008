"""Section 4 and Appendix D, Eqs. (11), (12), (26), (27): DPO from a Gaussian; Proposition 4.1."""

from __future__ import annotations

from fractions import Fraction as F
from math import prod

import sympy as sp

from theory.claim import FALSE, PROVED
from theory.proof import Named, Numbers, exp, log, same, setting, sums_of, touch
from theory.wipf2024.claims import claim
from theory.wipf2024.variance import eq_24_any_dimension, loss_of, profile

THETA_W, THETA_L, REF_W, REF_L, LAMBDA = sp.symbols("theta_w theta_l rho_w rho_l lambda", positive=True)
CONSTANT = LAMBDA * sp.log(REF_L / REF_W)
MARGIN = LAMBDA * sp.log(THETA_W / REF_W) - LAMBDA * sp.log(THETA_L / REF_L)
DPO = sp.log(1 + sp.exp(-MARGIN))
"""-ln sigma(margin) of one tuple, by the definition in Eq. (6)."""


def tuple_of(numbers: Numbers):
    """Return a weight, lambda times the log-ratio of y_l to y_w by the reference and by the policy, and DPO's loss."""
    weight, strength = numbers.real("weight"), numbers.positive("lambda_")
    reference, policy = (strength * numbers.real(f"log_ratio_{name}") for name in ("of_reference", "of_policy"))
    dpo = log(1 + exp(policy - reference))
    touch(reference + dpo)
    return weight, reference, policy, dpo


@sums_of("lambda > 0; any weight, any log-ratios of y_l to y_w")
def tuples(numbers: Numbers) -> Named:
    """Any number of tuples, each with any weight in the expectation."""
    weight, reference, policy, dpo = tuple_of(numbers)
    printed = log(exp(reference) + exp(policy))
    return Named(printed=weight * printed, dpo=weight * dpo, constant=weight * reference)


@claim("eq-12", "Eq. (12)", PROVED)
def eq_12(s, times=1):
    r"""\ell_{\mathrm{DPO}}\equiv\mathbb{E}_{\{y_w,y_l,x\}}\left[\log\left(
    \Bigl[\frac{\pi_{\mathrm{ref}}(y_l)}{\pi_{\mathrm{ref}}(y_w)}\Bigr]^\lambda
    +\Bigl[\frac{\pi_\theta(y_l)}{\pi_\theta(y_w)}\Bigr]^\lambda\right)\right]

    Assumes: $\equiv$ is up to a constant that depends on the reference, as printed
    Proof: The expectation of Eq. (27).
    """
    return s.printed == times * s.dpo + s.constant


eq_12.by_induction(base=tuples["base"], step=tuples["step"], after=tuples["after"], wrong={"times": F(11, 10)})


@claim("proposition-4.1", "Proposition 4.1, with Eqs. (11), (26), (27)", PROVED)
def proposition_4_1(s, times=1):
    r"""\min_{\pi_\theta\in S_\pi,\,\{\gamma(y_w,y_l,x)>0\}}\mathbb{E}\,\bigl[-
    \log\mathcal{N}([\xi_\theta;\xi_{\mathrm{ref}}]\,|\,0,\gamma I)\bigr]\equiv
    \min_{\pi_\theta\in S_\pi}\ell_{\mathrm{DPO}}(\pi_\theta,\pi_{\mathrm{ref}},\lambda),\qquad
    \mu(u)=u^{\lambda/2};\qquad\arg\min_{\gamma>0}-\log\mathcal{N}(v|0,\gamma I)=\frac{v^\top v}{d}

    Assumes: a variance of its own for each ordered tuple, as printed; any constraint set
    Because: With one variance for all tuples it would be another problem (wipf2024.one-variance).
    Proof: Minimise over each $\gamma$ first, for $d=2$: the best is $\frac12v^\top v$. What is left is
    $\ell_{\mathrm{DPO}}+1+\log\pi+\lambda\,\mathbb{E}\log\frac{\pi_{\mathrm{ref}}(y_l)}{\pi_{\mathrm{ref}}(y_w)}$ at
    every policy, so that no constraint can tell the two apart.
    """
    return s.gaussian == times * s.dpo + s.constant


@sums_of("lambda > 0; any weight, any log-ratios of y_l to y_w")
def best_variances(numbers: Numbers) -> Named:
    """Any number of tuples, each at its own best variance, without the constant log(2 pi)."""
    weight, reference, policy, dpo = tuple_of(numbers)
    ln_half = log(F(1, 2) + 0 * reference)
    touch(reference + dpo + ln_half)
    square = exp(reference) + exp(policy)  # of xi_ref = e^(reference / 2) and xi_theta = e^(policy / 2)
    gaussian = loss_of(square / 2, 2, square)
    return Named(gaussian=weight * gaussian, dpo=weight * dpo, constant=weight * (reference + 1 + ln_half))


proposition_4_1.by_induction(
    base=best_variances["base"],
    step=best_variances["step"],
    after=best_variances["after"],
    wrong={"times": F(11, 10)},
)
proposition_4_1.rests_on(
    eq_24_any_dimension, part=r"\arg\min_{\gamma>0}-\log\mathcal{N}(v|0,\gamma I)=\frac{v^\top v}{d}"
)


@claim("one-variance", "not in the paper; Proposition 4.1 with one variance for all tuples", FALSE, "proposition-4.1")
def one_variance(policies):
    r"""\min_{\pi_\theta\in S_\pi,\,\gamma>0}\mathbb{E}\,\bigl[-\log\mathcal{N}([\xi_\theta;\xi_{\mathrm{ref}}]
    \,|\,0,\gamma I)\bigr]\equiv\min_{\pi_\theta\in S_\pi}\ell_{\mathrm{DPO}}(\pi_\theta,\pi_{\mathrm{ref}},\lambda)

    Because: The expectation moves inside the logarithm: $\log\mathbb{E}[v^\top v]$ in place of
    $\mathbb{E}\log(v^\top v)$.
    """
    first, second = ([1 + u for u in policy] for policy in policies)  # v'v, reference ratio 1, lambda = 1
    return (sum(first) < sum(second)) == (prod(first) < prod(second))


one_variance.false(at=((F(1, 4), F(4)), (F(2), F(2))), true_at=((F(1, 4),), (F(2),)))


@claim("only-the-power", "not in the paper; which functions in Eq. (26) give DPO", PROVED)
def only_the_power(c, times=1):
    r"""\log\bigl[\mu(s)^2+\mu(t)^2\bigr]-C(t)=\log\bigl[1+(s/t)^\lambda\bigr]\ \forall s,t>0
    \implies\mu(u)=c\,u^{\lambda/2};\qquad
    \mu(u)=c\,u^{\lambda/2}\implies\log\frac{\mu(s)^2+\mu(t)^2}{\mu(t)^2}=\log\bigl[1+(s/t)^\lambda\bigr]

    Assumes: $\mu>0$; $C$ may depend on the reference, not on the policy
    Proof: At $s=t$: $C(t)=\log\mu(t)^2$. Then $\mu(s)^2=\mu(t)^2(s/t)^\lambda$; take $t=1$.
    """
    at_equal = 2 * c.mu_t**2 == 2 * c.normaliser
    return not at_equal or (c.mu_s**2 + c.mu_t**2 == c.normaliser * (1 + c.power)) == (
        c.mu_s**2 == times * c.mu_t**2 * c.power
    )


@setting("mu(s), mu(t), e^C(t), (s / t)^lambda > 0")
def any_function(numbers: Numbers) -> Named:
    """Every mu and C, by their values at any two ratios."""
    return Named(**{name: numbers.positive(name) for name in ("mu_s", "mu_t", "normaliser", "power")})


def the_power_gives_dpo(s, t, a, c, half=2):
    left = (c**2 * s ** (2 * a / half) + c**2 * t ** (2 * a / half)) / (c * t ** (a / half)) ** 2
    return same(left, 1 + (s / t) ** a)


only_the_power.proved(over=any_function, wrong={"times": F(11, 10)})
only_the_power.derived(
    of=the_power_gives_dpo,
    wrong={"half": F(21, 10)},
    part=r"\mu(u)=c\,u^{\lambda/2}\implies\log\frac{\mu(s)^2+\mu(t)^2}{\mu(t)^2}=\log\bigl[1+(s/t)^\lambda\bigr]",
)


# --- Appendix D ----------------------------------------------------------------------------------------------------


@claim("eq-26", "Eq. (26)", PROVED)
def eq_26(xi, xi_ref, power=2):
    r"""\min_{\gamma>0}-\log\mathcal{N}\bigl([\xi_\theta;\xi_{\mathrm{ref}}]\,|\,0,\gamma I\bigr)\equiv
    \log\left[\mu\Bigl[\frac{\pi_\theta(y_l)}{\pi_\theta(y_w)}\Bigr]^2
    +\mu\Bigl[\frac{\pi_{\mathrm{ref}}(y_l)}{\pi_{\mathrm{ref}}(y_w)}\Bigr]^2\right]

    Assumes: any positive function $\mu$
    Proof: Eq. (25) at $v=(\xi_\theta,\xi_{\mathrm{ref}})$.
    """
    return same(profile(xi**2 + xi_ref**2, 2), sp.log(xi**power + xi_ref**power) + 1 + sp.log(sp.pi))


eq_26.derived(wrong={"power": F(21, 10)})


@claim("eq-27", "Eq. (27)", PROVED)
def eq_27(times=1):
    r"""\log\left[\frac{\pi_\theta(y_l)^\lambda}{\pi_\theta(y_w)^\lambda}+\frac{\pi_{\mathrm{ref}}(y_l)^\lambda}
    {\pi_{\mathrm{ref}}(y_w)^\lambda}\right]=-\log\sigma\Bigl(\lambda\log\frac{\pi_\theta(y_w)}
    {\pi_{\mathrm{ref}}(y_w)}-\lambda\log\frac{\pi_\theta(y_l)}{\pi_{\mathrm{ref}}(y_l)}\Bigr)+C

    Assumes: $C=\lambda\log\frac{\pi_{\mathrm{ref}}(y_l)}{\pi_{\mathrm{ref}}(y_w)}$
    Proof: Take the ratio of the reference out of the bracket; both sides as powers of e.
    """
    left = THETA_L**LAMBDA / THETA_W**LAMBDA + REF_L**LAMBDA / REF_W**LAMBDA
    return same(left, sp.exp(DPO + times * CONSTANT))


eq_27.derived(wrong={"times": F(11, 10)})
