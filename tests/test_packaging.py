"""The wheel: what is in it, what it says of itself, and that it works where there is no checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("dynamics", "theory", "toy_models", "figures")
pytestmark = [pytest.mark.slow, pytest.mark.network]


def call(*command: object, cwd: Path) -> str:
    """Run a command without PYTHONPATH: with the checkout on it, pip takes the wheel for installed and does nothing."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build from a copy: setuptools leaves a build folder where it works, and would pick up an old one."""
    source, target = tmp_path_factory.mktemp("source") / "checkout", tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns(
        ".git", ".venv", "out", "build", "*.egg-info", "*_cache", "__pycache__", ".hypothesis"
    )
    shutil.copytree(ROOT, source, ignore=ignored)
    call(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", target, ".", cwd=source)
    (built,) = target.glob("*.whl")
    return built


def metadata_of(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_the_wheel_holds_the_four_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == set(PACKAGES)
    for package in PACKAGES:
        modules = {str(p.relative_to(ROOT)) for p in (ROOT / package).rglob("*.py")}
        assert modules
        assert modules <= names
        assert f"{package}/py.typed" in names
    styles = {str(p.relative_to(ROOT)) for p in (ROOT / "figures").glob("*.mplstyle")}
    assert styles
    assert styles <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any("test" in Path(name).name for name in names)


def test_metadata_is_that_of_pyproject(wheel: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    metadata = metadata_of(wheel)
    assert metadata["Name"] == project["name"]
    assert metadata["Version"] == project["version"]
    assert metadata["Requires-Python"] == project["requires-python"]
    assert set(metadata.get_all("Provides-Extra")) == set(project["optional-dependencies"])
    required = [Requirement(line) for line in metadata.get_all("Requires-Dist")]
    plain = {str(r) for r in required if r.marker is None}
    assert plain == {str(Requirement(line)) for line in project["dependencies"]}
    for extra, lines in project["optional-dependencies"].items():
        of_extra = {(r.name, str(r.specifier)) for r in required if r.marker and r.marker.evaluate({"extra": extra})}
        assert of_extra == {(r.name, str(r.specifier)) for r in map(Requirement, lines)}


def required(wheel: Path) -> list[Distribution]:
    """Return what the wheel requires, without extras, and what that requires in turn, as it is installed here."""
    waiting = [Requirement(line) for line in metadata_of(wheel).get_all("Requires-Dist", [])]
    found: dict[str, Distribution] = {}
    while waiting:
        wanted = waiting.pop()
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        installed = distribution(wanted.name)
        assert wanted.specifier.contains(installed.version, prereleases=True), (
            f"{wanted} but {installed.version} is here"
        )
        if found.setdefault(wanted.name.lower(), installed) is installed:
            waiting += [Requirement(line) for line in installed.requires or []]
    return list(found.values())


def only(distributions: list[Distribution], folder: Path) -> Path:
    """Make a folder in which these distributions can be imported, by links to where they are, and nothing else."""
    folder.mkdir()
    for made in distributions:
        for top in {file.parts[0] for file in made.files or []} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(Path(str(made.locate_file(top))))
    return folder


def test_the_wheel_works_with_what_it_requires_and_nothing_else(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own, beside links to its dependencies: to install those again would take minutes."""
    call(sys.executable, "-m", "venv", "--without-pip", tmp_path / "fresh", cwd=tmp_path)
    python = tmp_path / "fresh" / "bin" / "python"
    call(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel, cwd=tmp_path)
    (packages,) = (tmp_path / "fresh").glob("lib/python*/site-packages")
    libraries = only(required(wheel), tmp_path / "libraries")
    (packages / "libraries.pth").write_text(f"{libraries}\n", encoding="utf-8")
    code = (
        "import dynamics, theory, toy_models, figures, figures.catalog, importlib.util\n"
        "assert importlib.util.find_spec('transformers') is None  # of an extra: nothing else can be imported here\n"
        "from dynamics import DPO, LogLinear, step\n"
        "account = step(LogLinear([[2.0], [3.0], [0.0]]), [0.0], 0, 1, loss=DPO(beta=0.5), learning_rate=0.1)\n"
        "print(bool(account.displaced), len(figures.catalog.FIGURES))\n"
        "print(*[m.__file__ for m in (dynamics, theory, toy_models, figures)], sep='\\n')\n"
    )
    first, *files = call(python, "-I", "-c", code, cwd=tmp_path).splitlines()
    displaced, figures = first.split()
    assert displaced == "True"
    assert int(figures) > 0
    for package, file in zip(PACKAGES, files, strict=True):
        assert Path(file).is_relative_to(tmp_path / "fresh"), f"{package} was imported from {file}"
