from __future__ import annotations

from typing import Any

import pytest

from dynamics import InvalidArgument
from dynamics.language_model.pair_audit.reading.columns import Reading
from dynamics.language_model.pair_audit.reading.rows import Pair, parse_pair
from dynamics.language_model.pair_audit.reading.tokens import REMARKS, TokenizedPair, tokenize_pair
from tests.dynamics.language_model.tokenizers import CHAT, byte_tokenizer, trained_tokenizer

USER = {"role": "user", "content": "7 x 8?"}


def says(content: str | None, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields}


def test_pairs_are_tokenised_as_text_or_through_the_chat_template() -> None:
    tokenizer = byte_tokenizer(chat_template=CHAT)
    plain = tokenize_pair(tokenizer, Pair("7 x 8 = ", "56", "é")).sequences
    assert [tokenizer.decode(s.response) for s in plain] == ["56<|end|>", "é<|end|>"]
    chat = tokenize_pair(tokenizer, Pair((USER,), (says("56"),), (says("54"),))).sequences
    assert tokenizer.decode(chat[0].prompt) == "<user>7 x 8?<|end|><assistant>"
    assert tokenizer.decode(chat[1].response) == "54<|end|>"


def test_sequences_that_are_too_long_or_of_the_same_tokens_are_refused() -> None:
    tokenizer = byte_tokenizer(chat_template=CHAT.replace("m['content']", "m['content'] | trim"))
    pair = Pair("abc", "de", "f")
    assert tokenize_pair(tokenizer, pair, 6).sequences.chosen.length == 3
    with pytest.raises(InvalidArgument, match="chosen: prompt and response have 6 tokens; at most 5 are allowed"):
        tokenize_pair(tokenizer, pair, 5)
    with pytest.raises(InvalidArgument, match="this response has the same tokens as the chosen one"):
        tokenize_pair(tokenizer, Pair((USER,), (says("56"),), (says("56 "),)))


def test_both_responses_have_one_prompt_where_a_token_crosses_the_border_of_one_of_them() -> None:
    tokenizer = byte_tokenizer(merges=(("\u0120", "t"),))  # " t" is one token
    for chosen, rejected in (("the", "9"), ("9", "the")):
        made = tokenize_pair(tokenizer, Pair("is it ", chosen, rejected))
        assert [tokenizer.decode(s.prompt) for s in made.sequences] == ["is it"] * 2
        assert [tokenizer.decode(s.response) for s in made.sequences] == [f" {r}<|end|>" for r in (chosen, rejected)]
        assert {"cut": True, "left_out": " ", "cut_by": "merge"}.items() <= made.fields().items()
    neither = tokenize_pair(tokenizer, Pair("is it ", "9", "8"))
    assert tokenizer.decode(neither.sequences.chosen.prompt) == "is it "
    assert neither.fields().keys() == {"cut", "first_difference", "shared_after_difference"}
    assert not neither.fields()["cut"]


def test_what_cuts_a_prompt_is_said() -> None:
    thinking = byte_tokenizer(chat_template=CHAT.replace("<assistant>", "<assistant><think>"))
    made = tokenize_pair(thinking, Pair((USER,), (says("56"),), (says("54"),)))
    assert {"cut": True, "left_out": "<think>", "cut_by": "template"}.items() <= made.fields().items()
    (said,) = made.sentences()
    assert "the chat template ends a prompt with '<think>'" in said
    ending = tokenize_pair(trained_tokenizer("bytes", eos=True), Pair("it is", " 46", " now"))
    assert ending.cut_by == "ending"
    assert ending.left_out == "<|e|>"
    assert "the tokenizer ends every text with '<|e|>'" in ending.sentences()[0]


RECORDS: list[tuple[dict[str, str], tuple[str, ...]]] = [
    ({"prompt": "it is ", "chosen": "now", "rejected": "46"}, ()),
    ({"prompt": "<|bos|>it is ", "chosen": "now", "rejected": "46"}, ("two-bos",)),
    ({"prompt": "it is ", "chosen": "now<|e|>", "rejected": "46"}, ()),
    ({"prompt": "it is ", "chosen": "now<|e|>\n", "rejected": "46"}, ("two-ends",)),
    ({"prompt": "it is ", "chosen": "now", "rejected": "46<|s|> \n"}, ("two-ends",)),
    ({"prompt": "it is ", "chosen": "now<|s|>.", "rejected": "46"}, ()),
    ({"prompt": "it is ", "chosen": "it is now", "rejected": "it is 46"}, ("repeated-prompt",)),
]


@pytest.mark.parametrize(("record", "remarks"), RECORDS)
def test_what_hardly_anybody_means_is_remarked(record: dict[str, str], remarks: tuple[str, ...]) -> None:
    made = tokenize_pair(trained_tokenizer("bytes", bos=True), parse_pair(record, Reading(repeated=True)))
    assert tuple(remark for remark in made.remarks if remark != "cut") == remarks
    assert made.fields().get("remarks", []) == list(remarks)
    assert all(REMARKS[remark] in made.sentences() for remark in remarks)


def test_a_template_that_raises_refuses_with_its_own_sentence() -> None:
    """Whatever it raises: its own error, a name that is not there, an operation that Python refuses."""
    failures = {
        "{{ raise_exception('roles must alternate') }}": "it says: roles must alternate",
        "{{ nobody.knows.this }}": "it says: UndefinedError: 'nobody' is undefined",
        "{{ 'a' + 3 }}": "it says: TypeError: ",
        "{{ 1 // 0 }}": "it says: ZeroDivisionError: ",
        "{% for %}": "it says: TemplateSyntaxError: ",
    }
    for template, words in failures.items():
        tokenizer = byte_tokenizer(chat_template=template)
        with pytest.raises(InvalidArgument) as refused:
            tokenize_pair(tokenizer, Pair((USER,), (says("56"),), (says("54"),)))
        assert "does not accept the turns of user" in str(refused.value)
        assert words in str(refused.value)


def test_the_template_is_given_tools_arguments_and_every_field_of_a_message() -> None:
    template = "{% for t in tools or [] %}[{{ t.name }}]{% endfor %}{{ mood | default('') }}" + CHAT.replace(
        "{{ m['content'] }}", "{{ m['reasoning'] | default('') }}{{ m['content'] }}"
    )
    tokenizer = byte_tokenizer(chat_template=template)
    record: dict[str, Any] = {"prompt": [USER], "chosen": [says("56", reasoning="hm ")], "rejected": "54"}
    record["chosen"], record["rejected"] = [says("56", reasoning="hm ")], [says("54")]
    given = {"tools": '[{"name": "calculator"}]', "chat_template_kwargs": {"mood": "glad"}}

    def shown(made: TokenizedPair) -> tuple[str, str]:
        return tokenizer.decode(made.sequences.chosen.prompt), tokenizer.decode(made.sequences.chosen.response)

    assert shown(tokenize_pair(tokenizer, parse_pair({**record, **given}))) == (
        "[calculator]glad<user>7 x 8?<|end|><assistant>",
        "hm 56<|end|>",
    )
    assert shown(tokenize_pair(tokenizer, parse_pair(record)))[0] == "<user>7 x 8?<|end|><assistant>"


def test_a_tool_call_alone_is_a_response_where_the_template_shows_it() -> None:
    call = says(None, tool_calls=[{"function": {"name": "calculator"}}])
    record = {"prompt": [USER], "chosen": [call], "rejected": [says("54")]}
    filled = CHAT.replace("{{ m['content'] }}", "{{ m['content'] or '' }}")
    calling = filled.replace(
        "{{ eos_token }}", "{% for c in m.tool_calls %}{{ c.function.name }}{% endfor %}{{ eos_token }}"
    )
    tokenizer = byte_tokenizer(chat_template=calling)
    made = tokenize_pair(tokenizer, parse_pair(record))
    assert tokenizer.decode(made.sequences.chosen.response) == "calculator<|end|>"
    with pytest.raises(
        InvalidArgument, match=r"chosen: the response is a tool call without content.* leaves tool calls out"
    ):
        tokenize_pair(byte_tokenizer(chat_template=filled), parse_pair(record))
    strict = CHAT.replace("{{ m['content'] }}", "{{ 'it says ' + m['content'] }}")
    with pytest.raises(InvalidArgument, match="the last a tool call without content"):
        tokenize_pair(byte_tokenizer(chat_template=strict), parse_pair(record))


def test_a_response_with_other_tokens_alone_than_after_its_prompt_is_remarked() -> None:
    """SentencePiece begins every text with a space, so that a response alone is not what follows the prompt."""
    pair = Pair("how much is it?", "46", "the price")
    assert "two-ways" in tokenize_pair(trained_tokenizer("metaspace"), pair).remarks
    assert "two-ways" not in tokenize_pair(byte_tokenizer(), pair).remarks


def test_a_response_to_messages_is_cut_in_two_ways_too() -> None:
    """What the template writes after the prompt, tokenised apart from it, and as the end of the whole text."""
    ask = {"role": "user", "content": "how much is it?"}
    pair = Pair((ask,), ({"role": "assistant", "content": "46"},), ({"role": "assistant", "content": "the price"},))
    marked = trained_tokenizer("metaspace")
    marked.chat_template = CHAT
    made = tokenize_pair(marked, pair)
    assert not made.cut
    assert "two-ways" in made.remarks
    response, prompt = "46<|e|>", "<user>how much is it?<|e|><assistant>"
    apart, together = (marked(text, add_special_tokens=False)["input_ids"] for text in (response, prompt + response))
    assert tuple(together) == made.sequences.chosen.ids
    assert made.sequences.chosen.response != tuple(apart)
    assert "two-ways" not in tokenize_pair(byte_tokenizer(chat_template=CHAT), pair).remarks
    # a token over the border is a cut of the tokenizer's, not of the template's
    merging = byte_tokenizer(merges=(("\u0120", "t"),), chat_template=CHAT.replace("<assistant>", "<assistant> "))
    merging.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}"
    merging.chat_template += "{% if add_generation_prompt %}assistant: {% endif %}"
    cut = tokenize_pair(merging, pair)
    assert (cut.cut, cut.left_out, cut.cut_by) == (True, " ", "merge")
    assert "two-ways" not in cut.remarks


def test_every_token_after_the_prompt_counts_in_a_response_of_several_turns() -> None:
    turns = (says("4"), {"role": "user", "content": "Sure?"}, says("Yes."))
    made = tokenize_pair(byte_tokenizer(chat_template=CHAT), Pair((USER,), turns, (says("5"),)))
    decoded = byte_tokenizer().decode(made.sequences.chosen.response)
    assert decoded == "4<|end|><user>Sure?<|end|><assistant>Yes.<|end|>"
    assert made.remarks == ("several-turns",)
