"""What goes wrong in a watched run does not end the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from dynamics import InvalidArgument
from dynamics.language_model.watching import callback as callback_module
from tests.dynamics.language_model.watching.runs import run
from tests.optional import needs

needs("trl", "accelerate")
pytestmark = pytest.mark.filterwarnings("ignore")  # of TRL, accelerate and transformers

CHEAP: dict[str, Any] = {"probes": 2, "panel": (), "drives_every": 0, "sample": 0}


@pytest.mark.parametrize("problem", [OSError(28, "No space left"), InvalidArgument("path", "another process")])
def test_a_file_that_cannot_be_written_does_not_end_the_training(
    problem: Exception, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with patch.object(callback_module, "append", side_effect=problem):
        watched = run(tmp_path, watch=CHEAP, max_steps=2, bf16=False)
    assert watched.trainer.state.global_step == 2
    assert f"watch.jsonl was not written: {problem}" in caplog.text


def test_a_page_that_cannot_be_made_does_not_end_the_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with patch.object(callback_module, "write_page", side_effect=OSError(28, "No space left")):
        run(tmp_path, watch=CHEAP, max_steps=2, bf16=False)
    assert "no page: OSError: " in caplog.text
