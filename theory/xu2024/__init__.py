"""Claims on and after xu2024."""
