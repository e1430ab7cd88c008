"""Give names to sums that are factors, or to products of variables, in a question to the solver.

The solver multiplies out ``p * (a - b)**2`` before it looks at it, and no longer sees a square that way. With a name n
for the sum, defined by n = a - b, the product stays short. The question with names has the same answer: whatever values
a question has, the names have values that go with them.

With a name for each product of variables the question is linear, and has an answer at once. The linear question does
not know what its names mean. If it cannot be true, neither can the question; that it may be true says nothing.
"""

from __future__ import annotations

from typing import Any

PREFIX = "sum"
PRODUCT = "product"


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
    if z3.is_mul(term) and sum(not z3.is_rational_value(part) for part in parts) > 1:
        return z3.Product([named(part) for part in parts])
    return term.decl()(*(done[part.get_id()] for part in parts)) if parts else term


def linear(terms: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return the terms multiplied out, with a name in place of each product, and what the names stand for.

    What is neither a variable nor a constant multiple of one gets a name. Where nothing does, the second list is empty
    and the terms themselves are returned.

    Example:
        >>> import z3
        >>> a, b = z3.Reals("a b")
        >>> linear([a * (a - 2 * b) > 0, b * a > a * a])
        ([product.0 + -2*product.1 > 0, product.1 > product.0], [product.0 == a*a, product.1 == a*b])
        >>> linear([a > 2 * b])
        ([a > 2*b], [])
    """
    import z3  # noqa: PLC0415

    names: dict[str, tuple[Any, Any]] = {}
    done: dict[int, Any] = {}

    def named(term: Any) -> Any:
        if term.get_id() not in done:
            parts = term.children()
            between_numbers = parts and z3.is_arith(parts[0])
            new = [_multiplied_out(part, names, z3) if between_numbers else named(part) for part in parts]
            done[term.get_id()] = term.decl()(*new) if new else term
        return done[term.get_id()]

    renamed = [named(term) for term in terms]
    return (renamed, [name == meaning for name, meaning in names.values()]) if names else (terms, [])


def _multiplied_out(number: Any, names: dict[str, tuple[Any, Any]], z3: Any) -> Any:
    """Return a number as a sum of multiples of variables and of names."""
    simple = z3.simplify(number, som=True)
    found = []
    for part in simple.children() if z3.is_add(simple) else [simple]:
        factors = _factors(part, z3)
        constants = [factor for factor in factors if z3.is_rational_value(factor)]
        others = sorted((factor for factor in factors if not z3.is_rational_value(factor)), key=lambda x: x.sexpr())
        if len(others) > 1 or any(factor.children() for factor in others):
            key = " ".join(factor.sexpr() for factor in others)
            if key not in names:
                meaning = z3.Product(others) if len(others) > 1 else others[0]
                names[key] = (z3.Real(f"{PRODUCT}.{len(names)}", part.ctx), meaning)
            others = [names[key][0]]
        factors = constants + others
        found.append(z3.Product(factors) if len(factors) > 1 else factors[0])
    return z3.Sum(found) if len(found) > 1 else found[0]


def _factors(number: Any, z3: Any) -> list[Any]:
    """Return the factors of a product, also of products in it."""
    return [factor for part in number.children() for factor in _factors(part, z3)] if z3.is_mul(number) else [number]
