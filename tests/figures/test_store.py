"""Files are whole or absent, and what is up to date is known to be so."""

import hashlib
import json
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure as Drawing

from figures import store
from figures.registry import Arrays, Figure
from figures.store import environment, fingerprint, is_current, save


def tiny(height: float = 1.0, rises: bool = True) -> Figure:
    def compute(height: float = height, rises: bool = rises) -> Arrays:
        return {"y": np.linspace(0.0, height if rises else -height, 3), "word": np.array(["a", "b"])}

    spec = Figure("zz-1", "a ramp", "nowhere, Figure 1", "It rises.", "It is ours.", ("zz.ramp",), compute)

    @spec.check
    def ramp_rises(arrays: Arrays) -> bool:
        """It rises."""
        return bool((np.diff(arrays["y"]) > 0).all())

    @spec.check
    def starts_at_zero(arrays: Arrays) -> bool:
        """It starts at 0."""
        return bool(arrays["y"][0] == 0)

    return spec


def drawn() -> Drawing:
    drawing, axes = plt.subplots(figsize=(1, 1))
    axes.plot([0, 1])
    plt.close(drawing)
    return drawing


def put(spec: Figure, folder: Path) -> dict:
    return save(spec, spec.compute(), drawn(), folder)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_four_files_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    put(tiny(), folder)
    assert names(folder) == ["zz-1.json", "zz-1.npz", "zz-1.pdf", "zz-1.png"]
    assert (folder / "zz-1.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "zz-1.pdf").read_bytes().startswith(b"%PDF")


def test_the_arrays_come_back(tmp_path: Path) -> None:
    put(tiny(), tmp_path)
    with np.load(tmp_path / "zz-1.npz", allow_pickle=False) as stored:
        assert sorted(stored) == ["word", "y"]
        assert stored["y"].tolist() == [0.0, 0.5, 1.0]
        assert stored["y"].dtype == np.float64


def test_the_manifest_says_what_made_the_files(tmp_path: Path) -> None:
    returned = put(tiny(), tmp_path)
    manifest = json.loads((tmp_path / "zz-1.json").read_text())
    assert manifest == json.loads(json.dumps(returned))
    expected = {
        "key": "zz-1",
        "title": "a ramp",
        "source": "nowhere, Figure 1",
        "caption": "It rises.",
        "differs": "It is ours.",
        "claims": ["zz.ramp"],
        "settings": {"height": 1.0, "rises": True},
        "checks": {"ramp_rises": True, "starts_at_zero": True},
        "must be seen": {"ramp_rises": "It rises.", "starts_at_zero": "It starts at 0."},
        "environment": environment(),
        "look": {"formats": ["png", "pdf"], "width": None, "serif": False},
        "remark": "",
        "panels": [],
        "fingerprint": fingerprint(tiny()),
    }
    files = manifest.pop("files")
    assert manifest == expected
    assert files == {
        name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        for name in names(tmp_path)
        if "json" not in name
    }


def test_the_environment_names_versions_and_commit() -> None:
    found = environment()
    assert found["numpy"] == np.__version__
    assert found.keys() >= {"python", "platform", "commit", "scipy", "torch", "matplotlib", "sympy"}
    assert re.fullmatch(r"[0-9a-f]{40}\+?|unknown \(not a git checkout\)", found["commit"])


def test_without_git_the_commit_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object, **__: object) -> None:
        raise FileNotFoundError("git")

    def refuses(*_: object, **__: object) -> None:
        raise subprocess.CalledProcessError(128, "git")

    for run in (absent, refuses):
        monkeypatch.setattr(subprocess, "run", run)
        assert store._commit().startswith("unknown")


def test_a_second_run_writes_the_same_bytes(tmp_path: Path) -> None:
    put(tiny(), tmp_path / "one")
    put(tiny(), tmp_path / "two")
    for name in names(tmp_path / "one"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_what_was_saved_is_current(tmp_path: Path) -> None:
    assert not is_current(tiny(), tmp_path / "never-made")
    put(tiny(), tmp_path)
    assert is_current(tiny(), tmp_path)


def test_other_settings_are_not_current(tmp_path: Path) -> None:
    put(tiny(height=1.0), tmp_path)
    assert not is_current(tiny(height=2.0), tmp_path)


def test_other_versions_and_other_code_are_not_current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tiny(), tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(store, "environment", lambda: {**environment(), "numpy": "0.1"})
        assert not is_current(tiny(), tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(store, "_sources", lambda: "other code")
        assert not is_current(tiny(), tmp_path)
    with monkeypatch.context() as patch:  # a commit alone changes no number
        patch.setattr(store, "environment", lambda: {**environment(), "commit": "another"})
        assert is_current(tiny(), tmp_path)


def test_the_digest_of_the_code_follows_every_source_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = ("dynamics", "theory", "toy_models", "figures")
    for name in packages:
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text("")
    monkeypatch.setattr(
        store.sys, "modules", {n: SimpleNamespace(__file__=str(tmp_path / n / "__init__.py")) for n in packages}
    )
    seen = [store._sources.__wrapped__()]
    for change in ("dynamics/__init__.py", "theory/deep/new.py", "toy_models/deep/new.py", "figures/paper.mplstyle"):
        (tmp_path / change).write_text("x = 1\n")
        seen.append(store._sources.__wrapped__())
    (tmp_path / "figures" / "notes.txt").write_text("not code")
    assert len(set(seen)) == len(seen)
    assert store._sources.__wrapped__() == seen[-1]


@pytest.mark.parametrize("suffix", [".npz", ".png", ".pdf", ".json"])
def test_a_missing_file_is_not_current(suffix: str, tmp_path: Path) -> None:
    put(tiny(), tmp_path)
    (tmp_path / f"zz-1{suffix}").unlink()
    assert not is_current(tiny(), tmp_path)


@pytest.mark.parametrize("suffix", [".npz", ".png", ".pdf"])
def test_one_wrong_byte_is_not_current(suffix: str, tmp_path: Path) -> None:
    put(tiny(), tmp_path)
    path = tmp_path / f"zz-1{suffix}"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert not is_current(tiny(), tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"files": 3}', '{"files": []}', "\udcff"])
def test_a_manifest_that_makes_no_sense_is_not_current(text: str, tmp_path: Path) -> None:
    put(tiny(), tmp_path)
    (tmp_path / "zz-1.json").write_bytes(text.encode(errors="surrogateescape"))
    assert not is_current(tiny(), tmp_path)


def test_a_manifest_that_leaves_a_file_out_is_not_current(tmp_path: Path) -> None:
    manifest = put(tiny(), tmp_path)
    del manifest["files"]["zz-1.png"]
    (tmp_path / "zz-1.json").write_text(json.dumps(manifest))
    assert not is_current(tiny(), tmp_path)


def test_a_figure_that_failed_its_check_is_written_but_never_current(tmp_path: Path) -> None:
    manifest = put(tiny(rises=False), tmp_path)
    assert manifest["checks"] == {"ramp_rises": False, "starts_at_zero": True}
    assert len(names(tmp_path)) == 4
    assert not is_current(tiny(rises=False), tmp_path)


@pytest.mark.parametrize("fails_at", [".png", ".pdf"])
def test_a_drawing_that_fails_leaves_no_manifest_and_no_scraps(fails_at: str, tmp_path: Path) -> None:
    put(tiny(), tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    drawing = drawn()

    def fail(path: Path, **keywords: object) -> None:
        path.write_bytes(b"half")
        if path.suffix == fails_at:
            raise RuntimeError("out of ink")
        Drawing.savefig(drawing, path, **keywords)

    drawing.savefig = fail
    with pytest.raises(RuntimeError, match="out of ink"):
        save(tiny(), tiny().compute(), drawing, tmp_path)
    assert names(tmp_path) == ["zz-1.npz", "zz-1.pdf", "zz-1.png"]
    assert (tmp_path / f"zz-1{fails_at}").read_bytes() == before[f"zz-1{fails_at}"]
    assert not is_current(tiny(), tmp_path)


def test_a_check_that_raises_leaves_no_manifest(tmp_path: Path) -> None:
    spec = tiny()

    @spec.check
    def breaks(arrays: Arrays) -> bool:
        """It looks for what is not there."""
        return bool(arrays["absent"])

    with pytest.raises(KeyError):
        put(spec, tmp_path)
    assert "zz-1.json" not in names(tmp_path)
    assert not is_current(spec, tmp_path)
