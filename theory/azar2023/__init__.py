"""Claims on and after azar2023."""
