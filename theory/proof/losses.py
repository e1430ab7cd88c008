"""The losses of ``dynamics`` in symbols: their own code, run on SymPy expressions in the place of tensors.

Torch asks an argument that is no tensor what to do with it (``__torch_function__``), so that nothing is replaced and
nothing is written twice: the formula that comes out is what the package computes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from theory.proof.symbols import NotAStatement

if TYPE_CHECKING:
    from dynamics.losses import PreferenceLoss


def loss_in_symbols(loss: type[PreferenceLoss], pair: Sequence[Any], **settings: Any) -> Any:
    """Return the formula of a loss of ``dynamics`` as a SymPy expression.

    Args:
        loss: the class.
        pair: log-probabilities of the chosen and the rejected response, of both under the reference, and their lengths.
        **settings: every hyper-parameter that the loss reads, a symbol or a whole number; words and flags as they are.

    Raises:
        NotAStatement: the code uses an attribute that expressions lack, or a torch function without a counterpart here.

    Example:
        >>> import sympy as sp
        >>> from dynamics import DPO
        >>> w, l, beta = sp.symbols("w l beta")
        >>> loss_in_symbols(DPO, (w, l, 0, 0, 1, 1), beta=beta) == sp.log(1 + sp.exp(-beta * (w - l)))
        True
    """
    from dynamics.losses import PairLogProbs  # noqa: PLC0415 - torch is loaded for a proof only

    made = object.__new__(loss)  # the checks of a hyper-parameter look at its value, and a symbol has none
    for name, value in settings.items():
        object.__setattr__(made, name, value if isinstance(value, (str, bool)) else Expression(value))
    symbols: list[Any] = [Expression(value) for value in pair]
    formula: Any = made.value(PairLogProbs(*symbols))
    return formula.of


def _functions() -> dict[str, Callable[..., Any]]:
    import sympy as sp  # noqa: PLC0415

    return {
        "exp": sp.exp,
        "log": sp.log,
        "relu": lambda x: sp.Max(0, x),
        "sigmoid": lambda x: 1 / (1 + sp.exp(-x)),
        "log_sigmoid": lambda x: -sp.log(1 + sp.exp(-x)),
        "ones_like": lambda _: sp.Integer(1),
        "zeros_like": lambda _: sp.Integer(0),
    }


class Expression:
    """A SymPy expression that functions of torch accept.

    Attributes:
        of: the expression.
    """

    __slots__ = ("of",)

    def __init__(self, of: Any) -> None:
        import sympy as sp  # noqa: PLC0415

        self.of = sp.sympify(of)

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Expression:
        """Return what a function of torch makes of expressions."""
        known = _functions().get(function.__name__)
        if known is None or kwargs:
            raise NotAStatement(f"torch.{function.__name__} has no symbolic counterpart here")
        return cls(known(*map(_plain, args)))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotAStatement(
            f"the loss asks its argument for {name}, which tensors have and symbolic expressions do not"
        )

    def __add__(self, other: Any) -> Expression:
        return Expression(self.of + _plain(other))

    def __sub__(self, other: Any) -> Expression:
        return Expression(self.of - _plain(other))

    def __rsub__(self, other: Any) -> Expression:
        return Expression(_plain(other) - self.of)

    def __mul__(self, other: Any) -> Expression:
        return Expression(self.of * _plain(other))

    __radd__, __rmul__ = __add__, __mul__

    def __truediv__(self, other: Any) -> Expression:
        return Expression(self.of / _plain(other))

    def __rtruediv__(self, other: Any) -> Expression:
        return Expression(_plain(other) / self.of)

    def __neg__(self) -> Expression:
        return Expression(-self.of)

    def __pow__(self, power: Any) -> Expression:
        return Expression(self.of ** _plain(power))


def _plain(value: Any) -> Any:
    return value.of if isinstance(value, Expression) else value
