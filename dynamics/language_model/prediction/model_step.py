"""What one optimizer step on preference pairs does to log pi of any responses: predicted, and really."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from dynamics.errors import ArrayLike
from dynamics.language_model.jvp import push_log_probs
from dynamics.language_model.log_probs import sequence_log_probs
from dynamics.language_model.parameters import Filter
from dynamics.language_model.prediction.drives import PairDrives, pair_drives
from dynamics.language_model.prediction.parameter_change import change_from_slopes, moved
from dynamics.language_model.tokens import TokenSequence, read_sequences
from dynamics.losses import PreferenceLoss
from dynamics.optimizers import Optimizer


@dataclass(frozen=True, eq=False)
class ModelStep(PairDrives):
    """What one step on preference pairs did to the log-probabilities of some sequences.

    It knows all that ``PairDrives`` knows before the step, and what came of it.

    Attributes:
        new_log_probs: log pi after (nats), ``(sequences,)``.
        predicted: change of log pi to first order in the step that was taken: <g_y, change of theta>, by one
            forward-mode pass, ``(sequences,)``. After SGD it is ``predict(learning_rate)``, the kernel's word, too;
            after another optimizer that is what SGD would have done.
    """

    new_log_probs: Tensor
    predicted: Tensor

    @property
    def actual(self) -> Tensor:
        """Return the exact change of log pi, ``(sequences,)``."""
        return self.new_log_probs - self.log_probs

    @property
    def relative_error(self) -> Tensor:
        """Return |actual - predicted| / |actual| of every sequence; NaN where nothing moved and nothing should."""
        return (self.actual - self.predicted).abs() / self.actual.abs()


def model_step(
    model: Any,
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
    **options: Any,
) -> ModelStep:
    """Take one step on preference pairs, look at every sequence before and after, and take the step back.

    The drives come from the kernel, the step from plain autograd and the optimizer's own rule, the prediction from
    forward mode along that step; the three share no code. Theorem 1 of jian2025 is about SGD: the first step of AdamW
    is nearly the sign of the gradient and may raise what SGD lowers. ``displaced`` and ``chosen_push`` are about an SGD
    step whatever the optimizer is; ``predicted`` and ``actual`` are about the step that was taken.

    Args:
        model: a causal language model; left as it was.
        sequences: responses to look at, those of the pairs among them; by default y_w and y_l come first.
        chosen: number of y_w among the sequences, for each pair.
        rejected: number of y_l.
        weight: weight of each pair; the objective is the weighted mean of their losses.
        loss: preference loss; ``DPO()`` by default.
        learning_rate: eta; 1e-4 by default.
        reference: log ref of every sequence in nats; by default the model itself, so that the log-ratio is 0.
        optimizer: ``SGD()`` (by default), ``AdamW()`` taking its first step, or a live optimizer of torch over the
            model's parameters, in its present state and with its own learning rates; it is copied, not stepped.
        parameters: those that are trained, as in ``sequence_kernel``.
        dtype: dtype to compute in; the difference of two log-probabilities wants float64.
        **options: of ``sequence_kernel``.

    Raises:
        InvalidArgument: as for ``pair_drives`` and ``parameter_change``.

    Example:
        >>> from dynamics import DPO, AdamW
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> three = [TokenSequence((1, 2, y), 1) for y in (3, 4, 5)]
        >>> how = {"loss": DPO(beta=0.5), "learning_rate": 1e-7}
        >>> for optimizer in (None, AdamW()):
        ...     account = model_step(tiny_model(), three, optimizer=optimizer, **how)
        ...     bool(account.relative_error.max() < 1e-3)
        True
        True
    """
    found = read_sequences(sequences)
    before = pair_drives(
        *(model, found, chosen, rejected),
        weight=weight,
        loss=loss,
        reference=reference,
        parameters=parameters,
        dtype=dtype,
        **options,
    )
    change = change_from_slopes(model, found, before.slopes, optimizer, learning_rate, parameters, dtype)
    with moved(model, change, dtype):
        after = sequence_log_probs(model, found, dtype=dtype).total.cpu()
    known = {field.name: getattr(before, field.name) for field in fields(before)}
    return ModelStep(**known, new_log_probs=after, predicted=push_log_probs(model, change, found, dtype=dtype))
