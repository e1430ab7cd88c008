"""Two blocks of parameters, as Stable PO trains them: K steps of maximum likelihood on one, a DPO step on the other.

Each block has scores of its own, and the kernel is the sum of those of the blocks. To first order in both learning
rates log pi(y) moves by

    eta (<g_y, g_w> - <g_y, g_l>)_theta + K eta_in <g_y, g_w>_phi,

with eta in units of beta times urgency: the DPO step on the outer block theta, and K steps of -log pi_w on the inner
block phi (jian2025, Algorithm 1, Eq. 11).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from theory.decision.scores import all_scores, free_scores, shares
from theory.names import ShortNames
from theory.proof.family import Family
from theory.proof.settings import Numbers, either, setting
from theory.proof.symbols import NoSuchResponse


class TwoBlocks(ShortNames):
    """A world with one pair whose parameters are two blocks.

    Args:
        p: probabilities of w, l and, if there is one, y.
        theta: their scores with respect to the outer block.
        phi: their scores with respect to the inner block.
        eta: learning rate of the outer step, times beta and urgency.
        eta_in: learning rate of the inner steps.
        steps: K, their number.
    """

    __slots__ = ("K", "_phi", "_theta", "chosen", "eta", "eta_in", "p", "rejected")

    def __init__(
        self, p: Sequence[Any], theta: Sequence[Any], phi: Sequence[Any], eta: Any, eta_in: Any, steps: Any
    ) -> None:
        self.p, self._theta, self._phi = tuple(p), tuple(map(tuple, theta)), tuple(map(tuple, phi))
        self.eta, self.eta_in, self.K = eta, eta_in, steps
        self.chosen, self.rejected = 0, 1

    @property
    def y(self) -> int:
        """Return a response outside the pair; raise ``NoSuchResponse`` with two responses."""
        if len(self.p) < 3:
            raise NoSuchResponse("there is no response outside the pair")
        return 2

    def kernel_theta(self, y: int, z: int) -> Any:
        """Return the inner product of scores with respect to the outer block."""
        return _dot(self._theta[y], self._theta[z])

    def kernel_phi(self, y: int, z: int) -> Any:
        """Return the inner product of scores with respect to the inner block."""
        return _dot(self._phi[y], self._phi[z])

    def kernel(self, y: int, z: int) -> Any:
        """Return <g_y, g_z>, the sum over both blocks."""
        return self.kernel_theta(y, z) + self.kernel_phi(y, z)

    def squared_norm(self, y: int) -> Any:
        """Return |g_y|^2."""
        return self.kernel(y, y)

    def outer(self, y: int) -> Any:
        """Return the change of log pi(y) by the outer step."""
        return self.eta * (self.kernel_theta(y, self.chosen) - self.kernel_theta(y, self.rejected))

    def inner(self, y: int) -> Any:
        """Return the change of log pi(y) by the K inner steps."""
        return self.K * self.eta_in * self.kernel_phi(y, self.chosen)

    def drive(self, y: int) -> Any:
        """Return the change of log pi(y) by both."""
        return self.outer(y) + self.inner(y)

    def log_change(self, y: int) -> Any:
        """Return the drive."""
        return self.drive(y)

    def change(self, y: int) -> Any:
        """Return p_y A_y."""
        return self.p[y] * self.drive(y)

    @property
    def dd(self) -> Any:
        """Return |g_w - g_l|^2 over both blocks."""
        return self.ww - 2 * self.wl + self.ll

    @property
    def caption(self) -> str:
        """Return the rates and the number of inner steps."""
        return f"two blocks, eta = {self.eta} (times beta x urgency), eta_in = {self.eta_in}, K = {self.K}"

    def _table(self) -> list[tuple[str, list[Any]]]:
        return [
            (name, [self.p[y], self._theta[y], self._phi[y], self.outer(y), self.inner(y), self.change(y)])
            for y, name in zip(range(len(self.p)), ("w (chosen)", "l (rejected)", "y"), strict=False)
        ]

    def __str__(self) -> str:
        """Return both blocks, and what either step does, as a table."""
        from theory.decision.typeset import aligned, plain  # noqa: PLC0415

        rows = [["", "probability", "score theta", "score phi", "outer", "inner", "change p A"]]
        rows += [[name, *map(plain, numbers)] for name, numbers in self._table()]
        return "\n".join([self.caption, *aligned(rows, (14, 12, 14, 14, 8, 8, 12))])

    def _repr_html_(self) -> str:
        from theory.decision.typeset import table_html  # noqa: PLC0415

        head = ["", "probability", "score &theta;", "score &phi;", "outer", "inner", "change <i>p A</i>"]
        return table_html(self.caption, head, self._table())

    def _repr_latex_(self) -> str:
        from theory.decision.typeset import table_latex  # noqa: PLC0415

        head = [r"\pi_y", r"g_y^\theta", r"g_y^\phi", r"\text{outer}", r"\text{inner}", r"\pi_y A_y"]
        return table_latex(self.caption, head, self._table())


def two_blocks() -> Family:
    """Return every policy with two blocks of parameters, any learning rates and any number K >= 0 of inner steps.

    ``w.outer(y)`` and ``w.inner(y)`` are the changes of log pi(y) by the DPO step and by the inner steps,
    ``w.drive(y)`` their sum; ``w.kernel_theta`` and ``w.kernel_phi`` are the kernels of the blocks, ``w.eta``,
    ``w.eta_in`` and ``w.K`` the rates and the number of inner steps.

    Example:
        >>> from theory import decide
        >>> decide(lambda w: w.A_w >= w.outer(w.chosen), two_blocks()).verdict
        'proved'
        >>> decide(lambda w: w.A_w >= 0, two_blocks()).verdict
        'refuted'
    """
    words = "eta, eta_in > 0, K >= 0 whole; any scores in both blocks"

    def case(responses: int) -> Family:
        def named(numbers: Numbers) -> TwoBlocks:
            eta, eta_in = numbers.positive("eta"), numbers.positive("eta_in")
            steps = numbers.natural("K", 0)
            if responses > 3:  # w, l, y and others, which balance the scores
                p: Sequence[Any] = shares(numbers, [1] * 3)
                blocks = [free_scores(numbers, 3, letter) for letter in ("a", "b")]
            else:
                p = shares(numbers, [1] * (responses - 1))
                p = [*p, 1 - sum(p[1:], p[0])]
                blocks = [all_scores(numbers, p, letter) for letter in ("a", "b")]
            return TwoBlocks(p, blocks[0], blocks[1], eta, eta_in, steps)

        named.__doc__ = f"two blocks, {responses} responses"
        return setting(words)(named)

    names = {2: "n = 2", 3: "n = 3", 4: "n > 3"}
    return either("every policy with two blocks", words, {name: case(n) for n, name in names.items()})


def _dot(a: Sequence[Any], b: Sequence[Any]) -> Any:
    total: Any = Fraction(0)
    for x, y in zip(a, b, strict=True):
        total = x * y + total
    return total
