"""Pictures in the format, width and typeface that a journal wants; tables as CSV and LaTeX; captions."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.animation import FuncAnimation
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from PIL import Image
from typer.testing import CliRunner

from dynamics import InvalidArgument
from figures.__main__ import app
from figures.export import Look, captions, parse_formats, to_csv, to_latex, write_gif
from figures.regenerate import produce, replay
from figures.registry import FIGURES, Arrays, Figure, figure
from figures.store import is_current
from figures.style import paper_style
from figures.ternary import to_plane
from tests.figures.computed import computed


@pytest.fixture
def ramp(monkeypatch: pytest.MonkeyPatch) -> Figure:
    """A figure that is a table too."""

    def compute() -> Arrays:
        return {"x": np.array([0.0, 1.5])}

    monkeypatch.setattr("figures.registry.FIGURES", FIGURES.copy())
    spec = figure("zz-export", "A ramp", source="nowhere", caption="It rises.", differs="It is ours.")(compute)

    @spec.tabulate
    def tabulate(arrays: Arrays) -> pd.DataFrame:
        return pd.DataFrame({"name & $x$": ["a_1", "b"], "value": arrays["x"]})

    @spec.draw
    def draw(arrays: Arrays) -> plt.Figure:
        drawing, axes = plt.subplots(figsize=(3.4, 1.7))
        axes.plot(arrays["x"])
        axes.set(title="plain words", xlabel=r"step $\beta$")
        return drawing

    return spec


def test_a_wide_svg_has_serif_text_that_is_text(ramp: Figure, tmp_path: Path) -> None:
    look = Look(("svg",), width=7.0, serif=True)
    produce(ramp, tmp_path, look)
    svg = (tmp_path / "zz-export.svg").read_text(encoding="utf-8")
    assert 'width="504pt"' in svg  # 7 in at 72 points each
    assert 'height="252pt"' in svg
    assert "STIXGeneral" in svg
    assert "plain words</text>" in svg  # words are words, which an editor can change
    assert not (tmp_path / "zz-export.png").exists()
    assert is_current(ramp, tmp_path, look)
    assert not is_current(ramp, tmp_path, Look(("svg",), width=7.0))  # the same without serifs is another picture
    assert not is_current(ramp, tmp_path)
    produce(ramp, tmp_path)
    plain = {path.suffix for path in tmp_path.iterdir()}
    assert plain == {".npz", ".png", ".pdf", ".json"}  # an SVG of another run does not stay beside this manifest


def test_the_same_look_gives_the_same_files(ramp: Figure, tmp_path: Path) -> None:
    look = Look(("svg", "pdf", "png"), serif=True)
    first, second = (produce(ramp, tmp_path / name, look).manifest["files"] for name in "ab")
    assert first == second


def test_a_figure_that_is_drawn_narrower_than_it_is_made_for_says_so(ramp: Figure, tmp_path: Path) -> None:
    assert produce(ramp, tmp_path, Look(width=3.3)).manifest["remark"] == ""
    assert (
        "made for 3.4 in; at 2 in its labels may touch" in produce(ramp, tmp_path, Look(width=2.0)).manifest["remark"]
    )


def test_tables_are_read_back_as_they_were() -> None:
    table = pd.DataFrame({"loss": ["DPO, SFT", "IPO"], r"$\beta$": [0.1, np.nan], "steps": [3, 40]})
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(to_csv(table))), table)
    lines = to_latex(table).splitlines()
    assert lines[2:-2] == [r"loss & $\beta$ & steps \\", r"\midrule", r"DPO, SFT & 0.1 & 3 \\", r"IPO & -- & 40 \\"]


def test_what_latex_would_misread_is_escaped_outside_mathematics_only() -> None:
    written = to_latex(pd.DataFrame({"a_b": ["50% & $x_1$"]}))
    assert r"a\_b" in written
    assert r"50\% \& $x_1$" in written


def test_every_table_of_the_registry_is_written(tmp_path: Path) -> None:
    tables = [spec for spec in FIGURES.values() if spec.tables]
    assert {"jian2025-tables-2-3", "sun2025-table-2"} <= {spec.key for spec in tables}


def test_captions_say_what_is_seen_and_what_differs(ramp: Figure, tmp_path: Path) -> None:
    written = captions([produce(ramp, tmp_path).manifest])
    assert "## zz-export\n\n**A ramp.** It rises.\n" in written
    assert "*Difference from print.* It is ours." in written


@pytest.mark.parametrize("words", ["bmp", "png,bmp", "", ","])
def test_an_unknown_format_is_refused_before_anything_is_drawn(words: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["wipf2024-2", "--format", words, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "formats: got" in result.output
    assert "png, pdf, svg, csv, tex, gif" in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("width", [0.0, -1.0, float("nan"), float("inf")])
def test_a_width_is_a_length(width: float) -> None:
    with pytest.raises(InvalidArgument, match="width: got"):
        Look(width=width)


def test_the_gallery_needs_png(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["gallery", "wipf2024-2", "--format", "svg", "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "png" in result.output


def test_from_one_command(tmp_path: Path) -> None:
    words = ["jian2025-tables-2-3", "--format", "svg,csv,tex", "--width", "7", "--serif", "--out", str(tmp_path)]
    assert CliRunner().invoke(app, words).exit_code == 0
    found = {path.name for path in tmp_path.iterdir()}
    key = "jian2025-tables-2-3"
    assert found == {f"{key}{suffix}" for suffix in (".svg", ".csv", ".tex", ".npz", ".json")} | {"captions.md"}


def test_formats_are_words_with_commas() -> None:
    assert parse_formats(" SVG,.pdf ,svg") == ("svg", "pdf")


def test_an_animation_is_written_and_goes_on_without_end(tmp_path: Path) -> None:
    drawing, axes = plt.subplots(figsize=(1, 1))
    (line,) = axes.plot([0, 1, 2])
    animation = FuncAnimation(drawing, lambda k: [line.set_data(range(k + 1), range(k + 1))], frames=[0, 1, 2, 2])
    write_gif(animation, tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.n_frames >= 3
        assert picture.info["loop"] == 0
    assert not plt.fignum_exists(drawing.number)


def test_a_figure_that_does_not_move_has_no_gif(ramp: Figure, tmp_path: Path) -> None:
    assert Look(("png", "gif")).suffixes(ramp) == (".npz", ".png")
    assert Look(("gif",)).suffixes(FIGURES["jian2025-1a"]) == (".npz", ".gif")
    assert Look(("csv",)).suffixes(FIGURES["jian2025-1a"]) == (".npz",)


@pytest.mark.parametrize("key", ["jian2025-1a", "new-replicator-simplex"])
def test_an_animation_begins_at_the_start_and_ends_with_all_that_the_figure_shows(key: str) -> None:
    arrays = computed(key)
    with paper_style():
        animation = FIGURES[key].animators[0](arrays)
    animation._draw_was_started = True  # it is not saved here, of which matplotlib would warn
    frames = list(animation.new_frame_seq())
    whole = arrays["log_probs"] if key == "jian2025-1a" else arrays["times"]
    assert frames[0] == 0
    assert frames[-1] == len(whole) - 1
    for frame in (frames[0], frames[len(frames) // 3], frames[-1]):
        artists = animation._func(frame)
        traces = [artist for artist in artists if isinstance(artist, Line2D) and artist.get_linestyle() == "-"]
        assert len(traces) == (3 if key == "jian2025-1a" else 18)
        assert {len(trace.get_xdata()) for trace in traces} == {frame + 1}
    if key == "jian2025-1a":
        seen = [trace.get_ydata() for trace in traces]
        np.testing.assert_array_equal(seen, arrays["log_probs"].T)
        heights = [artist.get_height() for artist in artists if isinstance(artist, Rectangle)]
        np.testing.assert_array_equal(heights, np.exp(arrays["log_probs"][-1]))
    else:
        paths = np.concatenate([to_plane(np.exp(arrays[f"{name}_paths"])) for name in ("all", "one", "cycle")])
        np.testing.assert_array_equal([trace.get_xydata() for trace in traces], paths)
    plt.close(animation._fig)


def test_a_replay_is_written_in_the_formats_of_the_run(ramp: Figure, tmp_path: Path) -> None:
    produce(ramp, tmp_path, Look(("svg", "csv"), width=5.0, serif=True))
    found = replay(tmp_path / "zz-export.json", tmp_path)
    assert found.same
    assert {path.suffix for path in tmp_path.iterdir()} == {".npz", ".svg", ".csv", ".json"}
    assert found.drawn.manifest["look"] == {"formats": ("svg", "csv"), "width": 5.0, "serif": True}


def test_every_figure_of_a_table_is_a_table() -> None:
    import figures.catalog  # noqa: F401 - registers all figures

    without = [key for key, spec in FIGURES.items() if "table" in key and key != "new-sign-table" and not spec.tables]
    assert without == []
