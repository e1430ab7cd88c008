"""Identities, derivatives and limits by SymPy; sums over any number of responses by their moments.

A predicate for SymPy takes symbols and returns ``same(left, right)``, joined by ``&`` if there are several. Each
argument without a default is a symbol, positive by default. An identity is proved if SymPy reduces the
difference of its sides to zero and the sides agree to 40 digits at random points as well; it is refuted if they differ
at one.

A predicate about sums takes the responses of ``over_responses``. For SymPy ``y.sum`` expands what it is given into
products of quantities and names the sum of each product a moment, of which only what holds for any number of responses
is known; at random the responses are a handful of exact numbers, and ``y.sum`` adds them up.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Any

from theory.proof.generators import vanishes
from theory.proof.points import problem_at_points
from theory.proof.searched import Predicate, Search
from theory.proof.symbols import NotAStatement


@dataclass(frozen=True)
class Same:
    """The statement that both sides of each pair are equal."""

    pairs: tuple[tuple[Any, Any], ...]

    def __and__(self, other: Same) -> Same:
        if not isinstance(other, Same):
            raise NotAStatement("same(...) can be combined by & only with another same(...)")
        return Same(self.pairs + other.pairs)

    def __bool__(self) -> bool:
        raise NotAStatement("join identities with &, since `and` would check only the last one")


def same(left: Any, right: Any) -> Same:
    """Return the statement that two expressions are equal for all values of their symbols."""
    return Same(((left, right),))


@dataclass(frozen=True)
class Identity:
    """The result of deciding an identity.

    Attributes:
        verdict: "proved", "refuted" or "undecided".
        detail: how, or at which values it is false.
    """

    verdict: str
    detail: str


def prove_identity(predicate: Predicate, symbols: Mapping[str, Any] | None = None, **change: Any) -> Identity:
    """Decide an identity by SymPy.

    Args:
        predicate: returns ``same(left, right)``; arguments without a default are symbols.
        symbols: for each argument that is not a positive number, what it is: "real", "negative", "function", or a SymPy
            object of your own.
        **change: arguments that differ from the predicate's own.

    Example:
        >>> import sympy as sp
        >>> prove_identity(lambda x, y, k=1: same(sp.diff(sp.log(x * y), x), k / x)).verdict
        'proved'
        >>> prove_identity(lambda x, y, k=1: same(sp.diff(sp.log(x * y), x), k / x), k=2).verdict
        'refuted'
        >>> chain = lambda x, f, k=1: same(sp.diff(sp.exp(f(x)), x), k * sp.exp(f(x)) * f(x).diff(x))
        >>> [prove_identity(chain, {"f": "function"}, k=k).verdict for k in (1, 2)]
        ['proved', 'refuted']
    """
    arguments = {name: _symbol(name, kind) for name, kind in _free(predicate, symbols or {}, change).items()}
    return _decide(predicate(**arguments, **change))


def said_of(predicate: Predicate, symbols: Mapping[str, Any] | None, sums: Mapping[str, str] | None) -> str:
    """Return what an identity is proved for, in words.

    Example:
        >>> said_of(lambda x, z, k=1: same(x, z), {"z": "real"}, None)
        'x positive; z real'
        >>> said_of(lambda y: same(y.sum(y.p), 1), None, over_responses(p="probability"))
        'any number of responses, each with p probability'
    """
    if sums is not None:
        return "any number of responses, each with " + ", ".join(f"{name} {kind}" for name, kind in sums.items())
    grouped: dict[str, list[str]] = {}
    for name, kind in _free(predicate, symbols or {}, {}).items():
        words = kind if isinstance(kind, str) else f"= {kind}"
        grouped.setdefault("any " + words if kind == "function" else words, []).append(name)
    return "; ".join(f"{', '.join(names)} {words}" for words, names in grouped.items()) or "constants"


def prove_and_listen(
    own: Any, predicate: Predicate, symbols: Mapping[str, Any] | None, sums: Mapping[str, str] | None
) -> tuple[Identity, bool]:
    """Decide an identity, and tell whether it contains a claim's own identity: a proof of the one proves the other.

    It contains that if the claim is called with the arguments of the identity that have the names of its own: what is
    proved of x and x says nothing of x and y. A case, which is neither a number nor an expression, may be any.
    """
    from theory.proof.joined import listening  # noqa: PLC0415

    ended: list[Any] = []
    given = [_moments(sums)] if sums is not None else []
    named = {} if sums is not None else {k: _symbol(k, v) for k, v in _free(predicate, symbols or {}, {}).items()}
    heard = listening(own, lambda: ended.append(predicate(*given, **named)))
    inside = ended[0].pairs if isinstance(ended[0], Same) else ()
    contained = all(isinstance(one.truth, Same) and set(one.truth.pairs) <= set(inside) for one in heard)
    general = all(named.get(name) == one or not _is_plain(one) for call in heard for name, one in call.given.items())
    return _decide(ended[0]), bool(heard) and contained and general


def _is_plain(argument: Any) -> bool:
    """Return whether an argument of a claim is a number, an expression or a function, and not a case."""
    import sympy as sp  # noqa: PLC0415

    return isinstance(argument, (sp.Basic, int, float, Fraction, sp.core.function.UndefinedFunction))


def _free(predicate: Predicate, symbols: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(predicate).parameters.values()
    free = {
        p.name: symbols.get(p.name, "positive") for p in parameters if p.default is p.empty and p.name not in change
    }
    unknown = {*symbols, *change} - {p.name for p in parameters}
    if unknown:
        raise NotAStatement(f"no such argument of the statement: {', '.join(sorted(unknown))}")
    return free


def _symbol(name: str, kind: Any) -> Any:
    import sympy as sp  # noqa: PLC0415 - loaded for a proof only

    if not isinstance(kind, str):
        return kind
    if kind == "function":
        return sp.Function(name)
    return sp.Symbol(name, **{kind: True})


def _decide(statement: object) -> Identity:
    import sympy as sp  # noqa: PLC0415

    if not isinstance(statement, Same) or not statement.pairs:
        raise NotAStatement(f"a statement for SymPy is same(left, right), not {type(statement).__name__}")
    pairs = [(sp.sympify(left), sp.sympify(right)) for left, right in statement.pairs]
    if any(side.has(sp.Float) for pair in pairs for side in pair):
        raise NotAStatement("a statement computes with whole numbers and fractions, not with floats")
    infinite = (sp.oo, -sp.oo)
    differences = [sp.Integer(0) if a == b and a in infinite else a - b for a, b in pairs]
    for difference in differences:
        problem = None if difference == 0 else problem_at_points(difference)  # 0 as it is written, at every point
        if problem is not None:
            return Identity(*problem)
    if not all(_vanishes(difference) for difference in differences):
        return Identity("undecided", "SymPy does not reduce the difference to zero")
    return Identity("proved", f"{len(differences)} identit{'y' if len(differences) == 1 else 'ies'}")


def _vanishes(expression: Any) -> bool:
    import sympy as sp  # noqa: PLC0415

    steps: tuple[Callable[[Any], Any], ...] = (
        lambda e: e,
        sp.expand,
        lambda e: sp.expand(sp.numer(sp.together(e))),  # much faster than simplify, and enough for most
        sp.simplify,
        lambda e: sp.simplify(sp.expand_log(e)),
        lambda e: sp.simplify(sp.powsimp(sp.expand(sp.powdenest(e)))),
        lambda e: sp.simplify(sp.expand_power_base(sp.powdenest(sp.simplify(e)))),
        lambda e: sp.simplify(e.rewrite(sp.exp)),
        lambda e: sp.simplify(e.doit()),
    )
    return vanishes(expression) or any(step(expression) == 0 for step in steps)


# --- sums over responses -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Responses:
    """All responses of a world: each quantity by name, their sum, and one of them by name.

    Attributes:
        quantities: of any response, a SymPy symbol each; or an array of exact numbers.
        sum: adds an expression in them over all responses.
        one: returns the quantities of one response, the same for the same name.
    """

    quantities: Mapping[str, Any]
    sum: Callable[[Any], Any]
    one: Callable[[str], Any]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.quantities[name]
        except KeyError:
            raise AttributeError(f"no quantity {name}; there are {', '.join(self.quantities)}") from None


def over_responses(**kinds: str) -> dict[str, str]:
    """Say which quantities every response has: "probability" (one of them), "centred" (its mean is 0) or "any".

    Example:
        >>> kinds = over_responses(p="probability", f="any")
        >>> def balanced(y, share=1):
        ...     mean = y.sum(y.p * y.f)
        ...     return same(y.sum(y.p * (y.f - share * mean)), 0)
        >>> prove_sum(balanced, kinds).verdict, prove_sum(balanced, kinds, share=2).verdict
        ('proved', 'refuted')
    """
    if sum(kind == "probability" for kind in kinds.values()) > 1 or set(kinds.values()) - {
        "probability",
        "centred",
        "any",
    }:
        raise NotAStatement("each quantity must be 'probability' (at most one), 'centred' or 'any'")
    return kinds


def prove_sum(predicate: Predicate, kinds: Mapping[str, str], **change: Any) -> Identity:
    """Decide an identity between sums over any number of responses by their moments."""
    return _decide(predicate(_moments(kinds), **change))


def search_sum(
    predicate: Predicate, kinds: Mapping[str, str], worlds: int = 200, seed: int = 0, **change: Any
) -> Search:
    """Look for finitely many responses with exact numbers at which an identity between sums is false."""
    source = random.Random(seed)
    sizes: dict[int, int] = {}
    for tried in range(1, worlds + 1):
        responses, shown = _drawn(kinds, source)
        statement = predicate(responses, **change)
        if not isinstance(statement, Same):
            raise NotAStatement(f"a statement about sums is same(left, right), not {type(statement).__name__}")
        n = len(next(iter(responses.quantities.values())))
        sizes[n] = sizes.get(n, 0) + 1
        for left, right in statement.pairs:
            if left != right:
                return Search(shown, tried, tried, 0, sizes)
    return Search(None, worlds, worlds, 0, sizes)


def _moments(kinds: Mapping[str, str]) -> Responses:
    import sympy as sp  # noqa: PLC0415

    symbols = {name: sp.Symbol(name, positive=kind == "probability" or None) for name, kind in kinds.items()}
    bound = tuple(symbols.values())
    probability = next((s for name, s in symbols.items() if kinds[name] == "probability"), None)

    def total(expression: Any) -> Any:
        poly = sp.Poly(sp.expand(expression), *bound)
        result = sp.Integer(0)
        for powers, coefficient in poly.terms():
            product = reduce(lambda a, b: a * b, (s**k for s, k in zip(bound, powers, strict=True)), sp.Integer(1))
            result += coefficient * moment(product)
        return sp.expand(result)

    def moment(product: Any) -> Any:
        if product == 1:
            return sp.Symbol("n", positive=True, integer=True)
        if product == probability:
            return sp.Integer(1)
        if any(kinds[name] == "centred" and product == probability * s for name, s in symbols.items()):
            return sp.Integer(0)
        return sp.Symbol(f"sum[{product}]", real=True)

    def one(label: str) -> Any:
        from theory.proof.settings import Named  # noqa: PLC0415

        return Named(**{name: sp.Symbol(f"{name}_{label}", real=True) for name in symbols})

    return Responses(symbols, total, one)


def _drawn(kinds: Mapping[str, str], source: random.Random) -> tuple[Responses, str]:
    import numpy as np  # noqa: PLC0415

    from theory.proof.settings import Named  # noqa: PLC0415

    n = source.randint(2, 7)
    weights = [Fraction(source.randint(1, 12)) for _ in range(n)]
    p = np.array([weight / sum(weights) for weight in weights], dtype=object)
    quantities = {}
    for name, kind in kinds.items():
        values = np.array([Fraction(source.randint(-6, 6), source.randint(1, 4)) for _ in range(n)], dtype=object)
        quantities[name] = p if kind == "probability" else values - sum(p * values) * (kind == "centred")
    labels: dict[str, int] = {}

    def one(label: str) -> Any:
        k = labels.setdefault(label, len(labels)) % n
        return Named(**{name: values[k] for name, values in quantities.items()})

    def total(expression: Any) -> Any:
        return sum(expression + np.zeros(n, dtype=int) * Fraction(1))

    shown = "; ".join(f"{name} = {', '.join(map(str, values))}" for name, values in quantities.items())
    return Responses(quantities, total, one), shown
