"""Claims on and after cui2025."""
