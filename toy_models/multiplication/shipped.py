"""The checkpoint that comes with the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from dynamics.errors import InvalidArgument
from dynamics.language_model import load as load_model
from toy_models.multiplication.checkpoint import PINNED_REJECTED, QUESTION, WEIGHTS
from toy_models.multiplication.corpus import parse_answer
from toy_models.multiplication.survey import PairRule

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["PINNED", "PINNED_REJECTED", "QUESTION", "WEIGHTS", "answers", "load_checkpoint"]

PINNED = PairRule(pairs=len(PINNED_REJECTED), rejected=PINNED_REJECTED)
"""The pairs of the default probe."""


def load_checkpoint(
    folder: Path | str = WEIGHTS, device: str = "cpu"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return the model, in float32 and evaluation mode, and the tokenizer of a folder.

    Args:
        folder: a folder; a string that is no folder here is looked up as a name on the Hugging Face hub, with a
            revision after an ``@``, as in ``Qwen/Qwen2.5-0.5B-Instruct@7ae5576``.
        device: where the model lives, such as "cpu" or "cuda".

    Raises:
        InvalidArgument: a folder that cannot be loaded, an unknown device, or a tokenizer without an end of text.
    """
    name, at, revision = str(folder).partition("@")
    pinned = at and not Path(folder).is_dir()
    model, tokenizer = load_model(name if pinned else folder, revision=revision if pinned else None, device=device)
    if tokenizer.eos_token_id is None:
        raise InvalidArgument("model", str(folder), "a model whose tokenizer has an end-of-text token")
    return cast("PreTrainedModel", model), tokenizer


def answers(number: int, response: str) -> bool:
    """Return whether a response answers with this number.

    Example:
        >>> answers(132, "11 x 12 = 132."), answers(132, "132 or 121")
        (True, False)
    """
    return parse_answer(response) == number
