"""The pages of the ledger: a front page (the door) with the totals, and a page for each paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from dynamics.errors import InvalidArgument
from theory.claim import VERDICTS, Claim, Outcome
from theory.neighbours import NEIGHBOURS
from theory.order import is_ours, mentions, outline, section_of, sort_keys
from theory.places import equations, labels
from theory.record import Row, page_of, row_of
from theory.report import PAPERS, TITLES, anchor, inline, section
from theory.strength import GRADES
from theory.unclaimed import REASONS

DOOR = """# The claim ledger

What papers on direct preference optimization say, and what is true: first five papers, with every statement that can
be checked, then neighbouring papers, with a few statements of each. Every verdict was earned by running the evidence
under it, and beside it stands how strongly it is known: *proved* by a machine in the generality that is claimed (it
says by which prover, for what, and modulo which lemma), *unrefuted* in so many exact cases, or *numerical* to a
tolerance. Every checker was also run on a perturbed statement, which it had to reject.

These pages are generated: `python -m theory --update theory/LEDGER.md` runs all claims and writes them,
`python -m theory KEYS --update theory/LEDGER.md` runs some. `python -m theory --explain KEY` runs one claim and shows
all of its evidence. `python -m theory --list --verdict false --strength proved` filters.
"""
NEIGHBOURING = """Statements of papers on the same losses and the same phenomenon. Only what was read in a paper's own
text, or in two public texts that agree, stands under the paper's name; everything else is ours (*not in the paper*, or
*not read in full; ours, after ...*), and its verdict says nothing about the paper."""
ONE_BY_ONE = ("false", "vacuous")  # verdicts whose claims get a line each in the summary
IN_PART = ("conditional", "misprint")


def write_texts(
    claims: Sequence[Claim], outcomes: Mapping[str, Outcome], known: Mapping[str, str], door: Path
) -> dict[Path, str]:
    """Return the text of the front page (the door) and of all pages, by file.

    Args:
        claims: the whole ledger, in the order of the papers.
        outcomes: outcomes of the runs, by key.
        known: sections of claims that were not run, by key (see ``theory.record.recorded_sections``).
        door: file of the front page; the other pages are in the folders of the papers beside it.

    Raises:
        InvalidArgument: a claim that was not run and is not known.
    """
    missing = [made.key for made in claims if made.key not in outcomes and made.key not in known]
    if missing:
        raise InvalidArgument(
            "claims", f"{', '.join(missing)} were neither run nor recorded on the page; run these claims too"
        )
    sections = {
        made.key: section(made, outcomes[made.key]) if made.key in outcomes else known[made.key] for made in claims
    }
    texts = {door: door_text(sections)}
    for paper in TITLES:
        own = [made for made in claims if made.paper == paper]
        if own:
            texts[page_of(paper, door.parent)] = page_text(paper, own, sections)
    return texts


def totals(rows: Iterable[Row]) -> list[str]:
    r"""Return a table of claims by verdict and strength.

    Example:
        >>> print(*totals([Row("ma2025.one", "Eq. (1)", "holds", "proved by smt, modulo Taylor")]), sep="\n")
        | verdict | claims | proved | modulo a lemma | unrefuted | numerical |
        |---|---|---|---|---|---|
        | holds | 1 | 0 | 1 | 0 | 0 |
        | all | 1 | 0 | 1 | 0 | 0 |
    """
    kinds = ["proved", "modulo a lemma", *GRADES[1:]]
    count: Counter[tuple[str, str]] = Counter()
    for row in rows:
        kind = "modulo a lemma" if row.grade == GRADES[0] and "modulo" in row.strength else row.grade
        for verdict in (row.verdict, "all"):
            count[verdict, kind] += 1
    lines = [f"| verdict | claims | {' | '.join(kinds)} |", "|---|---|---|---|---|---|"]
    for verdict in (*VERDICTS, "all"):
        numbers = [count[verdict, kind] for kind in kinds]
        if sum(numbers):
            lines.append(f"| {verdict} | {sum(numbers)} | {' | '.join(map(str, numbers))} |")
    return lines


def door_text(sections: Mapping[str, str]) -> str:
    """Return the front page: of each part the totals, and for each paper a line with a link to its page.

    Args:
        sections: of all claims, by key, in the order of the papers.
    """
    parts = [DOOR]
    for name, words, titles in (
        ("The five papers", "", PAPERS),
        ("The neighbours", NEIGHBOURING, {key: TITLES[key] for key in NEIGHBOURS}),
    ):
        own = {key: text for key, text in sections.items() if key.partition(".")[0] in titles}
        if own:
            parts += part_of_the_door(name, words, titles, own)
    return "\n".join(parts).rstrip() + "\n"


def part_of_the_door(name: str, words: str, titles: Mapping[str, str], sections: Mapping[str, str]) -> list[str]:
    """Return the lines of one part of the front page.

    Args:
        name: of the part.
        words: what is said of it, in a paragraph; may be empty.
        titles: of its papers, by key.
        sections: of its claims, by key.
    """
    rows = [row_of(key, text) for key, text in sections.items()]
    counts = Counter((row.paper, row.verdict) for row in rows)
    verdicts = [verdict for verdict in VERDICTS if any(row.verdict == verdict for row in rows)]
    lines = [f"## {name}: {len(rows)} claims", "", *([words, ""] if words else [])]
    lines += [f"| paper | claims | {' | '.join(verdicts)} |", "|---|---|" + "---|" * len(verdicts)]
    for paper, title in titles.items():
        own = [counts[paper, verdict] for verdict in verdicts]
        if sum(own):
            lines.append(f"| [{title}]({paper}/LEDGER.md) | {sum(own)} | {' | '.join(map(str, own))} |")
    strongly = ["### How strongly", "", *totals(rows), "", told_in_words(row.strength for row in rows), ""]
    return [*lines, "", *strongly, "### Controls", "", controls(sections.values()), ""]


def told_in_words(strengths: Iterable[str]) -> str:
    """Return how many claims have a proof whose parts no machine has put together, in words.

    Example:
        >>> print(told_in_words(["proved by smt", "proved by smt, sympy, parts joined in prose"]))
        For 1 of 2 claims a machine proved the parts; the text tells how they make the whole (*parts joined in prose*).
    """
    told = [strength.endswith("parts joined in prose") for strength in strengths]
    parts = "a machine proved the parts; the text tells how they make the whole (*parts joined in prose*)"
    return f"For {sum(told)} of {len(told)} claims {parts}."


def controls(sections: Iterable[str]) -> str:
    r"""Return how many lines of evidence have a control that is far from their statement, in words.

    Example:
        >>> controls(["- it holds: smt; control: `x`\n- it holds: smt; far control: `y`"])
        '1 of 2 lines of evidence has a far control: one that is false in every case, which shows little.'
    """
    evidence = (line for section in sections for line in section.split("\n") if line.startswith("- "))
    lines = [line for line in evidence if " control: " in line]
    far = sum("; far control: " in line for line in lines)
    have = "has a far control" if far == 1 else "have a far control"
    return f"{far} of {len(lines)} lines of evidence {have}: one that is false in every case, which shows little."


def page_text(paper: str, claims: Sequence[Claim], sections: Mapping[str, str]) -> str:
    """Return the page of a paper: a summary, an index by place, then every claim in the order of the paper."""
    rows = [row_of(made.key, sections[made.key]) for made in claims]
    parts = [f"# {TITLES[paper]}", "", "[All papers](../LEDGER.md)", "", *totals(rows), ""]
    if paper in NEIGHBOURS:
        parts += [f"How the text was read: {NEIGHBOURS[paper].read}", ""]
    parts += [*summary(claims), "", "## Where in the paper", "", *index(paper, claims), ""]
    parts += ["## The claims", ""]
    if paper in NEIGHBOURS:  # too few claims for sections
        return "\n".join([*parts, *(sections[made.key] for made in claims)]).rstrip() + "\n"
    keys = sort_keys({made.key: made.source for made in claims})
    for name, about in groupby(claims, key=lambda made: section_of(made.paper, keys[made.key][1])):
        parts.append(f"### {name}\n")
        parts += [sections[made.key] for made in about]
    return "\n".join(parts).rstrip() + "\n"


def summary(claims: Sequence[Claim]) -> list[str]:
    """Return a short summary: which claims hold, which fail, and what replaces those."""
    printed = [made for made in claims if not is_ours(made.source)]
    lines = ["## What stands", ""]
    for verdict, words in (("holds", "As printed"), ("first-order", "To first order in the step")):
        links = [_link(made) for made in printed if made.verdict == verdict]
        if links:
            lines += [f"{words}: {', '.join(links)}.", ""]
    if claims[0].paper in NEIGHBOURS:
        lines += _ours([made for made in claims if is_ours(made.source)])
    lines += ["## What falls, and what replaces it", ""]
    for made in printed:
        if made.verdict in ONE_BY_ONE:
            instead = (
                f" Instead: {', '.join(f'[{_name(key)}](#{anchor(key)})' for key in made.instead)}."
                if made.instead
                else ""
            )
            lines.append(f"- {_link(made)} ({made.verdict}): {inline(made.source)}.{instead}")
    for verdict, words in (
        ("conditional", "Only under a further assumption"),
        ("misprint", "Misprints, each with its correction"),
    ):
        links = [_link(made) + _instead(made) for made in printed if made.verdict == verdict]
        if links:
            lines += ["", f"{words}: {', '.join(links)}."]
    return lines


def _ours(claims: Sequence[Claim]) -> list[str]:
    """Return a line for each verdict of the statements that are ours, not a neighbour's."""
    lines = []
    for verdict in VERDICTS:
        links = [_link(made) + _instead(made) for made in claims if made.verdict == verdict]
        if links:
            lines += [f"Ours, {verdict}: {', '.join(links)}.", ""]
    return lines


def index(paper: str, claims: Sequence[Claim]) -> list[str]:
    """Return a table of the places of a paper, in the order of reading, with the claims about each; then the rest."""
    about: dict[str, list[Claim]] = {place: [] for place in outline(paper)}
    for made in claims:
        for place in places_of(paper, made.source):
            about[place].append(made)
    lines = ["| place | claims |", "|---|---|"]
    lines += [f"| {place} | {', '.join(map(_link, found))} |" for place, found in about.items() if found]
    named = {place for place, found in about.items() if found}
    without = [] if paper in NEIGHBOURS else _without(paper, named)
    reasons: dict[str, list[str]] = {}
    for place in without:
        reasons.setdefault(REASONS.get(paper, {}).get(place, "no reason is recorded"), []).append(place)
    if reasons:
        lines += ["", "Without a claim:", ""]
        lines += [f"- {', '.join(places)}: {reason}." for reason, places in reasons.items()]
    return lines


def places_of(paper: str, source: str) -> list[str]:
    """Return the places of a paper that a source names, inside ranges of equations too, in the order of reading.

    Example:
        >>> places_of("jian2025", "Corollary 2, Eqs. (43)-(45); Figure 1c")
        ['Figure 1', 'Corollary 2', 'Eq. 43', 'Eq. 44', 'Eq. 45']
    """
    named = {f"Eq. {number}" for number in equations(source)} | set(mentions(paper, source))
    named |= {label.rstrip("abcdef") for label in labels(source)}
    return [place for place in outline(paper) if place in named]


def unexplained(paper: str, claims: Sequence[Claim]) -> list[str]:
    """Return the places of a paper that no claim is about and that ``REASONS`` does not explain."""
    named = {place for made in claims for place in places_of(paper, made.source)}
    return [place for place in _without(paper, named) if place not in REASONS.get(paper, {})]


def _without(paper: str, named: set[str]) -> list[str]:
    """Return the places that are not named; a section counts as named if anything inside it is."""
    places = outline(paper)
    inside = {section_of(paper, places[place]) for place in named}
    inside |= {heading.rpartition(".")[0] for heading in inside if "." in heading}
    inside |= {heading.rpartition(".")[0] for heading in inside if "." in heading}
    return [place for place in places if place not in named and place not in inside]


def _name(key: str) -> str:
    return key.partition(".")[2]


def _link(made: Claim) -> str:
    return f"[{_name(made.key)}](#{anchor(made.key)})"


def _instead(made: Claim) -> str:
    links = ", ".join(f"[{_name(key)}](#{anchor(key)})" for key in made.instead)
    return f" ({links})" if links else ""
