"""Which parameters of a model a computation is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase

from torch import nn

from dynamics.errors import InvalidArgument, Unsupported, shorten
from dynamics.language_model.causal_lm import CausalLM, as_module

Filter = Callable[[str], bool] | str | Sequence[str] | None
"""A choice of parameters: a function of the name, a glob such as ``"*lora_*"``, several globs, or None for all that
require a gradient."""
FILTERS = "a glob such as '*mlp*', a list of globs, a function of the name, or None for all that require a gradient"


def select_parameters(model: CausalLM | nn.Module, parameters: Filter) -> dict[str, nn.Parameter]:
    """Return the chosen parameters by name; a parameter with two names is listed once, under the first of them.

    Args:
        model: the model.
        parameters: which parameters.

    Raises:
        InvalidArgument: something else than a ``Filter``, or one that chooses no parameter.

    Example:
        >>> sorted(select_parameters(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)), "1.*"))
        ['1.bias', '1.weight']
    """
    module = as_module(model)
    if isinstance(parameters, type) or not (
        parameters is None or callable(parameters) or isinstance(parameters, (str, list, tuple, set, frozenset))
    ):
        raise InvalidArgument("parameters", parameters, FILTERS)
    if not callable(parameters) and not all(isinstance(glob, str) for glob in parameters or ()):
        raise InvalidArgument("parameters", parameters, FILTERS)
    selected: dict[str, nn.Parameter] = {}
    known: set[int] = set()
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if id(parameter) not in known and _is_selected(parameters, name, parameter):
            selected[name] = parameter
            known.add(id(parameter))
    if not selected:
        some = ", ".join(name for name, _ in list(module.named_parameters())[:3])
        chooser = "the function" if callable(parameters) else shorten(parameters)
        raise InvalidArgument("parameters", f"{chooser} selects no parameter of the model; its names are {some}, ...")
    return selected


def _is_selected(parameters: Filter, name: str, parameter: nn.Parameter) -> bool:
    if parameters is None:
        return parameter.requires_grad
    if callable(parameters):
        return bool(parameters(name))
    globs = [parameters] if isinstance(parameters, str) else parameters
    return any(fnmatchcase(name, glob) for glob in globs)


@contextmanager
def requiring(model: nn.Module, selected: dict[str, nn.Parameter]) -> Iterator[None]:
    """Make exactly the selected parameters require a gradient; at the end every flag is as it was before.

    Raises:
        InvalidArgument: parameters created in inference mode, for which autograd computes no gradients.
    """
    if any(_made_in_inference_mode(parameter) for parameter in model.parameters()):
        problem = "its parameters were created under torch.inference_mode(), so they have no gradients"
        raise Unsupported("model", problem, "load the model outside of torch.inference_mode()")
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
