"""Log-linear policies in symbols, before and after an exact gradient step of any size on their pair.

A step of size s multiplies p_y by e^(s A_y) / Z with Z = sum_y p_y e^(s A_y), for every response and any number of
them. What the solver is told about Z, and about the shift M of all drives (A_y - M after the step), follows from one
inequality,

    sum p e^x >= sum p + sum p x,   strict if some x is not 0,

which is proved by induction on the number of responses before it is used. With x = s A_y it says Z >= 1; with the
step back, x = -s (A_y - M) at the new probabilities, it says e^(s M) >= Z. Steps of sizes s and t, one after the
other, are the step of size s + t: both multiply p_y by powers with the same phi_y . (phi_w - phi_l) and normalise.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from theory.proof.functions import exp
from theory.proof.symbols import NoSuchResponse, NoValue, Number
from theory.proof.worlds import CHOSEN, OTHER, REJECTED, THREE, TWO, AnyPolicy, Response, SymbolicWorld

if TYPE_CHECKING:
    from theory.proof.symbols import Run


class LogLinear(AnyPolicy):
    """Any log-linear policy, a base measure allowed, at any point of its parameters."""

    __slots__ = ("_reached", "_steps")

    def __init__(self, run: Run, n: int) -> None:
        super().__init__(run, n)
        self._reached: list[tuple[Any, Stepped]] = []  # all worlds after steps, with the product of their factors
        self._steps: list[tuple[Any, Stepped]] = []

    def after(self, factor: Any) -> LogLinear | Stepped:
        """Return the world after an exact step of size s > 0 on the pair, with e^s = ``factor`` > 1."""
        return _step(self, factor)


class Stepped(SymbolicWorld):
    """A log-linear world after an exact step; it has probabilities, drives and changes, but no kernel.

    Args:
        before: the world that the step starts from.
        factor: e^s > 0, of a step of size s.
    """

    __slots__ = (
        "_back",
        "_before",
        "_equals",
        "_growth",
        "_partition",
        "_powers",
        "_root",
        "_shift",
        "_steps",
        "_whole",
    )

    def __init__(self, before: LogLinear | Stepped, factor: Any) -> None:
        run: Run = before._run
        super().__init__(run, before._n)
        _prove_partition_bounds()
        run.incomplete = True  # also before the error below, since a step backwards does have a value in an exact world
        if not factor > 1:  # for a step backwards, exchange the two worlds
            raise NoValue("a step of a log-linear world in symbols needs e^s > 1")
        self._before, self._steps = before, []  # type: ignore[var-annotated]
        self._partition, self._shift = run.fresh("partition"), run.fresh("shift")
        zero, one = (Number(run, run.constant(k)) for k in (0, 1))
        self._powers = [(zero, one), (one, factor)]  # arguments a and e^(s a), for s > 0
        self._growth: dict[int, Number] = {}
        self._back = self._power(self._shift)
        run.assume(self._partition >= 1, self._back >= self._partition, self._shift >= 0)
        for y in (CHOSEN, REJECTED):
            self._tell(y)
        self._total(exactly=self._n == TWO)
        self._find_equals(factor)

    def _find_equals(self, factor: Any) -> None:
        """Tell the solver that steps whose factors have the same product lead to the same probabilities and drives.

        A step multiplies p_y by factor^(phi_y . d) and normalises, with the same d each time, so that steps of sizes s
        and t are one of size s + t.
        """
        before = self._before
        self._root: LogLinear = before if isinstance(before, LogLinear) else before._root
        self._whole: Number = factor if isinstance(before, LogLinear) else before._whole * factor
        simple = self._run.z3.simplify(self._whole.term, som=True)
        self._equals = [world for whole, world in self._root._reached if whole.eq(simple)]
        self._root._reached.append((simple, self))
        for world in self._equals:
            world._equals.append(self)
        for y in tuple(self._growth):
            self._equate(y)

    def _equate(self, place: int) -> None:
        y = Response(self, "wly"[place])
        for world in self._equals:
            if place in world._growth:
                self._run.assume(self.probability(y) == world.probability(y), self.drive(y) == world.drive(y))

    def _power(self, a: Number) -> Number:
        """Name e^(s a): positive, and monotone in a."""
        value = self._run.fresh("growth")
        self._run.assume(value > 0)
        for b, other in self._powers:
            self._run.assume((a < b) == (value < other), (a > b) == (value > other))
        self._powers.append((a, value))
        return value

    def _tell(self, y: int) -> None:
        """Name e^(s A_y); where it is not 1 the bounds are strict."""
        drive = self._before.drive(Response(self, "wly"[y]))
        self._growth[y] = self._power(drive)
        self._run.assume((drive == 0) | ((self._partition > 1) & (self._back > self._partition) & (self._shift > 0)))

    def _total(self, *, exactly: bool) -> None:
        """Tell the solver the share of the named responses in Z; if there are no others, that is Z, and gives M."""
        parts = [self._before.probability(Response(self, "wly"[y])) * e for y, e in self._growth.items()]
        total = sum(parts[1:], parts[0])
        if not exactly:
            self._run.assume(self._partition > total)
            return
        drives = [self._before.drive(Response(self, "wly"[y])) for y in self._growth]
        weighted = [part * drive for part, drive in zip(parts, drives, strict=True)]
        self._run.assume(self._partition == total, self._shift * self._partition == sum(weighted[1:], weighted[0]))

    @property
    def y(self) -> Any:
        """Return the response that stands for each of the others."""
        if self._n == TWO:
            raise NoSuchResponse("there is no response outside the pair")
        other = self._before.y
        if OTHER not in self._growth:
            self._tell(OTHER)
            self._total(exactly=self._n == THREE)
            self._equate(OTHER)
        return other

    def probability(self, y: Any) -> Number:
        """Return the probability of w, l or y."""
        place = self.index(y)
        return self._before.probability(y) * self._growth[place] / self._partition

    def drive(self, y: Any) -> Number:
        """Return A_y - M: all drives lose the same, since the mean of phi . (phi_w - phi_l) has grown by M."""
        self.index(y)
        return self._before.drive(y) - self._shift

    def kernel(self, *_: Any) -> Number:
        """Raise an error: the inner products after a step depend on features that have no symbols here."""
        raise self.refused("after a step of a log-linear world there are p, drive and change, but no kernel")

    def after(self, factor: Any) -> LogLinear | Stepped:
        """Return the world after a further step."""
        return _step(self, factor)


def _step(world: LogLinear | Stepped, factor: Any) -> LogLinear | Stepped:
    """Return the world after a step; the same one if it is asked for twice.

    A step back by a number, from a world that a longer step or one of the same length has led to, is the rest of that
    step, or none: steps of sizes s and t are one of size s + t.
    """
    factor = Number(world._run, world._run.constant(0)) + factor
    if (size := _constant(factor)) is not None and size <= 1:
        whole = _constant(world._whole * factor) if isinstance(world, Stepped) else size
        root = world._root if isinstance(world, Stepped) else world
        if whole == 1:
            return root
        if whole is not None and whole > 1:
            return _step(root, whole)
    for known, later in world._steps:
        if known.eq(factor.term):
            return later
    later = Stepped(world, factor)
    world._steps.append((factor.term, later))
    return later


def _constant(number: Number) -> Fraction | None:
    """Return the value of a number that depends on nothing, else None."""
    z3 = number.run.z3
    value = z3.simplify(number.term)
    return value.as_fraction() if z3.is_rational_value(value) else None


@lru_cache(maxsize=1)
def _prove_partition_bounds() -> None:
    from theory.proof.induction import by_induction, sums_of  # noqa: PLC0415
    from theory.proof.settings import Named, Numbers, setting  # noqa: PLC0415
    from theory.proof.smt import prove  # noqa: PLC0415

    @sums_of("p > 0, any x")
    def responses(numbers: Numbers) -> Any:
        """Any number of responses; the sum of x^2 is 0 only if every x is."""
        p, x = numbers.positive("p"), numbers.real("x")
        return Named(p=p, px=p * x, xx=x * x, grown=p * exp(x))

    def above_tangent(s: Any) -> Any:
        return s.xx >= 0 and s.grown >= s.p + s.px and (s.xx == 0 or s.grown > s.p + s.px)

    @setting("p, e, z, c > 0")
    def factors(numbers: Numbers) -> Any:
        return [numbers.positive(name) for name in ("p", "e", "z", "c")]

    def step_back(case: Any) -> Any:  # p' e^(-s A') with p' = p e / z, e^(-s A') = c / e, c = e^(s M)
        p, e, z, c = case
        return (p * e / z) * (c / e) == p * (c / z)

    proofs = [*by_induction(above_tangent, **responses), prove(step_back, factors)]
    if any(proof.verdict != "proved" for proof in proofs):
        raise AssertionError(f"the bounds of a log-linear step are not proved: {[str(p) for p in proofs]}")
