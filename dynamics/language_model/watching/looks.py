"""One look at the probes: log-probabilities and entropies, and the drives by the present kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dynamics.language_model.batching import length_matters, make_batches
from dynamics.language_model.causal_lm import CausalLM, unwrapped
from dynamics.language_model.kernel.sequence_kernel import block_kernels
from dynamics.language_model.log_probs import VOCABULARY_PIECE
from dynamics.language_model.model_head import Head, confirmed_head, find_head, hidden_states, log_partition
from dynamics.language_model.out_of_memory import raising_out_of_memory
from dynamics.language_model.precision import ROUNDING, compute_dtype, computing_in
from dynamics.language_model.prediction.drives import NotFinite, finite_chosen_slope
from dynamics.language_model.tokens import TokenSequence
from dynamics.language_model.watching.probes import Probe
from dynamics.losses import PairLogProbs, PreferenceLoss

ROWS_AT_ONCE = 512
"""Positions whose logits over the whole vocabulary exist at once where their entropy is computed."""


@dataclass(frozen=True)
class Scores:
    """What one forward pass says about a probe.

    Attributes:
        log_probs: log pi of every response by its role, nats.
        entropy: mean entropy of the next-token distributions along the chosen response, nats.
    """

    log_probs: dict[str, float]
    entropy: float


@dataclass(frozen=True)
class Drives:
    """What the present kernel says about a probe.

    Attributes:
        drive: A_y = g_y . (g_w - g_l) of every response by its role, where w and l are the pair of this probe.
        squares: |g_w|^2, <g_w, g_l> and |g_l|^2.
        own_chosen_change: first-order change of log pi(chosen) per unit of learning rate in an SGD step on this pair
            alone; None without a loss or its reference, or if it is not finite.
    """

    drive: dict[str, float]
    squares: tuple[float, float, float]
    own_chosen_change: float | None


def score_probes(model: CausalLM, probes: Sequence[Probe], batch_tokens: int = 8192) -> list[Scores]:
    """Return log pi of every response of every probe, and the entropy along the chosen ones.

    Args:
        model: a causal language model; it is not changed.
        probes: the probes.
        batch_tokens: padded tokens in one forward pass.

    Raises:
        OutOfMemory: the sequences do not fit into memory.
    """
    sequences = list(dict.fromkeys(s for probe in probes for s in probe.responses.values()))
    along = {probe.chosen for probe in probes}
    log_probs, entropies = score(model, sequences, [s in along for s in sequences], batch_tokens)
    place = {sequence: number for number, sequence in enumerate(sequences)}
    values, entropy = log_probs.tolist(), entropies.tolist()
    return [
        Scores({role: values[place[s]] for role, s in probe.responses.items()}, entropy[place[probe.chosen]])
        for probe in probes
    ]


def score(
    model: CausalLM, sequences: Sequence[TokenSequence], entropy: Sequence[bool], batch_tokens: int = 8192
) -> tuple[Tensor, Tensor]:
    """Return log pi of every sequence, and the mean entropy along those that are marked; float64 ``(sequences,)``.

    Args:
        model: the model.
        sequences: prompts and responses.
        entropy: of which sequences the entropy is asked for; it is NaN for the others.
        batch_tokens: padded tokens in one forward pass.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> log_probs, entropy = score(tiny_model(), [TokenSequence((1, y), 1) for y in range(23)], [True] * 23)
        >>> bool((entropy[0] + (log_probs.exp() * log_probs).sum()).abs() < 1e-12)
        True
    """
    model = unwrapped(model)
    device = find_head(model).device
    total, mean = torch.empty(len(sequences), dtype=torch.float64), torch.full((len(sequences),), torch.nan).double()
    naming_memory = raising_out_of_memory("probes", len(sequences))
    with naming_memory, computing_in(model, compute_dtype(model, None)), torch.no_grad():
        head = confirmed_head(model, make_batches(sequences[:1], None, device)[0].ids)
        for batch in make_batches(sequences, batch_tokens, device, length_matters(model)):
            hidden = hidden_states(model, batch.ids, head).flatten(0, 1)[batch.predicting]
            _, log_probs = log_partition(hidden, head, batch.targets, VOCABULARY_PIECE)
            rows = zip(batch.numbers, log_probs.split(batch.responses), hidden.split(batch.responses), strict=True)
            for number, own, states in rows:
                total[number] = own.sum()
                if entropy[number]:
                    mean[number] = _entropy(states, head).mean()
    return total, mean


def _entropy(hidden: Tensor, head: Head) -> Tensor:
    """Return the entropy of the next-token distribution of each row, nats."""
    found = []
    for part in hidden.split(ROWS_AT_ONCE):
        log_p = head.logits(part, slice(0, head.vocabulary)).double().log_softmax(-1)
        found.append(-torch.xlogy(log_p.exp(), log_p.exp()).sum(-1))
    return torch.cat(found)


def probe_drives(
    model: CausalLM, probes: Sequence[Probe], loss: PreferenceLoss | None, reference: Sequence[dict[str, float] | None]
) -> list[Drives]:
    """Return the drives of the probes by the present kernel. No inner product between two probes is computed.

    Args:
        model: a causal language model; it is not changed.
        probes: the probes.
        loss: the loss of the training; None if it is not known.
        reference: log ref of the two responses of every probe; None where it is unknown and the loss needs it.

    Raises:
        OutOfMemory: the probes do not fit into memory.
    """
    kernels = block_kernels(model, [list(probe.responses.values()) for probe in probes])
    found = []
    for probe, result, ref in zip(probes, kernels, reference, strict=True):
        roles, kernel = list(probe.responses), result.kernel.cpu()
        w, other = roles.index("chosen"), roles.index("rejected")
        drive = kernel[:, w] - kernel[:, other]
        slope = None
        if loss is not None and ref is not None:
            ends: dict[str, Any] = {"ww": kernel[w, w], "wl": kernel[w, other], "ll": kernel[other, other]}
            pair = pair_of(probe, dict(zip(roles, result.log_probs.tolist(), strict=True)), ref)
            try:
                alone = {name: value.reshape(1) for name, value in ends.items()}
                slope = float(finite_chosen_slope(loss, pair, **alone, rounding=ROUNDING[result.dtype]))
            except NotFinite:
                slope = None
        squares = float(kernel[w, w]), float(kernel[w, other]), float(kernel[other, other])
        found.append(Drives(dict(zip(roles, drive.tolist(), strict=True)), squares, slope))
    return found


def pair_of(probe: Probe, log_probs: dict[str, float], reference: dict[str, float]) -> PairLogProbs:
    """Return what a loss needs to know about the pair of one probe, each ``(1,)``."""
    values = [*(log_probs[side] for side in ("chosen", "rejected")), *(reference[s] for s in ("chosen", "rejected"))]
    lengths = [float(probe.chosen.length), float(probe.rejected.length)]
    return PairLogProbs(*(torch.tensor([value], dtype=torch.float64) for value in (*values, *lengths)))
