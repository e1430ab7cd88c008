"""The tests of the callback with the oldest TRL that pyproject.toml allows: ``make oldest``.

TRL alone is installed into a temporary folder that stands first on the path; all other packages are those of this
environment, in which nothing changes. It needs the network. Further arguments go to pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
TESTS = ("tests/dynamics/language_model/watching",)


def oldest() -> str:
    """Return the oldest version of TRL that the extra ``trl`` allows."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (bound,) = (part for line in extras["trl"] for part in Requirement(line).specifier if part.operator == ">=")
    return bound.version


def main(arguments: list[str]) -> int:
    """Install, say which versions are tested, and test."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--target", folder, f"trl=={oldest()}"], check=True)
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([folder, str(ROOT)])}
        told = "import trl, transformers as t; print('TRL', trl.__version__, 'with transformers', t.__version__)"
        subprocess.run([sys.executable, "-c", told], check=True, env=environment, cwd=ROOT)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS, *arguments]
        return subprocess.run(command, check=False, env=environment, cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
