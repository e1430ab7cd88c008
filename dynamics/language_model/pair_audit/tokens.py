"""The tokens of a pair as a trainer makes them, and what is to be said about them.

The trainer is TRL's ``DPOTrainer`` (1.16); the tests hold ids and borders against it, row by row. Where what it does is
hardly what anybody means (BOS twice, an end twice), its tokens are followed, since the model will be trained on them,
and a remark says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dynamics.errors import InvalidArgument
from dynamics.language_model.pair_audit.reading import RESPONSES
from dynamics.language_model.pair_audit.rows import Pair
from dynamics.language_model.tokens import TokenSequence, conversation_ids, prompt_ids, tokenize_responses

REMARKS = {
    "cut": "the tokens of the prompt alone do not begin prompt and response; the prompt ends where they part",
    "two-bos": "BOS stands twice at the beginning: the text has it, and the tokenizer adds it; take it out of the text",
    "two-ends": "a response ends twice: its text has an end already, and EOS comes after it, as a trainer adds it",
    "repeated-prompt": "both responses repeat the prompt, which is read once; a trainer puts it before them again",
    "messages-as-text": "messages stand as the text of a list; here they are messages, to a trainer they are text",
}
"""What may be noteworthy about the tokens of a pair."""


class Sequences(NamedTuple):
    """The two sequences of a pair."""

    chosen: TokenSequence
    rejected: TokenSequence


@dataclass(frozen=True)
class TokenizedPair:
    """The two sequences of a pair, with the same prompt, and what is to be said about them.

    Attributes:
        sequences: chosen and rejected.
        remarks: keys of ``REMARKS``.
        left_out: where the prompt is cut, the text of its end that is left out.
        cut_by: what cuts it there, as for ``cut_sentence``.
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
        """Say for people what is noteworthy."""
        return [cut_sentence(self.left_out, self.cut_by) if r == "cut" else REMARKS[r] for r in self.remarks]

    def fields(self) -> dict[str, Any]:
        """Return what results hold about the tokens: ``cut``, with what is left out and why; other remarks."""
        others = [remark for remark in self.remarks if remark != "cut"]
        found: dict[str, Any] = {"cut": self.cut}
        if self.cut:
            found |= {"left_out": self.left_out, "cut_by": self.cut_by}
        return {**found, "remarks": others} if others else found


def tokenize_pair(tokenizer: Any, pair: Pair, longest: int | None = None) -> TokenizedPair:
    """Tokenise chosen and rejected as a trainer does, with one prompt for both.

    Args:
        tokenizer: a Hugging Face tokenizer.
        pair: prompt and responses.
        longest: most tokens that prompt and response may have together. (TRL cuts what is longer than its
            ``max_length``; here the row is refused.)

    Raises:
        InvalidArgument: what ``tokenize_responses`` refuses, a sequence that is too long, responses of the same tokens,
            a tool call without content that the chat template leaves out.
    """
    given = pair.template_arguments
    responses = pair.chosen, pair.rejected
    made = Sequences(*tokenize_responses(tokenizer, pair.prompt, responses, template_arguments=given))
    for column, sequence in zip(RESPONSES, made, strict=True):
        if longest is not None and len(sequence.ids) > longest:
            got = f"{len(sequence.ids)} tokens with its prompt"
            raise InvalidArgument(
                column, got, f"at most {longest} (--max-tokens; by default what the model is made for)"
            )
    if made.chosen.ids == made.rejected.ids:
        raise InvalidArgument("rejected", "the tokens of the chosen response", "a response of other tokens")
    for column, response, sequence in zip(RESPONSES, responses, made, strict=True):
        _check_tool_call(tokenizer, pair, column, response, sequence)
    template = not isinstance(pair.prompt, str)
    flags = {
        "cut": made.chosen.cut,
        "two-bos": _begins_twice(tokenizer, made.chosen),
        "two-ends": not template and any(_ends_twice(tokenizer, sequence) for sequence in made),
        "repeated-prompt": pair.repeated,
        "messages-as-text": pair.written,
    }
    remarks = tuple(remark for remark in REMARKS if flags[remark])
    if not made.chosen.cut:
        return TokenizedPair(made, remarks)
    end = prompt_ids(tokenizer, pair.prompt, template_arguments=given)[made.chosen.prompt_tokens :]
    cut_by = "template" if template else "ending" if set(end) <= special_ids(tokenizer) else "merge"
    return TokenizedPair(made, remarks, decode(tokenizer, end), cut_by)


def cut_sentence(left_out: str, cut_by: str) -> str:
    r"""Say why a prompt is cut.

    Args:
        left_out: the end of the prompt that is left out.
        cut_by: ``"template"``, ``"ending"`` (that the tokenizer adds to every text) or ``"merge"``.

    Example:
        >>> print(cut_sentence(" ", "merge"))
        the end of the prompt, ' ', merges with a response into one token: it is counted to both responses, and their...
    """
    if cut_by == "template":
        return (
            f"the chat template ends a prompt alone with {left_out!r}, but does not put that before a response: "
            "training, and this audit, see another prompt than the model does when it answers"
        )
    if cut_by == "ending":
        return f"the tokenizer ends every text with {left_out!r}, also a prompt; it is left out before the responses"
    return (
        f"the end of the prompt, {left_out!r}, merges with a response into one token: it is counted to both responses, "
        "and their prompt ends before it, as in training"
    )


def decode(tokenizer: Any, ids: tuple[int, ...]) -> str:
    """Return the text of tokens, special ones and white space included.

    Args:
        tokenizer: a Hugging Face tokenizer.
        ids: the tokens.
    """
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def special_ids(tokenizer: Any) -> set[int]:
    """Return the ids of special tokens, also of those that have no role of their own such as an end of turn.

    Args:
        tokenizer: a Hugging Face tokenizer.
    """
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return {
        *tokenizer.all_special_ids,
        *(number for number, token in added.items() if getattr(token, "special", False)),
    }


def _check_tool_call(tokenizer: Any, pair: Pair, column: str, response: Any, sequence: TokenSequence) -> None:
    """Refuse a response that is a tool call and nothing else, where the chat template shows nothing of it."""
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
            column, "a tool call without content", "a response that the chat template shows; it leaves tool calls out"
        )


def _begins_twice(tokenizer: Any, sequence: TokenSequence) -> bool:
    bos = tokenizer.bos_token_id
    return bos is not None and sequence.ids[:2] == (bos, bos)


def _ends_twice(tokenizer: Any, sequence: TokenSequence) -> bool:
    """Return whether another special token ends the text of a response before its EOS, white space aside."""
    special = special_ids(tokenizer)
    ids = list(sequence.response)
    if ids[-1] != tokenizer.eos_token_id:
        return False
    ids.pop()
    while ids and ids[-1] not in special and not decode(tokenizer, (ids[-1],)).strip():
        ids.pop()
    return bool(ids) and ids[-1] in special
