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
from scipy.integrate import quad, solve_ivp
from scipy.special import expit, wrightomega
from torch import Tensor

from dynamics.errors import (
    ArrayLike,
    InvalidArgument,
    check_finite,
    check_log_probs,
    check_positive,
    check_probabilities,
    check_shape,
    to_tensor,
)
from dynamics.gradient import (
    check_preferences,
    flat_log_probs,
    objective_cotangent,
    objective_gradient,
    response_lengths,
)
from dynamics.losses import DPO, PreferenceLoss
from dynamics.policies import Policy, Tabular, check_theta
from dynamics.preferences import Preferences

RELATIVE_TOLERANCE = 1e-10
ABSOLUTE_TOLERANCE = 1e-12


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
    start = check_finite("theta", check_theta(policy, theta))
    grid = _times(times)
    if reference is None:
        base = flat_log_probs(policy, start)
    else:
        given = to_tensor("reference", reference, dtype=policy.dtype, device=policy.device)
        base = check_log_probs("reference", check_shape("reference", given, policy.shape)).flatten()
    check_preferences(policy, flat_log_probs(policy, start), preferences)

    def tensor(state: np.ndarray) -> Tensor:
        return torch.as_tensor(state, dtype=policy.dtype, device=policy.device)

    def velocity(_: float, state: np.ndarray) -> np.ndarray:
        return -objective_gradient(policy, tensor(state), preferences, loss, base).cpu().numpy()

    def log_probs_of(state: np.ndarray) -> np.ndarray:
        return policy.log_probs(tensor(state)).cpu().numpy()

    stop = None if until is None else (lambda state: until(log_probs_of(state)))
    found, states, hit = _solve(velocity, start.cpu().numpy(), grid, stop)
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
    shape = preferences.shape
    given = check_log_probs("log_probs", to_tensor("log_probs", log_probs))
    logits = check_shape("log_probs", given, shape).flatten()
    if reference is None:
        base = torch.full_like(logits, -math.log(shape[-1]))
    else:
        raw = to_tensor("reference", reference, device=logits.device)
        base = check_log_probs("reference", check_shape("reference", raw, shape)).flatten()
    policy = Tabular(shape[-1], shape[0] if len(shape) == 2 else None, device=logits.device)
    cotangent = objective_cotangent(
        logits, base, preferences, DPO() if loss is None else loss, response_lengths(policy)
    )
    cotangent = cotangent.reshape(shape)
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
    constant = None if callable(fitness) else check_finite("fitness", to_tensor("fitness", fitness)).cpu().numpy()
    alive = (p > 0).cpu().numpy()
    with np.errstate(divide="ignore"):
        full = np.log(p.cpu().numpy())

    def complete(state: np.ndarray) -> np.ndarray:
        whole = np.full((*state.shape[:-1], len(alive)), -np.inf)
        whole[..., alive] = state - np.logaddexp.reduce(state, axis=-1, keepdims=True)
        return whole

    def velocity(_: float, state: np.ndarray) -> np.ndarray:
        log_p = complete(state)
        w = np.asarray(fitness(log_p) if callable(fitness) else constant, dtype=float)
        if w.shape != log_p.shape:
            raise InvalidArgument("fitness", f"shape {w.shape}", f"shape {log_p.shape}")
        w = w[alive]
        return w - np.exp(log_p[alive]) @ w

    stop = None if until is None else (lambda state: until(complete(state)))
    found, states, hit = _solve(velocity, full[alive], _times(times), stop)
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
    _ratios(x1, x2, beta)
    grid = _times(times)
    squared_radius = x1**2 + x2**2
    power = 2 - beta

    if power > 0:

        def velocity(_: float, state: np.ndarray) -> np.ndarray:
            loser = np.maximum(state, 0.0) ** (1 / power)
            winner = np.sqrt(np.maximum(squared_radius - loser**2, 0.0))
            return -power * beta / (winner**beta + loser**beta)

        end = ratio_hitting_time(x1, x2, beta)
        inside = grid[grid < end]
        loser = np.zeros(len(grid))
        if len(inside):
            loser[: len(inside)] = _solve(velocity, np.array([x2**power]), inside, None)[1][:, 0].clip(0) ** (1 / power)
    else:

        def velocity(_: float, state: np.ndarray) -> np.ndarray:
            log_winner = 0.5 * np.log(np.maximum(x1**2 - x2**2 * np.expm1(2 * (state - math.log(x2))), x1**2))
            # the field over x2, without a division of two numbers that both vanish with x2
            return -beta * np.exp((beta - 2) * state) / (np.exp(beta * state) + np.exp(beta * log_winner))

        loser = np.exp(_solve(velocity, np.array([math.log(x2)]), grid, None)[1][:, 0])
    # x1^2 + x2^2 is conserved; written so that a small x1 keeps its digits
    return np.stack([np.sqrt(x1**2 + (x2 - loser) * (x2 + loser)), loser], axis=-1)


def ratio_hitting_time(x1: float, x2: float, beta: float) -> float:
    """Return the time at which the flow of ``ratio_field`` reaches x2 = 0: finite for beta < 2, else infinite.

    Example:
        >>> round(ratio_hitting_time(1.0, 1.0, 1.0), 4)  # 1 + pi / 4
        1.7854
    """
    _ratios(x1, x2, beta)
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
    check_positive("rate", rate)
    total = start + np.exp(start) + rate * np.asarray(times, dtype=float)
    grown = wrightomega(total)  # e^m; its logarithm keeps the digits of a large margin, the difference of a small one
    return np.where(total > 1, np.log(np.maximum(grown, 1.0)), total - grown)


def logistic_hitting_time(margin: float, rate: float, start: float = 0.0) -> float:
    """Return when ``logistic_margin`` reaches ``margin`` >= ``start``.

    Example:
        >>> round(logistic_hitting_time(1.0, rate=1.0), 6)
        2.718282
    """
    check_positive("rate", rate)
    if not margin >= start:
        raise InvalidArgument("margin", margin, f"a number >= start ({start}): the margin never falls")
    return (margin + math.exp(margin) - start - math.exp(start)) / rate


def _ratios(x1: np.ndarray | float, x2: np.ndarray | float, beta: float) -> tuple[np.ndarray, np.ndarray]:
    check_positive("beta", beta)
    out = []
    for name, value in (("x1", x1), ("x2", x2)):
        array = np.asarray(value, dtype=float)
        if not (np.isfinite(array).all() and (array > 0).all()):
            raise InvalidArgument(name, value, "finite numbers > 0")
        out.append(array)
    return out[0], out[1]


def _times(times: Sequence[float] | np.ndarray) -> np.ndarray:
    try:
        grid = np.asarray(times, dtype=float)
    except (TypeError, ValueError) as problem:
        raise InvalidArgument("times", times, f"a list of numbers ({problem})") from problem
    if grid.ndim != 1 or not len(grid) or not np.isfinite(grid).all() or grid[0] < 0 or (np.diff(grid) <= 0).any():
        raise InvalidArgument("times", times, "a list of increasing, finite numbers >= 0")
    return grid


def _solve(
    velocity: Callable[[float, np.ndarray], np.ndarray],
    start: np.ndarray,
    times: np.ndarray,
    until: Callable[[np.ndarray], float] | None,
) -> tuple[np.ndarray, np.ndarray, float | None]:
    """Integrate; return times, states (one a row) and the hitting time."""
    if times[-1] == 0:
        return times, start[np.newaxis], None

    def event(_: float, state: np.ndarray) -> float:
        assert until is not None
        return until(state)

    event.terminal = True  # type: ignore[attr-defined]
    solution = solve_ivp(
        velocity,
        (0.0, float(times[-1])),
        start,
        method="DOP853",
        t_eval=times,
        events=None if until is None else event,
        rtol=RELATIVE_TOLERANCE,
        atol=ABSOLUTE_TOLERANCE,
    )
    if solution.status < 0:
        raise ArithmeticError(f"the flow could not be integrated to t = {times[-1]}: {solution.message}")
    # empty lists where no time was reported before the flow stopped
    found, states, hit = np.asarray(solution.t, float), np.reshape(solution.y, (len(start), -1)).T, None
    if solution.t_events is not None and solution.y_events is not None and len(solution.t_events[0]):
        hit = float(solution.t_events[0][0])
        found = np.append(found, hit)
        states = np.concatenate([states, solution.y_events[0][:1]])
    return found, states, hit
