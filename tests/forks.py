"""Run commands one after another as a shell would, each in a fork of a process that has imported what they wait for.

``python -m tests.forks 'MODULE MODULE' 'python -m MODULE ARGUMENT ...' ...``. To start Python for each and import torch
again would take longer than most of them run. The first that fails ends it, with its exit code in words.
"""

from __future__ import annotations

import importlib
import os
import runpy
import shlex
import sys
import traceback


def main(first: str, commands: list[str]) -> None:
    """Import the modules and run the commands."""
    for name in first.split():
        importlib.import_module(name)
    for command in commands:
        print("$", command, flush=True)
        child = os.fork()
        if not child:
            _run(command)
        if code := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            sys.exit(f"{command}: exit code {code}")


def _run(command: str) -> None:
    """Run a command and end the process with its exit code."""
    code: object = 1
    try:
        _, option, module, *rest = shlex.split(command)
        assert option == "-m"
        sys.argv = [module, *rest]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
