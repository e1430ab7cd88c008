"""The command ``python -m figures`` as a user meets it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure as Drawing
from typer.testing import CliRunner

from figures.__main__ import app
from figures.catalog import FIGURES
from figures.registry import Arrays, Figure, figure

Run = Callable[..., Any]
drawn: list[str] = []


def tiny(key: str, rises: bool = True) -> Figure:
    def compute(rises: bool = rises) -> Arrays:
        drawn.append(key)
        return {"y": np.array([0.0, 1.0 if rises else -1.0])}

    spec = figure(key, "a ramp", source="nowhere", caption="It rises.")(compute)

    @spec.check
    def ramp_rises(arrays: Arrays) -> bool:
        """The ramp rises [from 0 to 1]."""
        return bool(np.diff(arrays["y"])[0] > 0)

    @spec.draw
    def draw(arrays: Arrays) -> Drawing:
        drawing, axes = plt.subplots(figsize=(1, 1))
        axes.plot(arrays["y"])
        return drawing

    return spec


@pytest.fixture(autouse=True)
def two_figures() -> Iterator[None]:
    tiny("zz-1")
    tiny("zz-2")
    drawn.clear()
    yield
    for key in [key for key in FIGURES if key.startswith("zz")]:
        del FIGURES[key]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(*words: str, out: Path = tmp_path / "out") -> Any:
        return CliRunner().invoke(app, [*words, "--out", str(out)], catch_exceptions=False)

    return run


def test_list_names_every_figure_and_draws_none(run: Run, tmp_path: Path) -> None:
    result = run("list")
    assert result.exit_code == 0
    assert all(key in result.output for key in FIGURES)
    assert drawn == []
    assert not (tmp_path / "out").exists()


def test_list_is_one_line_a_figure_below_the_title_of_its_paper(run: Run) -> None:
    lines = run("list").output.splitlines()
    of = {key: [i for i, line in enumerate(lines) if line.split()[:1] == [key]] for key in FIGURES}
    assert all(len(found) == 1 for found in of.values())
    headings = [i for i, line in enumerate(lines) if not line.startswith("  ")]
    assert len(lines) == len(FIGURES) + len(headings)
    assert lines[0].startswith("Jian et al. 2025")
    for key, (i,) in of.items():
        heading = lines[max(place for place in headings if place < i)]
        assert heading.startswith({"feng2024": "Feng", "wipf2024": "Wipf", "new": "Not in"}.get(key.split("-")[0], ""))


def test_list_takes_globs(run: Run) -> None:
    result = run("list", "zz-*")
    assert result.exit_code == 0
    assert "zz-2" in result.output
    assert "feng2024" not in result.output
    assert run("list", "yy-*").exit_code == 2


def test_a_name_draws_that_figure_only(run: Run, tmp_path: Path) -> None:
    result = run("zz-2")
    assert result.exit_code == 0
    assert drawn == ["zz-2"]
    assert "1 drawn, 0 up to date, 0 failed" in result.output
    assert (tmp_path / "out" / "zz-2.png").exists()


def test_a_glob_draws_what_it_matches(run: Run) -> None:
    assert run("zz-*").exit_code == 0
    assert drawn == ["zz-1", "zz-2"]


def test_a_bare_star_draws_and_does_not_list(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in [key for key in FIGURES if not key.startswith("zz")]:
        monkeypatch.delitem(FIGURES, key)
    assert "2 drawn" in run("*").output
    assert drawn == ["zz-1", "zz-2"]


def test_no_name_draws_every_figure(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in [key for key in FIGURES if not key.startswith("zz")]:
        monkeypatch.delitem(FIGURES, key)
    assert "2 drawn" in run().output


def test_no_drawing_stays_open(run: Run) -> None:
    before = plt.get_fignums()
    run("zz-*")
    assert plt.get_fignums() == before


def test_a_second_run_draws_nothing(run: Run) -> None:
    run("zz-*")
    drawn.clear()
    result = run("zz-*")
    assert result.exit_code == 0
    assert drawn == []
    assert "0 drawn, 2 up to date, 0 failed" in result.output


def test_force_draws_what_is_up_to_date(run: Run) -> None:
    run("zz-1")
    assert "1 drawn, 0 up to date" in run("zz-1", "--force").output
    assert drawn == ["zz-1", "zz-1"]


def test_only_what_is_damaged_is_drawn_again(run: Run, tmp_path: Path) -> None:
    run("zz-*")
    (tmp_path / "out" / "zz-1.pdf").write_bytes(b"")
    drawn.clear()
    assert "1 drawn, 1 up to date" in run("zz-*").output
    assert drawn == ["zz-1"]
    assert (tmp_path / "out" / "zz-1.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("name", ["yy-1", "zz-1x", "[/zz]", "LIST"])
def test_an_unknown_name_says_what_is_allowed(name: str, run: Run, tmp_path: Path) -> None:
    result = run("zz-1", name)
    assert result.exit_code == 2
    assert f"names: got {name}; allowed:" in result.output
    assert result.output.count("\n") == 1
    assert all(key in result.output for key in FIGURES)
    assert drawn == []
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_is_refused_before_anything_is_computed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        result = run("zz-1", out=out)
        assert result.exit_code == 2
        assert f"cannot write to {out}" in result.output
    assert drawn == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(run: Run, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    result = run("zz-1", out=locked)
    assert result.exit_code == 2
    assert f"cannot write to {locked}" in result.output


def test_a_full_disk_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    result = run("zz-1")
    assert result.exit_code == 2
    assert "No space left on device" in result.output


def test_a_failing_check_is_told_and_drawn_again_every_time(run: Run) -> None:
    tiny("zz-3", rises=False)
    for _ in range(2):
        result = run("zz-*")
        assert result.exit_code == 1
        assert "FAILED zz-3" in result.output
        assert "0 of 1 checks" in result.output
        assert "not seen: The ramp rises [from 0 to 1]." in result.output
    assert "1 drawn, 2 up to date, 1 failed" in result.output
    assert drawn == ["zz-1", "zz-2", "zz-3", "zz-3"]


def test_a_figure_that_breaks_is_not_taken_for_done(run: Run, tmp_path: Path) -> None:
    def fail(arrays: Arrays) -> Drawing:
        raise RuntimeError("out of ink")

    FIGURES["zz-2"].drawers[0] = fail
    with pytest.raises(RuntimeError, match="out of ink"):
        run("zz-*")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"zz-1{suffix}" for suffix in (".json", ".npz", ".pdf", ".png")
    ]


def test_help_names_the_options(run: Run) -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "figures of the papers" in result.output


def test_without_transformers_the_figures_of_a_model_are_skipped_in_words(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("figures.__main__.find_spec", lambda name: None)
    result = run("zz-1", "jian2025-1-lm")
    assert result.exit_code == 0
    assert "skipped jian2025-1-lm: it needs the extra lm; pip install 'preference-dynamics[lm]'" in result.output
    assert drawn == ["zz-1"]


@pytest.mark.slow
def test_from_the_shell_another_process_draws_the_same_and_leaves_it_up_to_date(run: Run, tmp_path: Path) -> None:
    assert run("wipf2024-2", out=tmp_path).exit_code == 0
    arrays = (tmp_path / "wipf2024-2.npz").read_bytes()
    words = [sys.executable, "-m", "figures", "wipf2024-2", "--force", "--out", str(tmp_path)]
    shell = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (shell.returncode, shell.stderr) == (0, "")
    assert "1 drawn, 0 up to date, 0 failed" in shell.stdout
    assert (tmp_path / "wipf2024-2.npz").read_bytes() == arrays
    assert "0 drawn, 1 up to date, 0 failed" in run("wipf2024-2", out=tmp_path).output
