"""Where Corollary 2 of jian2025 fails, in closed form: at which points, and from which step on in a run on one pair.

With D_y = pi_y A_y, the change of pi_y to first order in units of learning_rate * beta * urgency, the corollary says
that D_w - D_l is at least N = |sqrt(pi_w) g_w - sqrt(pi_l) g_l|^2 (Eq. 49), hence never negative. The first part is
false already for tabular policies, the second where responses share parameters. This module has the exact
boundaries, and the path of a log-linear policy, on which a displaced run violates the corollary from some point on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dynamics.errors import ArrayLike, InvalidArgument, check_count, check_finite, check_log_probs, to_tensor


def largest_safe_cosine(log_ratio: ArrayLike) -> np.ndarray:
    """Return the largest cosine of g_w and g_l that guarantees D_w >= D_l: 2 sqrt(pi_w pi_l) / (pi_w + pi_l).

    Above it some ratio of the lengths violates the inequality, below it none does (the ledger's
    jian2025.corollary-2-sharp-cosine).

    Args:
        log_ratio: log(pi_w / pi_l) in nats, any shape.

    Example:
        >>> float(largest_safe_cosine(np.log(3.0)).round(4))  # sqrt(3) / 2
        0.866
    """
    half = np.abs(check_finite("log_ratio", to_tensor("log_ratio", log_ratio).detach()).numpy()) / 2
    return np.asarray(2 * np.exp(-half) / (1 + np.exp(-2 * half)))  # 1 / cosh(half), without overflow


def tabular_kernel(p_w: ArrayLike, p_l: ArrayLike, others: int = 1) -> np.ndarray:
    """Return g_w . g_l of a tabular policy whose other responses are equally probable; Eq. 49 fails where it is > 0.

    (Except where pi_w = pi_l: there both sides of Eq. 49 are equal.)

    Args:
        p_w: pi(y_w), a probability, any shape.
        p_l: pi(y_l), likewise; p_w + p_l <= 1.
        others: number of the other responses, >= 1.

    Raises:
        InvalidArgument: numbers that are not probabilities.

    Example:
        >>> float(tabular_kernel(1 / 12, 1 / 3).round(6))  # the smallest counterexample in the ledger: 1 / 24
        0.041667
    """
    chosen, rejected = (to_tensor(name, value).detach().numpy() for name, value in (("p_w", p_w), ("p_l", p_l)))
    check_count("others", others)
    try:
        np.broadcast_shapes(chosen.shape, rejected.shape)
    except (ValueError, RuntimeError) as problem:
        raise InvalidArgument(
            "p_w, p_l", f"their shapes {chosen.shape} and {rejected.shape} do not broadcast"
        ) from problem
    rest = 1 - chosen - rejected
    if not ((chosen >= 0) & (rejected >= 0) & (rest >= -1e-12)).all():
        raise InvalidArgument("p_w, p_l", (p_w, p_l), "probabilities with p_w + p_l <= 1")
    return np.asarray(chosen**2 + rejected**2 + rest**2 / others - chosen - rejected)


@dataclass(frozen=True, eq=False)
class PairPath:
    """The path that every single-pair loss descends on a log-linear policy, at given gains of log(pi_w / pi_l).

    Attributes:
        gain: gain of log(pi_w / pi_l) over the start in nats, ``(points,)``.
        log_probs: log pi (nats), ``(..., points, responses)``.
        drive: A_y, ``(..., points, responses)``.
        difference: D_w - D_l, ``(..., points)``.
        bound: N of Eq. 49, ``(..., points)``.
        kernel: g_w . g_l, ``(..., points)``.
        chosen_wins: whether y_w is among the responses with the largest phi_y . (phi_w - phi_l), ``(...)``: if not,
            pi_w tends to 0, and D_w < D_l < 0 from some point on (the ledger's jian2025.eventual-violation).
    """

    gain: np.ndarray
    log_probs: np.ndarray
    drive: np.ndarray
    difference: np.ndarray
    bound: np.ndarray
    kernel: np.ndarray
    chosen_wins: np.ndarray
    chosen: int
    rejected: int

    @property
    def relative(self) -> np.ndarray:
        """Return (D_w - D_l) / (|D_w| + |D_l|), from -1 to 1, ``(..., points)``.

        It has the sign of ``difference`` also where the probabilities are too small for a float.
        """
        log_ratio = self.log_probs[..., self.chosen] - self.log_probs[..., self.rejected]
        change_w = self.drive[..., self.chosen] / (1 + np.exp(-log_ratio))
        change_l = self.drive[..., self.rejected] / (1 + np.exp(log_ratio))
        return (change_w - change_l) / (np.abs(change_w) + np.abs(change_l))


def pair_path(
    features: ArrayLike, log_probs: ArrayLike, gain: ArrayLike, *, chosen: int = 0, rejected: int = 1
) -> PairPath:
    """Return the path of gradient descent on one pair in closed form.

    pi_y is proportional to pi_y(0) exp(s phi_y . d), with d = phi_w - phi_l and s = gain / |d|^2.

    Args:
        features: phi, ``(..., responses, parameters)``; those of y_w and y_l must differ.
        log_probs: log pi at the start (nats), ``(..., responses)``.
        gain: the points of the path, as gains of log(pi_w / pi_l) in nats, ``(points,)``.
        chosen: index of y_w.
        rejected: index of y_l.

    Raises:
        InvalidArgument: shapes that do not fit, an index that is not a response, or a pair with equal features.

    Example:
        >>> ladder = pair_path([[1.0], [0.0], [2.0]], np.log([3 / 13, 1 / 13, 9 / 13]), [0.0])
        >>> ladder.difference.round(6), -3 / 169
        (array([-0.017751]), -0.01775147928994083)
    """
    phi = check_finite("features", to_tensor("features", features).detach())
    start = check_log_probs("log_probs", to_tensor("log_probs", log_probs).detach())
    at = check_finite("gain", to_tensor("gain", gain).detach())
    if phi.ndim < 2 or start.shape != phi.shape[:-1] or at.ndim != 1:
        got = f"shapes {tuple(phi.shape)}, {tuple(start.shape)}, {tuple(at.shape)}"
        wanted = "shapes (..., responses, parameters), (..., responses), (points,)"
        raise InvalidArgument("features, log_probs, gain", got, wanted)
    for name, index in (("chosen", chosen), ("rejected", rejected)):
        if check_count(name, index, minimum=0) >= phi.shape[-2]:
            raise InvalidArgument(name, index, f"the index of a response, from 0 to {phi.shape[-2] - 1}")
    d = phi[..., chosen, :] - phi[..., rejected, :]
    square = d.square().sum(-1)
    if bool((square == 0).any()):
        raise InvalidArgument("features", "the chosen and the rejected response have the same ones; they must differ")
    along = torch.einsum("...yd,...d->...y", phi, d)  # phi_y . d
    s = at / square.unsqueeze(-1)
    log_p = torch.log_softmax(start.unsqueeze(-2) + s.unsqueeze(-1) * along.unsqueeze(-2), -1)
    p = log_p.exp()
    # sum of p_y' (phi_y - phi_y') . d; phi_y . d minus its mean would lose A_w to rounding once pi_w is nearly 1
    drive = torch.einsum("...tz,...yz->...ty", p, along.unsqueeze(-1) - along.unsqueeze(-2))
    mean = torch.einsum("...ty,...yd->...td", p, phi)
    g_w, g_l = (phi[..., y, :].unsqueeze(-2) - mean for y in (chosen, rejected))
    p_w, p_l = p[..., chosen], p[..., rejected]
    root = p_w.sqrt().unsqueeze(-1) * g_w - p_l.sqrt().unsqueeze(-1) * g_l
    return PairPath(
        gain=at.numpy(),
        log_probs=log_p.numpy(),
        drive=drive.numpy(),
        difference=(p_w * drive[..., chosen] - p_l * drive[..., rejected]).numpy(),
        bound=root.square().sum(-1).numpy(),
        kernel=(g_w * g_l).sum(-1).numpy(),
        chosen_wins=(along[..., chosen] == along.amax(-1)).numpy(),
        chosen=chosen,
        rejected=rejected,
    )


def violated_from(difference: np.ndarray) -> np.ndarray:
    """Return the first point from which D_w - D_l is negative to the end, -1 if it is not negative at the end.

    Args:
        difference: D_w - D_l along a path or a run, ``(..., points)``.

    Example:
        >>> violated_from(np.array([[0.1, -0.1, 0.2, -0.1, -0.3], [-0.1, 0.1, 0.1, 0.1, 0.1]]))
        array([ 3, -1])
    """
    difference = to_tensor("difference", difference).detach().numpy()
    if difference.ndim == 0 or difference.shape[-1] == 0:
        raise InvalidArgument("difference", f"shape {difference.shape}", "shape (..., points)")
    from_end = np.logical_and.accumulate(difference[..., ::-1] < 0, axis=-1).sum(-1)
    return np.where(from_end == 0, -1, difference.shape[-1] - from_end)
