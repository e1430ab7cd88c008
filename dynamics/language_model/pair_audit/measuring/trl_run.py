"""A short training run by TRL's DPOTrainer, for losses that it has."""

from __future__ import annotations

import copy
import importlib.util
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, cast

from dynamics.language_model.causal_lm import CausalLM
from dynamics.language_model.loading import LanguageModel, require
from dynamics.language_model.pair_audit.measuring.audit import AuditSettings
from dynamics.language_model.pair_audit.measuring.set_gradient import Rule
from dynamics.language_model.pair_audit.reading.rows import Pair
from dynamics.language_model.tokens import Messages
from dynamics.losses import TRL_NAMES, PreferenceLoss, get_loss
from dynamics.losses.base import WeightedSum
from dynamics.optimizers import SGD, AdamW

IN_TRL = {"beta", "label_smoothing"}
"""Fields of a loss that are settings of the same name in DPOConfig."""
NOT_IN_DPO_TRAINER = {"simpo", "alphapo", "tpo-l", "kto", "apo_zero_unpaired"}
"""Names of ``TRL_NAMES`` that other trainers of TRL have."""


def trl_settings(loss: PreferenceLoss) -> dict[str, Any] | None:
    """Return the settings of TRL's DPOConfig (1.16) that are a loss; None if there are none.

    Args:
        loss: a loss, or a weighted sum of losses with one beta.

    Example:
        >>> from dynamics.losses import DPO, SimPO
        >>> from dynamics.losses.batch import SFTPerToken
        >>> trl_settings(DPO(beta=0.2))
        {'loss_type': ['sigmoid'], 'beta': 0.2}
        >>> trl_settings(DPO() + 0.5 * SFTPerToken())
        {'loss_type': ['sigmoid', 'sft'], 'beta': 0.1, 'loss_weights': [1.0, 0.5]}
        >>> trl_settings(SimPO()) is None
        True
    """
    terms = loss.terms if isinstance(loss, WeightedSum) else ((1.0, loss),)
    names = {
        type(get_loss(name)).__name__: trl for trl, name in reversed(TRL_NAMES.items()) if trl not in NOT_IN_DPO_TRAINER
    }
    found: dict[str, Any] = {"loss_type": [names.get(type(term).__name__) for _, term in terms]}
    if None in found["loss_type"]:
        return None
    for _, term in terms:
        for field in fields(cast(Any, term)):
            value = getattr(term, field.name)
            if field.name not in IN_TRL or found.setdefault(field.name, value) != value:
                return None
    if len(terms) > 1:
        found["loss_weights"] = [float(weight) for weight, _ in terms]
    return found


def trl_can_train(loaded: LanguageModel, pairs: Sequence[Pair], settings: AuditSettings, optimizer: Rule) -> bool:
    """Return whether TRL is installed and trains exactly this: the loss, all parameters, the optimizer, these pairs.

    Pairs are left to our own loop if a table of the library datasets cannot hold them as they are: texts beside
    messages, or tool calls with different arguments, which it would give the missing ones as None.

    Args:
        loaded: model and tokenizer.
        pairs: the pairs.
        settings: how they were audited.
        optimizer: SGD, or AdamW from its first step on.
    """
    simple = all(pair.ids is None and not pair.template_arguments and not pair.repeated for pair in pairs)
    whole = settings.parameters is None and not hasattr(loaded.model, "peft_config")
    known = isinstance(optimizer, (SGD, AdamW)) and trl_settings(settings.loss) is not None
    installed = all(importlib.util.find_spec(name) is not None for name in ("trl", "datasets"))
    return simple and whole and known and loaded.tokenizer is not None and installed and _as_table(pairs) is not None


def train_with_trl(
    trained: LanguageModel,
    reference: CausalLM,
    pairs: Sequence[Pair],
    settings: AuditSettings,
    optimizer: Rule,
    rate: float,
    size: int,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Train a model on pairs, once through, in batches that the trainer draws.

    The settings are TRL's defaults, but for a constant learning rate, no clipping of gradients and the model's own
    precision, without which the size of a change could not be compared with its prediction.

    Args:
        trained: model and tokenizer; the model is changed.
        reference: the reference model; it is not changed.
        pairs: the pairs.
        settings: how they were audited.
        optimizer: SGD or AdamW.
        rate: the learning rate.
        size: pairs in a batch.
        progress: called with the number of steps that are done.
    """
    library, datasets, transformers = require("trl"), require("datasets"), require("transformers")
    adamw = optimizer if isinstance(optimizer, AdamW) else AdamW(weight_decay=0.0)
    moments = {"adam_beta1": adamw.betas[0], "adam_beta2": adamw.betas[1], "adam_epsilon": adamw.eps}
    quiet = {"report_to": [], "disable_tqdm": True, "save_strategy": "no", "logging_strategy": "no"}
    plain = {"bf16": False, "gradient_checkpointing": False, "max_grad_norm": 0.0, "lr_scheduler_type": "constant"}
    length = {"max_length": settings.truncation.max_length, "truncation_mode": settings.truncation.mode}
    device = next(trained.model.parameters()).device

    class Counting(transformers.TrainerCallback):  # type: ignore[misc, name-defined]
        def on_step_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
            if progress is not None:
                progress(state.global_step)

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arguments = library.DPOConfig(
            output_dir=folder,
            learning_rate=rate,
            optim="sgd" if isinstance(optimizer, SGD) else "adamw_torch",
            weight_decay=adamw.weight_decay,
            per_device_train_batch_size=size,
            num_train_epochs=1,
            use_cpu=device.type == "cpu",
            dataloader_pin_memory=False,
            **(trl_settings(settings.loss) or {}),
            **moments,
            **quiet,
            **plain,
            **length,
        )
        shown = datasets.is_progress_bar_enabled()
        datasets.disable_progress_bars()
        trainer = library.DPOTrainer(
            model=trained.model,
            ref_model=copy.deepcopy(reference),  # the trainer sets the dropout of its models to 0
            args=arguments,
            train_dataset=_as_table(pairs),
            processing_class=trained.tokenizer,
            callbacks=[Counting()],
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
        if shown:
            datasets.enable_progress_bars()


def _as_table(pairs: Sequence[Pair]) -> Any:
    """Return the data set that TRL is given; None if it would hold other pairs than these."""
    datasets, pyarrow = require("datasets"), require("pyarrow")
    records = [_record(pair) for pair in pairs]
    try:
        table = datasets.Dataset.from_list(records)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError):  # values of different types in one column
        return None
    return table if [_without_none(row) for row in table] == [_without_none(row) for row in records] else None


def _without_none(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row without the fields of its messages that are None: a table has each field in every message."""
    return {
        column: value
        if isinstance(value, str)
        else [{k: v for k, v in turn.items() if v is not None} for turn in value]
        for column, value in record.items()
    }


def _record(pair: Pair) -> Mapping[str, Any]:
    """Return a pair in the form that TRL reads."""
    if isinstance(pair.prompt, str):
        return {"prompt": pair.prompt, "chosen": pair.chosen, "rejected": pair.rejected}
    return {
        "prompt": [dict(turn) for turn in cast(Messages, pair.prompt)],
        "chosen": [dict(turn) for turn in cast(Messages, pair.chosen)],
        "rejected": [dict(turn) for turn in cast(Messages, pair.rejected)],
    }
