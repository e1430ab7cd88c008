"""Computing in exactly the dtype that was asked for: float64 in every operation, or float32 without TF32.

Hugging Face models compute some parts in float32 whatever the dtype of the model: RMSNorm, the softmax of eager
attention, the rotary angles. In a float64 model this limits the accuracy of log pi to about 1e-7. ``computing_in``
replaces every conversion to float32 by one to float64, and raises an error if an operation still returns a lower
precision.

Some tensors are constants of the architecture, such as the rotary frequencies or the scale of an embedding. Checkpoints
do not store them; transformers computes them in float32 when it creates a model. They are computed again, in the dtype
asked for.
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

from dynamics.errors import InvalidArgument, Unsupported
from dynamics.language_model.causal_lm import CausalLM, as_module, replaced_forward

LOWER = (torch.float32, torch.float16, torch.bfloat16)
ROUNDING = {torch.float32: 5e-5, torch.float64: 1e-12}
"""Bounds for the rounding error of a kernel, as |dK_ij| / sqrt(K_ii K_jj), by the dtype of the computation.

Random models stay below 1e-6 in float32; trained ones have larger logits, and the one that comes with this project
reaches 1.2e-5.
"""
HARMLESS = ("__get__", "__set__", "__repr__", "detach", "requires_grad_")
"""Functions that compute nothing: they may return a tensor of lower precision that existed before."""


class Float64(TorchFunctionMode):
    """Replace conversions to a lower precision by conversions to float64, and refuse results of lower precision."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one torch function, with float64 in place of every lower dtype among its arguments."""
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
            problem = f"this model cannot compute in float64: {result.dtype} from {name}"
            raise Unsupported("dtype", problem, "use dtype=torch.float32")
        return result


@contextmanager
def computing_in(model: CausalLM | nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Make a model compute in a dtype, in eval mode and without autocast, and restore everything at the end.

    An enclosing ``torch.autocast`` or ``torch.inference_mode`` has no effect inside. If accelerate has wrapped the
    forward of the model, the wrapper is bypassed. A model that turns autocast on in another way is refused.

    Parameters and buffers of another dtype are replaced by converted copies, and the originals are restored unchanged;
    both need memory at the same time. Weights keep the precision with which they were stored. Buffers that checkpoints
    do not store are constants of the architecture. The model's own code computes them again in the dtype, so that a
    model that was once in bfloat16 does not keep rounded rotary frequencies. A buffer whose value differs from that
    result by more than half precision would explain has been set on purpose, and is kept.

    Mixtures of experts compute one expert after the other: the grouped kernels of transformers have neither float64 nor
    a forward-mode derivative.

    Args:
        model: any module.
        dtype: ``torch.float32`` or ``torch.float64``.

    Raises:
        InvalidArgument: another dtype, an operation that exists in lower precision only, a model that turns autocast
            on.

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
    module = as_module(model)
    constants = [part for part in module.modules() if part._non_persistent_buffers_set]
    before = [(part, dict(vars(part)), dict(part._buffers)) for part in constants]
    everything = list(chain(module.parameters(), module.buffers()))
    replaced = [(tensor, tensor.data) for tensor in everything if tensor.is_floating_point() and tensor.dtype != dtype]
    training = [part for part in module.modules() if part.training]
    device = next((tensor.device.type for tensor in everything), "cpu")
    default = torch.get_default_dtype()
    compiled: list[tuple[nn.Module, Any]] = []
    with ExitStack() as stack:
        try:
            if torch.is_inference_mode_enabled():
                stack.enter_context(torch.inference_mode(False))
                stack.enter_context(torch.no_grad())  # leaving inference mode turns gradients on
            for tensor, _ in replaced:
                tensor.data = tensor.data.to(dtype)
            module.eval()
            stack.enter_context(full_float32())
            stack.enter_context(torch.autocast(device, enabled=False))
            if dtype == torch.float64:
                torch.set_default_dtype(torch.float64)
                stack.enter_context(Float64())
            _renew_constants(module, constants, dtype)
            stack.enter_context(_experts_one_by_one(module))
            for part in module.modules():  # compiled in place, by model.compile()
                if part._compiled_call_impl is not None:
                    compiled.append((part, part._compiled_call_impl))
                    part._compiled_call_impl = None
            if "_original_forward" in vars(module):  # where accelerate keeps the forward that it has wrapped
                stack.enter_context(replaced_forward(module, vars(module)["_original_forward"]))
            stack.enter_context(_refusing_autocast(module, device))
            yield
        finally:
            stack.close()
            torch.set_default_dtype(default)
            for part, call in compiled:
                part._compiled_call_impl = call
            for part in training:
                part.training = True
            for tensor, original in replaced:
                tensor.data = original
            for part, attributes, buffers in before:
                _restore(vars(part), attributes)
                _restore(part._buffers, buffers)


@contextmanager
def full_float32() -> Iterator[None]:
    """Compute float32 matrix products and convolutions in float32, and restore the settings of torch at the end.

    Hardware may round their factors to TF32 (10 bits) or bfloat16 (7 bits). By default torch does so for convolutions
    on a GPU, and for matrix products where a program asked for it, in one of two ways: by the older functions, which
    set everything at once, or for each backend, after which the older functions raise an error when they are read.

    Example:
        >>> torch.set_float32_matmul_precision("high")
        >>> with full_float32():
        ...     torch.get_float32_matmul_precision()
        'highest'
        >>> torch.get_float32_matmul_precision()
        'high'
        >>> torch.set_float32_matmul_precision("highest")
    """
    settings = _precision_settings()
    before = [part.fp32_precision for part in settings]
    products = _or_none(torch.get_float32_matmul_precision)
    convolutions = _or_none(lambda: torch.backends.cudnn.allow_tf32)
    try:
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        for part in settings:
            part.fp32_precision = "ieee"
        yield
    finally:
        if products is not None:
            torch.set_float32_matmul_precision(products)
        if convolutions is not None:
            torch.backends.cudnn.allow_tf32 = convolutions
        for part, value in zip(settings, before, strict=True):
            part.fp32_precision = value


def _precision_settings() -> list[Any]:
    """Return the objects of torch that hold a precision of float32, the general ones first; none before torch 2.9."""
    backends: tuple[Any, ...] = (torch.backends.cuda, torch.backends.cudnn, torch.backends.mkldnn)
    kinds = [getattr(one, kind, None) for one in backends for kind in ("matmul", "conv", "rnn")]
    return [part for part in (torch.backends, *backends, *kinds) if hasattr(part, "fp32_precision")]


def _or_none(read: Callable[[], Any]) -> Any:
    """Return what torch says, or None where it raises an error, because it was set for each backend."""
    try:
        return read()
    except RuntimeError:
        return None


@contextmanager
def _experts_one_by_one(model: nn.Module) -> Iterator[None]:
    """Set transformers' ``experts_implementation`` to "eager", and restore it at the end."""
    name = "_experts_implementation_internal"
    configs = {id(part.config): part.config for part in model.modules() if name in vars(getattr(part, "config", model))}
    before = [(config, getattr(config, name)) for config in configs.values()]
    try:
        for config, _ in before:
            setattr(config, name, "eager")
        yield
    finally:
        for config, value in before:
            setattr(config, name, value)


@contextmanager
def _refusing_autocast(model: nn.Module, device: str) -> Iterator[None]:
    """Raise an error if autocast is on when a module with parameters is called."""

    def look(module: nn.Module, inputs: Any) -> None:  # noqa: ARG001 - what hooks are given
        if torch.is_autocast_enabled(device):
            problem = f"the forward of {type(model).__name__} turns autocast on ({torch.get_autocast_dtype(device)})"
            raise Unsupported("model", problem, "remove that wrapper; dtype= sets the precision")

    hooks = [m.register_forward_pre_hook(look) for m in model.modules() if m._parameters]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _renew_constants(model: nn.Module, modules: list[nn.Module], dtype: torch.dtype) -> None:
    """Replace buffers that checkpoints do not store by tensors computed in the dtype.

    Some models change these buffers while they run, such as rotary frequencies that depend on the longest sequence so
    far. The caller of this function restores the earlier state.
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
    """Reset rotary frequencies that depend on the longest sequence so far; return whether they had been changed."""
    known = vars(module)
    first = known.get("original_max_seq_len")
    longest = [name for name in known if name.endswith("max_seq_len_cached")]
    grown = first is not None and any(bool(known[name] > first) for name in longest)
    for name in [*longest, *(name for name in known if name.endswith("long_inv_freq"))]:
        if name == "max_seq_len_cached" and first is not None:
            known[name] = first
        elif first is not None or name.endswith("long_inv_freq"):
            del known[name]  # the module's forward creates it again
    return grown


def _initial_buffers(owner: Any, module: nn.Module) -> dict[str, Tensor]:
    """Return the floating-point buffers of one module as the model's own initialisation computes them.

    It runs on a copy of the module whose parameters are on the meta device, so that no weight is changed.
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


def _restore(now: dict[str, Any], before: dict[str, Any]) -> None:
    """Restore the contents of a dictionary in place."""
    for name in [name for name in now if name not in before]:
        del now[name]
    now.update(before)


def compute_dtype(model: CausalLM | nn.Module, dtype: torch.dtype | None) -> torch.dtype:
    """Return the dtype to compute in: the one asked for, or else the model's own, but not below float32."""
    if dtype is not None:
        if not isinstance(dtype, torch.dtype) or dtype not in (torch.float32, torch.float64):
            raise InvalidArgument("dtype", dtype, "torch.float32 or torch.float64")
        return dtype
    found = {p.dtype for p in as_module(model).parameters() if p.is_floating_point()}
    return torch.float64 if found == {torch.float64} else torch.float32
