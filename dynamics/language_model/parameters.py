"""Which parameters of a model a computation is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase

import torch
from torch import nn

from dynamics.errors import InvalidArgument, Unsupported, shorten
from dynamics.language_model.causal_lm import CausalLM, as_module

Filter = Callable[[str], bool] | str | Sequence[str] | None
"""A choice of parameters: a function of the name; a name, or a glob such as ``"*mlp*"``; ``"!*embed*"`` to leave out;
``"adapter"`` for the parameters of adapters; several of these; or None for all that require a gradient."""
FILTERS = (
    "a glob such as '*mlp*', a name, '!*embed*' to leave out, 'adapter', a list of these, a function of the name, "
    "or None for all that require a gradient"
)
ADAPTER = "adapter"
QUANTISED = (torch.int8, torch.uint8, torch.int32)
"""What quantised weights are stored as; boolean and int64 matrices are masks and ids."""


def select_parameters(model: CausalLM | nn.Module, parameters: Filter) -> dict[str, nn.Parameter]:
    """Return the chosen parameters by name; a parameter with two names is listed once, under the first of them.

    Of several choices, those that begin with ``!`` leave out what the others choose; if there are no others, they leave
    out of the parameters that require a gradient. A parameter with two names is left out if one of them is.

    Args:
        model: the model.
        parameters: which parameters.

    Raises:
        InvalidArgument: not a ``Filter``, or one that chooses no parameter; by default, a model with quantised weights.

    Example:
        >>> sorted(select_parameters(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)), "1.*"))
        ['1.bias', '1.weight']
        >>> sorted(select_parameters(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)), "!*bias"))
        ['0.weight', '1.weight']
    """
    module = as_module(model)
    if isinstance(parameters, type) or not (
        parameters is None or callable(parameters) or isinstance(parameters, (str, list, tuple, set, frozenset))
    ):
        raise InvalidArgument("parameters", parameters, FILTERS)
    if not callable(parameters) and not all(isinstance(glob, str) for glob in parameters or ()):
        raise InvalidArgument("parameters", parameters, FILTERS)
    every = list(module.named_parameters(remove_duplicate=False))
    adapters = _adapters(module) if not callable(parameters) and ADAPTER in _list(parameters) else frozenset()
    left_out = {id(parameter) for name, parameter in every if _is_left_out(parameters, name)}
    selected: dict[str, nn.Parameter] = {}
    known: set[int] = set()
    for name, parameter in every:
        if id(parameter) in known | left_out:
            continue
        if _is_selected(parameters, name, parameter) or id(parameter) in adapters:
            selected[name] = parameter
            known.add(id(parameter))
    if parameters is None:
        _check_precision(module, selected)
    if not selected:
        some = ", ".join(name for name, _ in list(module.named_parameters())[:3])
        chooser = "the function" if callable(parameters) else shorten(parameters)
        raise InvalidArgument("parameters", f"{chooser} selects no parameter of the model; its names are {some}, ...")
    return selected


class QuantisedWeights(Unsupported):
    """A model with quantised weights, for which nobody has said which parameters are meant.

    Attributes:
        modules: names of all modules with quantised weights.
        globs: a choice of parameters without these modules; empty if there is none.
    """

    def __init__(
        self, modules: Sequence[str], globs: Sequence[str], adapters: bool, share: float | None = None
    ) -> None:
        """Keep what the message says.

        Args:
            modules: names of all modules with quantised weights.
            globs: a choice of parameters without them.
            adapters: whether the model has adapters.
            share: the share of the squared norm of a score that this choice keeps, if it was computed.
        """
        self.modules, self.globs, self.adapters = tuple(modules), tuple(globs), adapters
        listed = ", ".join(name_groups(self.modules))
        remedies = ["load the model without quantisation"]
        if adapters:
            remedies.append(f"choose the adapters with parameters={ADAPTER!r}")
        if self.globs:
            kept = "" if share is None else f", which keeps {share:.1%} of the squared norm of the first score"
            remedies.append(f"leave these modules out with parameters={list(self.globs)}{kept}")
        problem = f"the weights of {len(self.modules)} modules are quantised and have no gradient: {listed}"
        super().__init__("model", problem, ", or ".join(remedies))

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """Keep the attributes when the error is pickled."""
        return type(self), (self.modules, self.globs, self.adapters)


def _check_precision(model: nn.Module, selected: Mapping[str, nn.Parameter]) -> None:
    """Refuse quantised weights, which have no gradient, where parameters beside them would be taken for all."""
    whole = [name for name, p in model.named_parameters() if not p.is_floating_point()]
    whole += [name for name, b in model.named_buffers() if b.ndim == 2 and b.dtype in QUANTISED]
    adapters = _adapters(model)
    if not whole or all(id(parameter) in adapters for parameter in selected.values()):
        return
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in whole))
    others = [name for name in selected if name.rpartition(".")[0] not in modules]
    globs = [f"!{name}.*" for name in name_groups(modules, others)] if others else []
    raise QuantisedWeights(modules, globs, bool(adapters))


def name_groups(names: Sequence[str], others: Sequence[str] = ()) -> list[str]:
    """Return names of modules, those that differ in a number only as one glob; no glob matches parameters of others.

    Args:
        names: names of modules.
        others: names of parameters of other modules.

    Example:
        >>> name_groups(["layers.0.up", "layers.1.up", "head"])
        ['layers.*.up', 'head']
        >>> name_groups(["layers.0.up", "layers.1.up"], ["layers.2.up.weight"])
        ['layers.0.up', 'layers.1.up']
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(re.sub(r"(^|\.)\d+(?=\.|$)", r"\1*", name), []).append(name)
    found = []
    for glob, members in groups.items():
        alone = len(members) == 1 or any(fnmatchcase(other, f"{glob}.*") for other in others)
        found += members if alone else [glob]
    return found


def _is_selected(parameters: Filter, name: str, parameter: nn.Parameter) -> bool:
    if parameters is None:
        return parameter.requires_grad
    if callable(parameters):
        return bool(parameters(name))
    globs = [glob for glob in _list(parameters) if not glob.startswith("!")]
    return any(name == glob or fnmatchcase(name, glob) for glob in globs) if globs else parameter.requires_grad


def _is_left_out(parameters: Filter, name: str) -> bool:
    globs = () if callable(parameters) else _list(parameters)
    return any(glob.startswith("!") and fnmatchcase(name, glob[1:]) for glob in globs)


def _list(parameters: Filter) -> list[str]:
    if parameters is None or callable(parameters):
        return []
    return [parameters] if isinstance(parameters, str) else list(parameters)


def _adapters(model: nn.Module) -> frozenset[int]:
    """Return the parameters of all adapters that peft has added, whatever their method, by ``id``.

    peft keeps them in modules of its own, next to the module ``base_layer`` that each adapts, or in prompt encoders.
    A copy of a module that is trained in full (``modules_to_save``) counts as an adapter too.
    """
    found: set[int] = set()
    for module in model.modules():
        kept = [*getattr(module, "adapter_layer_names", ()), *getattr(module, "other_param_names", ())]
        if hasattr(module, "original_module"):
            kept.append("modules_to_save")
        if hasattr(module, "prompt_encoder"):
            kept.append("prompt_encoder")
        for name in kept:
            part = getattr(module, name, None)
            if isinstance(part, nn.Parameter):
                found.add(id(part))
            elif isinstance(part, nn.Module):
                found |= {id(parameter) for parameter in part.parameters()}
    return frozenset(found)


def check_gradients(model: nn.Module) -> None:
    """Refuse parameters created in inference mode, for which autograd computes no gradients.

    Raises:
        InvalidArgument: the model has such parameters.
    """
    if any(_made_in_inference_mode(parameter) for parameter in model.parameters()):
        problem = "its parameters were created under torch.inference_mode(), so they have no gradients"
        raise Unsupported("model", problem, "load the model outside of torch.inference_mode()")


@contextmanager
def requiring(model: nn.Module, selected: dict[str, nn.Parameter]) -> Iterator[None]:
    """Make exactly the selected parameters require a gradient; at the end every flag is as it was before.

    Raises:
        InvalidArgument: parameters created in inference mode, for which autograd computes no gradients.
    """
    check_gradients(model)
    before = {parameter: parameter.requires_grad for parameter in model.parameters()}
    chosen = {id(parameter) for parameter in selected.values()}
    try:
        for parameter in before:
            parameter.requires_grad_(id(parameter) in chosen)
        yield
    finally:
        for parameter, value in before.items():
            parameter.requires_grad_(value)


def _made_in_inference_mode(parameter: nn.Parameter) -> bool:
    """Return whether a parameter was created in inference mode.

    After its data have been replaced, ``is_inference`` no longer says so, but its version counter still does.
    """
    try:
        return parameter.is_inference() or parameter._version < 0
    except RuntimeError:  # tensors made in inference mode have no version counter
        return True
