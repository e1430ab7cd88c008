"""Claims after chen2026, "Towards Disentangled Preference Optimization Dynamics"."""

from theory.chen2026 import band

__all__ = ["band"]
