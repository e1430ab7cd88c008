"""Import this to fill the registry with every figure."""

from figures import feng2024, jian2025, ma2025, sun2025, wipf2024
from figures.registry import FIGURES

__all__ = ["FIGURES", "feng2024", "jian2025", "ma2025", "sun2025", "wipf2024"]
