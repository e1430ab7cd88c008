"""The decorator of the claims of sun2025, and every margin m beside W = W(1/e)."""

from theory.proof import Named, omega, setting, touch
from theory.statement import claims_of

claim = claims_of("sun2025")


@setting("any margin m; W + log W = -1, which is W = W(1/e); e^t is known at 1 + W")
def any_margin(numbers):
    """Every margin."""
    m = numbers.real("m")
    lambert = omega(0 * m - 1)
    touch(1 + lambert)
    return Named(m=m, W=lambert)
