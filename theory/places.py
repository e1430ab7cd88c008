"""Where in a paper a claim is: its source, a text, parsed into equations, theorems, sections and figures."""

from __future__ import annotations

import re

KINDS = ("Theorem", "Corollary", "Lemma", "Proposition", "Remark", "Definition", "Algorithm", "Section", "Appendix")
OTHERS = ("Figure", "Table", "Footnote")
MOST = 200  # equations in a range


def equations(source: str) -> frozenset[int]:
    """Return the numbers of the equations that a source names, those inside a range too.

    Example:
        >>> sorted(equations("Eqs. (43)-(45), (48); Eq. (6) as printed"))
        [6, 43, 44, 45, 48]
        >>> sorted(equations("Corollary 2 (second part)"))
        []
    """
    found: set[int] = set()
    for group in re.findall(r"Eqs?\.\s*((?:\(\d+\)(?:\s*(?:-|–|to|,|and|or)\s*)*)+)", source):
        for low, high in re.findall(r"\((\d+)\)(?:\s*(?:-|–|to)\s*\((\d+)\))?", group):
            last = int(high or low)
            found.update(range(int(low), min(last, int(low) + MOST) + 1))
    return frozenset(found)


def labels(source: str) -> tuple[str, ...]:
    """Return what else a source names, in its order: theorems, sections, figures and so on.

    Example:
        >>> labels("Corollary 2, its title; Remark 3; Section 2.3, key insight (2); Figure 1c")
        ('Corollary 2', 'Remark 3', 'Section 2.3', 'Figure 1c')
    """
    names = "|".join((*KINDS, *OTHERS))
    return tuple(
        f"{kind} {number}" for kind, number in re.findall(rf"\b({names})s?\s+([A-Z]?\d*(?:\.\d+)*[a-z]?)", source)
    )


def speaks_of(source: str, place: str) -> bool:
    """Return whether a source names a place: an equation by its number, anything else by its label.

    Example:
        >>> speaks_of("Eqs. (43)-(48)", "46"), speaks_of("Theorem 1, its proof", "theorem 1")
        (True, True)
        >>> speaks_of("Theorem 10", "Theorem 1")
        False
    """
    if place.isdigit():
        return int(place) in equations(source)
    wanted = place.strip().lower()
    return any(label.lower() == wanted or label.lower().startswith(wanted + ".") for label in labels(source))
