"""CONTRIBUTING.md, followed to the letter in a copy of the project, ends green."""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.optional import needs_signals

ROOT = Path(__file__).resolve().parents[1]
GUIDE = ROOT / "CONTRIBUTING.md"
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", "out", "build", "*.egg-info", "*_cache", "__pycache__", ".hypothesis"
)
STEP = re.compile(
    r"^(?:(?P<what>Write|At the end of) `(?P<whole>[^`]+)`"
    r"|In `(?P<part>[^`]+)`, below `(?P<line>[^`\n]+)`):\n\n```(?:python|text)\n(?P<code>.*?)^```$"
    r"|^```console\n(?P<commands>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def sections() -> dict[str, str]:
    """Return the guide's text by heading."""
    parts = re.split(r"^## (.*)$", GUIDE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def write(text: str, copy: Path) -> set[Path]:
    """Write and insert what a section says in a copy of the project; return the files."""
    touched = set()
    for step in STEP.finditer(text):
        if step["commands"]:
            continue
        path = copy / (step["whole"] or step["part"])
        touched.add(path)
        if step["what"] == "Write":
            assert not path.exists(), f"{path.name} is there already"
            path.write_text(step["code"], encoding="utf-8")
        elif step["what"]:
            path.write_text(path.read_text(encoding="utf-8") + "\n\n" + step["code"], encoding="utf-8")
        else:
            before = path.read_text(encoding="utf-8")
            assert before.count(step["line"] + "\n") == 1, f"{path.name} has not one line {step['line']!r}"
            path.write_text(before.replace(step["line"] + "\n", step["line"] + "\n" + step["code"]), encoding="utf-8")
    return touched


def commands_of(text: str) -> list[str]:
    """Return the commands of a section in their order; all of them come after what it writes."""
    steps = list(STEP.finditer(text))
    said = [bool(step["commands"]) for step in steps]
    assert said == sorted(said), "a command before the last file"
    return [line.removeprefix("$ ") for step in steps if step["commands"] for line in step["commands"].splitlines()]


def test_the_examples_run() -> None:
    """Blocks that begin with a prompt are a session; the others are files, whose own docstrings have prompts too."""
    blocks = re.findall(r"^```python\n(>>> .*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 2
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "CONTRIBUTING.md", str(GUIDE), 0)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    runner.run(examples)
    assert runner.failures == 0
    assert runner.tries >= 5


def run(commands: list[str], copy: Path, first: str = "dynamics.losses") -> None:
    """Run commands of the guide in forks, in the copy, whose modules are found before those of the checkout."""
    assert all(command.startswith("python -m ") for command in commands)
    rewritten = "-W ignore::pytest.PytestAssertRewriteWarning"  # plugins of pytest that are imported before it
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTEST_ADDOPTS": rewritten}
    words = [sys.executable, "-m", "tests.forks", first, *commands]
    done = subprocess.run(words, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the project."""
    return Path(shutil.copytree(ROOT, tmp_path / "project", ignore=NOT_COPIED))


@needs_signals
@pytest.mark.slow
def test_the_guide_ends_green(copy: Path) -> None:
    """The three sections are followed in one copy: no file belongs to two of them, so none helps another."""
    commands: list[str] = []
    touched: set[Path] = set()
    for section in ("A loss", "A claim", "A figure"):
        text = sections()[section]
        of_this = commands_of(text)
        assert len(of_this) >= 3
        assert any("pytest" in command for command in of_this)
        commands += of_this
        files = write(text, copy)
        assert not files & touched
        touched |= files
    run(commands, copy, "figures.catalog theory.catalog")


@needs_signals
@pytest.mark.slow
def test_a_wrong_derivative_ends_red(copy: Path) -> None:
    """Negative control, which also shows that the commands see the copy."""
    text = sections()["A loss"]
    wrong = text.replace("return -2 * (1 - margin)", "return -(1 - margin)")
    assert wrong != text
    write(wrong, copy)
    with pytest.raises(AssertionError, match="-k squared_hinge: exit code 1"):
        run(commands_of(wrong), copy)
