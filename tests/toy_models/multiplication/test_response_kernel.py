"""The kernel of a model's responses, from the shipped model and from models in the layout of the hub's cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from dynamics import InvalidArgument
from dynamics.language_model import pair_drives
from dynamics.language_model.kernel import assembly
from figures.__main__ import app as figures_app
from tests.optional import do_without, needs, needs_signals

needs("transformers")
from toy_models.multiplication.response_kernel import (
    KernelSettings,
    as_json,
    expect_cost,
    measure_kernel,
    select_responses,
    write_kernel,
)
from toy_models.multiplication.responses import as_prompt
from toy_models.multiplication.shipped import PINNED, QUESTION, WEIGHTS, answers, load_checkpoint
from toy_models.multiplication.survey import Survey, SurveySettings, survey

ROOT = Path(__file__).parents[3]
SHA = "7ae557604adf67be50417f59c2c2f167def9a775"
CHAT = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"


@pytest.fixture(scope="module")
def surveyed() -> tuple[Any, Survey]:
    model, tokenizer = load_checkpoint()
    prompt = as_prompt(tokenizer, QUESTION)
    return model, survey(model, tokenizer, prompt, partial(answers, 132), SurveySettings(samples=60), PINNED.named)


def test_kernel_drives_and_step_belong_together(surveyed: tuple[Any, Survey]) -> None:
    model, found = surveyed
    told: list[object] = []
    with patch.object(assembly, "head_backward", wraps=assembly.head_backward) as computed:
        result = measure_kernel(model, found, KernelSettings(PINNED, responses=14), told.append)
    assert computed.call_count == 1  # no entry of the kernel is computed twice
    assert result.roles == ("chosen",) * 5 + ("rejected",) * 5 + ("y*",) + ("other",) * 3
    assert result.texts[5:10] == PINNED.named
    assert len(told) == 1  # before it began
    places, _ = select_responses(found, KernelSettings(PINNED, responses=14))
    kernel = result.kernel.kernel.numpy()
    slope = np.array([1] * 5 + [-1] * 5 + [0] * 4) * 0.1 / 2 / 5  # DPO at its reference: beta / 2 for the mean of 5
    np.testing.assert_allclose(result.step.predicted_log_change, 1e-7 * kernel @ slope, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(result.step.actual_log_change, result.step.predicted_log_change, rtol=1e-3, atol=1e-9)
    off = 1e-7 * kernel @ np.abs(slope)  # with the rejected responses pushed up
    assert np.abs(off - result.step.actual_log_change.numpy()).max() > 1e-6
    drives = pair_drives(
        model, [found.sequences[place] for place in places], range(5), range(5, 10), dtype=torch.float64
    )
    torch.testing.assert_close(result.drive, drives.drive, rtol=1e-9, atol=1e-9)
    assert torch.equal(result.displaced, drives.displaced)
    text = json.loads(json.dumps(as_json(result)))
    np.testing.assert_array_equal(text["kernel"], kernel)
    assert "sign of the actual one for 14 of 14 responses" in str(list(write_kernel(result).renderables))


def test_a_named_pair_needs_no_samples_that_are_right(surveyed: tuple[Any, Survey]) -> None:
    _, found = surveyed
    pair = (found.texts[3], found.texts[7])
    places, pairs = select_responses(found, KernelSettings(pair=pair, responses=5))
    assert (places, pairs) == ((3, 7, 0, 1, 2), 1)
    star = select_responses(found, KernelSettings(pair=(found.texts[0], found.texts[2]), responses=3))
    assert star == ((0, 2, 1), 1)  # y* itself is the chosen one, and counted once
    with pytest.raises(InvalidArgument, match="nowhere"):
        select_responses(found, KernelSettings(pair=("nowhere", found.texts[2])))
    wrong = replace(found, correct=np.zeros(len(found.texts), bool))
    with pytest.raises(InvalidArgument, match="only 0 correct responses"):
        select_responses(wrong, KernelSettings())


def test_the_cost_grows_with_the_work(surveyed: tuple[Any, Survey]) -> None:
    model, found = surveyed
    small, large = (expect_cost(model, found.sequences[:n], KernelSettings()) for n in (2, 40))
    assert large.needed > small.needed
    assert large.free > large.needed  # a model of 330,000 parameters
    assert "GB" in str(small)


# ------------------------------------------------------------------------------------------------ as in the hub's cache


def cached(folder: Path, name: str, fill: Any) -> dict[str, str]:
    """Lay a model out as the hub's client does after a download; return the environment in which it is found."""
    home = folder / f"models--{name.replace('/', '--')}"
    snapshot = home / "snapshots" / SHA
    snapshot.mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(SHA)
    fill(snapshot)
    blobs = home / "blobs"
    blobs.mkdir()
    for number, file in enumerate(sorted(snapshot.iterdir())):  # files are links to blobs
        file.rename(blobs / f"{number:040x}")
        file.symlink_to(Path("..") / ".." / "blobs" / f"{number:040x}")
    return {**os.environ, "HF_HUB_CACHE": str(folder), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def run(environment: dict[str, str], *commands: str) -> subprocess.CompletedProcess[str]:
    """Run commands in forks of a process that finds the model in that cache."""
    first = "toy_models.multiplication.__main__ transformers.models.qwen2.modeling_qwen2"
    words = [sys.executable, "-m", "tests.forks", first, *commands]
    return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@needs_signals
def test_a_random_model_of_qwens_kind_is_measured_from_the_cache(tmp_path: Path) -> None:
    """Tied, with biases on q, k and v and grouped heads, in bfloat16 like the original, and with a chat template."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from toy_models.multiplication.tokenizer import byte_tokenizer

    config = Qwen2Config(
        vocab_size=258,
        hidden_size=56,
        intermediate_size=152,
        num_hidden_layers=2,
        num_attention_heads=14,
        num_key_value_heads=2,
        max_position_embeddings=32768,
        tie_word_embeddings=True,
        rms_norm_eps=1e-6,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    )

    def fill(snapshot: Path) -> None:
        torch.manual_seed(0)
        model = Qwen2ForCausalLM(config)
        assert model.model.layers[0].self_attn.q_proj.bias is not None
        model.bfloat16().save_pretrained(snapshot)
        tokenizer = byte_tokenizer()
        tokenizer.chat_template = CHAT
        tokenizer.save_pretrained(snapshot)

    environment = cached(tmp_path / "cache", "Qwen/Qwen2.5-0.5B-Instruct", fill)
    command = f"python -m toy_models.multiplication kernel --model Qwen/Qwen2.5-0.5B-Instruct@{SHA} --samples 40"
    command += " --device cpu --chosen 132 --rejected 121 --responses 4 --out "
    right, wrong = (command + str(tmp_path / file) for file in ("kernel.json", "no-such-folder/kernel.json"))
    done = run(environment, right, wrong)
    assert (tmp_path / "kernel.json").exists(), done.stdout + done.stderr
    assert "the kernel and one step will need about" in done.stdout
    found = json.loads((tmp_path / "kernel.json").read_text(encoding="utf-8"))
    assert found["texts"][:2] == ["132", "121"]
    np.testing.assert_allclose(found["actual_log_change"], found["predicted_log_change"], rtol=1e-3, atol=1e-9)
    assert f"{wrong}: exit code 2" in done.stderr
    assert "a folder that exists" in done.stdout


@needs_signals
def test_the_commands_of_make_qwen_run_on_a_model_that_can_answer(tmp_path: Path) -> None:
    """The shipped model with a chat template in the place of the real one; the recipe itself is what is run."""
    if shutil.which("make") is None:
        do_without("make")

    def fill(snapshot: Path) -> None:
        for file in WEIGHTS.iterdir():
            shutil.copy(file, snapshot / file.name)
        settings = json.loads((snapshot / "tokenizer_config.json").read_text(encoding="utf-8"))
        (snapshot / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": CHAT}))

    environment = cached(tmp_path / "cache", "Qwen/Qwen2.5-0.5B-Instruct", fill)
    command = ["make", "--dry-run", "--always-make", "qwen", f"OUT={tmp_path}", f"VENV={sys.prefix}"]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    recipe = [line for line in lines if "toy_models.multiplication" in line or "mkdir" in line or "figures" in line]
    recipe = [line for line in recipe if "echo" not in line]
    words = ("mkdir", "kernel", "probe", "figures")
    assert all(word in line for word, line in zip(words, recipe, strict=True))
    subprocess.run(recipe[0], shell=True, cwd=ROOT, check=True)
    done = run(environment, *recipe[1:3])
    assert done.returncode == 0, done.stdout + done.stderr
    assert SHA in recipe[1]
    assert len(json.loads((tmp_path / "qwen" / "kernel.json").read_text(encoding="utf-8"))["texts"]) == 20
    keys = recipe[3].split("figures ")[1].split(" --")[0].split()
    assert CliRunner().invoke(figures_app, ["list", *keys]).exit_code == 0  # every key of the recipe is a figure
