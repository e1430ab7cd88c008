"""Recipes for the public names of ``dynamics.language_model``."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import torch

from dynamics import DPO, SGD, AdamW, language_model as lm, pairs
from dynamics.language_model import TokenSequence
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
    return for_score(source) | more | {"route": source.choice([None, "ghost", "product"])}


def for_pairs(source: random.Random) -> dict[str, Any]:
    which = {"chosen": source.choice([0, [0]]), "rejected": source.choice([1, [1]]), "weight": 1.0}
    more = {"loss": source.choice([None, DPO(beta=0.5)]), "reference": source.choice([None, [-3.0, -4.0]])}
    return sequences(source) | which | more | {"parameters": None, "dtype": source.choice([torch.float64])}


def for_step(source: random.Random) -> dict[str, Any]:
    rate = {"learning_rate": source.choice([None, 1e-6, 0])}
    return for_pairs(source) | rate | {"optimizer": source.choice([None, SGD(), AdamW()])}


def for_prediction(source: random.Random) -> dict[str, Any]:
    eye = torch.eye(2, dtype=torch.float64)
    step = {"preferences": pairs(0, 1, shape=(2,)), "loss": DPO(), "learning_rate": 0.1}
    return {"kernel": eye, "log_probs": [-1.0, -2.0]} | step | {"reference": None, "lengths": 1.0}


def for_audit(source: random.Random) -> dict[str, Any]:
    more = {"kernel": torch.eye(2, dtype=torch.float64), "vector": torch.tensor([1.0, source.random()])}
    return sequences(source) | more | {"parameters": None, "dtype": None}


def for_plain(source: random.Random) -> dict[str, Any]:
    return sequences(source) | {"vector": torch.tensor([1.0, -1.0]), "parameters": None, "dtype": None}


def contexts(source: random.Random) -> dict[str, Any]:
    return {"contexts": source.choice([[(1, 2)], [PAIR[0], [3]]]), "batch_tokens": 8, "vocabulary_piece": 5}


def for_ches(source: random.Random) -> dict[str, Any]:
    return {"model": model(), "pairs": [PAIR], "dtype": None, "batch_tokens": 8}


def for_moved(source: random.Random) -> dict[str, Any]:
    return change(source)


def enter_moved(**arguments: Any) -> None:
    with lm.moved(**arguments):
        pass


def for_adapters(source: random.Random) -> dict[str, Any]:
    return {"model": model(), "rank": 1, "alpha": 8.0, "targets": source.choice(["q_proj", ["q_proj"]]), "seed": 0}


LANGUAGE_MODEL: dict[str, Recipe] = {
    "sequence_log_probs": Recipe(lm.sequence_log_probs, for_score),
    "differentiable_log_probs": Recipe(lm.differentiable_log_probs, lambda s: sequences(s) | {"values": None}),
    "sequence_kernel": Recipe(lm.sequence_kernel, for_kernel),
    "token_kernel": Recipe(lm.token_kernel, sequences),
    "audit": Recipe(lm.audit, for_audit, nan_means=("from_backward", "error")),
    # a weight of 1e308 takes a gradient out of the range of floats
    "plain_gradient": Recipe(lm.plain_gradient, for_plain, nan_means=tuple(n for n, _ in model().named_parameters())),
    "ches": Recipe(lm.ches, for_ches),
    "pair_drives": Recipe(lm.pair_drives, for_pairs),
    "predict_change": Recipe(lm.predict_change, for_prediction),
    "parameter_change": Recipe(lm.parameter_change, for_step),
    "model_step": Recipe(lm.model_step, for_step),
    "moved": Recipe(enter_moved, for_moved),
    "push_log_probs": Recipe(lm.push_log_probs, lambda s: change(s) | sequences(s)),
    "vocabulary_shift": Recipe(lm.vocabulary_shift, lambda s: change(s) | contexts(s)),
    "next_token_log_probs": Recipe(lm.next_token_log_probs, lambda s: {"model": model(), "dtype": None} | contexts(s)),
    "add_adapters": Recipe(lm.add_adapters, for_adapters),
    "pair_drives().predict": Recipe(
        lambda learning_rate: lm.pair_drives(model(), PAIR).predict(learning_rate), lambda _: {"learning_rate": 0.1}
    ),
}
"""How to call every public function that needs no file."""

NOT_CALLED = {
    **dict.fromkeys(("TokenSequence", "tokenize"), "tests of their own (test_sequences)"),
    "tiny_model": "made for tests",
    "load": "reads a folder; tests of its own (test_loading) and of its files (test_files)",
    **dict.fromkeys(("MissingExtra", "ModelUnavailable", "OutOfMemory"), "an error"),
    **dict.fromkeys(("PairBatch", "StablePO", "StablePOState", "pair_batch"), "Algorithm 1; tests of its own"),
    **dict.fromkeys(("stable_po_state", "stable_po_step"), "Algorithm 1; tests of its own"),
    **dict.fromkeys(("AdaptedModel", "LanguageModel", "StablePOAccount"), "a record that functions return"),
    **dict.fromkeys(("Audit", "CHES", "MemoryPlan", "ModelStep", "PairDrives"), "a record that functions return"),
    **dict.fromkeys(("SequenceKernel", "SequenceLogProbs", "TokenKernel"), "a record that functions return"),
    **dict.fromkeys(("TokenShift", "VocabularyShift"), "a record that functions return"),
}
"""Public names that are not called with hostile arguments here, and why."""
