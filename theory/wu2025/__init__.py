"""Claims on and after wu2025."""
