"""The curves of the paper, of whatever a statement computes with: SymPy's or the solver's symbols, balls, fractions."""

import sympy as sp

from theory.proof import derivative, exp, log, omega, setting, touch

X, M = sp.symbols("x m", real=True)
REAL = setting("any real x")(lambda numbers: numbers.real("x"))


def sigma(x):
    """Return the logistic function.

    Example:
        >>> sigma(sp.log(3))
        3/4
    """
    return 1 / (1 + exp(-x))


def softplus(x):
    """Return ln(1 + e^x), Eq. 16."""
    return log(1 + exp(x))


def silu(x):
    """Return x / (1 + e^-x), Eq. 15."""
    return x / (1 + exp(-x))


def silu_slope(x):
    """Return SiLU'(x) = sigma(x) (1 + x sigma(-x)), Eq. 39."""
    return (1 + x / (1 + exp(x))) / (1 + exp(-x))


def x_tanh(x):
    """Return x tanh(x / 2)."""
    return x * (exp(x) - 1) / (exp(x) + 1)


def bend(x):
    return (2 - x_tanh(x)) / ((1 + exp(x)) * (1 + exp(-x)))


def bend_of_silu(x):
    """Return SiLU''(x); SymPy proves that it is that."""
    return derivative(derivative(silu, silu_slope), bend)(x)


def slope_of_spo(m):
    """Return the derivative of SiLU(-m); SymPy proves that it is that."""
    return -derivative(silu, silu_slope)(-m)


def logistic_loss(m):
    """Return -ln sigma(m), the loss of DPO and SimPO."""
    return log(1 + exp(-m))


def logistic_slope(m):
    return -1 / (1 + exp(m))


def slope_of_logistic(m):
    """Return the derivative of -ln sigma(m); SymPy proves that it is that."""
    return derivative(logistic_loss, logistic_slope)(m)


def relu(x):
    """Return max(0, x)."""
    return x if x > 0 else 0 * x


def ln_2(beside):
    """Return ln 2 in the arithmetic of another number."""
    return log(2 + 0 * beside)


def lambert(beside):
    """Return W = W(1/e), W + log W = -1, in the arithmetic of another number; e^t is known at 1 + W."""
    w = omega(0 * beside - 1)
    touch(1 + w)
    return w
