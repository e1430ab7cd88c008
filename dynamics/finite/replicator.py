"""The replicator equation: gradient flow of tabular logits, as a flow of the probabilities themselves (ma2025)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from dynamics.errors import (
    ArrayLike,
    InvalidArgument,
    check_kind,
    check_log_probs,
    check_probabilities,
    check_shape,
    to_tensor,
)
from dynamics.finite.flow import Flow
from dynamics.finite.integration import LARGEST, as_array, check_function, check_times, solve
from dynamics.gradient import check_preferences, objective_cotangent, response_lengths
from dynamics.losses import DPO, PreferenceLoss
from dynamics.policies import Tabular
from dynamics.preferences import Preferences, check_one_list


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
        if not (np.abs(w) <= LARGEST).all():
            raise InvalidArgument("fitness", w, f"numbers up to {LARGEST:g}")
        if w.shape != log_p.shape:
            raise InvalidArgument("fitness", f"shape {w.shape}", f"shape {log_p.shape}")
        w = w[alive]
        return w - np.exp(log_p[alive]) @ w

    stop = None if until is None else (lambda state: until(complete(state)))
    found, states, hit = solve(velocity, full[alive], check_times(times), stop)
    return Flow(found, complete(states), None, hit)
