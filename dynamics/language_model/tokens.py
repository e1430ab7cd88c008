"""Prompts and responses as token ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynamics.errors import InvalidArgument, Unsupported, check_count, check_flag

Message = Mapping[str, Any]
Messages = Sequence[Message]
Response = str | Message | Messages


@dataclass(frozen=True)
class TokenSequence:
    """A tokenised prompt and response.

    Attributes:
        ids: token ids of the prompt followed by the response.
        prompt_tokens: how many of them belong to the prompt; log pi(y | x) sums over the others.
        cut: whether the tokens of the prompt alone are not the beginning of ``ids``. Either one token holds the end of
            the prompt and the beginning of the response (``"a b" + "c"`` may become ``"a", " bc"``), or the chat
            template ends the prompt alone in another way. The prompt is then cut where the two first differ, and the
            response begins inside the prompt's text.

    Raises:
        InvalidArgument: ids that are not a tuple of whole numbers, an empty prompt (nothing would predict the first
            token of the response), or an empty response.

    Example:
        >>> TokenSequence((5, 6, 7), prompt_tokens=1).response
        (6, 7)
    """

    ids: tuple[int, ...]
    prompt_tokens: int
    cut: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.ids, (tuple, list)):  # an iterator may have no end, and could be read only once
            raise InvalidArgument("ids", self.ids, "a tuple of token ids")
        if not all(_is_id(token) for token in self.ids):
            raise InvalidArgument("ids", self.ids, "whole numbers >= 0 and below 2^63")
        check_count("prompt_tokens", self.prompt_tokens, minimum=0)
        check_flag("cut", self.cut)
        if self.prompt_tokens < 1:
            raise InvalidArgument("prompt_tokens", "the prompt is empty; begin it with a token, such as BOS")
        if self.prompt_tokens >= len(self.ids):
            problem = f"all {len(self.ids)} tokens belong to the prompt; the response needs at least one"
            raise InvalidArgument("prompt_tokens", problem)

    @property
    def prompt(self) -> tuple[int, ...]:
        """Return the token ids of the prompt x."""
        return self.ids[: self.prompt_tokens]

    @property
    def response(self) -> tuple[int, ...]:
        """Return the token ids of the response y."""
        return self.ids[self.prompt_tokens :]

    @property
    def length(self) -> int:
        """Return |y|, the number of tokens of the response, including EOS if it has one."""
        return len(self.ids) - self.prompt_tokens


Pair = tuple[TokenSequence, TokenSequence]
"""The chosen and the rejected response to a prompt."""


def _is_id(token: object) -> bool:
    return isinstance(token, int) and not isinstance(token, bool) and 0 <= token < 2**63


def tokenize(tokenizer: Any, prompt: str | Messages, response: Response, *, eos: bool = True) -> TokenSequence:
    """Tokenise a prompt and a response in the way preference trainers such as TRL do.

    If the prompt is text, prompt and response are concatenated and tokenised together. If it is a list of messages,
    the tokenizer's chat template is applied to the messages and the response, which is the assistant's turn. A
    response may also be several turns, with turns of the user between those of the assistant: every token after the
    prompt then belongs to the response, those of the user too, as in TRL.

    Args:
        tokenizer: a Hugging Face tokenizer.
        prompt: text, or messages ``[{"role": "user", "content": ...}, ...]``.
        response: text of y; after a prompt of messages also a whole message of the assistant, or several messages.
        eos: end the response to a text prompt with the EOS token. Without it the response "132" would also be the
            beginning of "132.". After messages the chat template decides how the turn ends.

    Raises:
        InvalidArgument: as for ``tokenize_responses``.
    """
    (sequence,) = tokenize_responses(tokenizer, prompt, (response,), eos=eos)
    return sequence


def tokenize_responses(
    tokenizer: Any,
    prompt: str | Messages,
    responses: Sequence[Response],
    *,
    eos: bool = True,
    template_arguments: Mapping[str, Any] | None = None,
) -> tuple[TokenSequence, ...]:
    """Tokenise several responses to one prompt, so that all of them have the same prompt tokens.

    This is the rule of TRL's ``DPOTrainer`` (1.16): the prompt alone is tokenised, and the prompt with each response.
    The prompt tokens are the longest beginning that all of these have in common with the prompt alone.

    Args:
        tokenizer: a Hugging Face tokenizer.
        prompt: text, or messages.
        responses: texts; after messages also whole messages of the assistant, for example with ``tool_calls``, or
            lists of messages.
        eos: end the responses to a text prompt with the EOS token, unless they already end with it.
        template_arguments: further arguments of the chat template, such as ``tools``.

    Raises:
        InvalidArgument: neither text nor messages, no chat template, a chat template that raises, no EOS
            token, an empty prompt or response.
    """
    check_flag("eos", eos)
    if not callable(tokenizer) or isinstance(tokenizer, type) or not hasattr(tokenizer, "apply_chat_template"):
        raise InvalidArgument("tokenizer", tokenizer, "a Hugging Face tokenizer, such as load() returns")
    _check_texts(prompt, responses)
    before = prompt_ids(tokenizer, prompt, template_arguments=template_arguments)
    if isinstance(prompt, str):
        texts = [_end(tokenizer, str(response)) if eos else str(response) for response in responses]
        wholes = [_ids(tokenizer(prompt + text)) for text in texts]
    else:
        wholes = [conversation_ids(tokenizer, (*prompt, *as_turns(r)), template_arguments) for r in responses]
    shared = min(common_beginning(before, whole) for whole in wholes)
    if shared == 0:
        raise Unsupported("prompt", "the prompt has no token before the response", "begin the prompt with BOS")
    return tuple(TokenSequence(whole, shared, cut=shared < len(before)) for whole in wholes)


def prompt_ids(
    tokenizer: Any,
    prompt: str | Messages,
    *,
    template_arguments: Mapping[str, Any] | None = None,
) -> tuple[int, ...]:
    """Return the tokens of a prompt alone; for messages this includes the beginning of the assistant's turn.

    Args:
        tokenizer: as for ``tokenize_responses``.
        prompt: as there.
        template_arguments: as there.
    """
    if isinstance(prompt, str):
        return _ids(tokenizer(prompt))
    return conversation_ids(tokenizer, prompt, template_arguments, add_generation_prompt=True)


def as_turns(response: Response) -> tuple[Message, ...]:
    """Return the messages of a response to a prompt of messages; a text is one turn of the assistant.

    Args:
        response: a text, a message, or messages.

    Example:
        >>> as_turns("4")
        ({'role': 'assistant', 'content': '4'},)
    """
    if isinstance(response, str):
        return ({"role": "assistant", "content": response},)
    return (response,) if isinstance(response, Mapping) else tuple(response)


def common_beginning(first: Sequence[Any], second: Sequence[Any]) -> int:
    """Return the length of the longest common beginning of two sequences.

    Example:
        >>> common_beginning("abcd", "abx"), common_beginning((1, 2), (1, 2, 3))
        (2, 2)
    """
    differ = (n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    return next(differ, min(len(first), len(second)))


def check_sequences(sequences: Iterable[TokenSequence], vocabulary: int) -> tuple[TokenSequence, ...]:
    """Return the sequences as a tuple; refuse an empty list, other objects, and ids outside the vocabulary."""
    found = read_sequences(sequences)
    for number, sequence in enumerate(found):
        if max(sequence.ids) >= vocabulary:
            raise InvalidArgument(f"sequences[{number}]", max(sequence.ids), f"token ids below {vocabulary}")
    return found


def read_sequences(sequences: Iterable[TokenSequence], name: str = "sequences") -> tuple[TokenSequence, ...]:
    """Return the sequences as a tuple; refuse an empty list and objects that are not sequences.

    Args:
        sequences: the sequences.
        name: name of the argument, for errors.
    """
    if not isinstance(sequences, Iterable) or hasattr(sequences, "__array__"):
        raise InvalidArgument(name, sequences, "a list of TokenSequence; tokenize() makes one")
    found = []
    for number, sequence in enumerate(sequences):  # stop at the first bad element, because an iterator may have no end
        if not isinstance(sequence, TokenSequence):
            raise InvalidArgument(f"{name}[{number}]", sequence, "a TokenSequence; tokenize() makes one")
        found.append(sequence)
    if not found:
        raise InvalidArgument(name, "the list is empty; give at least one TokenSequence")
    return tuple(found)


def read_pairs(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """Return the pairs as a tuple; refuse an empty list and anything that is no pair of sequences."""
    if not isinstance(pairs, Iterable) or hasattr(pairs, "__array__"):
        raise InvalidArgument("pairs", pairs, "a list of pairs (chosen, rejected), each a TokenSequence")
    found = []
    for number, pair in enumerate(pairs):  # stop at the first bad element, because an iterator may have no end
        if not isinstance(pair, tuple) or len(pair) != 2 or not all(isinstance(s, TokenSequence) for s in pair):
            raise InvalidArgument(f"pairs[{number}]", pair, "a pair (chosen, rejected), each a TokenSequence")
        found.append(pair)
    if not found:
        raise InvalidArgument("pairs", "the list is empty; give at least one pair (chosen, rejected)")
    return tuple(found)


def _check_texts(prompt: object, responses: Sequence[object]) -> None:
    if not isinstance(prompt, (str, list, tuple)):
        raise InvalidArgument("prompt", prompt, "text, or a list of messages {'role': ..., 'content': ...}")
    if not isinstance(prompt, str) and not all(isinstance(turn, Mapping) for turn in prompt):
        raise InvalidArgument("prompt", prompt, "messages {'role': ..., 'content': ...}")
    for response in responses:
        if isinstance(response, str) or (not isinstance(prompt, str) and _are_turns(response)):
            continue
        allowed = "text" if isinstance(prompt, str) else "text, a message of the assistant, or a list of messages"
        raise InvalidArgument("response", response, allowed)


def _are_turns(response: object) -> bool:
    if isinstance(response, (list, tuple)):
        return bool(response) and all(isinstance(turn, Mapping) for turn in response)
    return isinstance(response, Mapping)


def _ids(encoding: Any) -> tuple[int, ...]:
    return tuple(int(token) for token in encoding["input_ids"])


def _end(tokenizer: Any, response: str) -> str:
    """Return the response with the text of the EOS token at its end, as TRL adds it."""
    end = tokenizer.eos_token
    if end is None:
        raise Unsupported("tokenizer", f"this {type(tokenizer).__name__} has no EOS token", "set one, or use eos=False")
    return response if response.endswith(end) else response + end


def conversation_ids(
    tokenizer: Any, turns: Messages, template_arguments: Mapping[str, Any] | None = None, **options: Any
) -> tuple[int, ...]:
    """Return the tokens of a conversation, by the tokenizer's chat template.

    Args:
        tokenizer: a Hugging Face tokenizer with a chat template.
        turns: the messages.
        template_arguments: further arguments of the chat template.
        **options: further arguments of ``apply_chat_template``.

    Raises:
        InvalidArgument: there is no chat template, or it raises an error, whose message is repeated.
    """
    return _ids(_apply_template(tokenizer, turns, template_arguments, tokenize=True, return_dict=True, **options))


def conversation_text(
    tokenizer: Any, turns: Messages, template_arguments: Mapping[str, Any] | None = None, **options: Any
) -> str:
    """Return the text of a conversation as the tokenizer's chat template writes it, before it is cut into tokens.

    Args:
        tokenizer: as for ``conversation_ids``.
        turns: as there.
        template_arguments: as there.
        **options: as there.
    """
    return str(_apply_template(tokenizer, turns, template_arguments, tokenize=False, **options))


def _apply_template(
    tokenizer: Any, turns: Messages, template_arguments: Mapping[str, Any] | None, **options: Any
) -> Any:
    if not getattr(tokenizer, "chat_template", None) and "chat_template" not in (template_arguments or {}):
        remedy = "give one (tokenizer.chat_template, or --chat-template FILE of the commands), or use text"
        raise Unsupported("prompt", "this tokenizer has no chat template, which messages need", remedy)
    given = [dict(turn) for turn in turns]
    try:
        return tokenizer.apply_chat_template(given, **{**options, **(template_arguments or {})})
    except Exception as problem:  # a template is a program that comes with the model, and may raise anything
        said = " ".join(str(problem).split())[:500] or "nothing"
        kind = "" if type(problem).__name__ == "TemplateError" else f"{type(problem).__name__}: "
        last = given[-1] if given else {}
        call = " (the last a tool call without content)" if last.get("tool_calls") and not last.get("content") else ""
        roles = ", ".join(str(turn.get("role")) for turn in given) or "nobody"
        refusal = f"the model's chat template does not accept the turns of {roles}{call}; it says: {kind}{said}"
        raise InvalidArgument("messages", refusal) from problem
