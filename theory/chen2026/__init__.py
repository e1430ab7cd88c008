"""Claims on and after chen2026."""
