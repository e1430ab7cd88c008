"""Claims on and after pipano2026."""
