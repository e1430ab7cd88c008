"""TRL's trainers on 64 rows and a float64 model, and the log-probabilities that they and we start from."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynamics.language_model.tiny_model import tiny_model
from tests.dynamics.language_model.tokenizers import byte_tokenizer

ROWS = 64


class WideHead:
    """TRL's ChunkedLogProbFunction with the same outputs, in the precision of the model."""

    @staticmethod
    def apply(
        hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, *rest: Any
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return log-probability, entropy, log sum of squares, mean logit, and whether the target is most likely."""
        temperature = rest[0]
        logits = hidden @ weight.T if bias is None else hidden @ weight.T + bias
        log_p = torch.log_softmax(logits / temperature, -1)
        entropy = -(log_p.exp() * log_p).sum(-1)
        squares = torch.logsumexp(2 * log_p, -1)
        picked = log_p.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        return picked, entropy, squares, logits.mean(-1), logits.argmax(-1) == targets


@contextmanager
def silence() -> Iterator[None]:
    """Let nothing of TRL's progress bars and advice through."""
    import datasets
    import transformers

    datasets.disable_progress_bars()
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
        transformers.logging.set_verbosity(level)
        datasets.enable_progress_bars()


@dataclass(frozen=True)
class World:
    """Rows, a tokenizer, and the weights of policy and reference."""

    tokenizer: Any
    policy: Any
    reference: Any
    rows: list[dict[str, str]] = field(repr=False)


def world(seed: int = 0) -> World:
    """Return 64 rows of random words, and two random models that differ, so that log-ratios are of either sign."""
    rng = np.random.default_rng(seed)
    letters = list("abcdefghij ")

    def word(most: int) -> str:
        return "".join(rng.choice(letters, int(rng.integers(1, most))))

    rows = [
        {"prompt": word(6) + ":", "chosen": word(12), "rejected": word(12), "reference": word(9)} for _ in range(ROWS)
    ]
    tokenizer = byte_tokenizer()
    models = [tiny_model(vocabulary=len(tokenizer), seed=seed + shift) for shift in (1, 2)]
    return World(tokenizer, *models, rows)


def trainer_of(name: str, settings: dict[str, Any], made: World, folder: str) -> Any:
    """Return TRL's trainer, built as a user builds it."""
    import datasets
    import trl
    from trl.experimental import cpo, orpo, tpo

    kinds = {
        "DPO": (trl.DPOConfig, trl.DPOTrainer),
        "KTO": (trl.KTOConfig, trl.KTOTrainer),
        "CPO": (cpo.CPOConfig, cpo.CPOTrainer),
        "ORPO": (orpo.ORPOConfig, orpo.ORPOTrainer),
        "TPO": (tpo.TPOConfig, tpo.TPOTrainer),
    }
    config, kind = kinds[name]
    common = {"output_dir": folder, "use_cpu": True, "bf16": False, "report_to": [], "gradient_checkpointing": False}
    examples = 2 * ROWS if name == "KTO" else ROWS
    args = config(per_device_train_batch_size=examples, **common, **settings)
    columns = ("prompt", "chosen", "rejected") + (("reference",) if name == "TPO" else ())
    data = datasets.Dataset.from_list([{column: line[column] for column in columns} for line in made.rows])
    frozen = {"ref_model": made.reference} if name in ("DPO", "KTO") else {}
    return kind(model=made.policy, args=args, train_dataset=data, processing_class=made.tokenizer, **frozen)


def log_probs_of_tokens(model: Any, ids: Tensor, attention: Tensor) -> Tensor:
    """Return log pi of every token but the first, by a plain forward, ``(rows, tokens - 1)``."""
    logits = model(ids, attention_mask=attention, use_cache=False).logits[:, :-1]
    return torch.log_softmax(logits, -1).gather(-1, ids[:, 1:].unsqueeze(-1)).squeeze(-1)


@dataclass(frozen=True)
class Sequences:
    """Log-probabilities of the tokens of one group of sequences, and which of them are the response's."""

    tokens: Tensor
    response: Tensor
    attention: Tensor

    @property
    def length(self) -> Tensor:
        """Return the number of response tokens."""
        return self.response.sum(-1).to(self.tokens.dtype)

    @property
    def total(self) -> Tensor:
        """Return log pi of the response."""
        return torch.where(self.response, self.tokens, 0.0).sum(-1)


def groups_of(batch: dict[str, Tensor], trainer: str) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """Return ids, response mask and attention mask of each group of sequences of TRL's batch."""
    if trainer in ("CPO", "ORPO"):
        return {
            side: (batch[f"{side}_input_ids"], batch[f"{side}_labels"] != -100, batch[f"{side}_attention_mask"])
            for side in ("chosen", "rejected")
        }
    whole = batch["input_ids"], batch["completion_mask"] > 0, batch["attention_mask"]
    if trainer == "KTO":
        label = batch["label"].bool()
        found = {"chosen": tuple(v[label] for v in whole), "rejected": tuple(v[~label] for v in whole)}
        if "KL_input_ids" in batch:
            found["mismatched"] = batch["KL_input_ids"], batch["KL_completion_mask"] > 0, batch["KL_attention_mask"]
        return found  # type: ignore[return-value]
    names = ("chosen", "rejected", "gold")[: len(whole[0]) // ROWS]
    return {name: tuple(v[i * ROWS : (i + 1) * ROWS] for v in whole) for i, name in enumerate(names)}  # type: ignore[misc]


def read(model: Any, batch: dict[str, Tensor], trainer: str) -> dict[str, Sequences]:
    """Return the log-probabilities of every group under a model."""
    return {
        name: Sequences(log_probs_of_tokens(model, ids, attention), mask[:, 1:], attention[:, 1:] > 0)
        for name, (ids, mask, attention) in groups_of(batch, trainer).items()
    }
