"""The value-function constraint, Eq. (8), and the penalty that replaces it, Eqs. (9) and (66)."""

from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, FALSE, MISPRINT, PROVED
from theory.evidence import CONDITIONAL, CORRECTED, FAILS
from theory.jian2025.cases import NEAR, after_inner_step
from theory.proof import Named, exp, log, same, setting
from theory.statement import ALL_CASES, claims_of

claim = claims_of("jian2025")


@setting("L at a point and at any other phi', both at least L*, which one of them attains")
def losses(numbers):
    """The SFT loss of any policy."""
    least = numbers.real("least")
    return Named(least=least, here=least + numbers.at_least("excess", 0), other=least + numbers.at_least("more", 0))


@claim("eq-8", "Eq. (8)", MISPRINT)
def eq_8(c):
    r"""L_{\mathrm{sft}}(\theta,\phi)-L^*_{\mathrm{sft}}(\theta)<0

    Because: Nothing is below the least value: as printed no point is feasible. With $\le$ the feasible points are the
    minimisers. The sign was read in a machine conversion of the paper, which may have lost a bar under it.
    Proof: By definition of the least value.
    """
    return c.here - c.least < 0


def minimisers_are_feasible(c, tolerance=0):
    feasible = c.here - c.least <= tolerance
    return (not feasible or c.here <= c.other) and (feasible or c.here > c.least)


eq_8.proved(over=losses, of=lambda c: not eq_8(c), role=FAILS, wrong=lambda c: c.here - c.least > 0)
eq_8.proved(over=losses, of=minimisers_are_feasible, role=CORRECTED, wrong={"tolerance": F(1, 10)})


@claim("eq-8-regularizer", "Eq. (8) against Eqs. (7) and (9): its objective", FALSE)
def eq_8_regularizer(c):
    r"""\arg\min L_{\mathrm{dpo}}=\arg\min\,(L_{\mathrm{dpo}}+\gamma L_{\mathrm{reg}})

    Because: Eq. (8) is said to result from Eq. (7) by replacing its constraint. It has lost $\gamma L_{\mathrm{reg}}$
    as well, which is back in Eq. (9). Two responses with log-odds $\theta$, $\beta=1$ and $\gamma=1$: from $\pi_w=1/2$
    to $4/5$ $L_{\mathrm{dpo}}$ falls from 0.69 to 0.22, while $L_{\mathrm{reg}}=2\pi_w-1$ rises from 0 to 0.6.
    """
    even, ahead = log(2), log(F(5, 4))
    return (ahead < even) == (ahead + c.gamma * (2 * F(4, 5) - 1) < even)


eq_8_regularizer.false(at=Named(gamma=F(1)), true_at=Named(gamma=F(3, 4)))


@claim("eq-8-constraint-qualification", "not in the paper; Eq. (8) with <= for <", PROVED)
def eq_8_constraint_qualification(c, tolerance=0):
    r"""L_{\mathrm{sft}}(\theta,\phi)\le L^*_{\mathrm{sft}}(\theta)\implies\nabla_\phi\bigl(L_{\mathrm{sft}}-
    L^*_{\mathrm{sft}}\bigr)(\theta,\phi)=0

    Assumes: a differentiable loss, $\phi$ in the interior of $\Phi$
    Proof: Every feasible point is a minimiser. The gradient of the only constraint vanishes at every feasible point, so
    that neither Slater's condition nor linear independence holds, and multipliers need not exist.
    """
    return not c.here <= c.least + tolerance or c.here <= c.other


eq_8_constraint_qualification.proved(over=losses, wrong={"tolerance": F(1, 10)}, lemma="Fermat")


@setting("L_dpo >= 0 at a minimiser of Eq. (9) and at a feasible point, and L_sft - L* >= 0; lambda > 0")
def penalised(numbers):
    """Any policy, any lambda: the minimiser of Eq. (9) is no worse than any feasible point."""
    dpo, excess, penalty = numbers.at_least("dpo", 0), numbers.at_least("excess", 0), numbers.positive("penalty")
    feasible = dpo + penalty * excess + numbers.at_least("worse", 0)
    return Named(dpo=dpo, excess=excess, feasible=feasible, allowed=feasible / penalty)


@setting("beta, lambda > 0; u = sigma(-beta W) at a log-odds W >= 0 of the example")
def stationary(numbers):
    """The minimiser of Eq. (9): beta u = lambda (sigma(W) - 1/2)."""
    beta, penalty, u = numbers.positive("beta"), numbers.positive("penalty"), numbers.within("u", 0, F(1, 2))
    numbers.assume(u > 0)
    return Named(beta=beta, penalty=penalty, ahead=beta * u / penalty)


@claim("eq-9", "Eqs. (9) and (66): an unconstrained optimization problem", CONDITIONALLY)
def eq_9(c, times=1):
    r"""\arg\min_{\theta,\phi}\ L_{\mathrm{dpo}}+\lambda\,(L_{\mathrm{sft}}-L^*_{\mathrm{sft}})
    =\arg\min_{\theta,\phi}\{L_{\mathrm{dpo}}:L_{\mathrm{sft}}=L^*_{\mathrm{sft}}\}

    Assumes: $\lambda\to\infty$: the excess of the SFT loss is at most $L_{\mathrm{dpo}}/\lambda$ with the value at any
    feasible point, and $L_{\mathrm{dpo}}$ is no larger than there
    Because: Near a feasible point the penalty is flat, while $L_{\mathrm{dpo}}$ has a slope: for no finite $\lambda$ is
    the solution feasible. With two responses, labels half and half and log-odds $W$, Eq. (7) wants $W=0$, where the
    slope is $-\beta/2$ at every $\lambda$, and Eq. (9) has $W\approx 2\beta/\lambda$; at $\beta=1$, $\lambda=2$ it has
    $W=\log 2$.
    Proof: Compare the minimiser with a feasible point. In the example $\beta\sigma(-\beta
    W)=\lambda(\sigma(W)-\frac12)$, so that $0<\sigma(W)-\frac12\le\beta/(2\lambda)$ and
    $W=2\beta/\lambda+O(\lambda^{-2})$.
    """
    return times * c.excess <= c.allowed and c.dpo <= c.feasible


def in_the_example(c):
    """Two responses, labels half and half, beta = 1; Eq. (7) allows odds of 1 alone. L_dpo stands for e^L_dpo."""
    excess = log((1 + c.odds) * (1 + 1 / c.odds) / 4) / 2
    return eq_9(Named(excess=excess, allowed=0, dpo=1 + 1 / c.odds, feasible=2))


def slope_at_the_feasible_point(W, beta, penalty, half=F(1, 2)):
    loss = sp.log(1 + sp.exp(-beta * W)) + penalty * (sp.log(1 + sp.exp(-W)) + sp.log(1 + sp.exp(W))) / 2
    return same(sp.diff(loss, W).subs(W, 0), -half * beta)


def is_stationary(c, penalty=2):
    """Both losses are convex in W, so that this is the minimiser."""
    return 1 / (1 + c.odds) == penalty * (c.odds / (1 + c.odds) - F(1, 2))


def leading_order(W, e, beta, times=2):
    """e = 1 / lambda, W(0) = 0; the derivative of the root of e beta sigma(-beta W) - (sigma(W) - 1/2)."""
    gap = e * beta / (1 + sp.exp(beta * W)) - (1 / (1 + sp.exp(-W)) - sp.Rational(1, 2))
    return same((-sp.diff(gap, e) / sp.diff(gap, W)).subs({W: 0, e: 0}), times * beta)


eq_9.false(of=in_the_example, at=Named(odds=F(2)), true_at=Named(odds=F(1)))
eq_9.evaluated([Named(odds=F(2))], of=is_stationary, meaning=ALL_CASES, role=FAILS, wrong={"penalty": 3})
eq_9.derived(of=slope_at_the_feasible_point, symbols={"W": "real"}, role=FAILS, wrong={"half": F(11, 20)})
eq_9.proved(over=penalised, role=CONDITIONAL, wrong={"times": NEAR})
eq_9.proved(
    over=stationary,
    of=lambda c, share=F(1, 2): 0 < c.ahead <= share * c.beta / c.penalty,
    wrong={"share": F(9, 20)},
    also=True,
)
eq_9.derived(
    of=leading_order,
    symbols={"W": "real", "e": "real"},
    wrong={"times": F(21, 10)},
    lemma="implicit function",
    also=True,
)


@setting("L after a step <= L - eta |g|^2 + l eta^2 |g|^2 / 2, 0 <= eta <= 2 / l")
def descent(numbers):
    """Any number of inner steps so far, and one more of gradient descent on a loss with an l-Lipschitz gradient."""
    start, square, smooth = numbers.real("start"), numbers.at_least("square", 0), numbers.positive("smooth")
    rate = numbers.within("rate", 0, 2 / smooth)
    before = start - numbers.at_least("so_far", 0)
    most = before - rate * square + smooth * rate**2 * square / 2
    return Named(start=start, after=most - numbers.at_least("better", 0))


@claim("eq-9-penalty", "Eq. (9) as Algorithm 1 evaluates it, with phi'^(K) for phi*", CONDITIONALLY)
def eq_9_penalty(c, room=0):
    r"""L_{\mathrm{sft}}(\theta,\phi)-L_{\mathrm{sft}}(\theta,\phi'^{(K)})\ge 0

    Assumes: $\eta_{\phi'}\le 2/\ell$, the gradient of $L_{\mathrm{sft}}$ in $\phi$ is $\ell$-Lipschitz; with the true
    $L^*_{\mathrm{sft}}$ it holds by definition
    Because: With a larger learning rate the inner loop climbs, and the penalty becomes a reward: two responses with
    half of the data each, $\ell=1/4$, at a rate of 16.
    Proof: Descent lemma: a step changes the loss by at most $-\eta(1-\ell\eta/2)\|\nabla\|^2\le 0$.
    """
    return c.after + room <= c.start


def in_an_inner_step(c):
    """Two responses, half of the data each; e^(2 L_sft) in the place of L_sft."""
    start, after = ((1 + odds) * (1 + 1 / odds) for odds in (c.odds, exp(after_inner_step(c.odds, c.rate))))
    return eq_9_penalty(Named(start=start, after=after))


eq_9_penalty.false(of=in_an_inner_step, at=Named(odds=F(2), rate=16), true_at=Named(odds=F(2), rate=8))
eq_9_penalty.proved(over=descent, role=CONDITIONAL, wrong={"room": F(1, 100)}, lemma="Taylor")
