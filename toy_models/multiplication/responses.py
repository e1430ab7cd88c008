"""Questions and responses as token ids.

A response is a tuple of token ids that ends with the end of text. With that end, two
distinct responses are disjoint events ("132" and "132.", for example), so that their probabilities add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from dynamics.language_model import TokenSequence
from toy_models.multiplication.corpus import ask

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Tokens = tuple[int, ...]
Prompt = str | Sequence[dict[str, str]]
"""A text in the form that the model receives, or the messages of a chat."""


def as_prompt(tokenizer: PreTrainedTokenizerBase, question: str) -> Prompt:
    """Return a question as a prompt: a message if there is a chat template, else the text with a line break."""
    return [{"role": "user", "content": question}] if tokenizer.chat_template else ask(question)


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> Tokens:
    """Return the token ids of a prompt, with what the tokenizer or its chat template adds."""
    if isinstance(prompt, str):
        return tuple(tokenizer(prompt)["input_ids"])
    chat: Any = tokenizer.apply_chat_template(list(prompt), add_generation_prompt=True, return_dict=True)
    return tuple(int(token) for token in chat["input_ids"])


def encode_response(tokenizer: PreTrainedTokenizerBase, text: str) -> Tokens:
    """Return the token ids of a response, with the end of text."""
    return (*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id)


def decode_response(tokenizer: PreTrainedTokenizerBase, response: Sequence[int]) -> str:
    """Return the text of a response, without its end."""
    ids = list(response)
    return str(tokenizer.decode(ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id else ids))


def as_sequences(prompt: Tokens, responses: Iterable[Tokens]) -> tuple[TokenSequence, ...]:
    """Return the responses to a prompt in the form that the functions of ``dynamics.language_model`` take.

    Example:
        >>> as_sequences((5, 6), [(7, 1)])
        (TokenSequence(ids=(5, 6, 7, 1), prompt_tokens=2, cut=False),)
    """
    return tuple(TokenSequence((*prompt, *response), len(prompt)) for response in responses)
