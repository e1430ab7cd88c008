"""What the tokens of a pair pull: against gradients of single tokens, and together the change of the pair."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch

from dynamics.language_model import TokenSequence, sequence_kernel
from dynamics.language_model.pair_audit.measuring.audit import Audit, AuditSettings
from dynamics.language_model.pair_audit.measuring.run import run_audit
from dynamics.language_model.pair_audit.measuring.token_pulls import own_weights, read_token_pulls, token_pulls
from dynamics.language_model.pair_audit.reading.data import open_pairs
from dynamics.language_model.pair_audit.reading.tokens import Sequences, token_texts
from dynamics.language_model.pair_audit.results.store import Results
from dynamics.losses import DPO, PreferenceLoss, SimPO
from tests.dynamics.language_model.saved import products, tiny, write_lines
from tests.dynamics.language_model.tokenizers import byte_tokenizer, trained_tokenizer

loaded = cache(tiny)


@pytest.mark.parametrize("loss", [DPO(), SimPO()], ids=str)
def test_the_pulls_of_all_tokens_are_the_change_of_the_pair(tmp_path: Path, loss: PreferenceLoss) -> None:
    source = open_pairs(write_lines(tmp_path / "pairs.jsonl", products(5)))
    results, how = Results(tmp_path / "out.jsonl"), AuditSettings(loss=loss, dtype=torch.float64)
    with results.begin({}):
        audit = Audit(loaded(), source, results, how)
        run_audit(audit)
    found = read_token_pulls(audit, [0, 1, 3])
    assert set(found) == {0, 1, 3}
    for record in results.read():
        if record["row"] in found:
            sides = found[record["row"]]
            sums = {side: sum(pull for _, pull in tokens) for side, tokens in sides.items()}
            scale = record["norm_chosen"] ** 2
            assert sum(sums.values()) == pytest.approx(record["own_chosen_change"], abs=1e-12 * scale)
            d_w, d_l = own_weights(record, how)
            assert sums["chosen"] == pytest.approx(d_w * record["norm_chosen"] ** 2)
            assert sums["rejected"] == pytest.approx(-d_l * record["inner_product"])
            assert sums["rejected"] != pytest.approx(d_l * record["inner_product"])
            assert "".join(text for text, _ in sides["chosen"]) == products(5)[record["row"]]["chosen"] + "<|end|>"


def test_a_pull_is_the_inner_product_with_the_gradient_of_one_token() -> None:
    chosen, rejected = TokenSequence((5, 6, 7, 8), 2), TokenSequence((5, 6, 9), 2)
    found = token_pulls(loaded(), Sequences(chosen, rejected), (0.5, 2.0), AuditSettings(dtype=torch.float64))
    tokens = [TokenSequence((5, 6, 7), 2), TokenSequence((5, 6, 7, 8), 3), rejected]
    kernel = sequence_kernel(loaded().model, [chosen, *tokens], dtype=torch.float64).kernel
    assert found.chosen == pytest.approx([0.5 * float(kernel[0, n]) for n in (1, 2)])
    assert found.rejected == pytest.approx([-2.0 * float(kernel[0, 3])])


def test_parts_of_one_character_are_taken_together() -> None:
    tokenizer = byte_tokenizer()
    ids = tuple(tokenizer("aé!")["input_ids"])
    assert len(ids) == 4
    found = token_texts(tokenizer, TokenSequence((1, *ids), 1), [1.0, 2.0, 4.0, 8.0])
    assert found == [("a", 1.0), ("é", 6.0), ("!", 8.0)]
    assert token_texts(None, TokenSequence((1, 5, 6), 1), [1.0, 2.0]) == [("5 ", 1.0), ("6 ", 2.0)]


def test_a_space_before_a_word_is_shown() -> None:
    tokenizer = trained_tokenizer("metaspace")
    ids = tuple(tokenizer("the price is now", add_special_tokens=False)["input_ids"])
    found = token_texts(tokenizer, TokenSequence((1, *ids), 1), [1.0] * len(ids))
    assert "".join(text for text, _ in found).strip() == "the price is now"
