"""The curves of the paper as SymPy expressions: sigma, softplus, SiLU, the logistic loss."""

from __future__ import annotations

import sympy as sp

X = sp.Symbol("x", real=True)
M = sp.Symbol("m", real=True)


def sigma(x: sp.Expr) -> sp.Expr:
    """Return the logistic function as an expression.

    Example:
        >>> sigma(sp.log(3))
        3/4
    """
    return 1 / (1 + sp.exp(-x))


def softplus(x: sp.Expr) -> sp.Expr:
    """Return ln(1 + e^x), Eq. 16, as an expression.

    Example:
        >>> softplus(sp.Integer(0))
        log(2)
    """
    return sp.log(1 + sp.exp(x))


def silu(x: sp.Expr) -> sp.Expr:
    """Return x / (1 + e^-x), Eq. 15, as an expression.

    Example:
        >>> silu(sp.log(3))
        3*log(3)/4
    """
    return x / (1 + sp.exp(-x))


def logistic_loss(margin: sp.Expr) -> sp.Expr:
    """Return -ln sigma(m), the loss of DPO and SimPO."""
    return -sp.log(sigma(margin))
