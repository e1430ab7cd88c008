"""Check a predicate's code: it must not depend on how its numbers are represented, nor compute with floats.

A predicate is read in symbols, in fractions and in intervals, and must be the same statement each time. Python lets
code ask what kind of object a number is (``isinstance``, ``type``, ``is``), which a symbol cannot notice; a statement
that did so could be true of every symbol and false of every fraction. Comparisons that involve only floats do not reach
a symbol either. Both are found in the byte code before a predicate is run.
"""

from __future__ import annotations

import dis
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache, partial
from types import CodeType, FunctionType, ModuleType
from typing import Any

from theory.proof.symbols import NotAStatement, as_fraction

REPRESENTATION = {
    *("isinstance", "issubclass", "type", "id", "dir", "callable", "hasattr"),
    *("globals", "locals", "eval", "exec", "__dict__", "__class__"),
}
WHOLE = {"isqrt", "prod", "comb", "perm", "gcd", "lcm", "factorial"}  # of the module math: exact on whole numbers
LIBRARY = ("theory.proof", "theory.worlds", "theory.names")  # read in each reading in its own way, and tested
CALLED = ("__call__", "__init__", "__post_init__")  # what a call of an object or a class runs
BY_NAME = {"getattr", "attrgetter", "methodcaller", "vars"}  # with one of these any attribute may be meant
DEPTH = 3  # of containers in containers and attributes of attributes
FLOATING = {"math", "cmath", "numpy", "mpmath", "scipy", "torch", "statistics"}


def check_reading(*predicates: Callable[..., Any]) -> None:
    """Raise unless predicates are independent of the type of their numbers and compute without floats.

    Raises:
        NotAStatement: one asks for the type or the identity of a number, or computes with floats.

    Example:
        >>> check_reading(lambda w: (w.A_w > 0) is not False)
        Traceback (most recent call last):
        theory.proof.symbols.NotAStatement: <lambda> asks with `is`: compare with == or with not
    """
    for predicate in predicates:
        problem = representation(predicate) or floats(predicate)
        if problem:
            raise NotAStatement(problem)


def representation(predicate: Callable[..., Any]) -> str:
    """Return in words how a predicate depends on the type of its numbers; "" if it does not."""
    for function in _functions(predicate):
        for code in codes_of(function.__code__):
            before = None
            for step in steps_of(code):
                name = step.argval if isinstance(step.argval, str) else ""
                if step.opname == "MATCH_CLASS":
                    return f"{function.__name__} matches the type of a number: compare with =="
                taken = step.opname in ("LOAD_ATTR", "LOAD_METHOD") and _is_special(name)
                if taken and not str(function.__module__).startswith("theory."):  # whose claims are read by people
                    return f"{function.__name__} uses {name}: a statement must read the same whatever its numbers are"
                if step.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_ATTR", "LOAD_METHOD") and name in REPRESENTATION:
                    return f"{function.__name__} uses {name}: a statement must read the same whatever its numbers are"
                if step.opname == "IS_OP" and before is not None and not _harmless(before):
                    return f"{function.__name__} asks with `is`: compare with == or with not"
                before = step
    return ""


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def floats(predicate: Callable[..., Any]) -> str:
    """Return where a predicate computes with floats, in words; "" if nowhere.

    Example:
        >>> import math
        >>> floats(lambda: math.log(2) < 1), floats(lambda n: math.comb(n, 2) == n * (n - 1) // 2)
        ('<lambda> computes with floats (math.log)', '')
    """
    for function in _functions(predicate):
        for code in codes_of(function.__code__):
            problem = floats_of_code(code, partial(_found, function))
            if problem:
                return f"{function.__name__} computes with floats ({problem}){_instead(problem)}"
    return ""


def _instead(problem: str) -> str:
    """Return how to write a floating-point constant as a fraction; "" for what is no constant."""
    try:
        return as_fraction(float(problem))
    except ValueError:
        return ""


def floats_of_code(code: CodeType, found: Callable[[str], Any]) -> str:
    """Return what in a code computes with floats; "" for nothing. ``found`` tells what a name means in it."""
    for constant in code.co_consts:
        if isinstance(constant, (float, complex)):
            return repr(constant)
    steps = steps_of(code)
    for step, after in zip(steps, [*steps[1:], None], strict=True):
        if step.opname not in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF"):
            continue
        if step.argval == "float":
            return "float"
        value = found(step.argval)
        whole = isinstance(value, ModuleType)
        module = value.__name__ if whole else getattr(value, "__module__", None)
        asked = after.argval if whole and after is not None else getattr(value, "__name__", step.argval)
        if str(module).split(".")[0] in FLOATING and asked not in WHOLE:
            return f"{module}.{asked}"
    return ""


@lru_cache(maxsize=4096)
def steps_of(code: CodeType) -> tuple[dis.Instruction, ...]:
    """Return the instructions of a code; a claim's are looked at for its statement, its control and each proof."""
    return tuple(dis.get_instructions(code))


def _harmless(operand: dis.Instruction) -> bool:
    """Return whether ``is`` compares with None, or with something that has a global name, such as a function."""
    return (operand.opname == "LOAD_CONST" and operand.argval is None) or operand.opname == "LOAD_GLOBAL"


def codes_of(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of a function and of all that is defined inside of it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes_of(constant)


def _found(function: FunctionType, name: str) -> Any:
    """Return what a name means inside a function; None if it is not known before it runs."""
    if name in function.__code__.co_freevars and function.__closure__:
        cell = function.__closure__[function.__code__.co_freevars.index(name)]
        try:
            return cell.cell_contents
        except ValueError:
            return None
    return function.__globals__.get(name)


@lru_cache(maxsize=4096)
def _called(function: FunctionType) -> tuple[FunctionType, ...]:
    """Return the functions of claims that a function names, as attributes and in containers and defaults too."""
    names = sorted({name for code in codes_of(function.__code__) for name in (*code.co_names, *code.co_freevars)})
    values = [_found(function, name) for name in names]
    values += [module for code in codes_of(function.__code__) for module in _imported(code)]
    values += [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    attributes = None if set(names) & BY_NAME else (*names, *CALLED)
    within = (one for value in values for one in _within(value, attributes, DEPTH))
    return tuple(dict.fromkeys(found for value in within if (found := _function(value)) is not None))


def _imported(code: CodeType) -> Iterator[ModuleType]:
    """Yield the modules that a function imports while it runs, and those on the way to them."""
    for step in steps_of(code):
        if step.opname == "IMPORT_NAME" and step.argval:
            importlib.import_module(step.argval)
            parts = step.argval.split(".")
            yield from (sys.modules[".".join(parts[: k + 1])] for k in range(len(parts)))


def _within(value: Any, names: Sequence[str] | None, depth: int) -> Iterator[Any]:
    """Yield a value, and what it holds: items of a container, attributes of these names of a module, class or object.

    All attributes count if there are no names.

    An attribute is looked up in modules, classes and objects of claims, since libraries are not read; no code is run.
    """
    yield value
    if depth == 0 or isinstance(value, (str, bytes, int, Fraction, FunctionType)):
        return
    if isinstance(value, Mapping):
        parts: Iterable[Any] = value.values()
    elif isinstance(value, (list, tuple, set, frozenset)):
        parts = value
    else:
        kind = value if isinstance(value, (ModuleType, type)) else type(value)
        if not is_claims(value.__name__ if isinstance(value, ModuleType) else kind.__module__):
            return
        holders = (value,) if isinstance(value, (ModuleType, type)) else (value, kind)
        asked = [*CALLED, *(name for name in vars(kind) if not name.startswith("__"))] if names is None else names
        found = [inspect.getattr_static(holder, name, None) for holder in holders for name in asked]
        parts = [getattr(one, "__func__", getattr(one, "fget", None) or one) for one in found if one is not None]
    for part in parts:
        yield from _within(part, names, depth - 1)


def _function(value: Any) -> FunctionType | None:
    """Return the Python function in a value, if it belongs to a claim: the prover and libraries are not read."""
    while isinstance(value, partial):
        value = value.func
    if not isinstance(value, FunctionType):
        value = getattr(value, "predicate", None) if str(type(value).__module__).startswith("theory.") else None
    if not isinstance(value, FunctionType):
        return None
    return value if is_claims(value.__module__ or "") else None


def is_claims(module: str) -> bool:
    """Return whether a module belongs to claims, rather than to the prover or a library."""
    first, *rest = module.split(".")
    own = first in ("theory", "tests", "figures", "__main__") or not (rest or first in FLOATING)
    return own and not module.startswith(LIBRARY) and module not in sys.stdlib_module_names


def _functions(predicate: Callable[..., Any]) -> Iterator[FunctionType]:
    """Yield the function of a predicate and all functions of claims that it calls by name."""
    while isinstance(predicate, partial):
        yield from (f for value in predicate.keywords.values() if (f := _function(value)) is not None)
        predicate = predicate.func
    first = getattr(predicate, "predicate", predicate)
    if not isinstance(first, FunctionType):
        return
    todo, seen = [first], set()
    while todo:
        function = todo.pop()
        if function in seen:
            continue
        seen.add(function)
        yield function
        todo += _called(function)
