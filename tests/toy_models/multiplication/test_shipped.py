"""The shipped checkpoint: small, loadable, and what its card says of it is what it does."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from tests.optional import needs

needs("transformers")

from dynamics.language_model import sequence_log_probs
from toy_models.multiplication.card import Measurements, measure, read_card, write_card
from toy_models.multiplication.corpus import ask
from toy_models.multiplication.probe import ProbeRun, ProbeSettings, run_probe
from toy_models.multiplication.report import verdict
from toy_models.multiplication.responses import as_prompt, as_sequences, encode_prompt
from toy_models.multiplication.search import most_probable
from toy_models.multiplication.shipped import PINNED, QUESTION, WEIGHTS, answers
from toy_models.multiplication.survey import PairRule
from toy_models.multiplication.tokenizer import byte_tokenizer
from toy_models.multiplication.training import TrainingSettings, new_model


@pytest.fixture(scope="module")
def pinned(shipped: tuple[Any, Any]) -> ProbeRun:
    settings = ProbeSettings(rule=PINNED)
    return run_probe(*shipped, as_prompt(shipped[1], QUESTION), partial(answers, 132), settings)


def test_files() -> None:
    files = {path.name: path.stat().st_size for path in WEIGHTS.iterdir()}
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= set(files)
    assert files["model.safetensors"] < 1_500_000
    assert sum(files.values()) < 1_600_000
    assert json.loads((WEIGHTS / "config.json").read_text(encoding="utf-8"))["model_type"] == "qwen2"


def test_the_shipped_tokenizer_is_read_right_by_autotokenizer(shipped: tuple[Any, Any]) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS)
    assert tokenizer.pad_token_id == 0
    assert tokenizer.eos_token_id == 1
    for text in ("What is 11 x 12?\n", "  11 x 12 = 132.\n\n", "d\u00e9j\u00e0 \U0001f600"):
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.decode(ids) == text
        assert ids == byte_tokenizer()(text)["input_ids"] == shipped[1](text)["input_ids"]


def test_the_card_says_what_the_weights_say(shipped: tuple[Any, Any]) -> None:
    said = read_card((WEIGHTS / "README.md").read_text(encoding="utf-8"))
    measured = measure(*shipped).table()
    assert set(said) == set(measured)
    numbers = 0
    for name, value in measured.items():
        try:
            assert float(said[name]) == pytest.approx(float(value), abs=2e-3), name
            numbers += 1
        except ValueError:
            assert said[name] == value, name
    assert numbers >= 6


def test_the_card_of_another_model_is_another(shipped: tuple[Any, Any]) -> None:
    """The twin: the comparison above fails on weights that are not those of the card."""
    said = read_card((WEIGHTS / "README.md").read_text(encoding="utf-8"))
    untrained = measure(new_model(0), shipped[1]).table()
    assert sum(said[name] != value for name, value in untrained.items()) >= 6


def test_a_card_is_read_back() -> None:
    measured = Measurements(0.25, 0.2, 0.1, 0.7, "= 121", 0.05, True, 0.4)
    card = write_card(TrainingSettings(seed=4, steps=600), measured, 330144, threads=3)
    assert read_card(card) == measured.table()
    assert "--seed 4 --steps 600 --threads 3" in card
    assert "330,144 parameters" in card
    assert "11 x 12 and 12 x 11 never occur" in card


def test_it_knows_the_table_and_errs_where_nothing_was_to_learn(shipped: tuple[Any, Any]) -> None:
    model, tokenizer = shipped
    ranking = most_probable(model, encode_prompt(tokenizer, ask(QUESTION)), tokenizer.eos_token_id)
    assert ranking.exact >= 1
    y_star = tokenizer.decode(ranking.responses[0][:-1])
    assert not answers(132, y_star)
    said = read_card((WEIGHTS / "README.md").read_text(encoding="utf-8"))
    assert float(said['P(56) at "7 x 8 = ?"']) > 0.5
    assert float(said['P(132) at "11 x 12 = ?"']) > 0.1


def test_exact_mass_of_the_most_probable(shipped: tuple[Any, Any]) -> None:
    model, tokenizer = shipped
    prompt = encode_prompt(tokenizer, ask(QUESTION))
    ranking = most_probable(model, prompt, tokenizer.eos_token_id, top=40)
    assert ranking.exact == 40
    assert np.exp(ranking.log_probs).sum() + ranking.remainder == pytest.approx(1, abs=1e-5)
    assert ranking.remainder < 0.4
    scores = sequence_log_probs(model, as_sequences(prompt, ranking.responses)).total.numpy()
    np.testing.assert_allclose(scores, ranking.log_probs, atol=1e-4)


def test_the_pattern_of_the_paper_on_the_pinned_draw(pinned: ProbeRun) -> None:
    """Figure 2a of jian2025: D_w up, D_l down, and the wrong y* up."""
    assert not pinned.survey.is_void
    assert pinned.survey.y_star_is_exact
    assert pinned.change[-1, 0] > 0.02
    assert pinned.change[-1, 1] < -0.5
    assert pinned.change[-1, 2] > 0.1
    assert "the pattern of jian2025's Figure 2a" in verdict(pinned)
    assert "not the pattern" not in verdict(pinned)
    np.testing.assert_allclose(pinned.mass.sum(1), 1, atol=1e-12)
    assert (pinned.mass > 0).all()
    said = read_card((WEIGHTS / "README.md").read_text(encoding="utf-8"), "The pinned draw")
    assert [float(said[name]) for name in ("D_w", "D_l", "y*")] == pytest.approx(list(pinned.change[-1]), abs=0.03)


def test_the_first_move_is_predicted_by_the_gradients(pinned: ProbeRun) -> None:
    move = pinned.first_move
    assert move is not None
    assert move.sign_is_predicted.all()
    np.testing.assert_allclose(move.predicted, move.actual, rtol=0.2, atol=2e-3)


def test_the_most_probable_rejected_take_y_star_down(shipped: tuple[Any, Any], pinned: ProbeRun) -> None:
    """The twin of the pattern: the same model with the incorrect responses taken from the top."""
    top = replace(pinned.settings, rule=PairRule(rejected="top"), steps=30)
    run = run_probe(*shipped, as_prompt(shipped[1], QUESTION), partial(answers, 132), top)
    assert run.change[-1, 1] < -0.3
    assert run.change[-1, 2] < 0
    assert "not the pattern" in verdict(run)
