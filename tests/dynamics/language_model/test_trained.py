"""Inside of TRL's DPOTrainer with its default settings, and from the command line: the numbers of the model itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from dynamics.language_model import load
from tests.dynamics.language_model.architectures import INSIDE, run_commands, saved
from tests.dynamics.language_model.trained import differences, train
from tests.optional import needs

needs("trl", "peft")

# the special and the generic route, scaled heads, experts, states, no rotary positions
KINDS = ("qwen2", "gemma2", "mixtral", "mamba", "bloom", "cohere")


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp(request.param)
    saved(request.param, place)
    return place


@pytest.mark.filterwarnings("ignore")  # of TRL, accelerate and transformers
@pytest.mark.parametrize("folder", KINDS[:3], indirect=True)
def test_inside_of_a_trainer_the_numbers_are_those_outside(folder: Path) -> None:
    found = differences(folder / "model")
    assert found.pop("moved") > 10 * INSIDE
    assert max(found.values()) < INSIDE, found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dora", [False, True], ids=["lora", "dora"])
def test_inside_of_a_trainer_of_adapters(dora: bool, tmp_path: Path) -> None:
    import peft

    model, _ = saved("qwen2", tmp_path)
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "down_proj"], use_dora=dora, task_type="CAUSAL_LM")
    found = differences(model, peft_config=config)
    assert found.pop("moved") > 10 * INSIDE
    assert max(found.values()) < INSIDE, found


@pytest.mark.filterwarnings("ignore")
def test_the_trainer_itself_computes_in_low_precision(tmp_path: Path) -> None:
    """The negative control: what the trainer's model returns inside is not what it returns outside."""
    model, _ = saved("qwen2", tmp_path)
    ids, seen = torch.tensor([[5, 6, 7, 8]]), []

    def look(held: Any) -> None:
        with torch.no_grad():
            seen.extend([held.eval()(input_ids=ids).logits.float(), {n: p.clone() for n, p in held.named_parameters()}])

    trainer = train(model, look)
    outside = load(model).model
    outside.load_state_dict(seen[1], strict=False)
    with torch.no_grad():
        difference = (outside(input_ids=ids).logits - seen[0]).abs().max()
    assert trainer.args.bf16
    assert float(difference) > 1e3 * INSIDE


def test_all_commands_run_on_a_saved_model(folder: Path) -> None:
    found = run_commands(folder / "model", folder / "pairs.jsonl")
    assert {name: result.exit_code for name, result in found.items()} == {"kernel": 0, "step": 0, "pairs": 0}
    (line,) = [line.split() for line in found["step"].output.splitlines() if line.split()[:1] == ["1e-09"]]
    assert float(line[1]) == pytest.approx(float(line[2]), rel=1e-3)  # predicted and actual


def test_an_encoder_and_decoder_is_refused_in_words(tmp_path: Path) -> None:
    from transformers import T5Config, T5ForConditionalGeneration

    _, data = saved("qwen2", tmp_path)
    sizes = {"vocab_size": 258, "d_model": 16, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    T5ForConditionalGeneration(T5Config(**sizes, decoder_start_token_id=0)).save_pretrained(tmp_path / "t5")
    for result in run_commands(tmp_path / "t5", data).values():
        assert result.exit_code == 2
        assert "is not a causal language model" in result.stderr
