"""What one gradient step on preference pairs does to log pi of any responses: predicted by the kernel, and really."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from dynamics.errors import ArrayLike, check_finite, check_number, check_shape, to_tensor
from dynamics.gradient import objective_cotangent, pair_quantities
from dynamics.kernel import drives
from dynamics.language_model.audit import plain_gradient
from dynamics.language_model.kernel import SequenceKernel, sequence_kernel
from dynamics.language_model.parameters import Filter, select_parameters
from dynamics.language_model.precision import computing_in
from dynamics.language_model.score import sequence_log_probs
from dynamics.language_model.sequences import TokenSequence
from dynamics.losses import DPO, PreferenceLoss
from dynamics.preferences import Preferences, pairs


@dataclass(frozen=True, eq=False)
class ModelStep:
    """What one SGD step on preference pairs did to the log-probabilities of some sequences.

    Attributes:
        log_probs: log pi before (nats), ``(sequences,)``.
        new_log_probs: log pi after.
        predicted: change of log pi to first order in the learning rate, ``(sequences,)``.
        drive: A_y = g_y . (g_w - g_l) of every sequence, ``(pairs, sequences)``.
        margin: what the loss is a function of, before, ``(pairs,)``.
        urgency: -f'(margin) before; sigma(-z) for DPO.
        preferences: the pairs.
        account: kernel of the sequences before the step.
    """

    log_probs: Tensor
    new_log_probs: Tensor
    predicted: Tensor
    drive: Tensor
    margin: Tensor
    urgency: Tensor
    preferences: Preferences = field(repr=False)
    account: SequenceKernel = field(repr=False)

    @property
    def actual(self) -> Tensor:
        """Return the exact change of log pi, ``(sequences,)``."""
        return self.new_log_probs - self.log_probs

    @property
    def displaced(self) -> Tensor:
        """Return, for each pair, whether its own first-order push lowers log pi(chosen): drive[chosen] < 0."""
        return self.drive.gather(1, self.preferences.chosen.unsqueeze(1)).squeeze(1) < 0


def predict_change(
    kernel: ArrayLike,
    log_probs: ArrayLike,
    preferences: Preferences,
    *,
    loss: PreferenceLoss,
    learning_rate: float,
    reference: ArrayLike | None = None,
    lengths: ArrayLike = 1.0,
) -> Tensor:
    """Return the change of log pi of every sequence after one SGD step, to first order in the learning rate.

    It is ``-eta sum_j K_ij dL/dlog pi_j``; for DPO on a single pair, ``eta beta sigma(-z) A_i`` (jian2025, Theorem 1).

    Args:
        kernel: <g_i, g_j>, ``(sequences, sequences)``.
        log_probs: log pi in nats, ``(sequences,)``.
        preferences: the pairs, of shape ``(sequences,)``.
        loss: the preference loss.
        learning_rate: eta.
        reference: log ref in nats; by default the model itself.
        lengths: tokens of every response, for losses that divide by them.

    Example:
        >>> step = pairs(0, 1, shape=(2,))
        >>> eye = torch.eye(2, dtype=torch.float64)
        >>> predict_change(eye, [-1.0, -2.0], step, loss=DPO(beta=0.5), learning_rate=0.1)
        tensor([ 0.0250, -0.0250], dtype=torch.float64)
    """
    check_number("learning_rate", learning_rate)
    before = check_finite("log_probs", to_tensor("log_probs", log_probs))
    table = check_shape("kernel", to_tensor("kernel", kernel), (before.numel(), before.numel()))
    return -learning_rate * (table @ _cotangent(before, preferences, loss, reference, lengths))


def model_step(
    model: Any,
    sequences: Iterable[TokenSequence],
    chosen: ArrayLike,
    rejected: ArrayLike,
    *,
    weight: ArrayLike = 1.0,
    loss: PreferenceLoss | None = None,
    learning_rate: float = 1e-4,
    reference: ArrayLike | None = None,
    parameters: Filter = None,
    dtype: torch.dtype = torch.float64,
    **options: Any,
) -> ModelStep:
    """Take one SGD step on preference pairs, look at every sequence before and after, and take the step back.

    The prediction comes from the kernel; the step itself from plain autograd, which shares no code with it.

    Args:
        model: a causal language model; left as it was.
        sequences: responses to look at, those of the pairs among them.
        chosen: number of y_w among the sequences, for each pair.
        rejected: number of y_l.
        weight: weight of each pair; the objective is the weighted sum.
        loss: preference loss; ``DPO()`` by default.
        learning_rate: eta of SGD.
        reference: log ref of every sequence in nats; by default the model itself, so that the log-ratio is 0.
        parameters: those that are trained, as in ``sequence_kernel``.
        dtype: dtype to compute in; the difference of two log-probabilities wants float64.
        **options: of ``sequence_kernel``.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> three = [TokenSequence((1, 2, y), 1) for y in (3, 4, 5)]
        >>> account = model_step(tiny_model(), three, 0, 1, loss=DPO(beta=0.5), learning_rate=1e-6)
        >>> torch.allclose(account.actual, account.predicted, rtol=1e-3)
        True
    """
    found, loss = tuple(sequences), DPO() if loss is None else loss
    check_number("learning_rate", learning_rate)
    preferences = pairs(chosen, rejected, shape=(len(found),), weight=weight)
    account = sequence_kernel(model, found, parameters=parameters, dtype=dtype, **options)
    before = account.log_probs
    lengths = torch.tensor([float(s.length) for s in found], dtype=torch.float64)
    slopes = _cotangent(before, preferences, loss, reference, lengths)
    gradient = plain_gradient(model, found, slopes, parameters, dtype)
    with computing_in(model, dtype), _moved(select_parameters(model, parameters), gradient, -learning_rate):
        after = sequence_log_probs(model, found, dtype=dtype).total.cpu()
    pair = pair_quantities(before, _reference(before, reference), preferences, lengths)
    return ModelStep(
        before,
        after,
        predict_change(
            account.kernel,
            before,
            preferences,
            loss=loss,
            learning_rate=learning_rate,
            reference=reference,
            lengths=lengths,
        ),
        drives(account.kernel, preferences),
        loss.margin(pair),
        loss.urgency(pair),
        preferences,
        account,
    )


def _reference(log_probs: Tensor, reference: ArrayLike | None) -> Tensor:
    if reference is None:
        return log_probs
    return check_shape("reference", check_finite("reference", to_tensor("reference", reference)), log_probs.shape)


def _cotangent(
    log_probs: Tensor, preferences: Preferences, loss: PreferenceLoss, reference: ArrayLike | None, lengths: ArrayLike
) -> Tensor:
    check_shape("log_probs", log_probs, preferences.shape)
    tokens = to_tensor("lengths", lengths).expand(log_probs.shape)
    return objective_cotangent(log_probs, _reference(log_probs, reference), preferences, loss, tokens)


@contextmanager
def _moved(parameters: dict[str, nn.Parameter], direction: dict[str, Tensor], size: float) -> Iterator[None]:
    """Move parameters along a direction, and put the very same numbers back."""
    before = {name: parameter.data for name, parameter in parameters.items()}
    try:
        for name, parameter in parameters.items():
            parameter.data = before[name] + size * direction[name]
        yield
    finally:
        for name, parameter in parameters.items():
            parameter.data = before[name]
