"""The error for bad input, and the checks that raise it.

Every public function checks its arguments before it computes anything. The error names the argument and says what is
wrong with it.
"""

from __future__ import annotations

import math
import reprlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Probabilities are sums of a few hundred float64 terms at most; float32 input is off by about 1e-7 per term.
PROBABILITY_TOLERANCE = 1e-6

LONGEST_SENTENCE = 1000
"""Most characters of an error's sentence; what a user passed, such as a path, may be in it."""

if TYPE_CHECKING:
    ArrayLike = float | Sequence[Any] | np.ndarray | Tensor
else:  # torch takes a second to import, and theory, which knows no tensors, is quick without it
    ArrayLike = Any


class InvalidArgument(ValueError):
    """An argument that cannot be used.

    There are two forms. If a value is wrong, pass the value (or its shape or dtype) and a description of the values
    that are allowed. If something else is wrong, leave out ``allowed`` and pass a sentence that says what is wrong and,
    where that is not obvious, what to do.

    Attributes:
        argument: name of the argument as the caller wrote it.
        got: what was passed, shortened; or the whole sentence, if ``allowed`` is left out.
        allowed: what is allowed, in words.

    Example:
        >>> raise InvalidArgument("beta", -1.0, "a finite number > 0")
        Traceback (most recent call last):
            ...
        dynamics.errors.InvalidArgument: beta: got -1.0; allowed: a finite number > 0
        >>> raise InvalidArgument("rejected", "this response is the same as the chosen one")
        Traceback (most recent call last):
            ...
        dynamics.errors.InvalidArgument: rejected: this response is the same as the chosen one
    """

    def __init__(self, argument: str, got: object, allowed: str | None = None) -> None:
        self.argument = argument
        self.got = shorten(got) if allowed is not None else shorten(str(got), limit=LONGEST_SENTENCE)
        self.allowed = allowed
        sentence = self.got if allowed is None else f"got {self.got}; allowed: {allowed}"
        super().__init__(f"{argument}: {sentence}")

    def __reduce__(self) -> tuple[type[InvalidArgument], tuple[Any, ...]]:
        """Let the error cross a process border: pickle would call the class with the message alone."""
        return type(self), (self.argument, self.got, self.allowed)


class Unsupported(InvalidArgument):
    """An argument that is well-formed, but cannot be used, for a reason that takes a sentence.

    Attributes:
        argument: name of the argument as the caller wrote it.
        got: what the problem is, as a clause.
        allowed: what to do about it, as a clause.

    Example:
        >>> raise Unsupported("memory", "gradients reach layer 3 by two paths", "use memory='graph'")
        Traceback (most recent call last):
            ...
        dynamics.errors.Unsupported: memory: gradients reach layer 3 by two paths; use memory='graph'
    """

    def __init__(self, argument: str, problem: str, remedy: str) -> None:
        super().__init__(argument, problem, remedy)
        self.got = " ".join(problem.split())
        self.args = (f"{argument}: {self.got}; {remedy}",)


def shorten(value: object, limit: int = 120) -> str:
    """Return a value as text of one line that an error can show: at most ``limit`` characters of it.

    Example:
        >>> shorten([0.5, "a"]), len(shorten(list(range(1000))))
        ("[0.5, 'a']", 120)
    """
    try:
        text = (value if isinstance(value, str) and value else _SHORT.repr(value)).encode("utf-8", "replace").decode()
    except Exception:  # an error about a value must not become one about its repr
        text = f"a {type(value).__name__} that cannot be shown"
    text = " ".join(text.split()) or repr(text)
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]}…{text[len(text) - (limit - limit // 2 - 1) :]}"  # a long path keeps its file name


_SHORT = reprlib.Repr()
"""Shows the beginning of a long list without writing out the rest."""
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = _SHORT.maxset = 40
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 200


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
    device = check_device("device", device)
    wanted = "numbers in a rectangular array"
    if _is_tensor(value):
        if not _is_plain(value):
            raise InvalidArgument(argument, f"a tensor of {value.dtype} on {value.device}, {value.layout}", wanted)
        return value.to(dtype=dtype, device=device)
    try:
        array = np.array(value, order="C")
        if array.dtype.kind not in "biuf" or (isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value)):
            raise InvalidArgument(argument, value, wanted)
        return torch.as_tensor(array, dtype=dtype, device=device)
    except InvalidArgument:
        raise
    except Exception as problem:  # any object may be passed, and may raise anything when numpy reads it
        raise InvalidArgument(argument, value, f"{wanted} ({shorten(str(problem))})") from problem


def _is_plain(value: Tensor) -> bool:
    """Return whether a tensor is dense, real and not quantized, and has values (is not on the meta device)."""
    import torch  # noqa: PLC0415

    return value.layout == torch.strided and not value.is_complex() and not value.is_quantized and not value.is_meta


def check_device(argument: str, value: Any) -> torch.device | None:
    """Return a device, or refuse one that torch does not know or this machine does not have."""
    import torch  # noqa: PLC0415

    if value is None:
        return None
    try:
        device = torch.device(value)
        if device.type == "meta" or isinstance(value, bool):
            raise InvalidArgument(argument, value, "'cpu', 'cuda', 'cuda:0', 'mps', ...")
        if device.type != "cpu":
            torch.empty(0, device=device)
    except InvalidArgument:
        raise
    except Exception as problem:  # torch raises errors of several types here
        allowed = f"'cpu', 'cuda', 'cuda:0', 'mps', ..., if this machine has it ({shorten(str(problem))})"
        raise InvalidArgument(argument, value, allowed) from problem
    return device


def check_dtype(argument: str, value: torch.dtype) -> torch.dtype:
    """Refuse anything but torch.float64 and torch.float32."""
    import torch  # noqa: PLC0415

    if not isinstance(value, torch.dtype) or value not in (torch.float64, torch.float32):
        raise InvalidArgument(argument, value, "torch.float64 or torch.float32")
    return value


def check_kind(argument: str, value: object, kind: type, allowed: str) -> None:
    """Refuse anything but an instance of a class or protocol; the class itself is refused, too."""
    if isinstance(value, type) or not isinstance(value, kind):
        raise InvalidArgument(argument, value, allowed)


def check_generator(value: torch.Generator | None, device: torch.device | str) -> None:
    """Refuse anything but a torch.Generator on that kind of device."""
    import torch  # noqa: PLC0415

    kind = torch.device(device).type
    if not isinstance(value, torch.Generator) or value.device.type != kind:
        raise InvalidArgument("generator", value, f"a torch.Generator on {kind}")


def check_runs(value: tuple[int, ...]) -> None:
    """Refuse anything but a tuple of whole numbers >= 1, the leading axes of a batch of runs."""
    check_kind("runs", value, tuple, "a tuple of whole numbers, such as () or (8,)")
    for axis in value:
        check_count("runs", axis)


def check_flag(argument: str, value: bool) -> None:
    """Refuse anything but True and False."""
    if not isinstance(value, (bool, np.bool_)):
        raise InvalidArgument(argument, value, "True or False")


def check_finite(argument: str, value: Tensor) -> Tensor:
    """Refuse NaN and infinities."""
    if not value.isfinite().all():
        raise InvalidArgument(argument, value[~value.isfinite()][:3].tolist(), "finite numbers")
    return value


def check_positive(argument: str, value: float | Tensor) -> None:
    """Refuse anything but finite numbers > 0; a tensor holds one number for each run of a batch."""
    _check_number(argument, value, "a finite number > 0", lambda x: x > 0)


def check_nonnegative(argument: str, value: float | Tensor) -> None:
    """Refuse anything but finite numbers >= 0."""
    _check_number(argument, value, "a finite number >= 0", lambda x: x >= 0)


def check_number(argument: str, value: float | Tensor) -> None:
    """Refuse anything but finite numbers, of either sign."""
    _check_number(argument, value, "a finite number", lambda x: x * 0 == 0)


def _check_number(argument: str, value: float | Tensor, allowed: str, good: Callable[[Any], Any]) -> None:
    if not _is_tensor(value):
        if not is_finite(value) or not good(value):
            raise InvalidArgument(argument, value, allowed)
        return
    allowed = allowed.replace("a finite number", "finite numbers")
    if not _is_plain(value) or value.dtype == sys.modules["torch"].bool or value.numel() == 0:
        raise InvalidArgument(argument, f"a tensor of {value.dtype} of shape {tuple(value.shape)}", allowed)
    bad = ~(value.isfinite() & good(value))
    if bad.any():
        raise InvalidArgument(argument, value[bad][:3].tolist(), allowed)


def is_finite(value: object) -> bool:
    """Return whether this is a finite real number within the range of a float, and not a bool.

    Example:
        >>> is_finite(2), is_finite(True), is_finite(10**400), is_finite("2")
        (True, False, False, False)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def check_count(argument: str, value: int, minimum: int = 1) -> int:
    """Refuse anything but a whole number of at least ``minimum``."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or not minimum <= value < 2**63:
        raise InvalidArgument(argument, value, f"a whole number >= {minimum}" + " and below 2^63" * whole)
    return int(value)


def check_index(argument: str, value: ArrayLike, size: int, device: torch.device | str | None = None) -> Tensor:
    """Return indices as an int64 tensor, or refuse those outside ``0 .. size - 1``."""
    import torch  # noqa: PLC0415

    allowed = f"whole numbers from 0 to {size - 1}"
    try:
        array = value if isinstance(value, torch.Tensor) else np.asarray(value)
    except Exception as problem:  # any object may be passed, and may raise anything when numpy reads it
        raise InvalidArgument(argument, value, f"{allowed} ({shorten(str(problem))})") from problem
    if isinstance(array, torch.Tensor):
        whole = not (array.is_floating_point() or array.is_complex() or array.dtype == torch.bool)
    else:
        whole = array.dtype.kind in "iu"
    if not whole:
        raise InvalidArgument(argument, value, allowed)
    index = to_tensor(argument, array, dtype=torch.int64, device=device)
    if index.numel():
        least, most = index.aminmax()
        if int(least) < 0 or int(most) >= size:
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


def check_broadcast(argument: str, shape: Sequence[int], wanted: Sequence[int]) -> None:
    """Refuse a shape that does not broadcast to the wanted one, or only by making it larger."""
    missing = len(wanted) - len(shape)
    if missing < 0 or any(size not in (1, fixed) for size, fixed in zip(shape, wanted[missing:], strict=True)):
        raise InvalidArgument(argument, f"axes {tuple(shape)}", f"axes that broadcast to {tuple(wanted)}")


def check_probabilities(argument: str, value: Tensor) -> Tensor:
    """Refuse anything that is not a probability distribution along the last axis."""
    check_finite(argument, value)
    if value.ndim == 0 or value.numel() == 0 or bool((value < 0).any()):
        raise InvalidArgument(argument, value.tolist(), "an array with probabilities >= 0 along its last axis")
    total = value.sum(-1)
    if bool(((total - 1).abs() > PROBABILITY_TOLERANCE).any()):
        worst = total.flatten()[(total.flatten() - 1).abs().argmax()].item()
        raise InvalidArgument(argument, f"the probabilities sum to {worst:.9g}; they must sum to 1")
    return value


def check_log_probs(argument: str, value: Tensor) -> Tensor:
    """Refuse anything that is not the logarithm of a distribution along the last axis; -inf is log 0."""
    if bool(value.isnan().any()) or bool((value == math.inf).any()):
        raise InvalidArgument(argument, value.tolist(), "log-probabilities in nats, at most 0")
    check_probabilities(f"exp({argument})", value.exp())
    return value
