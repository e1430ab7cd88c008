"""The dtype that is asked for, in every operation: float64 without float32 islands, float32 without TF32.

Hugging Face models compute some parts in float32 whatever their dtype: RMSNorm, the softmax of eager attention, the
rotary angles. In a float64 model that caps the accuracy of log pi at about 1e-7. Inside ``computing_in`` every request
for float32 is answered with float64, in whatever module it stands, and any result of lower precision is an error, so
that an island of another kind is found rather than suffered.

Some tables are constants of the architecture: the rotary frequencies, the scale of an embedding. No checkpoint stores
them; transformers computes them in float32 when it makes a model. They are computed anew, in the dtype asked for.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from dynamics.errors import InvalidArgument
from dynamics.language_model.model_head import replaced_forward

LOWER = (torch.float32, torch.float16, torch.bfloat16)
ROUNDING = {torch.float32: 1e-5, torch.float64: 1e-12}
"""Bounds for what rounding does to a kernel, as |dK_ij| / sqrt(K_ii K_jj), by the dtype that it was computed in."""
# These may return a low-precision view of a tensor that the caller already had.
HARMLESS = ("__get__", "__set__", "__repr__", "detach", "requires_grad_")


class Float64(TorchFunctionMode):
    """Answer requests for a lower precision with float64, and refuse results of a lower precision."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one torch function with every low-precision dtype among its arguments replaced."""
        name = getattr(func, "__name__", str(func))
        if name in ("float", "half", "bfloat16") and args and isinstance(args[0], Tensor):
            return args[0].to(torch.float64)
        args = tuple(torch.float64 if isinstance(a, torch.dtype) and a in LOWER else a for a in args)
        kwargs = {
            key: torch.float64 if isinstance(value, torch.dtype) and value in LOWER else value
            for key, value in (kwargs or {}).items()
        }
        result = func(*args, **kwargs)
        if isinstance(result, Tensor) and result.dtype in LOWER and name not in HARMLESS:
            raise InvalidArgument(
                "dtype", f"{result.dtype} from {name} in a float64 computation", "float32: this model cannot do float64"
            )
        return result


@contextmanager
def computing_in(model: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Let a model compute in a dtype, in eval mode and without autocast, and put everything back afterwards.

    The caller may be under ``torch.autocast`` or ``torch.inference_mode``; neither reaches what is computed here. A
    model that accelerate has prepared computes without accelerate's wrapper of its forward. A model that turns autocast
    on by itself in another way is refused.

    Parameters and buffers of another dtype are replaced by converted copies; the originals are kept aside and put back
    untouched, so nothing is lost by rounding. Both are in memory meanwhile. What a checkpoint rounds stays rounded.
    Buffers that no checkpoint stores are constants of the architecture; they are computed anew in the dtype, by the
    model's own code, so that a model that was once in bfloat16 does not keep its rotary frequencies rounded. One that
    its owner has set to something else (by more than half precision would) is kept.

    Args:
        model: any module.
        dtype: ``torch.float32`` or ``torch.float64``.

    Raises:
        InvalidArgument: another dtype; an operation that only a lower precision has; a forward under autocast.

    Example:
        >>> norm = nn.LayerNorm(2)
        >>> with computing_in(norm, torch.float64):
        ...     norm(torch.ones(1, 2, dtype=torch.float64).float()).dtype
        torch.float64
        >>> norm.weight.dtype
        torch.float32
    """
    if not isinstance(dtype, torch.dtype) or dtype not in (torch.float32, torch.float64):
        raise InvalidArgument("dtype", dtype, "torch.float32 or torch.float64")
    constants = [module for module in model.modules() if module._non_persistent_buffers_set]
    before = [(module, dict(vars(module)), dict(module._buffers)) for module in constants]
    everything = list(chain(model.parameters(), model.buffers()))
    replaced = [(tensor, tensor.data) for tensor in everything if tensor.is_floating_point() and tensor.dtype != dtype]
    training = [module for module in model.modules() if module.training]
    device = next((tensor.device.type for tensor in everything), "cpu")
    matmul = torch.get_float32_matmul_precision()
    default = torch.get_default_dtype()
    with ExitStack() as stack:
        try:
            if torch.is_inference_mode_enabled():
                stack.enter_context(torch.inference_mode(False))  # which also lets autograd record,
                stack.enter_context(torch.no_grad())  # and nobody asked for that
            for tensor, _ in replaced:
                tensor.data = tensor.data.to(dtype)
            model.eval()
            torch.set_float32_matmul_precision("highest")
            stack.enter_context(torch.autocast(device, enabled=False))
            if dtype == torch.float64:
                torch.set_default_dtype(torch.float64)
                stack.enter_context(Float64())
            _renew_constants(model, constants, dtype)
            if "_original_forward" in vars(model):  # accelerate's name for what it has wrapped
                stack.enter_context(replaced_forward(model, vars(model)["_original_forward"]))
            stack.enter_context(_refusing_autocast(model, device))
            yield
        finally:
            stack.close()
            torch.set_default_dtype(default)
            torch.set_float32_matmul_precision(matmul)
            for module in training:
                module.training = True
            for tensor, original in replaced:
                tensor.data = original
            for module, attributes, buffers in before:
                _put_back(vars(module), attributes)
                _put_back(module._buffers, buffers)


@contextmanager
def _refusing_autocast(model: nn.Module, device: str) -> Iterator[None]:
    """Look at every module with parameters of its own, before it runs."""

    def look(module: nn.Module, inputs: Any) -> None:  # noqa: ARG001 - what hooks are given
        if torch.is_autocast_enabled(device):
            got = f"{type(model).__name__} whose forward turns autocast on ({torch.get_autocast_dtype(device)})"
            raise InvalidArgument("model", got, "the model without that wrapper: its precision is set by dtype=")

    hooks = [m.register_forward_pre_hook(look) for m in model.modules() if m._parameters]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _renew_constants(model: nn.Module, modules: list[nn.Module], dtype: torch.dtype) -> None:
    """Put fresh tensors in the place of buffers that no checkpoint stores, computed in the dtype.

    Some models write to them while they run (rotary frequencies that grow with the length), and keep others beside
    them. The caller puts back what was there.
    """
    owners = {
        id(part): owner for owner in model.modules() if hasattr(owner, "_init_weights") for part in owner.modules()
    }
    for module in modules:
        made = _initial_buffers(owners[id(module)], module) if id(module) in owners else {}
        grown = _forget_lengths(module)
        for name in module._non_persistent_buffers_set:
            stored = module._buffers.get(name)
            if stored is None or not stored.is_floating_point():
                continue
            new = made.get(name)
            same = new is not None and (grown or torch.allclose(new, stored.to(dtype), rtol=1e-2, atol=0))
            module._buffers[name] = new if new is not None and same else stored.detach().clone()


def _forget_lengths(module: nn.Module) -> bool:
    """Let rotary frequencies not depend on sequences that the model has seen before; return whether they did."""
    known = vars(module)
    first = known.get("original_max_seq_len")
    longest = [name for name in known if name.endswith("max_seq_len_cached")]
    grown = first is not None and any(bool(known[name] > first) for name in longest)
    for name in [*longest, *(name for name in known if name.endswith("long_inv_freq"))]:
        if name == "max_seq_len_cached" and first is not None:
            known[name] = first
        elif first is not None or name.endswith("long_inv_freq"):
            del known[name]  # its forward makes it again
    return grown


def _initial_buffers(owner: Any, module: nn.Module) -> dict[str, Tensor]:
    """Return what the model's own initialisation puts into the floating-point buffers of one module.

    It runs on a copy of the module whose parameters are empty shells, so that no weight is touched or drawn anew.
    """
    trial = copy.copy(module)
    trial._parameters = {
        name: None if p is None else nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=False)
        for name, p in module._parameters.items()
    }
    trial._buffers = {
        name: torch.full_like(b, torch.nan) if b is not None and b.is_floating_point() else b
        for name, b in module._buffers.items()
    }
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        owner._init_weights(trial)
    floating = {name: b for name, b in trial._buffers.items() if b is not None and b.is_floating_point()}
    return {name: b for name, b in floating.items() if not bool(b.isnan().any())}


def _put_back(now: dict[str, Any], before: dict[str, Any]) -> None:
    """Make a dictionary hold what it held before, in place."""
    for name in [name for name in now if name not in before]:
        del now[name]
    now.update(before)


def compute_dtype(model: nn.Module, dtype: torch.dtype | None) -> torch.dtype:
    """Return the dtype to compute in: the one asked for, else the model's, but never below float32."""
    if dtype is not None:
        if not isinstance(dtype, torch.dtype) or dtype not in (torch.float32, torch.float64):
            raise InvalidArgument("dtype", dtype, "torch.float32 or torch.float64")
        return dtype
    if not isinstance(model, nn.Module):
        raise InvalidArgument("model", model, "a causal language model")
    found = {p.dtype for p in model.parameters() if p.is_floating_point()}
    return torch.float64 if found == {torch.float64} else torch.float32
