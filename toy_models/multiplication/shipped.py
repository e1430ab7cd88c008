"""The checkpoint that comes with the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dynamics.errors import InvalidArgument
from toy_models.multiplication.corpus import ask, parse_answer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

WEIGHTS = Path(__file__).parent / "weights"
"""Folder of the checkpoint: weights, configuration, tokenizer and model card."""

QUESTION = "11 x 12 = ?"
"""The question of jian2025, Section 2.3."""

PINNED_REJECTED = ("11 x 12 = 124.", "114.", "11 x 12 is 123.", "172.", "11 x 13 = 141")
"""Rejected responses with which the shipped model shows the pattern of the paper's Figure 2a.

A uniform draw (seed 82) of the incorrect samples, looked for: the model card says how, and what other draws show.
"""


def load(folder: Path | str = WEIGHTS) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return the model, in evaluation mode, and the tokenizer of a folder.

    Args:
        folder: a folder; a string that is no folder here is looked up as a name on the Hugging Face hub.

    Raises:
        InvalidArgument: nothing that can be loaded there, or no tokenizer that marks the end of a text.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415 - of the optional extra lm

    try:
        if isinstance(folder, Path) and not folder.is_dir():
            raise OSError("no such folder")
        model = AutoModelForCausalLM.from_pretrained(str(folder))
        tokenizer = AutoTokenizer.from_pretrained(str(folder))
    except (OSError, ValueError) as problem:
        raise InvalidArgument("model", str(folder), f"a folder with a causal language model ({problem})") from problem
    if tokenizer.eos_token_id is None:
        raise InvalidArgument("model", str(folder), "a model whose tokenizer has an end of text")
    return model.eval(), tokenizer


def as_prompt(tokenizer: PreTrainedTokenizerBase, question: str) -> str:
    """Return a question as the model is to see it: in its chat template if it has one, else with a line break."""
    if not tokenizer.chat_template:
        return ask(question)
    turns = [{"role": "user", "content": question}]
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))


def answers(number: int, response: str) -> bool:
    """Return whether a response answers with this number.

    Example:
        >>> answers(132, "11 x 12 = 132."), answers(132, "132 or 121")
        (True, False)
    """
    return parse_answer(response) == number
