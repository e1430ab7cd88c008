"""Claims on and after shi2024."""
