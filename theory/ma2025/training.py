"""Training on two responses in one number: the push on the first logit, for any loss -log sigma(f) with beta = 1.

The first response is preferred with probability ``label`` and has probability p. All that training sees of a loss is
its margin f(log pi_w, log pi_l) and the two derivatives that it follows: of a detached factor there is none, so that a
rest point need not be a minimum. Numbers may be fractions, balls or symbols.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction as F
from typing import Any, NamedTuple

import sympy as sp

from theory.proof import checked, exp, log, same

HALF = F(1, 2)


class Margin(NamedTuple):
    """A margin and the derivatives that training follows, in log pi_w and log pi_l."""

    f: Any
    of_w: Any
    of_l: Any


Loss = Callable[[Any, Any, Any, Any], Margin]  # of log pi_w, log pi_l and those of the reference


def imbalance_ratio(x, clip, *, symmetric):
    """Return lambda of Eq. (26) for x = log(pi_w / pi_l), and its derivative: 1 where it is not clipped, else 0.

    Example:
        >>> imbalance_ratio(F(-1), F(1, 2), symmetric=True), imbalance_ratio(F(1, 4), F(1, 2), symmetric=False)
        ((Fraction(2, 3), 0), (Fraction(5, 4), 1))
    """
    lower = 1 / (1 + F(1) * clip) - 1 if symmetric else 0
    if x >= clip:
        return 1 + clip, 0
    return (1 + x, 1) if x >= lower else (1 + lower, 0)


def dpo(a, b, ref_a, ref_b):
    """Return the margin of DPO."""
    return Margin((a - ref_a) - (b - ref_b), 1, -1)


def naive(clip=HALF, symmetric=False):
    """Return naive bDPO, Eq. (25): DPO's value, and lambda times its derivative in log pi_w."""
    return lambda a, b, ref_a, ref_b: Margin(
        (a - ref_a) - (b - ref_b), imbalance_ratio(a - b, clip, symmetric=symmetric)[0], -1
    )


def slopes_of_version_2(ratio, gain):
    """Return the derivatives of v2's margin; ``gain`` is log pi_w / ref_w where lambda moves, 0 where it does not."""
    return ratio + gain, -1 - gain


def with_live_ratio(a, b, ref_a, ref_b, clipped):
    """The derivatives inside the clip, where lambda = 1 + a - b, and with a constant lambda."""
    found = same(0, 0)
    for ratio, gain in ((1 + a - b, a - ref_a), (clipped, 0)):
        margin, expected = ratio * (a - ref_a) - (b - ref_b), slopes_of_version_2(ratio, gain)
        found &= same(sp.diff(margin, a), expected[0]) & same(sp.diff(margin, b), expected[1])
    return found


def version_2(clip=HALF, symmetric=False, detach=False):
    """Return naive bDPO v2, Eq. (27)."""

    def margin(a, b, ref_a, ref_b):
        (ratio, slope), gain = imbalance_ratio(a - b, clip, symmetric=symmetric), a - ref_a
        of_w, of_l = slopes_of_version_2(ratio, 0 if detach else slope * gain)
        return Margin(ratio * gain - (b - ref_b), of_w, of_l)

    return margin


def bdpo(detach: bool = False) -> Loss:
    """Return bDPO, Eqs. (28) and (29)."""

    def margin(a, b, ref_a, ref_b):
        common = 1 / (a + b) if detach else (ref_a + ref_b) / (a + b) ** 2
        return Margin((a * ref_b - b * ref_a) / (a + b), common * b, -common * a)

    return margin


def push(label, p, first, second):
    """Return what training does to the first logit; it moves the second one oppositely.

    Args:
        label: probability that the first response is preferred.
        p: its probability under the policy.
        first: kappa and margin of the pair in which it is the chosen one.
        second: those of the pair in which it is the rejected one.
    """
    (kappa, m), (other, n) = first, second
    return label * (1 - kappa) * (m.of_w * (1 - p) - m.of_l * p) + (1 - label) * (1 - other) * (
        n.of_l * (1 - p) - n.of_w * p
    )


def drift(loss, label, p, reference=HALF):
    """Return the push for a loss and a reference probability of the first response.

    Example:
        >>> bool(drift(naive(), F(3, 4), F(3, 4)) > 0)  # at the optimum of DPO
        True
    """
    logs = log(p), log(1 - p)
    refs = log(reference), log(1 - reference)
    margins = loss(*logs, *refs), loss(*logs[::-1], *refs[::-1])
    first, second = ((1 / (1 + exp(-m.f)), m) for m in margins)
    return proved_push()(label, p, first, second)


def push_is_the_gradient(p, label, m, of_w, of_l, n, n_w, n_l, kappa, other, sign=-1):
    """The push is -p (1 - p) dL/dp, by dp/ds = p (1 - p), for margins of any slopes and any kappa at p."""
    of_loss = same(sp.diff(sp.log(1 + sp.exp(-m(p))), p), -(1 - 1 / (1 + sp.exp(-m(p)))) * sp.diff(m(p), p))
    first, second = of_w * sp.log(p) + of_l * sp.log(1 - p), n_w * sp.log(1 - p) + n_l * sp.log(p)
    slope = -label * (1 - kappa) * sp.diff(first, p) - (1 - label) * (1 - other) * sp.diff(second, p)
    pushed = push(label, p, (kappa, Margin(m, of_w, of_l)), (other, Margin(n, n_w, n_l)))
    return of_loss & same(pushed, sign * p * (1 - p) * slope)


SLOPES = {"m": "function", **dict.fromkeys(("of_w", "of_l", "n", "n_w", "n_l"), "real")}


def proved_push() -> Callable[..., Any]:
    """Return ``push``, once SymPy has proved that it is minus the derivative of the loss by the first logit."""
    return checked(push, push_is_the_gradient, **SLOPES)


GRADIENT: dict[str, Any] = {"of": push_is_the_gradient, "symbols": SLOPES, "wrong": {"sign": F(-9, 10)}}
"""Arguments of ``derived``: training follows minus the derivative of the loss, where nothing is detached."""
