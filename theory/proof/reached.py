"""Find parts of a statement that no case ever reaches, for example behind a premise that is never met.

In ``not premise or conclusion`` the conclusion is evaluated only where the premise is met. If no path of a proof and no
case of a search ever evaluates it, the statement would be just as true with any other conclusion.
"""

from __future__ import annotations

import dis
import inspect
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from types import CodeType, FrameType, FunctionType, TracebackType
from typing import Any, Self

from theory.proof.reading import codes_of, steps_of

ASSERTING = ("COMPARE_OP", "CONTAINS_OP", "CALL")  # instructions by which a part of the code is more than a constant
LEAVES = ("LOAD_FAST", "LOAD_DEREF", "LOAD_GLOBAL", "LOAD_NAME", "LOAD_CONST", "LOAD_CLOSURE")


class Reached:
    """Notes which instructions of a predicate run, until both branches of each condition have run.

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
        self._open = [(code, question) for code in self.codes for question in self._questions(code)]
        self._tracers = {id(code): _tracer(self._seen[code]) for code in self.codes}  # which are kept
        self._before: Any = None

    def __enter__(self) -> Self:
        self._before = sys.gettrace()
        if self._open:
            sys.settrace(self._called)
        return self

    def __exit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        if self._open:
            sys.settrace(self._before)
            self._open = [
                (code, question) for code, question in self._open if not question.is_settled(self._seen[code])
            ]

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
            for question in self._questions(code):
                if question.offset in seen:
                    found += [_words(code, way) for way in question.ways if _never(way, seen)]
        return list(dict.fromkeys(found))

    def _questions(self, code: CodeType) -> list[_Question]:
        """Return the conditions in a code that are about the case."""
        steps = _steps(code)
        return [q for q in _questions_of(code) if not self._is_setting(code, steps[: q.at])]

    def _is_setting(self, code: CodeType, before: Sequence[dis.Instruction]) -> bool:
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


@dataclass(frozen=True)
class _Question:
    """A condition in a code, and the code on both of its branches.

    Attributes:
        at: its number among the instructions.
        offset: its place in the code.
        ways: the instructions on either branch, up to the end.
    """

    at: int
    offset: int
    ways: tuple[Sequence[dis.Instruction], ...]

    def is_settled(self, seen: set[int]) -> bool:
        """Return whether both branches were looked at, so that nothing that is seen later adds to it."""
        return self.offset in seen and not any(_never(way, seen) for way in self.ways)


@lru_cache(maxsize=4096)
def _steps(code: CodeType) -> tuple[dis.Instruction, ...]:
    return tuple(step for step in steps_of(code) if step.opname not in ("CACHE", "PRECALL", "RESUME"))


@lru_cache(maxsize=4096)
def _questions_of(code: CodeType) -> tuple[_Question, ...]:
    steps = _steps(code)
    return tuple(_Question(k, step.offset, _ways(steps, k)) for k, step in enumerate(steps) if _is_question(step))


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


def _ways(steps: Sequence[dis.Instruction], at: int) -> tuple[Sequence[dis.Instruction], ...]:
    """Return the code on both branches of a condition."""
    target = next((k for k, step in enumerate(steps) if step.offset == steps[at].argval), len(steps))
    return steps[at + 1 :], steps[target:]


def _never(part: Sequence[dis.Instruction], seen: set[int]) -> bool:
    for step in part:
        if step.offset in seen:
            return False
        if step.opname.startswith(ASSERTING):
            return True
    return False


def _words(code: CodeType, part: Sequence[dis.Instruction]) -> str:
    line = next((step.positions.lineno for step in part if step.positions and step.positions.lineno), None)
    return f"{code.co_name}, line {line or code.co_firstlineno}"
