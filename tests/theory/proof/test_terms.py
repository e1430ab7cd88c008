"""Terms that are combined directly are those that z3's operators make, and a number names one term."""

import operator
from collections.abc import Callable

import pytest
import z3
from hypothesis import given, settings, strategies as st

from theory.proof import POLICY, NotAStatement, prove, terms
from theory.proof.naming import Names, linear, with_names

CONTEXT = z3.Context()
NUMBERS = st.recursive(
    st.sampled_from(["a", "b", "c"]).map(lambda name: z3.Real(name, CONTEXT))
    | st.fractions(-3, 3, max_denominator=5).map(lambda value: z3.RealVal(str(value), CONTEXT)),
    lambda inner: st.tuples(st.sampled_from([operator.add, operator.sub, operator.mul]), inner, inner).map(
        lambda made: made[0](made[1], made[2])
    ),
    max_leaves=6,
)
SAME = {
    terms.plus: operator.add,
    terms.minus: operator.sub,
    terms.times: operator.mul,
    terms.at_most: operator.le,
    terms.less: operator.lt,
    terms.at_least: operator.ge,
    terms.greater: operator.gt,
    terms.equal: operator.eq,
    terms.unequal: operator.ne,
}


@settings(max_examples=30)
@given(NUMBERS, NUMBERS)
def test_terms_are_those_of_the_operators(a: z3.ArithRef, b: z3.ArithRef) -> None:
    for own, usual in SAME.items():
        assert own(a, b).eq(usual(a, b))
        assert own(a, b).sort() == usual(a, b).sort()
    for part in (a, b, a + b, a * b, -a, a - b):
        assert terms.is_sum(part) == z3.is_add(part)
        assert terms.is_product(part) == z3.is_mul(part)
        assert terms.is_constant(part) == z3.is_rational_value(part)


@settings(max_examples=20)
@given(st.lists(NUMBERS, min_size=1, max_size=5))
def test_whatever_is_found_by_its_number_is_kept(numbers: list[z3.ArithRef]) -> None:
    """The number of a term that nobody keeps is given to the next one, which would then be taken for it."""
    names = Names()
    for number in numbers:  # each question is dropped before the next one is made
        linear([number * (number - 1) < z3.Real("a", CONTEXT)], names)
        with_names([number * (number - 1) < z3.Real("a", CONTEXT)], names)
    for key, (_, _, kept) in names.products.items():
        assert key == tuple(sorted(part.get_id() for part in kept))
    for key, (_, _, kept) in names.sums.items():
        parts = kept.children() if z3.is_add(kept) else [kept]
        assert key == tuple(sorted(part.get_id() for part in parts))
    for table in (names.with_sums, names.with_products):
        assert all(number == kept.get_id() for number, (_, _, kept) in table.items())


@pytest.mark.parametrize("combined", SAME.values())
def test_a_truth_value_is_no_number(combined: Callable) -> None:
    """The solver does not look whether what it adds is a number: the predicate's numbers do."""
    for pair in (lambda w: (w.dd, w.dd >= 0), lambda w: (w.dd >= 0, w.dd)):
        with pytest.raises(NotAStatement):
            prove(lambda w, pair=pair: combined(*pair(w)) >= 0, POLICY)
