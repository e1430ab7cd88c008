"""What the figures are about, across the papers."""

from __future__ import annotations

from figures.registry import Figure

TOPICS: dict[str, tuple[str, ...]] = {
    "displacement": (
        *("jian2025-1a", "jian2025-1b", "jian2025-1c", "new-violation-region", "new-displacement-map"),
        *("new-protection", "new-sign-table", "new-rejected-longer", "new-squeezing", "new-dpop-vanishes"),
        "new-force-border",
    ),
    "language models": (
        *("jian2025-1-lm", "jian2025-2a", "jian2025-2b", "new-theorem-1-lm", "new-vocabulary-shift"),
        *("new-kernel-lm", "new-many-steps-lm"),
    ),
    "losses": (
        "sun2025-1",
        "sun2025-4",
        "sun2025-7",
        "sun2025-table-2",
        "wipf2024-2",
        "new-self-po-entropy",
        "new-group-size",
    ),
    "fields and simplexes": (
        *("feng2024-1a", "feng2024-1b", "ma2025-1", "new-replicator-simplex", "new-balanced-update"),
        "new-self-po-attractor",
    ),
    "training runs": ("jian2025-5", "jian2025-6", "jian2025-tables-2-3", "new-training-runs"),
    "over-optimization": ("sun2025-3", "sun2025-5", "sun2025-table-5"),
    "constraints and masks": ("wipf2024-1", "new-gaussian-envelope", "ma2025-2", "ma2025-table-1"),
}
"""The figures of each topic by key."""

OTHER = "other"


def topic_of(figure: Figure) -> str:
    """Return the topic of a figure, or "other" for one that has none, such as a figure of a user's own."""
    return next((topic for topic, keys in TOPICS.items() if figure.key in keys), OTHER)
