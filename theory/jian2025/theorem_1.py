"""Theorem 1: the change of both probabilities in one step, what is left of it in finite steps, and under AdamW."""

from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, FALSE, FIRST_ORDER, MISPRINT, PROVED
from theory.evidence import CONDITIONAL, CORRECTED, ORDER
from theory.jian2025.cases import BOTH_FALL, BOTH_RISE, STEP, curved_step, ladder
from theory.jian2025.finite_step import residual
from theory.proof import Named, exp, log, over_responses, same, setting
from theory.statement import claims_of
from theory.worlds import World, dot

claim = claims_of("jian2025")
NOTHING_MOVES = World.log_linear([[1], [1], [0]], at=[2])

OPPOSED_SIGNS = World.log_linear([[1, -2], [-2, -3], [1, 5]], at=[1, 1])
"""Gradient descent raises the chosen response, its sign lowers it."""


def exact_in_a_step(w: World) -> bool:
    """Return whether the exact changes in a step of size ln 2 are the first-order ones."""
    return all(w.exact_change(y, 2) == log(2) * w.change(y) for y in (w.chosen, w.rejected))


@claim(
    "theorem-1",
    "Theorem 1, Eqs. (2), (3); Eqs. (29)-(33)",
    FIRST_ORDER,
    "taylor-remainder",
    "negative-drive",
)
def theorem_1(k, sign=-1):
    r"""\Delta_w=\eta\beta(1-\sigma(z))\,\pi_w\bigl(\|g_w\|^2-g_w\cdot g_l\bigr),\quad
    \Delta_l=\eta\beta(1-\sigma(z))\,\pi_l\bigl(g_l\cdot g_w-\|g_l\|^2\bigr)

    Assumes: one pair, plain gradient descent, a differentiable policy with any number of parameters
    Because: An equality only for the derivative at learning rate 0; at finite steps even the signs can differ.
    Proof: Along the step $\log\pi_y$ is a function $L(\eta)$ with $L'(0)=g_y\cdot\beta(1-\sigma(z))(g_w-g_l)$
    (jian2025.eq-27), a sum over the parameters, and $\pi_y=e^L$.
    """
    ww, wl, ll = k.sum(k.g_w**2), k.sum(k.g_w * k.g_l), k.sum(k.g_l**2)
    return along_the_step(k, k.g_w, ww + sign * wl) & along_the_step(k, k.g_l, wl - ll)


ETA, SLOPE, LOG_PI = sp.Symbol("eta"), sp.Symbol("slope"), sp.Function("L")(sp.Symbol("eta"))
SLOPE_OF_PI = sp.diff(sp.exp(LOG_PI), ETA).subs(LOG_PI.diff(ETA), SLOPE)


def along_the_step(k, g, term):
    """Return whether the derivative of pi = e^L, with L' = g . (g_w - g_l) up to a factor, is pi times the term."""
    return same(SLOPE_OF_PI.subs(SLOPE, k.sum(g * (k.g_w - k.g_l))), sp.exp(LOG_PI) * term)


theorem_1.derived(sums=over_responses(g_w="any", g_l="any"), role=ORDER, wrong={"sign": F(-9, 10)})
theorem_1.false(of=exact_in_a_step, at=ladder(1), true_at=NOTHING_MOVES)
theorem_1.slope(residual(BOTH_FALL, (0,), BOTH_FALL.D_w), 2, wrong=residual(BOTH_FALL, (0,), F(-1, 10)), also=True)


@claim("theorem-1-prefactor", "Theorem 1, the line under Eq. (3)", PROVED)
def prefactor_is_positive(case, times=1):
    r"""\eta\beta(1-\sigma(z))\,\pi_\theta(y_l|x)>0

    Assumes: the print says it of $y_l$ only; Eq. (2) needs it of $y_w$ too, and it holds of every response
    Proof: $0<\sigma(z)<1$.
    """
    (eta, beta, pi), z = case
    return eta * beta * (1 - times / (1 + exp(-z))) * pi > 0


PREFACTOR = setting("eta, beta, pi > 0, any z")(
    lambda numbers: ([numbers.positive(name) for name in ("eta", "beta", "pi")], numbers.real("z"))
)
prefactor_is_positive.proved(over=PREFACTOR, wrong={"times": F(11, 10)})


@claim("theorem-1-rejected", "Theorem 1, the line under Eq. (3)", MISPRINT, "theorem-1")
def label_of_eq_3(w):
    r"""\Delta_l=\Delta\pi_\theta(y_w|x)

    Because: Eq. (3) is the change of $\pi(y_l|x)$, as in Eq. (32) and Corollary 1.
    Proof: jian2025.theorem-1, with $y=y_l$.
    """
    return w.D_w == w.p_l * (w.wl - w.ll)


label_of_eq_3.false(at=BOTH_FALL, true_at=World.with_base([2, 1, 1], [[1], [2], [-4]]))  # D_w = D_l = -1/2
label_of_eq_3.proved(
    of=lambda w, times=1: w.D_l == w.p_l * (times * w.wl - w.ll), role=CORRECTED, wrong={"times": F(11, 10)}
)


@claim("theorem-1-sign", "Section 2.2, the text on Figure 1b, Eqs. (2), (3)", CONDITIONALLY, "negative-drive")
def sign_of_a_step(case):
    r"""\mathrm{sign}\,\Delta_w=\mathrm{sign}\bigl(\|g_w\|^2-g_w\cdot g_l\bigr)

    Assumes: a log-linear policy with a negative gradient term; then at every step size
    Because: A positive gradient term is a promise for small steps only. On the ladder at $e^\theta=1/2$ it is positive,
    and a step to $e^\theta=4$ lowers $\pi_w$ from $2/7$ to $4/21$; at $e^\theta=1$ it is 0 and every step lowers it.
    Proof: jian2025.negative-drive.
    """
    w, E = case
    v = w.after(E)
    return (v.p_w > w.p_w) == (w.A_w > 0) and (v.p_w < w.p_w) == (w.A_w < 0)


sign_of_a_step.false(at=(ladder(F(1, 2)), F(8)), true_at=(BOTH_RISE, F(8)))
sign_of_a_step.false(at=(ladder(1), F(2)), true_at=(BOTH_FALL, F(2)))
sign_of_a_step.proved(over=STEP, given=lambda case: case[0].A_w < 0, wrong_given=lambda case: case[0].A_w <= 0)


@claim("negative-drive", "not in the paper; what Theorem 1 says exactly about finite steps", PROVED)
def negative_drive(case, most=0):
    r"""A_y\le 0\ \Rightarrow\ \Delta\pi_y\le 0\ \text{for every step size};\qquad
    \Delta_w<0\Rightarrow\Delta_l<0,\quad \Delta_l>0\Rightarrow\Delta_w>0

    Assumes: a log-linear policy, one pair, any response y; $A_y=g_y\cdot(g_w-g_l)$
    Proof: $\pi_y'=\pi_ye^{sA_y}/Z$ with $Z=\sum_y\pi_ye^{sA_y}\ge\sum_y\pi_y(1+sA_y)=1$, and $\pi_w/\pi_l$ grows by
    $e^{s\|\phi_w-\phi_l\|^2}$.
    """
    w, E = case
    v = w.after(E)
    return (not w.A_w <= most or v.p_w <= w.p_w) and (not w.A_l <= most or v.p_l <= w.p_l)


def sign_table(case, exchanged=False):
    w, E = case
    v = w.after(E)
    a, b = v.p_w - w.p_w, v.p_l - w.p_l
    a, b = (b, a) if exchanged else (a, b)
    return (not a < 0 or b < 0) and (not b > 0 or a > 0)


negative_drive.proved(over=STEP, wrong={"most": F(1, 10)})
negative_drive.proved(
    over=STEP,
    of=lambda c, most=0: not c[0].A_y <= most or c[0].after(c[1]).p_y <= c[0].p_y,
    wrong={"most": F(1, 10)},
    part=r"A_y\le 0\ \Rightarrow\ \Delta\pi_y\le 0\ \text{for every step size}",
)
negative_drive.proved(
    over=STEP,
    of=sign_table,
    wrong={"exchanged": True},
    part=r"\Delta_w<0\Rightarrow\Delta_l<0,\quad \Delta_l>0\Rightarrow\Delta_w>0",
)


@claim(
    "finite-step-margin",
    "not in the paper; the relative improvement of Section 2.3 in a finite step",
    CONDITIONALLY,
    "log-margin",
)
def finite_step_margin(bent):
    r"""\log\frac{\pi_w}{\pi_l}(\theta+\Delta\theta)\ge\log\frac{\pi_w}{\pi_l}(\theta)\quad\text{at every step size}

    Assumes: a log-linear policy
    Because: With log-odds $\theta-\theta^2$ a step of size 2 from $\theta=0$ overshoots to log-odds of $-2$.
    Proof: jian2025.log-margin: for a log-linear policy the log-ratio is linear in the parameters.
    """
    return bent.after >= bent.before


def of_a_log_linear_policy(case, times=1):
    """Odds in the place of log-odds: their order is the same."""
    w, E = case
    v = w.after(E)
    return finite_step_margin(Named(before=times * w.p_w / w.p_l, after=v.p_w / v.p_l))


finite_step_margin.false(at=curved_step(-1, 0, 2), true_at=curved_step(-1, 0, F(1, 2)))
finite_step_margin.proved(over=STEP, of=of_a_log_linear_policy, role=CONDITIONAL, wrong={"times": F(101, 100)})


@claim("theorem-1-adam", "Theorem 1, Eq. (2), for the optimiser of Table 2", FALSE, "preconditioned-margin")
def sign_under_adam(w):
    r"""\text{AdamW: }\ \mathrm{sign}\,\Delta_w=\mathrm{sign}\bigl(\|g_w\|^2-g_w\cdot g_l\bigr)

    Because: The first step of AdamW is along the signs of $g_w-g_l$. With uniform probabilities and features
    $\phi_w=(1,-2)$, $\phi_l=(-2,-3)$, $\phi_o=(1,5)$ the gradient term is $+1$, but
    $g_w\cdot\mathrm{sign}(g_w-g_l)=-1$.
    """
    signs = [F((a > b) - (a < b)) for a, b in zip(w.scores[w.chosen], w.scores[w.rejected], strict=True)]
    return (dot(w.scores[w.chosen], signs) > 0) == (w.A_w > 0)


sign_under_adam.false(at=OPPOSED_SIGNS, true_at=BOTH_FALL)


@claim("preconditioned-margin", "not in the paper; what is left of Theorem 1 under AdamW or RMSprop", PROVED)
def preconditioned_margin(w, cross=2):
    r"""\Delta\theta=s\,P(g_w-g_l),\ P\succeq 0\ \Rightarrow\ D[\log\pi_w-\log\pi_l]=s\,(g_w-g_l)^\top P(g_w-g_l)\ge 0,
    \quad D_w<0\Rightarrow D_l<0

    Assumes: no momentum and no weight decay, so the first step of Adam is included
    Proof: $a^\top Pb$ is an inner product too: with it in the place of $a\cdot b$ the world is one of the same kind.
    """
    return w.A_w - w.A_l == w.ww - cross * w.wl + w.ll >= 0 and (not w.D_w < 0 or w.D_l < 0)


preconditioned_margin.proved(wrong={"cross": F(21, 10)})
