"""Claims on and after rafailov2024."""
