"""ma2025's toy of 20 prompts and 20 responses with masked pairs: its Table 1 and its Figure 2."""
