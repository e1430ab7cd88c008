"""Give names to sums that are factors, or to products of variables, in a question to the solver.

The solver multiplies out ``p * (a - b)**2`` before it looks at it, and no longer sees a square that way. With a name n
for the sum, defined by n = a - b, the product stays short. The question with names has the same answer: whatever values
a question has, the names have values that go with them.

With a name for each product of variables the question is linear, and has an answer at once. The linear question does
not know what its names mean. If it cannot be true, neither can the question; that it may be true says nothing.
"""

from __future__ import annotations

from typing import Any

from theory.proof.terms import identity, is_constant, is_product, is_sum, kind_of

PREFIX = "sum"
PRODUCT = "product"

Key = tuple[int, ...]
"""The identities of the summands of a sum, or of the factors of a product, in order."""


class Names:
    """The names of sums and products in all questions that use these names; they must belong to one context.

    Equal sums have one name, and so have equal products. What a term becomes depends on the term and on these names
    alone, so that a term that stands in many questions is renamed once. A name is never given to anything else.

    Whatever is found here by its identity is kept here as well: the identity of a term that nobody keeps may be given
    to another term.
    """

    def __init__(self) -> None:
        self.sums: dict[Key, tuple[Any, Any, Any]] = {}  # name, its definition, and the sum that is kept
        self.products: dict[Key, tuple[Any, Any, Any]] = {}
        # what becomes of a term by its identity: the new term, the names in it, and the term that is kept
        self.with_sums: dict[int, tuple[Any, tuple[Key, ...], Any]] = {}
        self.with_products: dict[int, tuple[Any, tuple[Key, ...], Any]] = {}


def with_names(terms: list[Any], names: Names | None = None) -> list[Any]:
    """Return the terms with a name in place of every sum that is multiplied by anything but a constant.

    The definitions of the names follow. Without such a sum the terms themselves are returned.

    Args:
        terms: a question.
        names: those of other questions in the same context, which are used again; new ones are added.

    Example:
        >>> import z3
        >>> p, a, b = z3.Reals("p a b")
        >>> with_names([p * (a - b) * (a - b) < 0])
        [p*sum.0*sum.0 < 0, sum.0 == a - b]
        >>> with_names([2 * (a - b) < p])
        [2*(a - b) < p]
    """
    names = Names() if names is None else names
    renamed = [_with_sums(term, names) for term in terms]
    used = dict.fromkeys(key for _, keys in renamed for key in keys)
    return [*(term for term, _ in renamed), *(names.sums[key][1] for key in used)] if used else terms


def _with_sums(term: Any, names: Names) -> tuple[Any, tuple[Key, ...]]:
    """Return a term with names for its sums, and the keys of these names."""
    import z3  # noqa: PLC0415

    done, todo = names.with_sums, [term]
    while todo:
        top = todo[-1]
        if identity(top) in done:
            todo.pop()
            continue
        parts = top.children()
        waiting = [part for part in parts if identity(part) not in done]
        if waiting:
            todo += waiting
            continue
        todo.pop()
        multiplied = is_product(top) and sum(not is_constant(part) for part in parts) > 1
        new = [_sum_name(part, names) if multiplied else done[identity(part)][:2] for part in parts]
        keys = tuple(dict.fromkeys(key for _, found in new for key in found))
        whole = top
        if keys:
            whole = z3.Product([part for part, _ in new]) if multiplied else top.decl()(*(part for part, _ in new))
        done[identity(top)] = whole, keys, top
    return done[identity(term)][:2]


def _sum_name(factor: Any, names: Names) -> tuple[Any, tuple[Key, ...]]:
    """Return the name of a factor that is a sum; another one with names for the sums in it."""
    import z3  # noqa: PLC0415

    if kind_of(factor) not in (z3.Z3_OP_ADD, z3.Z3_OP_SUB):
        return names.with_sums[identity(factor)][:2]
    simple = z3.simplify(factor, som=True)  # equal sums get one name, however they are written
    key = _key(simple.children() if is_sum(simple) else [simple])
    if key not in names.sums:
        name = z3.Real(f"{PREFIX}.{len(names.sums)}", factor.ctx)
        names.sums[key] = name, name == factor, simple
    return names.sums[key][0], (key,)


def linear(terms: list[Any], names: Names | None = None) -> tuple[list[Any], list[Any]]:
    """Return the terms multiplied out, with a name in place of each product, and what the names stand for.

    What is neither a variable nor a constant multiple of one gets a name. Where nothing does, the second list is empty
    and the terms themselves are returned.

    Args:
        terms: a question.
        names: those of other questions in the same context, which are used again; new ones are added.

    Example:
        >>> import z3
        >>> a, b = z3.Reals("a b")
        >>> linear([a * (a - 2 * b) > 0, b * a > a * a])
        ([product.0 + -2*product.1 > 0, product.1 > product.0], [product.0 == a*a, product.1 == a*b])
        >>> linear([a > 2 * b])
        ([a > 2*b], [])
    """
    names = Names() if names is None else names
    renamed = [_with_products(term, names) for term in terms]
    used = dict.fromkeys(key for _, keys in renamed for key in keys)
    return ([term for term, _ in renamed], [names.products[key][1] for key in used]) if used else (terms, [])


def _with_products(term: Any, names: Names) -> tuple[Any, tuple[Key, ...]]:
    """Return a truth value, or a number in it, with names for its products, and the keys of these names."""
    import z3  # noqa: PLC0415

    done = names.with_products
    if identity(term) not in done:
        if z3.is_arith(term):
            whole, keys = _multiplied_out(term, names)
        else:
            parts = [_with_products(part, names) for part in term.children()]
            keys = tuple(dict.fromkeys(key for _, found in parts for key in found))
            whole = term.decl()(*(part for part, _ in parts)) if parts else term
        done[identity(term)] = whole, keys, term
    return done[identity(term)][:2]


def _multiplied_out(number: Any, names: Names) -> tuple[Any, tuple[Key, ...]]:
    """Return a number as a sum of multiples of variables and of names, and the keys of these names."""
    import z3  # noqa: PLC0415

    simple = z3.simplify(number, som=True)
    found, used = [], []
    for part in simple.children() if is_sum(simple) else [simple]:
        factors = _factors(part)
        constants = [factor for factor in factors if is_constant(factor)]
        others = [factor for factor in factors if not is_constant(factor)]
        if len(others) > 1 or any(factor.num_args() for factor in others):
            key = _key(others)
            if key not in names.products:
                name = z3.Real(f"{PRODUCT}.{len(names.products)}", part.ctx)
                names.products[key] = name, name == (z3.Product(others) if len(others) > 1 else others[0]), others
            used.append(key)
            others = [names.products[key][0]]
        factors = constants + others
        found.append(z3.Product(factors) if len(factors) > 1 else factors[0])
    return z3.Sum(found) if len(found) > 1 else found[0], tuple(dict.fromkeys(used))


def _key(parts: list[Any]) -> Key:
    return tuple(sorted(identity(part) for part in parts))


def _factors(number: Any) -> list[Any]:
    """Return the factors of a product, also of products in it."""
    return [factor for part in number.children() for factor in _factors(part)] if is_product(number) else [number]
