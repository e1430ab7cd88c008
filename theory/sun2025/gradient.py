"""Appendix C: the gradients of SPO and of the logistic loss, and Figure 7, on one axis."""

from __future__ import annotations

from fractions import Fraction as F

import numpy as np
import sympy as sp
import torch
from mpmath import mp

from dynamics import DPO, PreferenceLoss, SelfPO
from theory.claim import PROVED, claim
from theory.evidence import ALSO, Evidence
from theory.sun2025.curves import (
    M,
    X,
    any_number,
    exact,
    logistic_loss,
    mp_sigma,
    mp_silu,
    mp_silu_slope,
    precise,
    same,
    sigma,
    silu,
)
from theory.sun2025.minimum import stationary_points
from theory.worlds import World, any_world

BETA, GAMMA = 1.5, 0.25
SPO = SelfPO(beta=BETA, gamma=GAMMA, length_normalized=False)


def autograd_gradient(w: World, loss: PreferenceLoss) -> np.ndarray:
    """Return the gradient of a loss in the parameters of the world's policy, by automatic differentiation."""
    policy = w.policy()
    theta = torch.zeros(len(w.features[0]), dtype=torch.float64, requires_grad=True)
    log_probs = policy.log_probs(theta)
    value = loss(log_probs[w.chosen], log_probs[w.rejected])
    return torch.autograd.grad(value, theta)[0].numpy()


def printed_gradient(w: World, gamma: float, *, logistic: bool, sign: int = 1) -> np.ndarray:
    """Return Eq. 42, or Eq. 49, at the policy of the world, from its exact probabilities and scores."""
    pair = zip(w.scores[w.chosen], w.scores[w.rejected], strict=True)
    along = np.array([float(a - b) for a, b in pair])
    margin = BETA * np.log(float(w.p[w.chosen] / w.p[w.rejected])) - gamma
    z = sign * (margin if logistic else -margin)
    share = 1 / (1 + np.exp(-z))
    if logistic:
        return np.asarray(-(1 - share) * BETA * along)
    return np.asarray(share * (1 + z * (1 - share)) * -BETA * along)


@claim(
    "sun2025.eq-39",
    source="Eqs. (37) and (39)",
    says=r"\mathrm{SiLU}'(z)=\sigma(z)+z\sigma(z)(1-\sigma(z))=\sigma(z)\,(1+z(1-\sigma(z)))",
    verdict=PROVED,
    proof="The product rule.",
)
def eq_39(evidence: Evidence) -> None:
    """Both printed forms."""
    s = sigma(X)

    def derivative(sign: int = 1) -> bool:
        slope = sp.diff(X * s, X)
        return same(slope, s + X * s * (1 - s)) and same(slope, s * (1 + sign * X * (1 - s)))

    evidence.proves(derivative, control=lambda: derivative(-1), by="SymPy: the derivative")


@claim(
    "sun2025.eq-42",
    source="Eqs. (36), (38) and (40) to (42)",
    says=r"\nabla_\theta L_{SPO}=\mathbb{E}\bigl[\sigma(z)(1+z(1-\sigma(z)))\cdot(-\beta)"
    r"(\nabla\log\pi_w-\nabla\log\pi_l)\bigr],\quad z=-(\beta\log\pi_w-\beta\log\pi_l-\gamma)",
    verdict=PROVED,
    proof="The chain rule with Eq. 39 and $\\nabla z=-\\beta(\\nabla\\log\\pi_w-\\nabla\\log\\pi_l)$.",
)
def eq_42(evidence: Evidence) -> None:
    """Automatic differentiation of the loss of ``dynamics`` on random policies."""

    def agrees(w: World, sign: int = 1) -> bool:
        return np.allclose(autograd_gradient(w, SPO), printed_gradient(w, GAMMA, logistic=False, sign=sign), atol=1e-12)

    evidence.holds(agrees, any_world, control=lambda w: agrees(w, -1), worlds=100)


@claim(
    "sun2025.eq-46",
    source="Eqs. (45) and (46)",
    says=r"\frac{d\sigma}{dz}=\sigma(z)(1-\sigma(z)),\qquad\frac{d}{dz}\bigl[-\log\sigma(z)\bigr]=-(1-\sigma(z))",
    verdict=PROVED,
    proof="Differentiate.",
)
def eq_46(evidence: Evidence) -> None:
    """In symbols."""
    s = sigma(X)

    def derivatives(sign: int = -1) -> bool:
        return same(sp.diff(s, X), s * (1 - s)) and same(sp.diff(-sp.log(s), X), sign * (1 - s))

    evidence.proves(derivatives, control=lambda: derivatives(1), by="SymPy: the derivatives")


@claim(
    "sun2025.eq-49",
    source="Eqs. (43), (44) and (47) to (49)",
    says=r"\nabla_\theta L_{\mathrm{logsigmoid}}=\mathbb{E}\bigl[-(1-\sigma(z))\cdot\beta"
    r"(\nabla\log\pi_w-\nabla\log\pi_l)\bigr],\quad z=\beta\log\pi_w-\beta\log\pi_l-\gamma",
    verdict=PROVED,
    because="z has the opposite sign of that of Eqs. (36) to (42); Figure 7 needs one axis: sun2025.push-ratio.",
    proof="The chain rule with Eq. 46.",
)
def eq_49(evidence: Evidence) -> None:
    """Automatic differentiation with DPO's loss and no reference (gamma = 0)."""
    loss = DPO(beta=BETA)

    def agrees(w: World, sign: int = 1) -> bool:
        return np.allclose(autograd_gradient(w, loss), printed_gradient(w, 0.0, logistic=True, sign=sign), atol=1e-12)

    evidence.holds(agrees, any_world, control=lambda w: agrees(w, -1), worlds=100)


@claim(
    "sun2025.push-ratio",
    source="not in the paper; both weights of Appendix C on the margin",
    says=r"\frac{d}{dm}\mathrm{SiLU}(-m)=-\sigma(-m)(1-m\sigma(m))=(1-\mathrm{SiLU}(m))\,\frac{d}{dm}[-\log\sigma(m)]",
    verdict=PROVED,
    proof="Eq. 39 at $z=-m$, over Eq. 46 at $z=m$.",
)
def push_ratio(evidence: Evidence) -> None:
    """In symbols."""

    def identity(sign: int = -1) -> bool:
        slope = sp.diff(silu(-M), M)
        closed = -sigma(-M) * (1 - M * sigma(M))
        return same(slope, closed) and same(slope, (1 + sign * silu(M)) * sp.diff(logistic_loss(M), M))

    evidence.proves(identity, control=lambda: identity(1), by="SymPy: the differences simplify to 0")


@claim(
    "sun2025.figure-7",
    source="Appendix C, on Figure 7",
    says=r"\frac{d}{dm}[-\log\sigma(m)]<0\ \text{everywhere},\qquad\frac{d}{dm}\mathrm{SiLU}(-m)<0\iff m<1+W",
    verdict=PROVED,
    because="The paper names no threshold; it is $1+W=1.278465$.",
    proof=r"sun2025.push-ratio, and $\mathrm{SiLU}(m)<1\iff m<1+W$.",
)
def figure_7(evidence: Evidence) -> None:
    """Signs at rational margins; the threshold in symbols."""

    @precise
    def signs(m: F, shift: int = 0) -> bool:
        value, threshold = exact(m), 1 + mp.lambertw(mp.exp(-1)).real + shift
        return bool(-mp_sigma(-value) < 0 and (-mp_silu_slope(-value) < 0) == (value < threshold))

    def threshold(power: int = -1) -> bool:
        return tuple(sp.expand(-x) for x in stationary_points()) == (1 + sp.LambertW(sp.exp(power)),)

    evidence.holds(signs, any_number, control=lambda m: signs(m, 1))
    evidence.proves(threshold, control=lambda: threshold(1), by="SymPy: the only sign change")


@claim(
    "sun2025.push-sizes",
    source="not in the paper; Figure 7 in numbers",
    says=r"\Bigl|\frac{dL_{SPO}}{dm}\Bigr|>\Bigl|\frac{dL_{DPO}}{dm}\Bigr|\iff m<0\ (\text{for }m\le 1+W),\qquad"
    r"\frac{dL_{SPO}/dm}{dL_{DPO}/dm}\le 1+W\ \text{with equality at }m=-(1+W)",
    verdict=PROVED,
    because="SPO pushes wrongly ranked pairs harder than the logistic loss, rightly ranked ones less.",
    proof=r"The quotient is $1-\mathrm{SiLU}(m)$; then sun2025.silu-minimum.",
)
def push_sizes(evidence: Evidence) -> None:
    """At rational margins, and equality of the two weights at 0."""

    @precise
    def statement(m: F, ceiling: F = F(0)) -> bool:
        value, w = exact(m), mp.lambertw(mp.exp(-1)).real
        spo, dpo = mp_silu_slope(-value), mp_sigma(-value)  # both as pushes, minus the derivatives
        order = value > 1 + w or (m == 0 and spo == dpo) or (spo > dpo) == (m < 0)
        return bool(order and spo <= (1 + w - exact(ceiling)) * dpo)

    @precise
    def equality(factor: int = 1) -> bool:
        w = mp.lambertw(mp.exp(-1)).real
        return abs(1 - mp_silu(-factor * (1 + w)) - (1 + w)) < mp.mpf(10) ** -38

    evidence.holds(statement, any_number, control=lambda m: statement(m, F(1, 8)))
    evidence.measures(equality, control=lambda: equality(2), by="mpmath: the quotient at -(1 + W), to 1e-38")


@claim(
    "sun2025.pull-back",
    source="not in the paper; how strong the restoring force is",
    says=r"\frac{dL_{SPO}}{dm}\le 0.0998,\qquad\frac{dL_{SPO}}{dm}\sim m\,e^{-m}\quad(m\to\infty)",
    verdict=PROVED,
    because="0.0265 at m = 5 and 0.00041 at m = 10: a margin far beyond the floor is hardly pulled back.",
    proof=r"$\sigma(-m)(m\sigma(m)-1)$ with $\sigma(-m)\sim e^{-m}$; for the maximum sun2025.slope-range.",
)
def pull_back(evidence: Evidence) -> None:
    """The tail in symbols, the maximum over rational margins, two values."""
    far = sp.Symbol("m", positive=True)
    weight = sigma(-far) * (far * sigma(far) - 1)

    def tail(rate: int = 1) -> bool:
        return bool(sp.limit(weight / (far * sp.exp(-rate * far)), far, sp.oo) == 1)

    @precise
    def bounded(m: F, bound: float = 0.09984) -> bool:
        return bool(-mp_silu_slope(-exact(m)) <= bound)

    @precise
    def values(second: float = 4.1e-4) -> bool:
        seen = -mp_silu_slope(mp.mpf(-5)), -mp_silu_slope(mp.mpf(-10))
        return bool(abs(seen[0] - 0.0265) < 5e-5 and abs(seen[1] - second) < 5e-6)

    evidence.proves(tail, control=lambda: tail(2), by="SymPy: the limit of the quotient")
    evidence.holds(bounded, any_number, control=lambda m: bounded(m, 0.05))
    evidence.measures(
        values, control=lambda: values(4.6e-4), by="mpmath: 0.0265 to 5e-5 and 0.00041 to 5e-6", role=ALSO
    )
