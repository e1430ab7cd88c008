"""What a refusal tells besides its cause: every module concerned, and how much a choice without them keeps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from dynamics.errors import InvalidArgument
from dynamics.language_model.causal_lm import CausalLM, NotDifferentiable, as_module
from dynamics.language_model.parameters import (
    Filter,
    QuantisedWeights,
    name_groups,
    requiring,
    select_parameters,
)
from dynamics.language_model.precision import compute_dtype, computing_in
from dynamics.language_model.tokens import TokenSequence


def check_parameters(model: CausalLM, parameters: Filter, sequence: TokenSequence) -> None:
    """Refuse a bad choice of parameters before the model is run.

    If weights are quantised, the error says how much of the squared norm of the score of ``sequence`` the suggested
    choice keeps. The quantised weights count as the linear maps or look-ups that they stand for.

    Args:
        model: the model.
        parameters: which parameters.
        sequence: a sequence of the computation.

    Raises:
        InvalidArgument: as for ``select_parameters``.
    """
    try:
        select_parameters(model, parameters)
    except QuantisedWeights as problem:
        if not problem.globs:
            raise
        share = _share_kept(model, sequence, problem)
        raise QuantisedWeights(problem.modules, problem.globs, problem.adapters, share) from None


def _share_kept(model: CausalLM, sequence: TokenSequence, problem: QuantisedWeights) -> float | None:
    """Return the share of the squared norm of a score that the suggested choice keeps; None if that cannot be said."""
    module = as_module(model)
    selected = select_parameters(model, problem.globs)
    found: dict[str, list[tuple[Tensor, Tensor]]] = {}

    def recording(name: str) -> Any:
        def record(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            output = output if output.requires_grad else output.detach().requires_grad_()
            output.register_hook(lambda g: found.setdefault(name, []).append((inputs[0].detach(), g)))
            return output

        return record

    ids = torch.tensor([sequence.ids], device=next(module.parameters()).device)
    try:
        with ExitStack() as stack:
            stack.enter_context(computing_in(model, compute_dtype(model, None)))
            stack.enter_context(requiring(module, selected))
            stack.enter_context(torch.enable_grad())
            for name in problem.modules:
                stack.callback(module.get_submodule(name).register_forward_hook(recording(name)).remove)
            logits = model(input_ids=ids[:, :-1], use_cache=False).logits[0, sequence.prompt_tokens - 1 :]
            targets = ids[0, sequence.prompt_tokens :].unsqueeze(1)
            log_prob = logits.log_softmax(-1).gather(1, targets).sum()
            gradients = torch.autograd.grad(log_prob, list(selected.values()), allow_unused=True)
    except (RuntimeError, AttributeError, InvalidArgument):  # the cause of the refusal is said, without the share
        return None
    kept = sum(float(g.to(torch.float64).square().sum()) for g in gradients if g is not None)
    left_out = sum(_squared_norm(uses) for uses in found.values())
    return kept / (kept + left_out) if kept + left_out > 0 else None


def _squared_norm(uses: list[tuple[Tensor, Tensor]]) -> float:
    """Return the squared norm of the gradient of a matrix from its inputs (or ids) and output gradients."""
    g = torch.cat([one.reshape(-1, one.shape[-1]) for _, one in uses]).to(torch.float64)
    if uses[0][0].is_floating_point():
        x = torch.cat([one.reshape(-1, one.shape[-1]) for one, _ in uses]).to(torch.float64)
        return float(((x @ x.T) * (g @ g.T)).sum())
    ids = torch.cat([one.reshape(-1) for one, _ in uses])
    return float(((ids.unsqueeze(1) == ids) * (g @ g.T)).sum())


@contextmanager
def naming_modules(model: CausalLM, sequence: TokenSequence) -> Iterator[None]:
    """Inside this context, the error of a model that autograd cannot differentiate names all modules that prevent it.

    It also names the parameters that only act after these modules. They have gradients, and can be chosen.

    Args:
        model: the model, as it is run inside.
        sequence: a sequence of the computation.

    Raises:
        NotDifferentiable: in place of one without the names.
    """
    try:
        yield
    except NotDifferentiable as problem:
        if problem.modules:
            raise
        modules, behind = _without_derivative(model, sequence)
        raise problem.naming(name_groups(modules), behind) from problem.__cause__


def _without_derivative(model: CausalLM, sequence: TokenSequence) -> tuple[list[str], list[str]]:
    """Return the modules in which an operation has no derivative, and globs of the parameters that act only after."""
    module = as_module(model)
    inside: list[str] = []
    found: dict[str, None] = {}
    stuck: list[Any] = []

    class Looking(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            look(result)
            return result

    def look(result: object) -> None:
        node = result.grad_fn if isinstance(result, Tensor) else None
        if node is not None and _has_no_derivative(node) and node not in stuck:
            found[inside[-1] if inside else ""] = None
            stuck.append(node)

    def enter(name: str) -> Any:
        return lambda *_: inside.append(name)

    def leave(_: nn.Module, __: Any, result: Any) -> None:
        look(result)  # functions of users do not pass through torch's dispatch
        inside.pop()

    every = {name: p for name, p in module.named_parameters() if p.is_floating_point()}
    ids = torch.tensor([sequence.ids[:-1]], device=next(module.parameters()).device)
    with ExitStack() as stack:
        for name, part in module.named_modules():
            stack.callback(part.register_forward_pre_hook(enter(name)).remove)
            stack.callback(part.register_forward_hook(leave).remove)
        stack.enter_context(requiring(module, every))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(Looking())
        logits = model(input_ids=ids, use_cache=False).logits
    before = _leaves(stuck)
    reached = _leaves([logits.grad_fn]) - before
    behind = [name for name, parameter in every.items() if id(parameter) in reached]
    return list(found), name_groups_of_parameters(behind, [name for name in every if name not in behind])


def name_groups_of_parameters(names: list[str], others: list[str]) -> list[str]:
    """Return globs that match some parameters and no others.

    Example:
        >>> name_groups_of_parameters(["layers.0.up.weight", "layers.1.up.weight"], ["embed.weight"])
        ['layers.*.up.*']
    """
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
    found: list[str] = []
    for glob in name_groups(modules, others):
        mixed = any(fnmatchcase(other, f"{glob}.*") for other in others)  # some parameters inside are not meant
        found += [name for name in names if name.rpartition(".")[0] == glob] if mixed else [f"{glob}.*"]
    return found


def _has_no_derivative(node: Any) -> bool:
    function = getattr(node, "_forward_cls", None)
    plain = torch.autograd.Function
    own = function is not None and (function.backward is not plain.backward or function.vjp is not plain.vjp)
    return node.name() == "NotImplemented" or (function is not None and not own)


def _leaves(nodes: list[Any]) -> set[int]:
    """Return the ids of all parameters on which some nodes of the graph of autograd depend."""
    found, seen, left = set(), set(), [node for node in nodes if node is not None]
    while left:
        node = left.pop()
        if node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        left += [following for following, _ in node.next_functions if following is not None]
    return found
