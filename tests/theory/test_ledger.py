"""Every claim, one test each; the generated ledger; and that no verdict is a constant."""

import dataclasses
import re
from collections import Counter
from pathlib import Path

import pytest

from dynamics.errors import InvalidArgument
from theory.claim import CONTRADICTED, REPRODUCED, VERDICTS, outcome_of, parts_of, run_claim
from theory.ledger import load_claims, run_ledger, select_claims, together
from theory.neighbours import NEIGHBOURS
from theory.order import ABSENT, is_ours
from theory.pages import door_text, page_text, summary, totals, unexplained
from theory.record import page_of, recorded_sections, row_of
from theory.report import PAPERS, TITLES, markdown, section

CLAIMS = load_claims()
DOOR = Path(__file__).parents[2] / "theory" / "LEDGER.md"
RECORDED = recorded_sections()
SCREEN = 60  # lines


# what claims share runs once in a process, so that those which share something stand side by side
@pytest.mark.parametrize("key", [made.key for group in together(list(CLAIMS.values())) for made in group])
def test_claim_is_reproduced_and_stands_in_the_ledger(key: str) -> None:
    outcome = outcome_of(CLAIMS[key])
    assert outcome.status == REPRODUCED, outcome.problem
    assert outcome.findings
    assert section(CLAIMS[key], outcome) == RECORDED.get(key), (
        "the ledger's pages are not current: python -m theory --update theory/LEDGER.md"
    )


def test_the_pages_list_exactly_the_claims_in_their_order() -> None:
    assert list(RECORDED) == [made.key for made in select_claims()]
    assert set(RECORDED) == set(CLAIMS)


def test_the_counts_of_verdicts_and_strengths_are_those_of_the_pages() -> None:
    rows = [row_of(key, text) for key, text in RECORDED.items()]
    assert DOOR.read_text(encoding="utf-8") == door_text(RECORDED), "python -m theory --update theory/LEDGER.md"
    assert [row.verdict for row in rows] == [CLAIMS[row.key].verdict for row in rows]
    assert all(row.grade for row in rows)
    assert totals(rows)[-1].startswith(f"| all | {len(CLAIMS)} |")


@pytest.mark.parametrize("paper", TITLES)
def test_a_page_opens_with_what_stands_and_what_falls_in_a_screen(paper: str) -> None:
    claims = select_claims([paper])
    text = page_of(paper).read_text(encoding="utf-8")
    assert text == page_text(paper, claims, RECORDED), "python -m theory --update theory/LEDGER.md"
    assert len(summary(claims)) <= SCREEN
    assert text.index("## What stands") < text.index("## What falls") < text.index("## Where in the paper")
    falls = text[text.index("## What falls") : text.index("## Where in the paper")]
    for made in claims:
        if made.verdict == "false" and not is_ours(made.source):
            assert f"(#{made.key.replace('.', '')})" in falls, made.key


@pytest.mark.parametrize("paper", PAPERS)
def test_every_place_of_a_paper_has_a_claim_or_a_reason(paper: str) -> None:
    assert unexplained(paper, select_claims([paper])) == []
    assert "Theorem 1" in unexplained("jian2025", [])


@pytest.mark.parametrize("paper", NEIGHBOURS)
def test_a_neighbour_lists_only_places_that_claims_are_about(paper: str) -> None:
    claims = select_claims([paper])
    assert set(unexplained(paper, claims)) <= {"Abstract"}
    every, unread = (
        words in NEIGHBOURS[paper].read for words in ("every statement here is ours", "not be read in full")
    )
    if every:
        assert all(is_ours(made.source) for made in claims)
    if every or unread:  # what is not in a text that was not read, nobody knows
        assert not any(made.source.startswith(ABSENT) for made in claims)


def test_the_five_papers_are_proved_and_nearly_all_of_each_claim_by_a_machine() -> None:
    own = [row_of(key, text) for key, text in RECORDED.items() if key.partition(".")[0] in PAPERS]
    told = sum("parts joined in prose" in row.strength for row in own)
    assert {row.grade for row in own} == {"proved"}
    assert len(own) >= 466
    assert told <= 34  # fewer are welcome
    assert f"For {told} of {len(own)} claims a machine proved the parts" in DOOR.read_text(encoding="utf-8")


def test_the_second_part_has_its_own_counts_and_is_mostly_proved() -> None:
    own = [row_of(key, text) for key, text in RECORDED.items() if key.partition(".")[0] in NEIGHBOURS]
    assert len(own) >= 60
    assert sum(row.grade == "proved" for row in own) >= len(own) // 2
    door = DOOR.read_text(encoding="utf-8")
    first, second = door.split("## The neighbours: ")
    assert second.startswith(f"{len(own)} claims")
    assert first.count("| all |") == second.count("| all |") == 1
    assert totals(own)[-1] in second


def test_no_two_lines_of_evidence_are_alike() -> None:
    for key, text in RECORDED.items():
        if not hasattr(CLAIMS[key].evidence, "statement"):  # the older form, whose closures have no names of their own
            continue
        evidence = re.split(r"^- (?=[a-z ]+: )", text, flags=re.MULTILINE)[1:]
        alike = [line for line, count in Counter(evidence).items() if count > 1]
        assert not alike, f"{key}: {alike}"


@pytest.mark.parametrize("written", list(VERDICTS))
def test_a_swapped_verdict_makes_the_run_fail(written: str) -> None:
    # one claim of each verdict, with every other verdict written on it: only the earned one is reproduced
    seen = {}
    for made in CLAIMS.values():
        seen.setdefault(made.verdict, made)
    assert set(seen) == set(VERDICTS)
    for verdict, made in seen.items():
        outcome = run_claim(dataclasses.replace(made, verdict=written), worlds=100)
        assert outcome.earned == verdict
        assert outcome.status == (REPRODUCED if verdict == written else CONTRADICTED)


def test_replacements_exist_and_are_true_and_explained() -> None:
    for made in CLAIMS.values():
        for key in made.instead:
            assert key in CLAIMS, f"{made.key} points to {key}, which does not exist"
            assert CLAIMS[key].verdict != "false", f"{made.key} is replaced by {key}, which is false itself"
            assert CLAIMS[key].proof, f"{key} replaces {made.key} and should say why it is true"


def test_every_claim_says_what_and_where_and_why() -> None:
    for made in CLAIMS.values():
        assert made.paper in TITLES, made.key
        assert made.says.strip(), made.key
        assert made.source.strip(), made.key
        for text in (made.says, made.because, made.proof, made.assumes):
            depth = 0
            for mark in text.replace(r"\{", "").replace(r"\}", ""):
                depth += (mark == "{") - (mark == "}")
                assert depth >= 0, f"{made.key}: unbalanced braces in {text!r}"
            assert depth == 0, f"{made.key}: unbalanced braces in {text!r}"
            assert text is made.says or text.count("$") % 2 == 0, f"{made.key}: unpaired $ in {text!r}"
        if made.verdict in ("false", "misprint", "conditional", "vacuous"):
            assert made.because, f"{made.key}: say why it is {made.verdict}"


# what a code host's MathJax knows; a macro that is not here is most likely two words run together
KNOWN = """
    alpha approx arg bar begin beta Big big Bigl bigl Bigr bigr cdot chi circ cos cup Delta delta det dot dots ell
    emptyset end epsilon equiv eta exists exp forall frac gamma ge hat iff implies in inf infty int kappa lambda
    langle le left lesssim lim ll ln log mapsto mathbb mathbf mathcal mathrm max mid min mp mu nabla ne ni not notin
    partial Phi phi pi pm prod propto psi qquad quad rangle rho right Rightarrow setminus sigma sim sinh sqrt succ
    succeq sum sup tanh tau text tfrac theta tilde to top varepsilon varphi xi
"""
MACROS = set(KNOWN.split())


def unknown_macros(text: str) -> set[str]:
    return set(re.findall(r"\\([a-zA-Z]+)", text)) - MACROS


def test_the_latex_uses_macros_that_exist() -> None:
    assert unknown_macros(r"a\quadh") == {"quadh"}  # \quad h, the space lost
    for made in CLAIMS.values():
        for text in (made.says, made.because, made.proof, made.assumes, made.source):
            assert not unknown_macros(text), made.key


def test_what_shares_a_part_runs_in_one_process_and_the_part_once() -> None:
    groups = together(list(CLAIMS.values()))
    assert sorted(made.key for group in groups for made in group) == sorted(CLAIMS)
    place = {made.key: number for number, group in enumerate(groups) for made in group}
    wholes = [made for made in CLAIMS.values() if parts_of(made)]
    assert len(wholes) > 10
    assert all(place[part.key] == place[made.key] for made in wholes for part in parts_of(made))
    assert len(groups) > len(CLAIMS) // 2

    made = min(wholes, key=lambda made: len(parts_of(made)))
    runs = []
    evidence = parts_of(made)[0].evidence
    counted = dataclasses.replace(parts_of(made)[0], evidence=lambda e: (runs.append(1), evidence(e))[1])
    assert outcome_of(counted, 60) == outcome_of(counted, 60, 0) == outcome_of(counted, worlds=60)
    assert len(runs) == 1
    outcome_of(counted, 61)
    assert len(runs) == 2


def test_outcomes_do_not_depend_on_the_number_of_processes() -> None:
    claims = select_claims(["jian2025.corollary-2*", "jian2025.log-margin"])
    one = {o.key: o.findings for o in run_ledger(claims, worlds=60, seed=3, jobs=1)}
    two = {o.key: o.findings for o in run_ledger(claims, worlds=60, seed=3, jobs=2)}
    assert one == two


def test_markdown_holds_every_selected_claim() -> None:
    claims = select_claims(["jian2025.corollary-2"])
    outcomes = {o.key: o for o in run_ledger(claims, jobs=1)}
    text = markdown(claims, outcomes)
    assert text.startswith("# Claims of the ledger")
    assert "1 claims: 1 false" in text
    assert section(claims[0], outcomes[claims[0].key]) in text


@pytest.mark.parametrize(
    ("arguments", "names"),
    [({"patterns": ["no-such"]}, "keys"), ({"paper": "smith1999"}, "paper")],
)
def test_unknown_keys_and_papers_are_named(arguments: dict, names: str) -> None:
    with pytest.raises(InvalidArgument, match=names):
        select_claims(**arguments)


@pytest.mark.parametrize(("worlds", "seed", "jobs"), [(0, 0, 1), (10, -1, 1), (10, 0, 0)])
def test_bad_settings_are_refused(worlds: int, seed: int, jobs: int) -> None:
    with pytest.raises(InvalidArgument, match="whole number"):
        list(run_ledger(select_claims(["jian2025.log-margin"]), worlds, seed, jobs))
