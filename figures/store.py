"""Figures on disk: arrays, PNG, PDF and a manifest; each file is written completely or not at all."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dynamics.files import write_atomically
from figures.export import ANIMATIONS, PICTURES, TABLES, Look, to_csv, to_latex, write_gif
from figures.panels import panel_boxes
from figures.registry import Arrays, Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

LIBRARIES = ("numpy", "scipy", "torch", "matplotlib", "sympy")
OPTIONAL_LIBRARIES = ("transformers", "peft")  # the extra lm
DEFAULT = Look()
METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    ".svg": {"Date": None, "Creator": None},
}
"""What is left out of pictures, so that the same figure is the same file."""


@cache
def environment() -> dict[str, str]:
    """Return the versions that the numbers depend on, and the git commit (with + if there were uncommitted changes)."""
    found = {name: version(name) for name in LIBRARIES}
    for name in OPTIONAL_LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return {"python": platform.python_version(), **found, "platform": platform.platform(), "commit": _commit()}


def _commit() -> str:
    root = Path(__file__).parent.parent

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # an installed copy may lie inside another repository; only this project's own tracks this file
        git("ls-files", "--error-unmatch", str(Path(__file__)))
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown (not a git checkout)"


@cache
def _sources() -> str:
    """Return a digest of the code and weights of the four packages, any change of which may change a figure."""
    digest = hashlib.sha256()
    for package in ("dynamics", "theory", "toy_models", "figures"):
        folder = Path(sys.modules[package].__file__ or "").parent if package in sys.modules else None
        folder = folder or Path(__file__).parent.parent / package
        patterns = ("*.py", "*.mplstyle", "*.safetensors")
        for path in sorted(path for pattern in patterns for path in folder.rglob(pattern)):
            digest.update(path.relative_to(folder.parent).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def fingerprint(spec: Figure, look: Look = DEFAULT) -> str:
    """Return a digest of all that determines a figure: its settings, its look, the code, the versions of libraries."""
    versions = {name: value for name, value in environment().items() if name != "commit"}
    parts = json.dumps([spec.key, spec.settings, asdict(look), versions, _sources()], sort_keys=True, default=str)
    return hashlib.sha256(parts.encode()).hexdigest()


def is_current(spec: Figure, folder: Path, look: Look = DEFAULT) -> bool:
    """Return whether the files in ``folder`` are complete, passed their checks and come from the present code."""
    try:
        manifest = json.loads((folder / f"{spec.key}.json").read_text(encoding="utf-8"))
        files = manifest["files"]
        return (
            manifest["fingerprint"] == fingerprint(spec, look)
            and all(manifest["checks"].values())
            and sorted(files) == sorted(spec.key + suffix for suffix in look.suffixes(spec))
            and all(_digest(folder / name) == digest for name, digest in files.items())
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def save(spec: Figure, arrays: Arrays, drawing: Drawing, folder: Path, look: Look = DEFAULT) -> dict[str, Any]:
    """Write arrays, pictures and tables, and the manifest last; return the manifest.

    The manifest of an older run is removed first, and so are its files in formats that are not written now, so that
    files are never beside the manifest of other files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    manifest_path = folder / f"{spec.key}.json"
    manifest_path.unlink(missing_ok=True)
    paths = {suffix: folder / (spec.key + suffix) for suffix in look.suffixes(spec)}
    for name in (*PICTURES, *TABLES, *ANIMATIONS):
        if f".{name}" not in paths:
            (folder / f"{spec.key}.{name}").unlink(missing_ok=True)
    remark = look.apply(drawing)
    write_atomically(paths[".npz"], lambda path: np.savez_compressed(path, **arrays))  # type: ignore[arg-type]
    for suffix, metadata in METADATA.items():
        if suffix in paths:
            write_atomically(paths[suffix], partial(drawing.savefig, metadata=metadata))
    for suffix, write in ((".csv", to_csv), (".tex", to_latex)):
        if suffix in paths:
            write_atomically(paths[suffix], partial(Path.write_bytes, data=write(spec.tables[0](arrays)).encode()))
    if ".gif" in paths:
        write_atomically(paths[".gif"], partial(write_gif, spec.animators[0](arrays)))
    failed = {check.name for check in spec.failures(arrays)}
    manifest = {
        "key": spec.key,
        "title": spec.title,
        "source": spec.source,
        "caption": spec.caption,
        "differs": spec.differs,
        "claims": spec.claims,
        "settings": spec.settings,
        "look": asdict(look),
        "remark": remark,
        "panels": panel_boxes(drawing),
        "checks": {check.name: check.name not in failed for check in spec.checks},
        "must be seen": {check.name: check.says for check in spec.checks},
        "environment": environment(),
        "fingerprint": fingerprint(spec, look),
        "files": {path.name: _digest(path) for path in paths.values()},
    }
    text = json.dumps(manifest, indent=2, default=str) + "\n"
    write_atomically(manifest_path, lambda path: path.write_bytes(text.encode()))
    return manifest
