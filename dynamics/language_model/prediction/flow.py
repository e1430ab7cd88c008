"""log pi along the gradient flow of a frozen kernel, the limit of small steps, for losses with a closed form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynamics.errors import ArrayLike, InvalidArgument, Unsupported, check_finite, to_tensor
from dynamics.finite.logistic import logistic_margin
from dynamics.gradient import pair_quantities
from dynamics.language_model.causal_lm import CausalLM
from dynamics.language_model.kernel.cross_kernel import cross_kernel
from dynamics.language_model.prediction.drives import response_lengths
from dynamics.language_model.prediction.plan import LogProbPath, Plan, make_plan
from dynamics.language_model.tokens import Pair, TokenSequence
from dynamics.losses import DPO, IPO, SFT, IPOPerToken, PreferenceLoss, SFTPerToken, SPPOHard
from dynamics.preferences import pairs as make_pairs

QUADRATIC = (SFT, SFTPerToken, IPO, IPOPerToken, SPPOHard)
"""Losses whose derivative is a linear function of log pi: the flow is a linear differential equation."""
CLOSED = "SFT, IPO and SPPO (with any number of pairs), and DPO on a single pair, have one; for others use predict_path"


def predict_flow(
    model: CausalLM,
    pairs: Iterable[Pair],
    times: Sequence[float],
    *,
    others: Iterable[TokenSequence] = (),
    loss: PreferenceLoss | None = None,
    reference: ArrayLike | None = None,
    **options: Any,
) -> LogProbPath:
    """Return log pi along the gradient flow d log pi/dt = -K dL/dlog pi of the frozen kernel, in closed form.

    This is the limit of ``predict_path(..., kernel="frozen")`` with SGD and all pairs in every step, as the learning
    rate goes to 0 while the sum of the learning rates is t. For a loss whose derivative is linear in log pi (SFT, IPO,
    SPPO) it is an exponential of a matrix. For DPO on a single pair the margin z follows dz/dt = rate sigma(-z) with
    rate = beta^2 |g_w - g_l|^2, whose solution is z + e^z = z_0 + e^z_0 + rate t (feng2024 has it for ratios of
    probabilities); every response moves in proportion to its drive.

    Args:
        model: a causal language model; it is not changed.
        pairs: chosen and rejected response of each pair.
        times: values of t >= 0, increasing.
        others: further responses whose log pi is followed.
        loss: preference loss; ``DPO()`` by default.
        reference: log ref of the responses of the pairs in nats; by default the model itself.
        **options: further arguments of ``sequence_kernel``, such as ``parameters`` and ``dtype``.

    Returns:
        The path; its first row is t = 0, followed by one row for each of the times.

    Raises:
        InvalidArgument: a loss without a closed form, times that do not increase, and what ``cross_kernel`` refuses.
        OutOfMemory: the sequences do not fit into memory.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> pair = TokenSequence((1, 2, 3), 1), TokenSequence((1, 4), 1)
        >>> flow = predict_flow(tiny_model(), [pair], [0.1], loss=IPO(beta=0.5))
        >>> from dynamics.language_model.prediction.path import predict_path
        >>> path = predict_path(tiny_model(), [pair], 1000, learning_rate=1e-4, loss=IPO(beta=0.5))
        >>> bool((flow.log_probs[-1] - path.log_probs[-1]).abs().max() < 1e-2)
        True
    """
    plan = make_plan(pairs, 1, others, loss, 1.0, reference, None, seed=0)
    at = check_finite("times", to_tensor("times", times))
    if at.ndim != 1 or not at.numel() or bool((at < 0).any()) or bool((at.diff() < 0).any()):
        raise InvalidArgument("times", times, "an increasing list of numbers >= 0")
    single = type(plan.loss) is DPO and plan.pairs == 1
    if not single and not isinstance(plan.loss, QUADRATIC):
        raise Unsupported("loss", f"the flow of {plan.loss} on {plan.pairs} pairs has no closed form here", CLOSED)
    found = cross_kernel(model, plan.sequences, plan.of_pairs, **options)
    kernel, start = found.kernel.cpu(), found.row_log_probs.cpu()
    own = start[: 2 * plan.pairs]
    reference_ = own if plan.reference is None else plan.reference
    moved = _of_dpo(plan, kernel, own, reference_, at) if single else _linear(plan, kernel, own, reference_, at)
    times_ = torch.cat([torch.zeros(1, dtype=torch.float64), at.to(torch.float64)])
    return LogProbPath(torch.cat([start[None], start + moved]), times_, plan.pairs)


def _linear(plan: Plan, kernel: Tensor, start: Tensor, reference: Tensor, times: Tensor) -> Tensor:
    """Return the change of log pi of all sequences at every time, where dL/dlog pi = c + J (change of the pairs).

    With u the change of the responses of the pairs, u' = -K_pp (c + J u); all sequences move by -K times the integral
    of c + J u. Both are entries of the exponential of one matrix.
    """
    count = len(start)
    c = plan.weights(0, start, reference)
    unit = torch.eye(count, dtype=torch.float64)
    slopes = torch.stack([plan.weights(0, start + row, reference) - c for row in unit], 1)
    # the state is (u, integral of c + J u, 1)
    whole = torch.zeros(2 * count + 1, 2 * count + 1, dtype=torch.float64)
    whole[:count, :count], whole[:count, -1] = -kernel[:count] @ slopes, -kernel[:count] @ c
    whole[count:-1, :count], whole[count:-1, -1] = slopes, c
    integrals = torch.stack([torch.linalg.matrix_exp(whole * t)[count:-1, -1] for t in times])
    return -integrals @ kernel.T


def _of_dpo(plan: Plan, kernel: Tensor, start: Tensor, reference: Tensor, times: Tensor) -> Tensor:
    """Return the change of log pi of all sequences at every time for DPO on one pair."""
    pair = pair_quantities(start, reference, make_pairs(0, 1, shape=(2,)), response_lengths(plan.of_pairs))
    beta, margin = float(plan.loss.beta), float(plan.loss.margin(pair))  # type: ignore[attr-defined]
    drive = kernel[:, 0] - kernel[:, 1]
    distance = float(drive[0] - drive[1])  # |g_w - g_l|^2
    if distance <= 0:  # the two responses have the same score: nothing moves
        return torch.zeros(len(times), len(kernel), dtype=torch.float64)
    later = torch.from_numpy(np.asarray(logistic_margin(times.numpy(), beta**2 * distance, margin)))
    return (later - margin)[:, None] * drive / (beta * distance)
