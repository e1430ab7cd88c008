"""Claims after pipano2026, "Displacement-Resistant Extensions of DPO with Nonconvex f-Divergences"."""

from theory.pipano2026 import divergences

__all__ = ["divergences"]
