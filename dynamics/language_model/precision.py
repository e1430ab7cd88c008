"""The dtype that is asked for, in every operation: float64 without float32 islands, float32 without TF32.

Hugging Face models compute some parts in float32 whatever their dtype: RMSNorm, the softmax of eager attention, the
rotary angles. In a float64 model that caps the accuracy of log pi at about 1e-7. Inside ``computing_in`` every request
for float32 is answered with float64, in whatever module it stands, and any result of lower precision is an error, so
that an island of another kind is found rather than suffered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from dynamics.errors import InvalidArgument

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

    Parameters and buffers of another dtype are replaced by converted copies; the originals are kept aside and put back
    untouched, so nothing is lost by rounding. Both are in memory meanwhile. What a checkpoint rounds stays rounded:
    rotary frequencies, for one, keep their stored float32 values and are only computed with in float64.

    Args:
        model: any module.
        dtype: ``torch.float32`` or ``torch.float64``.

    Example:
        >>> norm = nn.LayerNorm(2)
        >>> with computing_in(norm, torch.float64):
        ...     norm(torch.ones(1, 2, dtype=torch.float64).float()).dtype
        torch.float64
        >>> norm.weight.dtype
        torch.float32
    """
    if dtype not in (torch.float32, torch.float64):
        raise InvalidArgument("dtype", dtype, "torch.float32 or torch.float64")
    everything = list(chain(model.parameters(), model.buffers()))
    replaced = [(tensor, tensor.data) for tensor in everything if tensor.is_floating_point() and tensor.dtype != dtype]
    training = [module for module in model.modules() if module.training]
    device = next((tensor.device.type for tensor in everything), "cpu")
    matmul = torch.get_float32_matmul_precision()
    default = torch.get_default_dtype()
    with ExitStack() as stack:
        try:
            for tensor, _ in replaced:
                tensor.data = tensor.data.to(dtype)
            model.eval()
            torch.set_float32_matmul_precision("highest")
            stack.enter_context(torch.autocast(device, enabled=False))
            if dtype == torch.float64:
                torch.set_default_dtype(torch.float64)
                stack.enter_context(Float64())
            yield
        finally:
            stack.close()
            torch.set_default_dtype(default)
            torch.set_float32_matmul_precision(matmul)
            for module in training:
                module.training = True
            for tensor, original in replaced:
                tensor.data = original


def compute_dtype(model: nn.Module, dtype: torch.dtype | None) -> torch.dtype:
    """Return the dtype to compute in: the one asked for, else the model's, but never below float32."""
    if dtype is not None:
        return dtype
    found = {p.dtype for p in model.parameters() if p.is_floating_point()}
    return torch.float64 if found == {torch.float64} else torch.float32
