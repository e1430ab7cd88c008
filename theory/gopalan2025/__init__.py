"""Claims on and after gopalan2025, "Why DPO is a Misspecified Estimator and How to Fix It"."""

from theory.gopalan2025 import misspecified

__all__ = ["misspecified"]
