"""Give a name to every sum that is a factor in a question to the solver.

The solver multiplies out ``p * (a - b)**2`` before it looks at it, and no longer sees a square that way. With a name n
for the sum, defined by n = a - b, the product stays short. The question with names has the same answer: whatever values
a question has, the names have values that go with them.
"""

from __future__ import annotations

from typing import Any

PREFIX = "sum"


def with_names(terms: list[Any]) -> list[Any]:
    """Return the terms with a name in place of every sum that is multiplied by anything but a constant.

    The definitions of the names follow. Without such a sum the terms themselves are returned.

    Example:
        >>> import z3
        >>> p, a, b = z3.Reals("p a b")
        >>> with_names([p * (a - b) * (a - b) < 0])
        [p*sum.0*sum.0 < 0, sum.0 == a - b]
        >>> with_names([2 * (a - b) < p])
        [2*(a - b) < p]
    """
    import z3  # noqa: PLC0415

    names: dict[str, tuple[Any, Any]] = {}
    done: dict[int, Any] = {}

    def named(part: Any) -> Any:
        if not (z3.is_add(part) or z3.is_sub(part)):
            return done[part.get_id()]
        simple = z3.simplify(part, som=True)  # equal sums get one name, however they are written
        key = " ".join(sorted(one.sexpr() for one in (simple.children() if z3.is_add(simple) else [simple])))
        if key not in names:
            names[key] = (z3.Real(f"{PREFIX}.{len(names)}", part.ctx), part)
        return names[key][0]

    todo = list(reversed(terms))
    while todo:
        term = todo[-1]
        waiting = [part for part in term.children() if part.get_id() not in done]
        if waiting:
            todo += waiting
            continue
        todo.pop()
        done[term.get_id()] = _rebuilt(term, named, done, z3)
    renamed = [done[term.get_id()] for term in terms]
    return [*renamed, *(name == meaning for name, meaning in names.values())] if names else terms


def _rebuilt(term: Any, named: Any, done: dict[int, Any], z3: Any) -> Any:
    """Rebuild a term from its parts, whose sums have been replaced by names."""
    parts = term.children()
    if not parts:
        return term
    if z3.is_mul(term) and sum(not z3.is_rational_value(part) for part in parts) > 1:
        return z3.Product([named(part) for part in parts])
    return term.decl()(*(done[part.get_id()] for part in parts))
