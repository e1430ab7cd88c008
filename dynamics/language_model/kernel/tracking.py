"""Which modules have to be tracked for a choice of parameters. A parameter that cannot be is refused by its name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from torch import nn

from dynamics.errors import Unsupported
from dynamics.language_model.causal_lm import CausalLM, as_module, replaced_forward
from dynamics.language_model.kernel.layers import TrackedEmbedding, track_module
from dynamics.language_model.kernel.recording import Recorder, TrackedModule
from dynamics.language_model.model_head import find_head
from dynamics.language_model.parameters import Filter, select_parameters

KNOWN_KINDS = "Linear, Conv1D, Embedding, LayerNorm and RMSNorm"


@dataclass(frozen=True, eq=False)
class TrackedModules:
    """The modules that hold the selected parameters.

    Attributes:
        selected: the selected parameters, by name.
        modules: tracked modules below the head. The token embedding is among them even if it is not selected, because
            the backward pass ends there.
        head: the linear map to logits.
        head_name: its name.
        head_weight: whether its weight is selected.
        head_bias: whether its bias is.
        tied: the embedding that shares the head's weight; None if there is none or it is not selected.
    """

    selected: dict[str, nn.Parameter]
    modules: tuple[TrackedModule, ...]
    head: nn.Linear
    head_name: str
    head_weight: bool
    head_bias: bool
    tied: TrackedEmbedding | None


def track_modules(model: CausalLM, parameters: Filter) -> TrackedModules:
    """Return the modules of all selected parameters.

    Args:
        model: the model.
        parameters: which parameters, as for ``select_parameters``.

    Raises:
        InvalidArgument: a parameter of a module of no known kind, or one that two modules share (other than the
            embedding and the head).
    """
    selected = select_parameters(model, parameters)
    head = find_head(model)
    modules: dict[int, tuple[str, nn.Module]] = {}
    for name, module in as_module(model).named_modules(remove_duplicate=False):
        modules.setdefault(id(module), (name, module))
    owners: dict[int, list[tuple[int, str]]] = {}
    for key, (_, module) in modules.items():
        for attribute, parameter in module.named_parameters(recurse=False):
            owners.setdefault(id(parameter), []).append((key, attribute))
    attributes_of: dict[int, set[str]] = {}
    of_head: set[str] = set()
    shared: int | None = None
    for name, parameter in selected.items():
        below = [(key, attribute) for key, attribute in owners[id(parameter)] if key != id(head)]
        if len(below) > 1:
            places = " and ".join(modules[key][0] for key, _ in below)
            raise Unsupported("parameters", f"{name}, shared by {places}, has no kernel here", _leave_out(name))
        if len(below) < len(owners[id(parameter)]):
            of_head |= {attribute for key, attribute in owners[id(parameter)] if key == id(head)}
            shared = below[0][0] if below else shared
        for key, attribute in below:
            attributes_of.setdefault(key, set()).add(attribute)
    tracked = [_track(*modules[key], attributes, selected) for key, attributes in attributes_of.items()]
    tied = next((one for one in tracked if shared is not None and one.module is modules[shared][1]), None)
    if tied is not None and not isinstance(tied, TrackedEmbedding):
        problem = f"{tied.name} shares its weight with the head; only an embedding may"
        raise Unsupported("parameters", problem, _leave_out(tied.name))
    if "forward" in head.__dict__:
        problem = f"another library has replaced the forward of the head {modules[id(head)][0]}"
        raise Unsupported("model", problem, "remove that wrapper first")
    embedding = model.get_input_embeddings()
    if id(embedding) not in attributes_of:
        tracked.append(TrackedEmbedding(modules[id(embedding)][0], embedding, weight=False, bias=False))
    name = modules[id(head)][0]
    return TrackedModules(selected, tuple(tracked), head, name, "weight" in of_head, "bias" in of_head, tied)


def _track(name: str, module: nn.Module, attributes: set[str], selected: dict[str, nn.Parameter]) -> TrackedModule:
    tracked = None
    if attributes <= {"weight", "bias"}:
        tracked = track_module(name, module, "weight" in attributes, "bias" in attributes)
    if tracked is None:
        own = {id(parameter) for parameter in module.parameters(recurse=False)}
        names = ", ".join(parameter for parameter, tensor in selected.items() if id(tensor) in own)
        problem = f"{names} of a module {type(module).__name__}: the kernel is known for {KNOWN_KINDS} only"
        raise Unsupported("parameters", problem, _leave_out(names))
    return tracked


def _leave_out(names: str) -> str:
    return f"leave {names} out by parameters="


@contextmanager
def tracking(tracked: TrackedModules, recorder: Recorder) -> Iterator[None]:
    """Replace the forward of every tracked module by the one that records, and restore it at the end."""
    with ExitStack() as stack:
        for one in tracked.modules:
            stack.enter_context(replaced_forward(one.module, one.recording_forward(recorder)))
        yield
