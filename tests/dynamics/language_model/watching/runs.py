"""Short runs of TRL's DPOTrainer on a tiny model, with and without the callback; also as a script under a launcher."""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import torch

from dynamics.language_model import tiny_model
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
        **settings: of DPOConfig, and ``rows`` or ``data``, ``peft_config``, ``callbacks``, ``eval_dataset``,
            ``ref_model``, ``optimizers``.
    """
    import datasets
    import trl

    from dynamics.language_model import DynamicsCallback

    loaded = tiny(dtype=torch.float32)
    own = ("peft_config", "callbacks", "eval_dataset", "ref_model", "optimizers")
    given = {name: settings.pop(name) for name in own if name in settings}
    rows, data = settings.pop("rows", products(12)), settings.pop("data", None)
    if model is None:
        model = loaded.model
        if "ref_model" not in given and "peft_config" not in given:
            given["ref_model"] = tiny(dtype=torch.float32).model
    defaults = {"max_steps": 6, "learning_rate": 1e-3, "per_device_train_batch_size": 4, "use_cpu": True}
    arguments = trl.DPOConfig(output_dir=str(folder), **(QUIET | defaults | settings))
    data = datasets.Dataset.from_list(rows) if data is None else data
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


def note_moves(trainer: Any) -> list[bool]:
    """Return a list to which every step of a training to come adds whether any weight has changed."""
    import transformers

    moved: list[bool] = []

    class Weights(transformers.TrainerCallback):
        def on_step_begin(self, *_: Any, model: Any, **__: Any) -> None:
            self.before = [p.detach().clone() for p in model.parameters()]

        def on_step_end(self, *_: Any, model: Any, **__: Any) -> None:
            pairs = zip(self.before, model.parameters(), strict=True)
            moved.append(any(not torch.equal(before, after) for before, after in pairs))

    trainer.add_callback(Weights())
    return moved


def same_weights(one: Run, other: Run) -> bool:
    """Return whether two runs ended with the same weights, bit for bit."""
    assert one.weights.keys() == other.weights.keys()
    return all(torch.equal(value, other.weights[name]) for name, value in one.weights.items())


def lines(watch: Any) -> list[dict[str, Any]]:
    """Return all lines that a callback wrote."""
    return [json.loads(line) for line in watch.path.read_text().splitlines()]


def shard(number: int, of: int) -> Any:
    """Return the part of a stream of pairs that one of several processes reads."""
    import datasets
    from datasets.distributed import split_dataset_by_node

    stream = datasets.Dataset.from_list(products(48)).to_iterable_dataset(num_shards=of)
    return split_dataset_by_node(stream, rank=number, world_size=of)


STREAMED: dict[str, Any] = {"accelerator_config": {"dispatch_batches": False}, "max_steps": 2}
"""Settings of a run in which every process reads its own part of a stream."""


PROBES = 20
"""More probes than one group, so that every process measures some."""


def wide() -> dict[str, Any]:
    """Return settings of a training in float64, in which the order of a sum over processes matters little."""
    own, reference = (tiny_model("gpt2", vocabulary=258) for _ in range(2))  # Qwen2 would compute norms in float32
    return {"model": own, "ref_model": reference, "bf16": False, "rows": products(24)}


if __name__ == "__main__":  # by a launcher, once for every process: FOLDER BATCH
    place, batch = Path(sys.argv[1]), int(sys.argv[2])
    many = {"probes": PROBES}
    run(place, watch=many | {"folder": place / "log"}, per_device_train_batch_size=batch, **wide())
    own = shard(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    watch = many | {"folder": place / "streamed"}
    run(place, watch=watch, data=own, per_device_train_batch_size=batch, **STREAMED, **wide())
