"""The command line of ``python -m dynamics``."""
