"""Colours as they look to people with normal colour vision and to the colour-blind.

The simulation is Brettel's of a missing kind of cone, from coloraide. The difference of two colours is CIEDE2000, in
which about 2 is just noticeable side by side.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations

from coloraide import Color

VISIONS = ("normal", "protan", "deutan", "tritan")


@cache
def _seen(color: str, vision: str) -> Color:
    """Return a colour as it looks without one kind of cone."""
    return Color(color) if vision == "normal" else Color(color).filter(vision).clip()


@cache
def difference(one: str, other: str, vision: str) -> float:
    """Return how different two colours look."""
    return float(_seen(one, vision).delta_e(_seen(other, vision), method="2000"))


def smallest_difference(colors: list[str], vision: str) -> float:
    """Return how different the two most alike of some colours look."""
    return min(difference(one, other, vision) for one, other in combinations(colors, 2))
