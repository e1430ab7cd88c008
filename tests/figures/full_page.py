"""The page of all figures without computing them: inspected or blank pictures, and checks that all hold."""

from __future__ import annotations

import io
import json
from pathlib import Path

from PIL import Image

import figures.catalog
from figures.gallery import write_gallery
from figures.registry import select_figures
from theory.ledger import load_claims

PICTURES = Path(__file__).parent / "images"
ENVIRONMENT = {"commit": "0123456789abcdef"}
HALVES = [[0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 0.5, 1.0]]


def write_full_page(folder: Path, failing: str = "", keys: tuple[str, ...] = ()) -> Path:
    """Write the page of every figure into a folder and return its path.

    Args:
        folder: an existing folder.
        failing: key of a figure whose first check shall not hold.
        keys: which figures; all of them if none is named.
    """
    assert figures.catalog.FIGURES
    for spec in select_figures([*keys]):
        shown = PICTURES / f"test_picture_{spec.key}.png"
        (folder / f"{spec.key}.png").write_bytes(shown.read_bytes() if shown.exists() else blank())
        checks = {check.name: True for check in spec.checks}
        if spec.key == failing:
            checks[spec.checks[0].name] = False
        manifest = {
            "key": spec.key,
            "settings": spec.settings,
            "panels": HALVES,
            "checks": checks,
            "must be seen": {check.name: check.says for check in spec.checks},
            "environment": ENVIRONMENT,
            "files": {f"{spec.key}.{suffix}": "" for suffix in ("npz", "png", "pdf")},
        }
        (folder / f"{spec.key}.json").write_text(json.dumps(manifest, default=str))
    return write_gallery(select_figures([*keys]), folder, load_claims())


def blank() -> bytes:
    """Return a grey PNG as wide as a page of print."""
    written = io.BytesIO()
    Image.new("RGB", (1540, 800), "#dddddd").save(written, "PNG")
    return written.getvalue()
