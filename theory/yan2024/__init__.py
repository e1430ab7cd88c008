"""Claims on and after yan2024."""
