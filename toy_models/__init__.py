"""Small worlds with an answer, one to a module; each module is used by its name."""

from toy_models import displacement, gaussian_preferences

__all__ = ["displacement", "gaussian_preferences"]
