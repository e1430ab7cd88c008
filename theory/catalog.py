"""Import this to fill the ledger with every claim: those on the five papers, then those on their neighbours."""

from importlib import import_module

from theory import feng2024, jian2025, ma2025, sun2025, wipf2024
from theory.claim import CLAIMS
from theory.neighbours import NEIGHBOURS

for key in NEIGHBOURS:
    import_module(f"theory.{key}")

__all__ = ["CLAIMS", "feng2024", "jian2025", "ma2025", "sun2025", "wipf2024"]
