"""Scores, their kernel (the empirical NTK of log pi), and the drives of a preference pair."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dynamics.errors import ArrayLike, check_finite, check_kind, check_shape, to_tensor
from dynamics.evaluation import all_scores
from dynamics.losses import PairLogProbs, PreferenceLoss
from dynamics.policies import Policy, check_theta
from dynamics.preferences import Preferences
from dynamics.shapes import Drives, PerPair, Scores


def score(policy: Policy, theta: ArrayLike) -> Scores:
    """Return g_y = grad_theta log pi(y | x) of every response.

    Args:
        policy: the finite policy.
        theta: ``(parameters,)``.

    Returns:
        ``(*policy.shape, parameters)``. Each prompt's rows satisfy sum_y pi(y) g_y = 0.

    Example:
        >>> from dynamics import LogLinear
        >>> score(LogLinear([[2.0], [3.0], [0.0]]), [0.0]).flatten()
        tensor([ 0.3333,  1.3333, -1.6667], dtype=torch.float64)
    """
    return all_scores(policy, check_theta(policy, theta))


def kernel(policy: Policy, theta: ArrayLike) -> Tensor:
    """Return the Gram matrix <g_y, g_y'> of the scores, ``(*policy.shape, *policy.shape)``; symmetric, PSD.

    Example:
        >>> from dynamics import Tabular
        >>> kernel(Tabular(2), [0.0, 0.0])
        tensor([[ 0.5000, -0.5000],
                [-0.5000,  0.5000]], dtype=torch.float64)
    """
    g = score(policy, theta).reshape(-1, policy.parameters)
    return (g @ g.T).reshape(*policy.shape, *policy.shape)


def drives(kernel: ArrayLike, preferences: Preferences) -> Drives:
    """Return A_y = g_y . (g_w - g_l) of every response, one row for each pair.

    The pairs are kept apart, because a sum over them would hide the signs of the individual drives.

    Args:
        kernel: ``(*shape, *shape)`` from ``kernel``.
        preferences: the pairs.

    Returns:
        ``(pairs, *shape)``. Under DPO and other losses of one log-ratio, ``drive[chosen] < 0`` is likelihood
        displacement: log pi(y_w) falls. ``chosen_slope`` has the sign under any loss.

    Example:
        >>> from dynamics import LogLinear, pairs
        >>> policy = LogLinear([[2.0], [3.0], [0.0]])
        >>> drives(kernel(policy, [0.0]), pairs(0, 1, shape=(3,)))
        tensor([[-0.3333, -1.3333,  1.6667]], dtype=torch.float64)
    """
    check_kind("preferences", preferences, Preferences, "Preferences, as pairs() makes them")
    shape = preferences.shape
    n = math.prod(shape)
    dtype = kernel.dtype if isinstance(kernel, Tensor) and kernel.is_floating_point() else None
    entries = check_finite("kernel", to_tensor("kernel", kernel, dtype=dtype))
    flat = check_shape("kernel", entries, (*shape, *shape)).reshape(n, n)
    return (flat[preferences.chosen] - flat[preferences.rejected]).reshape(-1, *shape)


def chosen_slope(
    loss: PreferenceLoss, pair: PairLogProbs, ww: PerPair, wl: PerPair, ll: PerPair, rounding: float
) -> PerPair:
    """Return the change of log pi(chosen) in an SGD step on each pair alone: d_w |g_w|^2 - d_l <g_w, g_l>.

    It is the first-order change in nats per unit of learning rate, ``(pairs,)``. Here d_w = -dL/dlog pi(chosen) and
    d_l = dL/dlog pi(rejected). For a loss of one log-ratio they are equal, and the sign is that of the drive. They
    differ for SFT and CPO, for balanced losses, for averages over tokens, and for sums of such losses.

    The result is NaN where the loss has no finite derivative. It is exactly 0 if both derivatives are 0, and also if
    rounding may have decided its sign, that is if the two terms cancel to at most
    ``rounding * (|d_w| |g_w|^2 + |d_l| |g_w| |g_l|)``.

    Args:
        loss: the preference loss.
        pair: log-probabilities and lengths of the pairs.
        ww: |g_w|^2, ``(pairs,)``.
        wl: <g_w, g_l>.
        ll: |g_l|^2.
        rounding: bound for the rounding error of the kernel, as |dK_ij| / sqrt(K_ii K_jj).

    Example:
        >>> from dynamics.losses import DPO, SFT, pair_log_probs
        >>> pair, (ww, wl, ll) = pair_log_probs([-1.0], [-1.0]), torch.tensor([[2.0], [3.0], [6.0]])
        >>> chosen_slope(DPO(beta=1.0), pair, ww, wl, ll, 1e-12).tolist()
        [-0.5]
        >>> chosen_slope(SFT(), pair, ww, wl, ll, 1e-12).tolist()
        [2.0]
    """
    derivatives = loss.partials(pair)
    change = -(derivatives.chosen * ww + derivatives.rejected * wl)
    size = derivatives.chosen.abs() * ww + derivatives.rejected.abs() * (ww.clamp(min=0) * ll.clamp(min=0)).sqrt()
    change = torch.where(change.abs() <= rounding * size, torch.zeros_like(change), change)
    finite = derivatives.chosen.isfinite() & derivatives.rejected.isfinite()
    return torch.where(finite, change, torch.full_like(change, torch.nan))
