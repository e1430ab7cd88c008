"""Things that no function asked for, by name; made afresh for every call, so that none can be spoilt for the next."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import torch


class WithoutRepr:
    """An object that cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class LyingArray:
    """An object that says it is an array, and fails when it is read."""

    shape = (3,)
    dtype = np.dtype(float)

    def __len__(self) -> int:
        return 3

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise RuntimeError("no array")


def _in_itself() -> list:
    nested: list = [1.0]
    nested.append(nested)
    return nested


def _frozen(values: list[float]) -> np.ndarray:
    array = np.array(values)[::-1]
    array.flags.writeable = False
    return array


HOSTILE: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "true": lambda: True,
    "empty text": lambda: "",
    "number as text": lambda: "0",
    "unicode": lambda: "ünï\u202e🦊\ud800",
    "null character": lambda: "a\0b",
    "long text": lambda: "x" * 10_000,
    "bytes": lambda: b"\xff\xfe",
    "object": object,
    "no repr": WithoutRepr,
    "lying array": LyingArray,
    "class": lambda: torch.nn.Linear,
    "function": lambda: lambda *_, **__: "nonsense",
    "dict": lambda: {"a": 1},
    "set": lambda: {1, 2},
    "empty list": list,
    "empty lists": lambda: [[], []],
    "ragged": lambda: [[1.0], [1.0, 2.0]],
    "list in itself": _in_itself,
    "list of none": lambda: [None, None],
    "endless": itertools.count,
    "long range": lambda: range(10**15),
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "-inf": lambda: float("-inf"),
    "list with nan": lambda: [0.0, float("nan")],
    "list with inf": lambda: [float("inf"), 0.0],
    "zero": lambda: 0,
    "-1": lambda: -1,
    "half": lambda: 0.5,
    "three": lambda: 3,
    "-0.5": lambda: -0.5,
    "beyond int64": lambda: 2**63,
    "beyond float": lambda: 10**400,
    "beyond text": lambda: 10**5000,
    "huge": lambda: 1e308,
    "denormal": lambda: 5e-324,
    "complex": lambda: 1j,
    "fraction": lambda: Fraction(1, 3),
    "decimal": lambda: Decimal("NaN"),
    "date": lambda: np.datetime64("2020-01-01"),
    "empty array": lambda: np.array([]),
    "empty matrix": lambda: np.zeros((0, 3)),
    "four axes": lambda: np.zeros((2, 1, 2, 1)),
    "sixty axes": lambda: np.zeros((1,) * 60),
    "vast array": lambda: np.broadcast_to(np.float64(0.5), (10**15,)),
    "complex array": lambda: np.array([1j, 2.0]),
    "object array": lambda: np.array([None, object()]),
    "text array": lambda: np.array(["a", "b"]),
    "masked array": lambda: np.ma.masked_array([0.5, 0.5], [False, True]),
    "record array": lambda: np.zeros(2, dtype=[("a", float)]),
    "frozen strided array": lambda: _frozen([0.25, 0.75]),
    "float16 array": lambda: np.array([0.5, 0.5], dtype=np.float16),
    "huge array": lambda: np.array([1e308, -1e308]),
    "complex tensor": lambda: torch.tensor([1j, 1.0]),
    "bool tensor": lambda: torch.tensor([True, False]),
    "int8 tensor": lambda: torch.tensor([1, 0], dtype=torch.int8),
    "empty tensor": lambda: torch.empty(0),
    "nan tensor": lambda: torch.tensor([float("nan")]),
    "sparse tensor": lambda: torch.eye(2).to_sparse(),
    "meta tensor": lambda: torch.empty(3, device="meta"),
    "tensor with a graph": lambda: torch.zeros(2, dtype=torch.float32, requires_grad=True),
    "vast tensor": lambda: torch.tensor(0.5).expand(10**15),
}
"""Makers of hostile values by name."""
