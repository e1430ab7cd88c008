"""Claims on and after chen2024."""
