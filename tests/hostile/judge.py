"""What may come of a hostile call: a result that looks right, or an InvalidArgument that names an argument.

What does not fit into any memory may also be refused by the allocator, whose error says so.
"""

from __future__ import annotations

import dataclasses
import inspect
import random
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatch
from typing import Any, NamedTuple

import numpy as np
import torch

from dynamics.errors import InvalidArgument

LONGEST = 20.0  # seconds; a valid call takes milliseconds, the machine may be busy


class Recipe(NamedTuple):
    """How a public callable is called.

    Attributes:
        call: the callable.
        valid: draws arguments by name, all of them good.
        kept: arguments that are left as they are drawn.
        nan_means: names or globs of results in which a NaN has a meaning that the docstring tells.
    """

    call: Callable[..., Any]
    valid: Callable[[random.Random], dict[str, Any]]
    kept: tuple[str, ...] = ()
    nan_means: tuple[str, ...] = ()


def names(recipe: Recipe, arguments: dict[str, Any]) -> set[str]:
    """Return what an error may name: the arguments, and the fields of those that are records themselves."""
    known = {*arguments, *inspect.signature(recipe.call).parameters}
    records = [value for value in arguments.values() if dataclasses.is_dataclass(value)]
    return known | {field.name for record in records for field in dataclasses.fields(record)}


def numbers(result: Any, name: str = "result") -> Iterator[tuple[str, Any]]:
    """Yield every array and number in a result, with a name."""
    if isinstance(result, (torch.Tensor, np.ndarray, np.generic, float, complex)):
        yield name, result
    elif isinstance(result, Mapping):
        for key, value in result.items():
            yield from numbers(value, str(key))
    elif isinstance(result, (list, tuple)):
        names = getattr(result, "_fields", [name] * len(result))
        for key, value in zip(names, result, strict=True):
            yield from numbers(value, key)
    elif dataclasses.is_dataclass(result) and not isinstance(result, type):
        for field in dataclasses.fields(result):
            yield from numbers(getattr(result, field.name), field.name)


def is_odd(value: Any) -> bool:
    """Return whether a number or an array is NaN somewhere, or not made of real numbers or texts at all."""
    if isinstance(value, torch.Tensor):
        return value.is_complex() or (value.is_floating_point() and bool(value.isnan().any()))
    array = np.asarray(value)
    if array.dtype.kind in "biuSU":
        return False
    return array.dtype.kind != "f" or bool(np.isnan(array).any())


def complaint(recipe: Recipe, arguments: dict[str, Any]) -> str:
    """Call; return what is wrong with what came of it, or nothing."""
    begun = time.perf_counter()
    try:
        result = recipe.call(**arguments)
        may = [name for name, _ in numbers(result) if any(fnmatch(name, glob) for glob in recipe.nan_means)]
        odd = [name for name, value in numbers(result) if name not in may and is_odd(value)]
        found = f"returned {', '.join(odd)} with NaN or without numbers" if odd else ""
    except InvalidArgument as problem:
        named = any(name in problem.argument for name in names(recipe, arguments))
        whole = named and problem.got and problem.allowed != "" and len(str(problem)) < 2000
        found = "" if whole else f"says: {problem}"
    except Exception as problem:
        if isinstance(problem, MemoryError) or "can't allocate memory" in str(problem):
            return ""  # at once, and before anything was filled
        where = traceback.extract_tb(problem.__traceback__)[-1]
        found = f"{type(problem).__name__} at {where.filename.split('/')[-1]}:{where.lineno}: {str(problem)[:150]}"
    took = time.perf_counter() - begun
    return found or (f"took {took:.0f} s" if took > LONGEST else "")
