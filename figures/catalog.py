"""Import this to fill the registry with every figure."""

from figures import feng2024
from figures.registry import FIGURES

__all__ = ["FIGURES", "feng2024"]
