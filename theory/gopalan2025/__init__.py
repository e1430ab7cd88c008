"""Claims on and after gopalan2025, on DPO under misspecification."""

from theory.gopalan2025 import misspecified

__all__ = ["misspecified"]
