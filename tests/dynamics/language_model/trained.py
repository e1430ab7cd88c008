"""A real DPOTrainer of TRL with its default settings, which calls us after every step."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROWS = [
    {"prompt": f"{left} + {right} = ", "chosen": f"{left + right}", "rejected": f"It is {left * right + 1}"}
    for left, right in ((7, 8), (2, 9), (3, 3), (11, 4))
]


class TrainerFails(Exception):
    """An error of the trainer, which has nothing to do with us."""


def train(folder: Path, look: Callable[[Any], None], **settings: Any) -> Any:
    """Train for one step and let ``look`` see the model after it, as the trainer holds it.

    Args:
        folder: a saved model and its tokenizer; the trainer loads its reference from there and may write there.
        look: is called with the model that the trainer runs, wrapped by accelerate.
        **settings: further arguments of the trainer, such as ``peft_config``.

    Returns:
        The trainer.
    """
    import datasets
    import transformers
    import trl

    from dynamics.language_model import load

    loaded = load(folder)

    class Looking(transformers.TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            look(trainer.model_wrapped)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quiet = {"report_to": [], "disable_tqdm": True, "save_strategy": "no"}
        arguments = trl.DPOConfig(output_dir=str(folder / "trained"), max_steps=1, use_cpu=True, **quiet)
        trainer = trl.DPOTrainer(
            model=loaded.model,
            args=arguments,
            train_dataset=datasets.Dataset.from_list(ROWS),
            processing_class=loaded.tokenizer,
            callbacks=[Looking()],
            **settings,
        )
        trainer.train()
    return trainer


def _library(problem: Exception) -> str:
    """Return the file of TRL, or else of transformers, from which an error came: that of the innermost call."""
    files = [Path(frame.filename) for frame in traceback.extract_tb(problem.__traceback__)]
    for library in ("trl", "transformers"):
        inside = [file for file in files if library in file.parts]
        if inside:
            return "/".join(inside[-1].parts[inside[-1].parts.index(library) :])
    return "another library"


def numbers(model: Any, tokenizer: Any) -> dict[str, Any]:
    """Return what the commands ``kernel``, ``step`` and ``pairs`` compute for the rows, in their own dtypes."""
    import torch

    from dynamics.language_model import model_step, sequence_kernel, tokenize
    from dynamics.language_model.pair_audit.measuring.pair_numbers import audit_pairs

    pairs = [tuple(tokenize(tokenizer, r["prompt"], r[side]) for side in ("chosen", "rejected")) for r in ROWS[:2]]
    kernel = sequence_kernel(model, [s for pair in pairs for s in pair], dtype=torch.float32)
    step = model_step(model, pairs[0], learning_rate=1e-9)
    audits = audit_pairs(model, pairs, dtype=torch.float32)  # type: ignore[arg-type]
    return {
        "kernel": kernel.kernel / (kernel.norms() * kernel.norms()[:, None]),
        "log_probs": kernel.log_probs,
        "predicted": step.predicted_log_change / step.predicted_log_change.norm(),
        "actual": step.new_log_probs,
        "audit": torch.tensor([[a.cosine or 0.0, a.log_prob_chosen] for a in audits]),
    }


def differences(folder: Path, **settings: Any) -> dict[str, float]:
    """Return how much each number differs inside of the trainer from that of the same weights outside.

    ``moved`` is how much the step has changed log pi.

    Raises:
        TrainerFails: the trainer cannot train this model, whether we look or not.
    """
    from dynamics.language_model import load

    inside: dict[str, Any] = {}
    weights: dict[str, Any] = {}
    outside = load(folder)

    problems: list[Exception] = []

    def look(held: Any) -> None:
        weights.update(held.state_dict())
        try:
            inside.update(numbers(held, outside.tokenizer))
        except Exception as problem:
            problems.append(problem)

    try:
        train(folder, look, **settings)
    except Exception as problem:
        raise TrainerFails(
            f"{type(problem).__name__} in {_library(problem)}: {str(problem).strip()[:120]}"
        ) from problem
    if problems:
        raise problems[0]
    model = outside.model
    if "peft_config" in settings:
        import peft

        model = peft.get_peft_model(model, settings["peft_config"])
    before = numbers(model, outside.tokenizer)
    model.load_state_dict(weights)
    found = numbers(model, outside.tokenizer)
    moved = float((found["log_probs"] - before["log_probs"]).abs().max())
    return {"moved": moved} | {name: float((inside[name] - value).abs().max()) for name, value in found.items()}
