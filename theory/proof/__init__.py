"""Prove a statement about every policy, or find an exact world in which it is false."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "calculus": ["over_responses", "same"],
        "balls": ["Ball", "Covering", "Undecided", "everywhere"],
        "functions": ["exp", "log", "power", "sqrt"],
        "search": ["Search", "holds_at", "search"],
        "settings": ["Named", "Numbers", "beside", "setting"],
        "smt": ["Proof", "prove"],
        "symbols": ["Impure", "NoSuchResponse", "NoValue", "NotAStatement"],
        "worlds": ["POLICY", "TABULAR", "TWO_RESPONSES", "Family"],
    },
)
