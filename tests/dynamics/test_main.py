"""The command line, end to end on a tiny model in a folder."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.optional import needs, needs_signals

needs("transformers")

import torch
from typer.testing import CliRunner, Result

from dynamics.__main__ import app
from dynamics.commands import pairs as pairs_module
from dynamics.commands.inputs import choose_optimizer
from dynamics.commands.training_plan import TrainingPlan
from dynamics.language_model import load, log_probs_vjp, sequence_kernel, tokenize
from dynamics.optimizers import AdamW
from tests.dynamics.language_model.saved import products, read_lines, save_tiny, tiny, write_lines

runner = CliRunner(env={"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"})
ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "toy_models" / "multiplication" / "weights"
TEN = ROOT / "tests" / "dynamics" / "language_model" / "data" / "multiplication.jsonl"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lines(tmp_path_factory.mktemp("data") / "pairs.jsonl", products(7))


def run(command: str, model: Path | str, data: Path | str, *options: object) -> Result:
    return runner.invoke(app, [command, "--model", str(model), "--data", str(data), *map(str, options)])


def refused(result: Result, words: str) -> None:
    """One line on stderr, nothing else that looks like a failure, exit code 2."""
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.output


def test_help_names_the_commands() -> None:
    result = runner.invoke(app, ["--help"])
    assert result.exit_code == 0
    for word in ("kernel", "step", "pairs"):
        assert word in result.output
        assert "--model" in runner.invoke(app, [word, "--help"]).output


def test_help_waits_for_neither_torch_nor_transformers() -> None:
    heavy = "{'torch', 'transformers', 'numpy', 'scipy', 'datasets'}"
    code = f"import sys; from dynamics.__main__ import app; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"


def test_kernel_prints_and_writes_the_kernel(model: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "kernel.npz"
    result = run("kernel", model, data, "--rows", "4,1", "--out", out, "--dtype", "float64")
    assert result.exit_code == 0, result.output
    loaded = load(model, dtype="float64")
    rows = [products(7)[row] for row in (4, 1)]
    responses = [tokenize(loaded.tokenizer, r["prompt"], r[side]) for r in rows for side in ("chosen", "rejected")]
    wanted = sequence_kernel(loaded.model, responses)
    with np.load(out) as found:
        assert found["names"].tolist() == ["4w", "4l", "1w", "1l"]
        np.testing.assert_array_equal(found["kernel"], wanted.kernel.numpy())
        np.testing.assert_array_equal(found["log_probs"], wanted.log_probs.numpy())
    for word in (f"{wanted.norms()[2]:.4g}", f"{wanted.log_probs[1]:.2f}", f"{wanted.cosine()[3, 0]:+.2f}", "'12'"):
        assert word in result.output
    before, _, after = result.output.partition("MiB besides the model")
    assert "kernel of 4 sequences" in before
    assert "log pi" in after  # told before the table


def test_kernel_in_a_narrow_terminal_says_what_it_leaves_out(model: Path, data: Path) -> None:
    narrow = CliRunner(env={"COLUMNS": "70", "TERM": "dumb"})
    result = narrow.invoke(app, ["kernel", "--model", str(model), "--data", str(data), "--first", "5"])
    assert "of 10 columns; --out writes all" in result.output
    table = result.output.splitlines()[2:-1]  # after what is read and what memory it takes, before the explanation
    assert table[0].split()[:2] == ["row", "response"]
    assert max(map(len, table)) <= 70


def test_step_prints_what_was_predicted_and_what_happened(model: Path, data: Path) -> None:
    result = run("step", model, data, "--row", 2, "--learning-rate", "1e-9", "--learning-rate", "1e-6", "--beta", "0.5")
    assert result.exit_code == 0, result.output
    small, large = (line.split() for line in result.output.splitlines() if line.split()[:1] in (["1e-09"], ["1e-06"]))
    assert float(small[1]) == pytest.approx(float(small[2]), rel=1e-3)
    assert float(large[1]) == pytest.approx(1e3 * float(small[1]), rel=1e-3)  # the prediction is linear
    assert float(small[5].rstrip("%")) < float(large[5].rstrip("%"))
    assert "DPO(beta=0.5), margin 0, urgency 0.5" in result.output
    assert "'20'" in result.output


def test_a_narrow_terminal_shows_every_digit_of_a_step(model: Path, data: Path) -> None:
    narrow = CliRunner(env={"COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"})
    words = ["step", "--model", str(model), "--data", str(data), "--learning-rate", "1e-6"]
    result = narrow.invoke(app, words)
    assert "…" not in result.output
    (line,) = (line for line in result.output.splitlines() if line.split()[:1] == ["1e-06"])
    assert len(line.split()) == 6


def test_step_with_adamw_goes_another_way(model: Path, data: Path) -> None:
    options = ("--learning-rate", "1e-7")
    sgd, adamw = (run("step", model, data, *options, "--optimizer", name) for name in ("sgd", "adamw"))
    assert adamw.exit_code == 0, adamw.output
    assert "the sentence above is about SGD; the table below is about the first step of adamw" in adamw.output
    assert "the sentence above" not in sgd.output
    assert adamw.output.splitlines()[-2] != sgd.output.splitlines()[-2]


def test_adamw_is_the_same_in_every_command() -> None:
    """Without weight decay, as trainers have it by default; once, step decayed the weights and pairs did not."""
    assert choose_optimizer("adamw") == AdamW(weight_decay=0.0)
    assert TrainingPlan("adamw").rule(tiny(), None) is choose_optimizer("adamw")
    for name in ("step", "pairs"):
        assert "without weight decay" in " ".join(
            CliRunner(env={"COLUMNS": "300"}).invoke(app, [name, "--help"]).output.split()
        )


def test_the_word_of_a_step_is_that_of_its_table(tmp_path: Path) -> None:
    """DPO lowers the first chosen response and SFT does not; SimPO lowers the second one and DPO does not."""
    rows = [("8 x 8 = ?\n", "64.", "63."), ("12 x 4 = ?\n", "12 x 4 = 38", "38")]
    records = [dict(zip(("prompt", "chosen", "rejected"), row, strict=True)) for row in rows]
    pairs = write_lines(tmp_path / "pairs.jsonl", records)
    words = {"lowers": "-", "raises": "+", "does not move": "+0"}
    seen = []
    for row in (0, 1):
        for options in ([], ["--loss", "sft"], ["--loss", "slic"], ["--loss", "simpo"]):
            result = run("step", SHIPPED, pairs, "--row", row, "--learning-rate", "1e-7", *options)
            assert result.exit_code == 0, result.output
            (said,) = (line for line in result.output.splitlines() if "to first order" in line)
            word = next(w for w in words if f"an SGD step {w} log pi of the chosen" in said)
            ((_, predicted, actual, *_),) = (s.split() for s in result.output.splitlines() if "1e-07" in s)
            assert predicted.startswith(words[word])
            assert actual.startswith(words[word])
            assert (word == "does not move") == (float(actual) == 0)
            seen.append(word)
    assert seen == ["lowers", "raises", "does not move", "lowers", "raises", "raises", "raises", "lowers"]


def test_pairs_are_displaced_under_the_loss_that_was_asked_for(model: Path, data: Path, tmp_path: Path) -> None:
    """SFT lowers no chosen response; results of one loss are not gone on with under another."""
    out = tmp_path / "out.jsonl"
    result = run("pairs", model, data, "--out", out, "--loss", "sft")
    assert result.exit_code == 0, result.output
    assert "displaced             0 (0.0%): under SFT(), a small SGD step" in result.output
    assert not any(record["displaced"] for record in read_lines(out))
    assert any(record["drive_chosen"] < 0 for record in read_lines(out))
    refused(run("pairs", model, data, "--out", out), "loss was SFT() and is DPO(beta=0.1)")
    other = tmp_path / "other.jsonl"
    assert run("pairs", model, data, "--out", other, "--beta", "0.5").exit_code == 0
    refused(run("pairs", model, data, "--out", other), "loss was DPO(beta=0.5) and is DPO(beta=0.1)")
    assert [r["displaced"] for r in read_lines(other)] == [r["drive_chosen"] < 0 for r in read_lines(other)]


def test_pairs_writes_results_a_summary_and_goes_on(model: Path, tmp_path: Path) -> None:
    data = write_lines(tmp_path / "pairs.jsonl", [*products(4), "{", *products(6)[4:]])
    out = tmp_path / "results" / "audit.jsonl"
    out.parent.mkdir()
    first = run("pairs", model, data, "--out", out, "--first", 3)
    assert first.exit_code == 0, first.output
    assert [record["row"] for record in read_lines(out)] == [0, 1, 2]
    result = run("pairs", model, data, "--out", out)
    assert result.exit_code == 0, result.output
    assert [record["row"] for record in read_lines(out)] == list(range(7))
    summary = json.loads((tmp_path / "results" / "audit.jsonl.summary.json").read_text(encoding="utf-8"))
    displaced = sum(record.get("displaced", False) for record in read_lines(out))
    assert (summary["audited"], summary["skipped"], summary["displaced"]) == (6, 1, displaced)
    assert summary["skipped_rows"][0][0] == 4
    assert f"displaced             {displaced} (" in result.output
    assert "line 5: not JSON" in result.output
    assert "MiB besides the model" in result.output


def test_pairs_of_chat_messages_and_of_parquet(model: Path, tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    turn = {"role": "user", "content": "7 x 8?"}
    record = {s: [turn, {"role": "assistant", "content": t}] for s, t in (("chosen", "56"), ("rejected", "54"))}
    parquet.write_table(arrow.Table.from_pylist([record]), tmp_path / "p.parquet")
    write_lines(tmp_path / "p.jsonl", [record])
    for kind in ("jsonl", "parquet"):
        result = run("pairs", model, tmp_path / f"p.{kind}", "--out", tmp_path / f"{kind}.out")
        assert result.exit_code == 0, result.output
    assert (tmp_path / "jsonl.out").read_bytes() == (tmp_path / "parquet.out").read_bytes()
    assert read_lines(tmp_path / "jsonl.out")[0]["tokens_chosen"] == 3


def test_strict_stops_and_a_finished_file_does_not_hide_skipped_rows(model: Path, tmp_path: Path) -> None:
    data = write_lines(tmp_path / "pairs.jsonl", [*products(2), {"prompt": "a"}])
    out = tmp_path / "out.jsonl"
    refused(
        run("pairs", model, data, "--out", out, "--strict"), "line 3: columns: there is no column chosen, only prompt"
    )
    assert run("pairs", model, data, "--out", out).exit_code == 0
    refused(
        run("pairs", model, data, "--out", out, "--strict"), "line 3: columns: there is no column chosen, only prompt"
    )


def test_a_changed_model_setting_or_data_set_is_refused(
    model: Path, data: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = tmp_path / "out.jsonl"
    assert run("pairs", model, data, "--out", out, "--first", 1).exit_code == 0
    other_model = save_tiny(tmp_path_factory.mktemp("other"), seed=1)
    other_data = write_lines(tmp_path / "other.jsonl", products(8))
    refused(run("pairs", other_model, data, "--out", out), "model was")
    refused(run("pairs", model, other_data, "--out", out), "the data are not those of that run")
    refused(run("pairs", model, data, "--out", out, "--dtype", "float64"), "dtype was float32 and is float64")
    refused(run("pairs", model, data, "--out", out, "--parameters", "*mlp*"), "parameters was [] and is ['*mlp*']")
    assert run("pairs", model, data, "--out", out, "--batch-pairs", 3).exit_code == 0


@pytest.mark.parametrize(
    ("command", "options", "words"),
    [
        ("kernel", ["--rows", "1;2"], "error rows: got 1;2"),
        ("kernel", ["--rows", "99"], "ends with row 6 (rows are counted from 0)"),
        ("kernel", ["--dtype", "float16"], "float32 or float64"),
        ("kernel", ["--device", "abacus"], "device"),
        ("kernel", ["--parameters", "[nothing]"], "parameters: ['[nothing]'] selects no parameter"),
        ("kernel", ["--out", "no-such-folder/kernel.npz"], "a file in a folder that exists"),
        ("step", ["--loss", "nonsense"], "error loss: got nonsense; allowed: one of alphapo, aot, "),
        ("step", ["--loss", "dpoo"], "error loss: got dpoo; allowed: dpo or dpop"),
        ("step", ["--loss", "SimPO"], "error loss: got SimPO; allowed: simpo or "),
        ("step", ["--loss", "sft", "--beta", "1"], "error beta: the loss sft has no beta; leave out --beta"),
        ("step", ["--learning-rate", "-1"], "error learning_rate: got -1.0; allowed: a finite number >= 0"),
        ("pairs", ["--out", "none.jsonl", "--loss", "dpoo"], "error loss: got dpoo"),
        ("pairs", ["--out", "none.jsonl", "--beta", "-1"], "error beta: got -1.0"),
        ("step", ["--beta", "-1"], "beta"),
        ("step", ["--optimizer", "lbfgs"], "sgd or adamw"),
        ("step", ["--row", "99"], "row: there is no row 99: "),
        ("pairs", ["--out", "."], "out: . is a folder; give the name of a file in it"),
        ("pairs", ["--out", "no-such-folder/audit.jsonl"], "the folder no-such-folder does not exist"),
        ("pairs", [], "out: give a file for the results, such as --out audit.jsonl; or look first, --show 3"),
        (
            "pairs",
            ["--out", "o", "--prompt-column", "question"],
            "prompt-column: got question; allowed: columns of the data: prompt",
        ),
        ("pairs", ["--out", "no-such-file.jsonl", "--max-tokens", "3"], "at most 3 are allowed"),
    ],
)
def test_what_is_wrong_is_named(model: Path, data: Path, command: str, options: list[str], words: str) -> None:
    refused(run(command, model, data, *options), words)


def test_a_missing_model_or_file_and_a_broken_row_are_named(model: Path, data: Path, tmp_path: Path) -> None:
    refused(run("kernel", tmp_path / "nowhere", data), "there is no such folder")
    refused(run("kernel", model, tmp_path / "no.jsonl"), "there is no file ")
    refused(run("kernel", model, write_lines(tmp_path / "empty.jsonl", [])), "no rows")
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    refused(run("pairs", model, data, "--out", tmp_path / "mine.txt"), "no audit wrote it")
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "mine"
    broken = write_lines(tmp_path / "broken.jsonl", [products(1)[0], "{"])
    refused(run("step", model, broken, "--row", 1), "line 2: not JSON")


def test_a_file_in_use_is_refused(model: Path, data: Path, tmp_path: Path) -> None:
    from dynamics.files import lock

    with lock(tmp_path / "out.lock"):
        refused(run("pairs", model, data, "--out", tmp_path / "out"), "another run is writing")


def test_control_c_is_no_error(model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pairs_module, "run_audit", interrupted)
    result = run("pairs", model, data, "--out", tmp_path / "out")
    assert result.exit_code == 130
    assert result.stderr.strip() == "stopped before a row was finished"


def test_the_shipped_model_on_ten_products(tmp_path: Path) -> None:
    """Plain gradients, formed one by one in float64, say the same of every pair."""
    out = tmp_path / "ten.jsonl"
    result = run("pairs", SHIPPED, TEN, "--out", out)
    assert result.exit_code == 0, result.output
    loaded = load(SHIPPED)
    lowered = []
    for record, row in zip(read_lines(out), read_lines(TEN), strict=True):
        gradients = []
        for side in ("chosen", "rejected"):
            sequence = tokenize(loaded.tokenizer, row["prompt"], row[side])
            found = log_probs_vjp(loaded.model, [sequence], torch.ones(1), dtype=torch.float64)
            gradients.append(torch.cat([g.flatten() for g in found.values()]))
        g_w, g_l = gradients
        scale = float(g_w.norm() * (g_w - g_l).norm())
        assert record["drive_chosen"] == pytest.approx(float(g_w @ (g_w - g_l)), abs=1e-5 * scale)
        assert record["cosine"] == pytest.approx(float(g_w @ g_l / (g_w.norm() * g_l.norm())), abs=1e-5)
        assert record["displaced"] == bool(g_w @ (g_w - g_l) < 0)
        lowered.append(record["displaced"])
    assert f"displaced             {sum(lowered)} (" in result.output
    assert {True, False} == set(lowered)


def start(model: Path, data: Path, out: Path, *launcher: str, options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    words = ["--model", str(model), "--data", str(data), "--out", str(out), "--batch-pairs", "2", "--device", "cpu"]
    command = [sys.executable, *launcher, "-m", "dynamics", "pairs", *words, *options]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def wait_for_lines(out: Path, count: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while not out.exists() or out.read_bytes().count(b"\n") < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.002)


@needs_signals
@pytest.mark.slow
def test_stopped_then_killed_then_resumed_is_the_file_of_an_uninterrupted_run(model: Path, tmp_path: Path) -> None:
    data = write_lines(tmp_path / "pairs.jsonl", products(100))
    out, whole = tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    assert run("pairs", model, data, "--out", whole, "--batch-pairs", 2, "--only-own").exit_code == 0
    stopped = start(model, data, out, options=("--only-own",))
    wait_for_lines(out, 10, stopped)
    stopped.send_signal(signal.SIGINT)
    _, said = stopped.communicate(timeout=60)
    assert stopped.returncode == 130
    assert said.strip() == (f"stopped; the finished rows are in {out}, and the same command continues with the others")
    first = out.read_bytes()
    assert whole.read_bytes().startswith(first)
    assert 10 <= first.count(b"\n") < 100
    killed = start(model, data, out, options=("--only-own",))
    wait_for_lines(out, first.count(b"\n") + 10, killed)
    killed.kill()
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert first.count(b"\n") < out.read_bytes().count(b"\n") < 100
    assert run("pairs", model, data, "--out", out, "--batch-pairs", 2, "--only-own").exit_code == 0
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_two_processes_make_the_file_of_one(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    data = write_lines(tmp_path / "pairs.jsonl", [*products(9), "{", *products(14)[9:]])
    out, whole = tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    plan = ("--batch", "4", "--influences", "2")
    assert run("pairs", model, data, "--out", whole, "--batch-pairs", 2, *plan).exit_code == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launcher = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", port)
    both = start(model, data, out, *launcher, options=plan)
    printed, said = both.communicate(timeout=300)
    assert both.returncode == 0, said
    assert printed.count("pairs audited") == 1  # one of them speaks
    assert out.read_bytes() == whole.read_bytes()
    lines = [f"out.jsonl{end}" for end in ("", ".batch", ".pushes", ".set")]
    made = sorted(name for line in lines for name in (line, f"{line}.settings.json"))
    assert sorted(path.name for path in tmp_path.glob("out.jsonl*")) == sorted([*made, "out.jsonl.summary.json"])
    for name in made:
        assert (tmp_path / name).read_bytes() == (tmp_path / name.replace("out", "whole", 1)).read_bytes(), name
    summaries = [json.loads((tmp_path / f"{name}.jsonl.summary.json").read_text()) for name in ("out", "whole")]
    assert summaries[0]["influences"] == summaries[1]["influences"]
    assert any(entries for sides in summaries[0]["influences"].values() for entries in sides.values())
