"""A part of the site, built once for all processes that test it: its long pages are left out."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from portalocker import Lock

from notebooks.site.__main__ import finish, render
from notebooks.site.sources import Part

NOTEBOOK = "02_likelihood_displacement"
PART = Part(frozenset({NOTEBOOK}), frozenset({"feng2024"}), frozenset({"dynamics.policies"}))
SUFFIXES = ("npz", "pdf")


def built(factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the pages, which the first process that asks for it builds."""
    from tests.figures.full_page import write_full_page

    shared = factory.getbasetemp().parent if "popen" in factory.getbasetemp().name else factory.getbasetemp()
    folder = shared / "site"
    with Lock(shared / "site.lock", timeout=600):
        if not (folder / "done").exists():
            folder.mkdir(exist_ok=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what the generator's libraries say of one another
                html = render(folder, PART)
            figures = folder / "figures"
            figures.mkdir()
            write_full_page(figures, keys=("jian2025-1a", "feng2024-*"))
            for manifest in figures.glob("*.json"):
                for suffix in SUFFIXES:  # the gallery links to them; nobody opens them here
                    manifest.with_suffix(f".{suffix}").touch()
            finish(html, figures)
            (folder / "done").touch()
    return folder / "html"
