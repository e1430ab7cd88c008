"""What goes wrong in a watched run does not end the training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from dynamics import InvalidArgument
from dynamics.language_model.watching import callback as callback_module
from dynamics.language_model.watching.looks import Scores
from dynamics.language_model.watching.panel import GREEDY
from dynamics.language_model.watching.run_log import RunLog
from dynamics.language_model.watching.watch import _mass_outside
from tests.dynamics.language_model.watching.runs import build, run
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


def test_the_greedy_responses_of_other_probes_are_not_used(tmp_path: Path) -> None:
    """A run that resumes with another seed watches other prompts than the log tells of."""
    made = [build(tmp_path, watch={"panel": (GREEDY,), "seed": seed})[1]._watch for seed in (0, 1, 0)]
    for watch in made[:2]:
        watch.prepare()
    log = RunLog(made[0].describe())
    wanted = made[1].probes
    made[1].prepare(log)
    assert made[1].probes == wanted
    assert all(s.prompt == probe.chosen.prompt for probe in made[1].probes for s in probe.responses.values())
    with patch("dynamics.language_model.watching.watch.greedy_responses", side_effect=AssertionError):
        made[2].prepare(log)  # the same probes: nothing is decoded
    assert made[2].probes == made[0].probes


def test_the_mass_outside_of_what_is_not_finite_is_no_number(tmp_path: Path) -> None:
    watch = build(tmp_path, watch={"panel": ()})[1]._watch
    assert math.isnan(_mass_outside(watch._bare[0], Scores({"chosen": math.nan, "rejected": -1.0}, 1.0)))
