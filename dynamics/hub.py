"""Models and data of the Hugging Face hub that cannot be loaded: why, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

NO_TOKENIZER = "the folder holds no tokenizer; add it with tokenizer.save_pretrained(folder)"
SECONDS = 10  # to wait for the hub
NOT_THERE = frozenset({"RepositoryNotFoundError", "HFValidationError"})
NOT_REACHED = frozenset(
    {"LocalEntryNotFoundError", "OfflineModeIsEnabled", "ConnectError", "ConnectionError", "TimeoutException"}
)
"""Types of exceptions: the hub has no such model, and the hub was not reached."""
EXPLANATIONS: tuple[tuple[frozenset[str], tuple[str, ...], str], ...] = (
    (
        frozenset({"GatedRepoError"}),
        (),
        "it is gated; accept its licence on the hub, then log in with `hf auth login`",
    ),
    (
        frozenset({"RevisionNotFoundError"}),
        ("is not a valid git identifier",),
        "it has no such revision; give a branch, tag or commit that it has",
    ),
    (
        NOT_THERE,
        ("is not a valid model identifier",),
        "the hub has no such model; check its spelling, log in for a private one, or give a local folder",
    ),
    (
        NOT_REACHED,
        ("couldn't connect", "internet connection", "offline mode"),
        "the hub was not reached, and the model is not in the cache; download it once, or give a local folder",
    ),
    (
        frozenset(),
        ("does not appear to have a file named model.safetensors", "no file named model.safetensors"),
        "it has no safetensors, and pickled weights, which can run code, are not read; convert it, or use another",
    ),
    (
        frozenset(),
        ("trust_remote_code", "custom code"),
        "its architecture is not part of transformers, and code from a repository is never run; use another model",
    ),
    (
        frozenset(),
        ("Unrecognized configuration class",),
        "it is not a causal language model; AutoModelForCausalLM has none of this type",
    ),
    (
        frozenset(),
        ("model type", "Unrecognized model"),
        "the installed transformers does not know its architecture; upgrade it, or check model_type in config.json",
    ),
    (
        frozenset(),
        ("okenizer",),
        NO_TOKENIZER,
    ),
)
"""What an error of transformers means, and what to do. Each row: types of exceptions in its chain of causes, parts of
their messages, and the explanation; the first row that fits is used."""


def explain(problem: Exception) -> str:
    """Return what an error of transformers means, and what to do about it.

    Args:
        problem: the error.
    """
    causes, kinds = list(_causes(problem)), _kinds(problem)
    text = " ".join(str(cause) for cause in causes).lower()
    for names, pieces, explanation in EXPLANATIONS:
        if kinds & names or any(piece.lower() in text for piece in pieces):
            return explanation
    first = next(iter(str(problem).strip().splitlines()), "")
    return f"transformers cannot load it ({type(problem).__name__}: {first})"


def why_no_data(name: str) -> str:
    """Return why a data set is not on the hub; an empty text if it may be there. The hub is asked once.

    Args:
        name: id of the data set.
    """
    import huggingface_hub  # noqa: PLC0415 - an optional package

    try:
        huggingface_hub.HfApi().dataset_info(name, timeout=SECONDS)
    except Exception as problem:  # as in why_not_on_hub
        kinds = _kinds(problem)
        if "GatedRepoError" in kinds:  # huggingface_hub derives it from RepositoryNotFoundError
            return "it is gated on the hub (accept its licence there, then log in with `hf auth login`)"
        if kinds & NOT_THERE:
            return "the hub has no such data set (log in for a private one)"
        return "the hub was not reached" if kinds & NOT_REACHED else ""
    return ""


def _causes(problem: BaseException | None) -> Iterator[BaseException]:
    while problem is not None:
        yield problem
        problem = problem.__cause__ or problem.__context__


def _kinds(problem: Exception) -> set[str]:
    """Return the names of the types of an error and of its causes, and of the types that these are derived from."""
    return {kind.__name__ for cause in _causes(problem) for kind in type(cause).__mro__}


def why_not_on_hub(name: str, revision: str | None = None) -> str:
    """Return why a model is neither in the cache nor on the hub; an empty text if it may be there.

    The hub is asked once. Transformers would ask for every file several times, which takes minutes without a network.

    Args:
        name: id of the model.
        revision: branch, tag or commit.
    """
    import huggingface_hub  # noqa: PLC0415 - an optional package

    try:
        if isinstance(huggingface_hub.try_to_load_from_cache(name, "config.json", revision=revision), str):
            return ""
        huggingface_hub.HfApi().model_info(name, revision=revision, timeout=SECONDS)
    except Exception as problem:  # of several libraries; what is not known here, transformers may manage
        if _kinds(problem) & (NOT_REACHED | NOT_THERE):
            return explain(problem)
    return ""
