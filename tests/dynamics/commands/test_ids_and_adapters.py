"""Token ids as data, and saved adapters, from the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dynamics.language_model import load, tokenize
from dynamics.language_model.kernel.remarks import DORA
from dynamics.language_model.pair_audit.reading.rows import parse_pair
from dynamics.language_model.pair_audit.reading.tokens import tokenize_pair
from tests.dynamics.language_model.brute_force import autograd_kernel, relative
from tests.dynamics.language_model.saved import products, read_lines, save_tiny, write_lines
from tests.dynamics.test_main import refused, run


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lines(tmp_path_factory.mktemp("data") / "pairs.jsonl", products(7))


def test_token_ids_need_no_tokenizer_and_are_taken_as_they_are(model: Path, data: Path, tmp_path: Path) -> None:
    """The same numbers as of the texts, from a folder without a tokenizer, under plain names and those of TRL."""
    loaded = load(model)
    made = [tokenize_pair(loaded.tokenizer, parse_pair(row)).sequences for row in products(7)]
    bare = tmp_path / "bare"
    loaded.model.save_pretrained(bare)
    assert run("pairs", model, data, "--out", tmp_path / "texts.jsonl").exit_code == 0
    texts = read_lines(tmp_path / "texts.jsonl")
    for ending in ("", "_ids"):
        rows = [
            {f"prompt{ending}": w.prompt, f"chosen{ending}": w.response, f"rejected{ending}": other.response}
            for w, other in made
        ]
        ids, out = write_lines(tmp_path / f"ids{ending}.jsonl", rows), tmp_path / f"audit{ending}.jsonl"
        result = run("pairs", bare, ids, "--out", out)
        assert result.exit_code == 0, result.output
        for line, of_text in zip(read_lines(out), texts, strict=True):
            assert all(line[name] == of_text[name] for name in of_text if name not in {"digest", "remarks"})
        assert run("kernel", bare, ids).exit_code == 0
        assert run("step", bare, ids, "--learning-rate", "1e-9").exit_code == 0
    wrong = [{"prompt": [5], "chosen": [6], "rejected": [999]}, {"prompt": [5], "chosen": [6], "rejected": [7]}]
    wrong += [{"prompt": "five", "chosen": [6], "rejected": [7]}, {"prompt": "five", "chosen": "6", "rejected": "7"}]
    result = run("pairs", bare, write_lines(tmp_path / "wrong.jsonl", wrong), "--out", tmp_path / "out.jsonl")
    assert result.exit_code == 0, result.output
    said = [line.get("skipped", "") for line in read_lines(tmp_path / "out.jsonl")]
    assert "the row holds token 999, but the model knows only the tokens 0 to 257" in said[0]
    assert said[1] == ""
    assert "allowed: token ids, as in the other columns" in said[2]
    assert "it holds text, and the first rows hold token ids" in said[3]


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft's affair
@pytest.mark.parametrize("dora", [False, True], ids=["lora", "dora"])
def test_a_saved_adapter_from_the_command_line(dora: bool, model: Path, data: Path, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "down_proj"], use_dora=dora, init_lora_weights=False)
    torch.manual_seed(0)
    adapted = peft.get_peft_model(load(model, dtype="float64").model, config)
    adapted.save_pretrained(tmp_path / "adapter")
    out = tmp_path / "kernel.npz"
    result = run("kernel", model, data, "--adapter", tmp_path / "adapter", "--out", out, "--dtype", "float64")
    assert result.exit_code == 0, result.output
    tokenizer = load(model).tokenizer
    rows = [tokenize(tokenizer, r["prompt"], r[side]) for r in products(7)[:3] for side in ("chosen", "rejected")]
    truth = autograd_kernel(adapted.eval(), rows)  # of the adapter in memory, over its own parameters
    with np.load(out) as found:
        assert relative(torch.from_numpy(found["kernel"]), truth) < 1e-12
    step = run("step", model, data, "--adapter", tmp_path / "adapter", "--learning-rate", "1e-9")
    assert step.exit_code == 0, step.output
    (line,) = [line.split() for line in step.output.splitlines() if line.split()[:1] == ["1e-09"]]
    told = " ".join(step.output.split())
    assert (DORA in told) == dora
    # the negative control of the remark: DoRA's gradients are not the derivatives, at whatever learning rate
    assert (float(line[1]) == pytest.approx(float(line[2]), rel=1e-3)) == (not dora)
    audit = run("pairs", model, data, "--adapter", tmp_path / "adapter", "--out", tmp_path / "audit.jsonl")
    assert audit.exit_code == 0, audit.output
    with_adapter = read_lines(tmp_path / "audit.jsonl")[0]
    assert with_adapter["norm_chosen"] == pytest.approx(float(truth[0, 0]) ** 0.5, rel=1e-5)
    refused(run("kernel", model, data, "--adapter", model), "adapter")  # a folder without an adapter
