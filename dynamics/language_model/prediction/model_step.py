"""The change of log pi of any responses in one optimizer step on preference pairs: predicted and actual."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Literal, overload

import torch
from torch import Tensor

from dynamics.errors import ArrayLike, InvalidArgument, check_flag
from dynamics.language_model.causal_lm import CausalLM
from dynamics.language_model.jvp import log_probs_jvp
from dynamics.language_model.log_probs import sequence_log_probs
from dynamics.language_model.parameters import Filter
from dynamics.language_model.prediction.drives import (
    NOT_FINITE,
    NotFinite,
    PairDrives,
    check_loss,
    dloss_dlog_probs,
    pair_drives,
    response_lengths,
)
from dynamics.language_model.prediction.parameter_change import changed_parameters, optimizer_change
from dynamics.language_model.tokens import TokenSequence, read_sequences
from dynamics.losses import PreferenceLoss
from dynamics.optimizers import Optimizer
from dynamics.preferences import pairs


@dataclass(frozen=True, eq=False)
class StepChange:
    """The change of log pi of some sequences in one step.

    Attributes:
        log_probs: log pi before the step, in nats, ``(sequences,)``.
        new_log_probs: log pi after it.
        predicted_log_change: first-order change of log pi in the step that was taken, <g_y, change of the parameters>,
            ``(sequences,)``, by forward-mode autodiff.
    """

    log_probs: Tensor
    new_log_probs: Tensor
    predicted_log_change: Tensor

    @property
    def actual_log_change(self) -> Tensor:
        """Return the exact change of log pi, ``(sequences,)``."""
        return self.new_log_probs - self.log_probs

    @property
    def relative_error(self) -> Tensor:
        """Return |actual - predicted| / |actual| of the change of log pi of every sequence; NaN where both are 0."""
        return (self.actual_log_change - self.predicted_log_change).abs() / self.actual_log_change.abs()


@dataclass(frozen=True, eq=False)
class ModelStep(StepChange, PairDrives):
    """The change of log pi of some sequences in one step, with the drives before the step (``PairDrives``).

    For SGD ``predicted_log_change`` equals ``predict(learning_rate)``, which uses the kernel. For another optimizer
    ``predict`` tells what SGD would have done.

    Attributes:
        new_log_probs: log pi after the step, in nats, ``(sequences,)``.
        predicted_log_change: first-order change of log pi in the step that was taken, as in ``StepChange``.
    """


@overload
def model_step(
    model: CausalLM,
    sequences: Iterable[TokenSequence],
    chosen: ArrayLike = 0,
    rejected: ArrayLike = 1,
    *,
    kernel: Literal[False],
    **options: Any,
) -> StepChange: ...


@overload
def model_step(
    model: CausalLM,
    sequences: Iterable[TokenSequence],
    chosen: ArrayLike = 0,
    rejected: ArrayLike = 1,
    *,
    kernel: Literal[True] = True,
    **options: Any,
) -> ModelStep: ...


def model_step(
    model: CausalLM,
    sequences: Iterable[TokenSequence],
    chosen: ArrayLike = 0,
    rejected: ArrayLike = 1,
    *,
    weight: ArrayLike = 1.0,
    loss: PreferenceLoss | None = None,
    learning_rate: float | None = None,
    reference: ArrayLike | None = None,
    optimizer: Optimizer | torch.optim.Optimizer | None = None,
    parameters: Filter = None,
    dtype: torch.dtype = torch.float64,
    kernel: bool = True,
    **options: Any,
) -> StepChange:
    """Take one step on preference pairs, compute log pi before and after it, and undo the step.

    The drives come from the kernel, the step from plain autograd and the rule of the optimizer, and the prediction from
    forward-mode autodiff in the direction of that step; the three share no code. Theorem 1 of jian2025 is about SGD.
    The first step of AdamW is nearly the sign of the gradient, and may raise a log-probability that SGD lowers.
    ``displaced`` and ``chosen_slope`` are about an SGD step, whatever the optimizer; ``predicted_log_change`` and
    ``actual_log_change`` are about the step that was taken.

    Args:
        model: a causal language model; it is not changed.
        sequences: the responses of the pairs and any others; by default the first is y_w and the second y_l.
        chosen: number of y_w among the sequences, for each pair.
        rejected: number of y_l.
        weight: weight of each pair; the objective is the weighted mean of their losses.
        loss: preference loss; ``DPO()`` by default.
        learning_rate: eta; 1e-4 by default.
        reference: log ref of every sequence in nats; by default the model itself, so that the log-ratio is 0.
        optimizer: ``SGD()`` (by default), the first step of ``AdamW()``, or an optimizer of torch over the model's
            parameters, in its present state and with its own learning rates; it is copied and not changed.
        parameters: the parameters that are trained, as in ``sequence_kernel``.
        dtype: dtype to compute in; in float32 the difference of two log-probabilities would lose digits.
        kernel: whether to compute the kernel, and from it the drives. Without it the prediction takes one gradient of
            the loss and one forward-mode pass, and the result is a ``StepChange``.
        **options: further arguments of ``sequence_kernel``, where a kernel is computed.

    Raises:
        InvalidArgument: as for ``pair_drives`` and ``parameter_change``; an option of the kernel without a kernel.
        OutOfMemory: the sequences do not fit into memory.

    Example:
        >>> from dynamics import DPO, AdamW
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> three = [TokenSequence((1, 2, y), 1) for y in (3, 4, 5)]
        >>> how = {"loss": DPO(beta=0.5), "learning_rate": 1e-7}
        >>> for optimizer in (None, AdamW()):
        ...     step = model_step(tiny_model(), three, optimizer=optimizer, **how)
        ...     bool(step.relative_error.max() < 1e-3)
        True
        True
    """
    found, loss = read_sequences(sequences), check_loss(loss)
    check_flag("kernel", kernel)
    known: dict[str, Any]
    if kernel:
        how: dict[str, Any] = {"weight": weight, "loss": loss, "reference": reference, "parameters": parameters}
        before = pair_drives(model, found, chosen, rejected, dtype=dtype, **how, **options)
        known = {field.name: getattr(before, field.name) for field in fields(before)}
        weights = before.dloss_dlog_probs
    elif options:
        raise InvalidArgument(next(iter(options)), "it is an option of the kernel; leave it out, or use kernel=True")
    else:
        preferences = pairs(chosen, rejected, shape=(len(found),), weight=weight)
        known = {"log_probs": sequence_log_probs(model, found, dtype=dtype).total.cpu()}
        weights = dloss_dlog_probs(known["log_probs"], preferences, loss, reference, response_lengths(found))
        if not bool(known["log_probs"].isfinite().all() & weights.isfinite().all()):
            raise NotFinite("model", NOT_FINITE)
    change = optimizer_change(model, found, weights, optimizer, learning_rate, parameters, dtype)
    with changed_parameters(model, change, dtype):
        after = sequence_log_probs(model, found, dtype=dtype).total.cpu()
    known |= {"new_log_probs": after, "predicted_log_change": log_probs_jvp(model, change, found, dtype=dtype)}
    return ModelStep(**known) if kernel else StepChange(**known)
