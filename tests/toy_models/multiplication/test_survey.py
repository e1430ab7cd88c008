"""What is surveyed, and which responses are rejected."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.optional import needs

needs("transformers")

from dynamics import InvalidArgument
from tests.toy_models.multiplication.conftest import (
    END,
    PROMPT,
    SETTINGS,
    LetterTokenizer,
    is_correct,
    probe,
    tiny_model,
)
from toy_models.multiplication.methods import Descent
from toy_models.multiplication.survey import PairRule, Survey, SurveySettings, select_pairs, survey

SURVEYED = Survey(
    prompt=(2,),
    responses=tuple((i, END) for i in range(8)),
    texts=tuple("ABCDEFGH"),
    log_probs=np.log([0.3, 0.2, 0.2, 0.1, 0.08, 0.05, 0.04, 0.02]),
    correct=np.array([False, True, False, True, False, False, False, True]),
    y_star=0,
    y_star_is_exact=True,
    truncated=0,
)
TWO = PairRule(pairs=2)


def test_the_most_probable_are_rejected() -> None:
    chosen, rejected = select_pairs(SURVEYED, replace(TWO, rejected="top"))
    assert (list(chosen), list(rejected)) == ([1, 3], [2, 4])


def test_named_responses_are_rejected_in_their_order() -> None:
    _, rejected = select_pairs(SURVEYED, replace(TWO, rejected=("G", "C")))
    assert list(rejected) == [6, 2]


def test_draws_have_the_chances_that_they_should() -> None:
    counts = {
        rule: Counter(
            int(i)
            for seed in range(1500)
            for i in select_pairs(SURVEYED, replace(TWO, pairs=1, rejected=rule, seed=seed))[1]
        )
        for rule in ("weighted", "uniform")
    }
    p = np.array([0.2, 0.08, 0.05, 0.04])
    for rule, chances in {"weighted": p / p.sum(), "uniform": np.full(4, 0.25)}.items():
        seen = np.array([counts[rule][i] for i in (2, 4, 5, 6)])
        assert seen.sum() == 1500
        assert (np.abs(seen - 1500 * chances) < 4 * np.sqrt(1500 * chances * (1 - chances))).all()


@pytest.mark.parametrize("rule", ["weighted", "uniform"])
def test_draws_are_different_responses_in_the_order_of_probability(rule: str) -> None:
    for seed in range(50):
        _, rejected = select_pairs(SURVEYED, PairRule(2, rejected=rule, seed=seed))  # type: ignore[arg-type]
        assert rejected[0] < rejected[1]
        assert not SURVEYED.correct[rejected].any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pairs": 4}, "pairs: only 3 correct responses other than y. were sampled, too few for 4"),
        ({"rejected": ("A", "C")}, "rejected"),  # A is y*
        ({"rejected": ("B", "C")}, "rejected"),  # B is right
        ({"rejected": ("C", "C")}, "rejected"),
        ({"rejected": ("C",)}, "rejected"),
        ({"rejected": ("C", "no such")}, "no such"),
        ({"rejected": "best"}, "rejected"),
    ],
)
def test_what_cannot_be_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        select_pairs(SURVEYED, replace(TWO, **change))


def test_named_responses_that_were_not_sampled_are_followed() -> None:
    run = probe(replace(SETTINGS, steps=0))
    rare = "cbcbc"
    assert rare not in run.survey.texts
    named = probe(
        replace(
            run.settings, rule=replace(SETTINGS.rule, rejected=(rare, *(run.survey.texts[i] for i in run.rejected[:2])))
        )
    )
    assert named.survey.texts[named.rejected[0]] == rare
    assert len(named.survey.responses) == len(run.survey.responses) + 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SurveySettings(samples=0), "samples"),
        (lambda: SurveySettings(temperature=0.0), "temperature"),
        (lambda: Descent(optimizer="lbfgs"), "optimizer"),  # type: ignore[arg-type]
        (lambda: Descent(learning_rate=-1.0), "learning_rate"),
    ],
)
def test_settings_that_cannot_be_are_named(make: Any, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        make()


def test_a_survey_is_made_once_for_many_runs() -> None:
    tokenizer: Any = LetterTokenizer()
    once = survey(tiny_model(6), tokenizer, PROMPT, is_correct, SETTINGS.survey)
    run = probe(replace(SETTINGS, steps=0))
    assert once.responses == run.survey.responses
    assert once.sequences[3].response == once.responses[3]
    assert all(y[-1] == END for y in once.responses)
    none = tiny_model(6)
    with pytest.raises(InvalidArgument, match="max_tokens"):
        survey(none, tokenizer, PROMPT, is_correct, SurveySettings(samples=1, max_tokens=1, seed=1))
