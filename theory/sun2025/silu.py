"""sigma, SiLU, softplus and ReLU of whatever a statement computes with: a symbol of the solver, a ball, a fraction.

``theory.sun2025.curves`` has the same functions as SymPy expressions.
"""

from theory.proof import exp, log, omega, setting, touch


def sigma(x):
    """Return the logistic function."""
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


REAL = setting("any real x")(lambda numbers: numbers.real("x"))
