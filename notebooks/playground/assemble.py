"""Put the sources of the playground together into one file that a browser opens from disk, on a phone too.

A page that loads its scripts from beside it works on a desk, but a phone opens a single file from its storage or from a
message, without what lies beside it. So the page holds everything:

    python notebooks/playground/assemble.py
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
SCRIPTS = ("preference-dynamics.js", "presets.js", "worlds.js", "words.js", "drawing.js", "page.js")


def assemble() -> str:
    """Return the page, with its style and its scripts inside."""
    source = FOLDER / "source"
    page, style = ((source / name).read_text(encoding="utf-8") for name in ("page.html", "style.css"))
    scripts = "".join(f"<script>\n{(source / name).read_text(encoding='utf-8')}</script>\n" for name in SCRIPTS)
    head, rest = page.split("<!-- style -->\n")
    body, end = rest.split("<!-- scripts -->\n")
    return f"{head}<style>\n{style}</style>\n{body}{scripts}{end}"


if __name__ == "__main__":
    (FOLDER / "index.html").write_text(assemble(), encoding="utf-8", newline="\n")
