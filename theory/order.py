"""The order of the papers: where in its paper a claim stands, read from its source.

``OUTLINES`` lists the sections, theorems, figures and equations of each of the five papers in the order of reading;
``PLACES`` lists those of the neighbours too. The equations of a proof in an appendix stand under the theorem that they
prove. What is not in the paper stands after what it is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from theory.neighbours import NEIGHBOURS, UNREAD

OUTLINES = {
    "jian2025": """
        Abstract; Section 1; Section 2; Section 2.1; 1; Section 2.2; Theorem 1; 2-3; 15-33; Remark 1; Figure 1;
        Corollary 1; 4-5; 34-41; Remark 2; Corollary 2; 6; 42-49; Remark 3; Section 2.3; Theorem 2; 50-65; Remark 4;
        Figure 2; Section 3; Section 3.1; 7; Section 3.2; 8-9; 66; Algorithm 1; 10; 74-75; 11-12; Section 3.3; 13;
        67-73; 76-80; 14; 81-85; Section 4; Section 4.1; Section 4.2; Table 1; Figure 3; Section 5; Section 6;
        Appendix A; Appendix B; Table 2; Table 3; Appendix C; Appendix C.1; Appendix C.2; Table 4; Table 5;
        Appendix C.3; Appendix C.4; Figure 4; Figure 5; Figure 6; Appendix D; Appendix E""",
    "wipf2024": """
        Abstract; Section 1; Section 2; Section 2.1; 1-3; Section 2.2; 4-6; Section 3; Proposition 3.1; 7; 15-23;
        Footnote 3; Section 4; 8-11; Proposition 4.1; 12; 24-27; Section 5; Definition 5.1; 13; 14; Figure 2;
        Section 6; Appendix A; Figure 1; Appendix B; Appendix C; Appendix D""",
    "feng2024": """
        Abstract; Section 1; Section 2; Section 3; Section 3.1; 1; Theorem 1; 2; Theorem 2; 4-6; Corollary 1; 3;
        Remark 1; Section 3.2; Footnote 2; Figure 1; Section 3.3; Section 3.3.1; Section 3.3.2; Section 4""",
    "sun2025": """
        Abstract; Section 1; Figure 1; Figure 2; 1-2; Figure 3; Section 2; Section 3; Section 3.1; Algorithm 1; 3-6;
        Section 3.2; 7; Theorem 1; 8-12; 18-32; 13; Proposition 1; 14; 33-35; 15-16; Figure 4; Section 3.3; 17;
        Section 4; Section 4.1; Table 1; Table 2; Section 4.2; Section 4.3; Table 3; Table 4; Table 5; Table 6;
        Figure 5; Figure 6; Section 5; Appendix A; Appendix B; Appendix C; 36-42; 43-44; Figure 7; 45-49;
        Appendix D""",
    "ma2025": """
        Abstract; Section 1; Section 2; Section 3; Section 3.1; 1-5; Section 3.2; 6; Assumption 1; Assumption 2; 7;
        Section 4; Section 4.1; Definition 1; 8; Corollary 1; Corollary 2; Corollary 3; Lemma 1; 9; Theorem 1; 10-11;
        Theorem 2; 12-14; 37-41; Section 4.2; 15-17; Figure 1; Section 4.3; Section 4.3.1; Theorem 3; 42-51;
        Section 4.3.2; Lemma 2; 18; Lemma 3; 19; 52-63; Theorem 4; 20; 64-66; Theorem 5; 21-22; 67-71; Section 4.3.3;
        Theorem 6; Lemma 4; 23; 72-83; Theorem 7; 24; 84-86; Section 5; Section 5.1; 25-26; Section 5.2; 27;
        Section 5.3; 28-29; Proposition 1; 30; Proposition 2; 31-32; Section 6; Section 6.1; Section 6.1.1; 33-34;
        Section 6.1.2; Section 6.2; Section 7; Section 8; Appendix A; Appendix B; Appendix C; 35-36; Appendix D""",
}
"""Sections, theorems, figures and numbers of equations of each of the five papers, in the order of reading."""

PLACES = OUTLINES | {key: paper.outline for key, paper in NEIGHBOURS.items()}
"""The same of every paper; of a neighbour only the places that claims are about."""

HEADINGS = ("Abstract", "Section", "Appendix")
ABSENT = "not in the paper"
CONCLUSION = {
    "jian2025": "Section 6",
    "wipf2024": "Section 6",
    "feng2024": "Section 4",
    "sun2025": "Section 5",
    "ma2025": "Section 8",
}
WORDS = "Theorem|Corollary|Lemma|Proposition|Remark|Definition|Assumption|Algorithm|Appendix|Table|Footnote|Figure"
MENTION = re.compile(
    rf"\b(?P<word>{WORDS}|Section|Sec\.|Fig\.|Figs\.|Eq\.|Eqs\.)s?\s*\(?(?P<number>[A-E](?:\.\d)?|\d+(?:\.\d+)*)"
    r"|\b(?P<part>Abstract|Introduction|Conclusion|abstract)\b|\((?P<bare>\d+)\)",
    re.IGNORECASE,
)


@cache
def outline(paper: str) -> Mapping[str, int]:
    """Return the place of every section, theorem, figure and equation of a paper, counted in the order of reading.

    A name that is no paper of the ledger, such as that of claims of your own, has no places.

    Example:
        >>> places = outline("jian2025")
        >>> places["Corollary 2"] < places["Eq. 49"] < places["Remark 3"] < places["Section 3.1"]
        True
    """
    names: list[str] = []
    for entry in (" ".join(part.split()) for part in PLACES.get(paper, "").split(";")):
        numbers = re.fullmatch(r"(\d+)(?:-(\d+))?", entry)
        if numbers:
            low, high = int(numbers[1]), int(numbers[2] or numbers[1])
            names += [f"Eq. {number}" for number in range(low, high + 1)]
        elif entry:
            names.append(entry)
    return {name: place for place, name in enumerate(names)}


def place_of(paper: str, source: str) -> int | None:
    """Return where the first thing that a source names stands in its paper; None if it names nothing there.

    A step of a proof stands at its equation rather than at the theorem that is proved.

    Example:
        >>> outline("jian2025")["Eq. 46"] == place_of("jian2025", "the step from Eq. (46) to Eq. (47)")
        True
        >>> place_of("jian2025", "not in the paper") is None
        True
    """
    places = outline(paper)
    found = [places[name] for name in mentions(paper, source) if name in places]
    if len(found) > 1:
        names = list(places)
        heading, inside = names[found[0]].split()[0] in HEADINGS, section_of(paper, found[1])
        if re.match(r"proof of", source, re.IGNORECASE) or (heading and inside == names[found[0]]):
            return found[1]  # "Section 3.1, after Corollary 1"
    return found[0] if found else None


def mentions(paper: str, source: str) -> Iterator[str]:
    """Yield what a source names, in its order: sections, theorems, equations and so on."""
    for match in MENTION.finditer(source):
        if match["bare"]:
            yield f"Eq. {match['bare']}"
        elif match["part"]:
            part = match["part"].capitalize()
            yield {"Introduction": "Section 1", "Conclusion": CONCLUSION.get(paper, part)}.get(part, part)
        else:
            word = match["word"].capitalize().rstrip(".")
            word = {"Eqs": "Eq.", "Eq": "Eq.", "Figs": "Figure", "Fig": "Figure", "Sec": "Section"}.get(word, word)
            yield f"{word} {match['number'].upper()}"


def sort_keys(sources: Mapping[str, str]) -> dict[str, tuple[int, int, int, int]]:
    """Return for every key of a claim what it is sorted by: paper, place in it, whether it is ours, its old rank.

    Claims of your own, under a name that is no paper of the ledger, come last.

    Args:
        sources: key and source of the claims of all papers, in the order in which they were written down.
    """
    papers = {paper: place for place, paper in enumerate(PLACES)}
    keys: dict[str, tuple[int, int, int, int]] = {}
    last: dict[str, int] = {}
    for rank, (key, source) in enumerate(sources.items()):
        paper = key.split(".", 1)[0]
        place = place_of(paper, source)
        if place is None:
            # compiling a pattern for every key would take half a second
            named = (other for other in keys if other in source)
            about = [other for other in named if re.search(rf"{re.escape(other)}(?![\w-])", source)]
            place = keys[about[0]][1] if about else last.get(paper, 0)
        last[paper] = place
        keys[key] = (papers.get(paper, len(papers)), place, int(is_ours(source)), rank)
    return keys


def in_order(sources: Mapping[str, str]) -> list[str]:
    """Return keys in the order of the papers; what is not in a paper comes after what it is about.

    Example:
        >>> in_order({
        ...     "jian2025.ours": "not in the paper; replaces Corollary 2",
        ...     "jian2025.eq-49": "Eq. (49)",
        ...     "jian2025.corollary-2": "Corollary 2",
        ...     "jian2025.theorem-1": "Theorem 1",
        ... })
        ['jian2025.theorem-1', 'jian2025.corollary-2', 'jian2025.ours', 'jian2025.eq-49']
    """
    keys = sort_keys(sources)
    return sorted(sources, key=keys.__getitem__)


def unplaced(sources: Mapping[str, str]) -> Iterable[str]:
    """Return the keys whose source says that they are in a paper, but not where."""
    return [k for k, s in sources.items() if not is_ours(s) and place_of(k.split(".", 1)[0], s) is None]


def is_ours(source: str) -> bool:
    """Return whether a statement is ours: it is not in the paper, or the paper's text could not be read.

    Example:
        >>> is_ours("not in the paper; replaces Corollary 2"), is_ours("not read in full; ours, after Eq. (5)")
        (True, True)
        >>> is_ours("Corollary 2")
        False
    """
    return source.startswith((ABSENT, UNREAD))


def section_of(paper: str, place: int) -> str:
    """Return the section in which a place stands.

    Example:
        >>> section_of("jian2025", outline("jian2025")["Corollary 2"])
        'Section 2.2'
    """
    return [name for name, at in outline(paper).items() if at <= place and name.split()[0] in HEADINGS][-1]
