"""How response probabilities move under a preference loss: losses, policies, steps, trajectories, flows.

The names are listed in ``__init__.pyi``. Each is imported when it is first used, so that a command that only prints its
help, or a package that needs an error class, does not wait for torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
