"""Who a process is; that two of them share the work is tested on the command line."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dynamics import InvalidArgument
from dynamics.language_model.pair_audit.results import processes
from dynamics.language_model.pair_audit.results.processes import Processes, join_processes


def launched(monkeypatch: pytest.MonkeyPatch, promised: int, joined: int, wait: Any = None) -> dict[str, Any]:
    """Take the place of a launcher and of accelerate; returns what accelerate is asked for."""
    asked: dict[str, Any] = {}

    def partial_state(**options: Any) -> SimpleNamespace:
        asked.update(options)
        place = {"process_index": 1, "num_processes": joined, "device": "cpu"}
        return SimpleNamespace(**place, wait_for_everyone=wait, destroy_process_group=lambda: None)

    monkeypatch.setenv("WORLD_SIZE", str(promised))
    monkeypatch.setattr(processes, "require", lambda name: SimpleNamespace(PartialState=partial_state))
    return asked


def test_without_a_launcher_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join_processes() == Processes()


def test_a_launched_process_knows_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = launched(monkeypatch, 2, 2)
    found = join_processes("cpu")
    assert (found.rank, found.count, found.device, asked["cpu"]) == (1, 2, "cpu", True)


def test_processes_that_each_take_themselves_for_the_only_one_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    launched(monkeypatch, 2, 1)
    with pytest.raises(InvalidArgument, match="announces 2 processes, but only 1"):
        join_processes()


def test_a_process_that_waits_for_one_that_is_gone_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed() -> None:
        raise RuntimeError("Connection closed by peer")

    launched(monkeypatch, 2, 2, closed)
    with pytest.raises(InvalidArgument, match="another process has ended"):
        join_processes().wait()
