"""Small worlds with an answer, one to a module; each module is used by its name."""
