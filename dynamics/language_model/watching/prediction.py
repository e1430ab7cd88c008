"""What the coming run will do to the probes, to first order, from the gradients of some training pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dynamics.language_model.causal_lm import CausalLM, as_module, unwrapped
from dynamics.language_model.jvp import log_probs_jvp
from dynamics.language_model.prediction.drives import dloss_dlog_probs, response_lengths
from dynamics.language_model.tokens import Pair
from dynamics.language_model.vjp import log_probs_vjp
from dynamics.language_model.watching.looks import score
from dynamics.language_model.watching.probes import Probe
from dynamics.losses import PreferenceLoss
from dynamics.optimizers import AdamW, Optimizer
from dynamics.preferences import pairs


@dataclass(frozen=True, eq=False)
class RunDirection:
    """The direction in which the parameters will move, while the model has hardly changed.

    Attributes:
        change: change of every parameter per unit of learning rate, by name.
        pairs: number of training pairs whose gradients it is made of.
    """

    change: dict[str, Tensor]
    pairs: int


def run_direction(
    model: CausalLM,
    sample: Sequence[Pair],
    reference: Tensor | None,
    loss: PreferenceLoss,
    optimizer: Optimizer,
    batch: int,
    clip: float = 0.0,
    rates: Mapping[str, float] | None = None,
    decay: Mapping[str, float] | None = None,
) -> RunDirection:
    """Return the mean step of the optimizer over batches of training pairs at the present parameters.

    For SGD it is minus the mean gradient, less the weight decay. AdamW divides the mean of the gradients of the batches
    by the root of the mean of their squares: that is where its two moments go after many steps on batches such as
    these, while the parameters hardly move. (After its first step alone it would be the sign of one batch's gradient.)

    Args:
        model: a causal language model; it is not changed.
        sample: training pairs.
        reference: log ref of the responses, ``(pairs, 2)``; None if the model is its own reference.
        loss: the loss.
        optimizer: ``SGD()`` or ``AdamW()``.
        batch: pairs in a step of the training.
        clip: largest norm of the gradient of a batch; 0 for no limit.
        rates: learning rate of every parameter by name, as a multiple of the one that the result is a change per unit
            of; the others do not move. By default all have the same.
        decay: weight decay of the parameters by name, in units of their learning rate; 0 for the others.

    Raises:
        OutOfMemory: a sequence does not fit into memory.

    Example:
        >>> from dynamics import DPO, SGD
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> from dynamics.language_model import TokenSequence
        >>> pair = TokenSequence((1, 2, 3), 1), TokenSequence((1, 4), 1)
        >>> run_direction(tiny_model(), [pair], None, DPO(), SGD(), batch=1).pairs
        1
    """
    module = as_module(unwrapped(model))
    mean: dict[str, Tensor] = {}
    square: dict[str, Tensor] = {}
    starts = range(0, len(sample), batch)
    for start in starts:
        part = sample[start : start + batch]
        ref = None if reference is None else reference[start : start + batch].flatten()
        gradient = _batch_gradient(model, part, ref, loss)
        norm = float(torch.stack([g.double().square().sum() for g in gradient.values()]).sum().sqrt())
        scale = min(1.0, clip / (norm + 1e-6)) if clip > 0 else 1.0
        share = len(part) / len(sample)
        for name, g in gradient.items():
            mean[name] = mean.get(name, torch.zeros_like(g)).add_(g, alpha=share * scale)
            square[name] = square.get(name, torch.zeros_like(g)).addcmul_(g, g, value=share * scale**2)
    change: dict[str, Tensor] = {}
    known = dict(module.named_parameters(remove_duplicate=False))
    for name, g in mean.items():
        rate = 1.0 if rates is None else rates.get(name, 0.0)
        if rate == 0:
            continue
        towards = g / square[name].sqrt().add_(optimizer.eps) if isinstance(optimizer, AdamW) else g
        weakened = (decay or {}).get(name, 0.0)
        if weakened:
            towards = towards.add(known[name].detach().to(g.dtype), alpha=weakened)
        change[name] = -rate * towards
    return RunDirection(change, len(sample))


def _batch_gradient(
    model: CausalLM, part: Sequence[Pair], reference: Tensor | None, loss: PreferenceLoss
) -> dict[str, Tensor]:
    sequences = [sequence for pair in part for sequence in pair]
    log_probs, _ = score(model, sequences, [False] * len(sequences))
    preferences = pairs(range(0, len(sequences), 2), range(1, len(sequences), 2), shape=(len(sequences),))
    weights = dloss_dlog_probs(log_probs, preferences, loss, reference, response_lengths(sequences))
    return log_probs_vjp(model, sequences, weights)


def run_slopes(model: CausalLM, direction: RunDirection, probes: Sequence[Probe]) -> list[dict[str, float]]:
    """Return the first-order change of log pi of every response of every probe, in nats per unit of learning rate.

    Multiplied by the sum of the learning rates of the steps it is the predicted change.

    Args:
        model: the model before training.
        direction: what ``run_direction`` returns.
        probes: the probes.
    """
    sequences = list(dict.fromkeys(s for probe in probes for s in probe.responses.values()))
    slopes = dict(zip(sequences, log_probs_jvp(model, direction.change, sequences).tolist(), strict=True))
    return [{role: slopes[sequence] for role, sequence in probe.responses.items()} for probe in probes]
