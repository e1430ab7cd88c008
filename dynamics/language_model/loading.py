"""Loading of a causal language model from the Hugging Face hub or a folder: safetensors only, and no remote code."""

from __future__ import annotations

import importlib
import json
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import torch

from dynamics.errors import InvalidArgument, Unsupported, check_flag, shorten
from dynamics.hub import NO_TOKENIZER, explain, why_not_on_hub
from dynamics.language_model.causal_lm import CausalLM
from dynamics.language_model.out_of_memory import OutOfMemory, is_out_of_memory

SAVE_AGAIN = "write the folder again with model.save_pretrained(folder)"
DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16, "float16": torch.float16}


ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


class MissingExtra(ImportError):
    """The optional packages for language models are not installed."""

    def __init__(self, module: str) -> None:
        super().__init__(
            f"language models need the package {module}: pip install 'preference-dynamics[lm]'", name=module
        )


class ModelUnavailable(InvalidArgument):
    """A model that cannot be loaded: why, and what to do."""

    def __init__(self, name: str | Path, why: str) -> None:
        super().__init__("name", f"{shorten(str(name))} cannot be loaded: {why}")
        self._given = (name, why)

    def __reduce__(self) -> tuple[type[ModelUnavailable], tuple[Any, ...]]:
        """Let the error cross a process border."""
        return type(self), self._given


class LanguageModel(NamedTuple):
    """A causal language model in eval mode, and its tokenizer; None where it was loaded without one."""

    model: CausalLM
    tokenizer: Any


def load(
    name: str | Path,
    *,
    revision: str | None = None,
    dtype: str | torch.dtype = "float32",
    device: str | torch.device = "cpu",
    adapter: str | Path | None = None,
    tokenizer: bool = True,
) -> LanguageModel:
    """Load a causal language model and its tokenizer.

    Only safetensors are read, and no code from the repository is run. A checkpoint that lacks weights is refused,
    because transformers would fill them with random numbers, and so is one with weights that are not finite.

    Args:
        name: model id on the hub such as ``Qwen/Qwen2.5-0.5B-Instruct``, or a local folder.
        revision: branch, tag or commit on the hub.
        dtype: dtype of the parameters; for kernels use float32, even if the checkpoint is stored in bfloat16.
        device: device of the model.
        adapter: a folder with an adapter for the model (LoRA, DoRA, ...), as ``save_pretrained`` of peft writes it. Its
            parameters, and no others, then require a gradient, so that they are the default of every computation.
        tokenizer: False for a model without one, where token ids are at hand.

    Returns:
        The model in eval mode, without dropout, and the tokenizer; None in its place if none was asked for.

    Raises:
        MissingExtra: transformers is not installed.
        ModelUnavailable: there is no such folder or model, no network, no safetensors file; the architecture is unknown
            or not causal; weights are missing or not finite; the index of weights names other files than safetensors
            in the same folder; a file cannot be read; the tokenizer is empty or loses white space.
        InvalidArgument: an unknown dtype, a device that this machine does not have, an adapter that cannot be loaded or
            does not fit the model.
        OutOfMemory: the parameters do not fit into memory.

    Example:
        >>> load("./no-such-folder")
        Traceback (most recent call last):
            ...
        dynamics.language_model.loading.ModelUnavailable: name: ./no-such-folder cannot be loaded: ...
    """
    if not isinstance(name, (str, Path)) or not str(name).strip() or not str(name).isprintable():
        raise InvalidArgument("name", name, "a folder, or a model id such as Qwen/Qwen2.5-0.5B-Instruct")
    if revision is not None and not isinstance(revision, str):
        raise InvalidArgument("revision", revision, "a branch, tag or commit, as text")
    wanted_dtype, wanted_device = _check_dtype(dtype), _check_device(device)
    check_flag("tokenizer", tokenizer)
    adapter_folder = None if adapter is None else _check_adapter(adapter)
    transformers = require("transformers")
    source = _check_source(name, revision)
    common = {"revision": revision, "trust_remote_code": False}
    try:
        config = transformers.AutoConfig.from_pretrained(source, **common)
        _check_config(config, str(name))
        _check_index(source, str(name), revision)
        model, info = transformers.AutoModelForCausalLM.from_pretrained(
            source, config=config, dtype=wanted_dtype, use_safetensors=True, output_loading_info=True, **common
        )
        reader = transformers.AutoTokenizer.from_pretrained(source, **common) if tokenizer else None
    except ModelUnavailable:
        raise
    except Exception as problem:
        if is_out_of_memory(problem):
            raise _too_large(str(name), problem) from problem
        raise ModelUnavailable(name, explain(problem)) from problem
    lacking = sorted([*info["missing_keys"], *(str(key[0]) for key in info["mismatched_keys"])])
    if lacking:
        missing = ", ".join(lacking[:4])
        raise ModelUnavailable(name, f"its checkpoint has no weights for {missing}; get the complete one")
    if adapter_folder is not None:
        model = _add_adapter(model, adapter_folder, wanted_dtype)
    broken = [key for key, parameter in model.named_parameters() if not bool(parameter.isfinite().all())]
    if broken:
        remedy = "get the checkpoint again, or use a wider dtype"
        raise ModelUnavailable(name, f"the weights of {broken[0]} hold NaN or infinity; {remedy}")
    if tokenizer:
        check_tokenizer(reader, str(name))
    try:
        return LanguageModel(model.to(wanted_device).eval(), reader)
    except RuntimeError as problem:
        if not is_out_of_memory(problem):
            raise
        raise _too_large(str(name), problem) from problem


def _check_adapter(folder: str | Path) -> Path:
    """Return the folder of an adapter; refuse one that holds none, or only pickles."""
    if not isinstance(folder, (str, Path)) or not str(folder).strip() or not Path(folder).expanduser().is_dir():
        raise InvalidArgument("adapter", folder, "a folder that exists, as save_pretrained of peft writes it")
    found = Path(folder).expanduser()
    lacking = [name for name in ADAPTER_FILES if not (found / name).is_file()]
    if lacking:
        problem = f"the folder {shorten(str(folder))} lacks {' and '.join(lacking)}"
        raise Unsupported("adapter", problem, "save it again with save_pretrained of peft")
    return found


def _add_adapter(model: Any, folder: Path, dtype: torch.dtype) -> Any:
    """Return the model with an adapter, whose parameters alone require a gradient."""
    peft = require("peft")
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            adapted = peft.PeftModel.from_pretrained(model, str(folder), is_trainable=True)
    except Exception as problem:  # peft raises errors of several types
        first = next(iter(str(problem).strip().splitlines()), type(problem).__name__)
        why = f"the adapter in {shorten(str(folder))} does not fit this model ({first})"
        raise Unsupported("adapter", why, "give the model that it was made for") from problem
    missing = [str(one.message) for one in told if "missing adapter keys" in str(one.message)]
    if missing:
        first = next(iter(missing[0].splitlines()))[:200]
        raise Unsupported("adapter", f"weights are missing in {shorten(str(folder))} ({first})", "save it again")
    return adapted.to(dtype)


def _too_large(name: str, problem: BaseException) -> OutOfMemory:
    first = next(iter(str(problem).strip().splitlines()), type(problem).__name__)
    remedy = f"use a smaller model, a narrower dtype or a device with more memory ({first})"
    return OutOfMemory("name", f"the model {name} does not fit into memory", remedy)


def load_tokenizer(name: str | Path, *, revision: str | None = None) -> tuple[Any, Any]:
    """Load the tokenizer and the configuration of a model, without its weights.

    Args:
        name: model id on the hub, or a local folder.
        revision: branch, tag or commit on the hub.

    Returns:
        The tokenizer and the configuration.

    Raises:
        MissingExtra: transformers is not installed.
        ModelUnavailable: the tokenizer or the configuration cannot be loaded, for one of the reasons given at ``load``.
    """
    transformers = require("transformers")
    source = _check_source(name, revision)
    common = {"revision": revision, "trust_remote_code": False}
    try:
        config = transformers.AutoConfig.from_pretrained(source, **common)
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, **common)
    except Exception as problem:
        raise ModelUnavailable(name, explain(problem)) from problem
    check_tokenizer(tokenizer, str(name))
    return tokenizer, config


def require(module: str) -> Any:
    """Return an optional package, imported; if it is not installed the error says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as problem:
        raise MissingExtra(module) from problem


def check_tokenizer(tokenizer: Any, name: str) -> None:
    """Refuse a tokenizer that is empty or that loses white space.

    AutoTokenizer returns an empty tokenizer if the folder holds none. For some model types it replaces the stored class
    by the usual one of the architecture, which may misread the file: words then run together, and log-probabilities are
    those of another text.
    """
    text = "1 2\n3"
    back = tokenizer.decode(tokenizer.encode(text, add_special_tokens=False), clean_up_tokenization_spaces=False)
    if not back.strip():
        raise ModelUnavailable(name, f"{NO_TOKENIZER} ({text!r} came back as {back!r})")
    if back.strip() == "".join(text.split()):
        problem = f"its tokenizer loses white space ({text!r} came back as {back!r})"
        raise ModelUnavailable(name, f"{problem}; save it again in the class that its architecture uses")


def _check_dtype(dtype: str | torch.dtype) -> torch.dtype:
    found = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or found not in DTYPES.values():
        raise InvalidArgument("dtype", dtype, f"one of {', '.join(DTYPES)}")
    return found


def _check_device(device: str | torch.device) -> torch.device:
    try:
        wanted = torch.device(device)
    except Exception as problem:  # torch raises errors of several types here
        raise InvalidArgument("device", device, "'cpu', 'cuda', 'cuda:0', 'mps', ...") from problem
    if wanted.type == "cuda" and not torch.cuda.is_available():
        remedy = "use device='cpu', or install a build of torch with CUDA"
        raise Unsupported("device", f"torch sees no CUDA device, so {device} cannot be used", remedy)
    if wanted.type == "cuda" and wanted.index is not None and wanted.index >= torch.cuda.device_count():
        raise InvalidArgument("device", str(device), f"'cuda:0' to 'cuda:{torch.cuda.device_count() - 1}'")
    if wanted.type == "mps" and not torch.backends.mps.is_available():
        raise Unsupported("device", "torch sees no MPS device", "use device='cpu'")
    return wanted


def _read_json(path: Path, name: str) -> dict[str, Any]:
    """Return the JSON object in a file; refuse a file that holds something else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise ModelUnavailable(name, f"{path.name} cannot be read as JSON ({problem})") from problem
    if not isinstance(found, dict):
        raise ModelUnavailable(name, f"{path.name} does not hold a JSON object; {SAVE_AGAIN}")
    return found


def _check_config(config: Any, name: str) -> None:
    """Refuse a configuration that names an attention kernel in a repository, which transformers would fetch and run."""
    for part in (config, *(value for value in vars(config).values() if hasattr(value, "model_type"))):
        kernel = getattr(part, "_attn_implementation", None)
        if "/" in str(kernel):
            problem = f"config.json names an attention kernel from a repository ({kernel}), whose code is never run"
            raise ModelUnavailable(name, f"{problem}; remove that entry")


def _check_index(source: str, name: str, revision: str | None) -> None:
    """Refuse an index of weights that names a pickle, which transformers would open, or a file in another folder."""
    from transformers.utils.hub import cached_file  # noqa: PLC0415 - an optional package

    quiet = {"_raise_exceptions_for_missing_entries": False, "_raise_exceptions_for_connection_errors": False}
    found = cached_file(source, "model.safetensors.index.json", revision=revision, **quiet)
    if found is None:
        return
    index = _read_json(Path(found), name).get("weight_map")
    files = set(map(str, index.values())) if isinstance(index, dict) else {"no weight_map"}
    strange = sorted(file for file in files if not file.endswith(".safetensors") or set(file) & set("/\\:"))
    if strange:
        problem = f"its index of weights names {strange[0]}, which is not a *.safetensors file in the same folder"
        raise ModelUnavailable(name, f"{problem}; {SAVE_AGAIN}")


def _check_source(name: str | Path, revision: str | None = None) -> str:
    """Return the name or folder to give to transformers; refuse a folder that holds no model, and an unknown name."""
    text = str(name)
    folder = Path(text).expanduser()
    if not folder.is_dir():
        if isinstance(name, Path) or text.startswith((".", "/", "~")) or text.count("/") > 1:
            remedy = "give one that exists, or a model id such as Qwen/Qwen2.5-0.5B-Instruct"
            raise ModelUnavailable(text, f"there is no such folder; {remedy}")
        why = why_not_on_hub(text, revision)
        if why:
            raise ModelUnavailable(text, f"there is no folder of this name; {why}")
        return text
    if not (folder / "config.json").is_file() and (folder / ADAPTER_FILES[0]).is_file():
        base = _read_json(folder / ADAPTER_FILES[0], text).get("base_model_name_or_path")
        remedy = f"give the model that it belongs to ({base}), and this folder as adapter= or --adapter"
        raise ModelUnavailable(text, f"the folder holds an adapter and no model; {remedy}")
    if not (folder / "config.json").is_file():
        raise ModelUnavailable(text, f"the folder holds no config.json; {SAVE_AGAIN}")
    if not list(folder.glob("*.safetensors")):
        pickles = [path.name for path in (*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth"))]
        note = f" ({pickles[0]} is a pickle, which can run code and is not read)" if pickles else ""
        raise ModelUnavailable(text, f"the folder holds no model.safetensors{note}; {SAVE_AGAIN}")
    config = _read_json(folder / "config.json", text)
    if "model_type" not in config:
        raise ModelUnavailable(text, f"config.json has no model_type; {SAVE_AGAIN}")
    return str(folder)
