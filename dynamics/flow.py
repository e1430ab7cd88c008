"""The same dynamics in continuous time: parameters, ratio coordinates, replicator form; hitting times.

Time is learning rate times number of steps. Where a flow has a closed form or an invariant, it is used: a stiff
right-hand side is changed into a smooth one before it is handed to scipy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.integrate import quad
from scipy.special import expit, log_expit, wrightomega
from torch import Tensor

from dynamics.errors import (
    ArrayLike,
    InvalidArgument,
    check_finite,
    check_kind,
    check_log_probs,
    check_positive,
    check_probabilities,
    check_shape,
    is_finite,
    to_tensor,
)
from dynamics.gradient import (
    check_preferences,
    flat_log_probs,
    objective_cotangent,
    objective_gradient,
    response_lengths,
)
from dynamics.integration import as_array, check_function, check_times, solve
from dynamics.losses import DPO, PreferenceLoss
from dynamics.policies import Policy, Tabular, check_theta
from dynamics.preferences import Preferences, check_one_list

LARGEST_MARGIN = 700  # whose exponential is still a float
LARGEST_RATIO = 1e50  # of pi / ref, the inverse of the smallest
NEXT_TO_2 = 1e-6  # where x2 reaches 0 too late and too suddenly to be followed
LONGEST = 1e150  # number whose product with its like is still a float


@dataclass(frozen=True, eq=False)
class Flow:
    """A solution in continuous time.

    Attributes:
        times: times of the rows; the last one is the hitting time if the flow stopped there.
        log_probs: log pi (nats), ``(times, *shape)``.
        theta: parameters, ``(times, parameters)``; None where the flow has none.
        hitting_time: first time at which the ``until`` function crossed zero; None if it did not.
    """

    times: np.ndarray
    log_probs: np.ndarray
    theta: np.ndarray | None
    hitting_time: float | None


def gradient_flow(
    policy: Policy,
    theta: ArrayLike,
    preferences: Preferences,
    times: Sequence[float] | np.ndarray,
    *,
    loss: PreferenceLoss | None = None,
    reference: ArrayLike | None = None,
    until: Callable[[np.ndarray], float] | None = None,
) -> Flow:
    """Return the gradient flow d theta / dt = -grad L(theta), the limit of SGD for small steps.

    Args:
        policy: the finite policy.
        theta: parameters at time 0, finite.
        preferences: weighted pairs.
        times: increasing times >= 0 at which to report.
        loss: DPO(beta=0.1) if not given.
        reference: log ref (nats), of the policy's shape; the policy at time 0 if not given.
        until: function of log_probs (array of the policy's shape); the flow stops where it crosses zero.

    Raises:
        InvalidArgument: which argument, what was got, what is allowed.

    Example:
        >>> from dynamics import DPO, Tabular, pairs
        >>> flow = gradient_flow(Tabular(2), [0.0, 0.0], pairs(0, 1, shape=(2,)), [0.0, 1.0], loss=DPO(beta=1.0))
        >>> np.exp(flow.log_probs[-1]).round(4)  # margin m with m + e^m = 1 + 2 t
        array([0.6883, 0.3117])
    """
    loss = DPO() if loss is None else loss
    check_kind("loss", loss, PreferenceLoss, "a loss such as DPO(beta=0.1)")
    start = check_finite("theta", check_theta(policy, theta))
    grid = check_times(times)
    if reference is None:
        base = flat_log_probs(policy, start)
    else:
        given = to_tensor("reference", reference, dtype=policy.dtype, device=policy.device)
        base = check_log_probs("reference", check_shape("reference", given, policy.shape)).flatten()
    check_preferences(policy, flat_log_probs(policy, start), preferences)
    check_one_list(preferences)
    if until is not None:
        check_function("until", until)

    def tensor(state: np.ndarray) -> Tensor:
        return torch.as_tensor(state, dtype=policy.dtype, device=policy.device)

    def velocity(_: float, state: np.ndarray) -> np.ndarray:
        return -objective_gradient(policy, tensor(state), preferences, loss, base).cpu().numpy()

    def log_probs_of(state: np.ndarray) -> np.ndarray:
        return policy.log_probs(tensor(state)).cpu().numpy()

    stop = None if until is None else (lambda state: until(log_probs_of(state)))
    found, states, hit = solve(velocity, start.cpu().numpy(), grid, stop)
    return Flow(found, log_probs_of(states), states, hit)


def replicator_fitness(
    log_probs: ArrayLike,
    preferences: Preferences,
    loss: PreferenceLoss | None = None,
    reference: ArrayLike | None = None,
) -> Tensor:
    """Return the fitness w of every response: minus the gradient of the objective in tabular logits.

    Gradient flow of tabular logits is the replicator equation with this fitness (ma2025 Eq. 12). For DPO on a
    preference matrix P, w_i = beta sum_j (P_ij - kappa_ij), and it sums to zero.

    Args:
        log_probs: log pi (nats), of the shape of the preferences.
        preferences: weighted pairs.
        loss: DPO(beta=0.1) if not given.
        reference: log ref (nats); uniform if not given.

    Example:
        >>> from dynamics import DPO, preference_matrix
        >>> table = preference_matrix([[0.5, 0.75], [0.25, 0.5]])
        >>> replicator_fitness(np.log([0.5, 0.5]), table, DPO(beta=1.0))
        tensor([ 0.2500, -0.2500], dtype=torch.float64)
    """
    loss = DPO() if loss is None else loss
    check_kind("loss", loss, PreferenceLoss, "a loss such as DPO(beta=0.1)")
    check_kind("preferences", preferences, Preferences, "Preferences, as pairs() or preference_matrix() make them")
    check_one_list(preferences)
    shape = preferences.shape
    given = check_log_probs("log_probs", to_tensor("log_probs", log_probs))
    logits = check_shape("log_probs", given, shape).flatten()
    if reference is None:
        base = torch.full_like(logits, -math.log(shape[-1]))
    else:
        raw = to_tensor("reference", reference, device=logits.device)
        base = check_log_probs("reference", check_shape("reference", raw, shape)).flatten()
    policy = Tabular(shape[-1], shape[0] if len(shape) == 2 else None, device=logits.device)
    check_preferences(policy, logits, preferences)
    cotangent = objective_cotangent(logits, base, preferences, loss, response_lengths(policy)).reshape(shape)
    p = logits.reshape(shape).exp()
    return -(cotangent - p * cotangent.sum(-1, keepdim=True))


def replicator_flow(
    probabilities: ArrayLike,
    fitness: ArrayLike | Callable[[np.ndarray], np.ndarray],
    times: Sequence[float] | np.ndarray,
    *,
    until: Callable[[np.ndarray], float] | None = None,
) -> Flow:
    """Return the replicator dynamics dp_i / dt = p_i (w_i - sum_j p_j w_j), integrated in log p.

    Args:
        probabilities: p at time 0, ``(responses,)``; zeros stay zero.
        fitness: w, ``(responses,)``, or a function of log p that returns it.
        times: increasing times >= 0 at which to report.
        until: function of log p; the flow stops where it crosses zero.

    Example:
        >>> flow = replicator_flow([0.5, 0.5], [1.0, 0.0], [0.0, 1.0])
        >>> (flow.log_probs[-1, 0] - flow.log_probs[-1, 1]).round(6)  # grows by w_0 - w_1 in unit time
        np.float64(1.0)
    """
    p = check_probabilities("probabilities", to_tensor("probabilities", probabilities))
    if p.ndim != 1:
        raise InvalidArgument("probabilities", f"shape {tuple(p.shape)}", "one distribution, shape (responses,)")
    if callable(fitness):
        check_function("fitness", fitness)
    constant = None if callable(fitness) else as_array("fitness", fitness)
    if until is not None:
        check_function("until", until)
    alive = (p > 0).cpu().numpy()
    with np.errstate(divide="ignore"):
        full = np.log(p.cpu().numpy())

    def complete(state: np.ndarray) -> np.ndarray:
        whole = np.full((*state.shape[:-1], len(alive)), -np.inf)
        whole[..., alive] = state - np.logaddexp.reduce(state, axis=-1, keepdims=True)
        return whole

    def velocity(_: float, state: np.ndarray) -> np.ndarray:
        log_p = complete(state)
        w = as_array("fitness", fitness(log_p)) if callable(fitness) else np.asarray(constant)
        if not (np.abs(w) <= LONGEST).all():
            raise InvalidArgument("fitness", w, f"numbers up to {LONGEST:g}")
        if w.shape != log_p.shape:
            raise InvalidArgument("fitness", f"shape {w.shape}", f"shape {log_p.shape}")
        w = w[alive]
        return w - np.exp(log_p[alive]) @ w

    stop = None if until is None else (lambda state: until(complete(state)))
    found, states, hit = solve(velocity, full[alive], check_times(times), stop)
    return Flow(found, complete(states), None, hit)


def ratio_loss(x1: np.ndarray | float, x2: np.ndarray | float, beta: float) -> np.ndarray:
    """Return the DPO loss in the ratio coordinates x1 = pi_w / ref_w and x2 = pi_l / ref_l (feng2024 Eq. 1), nats.

    Example:
        >>> float(ratio_loss(1.0, 1.0, beta=0.5)).__round__(4)
        0.6931
    """
    x1, x2 = _ratios(x1, x2, beta)
    return np.logaddexp(0.0, beta * (np.log(x2) - np.log(x1)))


def ratio_field(x1: np.ndarray | float, x2: np.ndarray | float, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the descent direction -(dL/dx1, dL/dx2) of the DPO loss in ratio coordinates (feng2024 Eq. 2).

    It is tangential: x1 dx1 + x2 dx2 = 0, so x1^2 + x2^2 is conserved along its flow.

    Args:
        x1: pi_w / ref_w > 0, any shape.
        x2: pi_l / ref_l > 0, broadcastable.
        beta: > 0.

    Example:
        >>> ratio_field(1.0, 1.0, beta=0.5)
        (np.float64(0.25), np.float64(-0.25))
    """
    x1, x2 = _ratios(x1, x2, beta)
    urgency = expit(beta * (np.log(x2) - np.log(x1)))
    return beta * urgency / x1, -beta * urgency / x2


def ratio_flow(x1: float, x2: float, beta: float, times: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the flow of ``ratio_field`` from (x1, x2): an arc of a circle, ended where x2 is 0 (if it gets there).

    For beta < 2 the right-hand side explodes at x2 = 0, so x2^(2 - beta), whose speed is bounded, is integrated;
    for beta >= 2 it is log x2.

    Args:
        x1: start, > 0.
        x2: start, > 0.
        beta: > 0.
        times: increasing times >= 0.

    Returns:
        ``(times, 2)`` with the columns x1, x2; from the hitting time on, (sqrt(x1^2 + x2^2), 0).

    Example:
        >>> ratio_flow(1.0, 1.0, 2.0, [0.0, 1.0])[:, 1].round(4)  # exp(-t) exactly at beta = 2 from (1, 1)
        array([1.    , 0.3679])
    """
    x1, x2 = _two_numbers(x1, x2, beta)
    radius = math.hypot(x1, x2)
    x1, x2 = x1 / radius, x2 / radius  # the field at c x is that at x over c: the circle of radius 1 is enough
    grid = check_times(times) / radius**2
    power = 2 - beta

    if power > 0:

        def velocity(_: float, state: np.ndarray) -> np.ndarray:
            loser = np.maximum(state, 0.0) ** (1 / power)
            winner = np.sqrt(np.maximum(1 - loser**2, 0.0))
            return -power * beta / (winner**beta + loser**beta)

        end = ratio_hitting_time(x1, x2, beta)
        inside = grid[grid < end]
        loser = np.zeros(len(grid))
        if len(inside):
            loser[: len(inside)] = solve(velocity, np.array([x2**power]), inside, None)[1][:, 0].clip(0) ** (1 / power)
    else:

        def velocity(_: float, state: np.ndarray) -> np.ndarray:
            state = np.minimum(state, math.log(x2))  # a trial step may overshoot the start
            log_winner = 0.5 * np.log(x1**2 - x2**2 * np.expm1(2 * (state - math.log(x2))))
            # the field over x2, as one exponential: both parts of the quotient vanish with x2
            return -beta * np.exp(log_expit(beta * (state - log_winner)) - 2 * state)

        loser = np.exp(solve(velocity, np.array([math.log(x2)]), grid, None)[1][:, 0])
    loser = np.minimum(loser, x2)
    # x1^2 + x2^2 is conserved; written so that a small x1 keeps its digits
    return radius * np.stack([np.sqrt(x1**2 + (x2 - loser) * (x2 + loser)), loser], axis=-1)


def ratio_hitting_time(x1: float, x2: float, beta: float) -> float:
    """Return the time at which the flow of ``ratio_field`` reaches x2 = 0: finite for beta < 2, else infinite.

    Example:
        >>> round(ratio_hitting_time(1.0, 1.0, 1.0), 4)  # 1 + pi / 4
        1.7854
    """
    x1, x2 = _two_numbers(x1, x2, beta)
    if beta >= 2:
        return math.inf
    angle = math.atan2(x2, x1)

    def smooth_part(phi: float) -> float:
        # the integrand of R^2 (1 + tan^b) cos^2 / (b tan^(b-1)), less its factor phi^(1-b), which quad takes as weight
        ratio = phi / math.tan(phi) if phi > 0 else 1.0
        return (1 + math.tan(phi) ** beta) * math.cos(phi) ** 2 * ratio ** (beta - 1) / beta

    # quad's algebraic weight needs an end that is not itself singular; tan is finite for every x1 > 0
    value, _ = quad(smooth_part, 0.0, angle, weight="alg", wvar=(1 - beta, 0.0), epsabs=1e-13, epsrel=1e-12, limit=200)
    return (x1**2 + x2**2) * value


def logistic_margin(times: np.ndarray | float, rate: float, start: float = 0.0) -> np.ndarray:
    """Return the margin m(t) of dm/dt = rate sigma(-m): exactly m + e^m = m0 + e^m0 + rate t.

    A single pair under DPO on a tabular or log-linear policy has rate beta^2 |g_w - g_l|^2.

    Args:
        times: times >= 0.
        rate: > 0.
        start: m(0).

    Example:
        >>> float(logistic_margin(math.e - 1 + 1, rate=1.0)).__round__(6)  # 1 + e = 0 + 1 + t at t = e
        1.0
    """
    _check_margins(rate, start=start)
    at = as_array("times", times)
    if not (np.abs(at) <= LONGEST).all():
        raise InvalidArgument("times", times, f"numbers up to {LONGEST:g}")
    total = start + np.exp(start) + rate * at
    grown = wrightomega(total)  # e^m; its logarithm keeps the digits of a large margin, the difference of a small one
    return np.where(total > 1, np.log(np.maximum(grown, 1.0)), total - grown)


def logistic_hitting_time(margin: float, rate: float, start: float = 0.0) -> float:
    """Return when ``logistic_margin`` reaches ``margin`` >= ``start``.

    Example:
        >>> round(logistic_hitting_time(1.0, rate=1.0), 6)
        2.718282
    """
    _check_margins(rate, start=start, margin=margin)
    if not margin >= start:
        raise InvalidArgument("margin", margin, f"a number >= start ({start}): the margin never falls")
    return (margin + math.exp(margin) - start - math.exp(start)) / rate


def _ratios(x1: np.ndarray | float, x2: np.ndarray | float, beta: float) -> tuple[np.ndarray, np.ndarray]:
    check_positive("beta", beta)
    strength = as_array("beta", beta)
    if not ((strength >= 1 / LARGEST_RATIO) & (strength <= LARGEST_RATIO)).all():
        raise InvalidArgument("beta", beta, f"numbers > 0, from {1 / LARGEST_RATIO:g} to {LARGEST_RATIO:g}")
    out = []
    for name, value in (("x1", x1), ("x2", x2)):
        array = as_array(name, value)
        if not ((array >= 1 / LARGEST_RATIO) & (array <= LARGEST_RATIO)).all():
            raise InvalidArgument(name, value, f"numbers > 0, from {1 / LARGEST_RATIO:g} to {LARGEST_RATIO:g}")
        out.append(array)
    try:
        np.broadcast_shapes(*(array.shape for array in out))
    except (ValueError, RuntimeError) as problem:
        got = f"shapes {out[0].shape}, {out[1].shape}"
        raise InvalidArgument("x1, x2", got, "shapes that broadcast together") from problem
    return out[0], out[1]


def _check_margins(rate: float, **margins: float) -> None:
    for name, value in (("rate", rate), *margins.items()):
        if not is_finite(value):
            raise InvalidArgument(name, value, "one finite number")
    if not 1 / LONGEST <= rate <= LONGEST:
        raise InvalidArgument("rate", rate, f"a number from {1 / LONGEST:g} to {LONGEST:g}")
    for name, value in margins.items():
        if abs(value) > LARGEST_MARGIN:
            raise InvalidArgument(name, value, f"a number from -{LARGEST_MARGIN} to {LARGEST_MARGIN}")


def _two_numbers(x1: float, x2: float, beta: float) -> tuple[float, float]:
    for name, value in (("x1", x1), ("x2", x2), ("beta", beta)):
        if not is_finite(value):
            raise InvalidArgument(name, value, "one finite number > 0")
    _ratios(x1, x2, beta)
    if 2 - NEXT_TO_2 < beta < 2:
        raise InvalidArgument("beta", beta, f"2, or a number not within {NEXT_TO_2:g} below it")
    return float(x1), float(x2)
