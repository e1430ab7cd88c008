"""What the tests of the command line share: a tiny model in a folder, a data set, and how to run a command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.optional import needs

needs("transformers")

import torch
from typer.testing import CliRunner, Result

from dynamics.__main__ import app
from tests.dynamics.language_model.saved import products, save_tiny, write_lines

runner = CliRunner(env={"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"})
ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "toy_models" / "multiplication" / "weights"
TEN = ROOT / "tests" / "dynamics" / "language_model" / "data" / "multiplication.jsonl"


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lines(tmp_path_factory.mktemp("data") / "pairs.jsonl", products(7))


def run(command: str, model: Path | str, data: Path | str, *options: object) -> Result:
    return runner.invoke(app, [command, "--model", str(model), "--data", str(data), *map(str, options)])


def refused(result: Result, words: str) -> None:
    """One line on stderr, nothing else that looks like a failure, exit code 2."""
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.output
