"""Drawing in one process or several, and again from a manifest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure as Drawing
from typer.testing import CliRunner

from dynamics import InvalidArgument
from figures.__main__ import app
from figures.catalog import FIGURES
from figures.regenerate import produce, regenerate, replay
from figures.registry import Arrays, Figure, figure, select_figures

slope = 1.0  # what the code does; another value stands for a change of the code


@pytest.fixture(autouse=True)
def ramp() -> Iterator[Figure]:
    @figure("zz-1", "a ramp", source="nowhere", caption="It rises.")
    def spec(model: str = "small", ends: tuple[tuple[float, ...], ...] = ((0.0, 1.0),)) -> Arrays:
        assert isinstance(ends, tuple)
        assert isinstance(ends[0], tuple)
        return {"y": slope * np.array(ends), "odd": np.array([np.nan, np.inf]), "word": np.array([model])}

    @spec.draw
    def _draw(arrays: Arrays) -> Drawing:
        return plt.figure(figsize=(1, 1))

    yield spec
    del FIGURES["zz-1"]


def test_a_replay_uses_the_settings_of_the_manifest(ramp: Figure, tmp_path: Path) -> None:
    produce(ramp.with_settings(ends=((0.0, 2.0), (1.0, 3.0)), model="large"), tmp_path / "old")
    found = replay(tmp_path / "old" / "zz-1.json", tmp_path / "new")
    assert found.same
    assert not found.differences
    assert not found.changed
    assert found.drawn.manifest["settings"] == {"model": "large", "ends": ((0.0, 2.0), (1.0, 3.0))}
    files = {path.name for path in (tmp_path / "new").iterdir()}
    assert files == {"zz-1.json", "zz-1.npz", "zz-1.png", "zz-1.pdf"}
    for name in files:
        assert (tmp_path / "new" / name).read_bytes() == (tmp_path / "old" / name).read_bytes()


def test_a_replay_sees_that_the_numbers_changed(ramp: Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    produce(ramp, tmp_path)
    monkeypatch.setitem(globals(), "slope", 1 + 2**-52)
    found = replay(tmp_path / "zz-1.json", tmp_path)
    assert not found.same
    assert found.differences == {"y": 2**-52}


def test_a_replay_tells_other_versions(ramp: Figure, tmp_path: Path) -> None:
    produce(ramp, tmp_path)
    path = tmp_path / "zz-1.json"
    manifest = json.loads(path.read_text())
    manifest["environment"]["numpy"] = "1.0"
    path.write_text(json.dumps(manifest))
    result = CliRunner().invoke(app, ["--replay", str(path), "--out", str(tmp_path / "new")])
    assert result.exit_code == 0
    assert "numpy: 1.0 then" in result.output
    assert "the same, bit for bit" in result.output


def test_a_replay_that_differs_exits_with_1(ramp: Figure, tmp_path: Path) -> None:
    produce(ramp, tmp_path)
    with (tmp_path / "zz-1.npz").open("wb") as file:
        np.savez_compressed(file, y=np.zeros((1, 2)), word=np.array(["small"]))
    result = CliRunner().invoke(app, ["--replay", str(tmp_path / "zz-1.json"), "--out", str(tmp_path / "new")])
    assert result.exit_code == 1
    assert "differs odd: by up to inf" in result.output
    assert "differs y: by up to 1" in result.output
    assert "same" not in result.output


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"key": "zz-1"}', '{"key": "zz-9", "settings": {}, "environment": {}, "files": {}}', "\0"],
)
def test_what_is_no_manifest_is_refused(ramp: Figure, tmp_path: Path, text: str) -> None:
    produce(ramp, tmp_path)
    shutil.copy(tmp_path / "zz-1.npz", tmp_path / "zz-9.npz")
    path = tmp_path / "bad.json"
    path.write_text(text)
    result = CliRunner().invoke(app, ["--replay", str(path), "--out", str(tmp_path / "new")])
    assert result.exit_code == 2
    assert result.output.startswith("error")
    assert not (tmp_path / "new").exists()


def test_arrays_are_never_unpickled(ramp: Figure, tmp_path: Path) -> None:
    produce(ramp, tmp_path)
    with (tmp_path / "zz-1.npz").open("wb") as file:
        np.savez_compressed(file, y=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InvalidArgument, match="manifest"):
        replay(tmp_path / "zz-1.json", tmp_path)


def test_unknown_settings_are_named(ramp: Figure) -> None:
    with pytest.raises(InvalidArgument, match="settings of zz-1: model, ends"):
        ramp.with_settings(colour="red")


def test_a_model_goes_to_the_figures_that_take_one(ramp: Figure, tmp_path: Path) -> None:
    def run(*words: str) -> Any:
        return CliRunner().invoke(app, [*words, "--out", str(tmp_path)])

    assert run("zz-1", "--model", "large").exit_code == 0
    assert json.loads((tmp_path / "zz-1.json").read_text())["settings"]["model"] == "large"
    assert "1 drawn" in run("zz-1").output, "with the default model it is another figure"
    result = run("wipf2024-2", "--model", "large")
    assert result.exit_code == 2
    assert "none of these figures takes a model" in result.output
    assert "zz-1" in result.output


@pytest.mark.slow
def test_two_processes_write_the_same_files_as_one(tmp_path: Path) -> None:
    chosen = select_figures(["sun2025-4", "wipf2024-2"])
    alone, together = (list(regenerate(chosen, tmp_path / str(jobs), jobs)) for jobs in (1, 2))
    assert {drawn.key for drawn in alone} == {drawn.key for drawn in together} == {"sun2025-4", "wipf2024-2"}
    paths = [path for path in (tmp_path / "1").iterdir() if path.suffix != ".json"]  # which names the commit of now
    assert len(paths) == 6
    for path in paths:
        assert path.read_bytes() == (tmp_path / "2" / path.name).read_bytes(), path.name
