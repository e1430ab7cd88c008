"""Prove a statement about every policy, or find an exact world in which it is false.

The names are listed in ``__init__.pyi``; the solver, the interval arithmetic and SymPy are loaded when they are used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
