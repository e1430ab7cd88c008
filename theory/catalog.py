"""Import this to fill the ledger with every claim."""

from theory import feng2024, jian2025, ma2025, sun2025, wipf2024
from theory.claim import CLAIMS

__all__ = ["CLAIMS", "feng2024", "jian2025", "ma2025", "sun2025", "wipf2024"]
