"""Every figure of the papers, computed, checked and drawn."""
