"""Whether a computation is exact: floats are found while it runs, in methods and helpers too."""

from __future__ import annotations

import sys
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any

from theory.proof.reading import FLOATING, WHOLE, floats_of_code
from theory.proof.written import divides_whole_numbers

# Modules of exact arithmetic, which have tests of their own and are not searched for floats. The logarithms of wipf2024
# are compared in floats first, with a bound of the error, and exactly where the floats are too close to tell.
EXACT = ("theory.proof", "theory.worlds", "theory.names", "theory.wipf2024.logarithms")
OWN = ("theory", "tests", "figures", "__main__")
INEXACT = {*FLOATING, "dynamics", "toy_models"}
DEPTH = 3


def run_and_find_floats(compute: Callable[[], Any]) -> tuple[Any, str]:
    """Return what a computation returns, and where it used floats, in words; "" if nowhere.

    Example:
        >>> run_and_find_floats(lambda: Fraction(1, 3) < 1)
        (True, '')
    """
    found: list[str] = []
    known: dict[int, CodeType] = {}  # by their identity, which they keep as long as they are kept

    def look(frame: FrameType, event: str, argument: Any) -> None:
        if found or event not in ("call", "return", "c_call"):
            return
        module = str(frame.f_globals.get("__name__", ""))
        if event == "c_call":
            origin = str(getattr(argument, "__module__", "") or "")
            if _is_own(module) and _package(origin) in FLOATING:
                found.extend(_unless_whole(frame, argument, origin))
            return
        if _package(module) in INEXACT and event == "call" and _is_own(_caller(frame)):
            found.append(f"{_caller_name(frame)} computes with {module}")
        if not _is_own(module):
            return
        code = frame.f_code
        if id(code) not in known:
            known[id(code)] = code
            problem = floats_of_code(code, frame.f_globals.get)
            if problem:
                found.append(f"{code.co_name} computes with floats ({problem})")
                return
        if event == "return":
            for value in (argument, *frame.f_locals.values()):
                number = _float_in(value)
                if number is not None:
                    word = "returns" if value is argument else "computes"
                    found.append(f"{code.co_name} {word} the float {number!r}")
                    return
            quotient = divides_whole_numbers(frame)
            if quotient:
                found.append(f"{code.co_name} divides whole numbers, which makes a float ({quotient})")

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        value = compute()
    finally:
        sys.setprofile(before)
    return value, found[0] if found else ""


@lru_cache(maxsize=4096)
def _is_own(module: str) -> bool:
    own = _package(module) in OWN or ("." not in module and module not in sys.stdlib_module_names)
    return own and not module.startswith(EXACT) and _package(module) not in INEXACT


@lru_cache(maxsize=4096)
def _package(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def _caller(frame: FrameType) -> str:
    return str(frame.f_back.f_globals.get("__name__", "")) if frame.f_back else ""


def _caller_name(frame: FrameType) -> str:
    return frame.f_back.f_code.co_name if frame.f_back else "it"


def _unless_whole(frame: FrameType, function: Any, origin: str) -> list[str]:
    name = getattr(function, "__name__", "")
    return [] if name in WHOLE else [f"{frame.f_code.co_name} computes with floats ({origin}.{name})"]


def _float_in(value: Any, depth: int = DEPTH) -> float | complex | None:
    """Return a float in a value; None if there is none that can be seen without running code."""
    if isinstance(value, (float, complex)):
        return value
    if isinstance(value, (bool, int, Fraction, str)) or value is None or depth == 0:
        return None
    parts: Any = ()
    if isinstance(value, (list, tuple, set, frozenset)):
        parts = value
    elif isinstance(value, dict):
        parts = value.values()
    return next((number for part in parts if (number := _float_in(part, depth - 1)) is not None), None)
