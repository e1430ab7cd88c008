"""What is done to the pages before Sphinx reads them, and what would stop the build: seen to fail on wrong pages."""

from __future__ import annotations

import ast
import json
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from notebooks.site import sources
from notebooks.site.__main__ import NotBuilt, gallery, run_sphinx
from notebooks.site.links import Page, problems
from notebooks.site.sources import ROOT, fold, index, markdown, modules_of_rooms, notebook, pages, prose
from tests.optional import needs

needs("sphinx", "furo", "myst_nb", "ziamath")

# ---------------------------------------------------------------- pages


def test_formulas_of_github_are_formulas_of_sphinx() -> None:
    text = "The change of $`\\pi_w`$ is\n\n```math\n\\Delta\n```\n\nand `$`a`$` is code.\n\n```text\n$`b`$\n```\n"
    found = markdown(text, Path("README.md"), set())
    assert "of $\\pi_w$ is" in found
    assert "```{math}\n\\Delta\n```" in found
    assert "```text\n$`b`$\n```" in found


def test_a_link_to_a_file_that_is_no_page_leads_to_a_copy_of_it() -> None:
    linked: set[Path] = set()
    text = (
        "[pages](theory/README.md), [cff](CITATION.cff), [tests](tests/benchmarks), [no](nothing.md), [w](https://a.b)"
    )
    found = prose(text, Path("README.md"), linked)
    assert found == (
        '[pages](theory/README.md), <a href="CITATION.cff">cff</a>, tests, [no](nothing.md), [w](https://a.b)'
    )
    assert linked == {Path("CITATION.cff")}


def test_a_picture_stays_a_picture() -> None:
    linked: set[Path] = set()
    text = "![a curve](images/test_picture_jian2025-1a.png)"
    assert prose(text, Path("tests/figures/README.md"), linked) == text
    assert linked == {Path("tests/figures/images/test_picture_jian2025-1a.png")}


def test_what_happened_is_folded_after_a_prediction_and_nowhere_else() -> None:
    def cell(kind: str, source: str) -> dict[str, Any]:
        shown = {"outputs": ["0.3"]} if kind == "code" else {}
        return {"cell_type": kind, "metadata": {}, "source": [source], **shown}

    cells = [
        cell("markdown", "## Predict first\n\nUp or down?"),
        cell("code", "look()"),
        cell("markdown", "Look again:"),
        cell("code", "look()"),
        cell("markdown", "Down.\n\n## Next\n\nLook:"),
        cell("code", "look()"),
        cell("markdown", "It is the same."),
        cell("code", "if 'google.colab' in sys.modules: ..."),
    ]
    read = json.loads(notebook(json.dumps({"cells": cells}), Path("notebooks/a.ipynb"), set()))["cells"]
    tags = [part["metadata"].get("tags", [""])[0] for part in read if part["cell_type"] == "code"]
    assert tags == ["hide-output", "hide-output", "", "hide-input"]
    texts = [part["source"] for part in read if part["cell_type"] == "markdown"]
    folded = "<details><summary>Read on when you have an answer</summary>\n\n{}\n</details>\n\n"
    assert texts[1] == folded.format("Look again:")
    assert texts[2] == folded.format("Down.") + "## Next\n\nLook:"
    assert texts[3] == "It is the same."


def test_a_fold_is_not_folded_again() -> None:
    assert fold("<details>a</details>") == "<details>a</details>"
    assert fold("Down.\n\n<details>a</details>").endswith("Down.\n</details>\n\n<details>a</details>")


def test_a_new_guide_is_in_the_navigation(monkeypatch: pytest.MonkeyPatch) -> None:
    audit, losses = "dynamics/language_model/pair_audit/README", "dynamics/losses/HOWTO"
    assert f"\nAudit a data set <{audit}>\nChoose a loss <{losses}>\n" in index()
    assert f"<{audit}>" not in index().split(":caption: Packages")[1]
    more = [*pages(), Path("toy_models/displacement/README.md")]
    monkeypatch.setattr(sources, "pages", lambda: more)
    assert "\ntoy_models/displacement/README\n" in index()


# ---------------------------------------------------------------- formulas and docstrings of all pages


def formulas() -> Iterator[str]:
    for path in pages():
        if path.suffix == ".md":
            text = sources.FENCE.sub(lambda fence: "" if "{math}" not in fence[0] else fence[0], markdown_of(path))
            parts = text.split("```{math}\n")
            yield from (part.split("```")[0] for part in parts[1:])
            yield from (found[1] for found in sources.re.finditer(r"(?<![\\$])\$([^\s$][^$\n]*)\$(?!\$)", text))


def markdown_of(path: Path) -> str:
    return markdown((ROOT / path).read_text(encoding="utf-8"), path, set())


def test_every_formula_can_be_drawn() -> None:
    from notebooks.site.extension import mathml

    found = sorted(set(formulas()))
    assert len(found) > 1000
    assert all(mathml(latex, display=False).startswith("<math") for latex in found)


@pytest.mark.parametrize("latex", [r"\unknowncommand x", r"\frac{a}{\unknown{b}}"])
def test_a_formula_with_an_unknown_command_would_be_seen(latex: str) -> None:
    """Negative control."""
    from notebooks.site.extension import UnknownFormula, mathml

    with pytest.raises(UnknownFormula):
        mathml(latex, display=True)


def docstrings() -> Iterator[tuple[str, str]]:
    for module in (name for names in modules_of_rooms().values() for name in names):
        path = ROOT.joinpath(*module.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node)
                if text and not getattr(node, "name", "").startswith("_"):
                    yield f"{module}.{getattr(node, 'name', '')}", text


def complaints(text: str) -> list[str]:
    """Return what docutils says of a docstring as it is in the reference."""
    from docutils import frontend, utils
    from docutils.parsers.rst import Parser
    from sphinx.ext.napoleon import Config, GoogleDocstring

    from notebooks.site.extension import escape_docstring

    lines = text.splitlines()
    escape_docstring(lines)
    settings = frontend.get_default_settings(Parser)
    settings.report_level, settings.halt_level = 2, 5
    document = utils.new_document("docstring", settings)
    document.reporter.stream = None
    said: list[str] = []
    document.reporter.attach_observer(lambda message: said.append(message.astext()))
    Parser().parse(
        str(GoogleDocstring(lines, Config(napoleon_use_ivar=True, napoleon_attr_annotations=False))), document
    )
    return [line for line in said if "nown interpreted text role" not in line and "No role entry" not in line]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
def test_every_docstring_can_be_in_the_reference() -> None:
    found = [(name, text) for name, text in docstrings() if "\n" in text or "`" in text]  # one plain line is text
    assert len(found) > 500
    assert {name: said for name, text in found if (said := complaints(text))} == {}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
def test_a_docstring_that_is_no_text_would_be_seen() -> None:
    """Negative control: formulas are no markup, but a list that is not set off is a mistake."""
    assert complaints("Return |g_w|^2 * x_ and *args.\n\nExample:\n    >>> 2 * 3\n    6\n") == []
    assert complaints("Return ``x.\n")
    assert complaints("Return:\n\n* one\n  two\n    three\nfour\n")


# ---------------------------------------------------------------- what stops the build


@pytest.mark.parametrize(
    "text",
    ["[a](missing.md)", "[a](#no-such-heading)", "![a](missing.png)", "$\\unknowncommand$"],
    ids=["page", "anchor", "picture", "formula"],
)
@pytest.mark.filterwarnings("ignore")
def test_a_wrong_page_stops_the_build(tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str) -> None:
    """Negative control."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "index.md").write_text(f"# A page\n\n{text}\n", encoding="utf-8")
    with warnings.catch_warnings(), pytest.raises(NotBuilt):
        run_sphinx(tmp_path)
    capfd.readouterr()


def test_without_a_gallery_there_is_no_site(tmp_path: Path) -> None:
    with pytest.raises(NotBuilt, match="python -m figures gallery"):
        gallery(tmp_path, tmp_path / "site")


def test_a_wrong_link_would_be_seen(tmp_path: Path) -> None:
    """Negative control."""
    (tmp_path / "b.html").write_text('<h1 id="here">b</h1>', encoding="utf-8")
    right = '<a href="b.html#here">b</a><a href="#top">top</a><p id="top"><img src="data:,"><a href="https://a.b">c</a>'
    (tmp_path / "a.html").write_text(right, encoding="utf-8")
    assert problems(tmp_path) == []
    wrong = ('<a href="b.html#there">', '<a href="c.html">', '<img src="c.png">', '<script src="https://a.b/c.js">')
    for part in (*wrong, '<link rel="stylesheet" href="//a.b/c.css">', '<a href="#nowhere">', '<a href=".">'):
        (tmp_path / "a.html").write_text(right + part, encoding="utf-8")
        assert len(problems(tmp_path)) == 1, part
    (tmp_path / "a.html").write_text(right, encoding="utf-8")
    (tmp_path / "a.css").write_text("@font-face { src: url('https://a.b/c.woff') }", encoding="utf-8")
    assert len(problems(tmp_path)) == 1
    shutil.rmtree(tmp_path)


def test_claims_have_the_anchors_of_the_pages() -> None:
    from notebooks.site.extension import claims, slug

    assert "jian2025.theorem-1" in claims()
    assert slug("sun2025.section-4.3-ratio") == "sun2025section-43-ratio"
    assert Page('<a id="x">').anchors == {"x"}
