"""Log-linear policies beyond the first order: the second derivative along a step on the pair, and where the flow ends.

A step of size s on the pair multiplies p_y by e^(s A_y) / Z. With V = sum_y p_y A_y^2, the variance of the drives,

    d/ds p_y = p_y A_y,    d^2/ds^2 p_y = p_y (A_y^2 - V),    d^2/ds^2 log p_y = -V   for every y,

and as s grows the responses with the largest drive T = max_y A_y share all of the probability.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from dynamics.errors import InvalidArgument
from theory.decision.view import WHATEVER_THE_STEP, View, unknown_name
from theory.proof.families import POLICY, TABULAR
from theory.proof.family import Case, Family
from theory.proof.worlds import MANY, TWO, SymbolicWorld, Tabular


class SecondOrder(View):
    """A world of a log-linear policy with the second derivatives of its probabilities and the largest drive.

    Args:
        world: exact or in symbols.
        V: the variance of the drives.
        T: the largest drive of all responses.

    Example:
        >>> from theory.worlds import World
        >>> w = second_derivatives(World.log_linear([[0], [1], [2]], at=[3]))
        >>> w.V, w.T, sum(w.second_change(y) for y in w.responses) == 0
        (Fraction(66, 169), Fraction(21, 13), True)
    """

    __slots__ = ("T", "V")

    def __init__(self, world: Any, V: Any, T: Any) -> None:
        super().__init__(world)
        self.V, self.T = V, T

    def drive(self, y: Any) -> Any:
        """Return A_y."""
        return self._world.drive(y)

    def change(self, y: Any) -> Any:
        """Return p_y A_y, the first derivative."""
        return self._world.change(y)

    def second_change(self, y: Any) -> Any:
        """Return p_y (A_y^2 - V), the second derivative of p_y in the size of the step."""
        return self.p[y] * (self.drive(y) ** 2 - self.V)

    def after(self, factor: Any) -> SecondOrder:
        """Return the world after an exact step of size s with e^s = ``factor``, with the second derivatives there."""
        return second_derivatives(self._world.after(factor))

    @property
    def S_w(self) -> Any:
        """Return the second derivative of the probability of the chosen response."""
        return self.second_change(self.chosen)

    @property
    def S_l(self) -> Any:
        """Return the second derivative of the probability of the rejected response."""
        return self.second_change(self.rejected)

    @property
    def S_y(self) -> Any:
        """Return the second derivative of the probability of a response outside the pair."""
        return self.second_change(self.y)

    @property
    def caption(self) -> str:
        """Return the heading of the world's table, with the variance V of the drives and the largest drive T."""
        return f"{self._world.caption}, V = {self.V}, T = {self.T}"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in WHATEVER_THE_STEP:
            raise InvalidArgument("conjecture", unknown_name("a world to second order", name, self))
        return getattr(self._world, name)

    def __str__(self) -> str:
        """Return the world, V and T, and the second derivatives."""
        from theory.decision.typeset import world_text  # noqa: PLC0415

        second = ", ".join(str(self.second_change(y)) for y in self._world.responses)
        return f"{world_text(self)}\nsecond derivatives of p: {second}"

    def _repr_html_(self) -> str:
        from theory.decision.typeset import fraction_html, world_html  # noqa: PLC0415

        second = ", ".join(fraction_html(self.second_change(y)) for y in self._world.responses)
        return f"{world_html(self)}<div>second derivatives of <i>p</i>: {second}</div>"

    def _repr_latex_(self) -> str:
        from theory.decision.typeset import fraction_latex, world_latex  # noqa: PLC0415

        second = ",\\ ".join(fraction_latex(self.second_change(y)) for y in self._world.responses)
        ends = f"V = {fraction_latex(self.V)},\\ T = {fraction_latex(self.T)}"
        return f"{world_latex(self)}\n\n${ends}$, second derivatives of the probabilities ${second}$"


def second_derivatives(world: Any) -> SecondOrder:
    """Return a world with its second derivatives and its largest drive; in symbols, with all that is known of them."""
    if isinstance(world, SymbolicWorld):
        return SecondOrder(world, *_in_symbols(world))
    drives = [world.drive(y) for y in world.responses]
    variance = sum((q * a * a for q, a in zip(world.p, drives, strict=True)), Fraction(0))
    return SecondOrder(world, variance, max(drives))


def _in_symbols(world: SymbolicWorld) -> tuple[Any, Any]:
    """Return V and T. Of the responses without a name the sum of p A is known, since that of all is 0.

    Their part R2 of V is at least R1^2 / m, with their mass m, and their largest drive at least the mean R1 / m. Where
    the two scores of the pair are equal every drive is 0.
    """
    run = world._run
    named = [world.chosen, world.rejected, *([world.y] if world._n != TWO else [])]
    drives = [world.drive(y) for y in named]
    parts = [world.probability(y) * a for y, a in zip(named, drives, strict=True)]
    squares = [part * a for part, a in zip(parts, drives, strict=True)]
    variance, first, mass = squares[0], -parts[0], 1 - world.probability(named[0])
    for k in range(1, len(named)):
        variance, first = variance + squares[k], first - parts[k]
        mass = mass - world.probability(named[k])
    top = max(drives)
    if world._n == MANY and isinstance(world, Tabular):  # all responses outside the pair have the same drive
        variance = variance + mass * drives[-1] ** 2
    elif world._n == MANY:
        rest, largest = run.real("V_rest"), run.real("T_rest")
        run.assume(rest >= 0, rest * mass >= first * first, largest * mass >= first)
        still = (world.drive(world.chosen) - world.drive(world.rejected)) == 0
        run.assume(~still | ((rest == 0) & (largest == 0)))
        variance = variance + rest
        top = max(top, largest)
    return variance, top


def second_order(*, tabular: bool = False) -> Family:
    """Return every log-linear policy with the second derivatives of its probabilities along a step on the pair.

    ``w.S_w``, ``w.S_l``, ``w.S_y`` and ``w.second_change(y)`` are second derivatives, ``w.V`` is the variance of the
    drives, ``w.T`` the largest drive: in the limit of the flow responses with A_y < T vanish. A finite step needs no
    family of its own: in the worlds of the log-linear families ``w.after(2)`` is an exact step with e^s = 2, and
    ``w.after(2).after(3)`` are two. Beside second derivatives ``after`` is searched in exact worlds only.

    Args:
        tabular: whether the policy is a tabular softmax.

    Example:
        >>> from theory import decide
        >>> decide(lambda w: w.V >= w.p_w * w.A_w**2 + w.p_l * w.A_l**2, second_order()).verdict
        'proved'
        >>> [decide(lambda w: w.A_w == w.T, second_order(tabular=tabular)).verdict for tabular in (False, True)]
        ['refuted', 'proved']
    """
    family = TABULAR if tabular else POLICY

    def made(case: Case) -> Case:
        rebuild = case.rebuild
        return replace(
            case,
            build=lambda run: second_derivatives(case.build(run)),
            rebuild=None if rebuild is None else lambda values: second_derivatives(rebuild(values)),
            exact=False,
        )

    words = "; V = sum p A^2, T = max A; of the unnamed: R2 m >= R1^2, T m >= R1, both 0 where g_w = g_l"
    return Family(
        f"every {'tabular softmax' if tabular else 'log-linear policy'}, to second order",
        family.assumes + words,
        tuple(map(made, family.cases)),
        lambda source: second_derivatives(family.draw(source)),
        tuple(map(made, family.witnesses)),
    )
