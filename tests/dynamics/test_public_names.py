"""A public name is what the stub says, whatever was imported before it."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import dynamics

FIRST = """
import dynamics.finite.step, dynamics.finite.state, dynamics.finite.trajectory, dynamics.policies, dynamics.scores
from dynamics import init, kernel, score, simulate, step, sweep, update
assert all(map(callable, (init, kernel, score, simulate, step, sweep, update)))
"""


def test_no_module_has_the_name_of_a_public_function() -> None:
    """Importing ``dynamics.step`` would put the module in the place of the function."""
    assert {module.name for module in pkgutil.iter_modules(dynamics.__path__)} & set(dynamics.__all__) == set()
    from dynamics import finite

    assert {module.name for module in pkgutil.iter_modules(finite.__path__)} & set(
        dynamics.__all__
    )  # why it is a folder


def test_functions_stay_functions_after_their_modules_are_imported() -> None:
    done = subprocess.run([sys.executable, "-c", FIRST], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
