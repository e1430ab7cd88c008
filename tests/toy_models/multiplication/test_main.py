"""The command line, end to end in a few steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.optional import needs

needs("transformers")

from typer.testing import CliRunner

from toy_models.multiplication.__main__ import app
from toy_models.multiplication.card import read_card

runner = CliRunner(env={"COLUMNS": "160", "TERM": "dumb", "NO_COLOR": "1"})
QUICK = ["--steps", "2", "--samples", "100"]


def test_train_writes_a_folder_once(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "model"
    done = runner.invoke(app, ["train", "--out", str(out), "--seed", "5", "--steps", "2"])
    assert done.exit_code == 0, done.output
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "--seed 5 --steps 2" in card
    for name, value in read_card(card).items():
        assert name in done.output
        assert value in done.output
    weights = (out / "model.safetensors").read_bytes()
    again = runner.invoke(app, ["train", "--out", str(out), "--steps", "2"])
    assert again.exit_code == 2
    assert "exists already" in again.output
    assert (out / "model.safetensors").read_bytes() == weights
    forced = runner.invoke(app, ["train", "--out", str(out), "--steps", "2", "--force"])
    assert forced.exit_code == 0
    assert (out / "model.safetensors").read_bytes() != weights  # another seed


def test_train_refuses_a_place_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = runner.invoke(app, ["train", "--out", str(tmp_path / "file" / "model"), "--steps", "1"])
    assert done.exit_code == 2
    assert "cannot write" in done.output


def flat(text: str) -> str:
    """Undo the line breaks, which depend on the width of the terminal."""
    return " ".join(text.split())


def test_probe_reports() -> None:
    done = runner.invoke(app, ["probe", *QUICK])
    assert done.exit_code == 0, done.output
    for words in ("y*, the", "D_w", "D_l", "unsampled", "kernel,", "predicted", "After 2 steps", "by exact search"):
        assert words in flat(done.output)
    assert "This D_l was selected by a search" in flat(done.output)
    assert "of 100 weighted" in flat(done.output)
    nll = runner.invoke(app, ["probe", *QUICK, "--rejected", "top", "--method", "dpo+nll", "--optimizer", "sgd"])
    assert nll.exit_code == 0, nll.output
    assert "DPO (beta 0.5) + NLL, SGD" in flat(nll.output)
    assert "selected by a search" not in flat(nll.output)


def test_probe_with_stable_po_reports_its_terms() -> None:
    done = runner.invoke(app, ["probe", *QUICK, "--method", "stable-po", "--lambda", "2", "-K", "2"])
    assert done.exit_code == 0, done.output
    for words in ("lambda 2, gamma 0, K 2", "(b) lower level", "nearly DPO + lambda NLL", "After 2 steps"):
        assert words in flat(done.output)
    assert "L_reg" not in done.output


def test_probe_compares_all_methods() -> None:
    done = runner.invoke(app, ["probe", *QUICK, "--compare", "--steps", "1"])
    assert done.exit_code == 0, done.output
    for words in ("DPO + 1 NLL", "Stable PO 1, 0, 1", "Stable PO 1, 0.01, 1", "At margin", "After 1 steps"):
        assert words in flat(done.output)


def test_probe_shows_the_spread_over_draws() -> None:
    done = runner.invoke(app, ["probe", *QUICK, "--draws", "3"])
    assert done.exit_code == 0, done.output
    for words in ("weighted 0", "uniform 0", "weighted 1", "of 3 draws", "at equal margin", "not selected by a search"):
        assert words in flat(done.output)


def test_pair_reports() -> None:
    done = runner.invoke(app, ["pair", "--steps", "6"])
    assert done.exit_code == 0, done.output
    for words in ("The answer is 121.", "||g_w||^2 - g_w.g_l", "Theorem 1 has the sign", "log-log slopes"):
        assert words in flat(done.output)
    refused = runner.invoke(app, ["pair", "--chosen", "132", "--rejected", "132"])
    assert refused.exit_code == 2
    assert "error rejected" in flat(refused.output)


def test_probe_of_a_question_whose_y_star_is_right_says_that_it_cannot_show_a_wrong_one() -> None:
    done = runner.invoke(app, ["probe", *QUICK, "--question", "2 x 3 = ?", "--answer", "6", "--samples", "500"])
    assert done.exit_code == 0, done.output
    assert "cannot show a wrong y*" in flat(done.output)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--rejected", "worst"], "rejected"),
        (["--beta", "-1"], "beta"),
        (["--answer", "7919"], "pairs"),
        (["--optimizer", "lbfgs"], "optimizer"),
        (["--method", "ppo"], "method"),
        (["--gamma", "-1", "--method", "stable-po"], "gamma"),
        (["--compare", "--draws", "2"], "compare"),
        (["--device", "no-such-device"], "device"),
        (["--model", "./no-such-folder"], "name"),
    ],
)
def test_probe_names_what_is_wrong(options: list[str], word: str) -> None:
    done = runner.invoke(app, ["probe", *QUICK, *options])
    assert done.exit_code == 2
    assert f"error {word}" in flat(done.output)
