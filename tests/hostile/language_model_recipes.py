"""Recipes for the public names of ``dynamics.language_model``."""

from __future__ import annotations

import random
import tempfile
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from dynamics import DPO, SGD, AdamW, language_model as lm, pairs
from dynamics.language_model import TokenSequence
from tests.dynamics.language_model.saved import save_tiny
from tests.dynamics.language_model.tokenizers import byte_tokenizer
from tests.hostile.judge import Recipe

PAIR = (TokenSequence((1, 2, 3), 2), TokenSequence((1, 2, 4, 5), 2))


@cache
def model() -> Any:
    return lm.tiny_model(width=8, layers=1, heads=2, vocabulary=11)


@cache
def adapted() -> Any:
    return lm.add_adapters(model(), rank=1, targets=["q_proj"])


def sequences(source: random.Random) -> dict[str, Any]:
    return {"model": model(), "sequences": source.choice([list(PAIR), PAIR])}


def change(source: random.Random) -> dict[str, Any]:
    made = {"model.norm.weight": torch.full((8,), source.random())}
    return {"model": model(), "change": made, "dtype": source.choice([None, torch.float64])}


def for_score(source: random.Random) -> dict[str, Any]:
    return sequences(source) | {"dtype": source.choice([None, torch.float64]), "batch_tokens": 4, "vocabulary_piece": 5}


def for_kernel(source: random.Random) -> dict[str, Any]:
    more = {"parameters": source.choice([None, "*norm*", ["*"]]), "memory": source.choice(["auto", "layerwise"])}
    return for_score(source) | more | {"contraction": source.choice([None, "ghost", "materialised"])}


def for_pairs(source: random.Random) -> dict[str, Any]:
    which = {"chosen": source.choice([0, [0]]), "rejected": source.choice([1, [1]]), "weight": 1.0}
    more = {"loss": source.choice([None, DPO(beta=0.5)]), "reference": source.choice([None, [-3.0, -4.0]])}
    return sequences(source) | which | more | {"parameters": None, "dtype": source.choice([torch.float64])}


def for_step(source: random.Random) -> dict[str, Any]:
    rate = {"learning_rate": source.choice([None, 1e-6, 0])}
    return for_pairs(source) | rate | {"optimizer": source.choice([None, SGD(), AdamW()])}


def for_path(source: random.Random) -> dict[str, Any]:
    run = {"model": model(), "pairs": [PAIR], "steps": 2, "others": source.choice([(), [PAIR[0]]]), "seed": 0}
    how = {"learning_rate": source.choice([None, 1e-4]), "batches": source.choice([None, 1, [[0], [0]]])}
    more = {"loss": source.choice([None, DPO(beta=0.5)]), "reference": source.choice([None, [-3.0, -4.0]])}
    return run | how | more | {"parameters": None, "optimizer": source.choice([None, SGD(), AdamW()])}


def for_predicted_path(source: random.Random) -> dict[str, Any]:
    which = source.choice([{"kernel": "frozen", "every": None}, {"kernel": None, "every": 1}])
    return for_path(source) | which | {"preconditioner": source.choice(["held", "reread"]), "dtype": None}


def for_flow(source: random.Random) -> dict[str, Any]:
    run = {"model": model(), "pairs": [PAIR], "times": [0.1, 0.2], "others": source.choice([(), [PAIR[0]]])}
    return run | {"loss": source.choice([None, DPO(beta=0.5)]), "reference": source.choice([None, [-3.0, -4.0]])}


def for_training(source: random.Random) -> dict[str, Any]:
    """Return a model of its own, since it is trained."""
    return for_path(source) | {"model": lm.tiny_model(width=8, layers=1, heads=2, vocabulary=11)}


def for_prediction(source: random.Random) -> dict[str, Any]:
    eye = torch.eye(2, dtype=torch.float64)
    step = {"preferences": pairs(0, 1, shape=(2,)), "loss": DPO(), "learning_rate": 0.1}
    return {"kernel": eye, "log_probs": [-1.0, -2.0]} | step | {"reference": None, "lengths": 1.0}


def for_check(source: random.Random) -> dict[str, Any]:
    more = {"kernel": torch.eye(2, dtype=torch.float64), "vector": torch.tensor([1.0, source.random()])}
    return sequences(source) | more | {"parameters": None, "dtype": None}


def for_vjp(source: random.Random) -> dict[str, Any]:
    return sequences(source) | {"vector": torch.tensor([1.0, -1.0]), "parameters": None, "dtype": None}


def contexts(source: random.Random) -> dict[str, Any]:
    return {"contexts": source.choice([[(1, 2)], [PAIR[0], [3]]]), "batch_tokens": 8, "vocabulary_piece": 5}


def for_ches(source: random.Random) -> dict[str, Any]:
    return {"model": model(), "pairs": [PAIR], "dtype": None, "batch_tokens": 8}


def enter_changed_parameters(**arguments: Any) -> None:
    with lm.changed_parameters(**arguments):
        pass


def for_adapters(source: random.Random) -> dict[str, Any]:
    return {"model": model(), "rank": 1, "alpha": 8.0, "targets": source.choice(["q_proj", ["q_proj"]]), "seed": 0}


@cache
def folder() -> Path:
    """Return a folder with a tiny model and its tokenizer, which is removed when the process ends."""
    kept = tempfile.TemporaryDirectory()
    FOLDERS.append(kept)
    return save_tiny(Path(kept.name) / "model")


FOLDERS: list[tempfile.TemporaryDirectory[str]] = []


def load_offline(**arguments: Any) -> Any:
    """Load without asking the hub, which would be tried again and again where there is no network."""
    with patch("huggingface_hub.constants.HF_HUB_OFFLINE", True):
        return lm.load(**arguments)


def for_load(_: random.Random) -> dict[str, Any]:
    return {"name": folder(), "revision": None, "dtype": "float32", "device": "cpu"}


def for_tokenize(source: random.Random) -> dict[str, Any]:
    return {"tokenizer": byte_tokenizer(), "prompt": "a", "response": source.choice(["b", "bc"]), "eos": True}


def for_tiny_model(source: random.Random) -> dict[str, Any]:
    sizes = {"vocabulary": 5, "width": 8, "layers": 1, "heads": 2, "tied": source.choice([True, False])}
    return {"architecture": source.choice(["qwen2", "gpt2"])} | sizes | {"seed": 0, "dtype": torch.float64}


def for_settings(source: random.Random) -> dict[str, Any]:
    rate = {"learning_rate": source.choice([1e-5, (1e-5, 1e-6)]), "optimizer": source.choice(["sgd", "adamw"])}
    return {"beta": 0.5, "penalty": 1.0, "gamma": 0.0, "inner_steps": 1, "inner_learning_rate": 1e-5} | rate


def sides(source: random.Random) -> dict[str, Any]:
    return {"chosen": PAIR[:1], "rejected": PAIR[1:], "sft": source.choice([None, PAIR])}


def for_batch(source: random.Random) -> dict[str, Any]:
    reference = torch.tensor([-3.0], dtype=torch.float64)
    return sides(source) | {"reference_chosen": reference, "reference_rejected": reference}


def for_iteration(_: random.Random) -> dict[str, Any]:
    state, batch = lm.stable_po_state(adapted()), lm.pair_batch(adapted(), PAIR[:1], PAIR[1:])
    return {"adapted": adapted(), "state": state, "batch": batch, "settings": lm.StablePO()}


LANGUAGE_MODEL: dict[str, Recipe] = {
    "sequence_log_probs": Recipe(lm.sequence_log_probs, for_score),
    "differentiable_log_probs": Recipe(lm.differentiable_log_probs, lambda s: sequences(s) | {"values": None}),
    "sequence_kernel": Recipe(lm.sequence_kernel, for_kernel),
    "cross_kernel": Recipe(lm.cross_kernel, lambda _: {"model": model(), "rows": list(PAIR), "columns": PAIR[:1]}),
    "block_kernels": Recipe(lm.block_kernels, lambda _: {"model": model(), "groups": [list(PAIR), PAIR[:1]]}),
    "token_kernel": Recipe(lm.token_kernel, sequences),
    "verify_kernel": Recipe(lm.verify_kernel, for_check, nan_means=("from_backward", "error")),
    # a weight of 1e308 takes a gradient out of the range of floats
    "log_probs_vjp": Recipe(lm.log_probs_vjp, for_vjp, nan_means=("model.*", "lm_head.*")),
    "ches": Recipe(lm.ches, for_ches),
    "pair_drives": Recipe(lm.pair_drives, for_pairs),
    "predict_change": Recipe(lm.predict_change, for_prediction),
    "predict_path": Recipe(lm.predict_path, for_predicted_path),
    "predict_flow": Recipe(lm.predict_flow, for_flow),
    "train": Recipe(lm.train, for_training),
    "parameter_change": Recipe(lm.parameter_change, for_step),
    "model_step": Recipe(lm.model_step, for_step),
    "changed_parameters": Recipe(enter_changed_parameters, change),
    "log_probs_jvp": Recipe(lm.log_probs_jvp, lambda s: change(s) | sequences(s)),
    "vocabulary_shift": Recipe(lm.vocabulary_shift, lambda s: change(s) | contexts(s)),
    "next_token_log_probs": Recipe(lm.next_token_log_probs, lambda s: {"model": model(), "dtype": None} | contexts(s)),
    "add_adapters": Recipe(lm.add_adapters, for_adapters),
    "TokenSequence": Recipe(lm.TokenSequence, lambda _: {"ids": (1, 2, 3), "prompt_tokens": 1, "cut": False}),
    "tokenize": Recipe(lm.tokenize, for_tokenize),
    "load": Recipe(load_offline, for_load),
    "tiny_model": Recipe(lm.tiny_model, for_tiny_model),
    "StablePO": Recipe(lm.StablePO, for_settings),
    "PairBatch": Recipe(lm.PairBatch, for_batch),
    "pair_batch": Recipe(lm.pair_batch, lambda s: {"adapted": adapted()} | sides(s)),
    "stable_po_state": Recipe(lm.stable_po_state, lambda _: {"adapted": adapted()}),
    "stable_po_step": Recipe(lm.stable_po_step, for_iteration),
    "pair_drives().predict": Recipe(
        lambda learning_rate: lm.pair_drives(model(), PAIR).predict(learning_rate), lambda _: {"learning_rate": 0.1}
    ),
}
"""How to call every public function that needs no file."""

NOT_CALLED = {
    "CausalLM": "a type",
    "DynamicsCallback": "it needs a trainer; tests/dynamics/language_model/watching does it",
    "LogProbPath": "a record that functions return",
    **dict.fromkeys(("MissingExtra", "ModelUnavailable", "OutOfMemory"), "an error"),
    **dict.fromkeys(("AdaptedModel", "LanguageModel", "StablePOAccount"), "a record that functions return"),
    "StablePOState": "a record that functions return",
    **dict.fromkeys(("KernelCheck", "CHES", "MemoryPlan", "ModelStep", "PairDrives"), "a record that functions return"),
    **dict.fromkeys(
        ("CrossKernel", "StepChange", "SequenceKernel", "SequenceLogProbs", "TokenKernel"),
        "a record that functions return",
    ),
    **dict.fromkeys(("TokenShift", "VocabularyShift"), "a record that functions return"),
}
"""Public names that are not called with hostile arguments here, and why."""
