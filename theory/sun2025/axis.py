"""Every margin m with e^-m and W = e^(-1-W), and the losses SiLU(-m) and -log sigma(m) with their slopes in m."""

from theory.proof import Named, exp, omega, setting
from theory.statement import claims_of

claim = claims_of("sun2025")


@setting("any margin m; falling = e^-m; W = e^(-1 - W)")
def any_margin(numbers):
    """Every margin."""
    m = numbers.real("m")
    lambert = omega(0 * m - 1)
    return Named(m=m, falling=exp(-m), W=lambert, rising=exp(1 + lambert))  # the tangent there is that of the bounds


def silu_loss(c):
    """Return SiLU(-m) = -m sigma(-m)."""
    return -c.m * logistic_push(c)


def logistic_push(c):
    """Return sigma(-m), minus the slope of the logistic loss."""
    return c.falling / (1 + c.falling)


def silu_push(c):
    """Return sigma(-m) (1 - m sigma(m)), minus the slope of SPO."""
    return logistic_push(c) * (1 - c.m / (1 + c.falling))
