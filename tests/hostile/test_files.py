"""Model folders that are broken or malicious: refused with a message, nothing unpickled, nothing run."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.optional import needs

needs("transformers")

import torch
from safetensors.torch import load_file, save_file

from dynamics import InvalidArgument
from dynamics.language_model import ModelUnavailable, load
from tests.dynamics.language_model.saved import save_tiny
from tests.hostile.values import HOSTILE

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
Edit = Callable[[Path, bytes], None]


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"))


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "copy"))


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "it-ran"


def write(name: str, data: bytes) -> Edit:
    return lambda folder, bomb: (folder / name).write_bytes(data) and None


def header(value: Any, tail: bytes = b"") -> bytes:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return struct.pack("<Q", len(text)) + text + tail


def config(**changes: Any) -> Edit:
    def edit(folder: Path, bomb: bytes) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return edit


def bomb_as(name: str, instead: bool = False) -> Edit:
    def edit(folder: Path, bomb: bytes) -> None:
        (folder / name).write_bytes(bomb)
        if instead:
            (folder / WEIGHTS).unlink()

    return edit


def index_to(weight_map: Any) -> Edit:
    def edit(folder: Path, bomb: bytes) -> None:
        (folder / WEIGHTS).rename(folder / "other.safetensors")
        (folder / "pytorch_model.bin").write_bytes(bomb)
        (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))

    return edit


def loop(name: str) -> Edit:
    def edit(folder: Path, bomb: bytes) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(name)

    return edit


def directory(name: str) -> Edit:
    def edit(folder: Path, bomb: bytes) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return edit


def one_weight(value: float) -> Edit:
    def edit(folder: Path, bomb: bytes) -> None:
        weights = load_file(folder / WEIGHTS)
        weights["model.norm.weight"][0] = value
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})

    return edit


def adapter(folder: Path, bomb: bytes) -> None:
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "x"}))
    (folder / "adapter_model.bin").write_bytes(bomb)


TOO_LONG = {"a": {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 4 * 10**18]}}
TWICE = {name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in "ab"}
BROKEN: dict[str, tuple[Edit, str]] = {
    "empty weights": (write(WEIGHTS, b""), "header too small"),
    "four bytes": (write(WEIGHTS, b"abcd"), "header too small"),
    "a header as long as the world": (write(WEIGHTS, struct.pack("<Q", 2**63 - 1) + b"{}"), "header too large"),
    "a header that is no JSON": (write(WEIGHTS, header(b"not json")), "invalid JSON in header"),
    "a header that is a list": (write(WEIGHTS, header([])), "invalid JSON in header"),
    "no weights at all": (write(WEIGHTS, header({})), "has no weights for"),
    "weights beyond the file": (write(WEIGHTS, header(TOO_LONG)), "Safetensor"),
    "weights upon each other": (write(WEIGHTS, header(TWICE, b"\0" * 4)), "invalid offset"),
    "a pickle by that name": (bomb_as(WEIGHTS), "Safetensor"),
    "a pickle": (bomb_as("pytorch_model.bin", instead=True), "is a pickle, which can run code"),
    "a pickle .pt": (bomb_as("model.pt", instead=True), "is a pickle, which can run code"),
    "a pickle .ckpt": (bomb_as("model.ckpt", instead=True), "model.save_pretrained"),
    "an index to a pickle": (index_to({"model.norm.weight": "pytorch_model.bin"}), "names pytorch_model.bin"),
    "an index out of the folder": (index_to({"a": "../x.safetensors"}), r"names \.\./x\.safetensors"),
    "an index without a map": (index_to(None), "its index of weights names"),
    "an adapter that is a pickle": (adapter, "adapter_model.safetensors"),
    "no configuration": (write("config.json", b""), "cannot be read as JSON"),
    "a binary configuration": (write("config.json", b"\xff\xfe\0"), "cannot be read as JSON"),
    "a deep configuration": (write("config.json", b"[" * 100_000), "cannot be read as JSON"),
    "null for a configuration": (write("config.json", b"null"), "config.json does not hold a JSON object"),
    "a number for a type": (write("config.json", b'{"model_type": 5}'), "check model_type"),
    "a list for a type": (write("config.json", b'{"model_type": ["qwen2"]}'), "transformers cannot load it"),
    "a kernel from a repository": (config(_attn_implementation="someone/evil"), "whose code is never run"),
    "fewer layers than none": (config(num_hidden_layers=-1), "transformers cannot load it"),
    "no heads": (config(num_attention_heads=0), "transformers cannot load it"),
    "a trillion tokens": (config(vocab_size=10**12), "transformers cannot load it"),
    "code for a dtype": (config(dtype="os.system"), "transformers cannot load it"),
    "weights that lead to themselves": (loop(WEIGHTS), "safetensors"),
    "a configuration that leads to itself": (loop("config.json"), "the folder holds no config.json"),
    "a tokenizer that leads to itself": (loop("tokenizer.json"), "tokenizer.save_pretrained"),
    "a folder for weights": (directory(WEIGHTS), "safetensors"),
    "a folder for a configuration": (directory("config.json"), "the folder holds no config.json"),
    "half a tokenizer": (write("tokenizer.json", b"{"), "JSONDecodeError"),
    "a pickle for a tokenizer": (bomb_as("tokenizer.json"), "transformers cannot load it"),
    "a list for a tokenizer": (write("tokenizer.json", b"[]"), "transformers cannot load it"),
    "NaN in a weight": (one_weight(float("nan")), "model.norm.weight hold NaN"),
    "infinity in a weight": (one_weight(float("inf")), "model.norm.weight hold NaN or infinity"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_folder_is_refused_with_a_word(what: str, folder: Path, marker: Path) -> None:
    edit, says = BROKEN[what]
    edit(folder, pickle.dumps(Bomb(marker)))
    with pytest.raises(ModelUnavailable, match=says) as caught:
        load(folder)
    assert caught.value.argument == "name"
    assert not marker.exists()


def test_the_bomb_goes_off_where_pickles_are_read(marker: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(marker)))
    assert marker.exists()


def test_the_folder_is_good_before_it_is_broken(folder: Path) -> None:
    assert load(folder).tokenizer.eos_token_id is not None


def test_code_and_pickles_beside_good_files_are_left_alone(folder: Path, marker: Path) -> None:
    code = f"import pathlib\npathlib.Path({str(marker)!r}).touch()\nclass Config: pass\nModel = Tok = Config\n"
    (folder / "code.py").write_text(code)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(marker)))
    (folder / "training_args.bin").write_bytes(pickle.dumps(Bomb(marker)))
    config(auto_map={"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"})(folder, b"")
    path = folder / "tokenizer_config.json"
    remote = {"auto_map": {"AutoTokenizer": ["code.Tok", None]}}
    path.write_text(json.dumps(json.loads(path.read_text()) | remote))
    load(folder)
    assert not marker.exists()


def test_an_index_from_the_hub_is_checked_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import transformers

    index = tmp_path / INDEX
    index.write_text(json.dumps({"weight_map": {"a": "pytorch_model.bin"}}))

    class Known:
        @staticmethod
        def from_pretrained(*args: Any, **options: Any) -> Any:
            return type("Config", (), {})()

    def no_model(*args: Any, **options: Any) -> None:
        raise AssertionError("the weights were asked for")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: None)
    monkeypatch.setattr(transformers, "AutoConfig", Known)
    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", no_model)
    monkeypatch.setattr("transformers.utils.hub.cached_file", lambda *_, **__: str(index))
    with pytest.raises(ModelUnavailable, match=r"names pytorch_model\.bin"):
        load("someone/model")


@pytest.mark.parametrize("argument", ["name", "dtype", "device", "revision"])
def test_hostile_arguments(argument: str) -> None:
    texts = ("ünï", "text", "unicode")  # a text may be the name of a model on the hub
    for word, make in HOSTILE.items():
        if (argument in ("name", "revision") and any(t in word for t in texts)) or word == "none":
            continue
        given: dict[str, Any] = {"name": Path("no-such-folder")} | {argument: make()}
        with pytest.raises(InvalidArgument):
            load(**given)
    for name in ("", " ", "a\0b", "a\nb"):
        with pytest.raises(InvalidArgument, match=r"^name: "):
            load(name)


def test_a_model_that_is_refused_leaves_no_file(folder: Path) -> None:
    config(num_attention_heads=0)(folder, b"")
    before = sorted(path.name for path in folder.rglob("*"))
    with pytest.raises(ModelUnavailable):
        load(folder)
    assert sorted(path.name for path in folder.rglob("*")) == before
    assert torch.get_default_dtype() == torch.float32
