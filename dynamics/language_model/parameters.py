"""Which parameters a kernel is over, and the handler of each: none is left out in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from dynamics.errors import InvalidArgument
from dynamics.language_model.kernel.layers import EmbeddingTap, Tap, make_tap
from dynamics.language_model.model_head import find_head

Filter = Callable[[str], bool] | str | Sequence[str] | None
UNDERSTOOD = "parameters of Linear, Conv1D, Embedding, LayerNorm and RMSNorm modules; leave it out by parameters="


def select_parameters(model: nn.Module, parameters: Filter) -> dict[str, nn.Parameter]:
    """Return the parameters that a filter picks, by name; a shared parameter counts once.

    Args:
        model: the model.
        parameters: function of the name, glob (``"*lora_*"``), several globs, or None for all that require a gradient.

    Raises:
        InvalidArgument: nothing is picked.

    Example:
        >>> sorted(select_parameters(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)), "1.*"))
        ['1.bias', '1.weight']
    """
    if not isinstance(model, nn.Module):
        raise InvalidArgument("model", model, "a causal language model")
    allowed = "a glob such as '*mlp*', a list of globs, a function of the name, or None for all that require a gradient"
    if isinstance(parameters, type) or not (
        parameters is None or callable(parameters) or isinstance(parameters, (str, list, tuple, set, frozenset))
    ):
        raise InvalidArgument("parameters", parameters, allowed)
    if not callable(parameters) and not all(isinstance(glob, str) for glob in parameters or ()):
        raise InvalidArgument("parameters", parameters, allowed)
    picked: dict[str, nn.Parameter] = {}
    known: set[int] = set()
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if id(parameter) not in known and _picks(parameters, name, parameter):
            picked[name] = parameter
            known.add(id(parameter))
    if not picked:
        some = ", ".join(name for name, _ in list(model.named_parameters())[:3])
        shown = parameters if not callable(parameters) else "a function that picks none"
        raise InvalidArgument("parameters", shown, f"a filter that picks at least one parameter (such as {some}, ...)")
    return picked


def _picks(parameters: Filter, name: str, parameter: nn.Parameter) -> bool:
    if parameters is None:
        return parameter.requires_grad
    if callable(parameters):
        return bool(parameters(name))
    globs = [parameters] if isinstance(parameters, str) else parameters
    return any(fnmatchcase(name, glob) for glob in globs)


@dataclass(frozen=True, eq=False)
class Coverage:
    """Handlers for every selected parameter.

    Attributes:
        selected: the parameters, by name.
        taps: handlers of modules below the head; the token embedding is there even when it is not selected.
        head: the linear map to logits.
        head_name: its name.
        head_weight: whether its weight is selected.
        head_bias: whether its bias is.
        tied: the tap of the embedding that shares the head's weight, if one does.
    """

    selected: dict[str, nn.Parameter]
    taps: tuple[Tap, ...]
    head: nn.Linear
    head_name: str
    head_weight: bool
    head_bias: bool
    tied: EmbeddingTap | None


def cover(model: Any, parameters: Filter) -> Coverage:
    """Find the handler of every selected parameter, or refuse by name the first that has none.

    Raises:
        InvalidArgument: a parameter of an unknown kind of module, or one that two modules share (other than the
            embedding and the head), whose gradient is not a sum over single uses.
    """
    selected = select_parameters(model, parameters)
    head = find_head(model)
    modules: dict[int, tuple[str, nn.Module]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        modules.setdefault(id(module), (name, module))
    owners: dict[int, list[tuple[int, str]]] = {}
    for key, (_, module) in modules.items():
        for attribute, parameter in module.named_parameters(recurse=False):
            owners.setdefault(id(parameter), []).append((key, attribute))
    wanted: dict[int, set[str]] = {}
    of_head: set[str] = set()
    shared: int | None = None
    for name, parameter in selected.items():
        below = [(key, attribute) for key, attribute in owners[id(parameter)] if key != id(head)]
        if len(below) > 1:
            places = " and ".join(modules[key][0] for key, _ in below)
            raise InvalidArgument("parameters", f"{name}, shared by {places}", "parameters that one module uses once")
        if len(below) < len(owners[id(parameter)]):
            of_head |= {attribute for key, attribute in owners[id(parameter)] if key == id(head)}
            shared = below[0][0] if below else shared
        for key, attribute in below:
            wanted.setdefault(key, set()).add(attribute)
    taps = [_tap(*modules[key], attributes, selected) for key, attributes in wanted.items()]
    tied = next((tap for tap in taps if shared is not None and tap.module is modules[shared][1]), None)
    if tied is not None and not isinstance(tied, EmbeddingTap):
        raise InvalidArgument("parameters", f"{tied.name}, shared with the head", "a head tied to an embedding only")
    if "forward" in head.__dict__:
        raise InvalidArgument(
            "model", f"a head {modules[id(head)][0]} with a replaced forward", "a head of its own class"
        )
    embedding = model.get_input_embeddings()
    if id(embedding) not in wanted:
        taps.append(EmbeddingTap(modules[id(embedding)][0], embedding, weight=False, bias=False))
    return Coverage(selected, tuple(taps), head, modules[id(head)][0], "weight" in of_head, "bias" in of_head, tied)


def _tap(name: str, module: nn.Module, attributes: set[str], selected: dict[str, nn.Parameter]) -> Tap:
    tap = (
        make_tap(name, module, "weight" in attributes, "bias" in attributes)
        if attributes <= {"weight", "bias"}
        else None
    )
    if tap is None:
        mine = {id(parameter) for parameter in module.parameters(recurse=False)}
        names = [parameter for parameter, tensor in selected.items() if id(tensor) in mine]
        got = f"{', '.join(names)} of a module {type(module).__name__} without a handler"
        raise InvalidArgument("parameters", got, UNDERSTOOD)
    return tap


@contextmanager
def requiring(model: nn.Module, selected: dict[str, nn.Parameter]) -> Iterator[None]:
    """Let exactly the selected parameters require a gradient, and restore what did before.

    The taps hide every use that they know; a gradient that still reaches a parameter betrays a use that they do not.
    """
    if any(_made_in_inference_mode(parameter) for parameter in model.parameters()):
        allowed = "a model loaded outside of torch.inference_mode(): gradients with respect to this one do not exist"
        raise InvalidArgument("model", "parameters made under torch.inference_mode()", allowed)
    before = {parameter: parameter.requires_grad for parameter in model.parameters()}
    picked = {id(parameter) for parameter in selected.values()}
    try:
        for parameter in before:
            parameter.requires_grad_(id(parameter) in picked)
        yield
    finally:
        for parameter, value in before.items():
            parameter.requires_grad_(value)


def _made_in_inference_mode(parameter: nn.Parameter) -> bool:
    """Return whether autograd cannot keep this parameter; one whose data were replaced no longer says so itself."""
    try:
        return parameter.is_inference() or parameter._version < 0
    except RuntimeError:  # inference tensors have no version
        return True
