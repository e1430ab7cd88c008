"""Short runs of TRL's DPOTrainer on a tiny model, with and without the callback; also as a script under a launcher."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tests.dynamics.language_model.saved import products, tiny

QUIET = {"report_to": [], "disable_tqdm": True, "save_strategy": "no", "logging_steps": 2}
WATCH: dict[str, Any] = {"every": 2, "drives_every": 4, "probes": 5, "sample": 6, "greedy_tokens": 4}


class Run(NamedTuple):
    """A finished run: the trainer, the callback (None if nobody watched), and the numbers of the training."""

    trainer: Any
    watch: Any
    weights: dict[str, torch.Tensor]
    history: list[dict[str, Any]]
    random: torch.Tensor


def build(folder: Path, *, model: Any = None, watch: dict[str, Any] | None = None, **settings: Any) -> tuple[Any, Any]:
    """Return a trainer, as a user builds it, and its callback, if there are settings for one.

    Args:
        folder: where the trainer may write.
        model: by default a tiny Qwen2 in float32.
        watch: arguments of the callback; None for none.
        **settings: of DPOConfig, and ``peft_config``, ``callbacks``, ``rows``, ``eval_dataset``, ``ref_model``.
    """
    import datasets
    import trl

    from dynamics.language_model import DynamicsCallback

    loaded = tiny(dtype=torch.float32)
    own = ("peft_config", "callbacks", "eval_dataset", "ref_model")
    given = {name: settings.pop(name) for name in own if name in settings}
    rows = settings.pop("rows", products(12))
    if model is None:
        model = loaded.model
        if "ref_model" not in given and "peft_config" not in given:
            given["ref_model"] = tiny(dtype=torch.float32).model
    defaults = {"max_steps": 6, "learning_rate": 1e-3, "per_device_train_batch_size": 4, "use_cpu": True}
    arguments = trl.DPOConfig(output_dir=str(folder), **(QUIET | defaults | settings))
    data = datasets.Dataset.from_list(rows)
    trainer = trl.DPOTrainer(
        model=model, args=arguments, train_dataset=data, processing_class=loaded.tokenizer, **given
    )
    callback = None
    if watch is not None:
        callback = DynamicsCallback(trainer, **(WATCH | watch))
        trainer.add_callback(callback)
    return trainer, callback


def run(folder: Path, *, resume: str | None = None, **options: Any) -> Run:
    """Train, and return what came of it. All options are those of ``build``."""
    import datasets

    datasets.disable_progress_bars()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        trainer, callback = build(folder, **options)
        trainer.train(resume_from_checkpoint=resume)
    weights = {name: value.detach().clone() for name, value in trainer.model.state_dict().items()}
    history = [entry for entry in trainer.state.log_history if not any(key.startswith("dynamics/") for key in entry)]
    return Run(trainer, callback, weights, history, torch.random.get_rng_state())


def same_weights(one: Run, other: Run) -> bool:
    """Return whether two runs ended with the same weights, bit for bit."""
    assert one.weights.keys() == other.weights.keys()
    return all(torch.equal(value, other.weights[name]) for name, value in one.weights.items())


def lines(watch: Any) -> list[dict[str, Any]]:
    """Return all lines that a callback wrote."""
    return [json.loads(line) for line in watch.path.read_text().splitlines()]


if __name__ == "__main__":  # by a launcher, once for every process: FOLDER BATCH
    run(
        Path(sys.argv[1]),
        watch={"folder": Path(sys.argv[1]) / "log", "probes": 12},
        per_device_train_batch_size=int(sys.argv[2]),
        bf16=False,
    )
