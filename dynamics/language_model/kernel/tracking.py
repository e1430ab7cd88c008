"""The two methods for a kernel: all sequences in one batch through known modules, or one by one through any module."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from torch import nn

from dynamics.language_model.causal_lm import CausalLM, as_module, replaced_forward
from dynamics.language_model.kernel.layers import TrackedEmbedding, track_module
from dynamics.language_model.kernel.recording import Recorder, TrackedModule, UnrecordedUse
from dynamics.language_model.kernel.uses import Matrix
from dynamics.language_model.model_head import Head
from dynamics.language_model.parameters import Filter, select_parameters


@dataclass(frozen=True, eq=False)
class HeadNames:
    """Which parameters of the head are selected.

    Attributes:
        name: name of the head's module.
        weight: whether its weight is selected.
        bias: whether its bias is.
    """

    name: str
    weight: bool
    bias: bool


@dataclass(frozen=True, eq=False)
class TrackedModules:
    """All sequences in one batch: the modules that hold the selected parameters, each of a known kind.

    Attributes:
        selected: the selected parameters, by name.
        modules: tracked modules below the head. The token embedding is among them even if it is not selected, because
            the backward pass ends there.
        head: the head.
        of_head: which of its parameters are selected.
        tied: the embedding that shares the head's weight; None if there is none or it is not selected.
    """

    selected: dict[str, nn.Parameter]
    modules: tuple[TrackedModule, ...]
    head: Head
    of_head: HeadNames
    tied: TrackedEmbedding | None

    @property
    def recorded(self) -> dict[str, nn.Parameter]:
        """Return all selected parameters: every one is recorded."""
        return self.selected

    @property
    def differentiated(self) -> dict[str, nn.Parameter]:
        """Return no parameters: none is left to autograd."""
        return {}

    @property
    def maps(self) -> list[tuple[int, int]]:
        """Return the shapes of the recorded linear maps, (out, in)."""
        weights = [one.module.weight for one in self.modules if one.weight and not isinstance(one, TrackedEmbedding)]
        return [(w.shape[0], w.shape[1]) for w in weights if w.ndim == 2]


@dataclass(frozen=True, eq=False)
class TrackedMatrices:
    """One sequence after the other: the uses of matrices are recorded, and autograd differentiates the rest.

    Attributes:
        selected: the selected parameters, by name.
        matrices: the parameters whose uses are recorded.
        differentiated: the parameters whose gradients autograd computes, by name.
        head: the head.
        of_head: which of its parameters are selected and not differentiated.
        tied: the recorded matrix that the head uses too; None if there is none.
    """

    selected: dict[str, nn.Parameter]
    matrices: tuple[Matrix, ...]
    differentiated: dict[str, nn.Parameter]
    head: Head
    of_head: HeadNames
    tied: Matrix | None

    @property
    def recorded(self) -> dict[str, nn.Parameter]:
        """Return the parameters that autograd must find no gradient for."""
        return {name: p for name, p in self.selected.items() if name not in self.differentiated}

    @property
    def maps(self) -> list[tuple[int, int]]:
        """Return the shapes of the recorded linear maps, (out, in); half of a stack of them is taken to be used."""
        found = []
        for one in self.matrices:
            if one is not self.tied:
                *stack, out, width = one.parameter.shape
                found += [(out, width)] * (max(1, stack[0] // 2) if stack else 1)
        return found


def track_modules(model: CausalLM, parameters: Filter, head: Head) -> TrackedModules:
    """Return the modules of all selected parameters.

    Args:
        model: the model.
        parameters: which parameters, as for ``select_parameters``.
        head: the head of the model.

    Raises:
        UnrecordedUse: a parameter of a module of no known kind, or one that two modules share (other than the
            embedding and the head).
    """
    selected = select_parameters(model, parameters)
    modules, owners = _owners(model)
    embedding = model.get_input_embeddings()
    if head.linear is None or "forward" in vars(head.linear) or track_module("", embedding, False, False) is None:
        raise UnrecordedUse
    attributes_of: dict[int, set[str]] = {}
    of_head: set[str] = set()
    shared: int | None = None
    for name, parameter in selected.items():
        below = [(key, attribute) for key, attribute in owners[id(parameter)] if key != id(head.linear)]
        if len(below) > 1:
            raise UnrecordedUse([name])
        if len(below) < len(owners[id(parameter)]):
            of_head |= {attribute for key, attribute in owners[id(parameter)] if key == id(head.linear)}
            shared = below[0][0] if below else shared
        for key, attribute in below:
            attributes_of.setdefault(key, set()).add(attribute)
    tracked = [_track(*modules[key], attributes) for key, attributes in attributes_of.items()]
    tied = next((one for one in tracked if shared is not None and one.module is modules[shared][1]), None)
    if tied is not None and not isinstance(tied, TrackedEmbedding):
        raise UnrecordedUse([tied.name])
    if id(embedding) not in attributes_of:
        tracked.append(TrackedEmbedding(modules[id(embedding)][0], embedding, weight=False, bias=False))
    names = HeadNames(modules[id(head.linear)][0], "weight" in of_head, "bias" in of_head)
    return TrackedModules(selected, tuple(tracked), head, names, tied)


def track_matrices(model: CausalLM, parameters: Filter, head: Head, differentiated: frozenset[str]) -> TrackedMatrices:
    """Return the matrices whose uses are recorded, and the parameters that autograd differentiates.

    Args:
        model: the model.
        parameters: which parameters, as for ``select_parameters``.
        head: the head of the model.
        differentiated: names of parameters that have been found to be used in other ways than as matrices.
    """
    selected = select_parameters(model, parameters)
    modules, owners = _owners(model)
    weight, bias = (None, head.bias) if head.linear is None else (head.linear.weight, head.bias)
    matrices, rest = [], {}
    for name, parameter in selected.items():
        by_hand = parameter is weight or parameter is bias
        if by_hand and len(owners[id(parameter)]) == 1:
            continue
        if parameter.ndim in (2, 3) and name not in differentiated:
            matrices.append(Matrix(name, parameter))
        else:
            rest[name] = parameter
    chosen = {id(parameter) for parameter in selected.values()}
    name = modules[id(head.linear)][0] if head.linear is not None else ""
    names = HeadNames(name, weight is not None and id(weight) in chosen, bias is not None and id(bias) in chosen)
    tied = next((one for one in matrices if one.parameter is weight), None)
    return TrackedMatrices(selected, tuple(matrices), rest, head, names, tied)


def _owners(model: CausalLM) -> tuple[dict[int, tuple[str, nn.Module]], dict[int, list[tuple[int, str]]]]:
    """Return all modules with their names, and which of them hold each parameter under which attribute, by ids."""
    modules: dict[int, tuple[str, nn.Module]] = {}
    for name, module in as_module(model).named_modules(remove_duplicate=False):
        modules.setdefault(id(module), (name, module))
    owners: dict[int, list[tuple[int, str]]] = {}
    for key, (_, module) in modules.items():
        for attribute, parameter in module.named_parameters(recurse=False):
            owners.setdefault(id(parameter), []).append((key, attribute))
    return modules, owners


def _track(name: str, module: nn.Module, attributes: set[str]) -> TrackedModule:
    tracked = None
    if attributes <= {"weight", "bias"}:
        tracked = track_module(name, module, "weight" in attributes, "bias" in attributes)
    if tracked is None:
        raise UnrecordedUse([name])
    return tracked


@contextmanager
def tracking(tracked: TrackedModules, recorder: Recorder) -> Iterator[None]:
    """Replace the forward of every tracked module by the one that records, and restore it at the end."""
    with ExitStack() as stack:
        for one in tracked.modules:
            stack.enter_context(replaced_forward(one.module, one.recording_forward(recorder)))
        yield
