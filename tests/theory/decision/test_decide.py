"""A conjecture is proved, refuted by an exact world, vacuous, or undecided; nothing false is proved."""

import re
from contextlib import suppress
from fractions import Fraction as F
from functools import partial

import pytest

from dynamics.errors import InvalidArgument
from tests.theory.proof.deceptive import FALSE, TRUE, Trap
from tests.theory.proof.deceptive_named import NAMED_FALSE, NAMED_TRUE
from tests.theory.proof.deceptive_reading import OPEN, REFUSED
from theory import LOG_LINEAR, POLICY, TABULAR, TWO_RESPONSES, Bounds, Decision, decide
from theory.decision import decide as module
from theory.decision.blocks import two_blocks
from theory.decision.group import batch, preference_matrix
from theory.decision.second_order import second_order
from theory.decision.tokens import token_pair
from theory.decision.weighted import with_weights
from theory.proof import Named, holds_at, log, prove, setting, sqrt, with_step
from theory.proof.negation import Negation

# --- the list of deceptive predicates --------------------------------------------------------------------------------


PROVER_ONLY = {name for name, *_ in (*NAMED_FALSE, *NAMED_TRUE)}
"""About forms of a question to the solver, of which ``decide`` knows nothing: they are tried on the prover alone."""


def decided(trap: Trap) -> Decision | None:
    """Return the decision about a trap; None if it is refused as no statement."""
    try:
        return decide(partial(trap.predicate, **trap.change), trap.over, given=trap.given, worlds=5)
    except InvalidArgument:
        return None


@pytest.mark.parametrize(
    "trap", [t for t in FALSE if t.work is None and t.name not in PROVER_ONLY], ids=lambda trap: trap.name
)
def test_a_false_predicate_is_never_proved(trap: Trap) -> None:
    decision = decided(trap)
    if decision is None:
        return
    assert decision.verdict != "proved", decision
    if decision.verdict == "refuted" and decision.case is not None:
        assert holds_at(trap.predicate, decision.case, trap.given, **trap.change) is False


@pytest.mark.parametrize("trap", [t for t in TRUE if t.name not in PROVER_ONLY], ids=lambda trap: trap.name)
def test_what_is_true_is_proved(trap: Trap) -> None:
    decision = decided(trap)
    assert decision is not None
    assert decision.verdict == "proved", decision


@pytest.mark.parametrize("number", range(len(OPEN)))
def test_what_reads_oddly_is_not_proved(number: int) -> None:
    predicate, over, given = OPEN[number]
    with suppress(InvalidArgument):
        assert decide(predicate, over, given=given, worlds=5).verdict != "proved"


@pytest.mark.parametrize("predicate", REFUSED, ids=lambda f: f.__name__)
def test_what_looks_at_its_numbers_is_refused_or_false(predicate) -> None:
    with suppress(InvalidArgument, AttributeError):
        assert decide(predicate, worlds=5).verdict in ("refuted", "undecided")


def unread_is_proved(patch: pytest.MonkeyPatch) -> None:
    """What the prover cannot read counts as proved."""
    ask, trivial = module._asked_prover, decide_trivially

    def mild(statement, given, families, *rest):
        family, proof = ask(statement, given, families, *rest)
        return family, trivial(family) if isinstance(proof, str) else proof

    patch.setattr(module, "_asked_prover", mild)


def decide_trivially(family):
    return prove(lambda w: w.p_w > 0, family)


def exact_worlds_are_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    """A search looks at nothing, so that it cannot contradict the prover."""
    patch.setattr(module._Search, "is_false", lambda self, case: False)


def no_value_is_no_witness(patch: pytest.MonkeyPatch) -> None:
    """The negation of a statement has no value where the statement has none."""

    def mild(self, case, **change):
        return not self.predicate(case, **change)

    patch.setattr(Negation, "__call__", mild)


def premise_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    """The prover is not told that there is a premise."""
    ask = module._asked_prover
    patch.setattr(module, "_asked_prover", lambda statement, given, *rest: ask(statement, None, *rest))


def test_mistakes_in_decide_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With each mistake one of the answers that the tests demand is another one."""
    with monkeypatch.context() as patch:
        unread_is_proved(patch)
        assert decide(lambda w: len(w.p) < 60, worlds=10).verdict == "proved"
    with monkeypatch.context() as patch:
        no_value_is_no_witness(patch)
        assert decide(lambda w: 1 / (w.dd - w.dd) > 0, exists=True, worlds=10).verdict != "refuted"
    with monkeypatch.context() as patch:
        premise_is_forgotten(patch)
        assert decide(lambda w: w.D_w >= w.D_l, given=lambda w: w.wl <= 0, worlds=10).verdict == "undecided"
    with monkeypatch.context() as patch:
        exact_worlds_are_not_looked_at(patch)
        assert decide(lambda w: len(w.p) < 6, worlds=10).verdict == "undecided"


def test_an_exact_world_against_a_proof_is_an_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A prover that is wrong is found out by the first exact world in which the statement is false."""
    monkeypatch.setattr(
        module, "_asked_prover", lambda statement, given, families, *rest: (families[0], decide_trivially(families[0]))
    )
    with pytest.raises(AssertionError, match="an exact world says otherwise"):
        decide(lambda w: w.A_w >= 0, worlds=10)


# --- verdicts --------------------------------------------------------------------------------------------------------


def test_a_proof_says_of_what_by_what_and_under_which_assumptions() -> None:
    decision = decide(lambda w: w.A_w >= w.A_l)
    assert decision.verdict == "proved"
    assert "proved for every policy (n = 2, n >= 3), by smt" in str(decision)
    assert "positive semidefinite" in str(decision)
    assert repr(decision) == str(decision)


def test_a_refutation_shows_a_small_world_and_both_sides() -> None:
    decision = decide(lambda w: w.D_w >= w.D_l)
    assert decision.verdict == "refuted"
    assert sorted(decision.case.p) == [F(1, 13), F(3, 13), F(9, 13)]
    assert "not D_w >= D_l: 21/169 < 24/169" in str(decision)


@pytest.mark.parametrize(
    ("conjecture", "over"),
    [
        (lambda w: w.p_w <= F(12, 13), TABULAR),
        (lambda w: w.p_w > F(1, 100), TABULAR),
        (lambda w: w.p_w > F(1, 10**12), TABULAR),
        (lambda w: len(w.p) < 6, None),
        (lambda w: len(w.p) < 6, TABULAR),
        (lambda w: w.ww < 1000, None),
    ],
)
def test_bounds_of_a_search_are_no_bounds_of_the_verdict(conjecture, over) -> None:
    decision = decide(conjecture, over)
    assert decision.verdict == "refuted"
    assert holds_at(conjecture, decision.case) is False


def test_undecided_says_what_was_tried() -> None:
    decision = decide(lambda w: len(w.p) < 12, within=Bounds(responses=5))
    assert decision.verdict == "undecided"
    assert re.search(r"no counterexample in \d+ exact worlds \(tabular softmax, .*2 to 5 responses", str(decision))
    assert "the number of responses is not fixed" in str(decision)
    assert decide(lambda w: len(w.p) < 12, within=Bounds(responses=15), worlds=30).verdict == "refuted"


def test_work_is_a_limit_and_undecided_says_how_far_it_went() -> None:
    def variance(w):
        return w.S_w <= w.p_w * w.A_w**2

    given_up = decide(variance, second_order(), worlds=5, work=2_000)
    assert given_up.verdict == "undecided"
    assert re.search(r"gave up .*\(\d+ questions, up to 2,000 units of its work for one; work=20000 ", str(given_up))
    assert decide(variance, second_order(), worlds=5).verdict == "proved"
    with pytest.raises(InvalidArgument, match=r"^work"):
        decide(variance, second_order(), work=0)


@pytest.mark.parametrize(
    ("conjecture", "over", "words"),
    [
        (lambda w: w.Aw >= 0, None, r"has no Aw; did you mean A_w"),
        (lambda w: w.Aww >= 0, second_order(), r"has no Aww; did you mean ww or A_w.*S_w"),
        (lambda w: w.weights >= 0, with_weights(), r"has no weights.* It has A_l, A_w"),
        (lambda b: b.utilty[0] >= 0, preference_matrix(2), r"has no utilty; did you mean utility"),
        (lambda b: b[0].Aw >= 0, batch(2), r"has no Aw; did you mean A_w"),
        (lambda w: w.hidden(0) >= 0, token_pair((0,), (1,)), r"has no hidden; did you mean hidden_product"),
        (lambda w: w.inners >= 0, two_blocks(), r"has no inners; did you mean inner"),
        ("D_x >= 0", None, r"is no name; did you mean D_"),
    ],
)
def test_a_name_that_a_world_lacks_is_an_error_with_the_nearest_names(conjecture, over, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        decide(conjecture, over, worlds=2)


def test_a_float_is_an_error_that_says_what_to_write() -> None:
    tenth = 0.1
    for conjecture in (lambda w: w.A_w >= 0.1, lambda w: w.A_w >= tenth):
        with pytest.raises(InvalidArgument, match=re.escape('write Fraction("0.1") or Fraction(1, 10)')):
            decide(conjecture, worlds=2)


@pytest.mark.parametrize(
    ("conjecture", "side"),
    [
        (lambda w: w.A_w / (w.ww - w.ww) < 9, "not ww - ww != 0: 0 == 0 (it divides by this)"),
        (lambda w: (w.p_w - w.p_w) ** -1 > 0, "not p_w - p_w != 0: 0 == 0 (it divides by this)"),
        (lambda w: sqrt(-w.p_w) >= 0, "not -p_w >= 0: -1/2 < 0 (it takes the root of this)"),
        (lambda w: log(-w.p_w) >= 0, "not -p_w > 0: -1/2 <= 0 (it takes the logarithm of this)"),
    ],
)
def test_a_conjecture_without_a_value_says_which_part_has_none(conjecture, side: str) -> None:
    decision = decide(conjecture, worlds=5)
    assert (decision.verdict, str(decision.sides[-1])) == ("refuted", side)
    assert "(it " in decision._repr_html_()
    assert "(it " in decision._repr_latex_()


def test_a_premise_is_counted() -> None:
    decision = decide(lambda w: w.D_w >= w.D_l, given=lambda w: w.wl <= 0)
    assert decision.verdict == "proved"
    assert 0 < decision.tried < decision.drawn
    assert f"{decision.tried} exact worlds of {decision.drawn}, those that meet the premise" in str(decision)
    nothing = decide(lambda w: w.D_w >= w.D_l, given=lambda w: w.ww < 0)
    assert (nothing.verdict, nothing.tried) == ("vacuous", 0)
    assert "no world meets the premise" in str(nothing)


def test_a_premise_inside_the_conjecture_that_no_world_meets_makes_it_vacuous() -> None:
    decision = decide(lambda w: not w.ww < 0 or w.A_w > 5, worlds=5)
    assert decision.verdict == "vacuous"
    assert "compares nothing" in str(decision)
    assert decide(lambda w: w.ww < 0 and w.A_w > 5, exists=True, worlds=5).verdict == "refuted"


def test_there_is() -> None:
    witness = decide(lambda w: w.A_w < 0 < w.A_y, exists=True)
    assert witness.verdict == "proved"
    assert witness.case.A_w < 0 < witness.case.A_y
    none = decide(lambda w: w.A_w < 0 < w.A_l, exists=True)
    assert (none.verdict, none.case) == ("refuted", None)
    assert "there is none, proved for every policy" in str(none)
    divides = decide(lambda w: 1 / (w.dd - w.dd) > 0, exists=True)
    assert divides.verdict == "refuted"  # it has no value anywhere, so that it is true nowhere


def test_a_counterexample_may_be_algebraic_and_says_so() -> None:
    decision = decide(lambda w: w.p_w**3 != F(1, 2))
    assert (decision.verdict, decision.case) == ("refuted", None)
    assert "p_w = near 0.793701, a root of 2 x^3 - 1" in str(decision)
    assert decide(lambda w: w.p_w**3 == F(1, 2), exists=True).verdict == "proved"


def test_a_conjecture_about_a_step_is_about_log_linear_policies() -> None:
    decision = decide(lambda w: w.after(2).p_w <= w.p_w or w.A_w > 0, worlds=50)
    assert decision.verdict == "proved"
    assert decision.over == LOG_LINEAR.name
    assert decide(lambda w: w.after(2).p_w >= w.p_w, worlds=50).verdict == "refuted"


def test_kinds_are_decided_apart() -> None:
    def same_score_same_probability(w):
        return w.dd != 0 or w.p_w == w.p_l

    assert decide(same_score_same_probability, POLICY).verdict == "refuted"
    without_base = decide(same_score_same_probability, "log-linear", worlds=50)
    assert without_base.verdict == "undecided"  # true: the prover knows of every policy only
    assert "with a base measure" in str(without_base)
    assert decide(lambda w: w.A_w > 0, TABULAR, worlds=5).verdict == "proved"
    assert decide(lambda w: w.D_w >= w.D_l, TWO_RESPONSES, worlds=5).verdict == "proved"


def test_a_setting_of_ones_own_and_a_step_beside_a_world() -> None:
    @setting("a, b > 0")
    def sides(numbers):
        """Every a, b > 0."""
        return Named(a=numbers.positive("a"), b=numbers.positive("b"))

    assert decide(lambda c: c.a + c.b >= 2 * sqrt(c.a * c.b), sides).verdict == "proved"
    false = decide(lambda c: c.a + c.b > 2 * sqrt(c.a * c.b), sides)
    assert false.verdict == "refuted"
    assert "not a + b > 2 sqrt(a b)" in str(false)
    step = decide(
        lambda case: case[0].after(case[1]).p_w <= case[0].p_w or case[0].A_w > 0, with_step(LOG_LINEAR), worlds=20
    )
    assert step.verdict == "proved"


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (lambda w: None, "NoneType"),
        (lambda w: (w.p_w > 0, True), "tuple"),
        (lambda w: "true", "str"),
        (lambda w: w.kernel, "method"),
        (lambda w: w.A_w, "Fraction"),
        (lambda w: w.p_w < 0.5, "floats"),
        (lambda w: isinstance(w.p_w, F), "isinstance"),
        (7, "a function of a world"),
    ],
)
def test_what_is_no_statement_is_an_error_in_words(bad, word: str) -> None:
    with pytest.raises(InvalidArgument, match=rf"^conjecture: .*{word}"):
        decide(bad)
    with pytest.raises(InvalidArgument, match=rf"^given: .*{word}"):
        decide(lambda w: w.ww >= 0, given=bad)


@pytest.mark.parametrize(
    "bad", [{"over": "neural"}, {"over": 3}, {"exists": 1}, {"within": 5}, {"worlds": 0}, {"seed": -1}]
)
def test_bad_settings_are_refused(bad: dict) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(bad))):
        decide(lambda w: w.ww >= 0, **bad)


def test_a_decision_is_no_truth_value() -> None:
    with pytest.raises(TypeError, match="neither true nor false"):
        bool(decide(lambda w: w.ww >= 0, worlds=5))


def test_a_certificate_is_written_for_a_proof_only(tmp_path) -> None:
    paths = decide(lambda w: w.A_w >= w.A_l, worlds=5).write_certificate(tmp_path / "proof", "margin")
    assert paths
    assert all("(check-sat)" in path.read_text() and "every world" in path.read_text() for path in paths)
    with pytest.raises(InvalidArgument, match="refuted"):
        decide(lambda w: w.A_w >= 0).write_certificate(tmp_path)


def test_the_negation_of_no_statement_is_none() -> None:
    """``not (a, b)`` is False in Python: it must not become a proof that there is no such world."""
    for bad in (lambda w: (), lambda w: None, lambda w: w.A_w):
        with pytest.raises(InvalidArgument, match="True or False"):
            decide(bad, exists=True)
