"""Where the gradients of torch, whose inner products the kernel is, are not the derivatives of log pi."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

from dynamics.language_model.causal_lm import CausalLM, as_module
from dynamics.language_model.model_head import find_head
from dynamics.language_model.parameters import Filter, select_parameters
from dynamics.language_model.tokens import TokenSequence

DORA = (
    "DoRA divides by norms of weights, and its gradients treat these norms as constants: a step changes log pi by "
    "something else than its gradients say, however small the step is"
)
MAGNITUDE = "lora_magnitude_vector"
"""The name that peft gives to the magnitudes of DoRA."""


def padding_embeddings(model: CausalLM, parameters: Filter) -> dict[str, nn.Embedding]:
    """Return the embeddings with a ``padding_idx`` whose weights are selected, by name.

    Args:
        model: the model.
        parameters: as for ``sequence_kernel``.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> padding_embeddings(tiny_model(), None)
        {}
    """
    chosen = {id(parameter) for parameter in select_parameters(model, parameters).values()}
    return {
        name: module
        for name, module in as_module(model).named_modules()
        if isinstance(module, nn.Embedding) and module.padding_idx is not None and id(module.weight) in chosen
    }


def input_tokens(sequences: Iterable[TokenSequence]) -> set[int]:
    """Return the tokens that a model reads of some sequences: all but the last of each.

    Example:
        >>> input_tokens([TokenSequence((1, 2, 3), 1)])
        {1, 2}
    """
    return {token for sequence in sequences for token in sequence.ids[:-1]}


def make_remarks(model: CausalLM, parameters: Filter, sequences: Sequence[TokenSequence]) -> tuple[str, ...]:
    """Return a sentence for every case that concerns the selected parameters and the sequences.

    An embedding with a ``padding_idx`` gives no gradient to the look-ups of that token; DoRA detaches norms.

    Args:
        model: the model.
        parameters: as for ``sequence_kernel``.
        sequences: the sequences.
    """
    chosen = {id(parameter) for parameter in select_parameters(model, parameters).values()}
    linear = find_head(model).linear
    found = []
    for name, module in padding_embeddings(model, parameters).items():
        if module.padding_idx not in input_tokens(sequences):
            continue
        tied = linear is not None and linear.weight is module.weight
        rest = ", which is that of the head alone" if tied else ""
        what = f"token {module.padding_idx} is the padding_idx of {name} and stands among the inputs"
        found.append(f"{what}: as in a step of torch, looking it up adds nothing to the gradient of its row{rest}")
    layers = {name.partition(f".{MAGNITUDE}")[0] for name, _ in model.named_parameters() if f".{MAGNITUDE}" in name}
    trained = [name for name, p in model.named_parameters() if id(p) in chosen and ".lora_" in name]
    if any(name.partition(".lora_")[0] in layers and f".{MAGNITUDE}" not in name for name in trained):
        found.append(DORA)
    return tuple(found)
