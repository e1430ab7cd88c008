"""A prompt and a response as token ids: what log pi(y | x) is the log-probability of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynamics.errors import InvalidArgument

Message = Mapping[str, Any]
Messages = Sequence[Message]


@dataclass(frozen=True)
class TokenSequence:
    """A tokenised prompt and response.

    Attributes:
        ids: token ids of the whole.
        prompt_tokens: how many of them are the prompt; log pi(y | x) sums over the others.
        cut: whether the prompt's own tokens are not the beginning of the whole: a token crosses the border
            (``"a b" + "c"`` may become ``"a", " bc"``), or a chat template ends the prompt alone in another way. The
            prompt then ends where the two first differ, and the response begins inside the prompt's text.

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


def tokenize(tokenizer: Any, prompt: str | Messages, response: str | Message, *, eos: bool = True) -> TokenSequence:
    """Tokenise a prompt and a response as the trainers of the field do.

    A string prompt is concatenated with the response as it stands. Messages go through the tokenizer's chat template,
    the response as the assistant's turn with whatever the template ends it with. The whole text is tokenised at once.

    Args:
        tokenizer: a Hugging Face tokenizer.
        prompt: text, or messages ``[{"role": "user", "content": ...}, ...]``.
        response: text of y, or a whole message of the assistant after a prompt of messages.
        eos: end a plain response with EOS, so that "132" and "132." are disjoint events. The end of a chat turn is
            the template's affair.

    Raises:
        InvalidArgument: as for ``tokenize_responses``.
    """
    (made,) = tokenize_responses(tokenizer, prompt, (response,), eos=eos)
    return made


def tokenize_responses(
    tokenizer: Any,
    prompt: str | Messages,
    responses: Sequence[str | Message],
    *,
    eos: bool = True,
    template_arguments: Mapping[str, Any] | None = None,
) -> tuple[TokenSequence, ...]:
    """Tokenise several responses to a prompt, which has the same tokens in front of all of them.

    The rule is that of TRL's ``DPOTrainer`` (1.16). The prompt alone and the prompt with each response are tokenised.
    The prompt ends where the first of the responses parts from the tokens of the prompt alone, for all responses.

    Args:
        tokenizer: a Hugging Face tokenizer.
        prompt: text, or messages.
        responses: texts; after messages also whole messages of the assistant, with ``tool_calls`` for example.
        eos: end texts after a text prompt with the EOS token, unless they end with it.
        template_arguments: what the chat template is given besides the messages, such as ``tools``.

    Raises:
        InvalidArgument: no chat template, a chat template that raises, no EOS token, an empty prompt or response.
    """
    before = prompt_ids(tokenizer, prompt, template_arguments=template_arguments)
    if isinstance(prompt, str):
        texts = [_end(tokenizer, str(response)) if eos else str(response) for response in responses]
        wholes = [_ids(tokenizer(prompt + text)) for text in texts]
    else:
        turns = [r if isinstance(r, Mapping) else {"role": "assistant", "content": r} for r in responses]
        wholes = [conversation_ids(tokenizer, (*prompt, turn), template_arguments) for turn in turns]
    shared = min(common_beginning(before, whole) for whole in wholes)
    if shared == 0:
        raise InvalidArgument("prompt", "no token of its own", "at least one token: begin the prompt with BOS")
    return tuple(TokenSequence(whole, shared, cut=shared < len(before)) for whole in wholes)


def prompt_ids(
    tokenizer: Any,
    prompt: str | Messages,
    *,
    template_arguments: Mapping[str, Any] | None = None,
) -> tuple[int, ...]:
    """Return the tokens of a prompt alone; of messages with the template's generation prompt.

    Args:
        tokenizer: as for ``tokenize_responses``.
        prompt: as there.
        template_arguments: as there.
    """
    if isinstance(prompt, str):
        return _ids(tokenizer(prompt))
    return conversation_ids(tokenizer, prompt, template_arguments, add_generation_prompt=True)


def common_beginning(first: Sequence[Any], second: Sequence[Any]) -> int:
    """Return how many elements (or characters) two sequences have in common at their beginning.

    Example:
        >>> common_beginning("abcd", "abx"), common_beginning((1, 2), (1, 2, 3))
        (2, 2)
    """
    differ = (n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    return next(differ, min(len(first), len(second)))


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


def _end(tokenizer: Any, response: str) -> str:
    """Return a response that ends with EOS as text, which is how the trainer adds it."""
    end = tokenizer.eos_token
    if end is None:
        raise InvalidArgument("tokenizer", type(tokenizer).__name__, "one with an EOS token, or eos=False")
    return response if response.endswith(end) else response + end


def conversation_ids(
    tokenizer: Any, turns: Messages, template_arguments: Mapping[str, Any] | None = None, **options: Any
) -> tuple[int, ...]:
    """Return the tokens of a conversation.

    Args:
        tokenizer: a Hugging Face tokenizer with a chat template.
        turns: messages.
        template_arguments: what the chat template is given besides them.
        **options: of ``apply_chat_template``.

    Raises:
        InvalidArgument: no chat template, or one that raises; with what it says.
    """
    if not getattr(tokenizer, "chat_template", None) and "chat_template" not in (template_arguments or {}):
        raise InvalidArgument("prompt", "messages", "text: this tokenizer has no chat template")
    given = [dict(turn) for turn in turns]
    try:
        how = {**options, **(template_arguments or {})} if template_arguments else options
        return _ids(tokenizer.apply_chat_template(given, tokenize=True, return_dict=True, **how))
    except Exception as problem:  # a template is a program of whoever made the model, and raises what it likes
        said = " ".join(str(problem).split())[:500] or "nothing"
        kind = "" if type(problem).__name__ == "TemplateError" else f"{type(problem).__name__}: "
        last = given[-1] if given else {}
        call = " (the last a tool call without content)" if last.get("tool_calls") and not last.get("content") else ""
        got = f"turns of {', '.join(str(turn.get('role')) for turn in given) or 'nobody'}{call}"
        allowed = f"a conversation that the model's chat template accepts (it says: {kind}{said})"
        raise InvalidArgument("messages", got, allowed) from problem
