"""Several responses, of one prompt or of many, with the force with which one step pushes each: exact or in symbols."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

from theory.decision.scores import total
from theory.names import ShortNames
from theory.proof.symbols import NoSuchResponse


class Group:
    """Responses with their scores, and the force c_i with which a step pushes each.

    Args:
        p: probability of each response that is named.
        scores: g of each.
        force: c of each.
        prompts: number of the prompt of each, from 1.
        pairs: (chosen, rejected) of each pair, if it is a batch of pairs.
        numbers: further numbers, by name, which are attributes of the group as well: ``weight``, ``utility``,
            ``reward``.

    Example:
        >>> one, two = Fraction(1), Fraction(2)
        >>> batch = Group((one / 2, one / 4), ((one,), (-two,)), (one, -one), pairs=((0, 1),))
        >>> batch.drive(0) == batch.kernel(0, 0) - batch.kernel(0, 1) == batch[0].A_w
        True
    """

    __slots__ = ("_force", "_numbers", "_pairs", "_prompts", "_scores", "p")

    def __init__(
        self,
        p: Sequence[Any],
        scores: Sequence[Sequence[Any]],
        force: Sequence[Any],
        *,
        prompts: Sequence[int] | None = None,
        pairs: Sequence[tuple[int, int]] = (),
        numbers: SimpleNamespace | None = None,
    ) -> None:
        self.p, self._scores, self._force = tuple(p), tuple(map(tuple, scores)), tuple(force)
        self._prompts = tuple(prompts or (1,) * len(self.p))
        self._pairs, self._numbers = tuple(pairs), numbers or SimpleNamespace()

    def __len__(self) -> int:
        return len(self.p)

    def __getitem__(self, number: int) -> Pair:
        """Return a pair of the batch, from 0."""
        return Pair(self, *self._pairs[number])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._numbers, name)

    @property
    def c(self) -> tuple[Any, ...]:
        """Return the force on each response."""
        return self._force

    def kernel(self, y: int, z: int) -> Any:
        """Return <g_y, g_z>."""
        return total([a * b for a, b in zip(self._scores[y], self._scores[z], strict=True)])

    def squared_norm(self, y: int) -> Any:
        """Return |g_y|^2."""
        return self.kernel(y, y)

    def drive(self, y: int) -> Any:
        """Return A_y = sum_i c_i <g_y, g_i>, the first-order change of log pi(y)."""
        return total([c * self.kernel(y, i) for i, c in enumerate(self._force)])

    def log_change(self, y: int) -> Any:
        """Return the drive."""
        return self.drive(y)

    def change(self, y: int) -> Any:
        """Return p_y A_y."""
        return self.p[y] * self.drive(y)

    @property
    def caption(self) -> str:
        """Return the further numbers in words."""
        count = len(set(self._prompts))
        numbers = [f"{name} = {_text(value)}" for name, value in vars(self._numbers).items()]
        return ", ".join(
            [f"{len(self.p)} responses of {count} prompt{'s' if count > 1 else ''}", *numbers, "learning rate = 1"]
        )

    def _roles(self) -> list[str]:
        """Return what a table calls each response: the pairs in which it is chosen or rejected."""
        names = [f"y_{y}" for y in range(len(self.p))]
        for number, (chosen, rejected) in enumerate(self._pairs):
            names[chosen] += f" w of pair {number}"
            names[rejected] += f" l of pair {number}"
        return names

    def _table(self) -> list[tuple[str, list[Any]]]:
        return [
            (
                name,
                [Fraction(self._prompts[y]), self.p[y], self._scores[y], self._force[y], self.drive(y), self.change(y)],
            )
            for y, name in enumerate(self._roles())
        ]

    def __str__(self) -> str:
        """Return every response and every pair as a table, and all inner products of scores."""
        from theory.decision.typeset import aligned, plain  # noqa: PLC0415

        rows = [["", "prompt", "probability", "score g", "force c", "drive A", "change p A"]]
        rows += [[name, *map(plain, numbers)] for name, numbers in self._table()]
        inner = [f"g_{y} . g_{z} = {self.kernel(y, z)}" for y in range(len(self.p)) for z in range(y, len(self.p))]
        return "\n".join([self.caption, *aligned(rows, (10, 7, 12, 12, 8, 8, 10)), ", ".join(inner)])

    def _repr_html_(self) -> str:
        from theory.decision.typeset import table_html  # noqa: PLC0415

        head = ["", "prompt", "probability", "score <i>g</i>", "force <i>c</i>", "drive <i>A</i>", "change <i>p A</i>"]
        return table_html(self.caption, head, self._table())

    def _repr_latex_(self) -> str:
        from theory.decision.typeset import table_latex  # noqa: PLC0415

        head = [r"\text{prompt}", r"\pi_y", "g_y", "c_y", "A_y", r"\pi_y A_y"]
        return table_latex(self.caption, head, self._table())


class Pair(ShortNames):
    """One pair of a batch in the short names; drives and changes are those of the step on the whole batch.

    Args:
        group: the batch.
        chosen: number of y_w among its responses.
        rejected: number of y_l.
    """

    __slots__ = ("_group", "chosen", "rejected")

    def __init__(self, group: Group, chosen: int, rejected: int) -> None:
        self._group, self.chosen, self.rejected = group, chosen, rejected

    @property
    def p(self) -> Any:
        """Return the probabilities of all responses of the batch."""
        return self._group.p

    @property
    def y(self) -> Any:
        """Raise ``NoSuchResponse``: in a batch the other responses are named by their numbers."""
        raise NoSuchResponse("in a batch the other responses are those of the other pairs, b[1].chosen")

    def kernel(self, y: Any, z: Any) -> Any:
        """Return <g_y, g_z>."""
        return self._group.kernel(y, z)

    def drive(self, y: Any) -> Any:
        """Return the drive of the step on the whole batch."""
        return self._group.drive(y)

    def change(self, y: Any) -> Any:
        """Return p_y times the drive, the first-order change of the probability of y."""
        return self._group.change(y)

    @property
    def dd(self) -> Any:
        """Return |g_w - g_l|^2, which is A_w - A_l only for a batch of this pair alone with weight 1."""
        return self.ww - 2 * self.wl + self.ll

    @property
    def alone(self) -> Any:
        """Return the drive of the chosen response in a step on this pair alone, ww - wl."""
        return self.ww - self.wl


class Matrix(Group):
    """Responses with a preference matrix between them."""

    __slots__ = ()

    def prefers(self, i: int, j: int) -> Any:
        """Return the probability that response i is preferred to response j."""
        return self.utility[i] / (self.utility[i] + self.utility[j])


def _text(value: Any) -> str:
    return f"({', '.join(map(str, value))})" if isinstance(value, tuple) else str(value)
