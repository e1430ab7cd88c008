"""Claims on and after yan2024, "3D-Properties: Identifying Challenges in DPO and Charting a Path Forward"."""

from theory.yan2024 import properties

__all__ = ["properties"]
