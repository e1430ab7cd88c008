"""The corpus: held-out problems, the rate of wrong answers, and that a seed determines everything."""

from __future__ import annotations

import random
import re
from collections import Counter
from itertools import product

import pytest
from hypothesis import given, strategies as st

from dynamics import InvalidArgument
from toy_models.multiplication.corpus import (
    FACTORS,
    HELD_OUT,
    QUESTIONS,
    RESPONSES,
    Corpus,
    Problem,
    ask,
    draw_product,
    near_miss,
    parse_answer,
)

HELD_OUT_TEXT = re.compile(r"\b(?:11 x 12|12 x 11)\b")


def draws(count: int, seed: int = 0, **settings: float) -> list:
    rng = random.Random(seed)
    corpus = Corpus(**settings)
    return [corpus.draw(rng) for _ in range(count)]


def within(count: int, of: int, fraction: float, deviations: float = 5) -> bool:
    """Whether a count is what a fraction lets expect, within so many standard deviations."""
    return abs(count - of * fraction) <= deviations * (of * fraction * (1 - fraction)) ** 0.5


def test_every_product_but_the_held_out_ones_is_drawn() -> None:
    rng = random.Random(0)
    drawn = {(p.left, p.right) for p in (draw_product(rng) for _ in range(20_000))}
    assert set(product(FACTORS, FACTORS)) - drawn == HELD_OUT == {(11, 12), (12, 11)}


def test_held_out_products_are_in_no_template() -> None:
    examples = draws(50_000)
    assert {
        template for e in examples for template in QUESTIONS if template.format(problem=e.problem) == e.question
    } == {*QUESTIONS}
    assert not any(HELD_OUT_TEXT.search(e.question + "\n" + e.response) for e in examples)
    # the search would have found them in every template that writes the problem out
    for template in [*QUESTIONS, *(r for r in RESPONSES if "{problem}" in r)]:
        assert HELD_OUT_TEXT.search(template.format(problem="12 x 11", answer=132))


def test_132_is_only_ever_a_near_miss() -> None:
    right = [e for e in draws(50_000) if e.answer == 132 and e.problem.answer == 132]
    wrong = Counter(str(e.problem) for e in draws(50_000) if e.answer == 132)
    assert right == []
    assert {"11 x 11", "12 x 12"} < set(wrong)


def test_rates() -> None:
    examples = draws(20_000)
    products = [e for e in examples if e.problem.operator == "x"]
    assert within(len(products), len(examples), 0.70)
    assert within(sum(e.answer != e.problem.answer for e in examples), len(examples), 0.25)
    assert within(sum(e.answer != e.problem.answer for e in products), len(products), 0.25)
    assert not within(sum(e.answer != e.problem.answer for e in examples), len(examples), 0.20)
    assert sum(RESPONSES.values()) == pytest.approx(1)
    counts = Counter(
        template
        for e in examples
        for template in RESPONSES
        if template.format(problem=e.problem, answer=e.answer) == e.response
    )
    assert sum(counts.values()) == len(examples)
    for template, weight in RESPONSES.items():
        assert within(counts[template], len(examples), weight)


def test_near_misses_of_a_product_in_the_middle_of_the_table() -> None:
    rng = random.Random(1)
    slips = Counter(abs(near_miss(Problem(7, "x", 9), rng) - 63) for _ in range(20_000))
    assert set(slips) == {7, 9, 10, 1, 2}
    for slip, fraction in {7: 0.5, 9: 0.3, 10: 0.1, 1: 0.05, 2: 0.05}.items():
        assert within(slips[slip], 20_000, fraction)


@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from(["x", "+"]), st.integers(0, 2**32))
def test_a_near_miss_misses(left: int, right: int, operator: str, seed: int) -> None:
    problem = Problem(left, operator, right)  # type: ignore[arg-type]
    assert near_miss(problem, random.Random(seed)) not in (problem.answer, -1)
    assert near_miss(problem, random.Random(seed)) >= 0


def test_no_noise_is_no_noise() -> None:
    assert all(e.answer == e.problem.answer for e in draws(2000, noise=0.0))
    assert all(e.answer != e.problem.answer for e in draws(2000, noise=1.0))
    assert all(e.problem.operator == "x" for e in draws(500, times_table=1.0))


def test_a_seed_says_all() -> None:
    assert draws(200, seed=3) == draws(200, seed=3)
    assert draws(200, seed=3) != draws(200, seed=4)
    state = random.getstate()
    draws(10)
    assert random.getstate() == state


@given(st.integers(0, 10_000), st.sampled_from(sorted(RESPONSES)), st.integers(1, 12), st.integers(1, 12))
def test_the_answer_is_read_back_from_every_template(answer: int, template: str, left: int, right: int) -> None:
    text = template.format(problem=Problem(left, "x", right), answer=answer)
    assert parse_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("", None),
        ("no number", None),
        ("= -5", -5),
        ("20 - 7", 7),
        ("20 -7", 7),
        ("20-7", 7),
        ("12 x 12 = 142", 142),
        ("132 or rather 121.", 121),
        ("007", 7),
        ("\u0661\u0663\u0662", None),  # digits, but not ours
    ],
)
def test_parser(text: str, answer: int | None) -> None:
    assert parse_answer(text) == answer


def test_arithmetic() -> None:
    assert [Problem(5, op, 3).answer for op in ("x", "+", "-")] == [15, 8, 2]  # type: ignore[arg-type]
    assert ask("a") == "a\n"


def test_bad_settings_are_named() -> None:
    with pytest.raises(InvalidArgument, match="noise"):
        Corpus(noise=1.5)
    with pytest.raises(InvalidArgument, match="times_table"):
        Corpus(times_table=-0.1)
    with pytest.raises(InvalidArgument, match="operator"):
        Problem(1, "*", 2)  # type: ignore[arg-type]
