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


def follow(text: str, copy: Path) -> list[str]:
    """Do what a section says in a copy of the project; return the commands that were run, which must succeed."""
    commands = []
    for step in STEP.finditer(text):
        if step["commands"]:
            for line in step["commands"].splitlines():
                commands.append(line.removeprefix("$ "))
                run(commands[-1], copy)
            continue
        path = copy / (step["whole"] or step["part"])
        if step["what"] == "Write":
            assert not path.exists(), f"{path.name} is there already"
            path.write_text(step["code"], encoding="utf-8")
        elif step["what"]:
            path.write_text(path.read_text(encoding="utf-8") + "\n\n" + step["code"], encoding="utf-8")
        else:
            before = path.read_text(encoding="utf-8")
            assert before.count(step["line"] + "\n") == 1, f"{path.name} has not one line {step['line']!r}"
            path.write_text(before.replace(step["line"] + "\n", step["line"] + "\n" + step["code"]), encoding="utf-8")
    return commands


def test_the_examples_run() -> None:
    """Blocks that begin with a prompt are a session; the others are files, whose own docstrings have prompts too."""
    blocks = re.findall(r"^```python\n(>>> .*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 2
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "CONTRIBUTING.md", str(GUIDE), 0)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    runner.run(examples)
    assert runner.failures == 0
    assert runner.tries >= 5


def run(command: str, copy: Path) -> None:
    """Run a command of the guide in the copy, whose modules are found before those of the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    words = command.replace("python ", f"{sys.executable} ", 1).split()
    done = subprocess.run(words, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the project."""
    return Path(shutil.copytree(ROOT, tmp_path / "project", ignore=NOT_COPIED))


@pytest.mark.slow  # each section starts Python some four times
@pytest.mark.parametrize("section", ["A loss", "A claim", "A figure"])
def test_the_guide_ends_green(section: str, copy: Path) -> None:
    commands = follow(sections()[section], copy)
    assert len(commands) >= 3
    assert any("pytest" in command for command in commands)


@pytest.mark.slow
def test_a_wrong_derivative_ends_red(copy: Path) -> None:
    wrong = sections()["A loss"].replace("return -2 * (1 - margin)", "return -(1 - margin)")
    with pytest.raises(AssertionError, match="squared_hinge"):
        follow(wrong, copy)
