"""The one error of bad input, and the checks that raise it.

Every public function checks its arguments at its own door, so that a mistake is named where it was made:
which argument, what was got, what is allowed.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Probabilities are sums of a few hundred float64 terms at most; float32 input is off by about 1e-7 per term.
PROBABILITY_TOLERANCE = 1e-6

if TYPE_CHECKING:
    ArrayLike = float | Sequence[Any] | np.ndarray | Tensor
else:  # torch takes a second to import, and theory, which knows no tensors, is quick without it
    ArrayLike = Any


class InvalidArgument(ValueError):
    """An argument outside what is allowed.

    Attributes:
        argument: name of the argument as the caller wrote it.
        got: what was passed, shortened.
        allowed: what is allowed, in words.

    Example:
        >>> raise InvalidArgument("beta", -1.0, "a finite number > 0")
        Traceback (most recent call last):
            ...
        dynamics.errors.InvalidArgument: beta: got -1.0; allowed: a finite number > 0
    """

    def __init__(self, argument: str, got: object, allowed: str) -> None:
        self.argument = argument
        self.got = _shorten(got)
        self.allowed = allowed
        super().__init__(f"{argument}: got {self.got}; allowed: {allowed}")

    def __reduce__(self) -> tuple[type[InvalidArgument], tuple[str, str, str]]:
        """Let the error cross a process border: pickle would call the class with the message alone."""
        return type(self), (self.argument, self.got, self.allowed)


def _shorten(value: object, limit: int = 120) -> str:
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _is_tensor(value: object) -> TypeGuard[Tensor]:
    """Return whether a value is a tensor; if torch was never imported, nothing is."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def to_tensor(
    argument: str, value: ArrayLike, dtype: torch.dtype | None = None, device: torch.device | str | None = None
) -> Tensor:
    """Turn numbers, nested lists or arrays into a tensor, float64 unless another dtype is given.

    A tensor keeps its device unless one is given. An array is copied, whatever its strides and flags.
    """
    import torch  # noqa: PLC0415

    dtype = torch.float64 if dtype is None else dtype
    try:
        if _is_tensor(value):
            return value.to(dtype=dtype, device=device)
        return torch.as_tensor(np.array(value, order="C"), dtype=dtype, device=device)
    except (TypeError, ValueError, RuntimeError, OverflowError) as problem:
        raise InvalidArgument(argument, value, f"numbers in a rectangular array ({problem})") from problem


def check_finite(argument: str, value: Tensor) -> Tensor:
    """Refuse NaN and infinities."""
    if not value.isfinite().all():
        raise InvalidArgument(argument, value[~value.isfinite()][:3].tolist(), "finite numbers")
    return value


def check_positive(argument: str, value: float | Tensor) -> None:
    """Refuse anything but finite numbers > 0; a tensor holds one number for each run of a batch."""
    _check_number(argument, value, strict=True)


def check_nonnegative(argument: str, value: float | Tensor) -> None:
    """Refuse anything but finite numbers >= 0."""
    _check_number(argument, value, strict=False)


def check_number(argument: str, value: float | Tensor) -> None:
    """Refuse anything but finite numbers, of either sign."""
    if _is_tensor(value):
        check_finite(argument, value)
    elif isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not math.isfinite(value):
        raise InvalidArgument(argument, value, "a finite number")


def _check_number(argument: str, value: float | Tensor, *, strict: bool) -> None:
    allowed = "a finite number > 0" if strict else "a finite number >= 0"
    if _is_tensor(value):
        good = value.isfinite() & ((value > 0) if strict else (value >= 0))
        if not good.all():
            raise InvalidArgument(argument, value[~good][:3].tolist(), allowed.replace("a finite number", "numbers"))
        return
    good_type = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not good_type or not math.isfinite(value) or value < 0 or (strict and value == 0):
        raise InvalidArgument(argument, value, allowed)


def check_count(argument: str, value: int, minimum: int = 1) -> int:
    """Refuse anything but a whole number of at least ``minimum``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < minimum:
        raise InvalidArgument(argument, value, f"a whole number >= {minimum}")
    return int(value)


def check_index(argument: str, value: ArrayLike, size: int, device: torch.device | str | None = None) -> Tensor:
    """Return indices as an int64 tensor, or refuse those outside ``0 .. size - 1``."""
    import torch  # noqa: PLC0415

    allowed = f"whole numbers from 0 to {size - 1}"
    try:
        array = value if isinstance(value, torch.Tensor) else np.asarray(value)
    except ValueError as problem:
        raise InvalidArgument(argument, value, f"{allowed} ({problem})") from problem
    if isinstance(array, torch.Tensor):
        whole = not (array.is_floating_point() or array.is_complex() or array.dtype == torch.bool)
    else:
        whole = array.dtype.kind in "iu"
    if not whole:
        raise InvalidArgument(argument, value, allowed)
    index = to_tensor(argument, array, dtype=torch.int64, device=device)
    if index.numel() and not (int(index.min()) >= 0 and int(index.max()) < size):
        raise InvalidArgument(argument, value, allowed)
    return index


def check_shape(argument: str, value: Tensor, allowed: Sequence[int], *, batched: bool = False) -> Tensor:
    """Refuse a tensor whose shape (or, if ``batched``, whose last axes) differ from ``allowed``."""
    wanted = tuple(allowed)
    got = tuple(value.shape[value.ndim - len(wanted) :]) if batched else tuple(value.shape)
    if got != wanted:
        shape = f"(..., {', '.join(map(str, wanted))})" if batched else str(wanted)
        raise InvalidArgument(argument, f"shape {tuple(value.shape)}", f"shape {shape}")
    return value


def check_probabilities(argument: str, value: Tensor) -> Tensor:
    """Refuse anything that is not a probability distribution along the last axis."""
    check_finite(argument, value)
    if value.ndim == 0 or bool((value < 0).any()):
        raise InvalidArgument(argument, value.tolist(), "probabilities >= 0 along the last axis")
    total = value.sum(-1)
    if bool(((total - 1).abs() > PROBABILITY_TOLERANCE).any()):
        worst = total.flatten()[(total.flatten() - 1).abs().argmax()].item()
        raise InvalidArgument(argument, f"probabilities that sum to {worst:.9g}", "probabilities that sum to 1")
    return value


def check_log_probs(argument: str, value: Tensor) -> Tensor:
    """Refuse anything that is not the logarithm of a distribution along the last axis; -inf is log 0."""
    if bool(value.isnan().any()) or bool((value == math.inf).any()):
        raise InvalidArgument(argument, value.tolist(), "log-probabilities in nats, at most 0")
    check_probabilities(f"exp({argument})", value.exp())
    return value
