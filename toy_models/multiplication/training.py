"""A Qwen2 of a third of a million parameters that learns the times table in a few minutes on a CPU."""

from __future__ import annotations

import math
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dynamics.errors import check_count, check_positive
from toy_models.multiplication.corpus import Corpus, Example, ask
from toy_models.multiplication.tokenizer import byte_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Qwen2ForCausalLM

IGNORED = -100  # the label that torch's cross-entropy ignores


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Attributes:
        seed: of the initial weights and of the corpus.
        steps: number of updates.
        batch_size: examples in an update.
        learning_rate: peak learning rate of AdamW.
        warmup: number of steps of linear warm-up, followed by cosine decay to 5% of the peak.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        corpus: the training data.
    """

    seed: int = 0
    steps: int = 1200
    batch_size: int = 128
    learning_rate: float = 3e-3
    warmup: int = 50
    weight_decay: float = 0.01
    clip: float = 1.0
    corpus: Corpus = field(default_factory=Corpus)

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "warmup"):
            check_count(name, getattr(self, name))
        for name in ("learning_rate", "clip"):
            check_positive(name, getattr(self, name))

    def rate(self, step: int) -> float:
        """Return the learning rate of an update, counted from 0."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * (0.05 + 0.95 * (1 + math.cos(math.pi * done)) / 2)


def new_model(seed: int = 0, vocabulary: int = 258) -> Qwen2ForCausalLM:
    """Return the untrained model: 3 layers of width 96, 4 heads over 2 key-value heads, tied embeddings.

    Args:
        seed: of the initial weights; the global random state is not changed.
        vocabulary: number of tokens.

    Example:
        >>> sum(p.numel() for p in new_model().parameters())
        330144
    """
    from transformers import Qwen2Config, Qwen2ForCausalLM  # noqa: PLC0415 - of the optional extra lm

    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=96,
        num_hidden_layers=3,
        intermediate_size=256,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        initializer_range=0.05,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Qwen2ForCausalLM(config)


def encode_batch(examples: list[Example], tokenizer: PreTrainedTokenizerBase) -> tuple[Tensor, Tensor]:
    """Return tokens and labels of examples, ``(examples, longest)``, padded on the right.

    Only the tokens of the response and the end of text after it are labelled, the rest is ``IGNORED``.
    """
    prompts = tokenizer([ask(example.question) for example in examples])["input_ids"]
    responses = tokenizer([example.response for example in examples])["input_ids"]
    rows = [(p, [*r, tokenizer.eos_token_id]) for p, r in zip(prompts, responses, strict=True)]
    longest = max(len(p) + len(r) for p, r in rows)
    tokens = torch.full((len(rows), longest), tokenizer.pad_token_id)
    labels = torch.full((len(rows), longest), IGNORED)
    for row, (prompt, response) in enumerate(rows):
        tokens[row, : len(prompt) + len(response)] = torch.tensor([*prompt, *response])
        labels[row, len(prompt) : len(prompt) + len(response)] = torch.tensor(response)
    return tokens, labels


def train(
    settings: TrainingSettings, callback: Callable[[int, float], None] | None = None
) -> tuple[Qwen2ForCausalLM, PreTrainedTokenizerBase, list[float]]:
    """Train a model from nothing.

    The same settings give the same run on the same machine. With another number of threads or another processor, sums
    are computed in another order, and after a thousand steps the results differ visibly.

    Args:
        settings: how to train.
        callback: called after every update with the number of updates made and the loss.

    Returns:
        The model, its tokenizer, and the loss of every update (nats for each token of a response).
    """
    tokenizer = byte_tokenizer()
    model = new_model(settings.seed, len(tokenizer))
    rng = random.Random(settings.seed)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=settings.weight_decay)
    losses = []
    for step in range(settings.steps):
        examples = [settings.corpus.draw(rng) for _ in range(settings.batch_size)]
        tokens, labels = encode_batch(examples, tokenizer)
        loss = model(input_ids=tokens, labels=labels, use_cache=False).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        for group in optimizer.param_groups:
            group["lr"] = settings.rate(step)
        optimizer.step()
        losses.append(float(loss.detach()))
        if callback is not None:
            callback(step + 1, losses[-1])
    return model.eval(), tokenizer, losses


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, card: str) -> None:
    """Write weights, configuration, tokenizer and model card; on failure the folder stays as it was.

    An existing folder is replaced.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{word}") for word in ("new", "old"))
    try:
        model.save_pretrained(fresh)
        tokenizer.save_pretrained(fresh)
        (fresh / "README.md").write_text(card, encoding="utf-8")
        for path in fresh.iterdir():
            path.chmod(0o644)  # safetensors makes its files readable by the owner only
        if folder.exists():
            os.replace(folder, old)
        try:
            os.replace(fresh, folder)
        except OSError:
            if old.exists():
                os.replace(old, folder)
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
