"""The tokens of a pair as a trainer makes them, with remarks about what may be a mistake.

The trainer is TRL's ``DPOTrainer`` (1.16); the tests compare token ids, and where the prompt ends, with it. Where its
tokens are hardly what the user intends (BOS twice, EOS twice) they are made all the same, since the model will be
trained on them, and a remark says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from dynamics.errors import InvalidArgument
from dynamics.language_model.pair_audit.reading.columns import RESPONSES
from dynamics.language_model.pair_audit.reading.rows import Ids, Pair
from dynamics.language_model.pair_audit.reading.truncation import Truncation
from dynamics.language_model.tokens import (
    Messages,
    TokenSequence,
    common_beginning,
    conversation_ids,
    conversation_text,
    prompt_ids,
    tokenize_responses,
)

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
    "two-ways": "a response has other tokens if it is tokenised apart from the prompt, as some trainers do it",
    "several-turns": "a response has several turns; every token after the prompt counts, those of the user too, as in "
    "training",
    "shared-words": "both texts begin with the same words of the answer; without a column for the prompt these words "
    "count as part of the prompt, as in training",
    "truncated": "prompt and response are longer than --max-length, and lose their end or beginning as in training",
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
        truncated: number of tokens that truncation takes from chosen and from rejected.
    """

    sequences: Sequences
    remarks: tuple[str, ...] = ()
    left_out: str = ""
    cut_by: str = ""
    truncated: tuple[int, int] = (0, 0)

    @property
    def cut(self) -> bool:
        """Return whether the end of the prompt is left out."""
        return "cut" in self.remarks

    def sentences(self) -> list[str]:
        """Return the remarks as sentences for people."""
        return [cut_sentence(self.left_out, self.cut_by) if r == "cut" else REMARKS[r] for r in self.remarks]

    def fields(self) -> dict[str, Any]:
        """Return the fields that the results get: what the tokens have in common, what is cut, and other remarks."""
        others = [remark for remark in self.remarks if remark != "cut"]
        found: dict[str, Any] = {**vars(compare_tokens(self.sequences)), "cut": self.cut}
        if self.cut:
            found |= {"left_out": self.left_out, "cut_by": self.cut_by}
        if any(self.truncated):
            found |= {"truncated_chosen": self.truncated[0], "truncated_rejected": self.truncated[1]}
        return {**found, "remarks": others} if others else found


@dataclass(frozen=True)
class CommonTokens:
    """What the tokens of two responses have in common.

    Attributes:
        first_difference: number of tokens before the first in which they differ.
        shared_after_difference: the share of the tokens of the shorter rest after that, which the other rest has
            too, whatever their order; None if one of the rests is empty.
    """

    first_difference: int
    shared_after_difference: float | None


def compare_tokens(pair: Sequences) -> CommonTokens:
    """Return what the tokens of two responses have in common.

    Args:
        pair: chosen and rejected.

    Example:
        >>> chosen, rejected = (TokenSequence((9, *ids), 1) for ids in ((1, 2, 3, 4), (1, 5, 4, 3, 6)))
        >>> compare_tokens(Sequences(chosen, rejected))
        CommonTokens(first_difference=1, shared_after_difference=0.6666666666666666)
    """
    one, other = (sequence.response for sequence in pair)
    same = common_beginning(one, other)
    rests = Counter(one[same:]), Counter(other[same:])
    shorter = min(rest.total() for rest in rests)
    return CommonTokens(same, (rests[0] & rests[1]).total() / shorter if shorter else None)


def tokenize_pair(
    tokenizer: Any, pair: Pair, longest: int | None = None, truncation: Truncation | None = None
) -> TokenizedPair:
    """Tokenise chosen and rejected as a trainer does, with one prompt for both.

    Token ids are taken as they are.

    Args:
        tokenizer: a Hugging Face tokenizer; None where the pairs are token ids.
        pair: prompt and responses.
        longest: most tokens that prompt and response may have together. A longer pair is refused.
        truncation: how the trainer truncates; by default not at all.

    Raises:
        InvalidArgument: a sequence is too long; both responses have the same tokens, be it only after truncation; a
            response is only a tool call, and the chat template leaves it out; nothing of the responses is left after
            truncation; or what ``tokenize_responses`` refuses.
    """
    whole = _tokenize_ids(pair.ids) if pair.ids is not None else _tokenize_texts(tokenizer, pair)
    cutting = truncation or Truncation()
    left = Sequences(*(cutting.cut(sequence) for sequence in whole.sequences))
    _check_lengths(left, longest)
    if left.chosen.ids == left.rejected.ids:
        after = f" after truncation to {cutting.max_length}" if left != whole.sequences else ""
        raise InvalidArgument("rejected", f"this response has the same tokens as the chosen one{after}")
    lost = [len(before.ids) - len(after.ids) for before, after in zip(whole.sequences, left, strict=True)]
    remarks = (*whole.remarks, *(["truncated"] if any(lost) else []))
    return replace(whole, sequences=left, remarks=remarks, truncated=(lost[0], lost[1]))


def _tokenize_ids(ids: tuple[Ids, Ids, Ids]) -> TokenizedPair:
    prompt, *answers = ids
    return TokenizedPair(Sequences(*(TokenSequence(prompt + answer, len(prompt)) for answer in answers)))


def _tokenize_texts(tokenizer: Any, pair: Pair) -> TokenizedPair:
    if tokenizer is None:
        raise InvalidArgument("row", "it holds text, and the first rows hold token ids, so that no tokenizer is loaded")
    given = pair.template_arguments
    texts: Any = pair
    responses = texts.chosen, texts.rejected
    turns = pair.turns or ((), ())
    made = Sequences(*tokenize_responses(tokenizer, texts.prompt, responses, template_arguments=given))
    for column, response, sequence in zip(RESPONSES, turns, made, strict=True):
        _check_tool_call(tokenizer, texts, column, response, sequence)
    template = not isinstance(pair.prompt, str)
    rests = _rendered_rests(tokenizer, texts) if template else responses
    flags = {
        "cut": made.chosen.cut,
        "two-bos": _begins_twice(tokenizer, made.chosen),
        "two-ends": not template and any(_ends_twice(tokenizer, sequence) for sequence in made),
        "repeated-prompt": pair.repeated,
        "messages-as-text": pair.written,
        "two-ways": not made.chosen.cut and rests is not None and _has_two_ways(tokenizer, rests, made),
        "several-turns": any(len(response) > 1 for response in turns),
        "shared-words": pair.begun,
    }
    remarks = tuple(remark for remark in REMARKS if flags.get(remark))
    if not made.chosen.cut:
        return TokenizedPair(made, remarks)
    end = prompt_ids(tokenizer, texts.prompt, template_arguments=given)[made.chosen.prompt_tokens :]
    if template:
        cut_by = "template" if rests is None else "merge"
    else:
        cut_by = "ending" if set(end) <= special_ids(tokenizer) else "merge"
    return TokenizedPair(made, remarks, decode(tokenizer, end), cut_by)


def _check_lengths(made: Sequences, longest: int | None) -> None:
    for column, sequence in zip(RESPONSES, made, strict=True):
        if longest is not None and len(sequence.ids) > longest:
            raise InvalidArgument(
                column,
                f"prompt and response have {len(sequence.ids)} tokens; at most {longest} are allowed (--max-tokens, by "
                "default the limit of the model; --max-length truncates instead)",
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


def token_texts(tokenizer: Any, sequence: TokenSequence, values: Sequence[float]) -> list[tuple[str, float]]:
    """Return the text of each token of a response, with a number for it.

    Tokens that are parts of one character are taken together, and their numbers added.

    Args:
        tokenizer: a Hugging Face tokenizer; without one, the texts are the ids.
        sequence: prompt and response.
        values: a number for each of the first tokens of the response.
    """
    ids = sequence.response[: len(values)]
    if tokenizer is None:
        return [(f"{token} ", value) for token, value in zip(ids, values, strict=True)]
    found: list[tuple[str, float]] = []
    before, sum_of_values = "", 0.0
    for number, value in enumerate(values, start=1):
        text, sum_of_values = decode(tokenizer, ids[:number]), sum_of_values + value
        if not text.endswith("\ufffd") or number == len(values):
            found.append((text[len(before) :], sum_of_values))
            before, sum_of_values = text, 0.0
    return found


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


def _check_tool_call(tokenizer: Any, pair: Any, column: str, response: Messages, sequence: TokenSequence) -> None:
    """Refuse a response that is only a tool call, if the chat template leaves the call out."""
    if len(response) != 1 or not response[0].get("tool_calls") or response[0].get("content"):
        return
    without = {key: value for key, value in response[0].items() if key != "tool_calls"}
    try:
        bare = conversation_ids(tokenizer, (*pair.prompt, without), pair.template_arguments)
    except InvalidArgument:
        return
    if bare == sequence.ids:
        raise InvalidArgument(
            column, "the response is a tool call without content, and the chat template leaves tool calls out"
        )


def _rendered_rests(tokenizer: Any, pair: Any) -> tuple[str, ...] | None:
    """Return what a chat template writes after the prompt; None if it writes the prompt alone in another way."""
    given = pair.template_arguments
    before = conversation_text(tokenizer, pair.prompt, given, add_generation_prompt=True)
    wholes = [conversation_text(tokenizer, (*pair.prompt, *turns), given) for turns in (pair.chosen, pair.rejected)]
    if not all(whole.startswith(before) for whole in wholes):
        return None
    return tuple(whole.removeprefix(before) for whole in wholes)


def _has_two_ways(tokenizer: Any, responses: Sequence[str], made: Sequences) -> bool:
    """Return whether the text of a response has other tokens alone than after the prompt; EOS aside."""
    alone = [tuple(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in responses]
    return any(sequence.response[: len(ids)] != ids for ids, sequence in zip(alone, made, strict=True))


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
