"""Import this to fill the registry with every figure."""

from figures import (
    balanced_update,
    constrained,
    displacement,
    feng2024,
    jian2025,
    jian2025_tables,
    ma2025,
    masked_grid,
    overoptimization,
    replicator,
    self_po_attractor,
    self_po_entropy,
    stable_po,
    sun2025,
    sun2025_tables,
    wipf2024,
)
from figures.registry import FIGURES

__all__ = [
    "FIGURES",
    "balanced_update",
    "constrained",
    "displacement",
    "feng2024",
    "jian2025",
    "jian2025_tables",
    "ma2025",
    "masked_grid",
    "overoptimization",
    "replicator",
    "self_po_attractor",
    "self_po_entropy",
    "stable_po",
    "sun2025",
    "sun2025_tables",
    "wipf2024",
]
