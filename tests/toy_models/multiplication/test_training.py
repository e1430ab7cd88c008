"""Training: batches, the schedule, that some steps lower the loss, and that a folder is written whole or not at all."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from tests.optional import needs

needs("transformers")

from dynamics import InvalidArgument
from toy_models.multiplication import training
from toy_models.multiplication.corpus import Corpus, ask
from toy_models.multiplication.shipped import load_checkpoint
from toy_models.multiplication.tokenizer import byte_tokenizer
from toy_models.multiplication.training import IGNORED, TrainingSettings, encode_batch, new_model, save, train

FEW = TrainingSettings(seed=3, steps=5, batch_size=16, warmup=2)


def test_size() -> None:
    assert sum(p.numel() for p in new_model().parameters()) == 330_144


def test_the_seed_sets_the_weights_and_leaves_the_global_state() -> None:
    state = torch.get_rng_state()
    one, same, other = (next(new_model(seed).parameters()) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_only_responses_and_their_ends_are_labelled() -> None:
    tokenizer = byte_tokenizer()
    rng = random.Random(0)
    examples = [Corpus().draw(rng) for _ in range(20)]
    tokens, labels = encode_batch(examples, tokenizer)
    assert tokens.shape == labels.shape
    for example, row, label in zip(examples, tokens, labels, strict=True):
        wanted = label[label != IGNORED].tolist()
        assert tokenizer.decode(wanted[:-1]) == example.response
        assert wanted[-1] == tokenizer.eos_token_id
        whole = row[row != tokenizer.pad_token_id].tolist()
        assert tokenizer.decode(whole[:-1]) == ask(example.question) + example.response
        assert (row[label != IGNORED] == label[label != IGNORED]).all()


def test_schedule() -> None:
    settings = TrainingSettings(steps=1000, warmup=50, learning_rate=1.0)
    assert settings.rate(0) == pytest.approx(0.02)
    assert settings.rate(49) == settings.rate(50) == pytest.approx(1.0)
    assert settings.rate(525) == pytest.approx(0.525)
    assert settings.rate(1000) == pytest.approx(0.05)


def test_a_few_steps_learn_and_a_seed_says_all() -> None:
    seen: list[int] = []
    model, _, losses = train(FEW, lambda step, _: seen.append(step))
    again, _, same = train(FEW)
    assert seen == [1, 2, 3, 4, 5]
    assert losses == same
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert losses[0] == pytest.approx(5.6, abs=0.4)  # near log 258
    assert losses[-1] < losses[0] - 0.5
    assert not model.training


def test_a_saved_model_comes_back_as_it_was(tmp_path: Path) -> None:
    model, tokenizer = new_model(1), byte_tokenizer()
    save(model, tokenizer, tmp_path / "a" / "model", "a card")
    loaded, read = load_checkpoint(tmp_path / "a" / "model")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), loaded.parameters(), strict=True))
    assert read("11 x 12 = ?\n")["input_ids"] == tokenizer("11 x 12 = ?\n")["input_ids"]
    assert (tmp_path / "a" / "model" / "README.md").read_text(encoding="utf-8") == "a card"
    save(new_model(2), tokenizer, tmp_path / "a" / "model", "another")
    assert (tmp_path / "a" / "model" / "README.md").read_text(encoding="utf-8") == "another"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["model"]


def test_a_save_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(new_model(1), byte_tokenizer(), tmp_path / "model", "first")
    broken = byte_tokenizer()
    monkeypatch.setattr(type(broken), "save_pretrained", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save(new_model(2), broken, tmp_path / "model", "second")
    assert (tmp_path / "model" / "README.md").read_text(encoding="utf-8") == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_rename_that_fails_puts_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(new_model(1), byte_tokenizer(), tmp_path / "model", "first")
    rename = training.os.replace

    def refuse(source: Path, target: Path) -> None:
        if str(source).endswith(".new"):
            raise OSError("no")
        rename(source, target)

    monkeypatch.setattr(training.os, "replace", refuse)
    with pytest.raises(OSError, match="no"):
        save(new_model(2), byte_tokenizer(), tmp_path / "model", "second")
    assert (tmp_path / "model" / "README.md").read_text(encoding="utf-8") == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_bad_settings_are_named() -> None:
    with pytest.raises(InvalidArgument, match="steps"):
        TrainingSettings(steps=0)
    with pytest.raises(InvalidArgument, match="learning_rate"):
        TrainingSettings(learning_rate=0.0)
    with pytest.raises(InvalidArgument, match="model"):
        load_checkpoint(Path("no-such-folder"))
