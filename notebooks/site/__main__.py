"""Build the site: ``python -m notebooks.site --out out``, after ``python -m figures gallery --out out``."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from pathlib import Path

from notebooks.site.links import problems
from notebooks.site.sources import EVERYTHING, HERE, ROOT, Part, collect

LEDGER = re.compile(r'href="[^"]*/(theory/\w+/LEDGER)\.md(#[^"]*)"')
NOTEBOOK = re.compile(r'href="[^"]*/(notebooks/\w+)\.ipynb"')


# what the theme leaves out for readers who use a keyboard or a screen reader
MENDED = {
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="All pages">',
    '<aside class="toc-drawer">': '<aside class="toc-drawer" aria-label="This page">',
    "<pre>": '<pre tabindex="0">',
}


class NotBuilt(RuntimeError):
    """The site could not be built."""


def render(work: Path, part: Part = EVERYTHING) -> Path:
    """Write the pages of the site as HTML with Sphinx, for which every warning is an error; return their folder.

    Args:
        work: a folder for the collected sources, for what Sphinx remembers and for the pages.
        part: what is shown.

    Raises:
        NotBuilt: Sphinx complained.
    """
    linked = collect(work / "source", part)
    run_sphinx(work)
    for path in linked:
        (work / "html" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, work / "html" / path)
    for page in (work / "html").rglob("*.html"):
        if page.relative_to(work / "html") not in linked:
            mend(page)
    return work / "html"


def run_sphinx(work: Path) -> None:
    """Turn ``work/source`` into ``work/html``.

    Raises:
        NotBuilt: Sphinx complained.
    """
    from sphinx.cmd.build import main as sphinx  # noqa: PLC0415 - takes seconds, for which no test need wait

    settings = ["-q", "-b", "html", "-W", "--keep-going", "-c", str(HERE), "-d", str(work / "doctrees")]
    if sphinx([*settings, str(work / "source"), str(work / "html")]):
        raise NotBuilt("Sphinx complained; see above")


def mend(page: Path) -> None:
    """Name the parts of a page for screen readers, and let a keyboard reach code that is wider than the screen."""
    text = found = page.read_text(encoding="utf-8")
    for part, instead in MENDED.items():
        found = found.replace(part, instead)
    if found != text:
        page.write_text(found, encoding="utf-8")


def gallery(figures: Path, target: Path) -> None:
    """Copy the gallery and the files to which it links; its links to the ledger and to notebooks lead to the site.

    Raises:
        NotBuilt: there is no gallery.
    """
    if not (figures / "index.html").exists():
        raise NotBuilt(f"there is no gallery in {figures}; write it with: python -m figures gallery --out {figures}")
    page = (figures / "index.html").read_text(encoding="utf-8")
    page = NOTEBOOK.sub(r'href="../\1.html"', LEDGER.sub(r'href="../\1.html\2"', page))
    target.mkdir(parents=True, exist_ok=True)
    (target / "index.html").write_text(page, encoding="utf-8")
    for name in set(re.findall(r'href="([\w.-]+\.(?:png|pdf|npz|json|svg|csv|tex|gif))"', page)):
        shutil.copy2(figures / name, target / name)


def build(out: Path) -> Path:
    """Write the site into ``out/site`` and return its first page; an earlier site stays until the new one is whole.

    Raises:
        NotBuilt: Sphinx complained, there is no gallery, or a link leads nowhere.
    """
    html, new, site = render(out / "site-build"), out / "site-build" / "new", out / "site"
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(html, new, ignore=shutil.ignore_patterns(".buildinfo*", "objects.inv", "_sources"))
    finish(new, out)
    shutil.rmtree(site, ignore_errors=True)
    new.rename(site)
    return site / "index.html"


def finish(folder: Path, figures: Path) -> None:
    """Put the gallery to the pages of Sphinx, and follow all links.

    Raises:
        NotBuilt: there is no gallery, or a link leads nowhere.
    """
    gallery(figures, folder / "gallery")
    found = problems(folder)
    if found:
        raise NotBuilt("\n".join(found))


def main() -> None:
    """Build the site from the command line."""
    parser = argparse.ArgumentParser(prog="python -m notebooks.site", description="Build the site.")
    parser.add_argument("--out", type=Path, default=Path("out"), help="the folder of the figures; the site is out/site")
    arguments = parser.parse_args()
    try:
        print(f"open {build(arguments.out.resolve())}")
    except NotBuilt as problem:
        sys.exit(f"the site is not built: {problem}")


if __name__ == "__main__":
    main()
