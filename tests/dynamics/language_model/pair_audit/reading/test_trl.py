"""Ids and borders are those that TRL's DPOTrainer makes of the same rows, row by row."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dynamics import InvalidArgument
from dynamics.language_model.pair_audit.reading.columns import find_reading
from dynamics.language_model.pair_audit.reading.data import make_row
from dynamics.language_model.pair_audit.reading.records import Record
from dynamics.language_model.pair_audit.reading.rows import parse_pair
from dynamics.language_model.pair_audit.reading.tokens import TokenizedPair, tokenize_pair
from dynamics.language_model.pair_audit.reading.truncation import Truncation
from dynamics.language_model.tokens import tokenize
from tests.dynamics.language_model.tokenizers import byte_tokenizer, sentencepiece_tokenizer, trained_tokenizer

TOKENIZERS: dict[str, Callable[[Path], Any]] = {
    "bytes without merges": lambda folder: byte_tokenizer(),
    "bytes": lambda folder: trained_tokenizer("bytes"),
    "bytes, BOS": lambda folder: trained_tokenizer("bytes", bos=True),
    "bytes, EOS": lambda folder: trained_tokenizer("bytes", eos=True),
    "bytes, BOS and EOS": lambda folder: trained_tokenizer("bytes", bos=True, eos=True),
    "metaspace": lambda folder: trained_tokenizer("metaspace"),
    "metaspace, BOS": lambda folder: trained_tokenizer("metaspace", bos=True),
    "unigram": lambda folder: trained_tokenizer("unigram"),
    "unigram, EOS": lambda folder: trained_tokenizer("unigram", eos=True),
    "sentencepiece file": sentencepiece_tokenizer,
}
SAID = "{{ '<|s|>' + m.role + '\n' + (m.content or '') + eos_token + '\n' }}"
ASK = "{% if add_generation_prompt %}{{ '<|s|>assistant\n' }}{% endif %}"
TURNS = "{% for m in messages %}" + SAID + "{% endfor %}"
TEMPLATES = {
    "plain": TURNS + ASK,
    "BOS": "{{ bos_token or '' }}" + TURNS + ASK,
    "thinking": TURNS + ASK.replace("assistant\n", "assistant\n<think>\n"),
    "trimming": TURNS.replace("(m.content or '')", "(m.content or '') | trim") + ASK,
    "a space after the header": "{% for m in messages %}{{ m.role + ': ' + (m.content or '') + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}",
    "a header that ends in a space alone": "{% for m in messages %}{{ m.role + ':' + (m.content or '') }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}",
    "tools": "{% if tools %}{{ '<|s|>tools\n' + (tools | tojson) + eos_token }}{% endif %}" + TURNS + ASK,
    "arguments": "{{ mood or '' }}" + TURNS + ASK.replace("assistant\n", "assistant{{ mood or '' }}\n"),
    "reasoning and calls": "{% for m in messages %}{{ '<|s|>' + m.role + '\n' }}{% if m.reasoning_content %}"
    "{{ '<think>' + m.reasoning_content }}{% endif %}{{ m.content or '' }}{% if m.tool_calls %}"
    "{{ m.tool_calls | tojson }}{% endif %}{{ eos_token }}{% endfor %}" + ASK,
}
TEMPLATES["arguments"] = TURNS.join(["{% set mood = mood | default('') %}{{ mood }}", ASK])


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return {name: make(tmp_path_factory.mktemp("tokenizer")) for name, make in TOKENIZERS.items()}


def trl() -> tuple[Any, Any]:
    """Return TRL and datasets. Nothing is skipped without them: then nothing holds us to what the trainer does."""
    try:
        import datasets
        import trl
    except ImportError as problem:
        raise RuntimeError("these tests compare with TRL: make, or pip install '.[lm,trl]'") from problem
    return trl, datasets


Ids = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def trained(tokenizer: Any, rows: list[dict[str, Any]], max_length: int | None = None) -> Iterator[Ids]:
    """Yield prompt, chosen and rejected ids of the trainer's own preparation of a data set."""
    library, datasets = trl()
    prepare: Any = library.DPOTrainer._prepare_dataset
    arguments = SimpleNamespace(max_length=max_length, truncation_mode="keep_start", dataset_num_proc=None)
    data = datasets.Dataset.from_list(rows).to_iterable_dataset()
    for made in prepare(SimpleNamespace(_tokenizer=tokenizer), data, tokenizer, arguments, "train"):
        yield tuple(made["prompt_ids"]), tuple(made["chosen_ids"]), tuple(made["rejected_ids"])


def ours(tokenizer: Any, rows: list[dict[str, Any]], columns: tuple[str, ...] = ()) -> Iterator[Ids | str]:
    """Yield the same as this project makes it, or why it takes no such row."""
    reading = find_reading("rows", rows, columns)
    for number, record in enumerate(rows):
        row = make_row(Record(number, f"row {number}", record), reading)
        try:
            if row.pair is None:
                raise InvalidArgument("row", number, row.problem)
            chosen, rejected = tokenize_pair(tokenizer, row.pair).sequences
            assert chosen.prompt == rejected.prompt
            yield chosen.prompt, chosen.response, rejected.response
        except InvalidArgument as problem:
            yield str(problem)


def check(tokenizer: Any, rows: list[dict[str, Any]]) -> int:
    """Compare row by row and return how many were compared.

    Refused is only what nobody can train on, and the tool call of which the trainer would see nothing but its end.
    """
    compared = 0
    for row, wanted, found in zip(rows, trained(tokenizer, rows), ours(tokenizer, rows), strict=True):
        if isinstance(found, str):
            prompt, chosen, rejected = wanted
            nothing = not prompt or not chosen or not rejected or chosen == rejected
            assert nothing or ("leaves tool calls out" in found and len(chosen) <= 3), (row, found)
            continue
        assert found == wanted, row
        compared += 1
    return compared


PIECES = ["the", " the", " ", "\n", " price", "price", "46", "$", " is", "now", "  ", "é", ",", "Human:", " it"]


def text_rows(seed: int, eos: str, count: int = 40) -> list[dict[str, str]]:
    """Return prompts and responses of random pieces: spaces and words meet at the border in every way."""
    draw = random.Random(seed)
    rows = []
    while len(rows) < count:
        prompt, chosen, rejected = ("".join(draw.choices(PIECES, k=draw.randint(1, 4))) for _ in range(3))
        if chosen[0] != rejected[0]:
            rows.append({"prompt": prompt, "chosen": chosen + eos * (draw.random() < 0.2), "rejected": rejected})
    return rows


@pytest.mark.parametrize("name", TOKENIZERS)
def test_texts_with_a_prompt(tokenizers: dict[str, Any], name: str) -> None:
    rows = text_rows(0, tokenizers[name].eos_token)
    assert check(tokenizers[name], rows) > 30


@pytest.mark.parametrize("name", TOKENIZERS)
def test_texts_that_begin_alike(tokenizers: dict[str, Any], name: str) -> None:
    rows = [
        {side: "it" + row["prompt"] + row[side] for side in ("chosen", "rejected")}
        for row in text_rows(1, tokenizers[name].eos_token)
    ]
    assert check(tokenizers[name], rows) > 30


def says(role: str, content: str | None, **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **fields}


Forms = dict[str, list[dict[str, Any]]]


def explicit_rows() -> list[dict[str, Any]]:
    """Return rows of messages with a prompt of their own."""
    draw = random.Random(2)
    prompts = [
        [says("user", "how much is it? ")],
        [says("system", "the answer"), says("user", "it")],
        [says("user", "46"), says("assistant", "now"), says("user", " the price ")],
    ]
    rows = []
    for prompt in prompts:
        chosen, rejected = ("".join(draw.choices(PIECES, k=3)) for _ in range(2))
        answers = {"chosen": [says("assistant", chosen + "w")], "rejected": [says("assistant", rejected + "l")]}
        rows.append({"prompt": prompt, **answers})
    return rows


TOOL = {"type": "function", "function": {"name": "price", "parameters": {"type": "object", "properties": {}}}}
CALL = [{"type": "function", "function": {"name": "price", "arguments": {"of": "it"}}}]
THOUGHT = says("assistant", "46", reasoning_content="what is it")
CALLED = says("assistant", None, tool_calls=CALL)


def conversations() -> Forms:
    """Return conversations in the forms that the trainer reads, each form a data set; a response is one turn."""
    explicit = explicit_rows()
    return {
        "explicit": explicit,
        "implicit": [{side: r["prompt"] + r[side] for side in ("chosen", "rejected")} for r in explicit],
        "tools": [{**row, "tools": [TOOL]} for row in explicit],
        "tools as JSON": [{**row, "tools": json.dumps([TOOL, TOOL])} for row in explicit],
        "arguments": [{**row, "chat_template_kwargs": {"mood": "$"}} for row in explicit],
        "arguments and tools": [{**row, "tools": [TOOL], "chat_template_kwargs": {"mood": "é"}} for row in explicit],
        "a thought": [{**row, "chosen": [THOUGHT]} for row in explicit],
        "a call": [{**row, "chosen": [CALLED]} for row in explicit],
    }


def longer_conversations() -> Forms:
    """Return the same with responses of several turns."""
    explicit = explicit_rows()
    more = [says("user", "it is what"), says("assistant", " 46 now ")]
    used = [CALLED, says("tool", "46"), says("assistant", "the price is 46")]
    several = [{**row, "chosen": row["chosen"] + more} for row in explicit]
    return {
        "several turns": several,
        "several turns in both": [{**row, "rejected": row["rejected"] + more} for row in several],
        "several turns, shared first": [
            {**row, "chosen": [THOUGHT, *more], "rejected": [THOUGHT, *row["rejected"]]} for row in explicit
        ],
        "several turns, implicit": [
            {side: r["prompt"] + r[side] + more for side in ("chosen", "rejected")} for r in explicit
        ],
        "one begins the other": [
            {"chosen": r["prompt"] + r["chosen"], "rejected": r["prompt"] + r["chosen"] + more} for r in explicit
        ],
        "a turn of the user first": [
            {"chosen": [*before, *r["chosen"]], "rejected": [*before, more[0], *r["rejected"]]}
            for r in explicit
            for before in [[*r["prompt"], THOUGHT]]
        ],
        "a tool that is used": [{**row, "tools": [TOOL], "chosen": used} for row in explicit],
        "a turn of the user at the end": [{**row, "rejected": row["rejected"] + more[:1]} for row in explicit],
    }


@pytest.mark.parametrize("template", TEMPLATES)
def test_conversations(tokenizers: dict[str, Any], template: str) -> None:
    longer = ("bytes", "unigram, EOS")
    for name in (*longer, "bytes without merges", "bytes, BOS and EOS", "metaspace", "sentencepiece file"):
        tokenizer = tokenizers[name]  # a template's text is tokenised without what a tokenizer adds to texts
        tokenizer.chat_template = TEMPLATES[template]
        for form, rows in (conversations() | (longer_conversations() if name in longer else {})).items():
            left_out = form == "a call" and template != "reasoning and calls"
            assert check(tokenizer, rows) == (0 if left_out else len(rows)), (name, form)


def test_a_border_within_a_response_of_several_turns_would_be_noticed(tokenizers: dict[str, Any]) -> None:
    """The control: neither the first turn alone, nor the turns of the assistant alone, are what the trainer counts."""
    tokenizer, rows = tokenizers["bytes"], longer_conversations()["several turns"]
    tokenizer.chat_template = TEMPLATES["plain"]
    first = [{**row, "chosen": row["chosen"][:1]} for row in rows]
    own = [{**row, "chosen": [turn for turn in row["chosen"] if turn["role"] == "assistant"]} for row in rows]
    for others in (first, own):
        assert all(a != b for a, b in zip(ours(tokenizer, others), trained(tokenizer, rows), strict=True))


def test_what_the_template_is_given_makes_a_difference(tokenizers: dict[str, Any]) -> None:
    """The comparison would not notice a column that both leave out."""
    forms = conversations()
    tokenizer = tokenizers["bytes"]

    def made(form: str, template: str) -> list[Ids | str]:
        tokenizer.chat_template = TEMPLATES[template]
        return list(ours(tokenizer, forms[form]))

    for form, template in (("tools", "tools"), ("tools as JSON", "tools"), ("arguments", "arguments")):
        assert all(a != b for a, b in zip(made(form, template), made("explicit", template), strict=True))
    for form in ("a thought", "a call"):
        assert all(a != b for a, b in zip(made(form, "reasoning and calls"), made("explicit", "plain"), strict=True))
    assert all("leaves tool calls out" in str(row) for row in made("a call", "plain"))


def test_a_prompt_for_each_response_is_not_what_the_trainer_makes(tokenizers: dict[str, Any]) -> None:
    """The negative control: tokenised one by one, the two responses of some pairs have different prompts."""
    tokenizer = tokenizers["bytes"]
    rows = text_rows(0, tokenizer.eos_token)
    alone = []
    for row in rows:
        chosen, rejected = (tokenize(tokenizer, row["prompt"], row[side]) for side in ("chosen", "rejected"))
        alone.append((chosen.prompt, chosen.response, rejected.response))
    differing = sum(a != b for a, b in zip(alone, trained(tokenizer, rows), strict=True))
    assert 0 < differing < len(rows)


Target = tuple[tuple[int, ...], int]
"""The ids of a sequence, and the place of the first that is predicted."""


def collated(made: Ids, most: int, mode: str) -> list[Target]:
    """Return what the trainer's own collator makes of a row, chosen and rejected."""
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    collator = DataCollatorForPreference(pad_token_id=0, max_length=most, truncation_mode=mode)
    batch = collator([dict(zip(("prompt_ids", "chosen_ids", "rejected_ids"), map(list, made), strict=True))])
    found = []
    for ids, real, counted in zip(batch["input_ids"], batch["attention_mask"], batch["completion_mask"], strict=True):
        predicted = counted[1:]  # the trainer's loss sees the mask without its first entry
        first = 1 + int(predicted.argmax())
        assert predicted.bool().tolist() == [first <= place < int(real.sum()) for place in range(1, len(ids))]
        found.append((tuple(ids[real.bool()].tolist()), first))
    return found


def cut_by_us(tokenizer: Any, record: Any, truncation: Truncation) -> tuple[TokenizedPair | None, str]:
    """Return the tokens of a row, or None and why it is refused."""
    try:
        return tokenize_pair(tokenizer, parse_pair(record), truncation=truncation), ""
    except InvalidArgument as problem:
        return None, str(problem)


@pytest.mark.parametrize("mode", ["keep_start", "keep_end"])
def test_truncation_is_that_of_the_trainer(tokenizers: dict[str, Any], mode: str) -> None:
    """Same ids, same first predicted token, and the same pairs dropped; and otherwise another length is noticed."""
    tokenizer = tokenizers["bytes"]
    rows = text_rows(4, tokenizer.eos_token)
    cut = dropped = noticed = 0
    whole = list(trained(tokenizer, rows))
    for most in (3, 6, 10):
        kept = list(trained(tokenizer, rows, most)) if mode == "keep_start" else whole
        for record, made in zip(rows, whole, strict=True):
            found, refusal = cut_by_us(tokenizer, record, Truncation(most, mode))
            drops = "drops this pair" in refusal
            dropped += drops
            if mode == "keep_start":
                assert (made not in kept) == drops
            if found is None:
                one, other = collated(made, most, mode) if not drops else ((), ())
                assert one == other, refusal
                continue
            assert [(s.ids, s.prompt_tokens) for s in found.sequences] == collated(made, most, mode)
            cut += "truncated" in found.remarks
            lengths = [len(made[0]) + len(response) for response in made[1:]]
            assert found.truncated == tuple(max(0, length - most) for length in lengths)
            if "truncated" in found.remarks:
                noticed += [(s.ids, s.prompt_tokens) for s in found.sequences] != collated(made, most + 1, mode)
    assert cut == noticed > 20
    assert (dropped > 5) == (mode == "keep_start")


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of transformers, about a setting of TRL's
def test_the_trainer_itself_holds_these_tokens(tmp_path: Path) -> None:
    """Made by its own constructor, the trainer's data set is what the preparation above yields."""
    from dynamics.language_model import tiny_model

    library, datasets = trl()
    tokenizer = byte_tokenizer()
    rows = text_rows(3, tokenizer.eos_token, count=6)
    arguments = library.DPOConfig(
        output_dir=str(tmp_path), max_length=None, use_cpu=True, report_to=[], disable_tqdm=True, bf16=False
    )
    trainer = library.DPOTrainer(
        model=tiny_model(vocabulary=258),
        ref_model=tiny_model(vocabulary=258, seed=1),
        args=arguments,
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    held = [
        tuple(tuple(row[f"{part}_ids"]) for part in ("prompt", "chosen", "rejected")) for row in trainer.train_dataset
    ]
    assert held == list(ours(tokenizer, rows))
