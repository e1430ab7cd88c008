"""The pairs that are watched: drawn from the data sets of a trainer, with the trainer's own tokens."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

from dynamics.errors import InvalidArgument, Unsupported
from dynamics.language_model.tokens import TokenSequence, tokenize_responses

PAIR = ("chosen", "rejected")
STREAMED = 1000
"""How many of the first rows of a data set without a length are drawn from."""
GIVE_PROBES = "give probes=[{'chosen': TokenSequence, 'rejected': TokenSequence}, ...]"


@dataclass(frozen=True)
class Probe:
    """A preference pair that is watched, with further responses to the same prompt.

    Attributes:
        name: where it comes from, such as ``"train 12"``.
        responses: the sequences by role: ``"chosen"``, ``"rejected"``, then the panel.
        reference: log ref of the chosen and the rejected response, where the trainer has computed it in advance.
    """

    name: str
    responses: dict[str, TokenSequence]
    reference: tuple[float, float] | None = None

    @property
    def chosen(self) -> TokenSequence:
        """Return prompt and chosen response."""
        return self.responses["chosen"]

    @property
    def rejected(self) -> TokenSequence:
        """Return prompt and rejected response."""
        return self.responses["rejected"]


def collated_pair(
    collator: Callable[[list[Any]], Mapping[str, Any]],
    row: Mapping[str, Any],
    longest: int | None = None,
    mode: str = "keep_start",
) -> dict[str, TokenSequence]:
    """Return the two sequences of a row of a processed data set, as the trainer's collator makes them.

    Truncation to the trainer's ``max_length`` is part of what a collator does. Two forms of a batch are read: that of
    TRL's DPOTrainer (``input_ids`` and ``completion_mask``, the chosen responses first) and that of its trainers for
    CPO and ORPO (``chosen_input_ids`` and ``chosen_labels``, and the same for rejected).

    Args:
        collator: the trainer's ``data_collator``.
        row: a row of the trainer's data set.
        longest: most tokens of a sequence; None for no limit. Where the collator has truncated, nothing more is cut.
        mode: which end is kept, ``"keep_start"`` or ``"keep_end"``.

    Raises:
        Unsupported: the collator makes no batch of pairs in one of these forms.
        InvalidArgument: nothing is left of the prompt or of a response.

    Example:
        >>> parts = {"input_ids": [[1, 2, 3], [1, 4, 0]], "attention_mask": [[1, 1, 1], [1, 1, 0]]}
        >>> parts["completion_mask"] = [[0, 1, 1], [0, 1, 0]]
        >>> batch = {name: torch.tensor(part) for name, part in parts.items()}
        >>> collated_pair(lambda rows: batch, {})["rejected"]
        TokenSequence(ids=(1, 4), prompt_tokens=1, cut=False)
    """
    try:
        batch = collator([dict(row)])
        if "pixel_values" in batch:
            raise ValueError("it holds images, which are not part of the token ids")
        if "completion_mask" in batch:
            parts = [(batch["input_ids"][n], batch["completion_mask"][n], batch["attention_mask"][n]) for n in (0, 1)]
        else:
            whole = [[batch[f"{side}_{key}"][0] for key in ("input_ids", "labels", "attention_mask")] for side in PAIR]
            parts = [(ids, labels != -100, attended) for ids, labels, attended in whole]
    except (KeyError, IndexError, TypeError, ValueError) as problem:
        found = f"a row of the trainer's data set does not become a pair ({type(problem).__name__}: {problem})"
        raise Unsupported("probes", found, GIVE_PROBES) from problem
    span = slice(None) if longest is None else slice(longest) if mode == "keep_start" else slice(-longest, None)
    return {side: _sequence(*part, span) for side, part in zip(PAIR, parts, strict=True)}


def _sequence(ids: torch.Tensor, in_response: torch.Tensor, attended: torch.Tensor, span: slice) -> TokenSequence:
    kept = attended.bool()
    own, mask = ids[kept][span].tolist(), in_response[kept][span].bool().tolist()
    return TokenSequence(tuple(own), mask.index(True) if True in mask else len(own))


def draw_rows(data: Any, count: int, seed: int) -> list[tuple[int, Mapping[str, Any]]]:
    """Return some rows of a data set with their numbers, in a random order.

    Args:
        data: a data set with a length, or a stream, of which only the first rows are drawn from.
        count: at most how many.
        seed: seed of the order.

    Example:
        >>> [number for number, _ in draw_rows([{"a": n} for n in range(5)], 3, seed=0)]
        [3, 4, 0]
    """
    draw = random.Random(seed)
    if hasattr(data, "__len__"):
        return [(number, data[number]) for number in draw.sample(range(len(data)), min(count, len(data)))]
    rows = list(enumerate(islice(iter(data), STREAMED)))
    return draw.sample(rows, min(count, len(rows)))


def named_sets(train: Any, evaluation: Any) -> dict[str, Any]:
    """Return the data sets of a trainer by name: ``"train"``, and ``"eval"`` or ``"eval NAME"`` for each of several."""
    found = {} if train is None else {"train": train}
    if isinstance(evaluation, Mapping):
        return found | {f"eval {name}": data for name, data in evaluation.items()}
    return found if evaluation is None else found | {"eval": evaluation}


def draw_probes(
    sets: Mapping[str, Any],
    pair_of: Callable[[Mapping[str, Any]], dict[str, TokenSequence]],
    count: int,
    seed: int,
    tokenizer: Any = None,
    columns: Sequence[str] = (),
    reference_of: Callable[[Mapping[str, Any]], tuple[float, float] | None] | None = None,
) -> tuple[list[Probe], list[str]]:
    """Return probes that are drawn in equal parts from several data sets, and what was left out and why.

    Args:
        sets: the processed data sets by name.
        pair_of: returns the two sequences of a row, as ``collated_pair`` does.
        count: how many probes.
        seed: seed of the draw.
        tokenizer: tokenizer for the columns.
        columns: columns of the data sets that hold further responses as text, such as a paraphrase of the chosen one.
        reference_of: returns log ref of the two responses of a row, if it is known.

    Raises:
        InvalidArgument: no row can be used, or a column that is not there.
    """
    probes: list[Probe] = []
    left_out: list[str] = []
    shares = [count // len(sets) + (number < count % len(sets)) for number in range(len(sets))]
    for (name, data), share in zip(sets.items(), shares, strict=True):
        for number, row in draw_rows(data, share, seed):
            place = f"{name} {number}"
            try:
                responses = pair_of(row)
                if responses["chosen"].ids == responses["rejected"].ids:
                    raise InvalidArgument("rejected", "this response has the same tokens as the chosen one")
            except Unsupported:
                raise
            except InvalidArgument as problem:
                left_out.append(f"{place}: {problem}")
                continue
            found, missing = _of_columns(tokenizer, row, responses["chosen"], columns, place)
            reference = None if reference_of is None else reference_of(row)
            probes.append(Probe(place, responses | found, reference))
            left_out += missing
    if not probes:
        why = left_out[0] if left_out else "the data sets are empty"
        raise Unsupported("probes", f"no row of the trainer's data can be watched ({why})", GIVE_PROBES)
    return probes, left_out


def _of_columns(
    tokenizer: Any, row: Mapping[str, Any], chosen: TokenSequence, columns: Sequence[str], place: str
) -> tuple[dict[str, TokenSequence], list[str]]:
    """Return the responses that stand in further columns, behind the trainer's own prompt tokens."""
    found: dict[str, TokenSequence] = {}
    missing = []
    for column in columns:
        if column not in row:
            there = ", ".join(sorted(row))
            raise InvalidArgument("panel", column, f"columns of the data set: {there}")
        try:
            if _is_empty(row[column]):  # with EOS it would be measured as a response that ends at once
                raise InvalidArgument(column, "the response is empty")
            made = tokenize_responses(tokenizer, row["prompt"], (row[column],))[0]
            if made.prompt != chosen.prompt:
                raise InvalidArgument(column, "its prompt has other tokens than that of the pair")
        except InvalidArgument as problem:
            missing.append(f"{place}: {problem}")
        else:
            found[column] = made
    return found, missing


def _is_empty(response: Any) -> bool:
    turns = response if isinstance(response, (list, tuple)) else (response,)
    texts = [turn.get("content") or turn.get("tool_calls") if isinstance(turn, Mapping) else turn for turn in turns]
    return not any(text.strip() if isinstance(text, str) else text for text in texts)


def given_probes(probes: Iterable[Mapping[str, TokenSequence]]) -> list[Probe]:
    """Return probes that the user gave, each a mapping from roles to sequences.

    Raises:
        InvalidArgument: not such mappings, or one without ``chosen`` or ``rejected``.

    Example:
        >>> pair = {"chosen": TokenSequence((1, 2), 1), "rejected": TokenSequence((1, 3), 1)}
        >>> given_probes([pair])[0].name
        'probe 0'
    """
    if not isinstance(probes, Iterable) or isinstance(probes, (str, Mapping)) or hasattr(probes, "__array__"):
        raise InvalidArgument("probes", probes, "how many to draw, or a list of mappings from roles to TokenSequences")
    return list(_read_given(probes))


def _read_given(probes: Iterable[Any]) -> Iterator[Probe]:
    number = -1
    for number, given in enumerate(probes):
        good = isinstance(given, Mapping) and all(isinstance(s, TokenSequence) for s in given.values())
        if not good or not set(PAIR) <= set(given):
            allowed = "a mapping with the TokenSequences 'chosen' and 'rejected', and of others if you like"
            raise InvalidArgument(f"probes[{number}]", given, allowed)
        others = {str(role): sequence for role, sequence in given.items() if role not in PAIR}
        yield Probe(f"probe {number}", {side: given[side] for side in PAIR} | others)
    if number < 0:
        raise InvalidArgument("probes", "the list is empty; give at least one pair")
