"""Helpers of all lines of evidence: controls, roles, lemmas, and parts of a statement that are never reached."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

from theory.evidence import ALSO, CONDITIONAL, FAILS, HOLDS, Evidence
from theory.proof.family import Family
from theory.proof.joined import Joint, through
from theory.proof.lemmas import CHECKED, LEMMAS, SYMPY
from theory.proof.negation import Negation
from theory.proof.reached import Reached
from theory.proof.searched import Search, search
from theory.proof.written import arguments, sides, text_of
from theory.strength import MACHINE, UNREFUTED, Strength

Wrong = Mapping[str, Any] | Callable[..., Any]
Predicate = Callable[..., Any]
EXISTS = re.compile(r"\s*(?:\\exists|\\text\{there (?:is|are)\b)")  # a statement that begins "there is"
FEW = 40  # exact cases, in at least one of which a control must be true
OR = r"(?:\\text\{[^}]*\bor\b|\\lor\b|\\vee\b)"
NO_LIST = re.compile(r"\\n?exists\b|\\text\{[^}]*\b(?:there (?:is|are)|either|if)\b")
SPACE = r"(?:\s|\\[ ,;!]|\\q?quad\b)*"
ENDS_AN_ITEM = r"(?:(?<!\\)[,;]|\\text\{,? ?and ?\})"  # a comma after a backslash is a space
BEFORE_A_PART = re.compile(rf"(?:^|{ENDS_AN_ITEM}|:){SPACE}$")
AFTER_A_PART = re.compile(rf"{SPACE}(?:$|{ENDS_AN_ITEM}(?!{SPACE}{OR}))")
BRACKETS = (("(", ")"), ("{", "}"), ("[", "]"))
RELATION = re.compile(r"[=<>]|\\(?:[lg]e|ne|to|in|iff|implies|Rightarrow|approx|sim|equiv|text|forall|exists)\b")


def control_of(wrong: Wrong | str | None) -> str:
    """Return the source text of the control of a line of evidence."""
    if wrong is None or isinstance(wrong, str):
        return wrong or ""
    return arguments(wrong) if isinstance(wrong, Mapping) else text_of(wrong)


def premise_of(wider: Predicate | None) -> str:
    """Return the source text of a wider premise that serves as control."""
    return "" if wider is None else f"the wider premise {text_of(wider)}"


def is_near(what: Predicate, wrong: Wrong | None) -> bool:
    """Return whether a control changes numbers of a statement by a quarter at most (by 1/4, if they are below 1).

    Example:
        >>> statement = lambda w, cross=2: w.ww - cross * w.wl
        >>> is_near(statement, {"cross": Fraction(21, 10)}), is_near(statement, {"cross": 3})
        (True, False)
    """
    if not isinstance(wrong, Mapping):
        return False
    parameters = inspect.signature(what).parameters
    pairs = [(parameters[name].default, value) for name, value in wrong.items()]
    numbers = all(isinstance(x, (int, Fraction)) and not isinstance(x, bool) for pair in pairs for x in pair)
    return numbers and all(4 * abs(new - old) <= max(abs(old), 1) for old, new in pairs)


def is_far(
    what: Predicate, wrong: Wrong | None, bad: Predicate, over: Family, given: Predicate | None, seed: int
) -> bool:
    """Return whether a control is false in all of some exact cases, and is more than a small change of numbers."""
    if is_near(what, wrong):
        return False
    true = search(Negation(bad), over, given=given, worlds=FEW, seed=seed)
    return true.counterexample is None and true.tried > 0


def sides_at(what: Predicate, case: Any) -> tuple[str, ...]:
    """Return both sides of each comparison at a case; an empty tuple if there is no case."""
    return () if case is None else sides(what, case)


def note_reached(evidence: Evidence, reached: Reached, also: Callable[[], Any] | None = None) -> None:
    """Record which parts of its statement the next finding reaches; ``also`` tries further cases if some are missed."""
    if also is not None and reached.missed():
        with reached:
            also()
    evidence.reached.append((len(evidence.findings), reached))


def refuse_unreached(evidence: Evidence) -> None:
    """Mark findings as failed if no line of evidence ever reaches some part of their statement."""
    for number, reached in evidence.reached:
        for _, other in evidence.reached:
            reached.learn(other)
        missed = ", ".join(reached.missed())
        if missed:
            found = evidence.findings[number]
            words = f"{found.detail}; never looked at, since no case meets the premise before it: {missed}"
            evidence.findings[number] = replace(found, passed=False, detail=words)


def another(_: Any) -> bool:
    """Stand for the statement itself where the control is a wider premise; this function is never run."""
    return False


def refuse_no_part(key: str, says: str, part: str) -> None:
    r"""Raise TypeError if some words, if any, are not one of the statements that a claim lists, word for word.

    A list of statements is proved if each of them is, so that nothing need be said of how they make the whole. Such a
    part stands in the list as a whole: between commas or other signs that end an item, and not inside brackets. What
    is said of one and the same x ("there is an x with a > 0, b > 0") is no list, nor is what "or" joins.

    Example:
        >>> refuse_no_part("key", r"a\ge 0,\quad b(a,c)=2", "b(a,c)=2")
        >>> refuse_no_part("key", r"a\ge 0,\quad b(a,c)=2", "c)=2")
        Traceback (most recent call last):
        TypeError: key: 'c)=2' is not one of the statements in a\ge 0,\quad b(a,c)=2
    """
    if not part:
        return
    if not RELATION.search(part):
        raise TypeError(f"{key}: {part!r} is no statement")
    whole, letters = " ".join(says.split()), "".join(part.split())
    for found in re.finditer(r"\s*".join(map(re.escape, letters)), whole):
        before, after = whole[: found.start()], whole[found.end() :]
        level = all(text.count(a) == text.count(b) for text in (before, letters) for a, b in BRACKETS)
        item = BEFORE_A_PART.search(before) and AFTER_A_PART.match(after) and not NO_LIST.search(before)
        if level and item and (before or after):
            return
    raise TypeError(f"{key}: {part!r} is not one of the statements in {says}")


def role_of(role: str | None, also: bool, given: Predicate | None) -> str:
    """Return what a line of evidence says about the claim."""
    return ALSO if also else role or (HOLDS if given is None else CONDITIONAL)


def strength_of_a_case(says: str, role: str | None) -> Strength:
    """Return the strength of a case in which a statement is false; "there is ..." is refuted by no single case."""
    if role in (None, FAILS) and EXISTS.match(says):
        return Strength(UNREFUTED, ("there is none among the cases shown, which is no proof that there is none",))
    return Strength(MACHINE, ("exact evaluation",))


def provers(first: str, noted: Sequence[tuple[Any, Any]]) -> tuple[str, ...]:
    """Return the provers of a line: SymPy too, if it proved what some function is."""
    return (first, SYMPY) if (SYMPY, None) in noted else (first,)


def is_checked(noted: Sequence[tuple[Any, Any]]) -> bool:
    """Return whether a line uses a function of which SymPy proved something, for numbers that only words name."""
    return (CHECKED, None) in noted


def lemmas_of(name: str) -> tuple[str, ...]:
    """Return the lemmas named in a text, separated by commas; raise TypeError if one is not declared."""
    names = tuple(part.strip() for part in name.split(",") if part.strip())
    for part in names:
        if part not in LEMMAS:
            raise TypeError(f"no lemma {part!r} in theory.proof.lemmas; there are {', '.join(LEMMAS)}")
    return names


def called_by(own: Any, what: Predicate, role: str) -> Joint | None:
    """Return what the claim's own function says where the predicate of a line calls it; None if it never does."""
    fails = role == FAILS
    return through(own, what, fails=fails, somewhere=fails and not EXISTS.match(own.claim.says))


def again(
    own: Any, prove: Callable[..., Any], what: Predicate, role: str, *over: Family, **how: Any
) -> list[partial[Any]]:
    """Return how to prove a line again: its predicate, and the claim's own function where that calls it."""
    joint = None if getattr(what, "predicate", what) is own.predicate else called_by(own, what, role)
    return [partial(prove, one, *over, **how) for one in (what, *([joint.holds] if joint else []))]


def prove_again(*args: Any, **kwargs: Any) -> Any:
    """Prove by the solver, without search and control; the arguments are those of ``theory.proof.prove``."""
    from theory.proof.smt import prove  # noqa: PLC0415 - the solver is loaded when it is used

    return prove(*args, **kwargs)


def induct_again(*args: Any, **kwargs: Any) -> Any:
    """Prove by induction, without search and control; the arguments are those of ``theory.proof.by_induction``."""
    from theory.proof.induction import by_induction  # noqa: PLC0415

    return by_induction(*args, **kwargs)


def search_terms(
    what: Predicate, base: Family, after: Callable[..., Any], more: Callable[..., Any], *, worlds: int, seed: int
) -> Search:
    """Search among the states with up to eight terms that an induction reaches from its base."""
    from theory.proof.induction import reachable  # noqa: PLC0415

    family = Family(base.name, base.assumes, (), reachable(base, after, more))
    return search(what, family, worlds=worlds, seed=seed)


def refuse_truth_as_failure(key: str, *, own: bool, fails: bool, denial: bool) -> None:
    """Raise TypeError if a proof of a claim's own function would refute it, unless it denies what is printed."""
    if (own and fails) != denial:
        raise TypeError(
            f"{key}: showing that the function is true cannot show that the statement fails; use refuted or false, or "
            "pass of= a predicate that says how it fails, or denial=True if the function is the opposite of what is "
            "printed"
        )


def statement_and_control(key: str, what: Predicate, wrong: Wrong) -> tuple[Predicate, Predicate]:
    """Return what is run, and its control: another predicate, or the same with other arguments."""
    what = getattr(what, "predicate", what)
    if isinstance(wrong, Mapping):
        unknown = set(wrong) - set(inspect.signature(what).parameters)
        if unknown or not wrong:
            raise TypeError(f"{key}: the control must change arguments of the statement, and {dict(wrong)} does not")
        return what, partial(what, **wrong)
    bad = getattr(wrong, "predicate", wrong)
    if bad is what:
        raise TypeError(f"{key}: the control is the statement itself; pass a different predicate, or changed arguments")
    return what, bad
