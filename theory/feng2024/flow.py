"""Limitation 1 in continuous time: the flow runs along circles, and when it reaches x2 = 0."""

from __future__ import annotations

from fractions import Fraction as F

import numpy as np
import sympy as sp
from scipy.integrate import solve_ivp
from scipy.special import beta as euler_beta, betainc

from dynamics import ratio_field, ratio_hitting_time
from dynamics.errors import check_positive
from theory.claim import PROVED
from theory.feng2024.ratios import BETA, D1, D2, X1, X2, Place, claim
from theory.proof import Named, Numbers, derivative, power, same, setting, sqrt
from theory.proof.settings import either
from theory.worlds import World

R2 = X1**2 + X2**2
"""Squared radius, which is conserved."""


def hitting_time(x1: float, x2: float, beta: float) -> float:
    """Return when the gradient flow in ratio coordinates reaches x2 = 0, in closed form; infinite for beta >= 2.

    With R^2 = x1^2 + x2^2, which is conserved, and s = x2^2 / R^2 it is

        R^2 / (2 beta) [s + B(s; 1 - beta / 2, 1 + beta / 2)],   B the incomplete beta function.

    Args:
        x1: start pi(y_w) / ref(y_w), > 0.
        x2: start pi(y_l) / ref(y_l), > 0.
        beta: > 0.

    Returns:
        Time in units of learning rate times steps.

    Raises:
        InvalidArgument: an argument that is no finite number > 0.

    Example:
        >>> [round(hitting_time(1.0, 1.0, beta), 4) for beta in (0.1, 0.5, 1.0, 1.5, 2.0)]
        [10.3683, 2.4875, 1.7854, 2.4006, inf]
    """
    for name, value in (("x1", x1), ("x2", x2), ("beta", beta)):
        check_positive(name, value)
    if beta >= 2:
        return float("inf")
    squared_radius = x1**2 + x2**2
    s = x2**2 / squared_radius
    a, b = 1 - beta / 2, 1 + beta / 2
    return squared_radius / (2 * beta) * (s + float(betainc(a, b, s)) * float(euler_beta(a, b)))


def integrate(x1: float, x2: float, beta: float, times: np.ndarray) -> np.ndarray:
    """Return x1 and x2 along the field, by Runge-Kutta on Eq. 2 alone: no invariant is used."""

    def velocity(_: float, x: np.ndarray) -> np.ndarray:
        return np.array(ratio_field(x[0], x[1], beta))

    return solve_ivp(velocity, (0.0, times[-1]), [x1, x2], t_eval=times, rtol=1e-10, atol=1e-12).y


def rate_of(quantity: sp.Expr) -> sp.Expr:
    """Return d(quantity)/dt along the gradient flow x' = -grad L."""
    return -D1 * sp.diff(quantity, X1) - D2 * sp.diff(quantity, X2)


@claim("conserved-radius", "not in the paper; the trajectories of Figure 1 (b)", PROVED)
def conserved_radius(power=2):
    r"""\frac{d}{dt}\bigl(x_1^2+x_2^2\bigr)=0

    Assumes: gradient flow in the ratios, moved as free coordinates
    Proof: $x\cdot\nabla L=0$ (feng2024.tangential): every trajectory is an arc of a circle.
    """
    return same(rate_of(X1**power + X2**power), 0)


def stays_on_the_circle(power=2):
    x = integrate(1.0, 1.0, 1.0, np.linspace(0.0, 1.5, 7))
    return bool(np.abs((x**power).sum(axis=0) - 2).max() < 1e-7)


conserved_radius.derived(wrong={"power": F(21, 10)})
conserved_radius.numerical(
    of=stays_on_the_circle,
    wrong={"power": 1.99},
    tolerance="Runge-Kutta on Eq. 2 from (1, 1), beta = 1, up to t = 1.5, radius to 1e-7",
    also=True,
)


@claim("winner-ceiling", "not in the paper; what Limitation 1 amounts to from the reference", PROVED)
def winner_ceiling(p, most=2):
    r"""x(0)=(1,1)\implies 1\le x_1(t)=\frac{\pi_w(t)}{\mathrm{ref}_w}\le\sqrt2

    Assumes: gradient flow in the ratios, moved as free coordinates
    Because: Peculiar to these coordinates: in a tabular softmax the same pair can take all of the mass.
    Proof: x2 falls from 1 and stays at 0 at least (feng2024.no-critical-point); feng2024.conserved-radius with $R^2=2$.
    """
    return p.x1 >= 1 and p.x1**2 <= most


@setting("0 <= x2 <= 1, x1 = sqrt(2 - x2^2)")
def from_the_reference(numbers: Numbers) -> Named:
    """Every point of the arc from (1, 1)."""
    x2 = numbers.within("x2", 0, 1)
    return Named(x1=sqrt(2 - x2**2), x2=x2)


def passes(case):
    w, factor = case
    return w.after(factor).p_w > 2 * w.p_w


winner_ceiling.proved(over=from_the_reference, wrong={"most": F(19, 10)}, lemma="monotone")
winner_ceiling.evaluated(
    [(World.tabular([F(1, 10), F(1, 2), F(2, 5)]), 1000)],
    of=passes,
    wrong=lambda case: passes((case[0], 1)),
    also=True,
)


@claim("limitation-1", "Section 3.3.1, Limitation 1", PROVED)
def limitation_1(p, times=1):
    r"""\frac{x_2}{x_1}\to 0,\quad x_2\to 0,\qquad\frac{|\dot x_1|}{|\dot x_2|}\to 0

    Assumes: gradient flow in the ratios, moved as free coordinates
    Because: A statement about one choice of coordinates: in log-probabilities both rates are equal for ever
    (feng2024.log-rates).
    Proof: $u=x_2/x_1$ obeys $\dot u=-F(u)$ with $F(u)=\frac{\beta u^{\beta-1}(1+u^2)^2}{R^2(1+u^\beta)}>0$, so it falls
    to every level above 0; $x_2=Ru/\sqrt{1+u^2}$, and $|\dot x_1|/|\dot x_2|=u$ (Corollary 1).
    """
    u, u_to_beta, squared_radius = p.x2 / p.x1, p.b / p.a, p.x1**2 + p.x2**2
    rate = -p.d2 / p.x1 - p.x2 * derivative(inverse, its_slope)(p.x1) * p.d1  # of u, where x' = -grad L
    falls = rate == -times * p.beta * u_to_beta / u * (1 + u**2) ** 2 / (squared_radius * (1 + u_to_beta)) < 0
    return falls and p.x2**2 * (1 + u**2) == squared_radius * u**2 and abs(p.d1) == u * abs(p.d2)


def inverse(x):
    return 1 / x


def its_slope(x):
    return -1 / x**2


@setting("x1, beta, x1^beta, u, u^beta > 0; x2 = u x1")
def by_slope(numbers: Numbers) -> Place:
    """Every point of every arc, by its slope u = x2 / x1."""
    x1, beta, a, u, u_to_beta = (numbers.positive(name) for name in ("x1", "beta", "a", "u", "u_to_beta"))
    return Place(x1=x1, x2=u * x1, beta=beta, a=a, b=a * u_to_beta)


limitation_1.proved(over=by_slope, wrong={"times": F(11, 10)}, lemma="autonomous flow")


# --- when x2 = 0 is reached ----------------------------------------------------------------------------------------


@claim("hitting-time", "not in the paper; when Limitation 1 has come to its end", PROVED)
def hitting_time_formula(rate=-1):
    r"""T=\frac{R^2}{2\beta}\Bigl[s+B\bigl(s;1-\tfrac\beta2,1+\tfrac\beta2\bigr)\Bigr],\quad s=\frac{x_2^2}{R^2},
    \quad R^2=x_1^2+x_2^2;\qquad T<\infty\iff\beta<2

    Assumes: gradient flow in the ratios, moved as free coordinates
    Because: From $(1,1)$: 10.368, 2.4875, $1+\pi/4$ and 2.4006 for $\beta=0.1,0.5,1,1.5$.
    Proof: T falls at the rate 1 along the flow and is 0 at $s=0$. For $\beta<2$, $x_2^{2-\beta}$ falls at the rate
    $(2-\beta)\beta/(x_1^\beta+x_2^\beta)\ge(2-\beta)\beta/(2R^\beta)$, so the end comes in finite time; for
    $\beta\ge 2$, $\log x_2$ falls no faster than $\beta/R^2$ below the diagonal, so it never comes.
    """
    s = X2**2 / R2
    left = R2 / (2 * BETA) * (s + sp.betainc(1 - BETA / 2, 1 + BETA / 2, 0, s))
    return same(rate_of(left), rate)


@setting("0 < x1, x2 < R, 0 < beta < 2")
def on_an_arc(numbers: Numbers) -> Named:
    """Every point of every arc, beta < 2."""
    radius, beta = numbers.positive("R"), numbers.between("beta", 0, 2)
    x1, x2 = numbers.between("x1", 0, radius), numbers.between("x2", 0, radius)
    return Named(x1=x1, x2=x2, beta=beta, total=power(x1, beta) + power(x2, beta), largest=power(radius, beta))


def is_at_most_twice_the_largest(c, share=2):
    return all(value > 0 for value in vars(c).values()) and c.beta < 2 and c.total <= share * c.largest


@setting("what is proved of x1^beta + x2^beta and R^beta, beta < 2")
def below_two(numbers: Numbers) -> Place:
    """Every point of every arc, beta < 2."""
    c = numbers.case_of(on_an_arc, is_at_most_twice_the_largest, keep="x1 x2 beta total largest")
    b = power(c.x2, c.beta)
    return Place(x1=c.x1, x2=c.x2, beta=c.beta, a=c.total - b, b=b, largest=c.largest)


@setting("0 < x2 = u x1 <= x1, x1^beta > 0, beta >= 2")
def from_two_on(numbers: Numbers) -> Place:
    """Every point below the diagonal, beta >= 2."""
    x1, u, beta = numbers.positive("x1"), numbers.within("u", 0, 1), numbers.at_least("beta", 2)
    numbers.assume(u > 0)
    a = numbers.positive("a")
    return Place(x1=x1, x2=u * x1, beta=beta, a=a, b=a * u**2 * power(u, beta - 2))


def to_two_less_beta(x, beta):
    return power(x, 2 - beta)


def slope_of_that(x, beta):
    return (2 - beta) * power(x, 1 - beta)


def ends_only_below_two(p, share=2):
    """Return whether x2^(2-beta) falls at a rate of at least a constant, or log x2 at a rate of at most one."""
    if p.beta < 2:
        rate = derivative(to_two_less_beta, slope_of_that)(p.x2, p.beta) * p.d2
        return rate >= (2 - p.beta) * p.beta / (share * p.largest)
    return p.d2 / p.x2 <= share * p.beta / (2 * (p.x1**2 + p.x2**2))


def at_beta_one(whole=1):
    """From (1, 1) at beta = 1, s = sin^2 of an angle from 0 to pi / 4 and dT = (1 + cot) d(sin^2)."""
    angle = sp.Symbol("phi", positive=True)
    integrand = 2 * sp.sin(angle) * sp.cos(angle) + 2 * sp.cos(angle) ** 2
    return same(sp.integrate(integrand, (angle, 0, sp.pi / 4)), sp.Rational(whole) + sp.pi / 4)


def agrees_with_quadrature(times=1.0):
    starts = [(1.0, 1.0, 0.1), (0.03, 20.0, 0.5), (7.0, 0.2, 1.0), (1.0, 3.0, 1.9)]
    return all(abs(times * hitting_time(*start) / ratio_hitting_time(*start) - 1) < 1e-9 for start in starts)


hitting_time_formula.derived(wrong={"rate": F(-11, 10)}, lemma="mean value")
hitting_time_formula.proved(over=on_an_arc, of=is_at_most_twice_the_largest, wrong={"share": F(19, 10)}).proved(
    over=either("every arc", "", {"beta < 2": below_two, "beta >= 2": from_two_on}),
    of=ends_only_below_two,
    wrong={"share": F(19, 10)},
    part=r"T<\infty\iff\beta<2",
    lemma="mean value",
)
hitting_time_formula.derived(of=at_beta_one, wrong={"whole": F(11, 10)}, also=True)
hitting_time_formula.numerical(
    of=agrees_with_quadrature,
    wrong={"times": 1 + 1e-8},
    tolerance="dynamics.ratio_hitting_time at 4 starts to a relative 1e-9",
    also=True,
)


@claim("hitting-time-exponential", "not in the paper; the border case of feng2024.hitting-time", PROVED)
def hitting_time_exponential(rate=2):
    r"""\beta=2:\quad\dot x_2=-\frac{2x_2}{R^2},\qquad x_2(t)=x_2(0)\,e^{-2t/R^2}

    Assumes: gradient flow in the ratios, moved as free coordinates
    Proof: $\partial L/\partial x_2=2x_2/(x_1^2+x_2^2)$ at $\beta=2$; $\log x_2$ falls at a constant rate.
    """
    at_two = {BETA: sp.Integer(2)}
    return same(rate_of(sp.log(X2)).subs(at_two), -rate / R2) & same(rate_of(R2).subs(at_two), 0)


hitting_time_exponential.derived(wrong={"rate": F(21, 10)})


@claim("hitting-time-algebraic", "not in the paper; feng2024.hitting-time beyond its border", PROVED)
def hitting_time_algebraic(shift=0):
    r"""\beta>2:\quad x_2(t)^{\beta-2}\sim\frac{R^\beta}{\beta(\beta-2)\,t}\qquad(t\to\infty)

    Assumes: gradient flow in the ratios, moved as free coordinates
    Proof: $x_2^{2-\beta}$ rises at the rate $\beta(\beta-2)/(x_1^\beta+x_2^\beta)$, which tends to
    $\beta(\beta-2)/R^\beta$ as $x_2\to 0$ (feng2024.limitation-1) and $x_1\to R$.
    """
    rise = rate_of(X2 ** (2 - BETA))
    end = (BETA * (BETA - 2 + shift) / (X1**BETA + X2**BETA)).subs(X2, 0)
    return same(rise, BETA * (BETA - 2 + shift) / (X1**BETA + X2**BETA)) & same(end, BETA * (BETA - 2) / X1**BETA)


hitting_time_algebraic.derived(wrong={"shift": F(1, 10)}, lemma="l'Hopital")


# --- Section 3.3.2 -------------------------------------------------------------------------------------------------


@claim("different-results", "Section 3.3.2, last paragraph (different regions, different results)", PROVED)
def different_results(p, times=1):
    r"""\lim_{t\to\infty}x(t)=\Bigl(\sqrt{x_1(0)^2+x_2(0)^2},\,0\Bigr)

    Assumes: gradient flow in the ratios, moved as free coordinates
    Because: The end depends on where the flow starts, and with the SFT model as reference it starts at (1, 1) always
    (feng2024.sft-sensitivity).
    Proof: feng2024.conserved-radius and feng2024.limitation-1: at $u=x_2/x_1$ the point of the arc is
    $R\,(1,u)/\sqrt{1+u^2}$, and $R-x_1\le Ru^2/2$.
    """
    x1 = p.radius / sqrt(1 + p.u**2)
    return 0 <= p.radius - x1 <= times * p.radius * p.u**2 / 2


@setting("R, u > 0")
def at_slope(numbers: Numbers) -> Named:
    """Every point of every arc, by its slope u = x2 / x1."""
    return Named(radius=numbers.positive("R"), u=numbers.positive("u"))


different_results.proved(over=at_slope, wrong={"times": F(9, 10)}, lemma="autonomous flow")


@claim("sluggish-convergence", "Section 3.3.2, on the upper right corner", PROVED)
def sluggish_convergence(c, degree=2):
    r"""T(cx_1,cx_2)=c^2\,T(x_1,x_2)

    Assumes: gradient flow in the ratios, moved as free coordinates
    Because: So far the paper is right: where both ratios are large, the end is late. At (1, 1), where every run with
    its own reference starts, the time is that of feng2024.hitting-time.
    Proof: $R^2$ in feng2024.hitting-time is multiplied by $c^2$, and s stays.
    """
    s = X2**2 / R2
    far = {X1: c * X1, X2: c * X2}
    return same(R2.subs(far, simultaneous=True), c**degree * R2) & same(s.subs(far, simultaneous=True), s)


sluggish_convergence.derived(wrong={"degree": F(21, 10)})
