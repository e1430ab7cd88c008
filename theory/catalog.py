"""Import this to fill the ledger with every claim."""

from theory import jian2025
from theory.claim import CLAIMS

__all__ = ["CLAIMS", "jian2025"]
