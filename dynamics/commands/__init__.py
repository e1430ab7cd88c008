"""The commands of ``python -m dynamics``: what each computes and prints, one module for each."""
