"""A prompt and a response as token ids: what log pi(y | x) is the log-probability of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynamics.errors import InvalidArgument

Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class TokenSequence:
    """A tokenised prompt and response.

    Attributes:
        ids: token ids of the whole.
        prompt_tokens: how many of them are the prompt; log pi(y | x) sums over the others.
        cut: whether the prompt's own tokens are not the beginning of the whole, because a token crosses the border
            (``"a b" + "c"`` may become ``"a", " bc"``). The prompt then ends where the two first differ, and the
            response begins inside the prompt's text.

    Raises:
        InvalidArgument: an empty prompt (nothing predicts the first token of the response) or an empty response.

    Example:
        >>> TokenSequence((5, 6, 7), prompt_tokens=1).response
        (6, 7)
    """

    ids: tuple[int, ...]
    prompt_tokens: int
    cut: bool = False

    def __post_init__(self) -> None:
        if not all(isinstance(token, int) and token >= 0 for token in self.ids):
            raise InvalidArgument("ids", self.ids, "whole numbers >= 0")
        if self.prompt_tokens < 1:
            raise InvalidArgument("prompt_tokens", self.prompt_tokens, "at least one token: begin the prompt with BOS")
        if self.prompt_tokens >= len(self.ids):
            raise InvalidArgument(
                "prompt_tokens", self.prompt_tokens, f"below {len(self.ids)}: a response of >= 1 token"
            )

    @property
    def prompt(self) -> tuple[int, ...]:
        """Return the ids of x."""
        return self.ids[: self.prompt_tokens]

    @property
    def response(self) -> tuple[int, ...]:
        """Return the ids of y."""
        return self.ids[self.prompt_tokens :]

    @property
    def length(self) -> int:
        """Return |y|, the tokens that log pi(y | x) sums over, EOS included."""
        return len(self.ids) - self.prompt_tokens


def tokenize(tokenizer: Any, prompt: str | Messages, response: str, *, eos: bool = True) -> TokenSequence:
    """Tokenise a prompt and a response as the trainers of the field do.

    A string prompt is concatenated with the response as it stands. Messages go through the tokenizer's chat template,
    the response as the assistant's turn with whatever the template ends it with. The whole text is tokenised at once.

    Args:
        tokenizer: a Hugging Face tokenizer.
        prompt: text, or messages ``[{"role": "user", "content": ...}, ...]``.
        response: text of y.
        eos: end a plain response with EOS, so that "132" and "132." are disjoint events. The end of a chat turn is
            the template's affair.

    Raises:
        InvalidArgument: no chat template, no EOS token, an empty prompt or response.
    """
    if isinstance(prompt, str):
        before = _ids(tokenizer(prompt))
        whole = _ids(tokenizer(prompt + response))
        if eos:
            end = tokenizer.eos_token_id
            if end is None:
                raise InvalidArgument("tokenizer", type(tokenizer).__name__, "one with an EOS token, or eos=False")
            whole = whole if whole and whole[-1] == end and len(whole) > len(before) else (*whole, end)
    else:
        if not getattr(tokenizer, "chat_template", None):
            raise InvalidArgument("prompt", "messages", "text: this tokenizer has no chat template")
        turns = [dict(turn) for turn in prompt]
        before = _ids(tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True))
        answer = {"role": "assistant", "content": response}
        whole = _ids(tokenizer.apply_chat_template([*turns, answer], return_dict=True))
    differ = (n for n, (a, b) in enumerate(zip(before, whole, strict=False)) if a != b)
    shared = next(differ, min(len(before), len(whole)))
    return TokenSequence(whole, shared, cut=shared < len(before))


def check_sequences(sequences: Iterable[TokenSequence], vocabulary: int) -> tuple[TokenSequence, ...]:
    """Refuse an empty list, other things than sequences, and ids outside the vocabulary."""
    found = read_sequences(sequences)
    for number, sequence in enumerate(found):
        if max(sequence.ids) >= vocabulary:
            raise InvalidArgument(f"sequences[{number}]", max(sequence.ids), f"token ids below {vocabulary}")
    return found


def read_sequences(sequences: Iterable[TokenSequence]) -> tuple[TokenSequence, ...]:
    """Return the sequences, or refuse an empty list and, at the first of them, other things than sequences."""
    if not isinstance(sequences, Iterable) or hasattr(sequences, "__array__"):
        raise InvalidArgument("sequences", sequences, "a list of TokenSequence; tokenize() makes one")
    found = []
    for number, sequence in enumerate(sequences):  # which may have no end
        if not isinstance(sequence, TokenSequence):
            raise InvalidArgument(f"sequences[{number}]", sequence, "a TokenSequence; tokenize() makes one")
        found.append(sequence)
    if not found:
        raise InvalidArgument("sequences", "none", "at least one TokenSequence")
    return tuple(found)


def _ids(encoding: Any) -> tuple[int, ...]:
    return tuple(int(token) for token in encoding["input_ids"])
