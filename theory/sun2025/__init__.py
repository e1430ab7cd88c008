"""Sun et al. 2025, Self Preference Optimization with SiLU (Self PO): its claims and its closed forms."""
