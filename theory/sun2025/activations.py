"""Table 5 and its text: the activations of the ablation, GELU beside SiLU, and convexity."""

from __future__ import annotations

import math
import random
from fractions import Fraction as F
from typing import Any

import numpy as np
import sympy as sp
from mpmath import mp
from scipy.optimize import minimize_scalar
from scipy.special import erfc, expit

from dynamics import SelfPO, SLiC
from theory.claim import FALSE, PROVED, claim
from theory.evidence import ALSO, Evidence
from theory.sun2025.curves import X, any_number, exact, mp_sigma, mp_silu, mp_softplus, precise, same, sigma, silu
from theory.sun2025.floor import STEEPEST_MARGIN

TOLERANCE = 1e-12
SCALE = 1.702  # of the familiar approximation of the normal distribution by the logistic one


def any_pair(source: random.Random) -> dict[str, float]:
    """Draw two log-probabilities, beta and gamma."""
    logs = {"chosen": -source.uniform(0, 6), "rejected": -source.uniform(0, 6)}
    return {**logs, "beta": source.uniform(0.3, 4), "gamma": source.uniform(0, 3)}


def ablation(case: dict[str, float], activation: str) -> float:
    """Return the loss of Eq. 7 with another activation in the place of SiLU."""
    loss = SelfPO(case["beta"], case["gamma"], activation, length_normalized=False)
    return float(loss(case["chosen"], case["rejected"]))


@claim(
    "sun2025.table-5-relu",
    source="Section 4.3 and Table 5: ReLU corresponds to SLiC",
    says=r"\mathrm{ReLU}(\gamma-\beta h)=\beta\max\bigl(0,\tfrac{\gamma}{\beta}-h\bigr),\qquad h=\log\pi_w-\log\pi_l",
    verdict=PROVED,
    proof=r"SLiC's hinge with $\delta=\gamma/\beta$, times $\beta$.",
)
def table_5_relu(evidence: Evidence) -> None:
    """The two losses of ``dynamics``."""

    def agrees(case: dict[str, float], power: int = 1) -> bool:
        hinge = SLiC(delta=case["gamma"] / case["beta"] ** power)(case["chosen"], case["rejected"])
        return abs(ablation(case, "relu") - case["beta"] * float(hinge)) < TOLERANCE

    evidence.holds(agrees, any_pair, control=lambda case: agrees(case, 2), worlds=100)


@claim(
    "sun2025.relu-zero-gradient",
    source="Section 1, on ReLU",
    says=r"\frac{d}{dh}\mathrm{ReLU}(\gamma-\beta h)=0\qquad\text{for}\ h>\gamma/\beta",
    verdict=PROVED,
    proof="Both maxima are 0 there.",
)
def relu_zero_gradient(evidence: Evidence) -> None:
    """Beyond the threshold a larger log-ratio changes nothing; before it, it does."""

    def flat(case: dict[str, float], share: float = 1.0) -> bool:
        here = share * case["gamma"] / case["beta"] + 0.1
        ends = [{**case, "chosen": -1.0, "rejected": -1.0 - h} for h in (here, here + 0.5)]
        return ablation(ends[0], "relu") == ablation(ends[1], "relu")

    evidence.holds(flat, any_pair, control=lambda case: flat(case, 0.5), worlds=100)


@claim(
    "sun2025.table-5-square",
    source="Section 4.3 and Table 5: square corresponds to IPO",
    says=r"(\gamma-\beta h)^2=\beta^2\Bigl(h-\frac{1}{2\tau}\Bigr)^2,\qquad\frac{1}{2\tau}=\frac{\gamma}{\beta}",
    verdict=PROVED,
    because="Without a reference; and with the target margin that the IPO of Table 2 lacks (sun2025.table-2-ipo).",
    proof="Take $\\beta$ out of the square.",
)
def table_5_square(evidence: Evidence) -> None:
    """In symbols, and for the loss of ``dynamics``."""
    h, beta, gamma, tau = sp.symbols("h beta gamma tau", positive=True)

    def identity(two: int = 2) -> bool:
        ipo = (h - 1 / (2 * tau)) ** 2
        return bool(sp.expand((gamma - beta * h) ** 2 - beta**2 * ipo.subs(tau, beta / (two * gamma))) == 0)

    def in_dynamics(case: dict[str, float], *, target: bool = True) -> bool:
        ratio = case["chosen"] - case["rejected"] - target * case["gamma"] / case["beta"]
        return abs(ablation(case, "square") - case["beta"] ** 2 * ratio**2) < 1e-9

    evidence.proves(identity, control=lambda: identity(1), by="SymPy: the difference expands to 0")
    evidence.holds(in_dynamics, any_pair, role=ALSO, control=lambda case: in_dynamics(case, target=False), worlds=100)


@claim(
    "sun2025.table-5-identity",
    source="Section 4.3, on the identity function",
    says=r"\inf_h(\gamma-\beta h)=-\infty,\qquad\text{no minimiser}",
    verdict=PROVED,
    because="Consistent with the collapse that Table 5 reports for it.",
    proof=r"The loss is linear in h with slope $-\beta$.",
)
def table_5_identity(evidence: Evidence) -> None:
    """Whatever the level, a larger log-ratio is below it."""

    def undercut(case: dict[str, float], activation: str = "identity") -> bool:
        deeper = {**case, "rejected": case["rejected"] - 100.0}
        return ablation(deeper, activation) < ablation(case, activation) - 99 * case["beta"]

    evidence.holds(undercut, any_pair, control=lambda case: undercut(case, "silu"), worlds=100)


def gelu(x: np.ndarray | float) -> np.ndarray:
    """Return x Phi(x).

    Example:
        >>> round(float(gelu(1.0)), 6)
        0.841345
    """
    value = np.asarray(x, dtype=float)
    return value * erfc(-value / math.sqrt(2)) / 2


def distance(scale: float) -> float:
    """Return sup |GELU(x) - x sigma(scale x)|, the distance of GELU and SiLU(scale x) / scale.

    Example:
        >>> round(distance(1.702), 5)
        0.02033
    """
    grid = np.linspace(0.0, 8.0, 4001)  # the difference is even in x
    near = float(grid[np.argmax(np.abs(gelu(grid) - grid * expit(scale * grid)))])
    found = minimize_scalar(
        lambda x: -abs(float(gelu(x)) - x * float(expit(scale * x))),
        bounds=(max(near - 0.01, 0.0), near + 0.01),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return float(-found.fun)


@claim(
    "sun2025.gelu-approximation",
    source="Section 4.3, comparison of loss functions",
    says=r"\sup_x|\mathrm{GELU}(x)-x\sigma(1.702x)|=0.02033,\qquad\min_c\sup_x|\mathrm{GELU}(x)-x\sigma(cx)|=0.01392",
    verdict=PROVED,
    because=r"Since $x\sigma(cx)=\mathrm{SiLU}(cx)/c$, it is SPO with $\beta'=c\beta$, $\gamma'=c\gamma$ and the loss "
    r"scaled by $1/c$. The best c is 1.773.",
    proof="The differences are even in x and vanish at 0 and at infinity; the rest is a maximum on an interval.",
)
def gelu_approximation(evidence: Evidence) -> None:
    """The two suprema, on a grid refined by search."""

    def best(printed: float = 1.773) -> bool:
        found = minimize_scalar(distance, bounds=(1.7, 1.85), method="bounded", options={"xatol": 1e-6})
        return abs(float(found.x) - printed) < 5e-4 and abs(float(found.fun) - 0.01392) < 5e-6

    def even(shift: float = 0.0) -> bool:
        x = np.linspace(-6, 6, 241)
        difference = gelu(x) - (x + shift) * expit(SCALE * (x + shift))
        return bool(np.abs(difference - difference[::-1]).max() < TOLERANCE)

    evidence.measures(
        lambda: abs(distance(SCALE) - 0.02033) < 5e-6,
        control=lambda: abs(distance(1.7) - 0.02033) < 5e-6,
        by="c = 1.702: 0.02033 to 5e-6",
    )
    evidence.measures(best, control=lambda: best(1.775), by="the least supremum, 0.01392 to 5e-6, at c = 1.773")
    evidence.measures(even, control=lambda: even(0.01), by="the difference is even, to 1e-12", role=ALSO)


@claim(
    "sun2025.gelu-equivalence",
    source="Section 4.3, comparison of loss functions",
    says=r"\exists\,\beta'\ \forall x:\ \mathrm{GELU}(\beta x)=\mathrm{SiLU}(\beta'x)",
    verdict=FALSE,
    because=r"Equal slopes at infinity force $\beta'=\beta$, and $\mathrm{GELU}(1)=0.841$ is not "
    r"$\mathrm{SiLU}(1)=0.731$. The loss must be rescaled as well, gamma changed, and then it is an approximation.",
    instead="sun2025.gelu-approximation",
)
def gelu_equivalence(evidence: Evidence) -> None:
    """One scale fails near 0, every other one far out; also the minima differ after rescaling."""

    @precise
    def minima(case: str) -> bool:  # of GELU and of SiLU(1.702 x) / 1.702
        w = mp.lambertw(mp.exp(-1)).real
        curves = {"GELU": lambda x: x * mp.ncdf(x), "SiLU": lambda x: mp_silu(mp.mpf(SCALE) * x) / SCALE}
        at = mp.findroot(lambda x: mp.diff(curves[case], x), -0.75)
        return abs(curves[case](at) + w / SCALE) < mp.mpf("1e-4")

    evidence.fails(_same_as_gelu, at={"c": F(1), "x": F(1)}, control={"c": F(1), "x": F(0)})
    evidence.fails(_same_as_gelu, at={"c": F(851, 500), "x": F(20)}, control={"c": F(851, 500), "x": F(-20)})
    evidence.fails(minima, at="GELU", control="SiLU")


@precise
def _same_as_gelu(case: dict[str, F]) -> bool:
    scale, x = exact(case["c"]), exact(case["x"])
    return bool(abs(mp_silu(scale * x) - x * mp.ncdf(x)) < mp.mpf("1e-3"))


@claim(
    "sun2025.gelu-bound",
    source="not in the paper; Proposition 1 for GELU",
    says=r"\mathrm{GELU}(x)+\ln 2\ge\mathrm{softplus}(x),\ \text{with equality only at }0;\qquad"
    r"\min\mathrm{GELU}=-0.169971\ \text{at}\ -0.751792",
    verdict=PROVED,
    proof=r"For $x>0$, $\sigma(x)<\Phi(x)+x\varphi(x)$, so the gap $\mathrm{softplus}-\mathrm{GELU}$ falls on both "
    r"sides of 0, where it is $\ln 2$; it is even in x.",
)
def gelu_bound(evidence: Evidence) -> None:
    """The slope of the gap at forty digits, the bound, and the minimum."""

    @precise
    def falls(x: F, share: F = F(1)) -> bool:
        value = abs(exact(x))
        slope = exact(share) * mp_sigma(value) - mp.ncdf(value) - value * mp.npdf(value)
        return bool(x == 0 or slope < 0)

    @precise
    def bound(x: F, constant: Any = None) -> bool:
        value = exact(x)
        gap = value * mp.ncdf(value) + (constant or mp.log(2)) - mp_softplus(value)
        return bool(x == 0 or gap > 0)

    @precise
    def minimum(place: float = -0.751792) -> bool:
        at = mp.findroot(lambda x: mp.ncdf(x) + x * mp.npdf(x), -0.75)
        return bool(abs(at - place) < 5e-7 and abs(at * mp.ncdf(at) + 0.169971) < 5e-7)

    evidence.holds(falls, any_number, control=lambda x: falls(x, F(11, 10)), worlds=200)
    evidence.holds(bound, any_number, control=lambda x: bound(x, 2 / mp.mpf(3)), worlds=200)
    evidence.measures(minimum, control=lambda: minimum(-0.7517), by="mpmath: the minimum of GELU, to 5e-7")


@claim(
    "sun2025.not-convex",
    source="not in the paper; beside Section 1 on the convex family of GPO",
    says=r"\mathrm{SiLU}''(x)<0\iff|x|>2.399357,\qquad\mathrm{SiLU}(-5)>\tfrac12[\mathrm{SiLU}(-3)+\mathrm{SiLU}(-7)]",
    verdict=PROVED,
    because="SPO is no member of GPO's family of convex losses. It is quasi-convex: it falls, then rises.",
    proof=r"$\mathrm{SiLU}''(x)=\sigma(x)\sigma(-x)(2-x\tanh\frac x2)$.",
)
def not_convex(evidence: Evidence) -> None:
    """The sign of the second derivative, and one chord that lies below the curve."""

    @precise
    def sign(x: F, threshold: float = -STEEPEST_MARGIN) -> bool:
        value = exact(x)
        second = mp_sigma(value) * mp_sigma(-value) * (2 - value * mp.tanh(value / 2))
        return bool((second < 0) == (abs(value) > threshold))

    @precise
    def chord(middle: int = -5) -> bool:
        left, right = mp_silu(mp.mpf(middle - 2)), mp_silu(mp.mpf(middle + 2))
        return bool(mp_silu(mp.mpf(middle)) > (left + right) / 2)

    def closed(factor: int = 1) -> bool:
        tanh_half = (1 - sp.exp(-X)) / (1 + sp.exp(-X))
        return same(sp.diff(silu(X), X, 2), sigma(X) * sigma(-X) * (2 - factor * X * tanh_half))

    evidence.proves(closed, control=lambda: closed(2), by="SymPy: the second derivative")
    evidence.holds(sign, any_number, control=lambda x: sign(x, 3.0))
    evidence.measures(chord, control=lambda: chord(0), by="mpmath: the chord from -7 to -3")
