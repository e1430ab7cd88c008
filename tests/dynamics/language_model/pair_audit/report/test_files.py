"""Numbers and pictures of a report as files: what stands in them, and what is shown of many pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from dynamics import InvalidArgument
from dynamics.language_model.pair_audit.report.files import MOST, picture_of_pairs, write_files
from dynamics.language_model.pair_audit.report.page import write_report
from dynamics.language_model.pair_audit.results.store import Results

SVG = "{http://www.w3.org/2000/svg}"


def record(row: int, change: float, cosine: float | None = 0.5) -> dict[str, Any]:
    ratio = {"norm_chosen": 1.0, "norm_rejected": 2.0 if change < 0 else 0.5}
    others = {"own_rejected_change": -1.0, "sft_weight": 0.0, "tokens_chosen": 3, "tokens_rejected": 4}
    known = {"row": row, "digest": "", "own_chosen_change": change, "displaced": change < 0, "cosine": cosine}
    return {**known, **ratio, **others}


def results_of(folder: Path, records: list[dict[str, Any]]) -> Results:
    results = Results(folder / "out.jsonl")
    with results.begin({}), results.writer() as append:
        append(records)
    results.write_summary({"audited": sum("skipped" not in record for record in records)})
    return results


def test_results_whose_lines_do_not_agree_with_the_summary_are_refused(tmp_path: Path) -> None:
    results = results_of(tmp_path, [record(0, -1.0), record(1, 2.0)])
    assert write_files(results, tmp_path)
    results.path.write_bytes(results.path.read_bytes().splitlines(keepends=True)[0])
    told = "holds 1 audited pairs, but its summary says 2: .* run the same pairs command again"
    with pytest.raises(InvalidArgument, match=told):
        write_files(results, tmp_path)
    with pytest.raises(InvalidArgument, match=told):
        write_report(results, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_arrays_and_pictures_hold_what_the_results_hold(tmp_path: Path) -> None:
    rows = [record(0, -1.0, 0.9), record(1, 2.0), {"row": 2, "digest": "", "skipped": "broken"}, record(3, 3.0, None)]
    written = write_files(results_of(tmp_path, rows), tmp_path)
    assert [path.name for path in written] == ["arrays.npz", "pairs.svg", "own_step.svg"]
    with np.load(tmp_path / "arrays.npz") as arrays:
        assert arrays["row"].tolist() == [0, 1, 3]
        assert arrays["own_chosen_change"].tolist() == [-1.0, 2.0, 3.0]
        assert arrays["flags"].tolist() == [1, 0, 0]
    circles = list(ElementTree.parse(tmp_path / "pairs.svg").iter(f"{SVG}circle"))
    assert len(circles) == 2  # the third has no cosine
    assert len({circle.get("fill") for circle in circles}) == 2
    texts = [text.text for text in ElementTree.parse(tmp_path / "own_step.svg").iter(f"{SVG}text")]
    assert any(str(text).startswith("1 of 3 fall") for text in texts)


def test_the_border_is_where_the_cosine_is_the_ratio() -> None:
    columns = {"cosine": np.array([0.5, 0.5]), "norm_ratio": np.array([0.499, 0.501]), "flags": np.array([1, 0])}
    root = ElementTree.fromstring(picture_of_pairs(columns))
    below, above = sorted((float(c.get("cy", 0)) for c in root.iter(f"{SVG}circle")), reverse=True)
    line = next(root.iter(f"{SVG}polyline")).get("points", "")
    points = np.array([[float(v) for v in point.split(",")] for point in line.split()])
    at = float(np.interp(330.0, points[:, 0], points[:, 1]))  # x of a cosine of 0.5
    assert above < at < below or abs(above - at) < 1.0 > abs(below - at)


def test_of_many_pairs_all_displaced_ones_are_shown() -> None:
    count = 3 * MOST
    flags = np.zeros(count, "u1")
    flags[-7:] = 1
    columns = {"cosine": np.full(count, 0.5), "norm_ratio": np.full(count, 1.0), "flags": flags}
    text = picture_of_pairs(columns)
    assert text.count("<circle") == MOST
    assert text.count("#b3460f") == 7 + 1  # and the line
    assert f"{MOST} of {count} pairs" in text


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    results = results_of(tmp_path, [record(0, 1.0)])
    assert write_files(results, tmp_path / "new")[0] == tmp_path / "new" / "arrays.npz"
    (tmp_path / "nowhere").touch()
    with pytest.raises(InvalidArgument, match=r"no folder \S+nowhere can be made \(File exists\)"):
        write_files(results, tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InvalidArgument, match="holds no audited pair"):
        write_files(results_of(empty, [{"row": 0, "digest": "", "skipped": "broken"}]), tmp_path)
