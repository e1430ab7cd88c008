"""The commands under hostile options: exit code 2, one line, no traceback, nothing left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from figures.__main__ import app as figures
from theory.__main__ import app as theory
from toy_models.multiplication.__main__ import app as multiplication

RUNNER = CliRunner(env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})
CLAIM, FIGURE = "jian2025.log-margin", "wipf2024-2"
BEYOND = "9" * 400
USAGE = "Usage:"  # typer's own refusals come with it


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder, beside one that holds a file."""
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "file").write_text("kept", encoding="utf-8")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def refused(app: typer.Typer, place: Path, *words: str) -> Result:
    """Run; check that it is refused as it should be, and that nothing was written."""
    result = RUNNER.invoke(app, [word.replace("GIVEN", str(place / "given")) for word in words])
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    lines = [line for line in result.output.splitlines() if line.strip()]
    assert "Traceback" not in result.output
    assert len(lines) == 1 or USAGE in result.output
    assert USAGE in result.output or lines[0].startswith("error ")
    files = sorted(path.relative_to(place).as_posix() for path in place.rglob("*"))
    assert files == ["given", "given/file", "here"]
    return result


@pytest.mark.parametrize(
    "words",
    [
        *(([key]) for key in ("ünï🦊", "[/red]", "[bold]x", "", "*nope*", "[!", "a\0b")),
        *((["--paper", name]) for name in ("ünï", "", "[/x]")),
        *((["--explain", name]) for name in ("", "[/x]", "nope")),
        *(([CLAIM, "--worlds", number]) for number in ("0", "-1", "x", "1.5", BEYOND)),
        *(([CLAIM, "--seed", number]) for number in ("-1", "nan", BEYOND)),
        *(([CLAIM, "--jobs", number]) for number in ("0", "-5", BEYOND)),
        *(
            [CLAIM, "--jobs", "1", option, path]
            for option in ("--json", "--markdown")
            for path in (
                "GIVEN",
                "GIVEN/file/x",
                "GIVEN/no/x",
                "GIVEN/" + "x" * 300,
                "/proc/no/x",
                "",
                "a\0b",
                "[/x]/y",
            )
        ),
        [CLAIM, "--jobs", "1", "--json", "good.json", "--markdown", "GIVEN/no/x"],
        ["--nope"],
    ],
)
def test_theory(words: list[str], place: Path) -> None:
    refused(theory, place, *words)


def test_theory_refuses_a_place_before_it_runs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: Any) -> None:
        raise AssertionError("it ran")

    monkeypatch.setattr("theory.__main__._run", run)
    refused(theory, place, CLAIM, "--json", "GIVEN/no/x")
    assert RUNNER.invoke(theory, [CLAIM, "--json", "good.json"]).exception.args == ("it ran",)


@pytest.mark.parametrize(
    "words",
    [
        *(([key]) for key in ("nope", "ünï🦊", "[/x]", "", "[!", "a\0b")),
        *(([FIGURE, "--jobs", number]) for number in ("0", "-5", "x", BEYOND)),
        *(
            ([FIGURE, "--out", path])
            for path in ("GIVEN/file", "GIVEN/file/x", "GIVEN/" + "x" * 300, "/proc/no", "a\0b")
        ),
        *((["--replay", path]) for path in ("GIVEN/nope.json", "GIVEN", "GIVEN/file", "a\0b", "")),
        [FIGURE, "--model", "no/[/x]"],
        [FIGURE, "--device", "quantum"],
        ["list", "nope"],
        ["gallery", "nope"],
    ],
)
def test_figures(words: list[str], place: Path) -> None:
    refused(figures, place, *words)


QUICK = ["--samples", "20", "--steps", "1"]


@pytest.mark.parametrize(
    "words",
    [
        ["train"],
        *((["train", "--out", "m", "--steps", number]) for number in ("0", "-1", "x")),
        ["train", "--out", "m", "--threads", "0"],
        ["train", "--out", "GIVEN/file"],
        *((["train", "--steps", "1", "--out", path]) for path in ("GIVEN/file/x", "/proc/no/x")),
        *((["probe", *QUICK, "--model", path]) for path in ("./nope", "GIVEN", "", "a\0b")),
        ["probe", *QUICK, "--device", "quantum"],
        *((["probe", "--steps", "1", "--samples", number]) for number in ("0", "-3")),
        *((["probe", *QUICK, "--beta", number]) for number in ("nan", "0", "-1", "inf")),
        *((["probe", *QUICK, "--method", name]) for name in ("nope", "[/x]")),
        ["probe", *QUICK, "--optimizer", "[/x]"],
        ["probe", *QUICK, "--rejected", "ünï"],
        ["probe", *QUICK, "--draws", "2", "--compare"],
        ["pair", "--steps", "0"],
        ["pair", "--steps", "1", "--beta", "nan"],
        ["nope"],
    ],
)
def test_multiplication(words: list[str], place: Path) -> None:
    pytest.importorskip("transformers")
    refused(multiplication, place, *words)


def test_the_checker_sees_what_is_wrong(place: Path) -> None:
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def main(how: str) -> None:
        if how == "writes":
            Path("half").write_text("", encoding="utf-8")
        if how == "fails":
            raise RuntimeError("deep inside")
        typer.echo("error x\nand more" if how == "chatters" else "error x")
        raise typer.Exit(0 if how == "shrugs" else 2)

    assert refused(app, place, "refuses").exit_code == 2
    for how in ("fails", "chatters", "shrugs", "writes"):
        with pytest.raises(AssertionError):
            refused(app, place, how)
