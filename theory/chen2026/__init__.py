"""Claims after chen2026, on the disentanglement band and reward calibration."""

from theory.chen2026 import band

__all__ = ["band"]
