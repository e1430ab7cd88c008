"""Follow the links of a folder of pages: each leads to a file and an anchor in it, and no file comes from outside."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src"}
FETCHED_LINKS = {"stylesheet", "icon", "shortcut icon", "preload", "manifest"}
IN_STYLE = re.compile(r"url\(\s*['\"]?(?!data:|#)([^'\")]+)|@import\s+['\"]([^'\"]+)")


class Page(HTMLParser):
    """The anchors of a page, its links, and the files that a browser fetches to show it."""

    def __init__(self, html: str) -> None:
        """Read a page."""
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what an element names."""
        named = {name: value or "" for name, value in attrs}
        self.anchors.update(filter(None, (named.get("id"), named.get("name") if tag == "a" else None)))
        if tag in FETCHED and FETCHED[tag] in named:
            self.fetched.append(named[FETCHED[tag]])
        elif tag == "link" and named.get("rel") in FETCHED_LINKS:
            self.fetched.append(named["href"])
        elif tag in {"a", "link"} and "href" in named:
            self.links.append(named["href"])


def problems(folder: Path) -> list[str]:
    """Return the links that lead nowhere and the files that would come from a network, as page and address."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        here = path.relative_to(folder).as_posix()
        found += [
            f"{here}: {link} leads nowhere" for link in dict.fromkeys(page.links) if not _leads(link, path, pages)
        ]
        found += [
            f"{here}: {item} is not in the folder" for item in dict.fromkeys(page.fetched) if not _is_here(item, path)
        ]
    for path in sorted(folder.rglob("*.css")):
        for pair in IN_STYLE.findall(path.read_text(encoding="utf-8")):
            item = pair[0] or pair[1]
            if not _is_here(item, path):
                found.append(f"{path.relative_to(folder).as_posix()}: {item} is not in the folder")
    return found


def _leads(link: str, path: Path, pages: dict[Path, Page]) -> bool:
    parts = urlsplit(link)
    if parts.scheme in {"http", "https", "mailto", "data"}:
        return True
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir() or not target.exists():
        return False
    return not parts.fragment or target not in pages or _anchored(unquote(parts.fragment), pages[target])


def _anchored(fragment: str, page: Page) -> bool:
    return fragment in page.anchors or "=" in fragment or fragment.startswith(":~:")  # a state, or a text


def _is_here(item: str, path: Path) -> bool:
    parts = urlsplit(item)
    if parts.scheme:
        return parts.scheme == "data"
    return not parts.netloc and (path.parent / unquote(parts.path)).is_file()
