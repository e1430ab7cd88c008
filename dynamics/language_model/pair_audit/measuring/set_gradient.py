"""The gradient of the mean loss of a whole data set: summed row by row, saved, continued where it stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dynamics.files import write_atomically
from dynamics.language_model.causal_lm import as_module, unwrapped
from dynamics.language_model.jvp import Change
from dynamics.language_model.loading import LanguageModel, require
from dynamics.language_model.pair_audit.measuring.audit import Audit
from dynamics.language_model.pair_audit.measuring.pair_set import PairSet
from dynamics.language_model.pair_audit.measuring.saved_adamw import SavedAdamW
from dynamics.language_model.parameters import select_parameters
from dynamics.language_model.precision import compute_dtype
from dynamics.language_model.vjp import log_probs_vjp
from dynamics.optimizers import Optimizer

Rule = Optimizer | SavedAdamW
"""How a gradient becomes a step."""

EVERY = 60.0
"""Seconds between two savings of the gradient."""


def set_gradient(
    audit: Audit,
    pairs: PairSet,
    place: Path,
    identity: str,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Tensor]:
    """Return the gradient of the mean loss of a data set with respect to every selected parameter, by name.

    One pair is run after the other, and the sum is formed in the order of the rows, so that an interruption or another
    size of batches changes no digit. The sum so far is saved every minute and at the end.

    Args:
        audit: model, data and settings.
        pairs: its audited pairs.
        place: file of the gradient (safetensors).
        identity: identifies what the gradient depends on; a saved gradient of the same identity is continued.
        progress: called after every row with the number of rows that are done.

    Raises:
        OutOfMemory: a single sequence does not fit into memory.
    """
    model = audit.loaded.model
    selected = select_parameters(unwrapped(model), audit.settings.parameters)
    compute = compute_dtype(unwrapped(model), audit.settings.dtype)
    start, total = read_gradient(place, identity) or (0, {})
    for name, parameter in selected.items():
        before = total.get(name, torch.zeros(parameter.shape, dtype=compute))
        total[name] = before.to(parameter.device, compute)
    saved = time.monotonic()
    for row in audit.tokenize(lambda number: pairs.find(number) is not None).read():
        if row.number >= pairs.end:
            break
        number = pairs.find(row.number)
        if row.number >= start and number is not None and row.tokens is not None:
            sequences = row.tokens.sequences
            weights = torch.stack([pairs.of_chosen[number], pairs.of_rejected[number]])
            used = [place for place, weight in enumerate(weights.tolist()) if weight != 0]
            gradient = log_probs_vjp(model, [sequences[n] for n in used], weights[used], **audit.how)
            for name, part in gradient.items():
                total[name] += part
            if time.monotonic() - saved >= EVERY:
                _write(place, total, identity, row.number + 1)
                saved = time.monotonic()
        if progress is not None:
            progress(row.number + 1)
    if start < pairs.end:
        _write(place, total, identity, pairs.end)
    return total


def read_gradient(place: Path, identity: str) -> tuple[int, dict[str, Tensor]] | None:
    """Return how many rows a saved gradient covers, and the gradient; None if there is none of this identity.

    Args:
        place: its file.
        identity: as for ``set_gradient``.
    """
    if not place.is_file():
        return None
    safetensors = require("safetensors")
    try:
        with safetensors.safe_open(str(place), framework="pt") as file:
            about = file.metadata() or {}
            if about.get("identity") != identity:
                return None
            return int(about["rows"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, KeyError, ValueError):
        return None


def set_step(loaded: LanguageModel, gradient: dict[str, Tensor], optimizer: Rule) -> Change:
    """Return the change of the parameters in a step on the mean loss with learning rate 1.

    Args:
        loaded: model and tokenizer.
        gradient: of the mean loss, by name.
        optimizer: ``SGD()``; ``AdamW()``, which takes its first step; or the state of AdamW in a checkpoint, which
            takes its next one.
    """
    known = dict(as_module(unwrapped(loaded.model)).named_parameters(remove_duplicate=False))
    values = {name: known[name].detach().to(part.dtype) for name, part in gradient.items()}
    if isinstance(optimizer, SavedAdamW):
        return {name: optimizer.change(name, part, values[name]) for name, part in gradient.items()}
    return {name: optimizer.update(part, values[name], 1.0, None)[0] for name, part in gradient.items()}


def _write(place: Path, total: dict[str, Tensor], identity: str, rows: int) -> None:
    torch_files: Any = require("safetensors.torch")
    tensors = {name: part.detach().cpu().contiguous() for name, part in total.items()}
    about = {"identity": identity, "rows": str(rows)}
    write_atomically(place, lambda temporary: torch_files.save_file(tensors, str(temporary), metadata=about))
