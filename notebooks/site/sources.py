"""Collect the pages of the site in one folder, written as Sphinx reads them.

The pages stand beside what they describe, as GitHub shows them. What differs for Sphinx is done to the copies here:
GitHub's two ways to write mathematics, links to files that are not pages, and the pages that no file holds: the
reference of the packages and the citations.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
PACKAGES = ("dynamics", "theory", "toy_models", "figures")
PAPER = re.compile(r"[a-z]+20\d\d")  # the folder of a paper's claims
LEDGER = Path("theory/LEDGER.md")
GUIDES = {
    Path("dynamics/language_model/pair_audit/README.md"): "Audit a data set",
    Path("dynamics/losses/HOWTO.md"): "Choose a loss",
    Path("dynamics/language_model/watching/README.md"): "Watch a training run",
    Path("theory/decision/HOWTO.md"): "Test a conjecture",
    Path("theory/HOWTO.md"): "Add a claim",
}
"""The pages that say how to do something, in the order of the navigation, each with its name there."""
LINK = re.compile(r"(?P<picture>!?)\[(?P<words>[^]\[]*)\]\((?!https?:|mailto:|#)(?P<target>[^)\s#]+)(?:#[^)\s]*)?\)")
PAGES = {".md", ".ipynb"}
FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+)(?P<language>[^\n`]*)\n.*?^ *(?P=fence)`*[ ]*$", re.M | re.S)
ASKING = re.compile(r"\*\*Predict|^## Predict first", re.M)


@dataclass(frozen=True)
class Part:
    """The long pages that are shown, for the tests, which cannot wait for all of them; None shows all of a kind.

    A notebook or a ledger that is left out is replaced by its headings, so that links still lead to it.

    Attributes:
        notebooks: names of notebooks.
        papers: keys of papers whose ledger is shown.
        rooms: names of packages whose reference is shown.
    """

    notebooks: frozenset[str] | None = None
    papers: frozenset[str] | None = None
    rooms: frozenset[str] | None = None


EVERYTHING = Part()


def shows(names: frozenset[str] | None, name: str) -> bool:
    """Return whether a page is shown."""
    return names is None or name in names


def pages() -> list[Path]:
    """Return the pages that files hold, relative to the root of the project."""
    found = [*ROOT.glob("*.md"), *(path for top in (*PACKAGES, "notebooks") for path in (ROOT / top).rglob("*.md"))]
    found += (ROOT / "notebooks").glob("*.ipynb")
    return sorted(path.relative_to(ROOT) for path in found if HERE not in path.parents)


def modules_of_rooms() -> dict[str, list[str]]:
    """Return the names of the modules of each package that the reference describes.

    The modules of the papers are left out, because the ledger's pages show what is in them; so are the commands, whose
    help is on the command line.
    """
    rooms: dict[str, list[str]] = {}
    for path in sorted(file for top in PACKAGES for file in (ROOT / top).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        claims = parts[0] == "theory" and PAPER.fullmatch(parts[1])
        if claims or parts[-1] in {"__main__", "command"} or "commands" in parts:
            continue
        room = ".".join(parts[:-1])
        rooms.setdefault(room, []).append(room if parts[-1] == "__init__" else ".".join(parts))
    return rooms


def markdown(text: str, place: Path, linked: set[Path]) -> str:
    """Return a page as Sphinx reads it; add the files to which it links and which are no pages.

    Args:
        text: the page as GitHub shows it.
        place: where the page is, relative to the root.
        linked: the files found so far, relative to the root.
    """
    done, parts = 0, []
    for fence in FENCE.finditer(text):
        parts += [prose(text[done : fence.start()], place, linked), _fence(fence)]
        done = fence.end()
    return "".join([*parts, prose(text[done:], place, linked)])


def _fence(fence: re.Match[str]) -> str:
    math = fence["language"].strip() == "math"
    return fence[0].replace("```math", "```{math}", 1) if math else fence[0]


def prose(text: str, place: Path, linked: set[Path]) -> str:
    """Return the part of a page between its blocks of code; see ``markdown``."""
    text = re.sub(r"\$`([^`]+)`\$", r"$\1$", text)
    return LINK.sub(lambda link: _link(link, place, linked), text)


def _link(link: re.Match[str], place: Path, linked: set[Path]) -> str:
    """Return a link to a page, or to a picture, as it is, one to another file as HTML, one to a folder as its words."""
    found = (ROOT / place.parent / link["target"]).resolve()
    if not found.is_relative_to(ROOT) or not found.exists() or found.suffix in PAGES:
        return link[0]  # Sphinx says so if there is no such page
    if found.is_dir():
        return link["words"]
    linked.add(found.relative_to(ROOT))
    return link[0] if link["picture"] else f'<a href="{link["target"]}">{link["words"]}</a>'


def notebook(text: str, place: Path, linked: set[Path]) -> str:
    """Return a notebook that folds, where it asks for a prediction, the answers in the rest of that section.

    The cell that works in Colab only is folded, too.

    Args:
        text: the notebook, as it is in its file.
        place: where it is, relative to the root.
        linked: the files found so far, relative to the root.
    """
    read = json.loads(text)
    asked = shown = False
    for cell in read["cells"]:
        words = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            cell["source"] = prose(fold(words) if asked and shown else words, place, linked)
            asked = asking(words) or (asked and not re.search(r"^## ", words, re.M))
            shown = False
        elif "google.colab" in words:
            cell["metadata"]["tags"] = ["hide-input"]
        elif asked and cell["outputs"]:
            cell["metadata"]["tags"] = ["hide-output"]
            shown = True
    return json.dumps(read)


def asking(text: str) -> bool:
    """Return whether a text asks for a prediction; those among the exercises have folded solutions already."""
    return bool(ASKING.search(text)) and "</details>" not in text


def fold(text: str) -> str:
    r"""Return a text that is folded up to its first heading, or to its first fold.

    Example:
        >>> fold("It fell.\n\n## Next\n")
        '<details><summary>Read on when you have an answer</summary>\n\nIt fell.\n</details>\n\n## Next\n'
        >>> fold("## Next\n")
        '## Next\n'
    """
    answer, rest = re.match(r"(.*?)(^#.*|<details>.*|\Z)", text, re.S | re.M).groups()  # type: ignore[union-attr]
    if not answer.strip():
        return text
    return f"<details><summary>Read on when you have an answer</summary>\n\n{answer.strip()}\n</details>\n\n{rest}"


def reference(room: str, modules: Iterable[str]) -> str:
    """Return the reference of a package as reStructuredText: what it exports, and a section for each of its modules."""
    lines = [room, "=" * len(room), ""]
    for name in modules:
        if name != room:
            lines += [name.removeprefix(f"{room}."), "-" * len(name), ""]
        lines += [f".. automodule:: {name}", "   :members:", ""]
        if name == room and (exported := exports(room)):
            lines += [f"``from {room} import`` " + ", ".join(exported), ""]
    return "\n".join(lines)


def exports(package: str) -> list[str]:
    """Return the names that a package exports, each as a link to where it is described."""
    module = import_module(package)
    found = []
    for name in sorted(getattr(module, "__all__", ())):
        value = getattr(module, name)
        described = isinstance(value, type) or callable(value)
        place = f"{value.__module__}.{value.__qualname__}" if described and hasattr(value, "__qualname__") else ""
        found.append(f":py:obj:`{name} <{place}>`" if place else f"``{name}``")
    return found


def citations() -> str:
    """Return the page of citations, from CITATION.cff."""
    about = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    lines = ["# Citations", "", f"{about['message']}", "", f"**{about['title']}**, version {about['version']}.", ""]
    lines += ["## The papers", ""]
    for paper in about["references"]:
        names = ", ".join(f"{author['given-names']} {author['family-names']}" for author in paper["authors"])
        key = paper["notes"].removeprefix("key: ")
        where = f" {paper['collection-title']}." if "collection-title" in paper else ""
        url = f" <{paper['url']}>" if "url" in paper else ""
        lines += [f"{key}", f": {names} ({paper['year']}). *{paper['title']}*.{where}{url}"]
        page = LEDGER.parent / key / LEDGER.name
        lines += [f"  [What holds of it, and what does not]({page.as_posix()})" if page in pages() else "", ""]
    return "\n".join(lines)


def index() -> str:
    """Return the first page, whose navigation has all notebooks, guides and pages of packages."""
    text = (HERE / "index.md").read_text(encoding="utf-8")
    found = pages()
    more = {path: _title(path) for path in found if path.name == "HOWTO.md" and path not in GUIDES}
    named = {path: title for path, title in {**GUIDES, **more}.items() if path in found}
    guides = [f"{title} <{path.with_suffix('').as_posix()}>" for path, title in named.items()]
    text = text.replace("<!-- how to -->", "\n".join(guides))
    lessons = [path.with_suffix("").as_posix() for path in found if path.suffix == ".ipynb"]
    text = text.replace("<!-- notebooks -->", "\n".join(lessons))
    known = set(re.findall(r"([\w/]+)>?$", text, re.M))
    rest = [path.with_suffix("").as_posix() for path in found if path.suffix == ".md" and path.name != "LEDGER.md"]
    return text.replace("<!-- packages -->", "\n".join(place for place in rest if place not in known))


def papers() -> str:
    """Return the navigation from the ledger's first page to those of the papers, in the order of that page."""
    first = (ROOT / LEDGER).read_text(encoding="utf-8")
    keys = [page.parent.name for page in pages() if page.name == LEDGER.name and page != LEDGER]
    ordered = sorted(keys, key=lambda key: (first.find(f"({key}/") if f"({key}/" in first else len(first), key))
    named = [f"{_title(LEDGER.parent / key / LEDGER.name).split(',')[0]} <{key}/LEDGER>" for key in ordered]
    return "\n".join(["\n```{toctree}", ":hidden:", "", *named, "```", ""])


def _title(page: Path) -> str:
    return (ROOT / page).read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")


def title_only(text: str) -> str:
    """Return the page that stands for one that is left out: its headings, to which other pages link."""
    headings = re.findall(r"^#+ .*$", text, re.M)
    return "\n\n".join([headings[0], "This page is left out.", *headings[1:], ""])


def notebook_title(text: str) -> str:
    """Return the notebook that stands for one that is left out."""
    read = json.loads(text)
    title = title_only("".join(read["cells"][0]["source"]))
    return json.dumps(read | {"cells": [{"cell_type": "markdown", "id": "title", "metadata": {}, "source": title}]})


def write_if_new(path: Path, text: str) -> None:
    """Write a page, unless it is there already: Sphinx reads again what is newer than its last run."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def collect(folder: Path, part: Part = EVERYTHING) -> set[Path]:
    """Write the pages of the site into a folder; pages of an earlier run that are no more are removed.

    The files to which they link are put beside them. Return these, relative to the folder.

    Args:
        folder: where Sphinx is to read them.
        part: what is shown.
    """
    texts: dict[Path, str] = {}
    linked: set[Path] = set()
    for path in pages():
        text = (ROOT / path).read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            whole = shows(part.notebooks, path.stem)
            texts[path] = notebook(text, path, linked) if whole else notebook_title(text)
        elif path == LEDGER:
            texts[path] = markdown(text, path, linked) + papers()
        elif path.name == "LEDGER.md" and not shows(part.papers, path.parent.name):
            texts[path] = title_only(text)
        else:
            texts[path] = markdown(text, path, linked)
    rooms = {room: modules for room, modules in modules_of_rooms().items() if shows(part.rooms, room)}
    for room, modules in rooms.items():
        texts[Path("api", f"{room}.rst")] = reference(room, modules)
    texts[Path("api/index.md")] = api_index(rooms)
    texts[Path("citations.md")] = citations()
    texts[Path("index.md")] = markdown(index(), Path("index.md"), linked)
    for path, text in texts.items():
        write_if_new(folder / path, text)
    for path in linked:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, folder / path)
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder) not in {*texts, *linked}:
            path.unlink()
    return linked


def api_index(rooms: Iterable[str]) -> str:
    """Return the page that leads to the reference of each package."""
    words = (
        "Everything public, package by package, from the docstrings. To find a name, use the search field, or the "
        "{ref}`index of all names <genindex>`."
    )
    listed = "\n".join(sorted(rooms))
    return f"# Reference\n\n{words}\n\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n"
