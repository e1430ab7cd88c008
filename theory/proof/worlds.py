"""Preference worlds in symbols: every policy of a kind at once, with any number of responses and parameters.

A world names the pair and, when the predicate speaks of it, one other response y that stands for each of the others.
Only what holds for every policy of its kind is assumed. Two, three, and more than three responses are worlds of their
own: with few responses the score identity sum_y p_y g_y = 0 ties the scores to one another, with more than three it
leaves those of w, l and y free, since a further response can balance them.
"""

from __future__ import annotations

from typing import Any

from theory.names import ShortNames
from theory.proof.symbols import NoSuchResponse, Number, OnlyExact, Run

TWO, THREE, MANY = 2, 3, 4  # responses; MANY stands for every number from four on
CHOSEN, REJECTED, OTHER = 0, 1, 2


class _Probabilities:
    """Probabilities by response; no loop over all of them, since their number is open."""

    def __init__(self, world: SymbolicWorld) -> None:
        self._world = world

    def __getitem__(self, y: Any) -> Number:
        return self._world.probability(y)

    def _refuse(self, *_: object) -> int:
        raise self._world.refused(
            "the number of responses is not fixed here; prove over TWO_RESPONSES, or use the sums S2 and S3"
        )

    __len__ = __contains__ = _refuse
    __iter__ = _refuse


class Response:
    """The name of a response in a world of symbols."""

    def __init__(self, world: SymbolicWorld, letter: str) -> None:
        self._world, self.letter = world, letter

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Response):
            raise self._world.refused(f"responses can only be w.chosen, w.rejected and w.y, not {other!r}")
        return self.letter == other.letter

    def __hash__(self) -> int:
        return hash(self.letter)

    def __repr__(self) -> str:
        return f"y_{self.letter}"


class SymbolicWorld(ShortNames):
    """What all worlds in symbols share.

    Args:
        run: the run whose symbols are used.
        n: number of responses: 2, 3, or 4 for "at least four".
    """

    __slots__ = ("_n", "_other", "_run", "chosen", "p", "rejected")  # vars(world) would tell symbols from fractions

    def __init__(self, run: Run, n: int) -> None:
        self._run, self._n = run, n
        self.chosen, self.rejected, self._other = (Response(self, letter) for letter in "wly")
        self.p = _Probabilities(self)

    def refused(self, message: str) -> Exception:
        """Return the error of a predicate that asks for what a world in symbols does not have."""
        return self._run.fault(OnlyExact(message))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("_run", "_n"):
            raise AttributeError(name)
        raise self.refused(f"a world in symbols has no {name}; it has the short names, p, kernel, drive and change")

    @property
    def y(self) -> Any:
        """Return the response that stands for each of the others."""
        if self._n == TWO:
            raise NoSuchResponse("there is no response outside the pair")
        if "y" not in self._run.touched:
            self._run.touched.add("y")
            self.introduce_other()
        return self._other

    def introduce_other(self) -> None:
        """Tell the solver what holds for another response."""
        raise NotImplementedError

    def probability(self, y: Any) -> Number:
        """Return the probability of w, l or y."""
        raise NotImplementedError

    def squared_norm(self, y: Any) -> Number:
        """Return |g_y|^2."""
        return self.kernel(y, y)

    def drive(self, y: Any) -> Number:
        """Return A_y = g_y . (g_w - g_l)."""
        return self.kernel(y, self.chosen) - self.kernel(y, self.rejected)

    def log_change(self, y: Any) -> Number:
        """Return the drive."""
        return self.drive(y)

    def change(self, y: Any) -> Number:
        """Return p_y A_y."""
        return self.probability(y) * self.drive(y)

    def index(self, y: Any) -> int:
        """Return the place of a response in this world; raise an error if the world has no such response."""
        if not isinstance(y, Response):
            raise self.refused(f"a world in symbols has only the responses w.chosen, w.rejected and w.y, not {y!r}")
        if y.letter == "y":
            _ = self.y
        return "wly".index(y.letter)


class AnyPolicy(SymbolicWorld):
    """Any differentiable policy, at any point of its parameters."""

    __slots__ = ("_gram", "_p")

    def __init__(self, run: Run, n: int) -> None:
        super().__init__(run, n)
        p = run.real("p_w")
        if n == TWO:
            length = run.real("d")  # |g_w - g_l|^2: by the score identity g_w = p_l (g_w - g_l), g_l = -p_w (g_w - g_l)
            run.assume(p > 0, p < 1, length >= 0)
            q = 1 - p
            self._gram = {(0, 0): q * q * length, (1, 1): p * p * length, (0, 1): -(p * q * length)}
            self._p = [p, q]
            return
        q = run.real("p_l")
        ww, ll, wl = (run.real(name) for name in ("ww", "ll", "wl"))
        run.assume(p > 0, q > 0, p + q < 1, ww >= 0, ll >= 0, wl * wl <= ww * ll)
        self._p, self._gram = [p, q], {(0, 0): ww, (1, 1): ll, (0, 1): wl}

    def introduce_other(self) -> None:
        """Add y: with three responses its score follows, with more only the Gram matrix must be positive."""
        run, (p, q) = self._run, self._p
        a, b, c = self._gram[0, 0], self._gram[1, 1], self._gram[0, 1]
        d, e, f = (run.real(name) for name in ("yy", "wy", "ly"))
        self._gram |= {(2, 2): d, (0, 2): e, (1, 2): f}
        if self._n == THREE:
            r = 1 - p - q
            run.assume(p * a + q * c + r * e == 0, p * c + q * b + r * f == 0, p * e + q * f + r * d == 0)
        else:
            r = run.real("p_y")
            run.assume(r > 0, p + q + r < 1, *self.positive_semidefinite(a, b, c, d, e, f))
        self._p.append(r)

    @staticmethod
    def positive_semidefinite(a: Number, b: Number, c: Number, d: Number, e: Number, f: Number) -> list[Any]:
        """Return the conditions under which the Gram matrix of w, l and y is positive semidefinite.

        Those are the principal minors that involve y; those of w and l alone are assumed when the world is made.
        """
        determinant = a * (b * d - f * f) - c * (c * d - f * e) + e * (c * f - b * e)
        return [d >= 0, e * e <= a * d, f * f <= b * d, determinant >= 0]

    def probability(self, y: Any) -> Number:
        """Return the probability of w, l or y."""
        return self._p[self.index(y)]

    def kernel(self, y: Any, z: Any) -> Number:
        """Return <g_y, g_z>."""
        a, b = sorted((self.index(y), self.index(z)))
        return self._gram[a, b]


class Tabular(SymbolicWorld):
    """Any tabular softmax: <g_y, g_z> = [y = z] - p_y - p_z + S2, and the sums S2 and S3 of the powers of all p.

    Args:
        run: the run.
        n: number of responses.
        others: number of responses outside the pair and y, if it is fixed: then each has a probability of its own.
    """

    __slots__ = ("_others", "_p", "_rest", "_sums")

    def __init__(self, run: Run, n: int, others: int | None = None) -> None:
        super().__init__(run, n)
        p = run.real("p_w")
        run.assume(p > 0)
        q = 1 - p if n == TWO else run.real("p_l")
        run.assume(q > 0, *([] if n == TWO else [p + q < 1]))
        self._p, self._rest, self._others = [p, q], 1 - p - q, others
        self._sums: dict[int, Number] = {}
        if others is not None and n != TWO:
            _ = self.y

    def introduce_other(self) -> None:
        """Add y; what was known of the sum over all responses outside the pair is split into y and the rest."""
        run = self._run
        if self._n == THREE:
            self._p.append(self._rest)
        else:
            r = run.real("p_y")
            run.assume(r > 0, r < self._rest)
            self._p.append(r)
        before = self._rest
        self._rest = before - self._p[OTHER]
        if self._sums:  # asked for before y was: y's part of it
            rest = {k: total - self._p[OTHER] ** k for k, total in self._sums.items()}
            self._sums = {}
            self._tell(rest)

    def probability(self, y: Any) -> Number:
        """Return the probability of w, l or y."""
        return self._p[self.index(y)]

    def power_sum(self, power: int) -> Number:
        """Return the sum of p^2 or p^3 over all responses."""
        if not self._sums:
            if self._nobody_left():
                self._sums = {k: Number(self._run, self._run.constant(0)) for k in (2, 3)}
            elif self._others is not None:
                parts = [self._run.real(f"p_{k}") for k in range(3, 3 + self._others)]
                self._run.assume(*(part > 0 for part in parts), sum(parts[1:], parts[0]) == self._rest)
                self._sums = {k: sum((part**k for part in parts[1:]), parts[0] ** k) for k in (2, 3)}
            else:
                self._tell({k: self._run.real(f"rest_{k}") for k in (2, 3)})
        return sum((p**power for p in self._p), self._sums[power])

    def _nobody_left(self) -> bool:
        return self._n == TWO or (self._n == THREE and "y" in self._run.touched)

    def _tell(self, sums: dict[int, Number]) -> None:
        from theory.proof.induction import power_sum_bounds  # noqa: PLC0415

        self._sums = sums
        if self._nobody_left():
            self._run.assume(*(total == 0 for total in sums.values()))
        else:
            self._run.assume(*power_sum_bounds(self._rest, sums[2], sums[3]))

    @property
    def S2(self) -> Number:
        """Return the sum of p^2 over all responses."""
        return self.power_sum(2)

    @property
    def S3(self) -> Number:
        """Return the sum of p^3 over all responses."""
        return self.power_sum(3)

    def kernel(self, y: Any, z: Any) -> Number:
        """Return <g_y, g_z> = [y = z] - p_y - p_z + S2."""
        return int(self.index(y) == self.index(z)) - self.probability(y) - self.probability(z) + self.S2

    def drive(self, y: Any) -> Number:
        """Return A_y = [y = w] - [y = l] - (p_w - p_l); S2 cancels."""
        place = self.index(y)
        return int(place == CHOSEN) - int(place == REJECTED) - (self._p[CHOSEN] - self._p[REJECTED])

    def after(self, factor: Number) -> Tabular:
        """Return the world after an exact step of size s with e^s = ``factor`` > 0: p_w grows by e^s, p_l by e^-s."""
        if self._n != TWO:
            _ = self.y  # named before the step, so that it is the same response after it
        later = object.__new__(type(self))
        SymbolicWorld.__init__(later, self._run, self._n)
        p, q, *others = self._p
        total = p * factor + q / factor + (1 - p - q)
        later._p = [p * factor / total, q / factor / total, *(r / total for r in others)]
        later._rest, later._others = self._rest / total, None
        self.power_sum(2)
        later._sums = {k: value / total**k for k, value in self._sums.items()}
        return later
