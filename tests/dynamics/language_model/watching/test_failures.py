"""What goes wrong in a watched run does not end the training."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import torch

from dynamics import InvalidArgument
from dynamics.language_model import DynamicsCallback
from dynamics.language_model.watching import callback as callback_module, watch as watch_module
from dynamics.language_model.watching.beside import first_problem
from dynamics.language_model.watching.looks import Scores
from dynamics.language_model.watching.panel import GREEDY
from dynamics.language_model.watching.run_log import RunLog, append
from dynamics.language_model.watching.watch import _mass_outside
from tests.dynamics.language_model.watching.runs import build, run, same_weights
from tests.optional import needs

needs("trl", "accelerate")
pytestmark = pytest.mark.filterwarnings("ignore")  # of TRL, accelerate and transformers

CHEAP: dict[str, Any] = {"probes": 2, "panel": (), "drives_every": 0, "sample": 0}


def failing(name: str, when: Any) -> Any:
    """Return a patch of a function that measures probes: it fails on those of which ``when(probes)`` is true."""
    original = getattr(watch_module, name)

    def measure(*given: Any) -> Any:
        if when(next(one for one in given if isinstance(one, list))):
            raise MemoryError("no room")
        return original(*given)

    return patch.object(watch_module, name, measure)


def test_a_look_that_fails_is_recorded_and_the_training_goes_on(tmp_path: Path) -> None:
    trainer, watch = build(tmp_path / "a", watch={}, bf16=False)
    with failing("score_probes", lambda _: trainer.state.global_step == 2):
        trainer.train()
    log = watch.read()
    assert log.problems == ["step 2: MemoryError: no room"]
    assert [look["step"] for look in log.looks] == [4, 6]
    assert "no room" in watch.page.read_text()
    alone = run(tmp_path / "b", bf16=False)
    assert all(torch.equal(value, alone.weights[name]) for name, value in trainer.model.state_dict().items())


def test_a_probe_that_fails_takes_no_other_along(tmp_path: Path) -> None:
    """Of one probe nothing can be measured; the others are the same as without it."""
    whole = run(tmp_path / "a", watch={}, bf16=False).watch
    name = whole.read().run["names"][1]

    def it_is_there(probes: Any) -> bool:
        return any(probe.name == name for probe in probes)

    with failing("score_probes", it_is_there), failing("probe_drives", it_is_there), failing("run_slopes", it_is_there):
        watch = run(tmp_path / "b", watch={}, bf16=False).watch
    log, other = watch.read(), whole.read()
    rest = [0, 2, 3, 4]
    for ours, theirs in zip([log.start, *log.looks], [other.start, *other.looks], strict=True):
        for role, values in ours["log_probs"].items():
            assert values[1] is None
            assert [values[n] for n in rest] == pytest.approx([theirs["log_probs"][role][n] for n in rest], abs=1e-5)
    assert log.audit["pairs"][1] == {}
    assert log.prediction["slope"]["chosen"][1] is None
    assert f"step 0: {name}: no drives: MemoryError: no room" in log.problems
    assert f"step 6: {name}: MemoryError: no room" in log.problems
    assert len(watch.table().splitlines()) == len(whole.table().splitlines()) - 1
    assert watch.page.read_text().count("<circle") == 4


def test_a_greedy_response_that_fails_takes_no_other_along(tmp_path: Path) -> None:
    watch = build(tmp_path, watch={"panel": (GREEDY,)})[1]._watch
    watch.prepare()
    wanted, prompt = watch.probes, watch._bare[1].chosen.prompt
    original = watch_module.greedy_responses

    def decode(model: Any, prompts: Any, *more: Any) -> Any:
        if prompt in prompts:
            raise MemoryError("no room")
        return original(model, prompts, *more)

    with patch.object(watch_module, "greedy_responses", decode):
        watch.prepare()
    assert [GREEDY in probe.responses for probe in watch.probes] == [
        GREEDY in p.responses and n != 1 for n, p in enumerate(wanted)
    ]
    assert watch.describe()["left_out"] == [f"{watch.names[1]}: no greedy response: MemoryError: no room"]
    with patch.object(watch_module, "greedy_responses", side_effect=MemoryError("no room")):
        watch.prepare()
    assert watch.describe()["left_out"][-1] == "no greedy responses: MemoryError: no room"


def test_without_drives_the_log_probabilities_are_watched(tmp_path: Path) -> None:
    trainer, watch = build(tmp_path, watch={}, bf16=False)
    with failing("probe_drives", lambda _: True):
        trainer.train()
    log = watch.read()
    assert log.audit is None
    assert log.drives == []
    assert [look["step"] for look in log.looks] == [2, 4, 6]
    assert log.problems == [f"step {step}: no drives: MemoryError: no room" for step in (0, 4)]
    assert "were predicted to" in watch.table()


def test_if_nothing_can_be_measured_before_training_it_runs_unwatched(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with failing("score_probes", lambda _: True):
        watched = run(tmp_path / "a", watch={}, bf16=False)
    assert "nothing is watched in this run: MemoryError: no room" in caplog.text
    assert not watched.watch.path.exists()
    assert watched.watch.table() == "there is no run yet"
    assert same_weights(run(tmp_path / "b", bf16=False), watched)


@pytest.mark.parametrize("problem", [OSError(28, "No space left"), InvalidArgument("path", "another process")])
def test_a_file_that_cannot_be_written_does_not_end_the_training(
    problem: Exception, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with patch.object(callback_module, "append", side_effect=problem):
        watched = run(tmp_path, watch=CHEAP, max_steps=2, bf16=False)
    assert watched.trainer.state.global_step == 2
    assert f"watch.jsonl was not written: {problem}" in caplog.text


def test_a_run_whose_beginning_was_not_written_adds_nothing_to_an_earlier_one(tmp_path: Path) -> None:
    watch = build(tmp_path, watch=CHEAP)[1]
    watch._append({"kind": "run", "number": 1})
    with patch.object(callback_module, "append", side_effect=OSError(28, "No space left")):
        watch._append({"kind": "run", "number": 2})
    watch._append({"kind": "look", "step": 2})
    assert watch.read() == RunLog({"kind": "run", "number": 1})
    watch._append({"kind": "run", "number": 3})
    watch._append({"kind": "look", "step": 2})
    assert len(watch.read().looks) == 1


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


def test_a_collator_that_draws_does_not_move_the_training(tmp_path: Path) -> None:
    trainer, _ = build(tmp_path)
    plain, calls = trainer.data_collator, []

    def drawing(rows: Any) -> Any:
        calls.append(torch.rand(1))
        return plain(rows)

    trainer.data_collator = drawing
    before = torch.random.get_rng_state()
    DynamicsCallback(trainer, panel=())
    assert calls
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_mass_outside_of_what_is_not_finite_is_no_number(tmp_path: Path) -> None:
    watch = build(tmp_path, watch={"panel": ()})[1]._watch
    assert math.isnan(_mass_outside(watch._bare[0], Scores({"chosen": math.nan, "rejected": -1.0}, 1.0)))


def reason(watch: Any) -> str:
    """Return why there is no prediction, of a watch that is as far as the prediction."""
    watch._trainer.create_optimizer()
    watch.prepare()
    found = watch.predict(6, "")
    assert list(found) == ["reason"]
    return str(found["reason"])


@pytest.mark.parametrize("name", ["run_direction", "run_slopes", "draw_rows"])
def test_a_prediction_that_fails_has_a_reason(name: str, tmp_path: Path) -> None:
    watch = build(tmp_path, watch={"panel": ()})[1]._watch
    with patch.object(watch_module, name, side_effect=torch.OutOfMemoryError("CUDA out of memory")):
        assert reason(watch) == "OutOfMemoryError: CUDA out of memory"


def test_weights_that_are_not_finite_have_no_prediction(tmp_path: Path) -> None:
    watch = build(tmp_path, watch={"panel": ()})[1]._watch
    with torch.no_grad():
        next(watch._model.parameters()).fill_(math.nan)
    assert reason(watch)


def test_every_process_hears_of_the_problem_of_one() -> None:
    with patch("accelerate.utils.gather_object", side_effect=lambda mine: ["", *mine, "another"]):
        assert first_problem("no room", 2) == "no room"
        assert first_problem("", 2) == "another"


def test_only_the_first_process_reads_what_a_run_resumes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    watch = build(tmp_path, watch=CHEAP)[1]
    append(watch.path, {"kind": "run", "probes": []})
    log = watch._earlier()
    assert log == RunLog({"kind": "run", "probes": []})
    accelerator = SimpleNamespace(num_processes=2, process_index=1)
    other = SimpleNamespace(is_world_process_zero=lambda: False, accelerator=accelerator)
    with (
        patch.object(watch, "_trainer", other),
        patch("accelerate.utils.broadcast_object_list", side_effect=lambda given: [log] if given == [None] else given),
    ):
        assert watch._earlier() == log
    for damaged in ("{}\n", "nothing\n", "[]\n"):
        watch.path.write_text(damaged)
        assert watch._earlier() is None
    assert caplog.text.count("is damaged, so a new run begins") == 3
