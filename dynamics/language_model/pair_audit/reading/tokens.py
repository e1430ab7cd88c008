"""The tokens of a pair as a trainer makes them, with remarks about what may be a mistake.

The trainer is TRL's ``DPOTrainer`` (1.16); the tests compare token ids, and where the prompt ends, with it. Where its
tokens are hardly what the user intends (BOS twice, EOS twice) they are made all the same, since the model will be
trained on them, and a remark says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dynamics.errors import InvalidArgument
from dynamics.language_model.pair_audit.reading.columns import RESPONSES
from dynamics.language_model.pair_audit.reading.rows import Pair
from dynamics.language_model.tokens import TokenSequence, conversation_ids, prompt_ids, tokenize_responses

PADDING = "padding-row"
"""Key of the only remark that depends on the model and the parameters, and not on the tokenizer alone."""
REMARKS = {
    "cut": "prompt and response do not begin with the tokens of the prompt alone; the prompt ends where they part",
    "two-bos": "BOS comes twice at the beginning: once in the text, once from the tokenizer; remove it from the text",
    "two-ends": "a response ends twice: its text holds an end-of-text token, and a trainer adds EOS after it",
    "repeated-prompt": "both responses repeat the prompt; here it is taken once, but a trainer adds it once more",
    "messages-as-text": "messages are written as text; here they are read as messages, and by a trainer as text",
    PADDING: "the model reads its padding token (padding_idx) in this pair; as in a step of torch, looking it up adds "
    "nothing to the gradient of its row",
}
"""What a remark about the tokens of a pair means, by its key."""


class Sequences(NamedTuple):
    """The two sequences of a pair."""

    chosen: TokenSequence
    rejected: TokenSequence


@dataclass(frozen=True)
class TokenizedPair:
    """The two sequences of a pair, with the same prompt, and the remarks about them.

    Attributes:
        sequences: chosen and rejected.
        remarks: keys of ``REMARKS``.
        left_out: if the prompt is cut, the text of its end that is left out.
        cut_by: if the prompt is cut, the cause, as for ``cut_sentence``.
    """

    sequences: Sequences
    remarks: tuple[str, ...] = ()
    left_out: str = ""
    cut_by: str = ""

    @property
    def cut(self) -> bool:
        """Return whether the end of the prompt is left out."""
        return "cut" in self.remarks

    def sentences(self) -> list[str]:
        """Return the remarks as sentences for people."""
        return [cut_sentence(self.left_out, self.cut_by) if r == "cut" else REMARKS[r] for r in self.remarks]

    def fields(self) -> dict[str, Any]:
        """Return the fields that the results get: ``cut``, with what is left out and why, and the other remarks."""
        others = [remark for remark in self.remarks if remark != "cut"]
        found: dict[str, Any] = {"cut": self.cut}
        if self.cut:
            found |= {"left_out": self.left_out, "cut_by": self.cut_by}
        return {**found, "remarks": others} if others else found


def tokenize_pair(tokenizer: Any, pair: Pair, longest: int | None = None) -> TokenizedPair:
    """Tokenise chosen and rejected as a trainer does, with one prompt for both.

    Token ids are taken as they are.

    Args:
        tokenizer: a Hugging Face tokenizer; None where the pairs are token ids.
        pair: prompt and responses.
        longest: most tokens that prompt and response may have together. (TRL truncates a longer sequence to its
            ``max_length``; here the row is refused.)

    Raises:
        InvalidArgument: a sequence is too long; both responses have the same tokens; a response is only a tool call,
            and the chat template leaves it out; or what ``tokenize_responses`` refuses.
    """
    if pair.ids is not None:
        prompt, *answers = pair.ids
        made = Sequences(*(TokenSequence(prompt + answer, len(prompt)) for answer in answers))
        _check_lengths(made, longest)
        return TokenizedPair(made)
    if tokenizer is None:
        raise InvalidArgument("row", "it holds text, and the first rows hold token ids, so that no tokenizer is loaded")
    given = pair.template_arguments
    texts: Any = pair
    responses = texts.chosen, texts.rejected
    made = Sequences(*tokenize_responses(tokenizer, texts.prompt, responses, template_arguments=given))
    _check_lengths(made, longest)
    if made.chosen.ids == made.rejected.ids:
        raise InvalidArgument("rejected", "this response has the same tokens as the chosen one")
    for column, response, sequence in zip(RESPONSES, responses, made, strict=True):
        _check_tool_call(tokenizer, texts, column, response, sequence)
    template = not isinstance(pair.prompt, str)
    flags = {
        "cut": made.chosen.cut,
        "two-bos": _begins_twice(tokenizer, made.chosen),
        "two-ends": not template and any(_ends_twice(tokenizer, sequence) for sequence in made),
        "repeated-prompt": pair.repeated,
        "messages-as-text": pair.written,
    }
    remarks = tuple(remark for remark in REMARKS if flags.get(remark))
    if not made.chosen.cut:
        return TokenizedPair(made, remarks)
    end = prompt_ids(tokenizer, texts.prompt, template_arguments=given)[made.chosen.prompt_tokens :]
    cut_by = "template" if template else "ending" if set(end) <= special_ids(tokenizer) else "merge"
    return TokenizedPair(made, remarks, decode(tokenizer, end), cut_by)


def _check_lengths(made: Sequences, longest: int | None) -> None:
    for column, sequence in zip(RESPONSES, made, strict=True):
        if longest is not None and len(sequence.ids) > longest:
            raise InvalidArgument(
                column,
                f"prompt and response have {len(sequence.ids)} tokens; at most {longest} are allowed (--max-tokens, by "
                "default the limit of the model)",
            )


def cut_sentence(left_out: str, cut_by: str) -> str:
    r"""Return a sentence that says why a prompt is cut.

    Args:
        left_out: the end of the prompt that is left out.
        cut_by: ``"template"`` (of chats), ``"ending"`` (a token that the tokenizer adds to every text) or ``"merge"``
            (of the last characters with a response into one token).

    Example:
        >>> print(cut_sentence(" ", "merge"))
        the end of the prompt, ' ', merges with a response into one token: it counts as part of both responses, and...
    """
    if cut_by == "template":
        return (
            f"the chat template ends a prompt with {left_out!r}, but leaves that out before a response: training and "
            "this audit use another prompt than the model sees when it answers"
        )
    if cut_by == "ending":
        return f"the tokenizer ends every text with {left_out!r}, also a prompt; before a response it is left out"
    return (
        f"the end of the prompt, {left_out!r}, merges with a response into one token: it counts as part of both "
        "responses, and the prompt ends before it, as in training"
    )


def decode(tokenizer: Any, ids: tuple[int, ...]) -> str:
    """Return the text of tokens, with special tokens and all white space.

    Args:
        tokenizer: a Hugging Face tokenizer.
        ids: the tokens.
    """
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def special_ids(tokenizer: Any) -> set[int]:
    """Return the ids of all special tokens, also of those without a role (such as BOS), for example an end of turn.

    Args:
        tokenizer: a Hugging Face tokenizer.
    """
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return {
        *tokenizer.all_special_ids,
        *(number for number, token in added.items() if getattr(token, "special", False)),
    }


def _check_tool_call(tokenizer: Any, pair: Any, column: str, response: Any, sequence: TokenSequence) -> None:
    """Refuse a response that is only a tool call, if the chat template leaves the call out."""
    if isinstance(pair.prompt, str) or not isinstance(response, Mapping):
        return
    if not response.get("tool_calls") or response.get("content"):
        return
    without = {key: value for key, value in response.items() if key != "tool_calls"}
    try:
        bare = conversation_ids(tokenizer, (*pair.prompt, without), pair.template_arguments)
    except InvalidArgument:
        return
    if bare == sequence.ids:
        raise InvalidArgument(
            column, "the response is a tool call without content, and the chat template leaves tool calls out"
        )


def _begins_twice(tokenizer: Any, sequence: TokenSequence) -> bool:
    bos = tokenizer.bos_token_id
    return bos is not None and sequence.ids[:2] == (bos, bos)


def _ends_twice(tokenizer: Any, sequence: TokenSequence) -> bool:
    """Return whether a special token comes before the EOS of a response, white space between them aside."""
    special = special_ids(tokenizer)
    ids = list(sequence.response)
    if ids[-1] != tokenizer.eos_token_id:
        return False
    ids.pop()
    while ids and ids[-1] not in special and not decode(tokenizer, (ids[-1],)).strip():
        ids.pop()
    return bool(ids) and ids[-1] in special
