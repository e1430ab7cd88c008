"""The responses of a model to a question before training, and which of them are chosen and which rejected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch

from dynamics.errors import InvalidArgument, check_count, check_positive
from dynamics.language_model import TokenSequence, sequence_log_probs
from toy_models.multiplication.responses import (
    Prompt,
    Tokens,
    as_sequences,
    decode_response,
    encode_prompt,
    encode_response,
)
from toy_models.multiplication.search import most_probable, sample

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

RejectedRule = Literal["top", "weighted", "uniform"]


@dataclass(frozen=True)
class SurveySettings:
    """How to sample.

    Attributes:
        samples: number of responses that are drawn.
        temperature: of the sampling; 1 is the model's own distribution.
        max_tokens: length of the longest response.
        seed: of the sampling.
    """

    samples: int = 500
    temperature: float = 1.0
    max_tokens: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        check_count("samples", self.samples)
        check_count("max_tokens", self.max_tokens)
        check_positive("temperature", self.temperature)


@dataclass(frozen=True, eq=False)
class Survey:
    """The responses of a model to a prompt before training.

    Attributes:
        prompt: token ids of the prompt.
        responses: distinct responses with their ends, most probable first.
        texts: the same as text.
        log_probs: log pi(y | x) in nats, ``(responses,)``.
        correct: whether the response is right, ``(responses,)``.
        y_star: index of the most probable response: 0.
        y_star_is_exact: whether y* is certainly the most probable of all responses, not just of those sampled.
        truncated: number of samples that did not end within ``max_tokens``.
    """

    prompt: Tokens
    responses: tuple[Tokens, ...]
    texts: tuple[str, ...]
    log_probs: np.ndarray
    correct: np.ndarray
    y_star: int
    y_star_is_exact: bool
    truncated: int

    @property
    def is_void(self) -> bool:
        """Return whether y* is right: then there is no wrong y* that DPO could raise, and the probe shows nothing."""
        return bool(self.correct[self.y_star])

    @property
    def sequences(self) -> tuple[TokenSequence, ...]:
        """Return prompt and response of every response."""
        return as_sequences(self.prompt, self.responses)


def survey(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: Prompt,
    is_correct: Callable[[str], bool],
    settings: SurveySettings | None = None,
    also: tuple[str, ...] = (),
) -> Survey:
    """Sample responses and find y*, by an exact search, or among the samples if the search gives up.

    Args:
        model: a causal language model of transformers.
        tokenizer: its tokenizer.
        prompt: text of the prompt in the form that the model receives, or the messages of a chat.
        is_correct: whether a response (text) is right.
        settings: of the sampling; if not given, the default.
        also: responses that are tracked whether sampled or not.

    Raises:
        InvalidArgument: a prompt that leaves no room for a response, or samples none of which ended.
    """
    settings = SurveySettings() if settings is None else settings
    x, end = encode_prompt(tokenizer, prompt), tokenizer.eos_token_id
    longest = getattr(model.config, "max_position_embeddings", None)
    if longest is not None and len(x) + settings.max_tokens > longest:
        room = f"the model reads {longest}, and {settings.max_tokens} of them are left for the response"
        raise InvalidArgument("prompt", f"it has {len(x)} tokens, but {room}; shorten it, or lower max_tokens")
    drawn = sample(
        model,
        x,
        end,
        count=settings.samples,
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        generator=torch.Generator().manual_seed(settings.seed),
    )
    ranking = most_probable(model, x, end, max_tokens=settings.max_tokens)
    found = ranking.responses if ranking.exact else ()
    extra = [encode_response(tokenizer, text) for text in also]
    responses = tuple(dict.fromkeys([*found, *drawn.distinct, *extra]))
    if not responses:
        raise InvalidArgument("max_tokens", f"no sample ended within {settings.max_tokens} tokens; allow more")
    log_probs = sequence_log_probs(model, as_sequences(x, responses)).total.cpu().numpy()
    order = np.argsort(-log_probs, kind="stable")
    responses = tuple(responses[i] for i in order)
    texts = tuple(decode_response(tokenizer, y) for y in responses)
    correct = np.array([is_correct(text) for text in texts])
    exact = bool(found) and responses[0] == found[0]
    return Survey(x, responses, texts, log_probs[order], correct, 0, exact, drawn.truncated)


@dataclass(frozen=True)
class PairRule:
    """Which responses are chosen and which rejected.

    Attributes:
        pairs: size of D_w and of D_l; the i-th most probable of the one is paired with the i-th of the other.
        rejected: how D_l is chosen from the incorrect responses other than y*: the most probable ("top"), a draw in
            proportion to their probabilities ("weighted"), a draw with equal chances ("uniform"), or these texts, in
            this order, if they were surveyed.
        seed: of that draw.
    """

    pairs: int = 5
    rejected: RejectedRule | tuple[str, ...] = "weighted"
    seed: int = 0

    def __post_init__(self) -> None:
        check_count("pairs", self.pairs)
        if isinstance(self.rejected, str):
            if self.rejected not in get_args(RejectedRule):
                raise InvalidArgument(
                    "rejected", self.rejected, f"one of {get_args(RejectedRule)}, or a tuple of texts"
                )
        elif len(self.rejected) != self.pairs or len(set(self.rejected)) != self.pairs:
            raise InvalidArgument("rejected", self.rejected, f"{self.pairs} different texts, one for each pair")

    @property
    def named(self) -> tuple[str, ...]:
        """Return the texts of the rejected responses, if the rule lists them."""
        return () if isinstance(self.rejected, str) else self.rejected

    def __str__(self) -> str:
        """Return how D_l is chosen."""
        if self.named:
            return "named"
        return "top" if self.rejected == "top" else f"{self.rejected} {self.seed}"


def select_pairs(surveyed: Survey, rule: PairRule) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of D_w and D_l, ``(pairs,)`` each; y* is in neither.

    Raises:
        InvalidArgument: too few correct or incorrect responses, or a named one that is right, or y*, or not a text that
            the tokenizer can encode and decode unchanged.
    """
    others = np.arange(len(surveyed.responses)) != surveyed.y_star
    correct, incorrect = np.flatnonzero(surveyed.correct & others), np.flatnonzero(~surveyed.correct & others)
    for kind, indices in (("correct", correct), ("incorrect", incorrect)):
        if len(indices) < rule.pairs:
            there = f"only {len(indices)} {kind} responses other than y* were sampled"
            raise InvalidArgument("pairs", f"{there}, too few for {rule.pairs} pairs; ask for fewer, or sample more")
    chosen = correct[: rule.pairs]
    if rule.named:
        places = {surveyed.texts[i]: i for i in incorrect}
        missing = [text for text in rule.named if text not in places]
        if missing:
            problem = f"these are not among the incorrect responses that were sampled, y* aside: {', '.join(missing)}"
            raise InvalidArgument("rejected", problem)
        return chosen, np.array([places[text] for text in rule.named])
    if rule.rejected == "top":
        return chosen, incorrect[: rule.pairs]
    rng = np.random.default_rng(rule.seed)
    p = np.exp(surveyed.log_probs[incorrect])
    weights = p / p.sum() if rule.rejected == "weighted" else None
    return chosen, np.sort(rng.choice(incorrect, rule.pairs, replace=False, p=weights))
