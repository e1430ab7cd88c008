"""Find parts of a statement that no case ever reaches, for example behind a premise that is never met.

In ``not premise or conclusion`` the conclusion is evaluated only where the premise is met. If no path of a proof and no
case of a search ever evaluates it, the statement would be just as true with any other conclusion.
"""

from __future__ import annotations

import dis
import inspect
import sys
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from types import CodeType, FrameType, FunctionType, TracebackType
from typing import Any, Self

from theory.proof.reading import codes_of, steps_of

ASSERTING = ("COMPARE_OP", "CONTAINS_OP", "CALL")  # instructions by which a part of the code is more than a constant
LEAVES = ("LOAD_FAST", "LOAD_DEREF", "LOAD_GLOBAL", "LOAD_NAME", "LOAD_CONST", "LOAD_CLOSURE")


class Reached:
    """Notes which instructions of a predicate run.

    Example:
        >>> statement = lambda x: not x > 1 or x < 5
        >>> with Reached(statement) as reached:
        ...     _ = statement(0), statement(1)
        >>> len(reached.missed())
        1
        >>> with reached:
        ...     _ = statement(2)
        >>> reached.missed()
        []
    """

    def __init__(self, predicate: Callable[..., Any]) -> None:
        self.given: set[str] = set()
        while isinstance(predicate, partial):
            self.given |= set(predicate.keywords)
            predicate = predicate.func
        function = getattr(predicate, "predicate", predicate)
        self.codes = tuple(codes_of(function.__code__)) if isinstance(function, FunctionType) else ()
        if self.codes:
            parameters = inspect.signature(function).parameters.values()
            self.given |= {p.name for p in parameters if p.default is not p.empty}
        self._seen: dict[CodeType, set[int]] = defaultdict(set)
        self._tracers = {id(code): _tracer(self._seen[code]) for code in self.codes}  # which are kept
        self._before: Any = None

    def __enter__(self) -> Self:
        self._before = sys.gettrace()
        if self.codes:
            sys.settrace(self._called)
        return self

    def __exit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        if self.codes:
            sys.settrace(self._before)

    def _called(self, frame: FrameType, *_: Any) -> Any:
        tracer = self._tracers.get(id(frame.f_code))
        if tracer is not None:
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return tracer

    def learn(self, other: Reached) -> None:
        """Count the instructions of the same code that another ``Reached`` has seen as seen here."""
        for code, seen in other._seen.items():
            if code in self.codes:
                self._seen[code] |= seen

    def missed(self) -> list[str]:
        """Return, in words, the parts that were always skipped because of a condition on the case."""
        found = []
        for code in self.codes:
            seen = self._seen.get(code, set())
            steps = [step for step in steps_of(code) if step.opname not in ("CACHE", "PRECALL", "RESUME")]
            for at, step in enumerate(steps):
                if step.offset in seen and _is_question(step) and not self._is_setting(code, steps[:at]):
                    found += [_words(code, part) for part in _ways(steps, at) if _never(part, seen)]
        return list(dict.fromkeys(found))

    def _is_setting(self, code: CodeType, before: list[dis.Instruction]) -> bool:
        """Return whether a condition depends on arguments and constants only, such as a flag that a control changes."""
        needed, leaves = 1, []
        for step in reversed(before):
            if step.opname.startswith(LEAVES):
                leaves.append(step)
            elif step.opname.startswith(("CALL", "LOAD_ATTR", "LOAD_METHOD", "BINARY_SUBSCR")):
                return False
            needed -= _effect(step)
            if needed <= 0:
                break
        outer = code is self.codes[0]
        return bool(leaves) and all(
            step.opname.startswith(("LOAD_CONST", "LOAD_GLOBAL"))
            or step.argval in self.given
            or (outer and step.opname.startswith("LOAD_DEREF"))
            for step in leaves
        )


def _tracer(seen: set[int]) -> Callable[[FrameType, str, Any], Any]:
    """Return what Python calls at each instruction of one code, which is noted."""

    def step(frame: FrameType, event: str, _: Any) -> Any:
        if event == "opcode":
            seen.add(frame.f_lasti)
        return step

    return step


def _is_question(step: dis.Instruction) -> bool:
    return "JUMP_" in step.opname and "IF_" in step.opname and "NONE" not in step.opname


def _effect(step: dis.Instruction) -> int:
    argument = step.arg if step.opcode >= dis.HAVE_ARGUMENT else None
    return dis.stack_effect(step.opcode, argument, jump=False)


def _ways(steps: list[dis.Instruction], at: int) -> list[list[dis.Instruction]]:
    """Return the code on both branches of a condition."""
    target = next((k for k, step in enumerate(steps) if step.offset == steps[at].argval), len(steps))
    return [steps[at + 1 :], steps[target:]]


def _never(part: list[dis.Instruction], seen: set[int]) -> bool:
    for step in part:
        if step.offset in seen:
            return False
        if step.opname.startswith(ASSERTING):
            return True
    return False


def _words(code: CodeType, part: list[dis.Instruction]) -> str:
    line = next((step.positions.lineno for step in part if step.positions and step.positions.lineno), None)
    return f"{code.co_name}, line {line or code.co_firstlineno}"
