"""One claim, told: a notebook has the words of the ledger's page, and what is no key is refused."""

from __future__ import annotations

import re

import pytest

from dynamics import InvalidArgument
from theory import explain
from theory.report import section

KEYS = ("yuan2024.negative-product", "razin2024.rejected-longer", "jian2025.corollary-2")


@pytest.mark.parametrize("key", KEYS)
def test_a_notebook_shows_what_the_page_shows_with_formulas_that_it_can_set(key: str) -> None:
    told = explain(key, worlds=20)
    page, shown = section(told.claim, told.outcome), told._repr_markdown_()
    assert told.outcome.status == "reproduced"
    assert told.claim.says in shown
    for host_only in ("```math", "$`", "](#"):
        assert host_only not in shown
    assert "```math" in page
    assert "$`" in page
    assert shown.count("$") % 2 == 0
    letters = re.compile(r"[^a-z]+")
    assert letters.sub("", shown.replace("`", "")) == letters.sub(
        "", re.sub(r"\]\(#[^)]+\)", "]", page.replace("```math", "")).replace("`", "")
    )


def test_a_product_is_no_emphasis() -> None:
    told = explain("razin2024.identical-unembeddings", worlds=5)
    assert "*" in str(told)
    for text in (section(told.claim, told.outcome), told._repr_markdown_()):
        outside = re.sub(r"```.*?```|`[^`]*`|\*\*\w+\*\*", "", text, flags=re.DOTALL)
        assert not re.search(r"(?<!\\)\*", outside)


def test_print_shows_what_the_command_shows() -> None:
    told = str(explain("razin2024.ches-one-token", worlds=5))
    for words in (
        "razin2024.ches-one-token: vacuous",
        "assumes: responses of one token",
        "true instead: razin2024.theorem-4",
    ):
        assert words in told
    assert repr(explain("razin2024.ches-one-token", worlds=5)).startswith("<razin2024.ches-one-token: vacuous, ")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("razin2024", "14 claims match it"),
        ("razin2024.ches-onetoken", "near it: razin2024.ches-one-token"),
        (3, "the key of one claim"),
    ],
)
def test_what_is_not_the_key_of_one_claim_is_refused(key: object, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        explain(key)  # type: ignore[arg-type]
