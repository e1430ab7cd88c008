"""Claims on and after gopalan2025."""
