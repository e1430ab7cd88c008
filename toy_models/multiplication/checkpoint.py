"""The location of the checkpoint that comes with the package, and its question; imports nothing slow."""

from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"
"""Folder of the checkpoint: weights, configuration, tokenizer and model card."""

QUESTION = "11 x 12 = ?"
"""The question of jian2025, Section 2.3."""

PINNED_REJECTED = ("11 x 12 = 124.", "114.", "11 x 12 is 123.", "172.", "11 x 13 = 141")
"""Rejected responses with which the shipped model shows the pattern of the paper's Figure 2a.

A uniform draw (seed 82) of the incorrect samples, found by a search over draws: the model card says how, and what other
draws show.
"""
