from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dynamics import InvalidArgument
from dynamics.language_model import (
    MissingExtra,
    ModelUnavailable,
    TokenSequence,
    load,
    sequence_kernel,
    sequence_log_probs,
    tiny_model,
    tokenize,
)
from dynamics.language_model.pair_audit.results.fingerprint import model_digest
from tests.dynamics.language_model.brute_force import SEQUENCES
from tests.dynamics.language_model.saved import save_tiny
from tests.dynamics.language_model.tokenizers import byte_tokenizer, character_tokenizer


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_model("qwen2", vocabulary=258, dtype=torch.float32).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def test_a_saved_model_comes_back(saved: Path) -> None:
    found = load(saved)
    model = tiny_model("qwen2", vocabulary=258, dtype=torch.float32)
    assert not found.model.training
    assert found.model.lm_head.weight is found.model.model.embed_tokens.weight
    assert all(torch.equal(p, q) for p, q in zip(found.model.parameters(), model.parameters(), strict=True))
    assert torch.equal(sequence_kernel(found.model, SEQUENCES).kernel, sequence_kernel(model, SEQUENCES).kernel)
    assert tokenize(found.tokenizer, "11 x 12 = ?\n", "132").length == 4
    in_float64 = load(str(saved), dtype="float64").model
    assert {p.dtype for p in in_float64.parameters()} == {torch.float64}
    expected = sequence_log_probs(model, SEQUENCES, dtype=torch.float64).total
    torch.testing.assert_close(sequence_log_probs(in_float64, SEQUENCES).total, expected, rtol=0, atol=1e-12)
    assert {p.dtype for p in load(saved, dtype=torch.bfloat16).model.parameters()} == {torch.bfloat16}


def config(**changes: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return edit


def without_type(folder: Path) -> None:
    (folder / "config.json").write_text("{}")


def without_one_weight(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def with_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def truncated(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def without(*names: str) -> Callable[[Path], None]:
    return lambda folder: [path.unlink() for name in names for path in folder.glob(name)] and None


def misread_tokenizer(folder: Path) -> None:
    without("*token*")(folder)
    character_tokenizer().save_pretrained(folder)


REMOTE = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}


@pytest.mark.parametrize(
    ("edit", "remedy"),
    [
        (without("config.json"), "the folder holds no config.json"),
        (without_type, "config.json has no model_type"),
        (without("*.safetensors"), "model.save_pretrained"),
        (with_pickle, "pytorch_model.bin is a pickle"),
        (truncated, "SafetensorError"),
        (without_one_weight, "no weights for model.norm.weight"),
        (config(intermediate_size=36), "mismatch"),
        (config(model_type="no-such"), "upgrade it, or check model_type"),
        (config(model_type="no-such", auto_map=REMOTE), "code from a repository is never run"),
        (config(model_type="t5"), "AutoModelForCausalLM has none"),
        (without("*token*"), "tokenizer.save_pretrained"),
        (misread_tokenizer, "loses white space"),
    ],
)
def test_a_folder_that_is_no_model_says_what_to_do(
    saved: Path, tmp_path: Path, edit: Callable[[Path], None], remedy: str
) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(saved, folder)
    assert load(folder)
    edit(folder)
    with pytest.raises(ModelUnavailable, match=remedy) as caught:
        load(folder)
    assert caught.value.argument == "name"


@pytest.mark.parametrize("name", ["./no-such", "/no/such/folder", Path("no-such"), "~/no-such"])
def test_a_folder_that_does_not_exist(name: str | Path) -> None:
    with pytest.raises(ModelUnavailable, match="there is no such folder"):
        load(name)


def test_the_hub_out_of_reach() -> None:
    """In a process of its own, since the library reads its offline switch once."""
    code = (
        "from dynamics.language_model import ModelUnavailable, load\n"
        "try:\n    load('someone/no-such-model')\n"
        "except ModelUnavailable as problem:\n    print(problem)\n"
    )
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, env={"HF_HUB_OFFLINE": "1", "PATH": ""}, capture_output=True, text=True, check=True)
    assert (
        "the hub was not reached, and the model is not in the cache; download it once, or give a local folder"
        in done.stdout
    )


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("GatedRepoError", "accept its licence"),
        ("RepositoryNotFoundError", "check its spelling"),
        ("RevisionNotFoundError", "branch, tag or commit"),
    ],
)
def test_what_the_hub_answers(monkeypatch: pytest.MonkeyPatch, kind: str, remedy: str) -> None:
    import huggingface_hub
    import transformers

    class Hub:
        @staticmethod
        def from_pretrained(*args: Any, **options: Any) -> None:
            assert options["trust_remote_code"] is False
            raise OSError("something went wrong") from type(kind, (Exception,), {})("404")

    monkeypatch.setattr(transformers, "AutoConfig", Hub)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: None)
    with pytest.raises(ModelUnavailable, match=remedy):
        load("someone/model", revision="main")


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("RepositoryNotFoundError", "no folder of this name; the hub has no such model"),
        ("ConnectTimeout", "no folder of this name; the hub was not reached"),
        ("HardwareError", "transformers was asked"),
    ],
)
def test_the_hub_is_asked_once_before_transformers_asks_for_every_file(
    monkeypatch: pytest.MonkeyPatch, kind: str, says: str
) -> None:
    """What the first answer leaves open, transformers may manage."""
    import huggingface_hub
    import transformers

    asked = []
    base = type("TimeoutException", (Exception,), {}) if "Timeout" in kind else Exception

    def answer(_: object, name: str, **how: Any) -> None:
        asked.append((name, how["timeout"]))
        raise type(kind, (base,), {})("no")

    class Transformers:
        @staticmethod
        def from_pretrained(*_: Any, **__: Any) -> None:
            raise OSError("transformers was asked")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", answer)
    monkeypatch.setattr(transformers, "AutoConfig", Transformers)
    with pytest.raises(ModelUnavailable, match=says):
        load("multiplication")
    assert asked == [("multiplication", 10)]


def test_devices_and_dtypes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidArgument, match="torch sees no CUDA device"):
        load("anything", device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(InvalidArgument, match="'cuda:0' to 'cuda:1'"):
        load("anything", device="cuda:2")
    with pytest.raises(InvalidArgument, match="'cpu', 'cuda'"):
        load("anything", device="quantum")
    with pytest.raises(InvalidArgument, match="float32, float64"):
        load("anything", dtype="int8")
    with pytest.raises(InvalidArgument, match="float32, float64"):
        load("anything", dtype=torch.int8)


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'preference-dynamics\[lm\]'"):
        load("anything")
    with pytest.raises(MissingExtra):
        tiny_model()


def test_tiny_models_are_repeatable_and_leave_the_global_generator_alone() -> None:
    torch.manual_seed(1)
    first, state = tiny_model("llama"), torch.random.get_rng_state()
    torch.manual_seed(2)
    second = tiny_model("llama")
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), second.parameters(), strict=True))
    torch.manual_seed(1)
    assert torch.equal(torch.random.get_rng_state(), state)
    with pytest.raises(InvalidArgument, match="qwen2, llama, gpt2"):
        tiny_model("lstm")


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")  # of peft and transformers
@pytest.mark.parametrize("dora", [False, True])
def test_an_adapter_from_a_folder(dora: bool, tmp_path: Path) -> None:
    """The kernel is that of the model in memory; the adapter's parameters are the default."""
    peft = pytest.importorskip("peft")
    base = save_tiny(tmp_path / "base")
    config = peft.LoraConfig(r=2, use_dora=dora, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")
    adapted = peft.get_peft_model(load(base).model, config).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
    adapted.save_pretrained(tmp_path / "adapter")
    loaded = load(base, adapter=tmp_path / "adapter")
    pair = [TokenSequence((1, 2, 3, 4), 2), TokenSequence((1, 2, 4), 2)]
    got = sequence_kernel(loaded.model, pair)
    assert torch.equal(got.kernel, sequence_kernel(adapted, pair).kernel)
    assert torch.equal(got.kernel, sequence_kernel(loaded.model, pair, parameters="adapter").kernel)
    assert model_digest(loaded) != model_digest(load(base))
    assert model_digest(loaded) == model_digest(load(base, adapter=tmp_path / "adapter"))
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(settings | {"lora_alpha": 99}))
    assert model_digest(loaded) != model_digest(load(base, adapter=tmp_path / "adapter"))

    with pytest.raises(InvalidArgument, match=r"holds an adapter and no model; give the model that it belongs to"):
        load(tmp_path / "adapter")
    with pytest.raises(InvalidArgument, match=r"adapter: .* a folder that exists"):
        load(base, adapter=tmp_path / "nothing")
    with pytest.raises(InvalidArgument, match=r"lacks adapter_config.json and adapter_model.safetensors"):
        load(base, adapter=base)
    other = tmp_path / "other"
    tiny_model(vocabulary=258, width=32).save_pretrained(other)
    with pytest.raises(InvalidArgument, match="does not fit this model"):
        load(other, adapter=tmp_path / "adapter", tokenizer=False)


def test_a_model_without_a_tokenizer(tmp_path: Path) -> None:
    tiny_model(vocabulary=258).save_pretrained(tmp_path)
    with pytest.raises(InvalidArgument, match="tokenizer"):
        load(tmp_path)
    loaded = load(tmp_path, tokenizer=False)
    assert loaded.tokenizer is None
    assert sequence_kernel(loaded.model, [TokenSequence((1, 2, 3), 1)]).kernel.shape == (1, 1)
    with pytest.raises(InvalidArgument, match="tokenizer"):
        load(tmp_path, tokenizer="no")  # type: ignore[arg-type]
