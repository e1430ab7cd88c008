"""Claims on and after pal2024, "Smaug: Fixing Failure Modes of Preference Optimisation with DPO-Positive"."""

from theory.pal2024 import dpop, later_tokens

__all__ = ["dpop", "later_tokens"]
