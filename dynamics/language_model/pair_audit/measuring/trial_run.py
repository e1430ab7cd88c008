"""Does it come true: a short training run on a copy of the model, beside what the audit predicts for it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter

from dynamics.language_model.causal_lm import CausalLM, as_module, unwrapped
from dynamics.language_model.loading import LanguageModel
from dynamics.language_model.log_probs import sequence_log_probs
from dynamics.language_model.pair_audit.measuring.audit import Audit, AuditSettings
from dynamics.language_model.pair_audit.measuring.pair_set import PairSet
from dynamics.language_model.pair_audit.measuring.saved_adamw import SavedAdamW
from dynamics.language_model.pair_audit.measuring.set_gradient import Rule
from dynamics.language_model.pair_audit.measuring.trl_run import train_with_trl, trl_can_train
from dynamics.language_model.pair_audit.reading.rows import Pair
from dynamics.language_model.pair_audit.reading.tokens import Sequences
from dynamics.language_model.pair_audit.results.joined import read_joined
from dynamics.language_model.pair_audit.statistics import spearman, spearman_interval
from dynamics.language_model.parameters import requiring, select_parameters
from dynamics.language_model.training.differentiable import differentiable_log_probs
from dynamics.losses import PairLogProbs
from dynamics.optimizers import SGD

RATES = (1e-6, 1e-5)
"""The learning rates that are tried: the default of TRL's DPOTrainer, and ten times that."""
MOST = 256  # pairs that are trained on
BATCH = 8  # pairs in a step


@dataclass(frozen=True)
class Trial:
    """What a training run did to the chosen responses, beside the prediction for it.

    The prediction for the run is ``learning_rate * steps * set_chosen_change``.

    Attributes:
        trainer: ``"TRL's DPOTrainer"`` or ``"our loop"``.
        learning_rate: the learning rate, constant.
        steps: number of steps.
        pairs: number of pairs that were trained on and measured.
        predicted_to_fall: pairs whose chosen response is predicted to fall.
        fell: pairs whose chosen response fell.
        both: pairs of which both is true.
        same_sign: share of the pairs whose predicted and actual change have the same sign.
        rank_correlation: Spearman's correlation of predicted and actual changes; None if one of them is constant.
        interval: its 95 % interval over resampled pairs; None with fewer than 10 pairs.
        size: median of |actual| / |predicted|.
    """

    trainer: str
    learning_rate: float
    steps: int
    pairs: int
    predicted_to_fall: int
    fell: int
    both: int
    same_sign: float
    rank_correlation: float | None
    interval: tuple[float, float] | None
    size: float


def run_trials(
    audit: Audit,
    pairs: PairSet,
    optimizer: Rule,
    rates: Sequence[float] = RATES,
    progress: Callable[[int], None] | None = None,
    reference: CausalLM | None = None,
    own_loop: bool = False,
) -> list[Trial]:
    """Train copies of the model for one pass over the pairs, and compare what log pi(chosen) does with the prediction.

    TRL's DPOTrainer trains where it is installed and has the loss, else a loop of ours. The pairs are shuffled with a
    fixed seed and taken in batches of nearly equal size, at most 8; of more than 256 pairs, 256 are drawn. The training
    is in the model's own precision, without dropout and with a constant learning rate; log pi is measured in float64.

    Args:
        audit: data, settings, the results that ``run_audit`` and ``run_set`` wrote, and a model, which is not changed.
        pairs: the audited pairs.
        optimizer: as for ``set_step``.
        rates: learning rates.
        progress: called with the number of steps that are done, over all rates.
        reference: the reference model of the loss; by default the model itself.
        own_loop: use our own loop even where TRL could train.
    """
    loaded, settings = audit.loaded, audit.settings
    places = np.sort(np.random.default_rng(0).permutation(len(pairs))[:MOST])
    rows = {int(pairs.rows[place]): int(place) for place in places}
    changes = {r["row"]: r.get("set_chosen_change") for r in read_joined(audit.results) if r["row"] in rows}
    sequences: dict[int, Sequences] = {}
    given: list[Pair] = []
    for row in audit.tokenize(rows.__contains__).read():
        if row.tokens is not None and changes.get(row.number) is not None:
            sequences[row.number] = row.tokens.sequences
            given += [row.pair] if row.pair is not None else []
    numbers = list(sequences)
    if not numbers:
        return []
    chosen = [sequences[number].chosen for number in numbers]
    before = sequence_log_probs(loaded.model, chosen, dtype=torch.float64).total
    slopes = np.array([changes[number] for number in numbers])
    trl = not own_loop and trl_can_train(loaded, given, settings, optimizer)
    trials = []
    for place, rate in enumerate(rates):
        trained = LanguageModel(copy.deepcopy(loaded.model), loaded.tokenizer)
        order = np.random.default_rng(1).permutation(len(numbers))
        # of nearly equal sizes: the pairs of a small last batch would weigh more than the prediction has it
        batches = np.array_split(order, -(-len(order) // BATCH))

        def one(number: int) -> tuple[int, Sequences]:
            return rows[numbers[number]], sequences[numbers[number]]

        steps = [[one(int(number)) for number in batch] for batch in batches]
        done = place * len(batches)
        told = progress and _from(progress, done)
        if trl:
            other = loaded.model if reference is None else reference
            train_with_trl(trained, other, given, settings, optimizer, rate, max(map(len, batches)), told)
        else:
            _train(trained, steps, pairs, settings, optimizer, rate, told)
        after = sequence_log_probs(trained.model, chosen, dtype=torch.float64).total
        predicted, actual = rate * len(batches) * slopes, (after - before).cpu().numpy()
        trials.append(compare(rate, len(batches), predicted, actual, "TRL's DPOTrainer" if trl else "our loop"))
    return trials


def count_steps(pairs: int) -> int:
    """Return the number of training steps over all rates.

    Args:
        pairs: number of pairs.

    Example:
        >>> count_steps(20), count_steps(1000)
        (6, 64)
    """
    return len(RATES) * -(-min(pairs, MOST) // BATCH)


def compare(rate: float, steps: int, predicted: np.ndarray, actual: np.ndarray, trainer: str = "our loop") -> Trial:
    """Return how predicted and actual changes agree.

    Args:
        rate: the learning rate.
        steps: number of steps.
        predicted: predicted changes, ``(pairs,)``.
        actual: actual changes.
        trainer: what trained.

    Example:
        >>> trial = compare(1e-6, 1, np.array([-1.0, 1.0, 2.0]), np.array([-1.0, 1.5, 1.0]))
        >>> trial.both, trial.same_sign, trial.rank_correlation, trial.size
        (1, 1.0, 0.5, 1.0)
    """
    down, fell = predicted < 0, actual < 0
    moved = predicted != 0
    size = float(np.median(np.abs(actual[moved] / predicted[moved]))) if moved.any() else 0.0
    return Trial(
        *(trainer, rate, steps, len(predicted), int(down.sum()), int(fell.sum()), int((down & fell).sum())),
        float((np.sign(predicted) == np.sign(actual)).mean()),
        spearman(predicted, actual),
        spearman_interval(predicted, actual, seed=2),
        size,
    )


def _train(
    trained: LanguageModel,
    batches: Sequence[Sequence[tuple[int, Sequences]]],
    pairs: PairSet,
    settings: AuditSettings,
    optimizer: Rule,
    rate: float,
    progress: Callable[[int], None] | None,
) -> None:
    module = as_module(unwrapped(trained.model))
    selected = select_parameters(module, settings.parameters)
    rule = _torch_optimizer(optimizer, selected, rate)
    with requiring(module, selected), torch.enable_grad():
        for number, batch in enumerate(batches, start=1):
            sequences = [sequence for _, pair in batch for sequence in pair]
            log_probs = differentiable_log_probs(trained.model, sequences)
            weights = _weights(log_probs.detach().cpu(), pairs, [place for place, _ in batch], settings)
            rule.zero_grad()
            (log_probs * weights.to(log_probs.device)).sum().backward()
            rule.step()
            if progress is not None:
                progress(number)


def _torch_optimizer(optimizer: Rule, selected: Mapping[str, Parameter], rate: float) -> torch.optim.Optimizer:
    """Return the optimizer of torch that does what a rule says, in the state that the rule has."""
    if isinstance(optimizer, SGD):
        return torch.optim.SGD(selected.values(), lr=rate)
    saved = optimizer if isinstance(optimizer, SavedAdamW) else None
    rules: dict[str, Any] = {name: optimizer if saved is None else saved.rules[name] for name in selected}
    groups = [
        {"params": [p], "betas": rules[n].betas, "eps": rules[n].eps, "weight_decay": rules[n].weight_decay}
        for n, p in selected.items()
    ]
    found = torch.optim.AdamW(groups, lr=rate)
    for name, state in saved.moments.items() if saved is not None else ():
        parameter = selected[name]
        first, second = (part.to(parameter.device, parameter.dtype, copy=True) for part in state[1:])
        steps = torch.tensor(float(state.updates))
        found.state[parameter] = {"step": steps, "exp_avg": first, "exp_avg_sq": second}
    return found


def _weights(log_probs: Tensor, pairs: PairSet, places: list[int], settings: AuditSettings) -> Tensor:
    """Return dL/dlog pi of the sequences of a batch, where L is the mean of the losses of its pairs."""
    known = PairLogProbs(*(part[places] for part in pairs.pair))
    now = known._replace(chosen=log_probs[::2], rejected=log_probs[1::2])
    partials = settings.loss.total_partials(now, torch.full_like(now.chosen, 1 / len(places)))
    return torch.stack([part.expand(len(places)) for part in partials], dim=1).flatten()


def _from(progress: Callable[[int], None], done: int) -> Callable[[int], None]:
    return lambda number: progress(done + number)
