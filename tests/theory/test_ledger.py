"""Every claim, one test each; the generated ledger; and that no verdict is a constant."""

import dataclasses
import re
from collections import Counter
from pathlib import Path

import pytest

from dynamics.errors import InvalidArgument
from theory.claim import CONTRADICTED, REPRODUCED, VERDICTS, run_claim
from theory.ledger import load_claims, run_ledger, select_claims
from theory.report import PAPERS, markdown, section

CLAIMS = load_claims()
LEDGER = Path(__file__).parents[2] / "theory" / "LEDGER.md"


@pytest.mark.parametrize("key", list(CLAIMS))
def test_claim_is_reproduced_and_stands_in_the_ledger(key: str) -> None:
    outcome = run_claim(CLAIMS[key])
    assert outcome.status == REPRODUCED, outcome.problem
    assert outcome.findings
    assert section(CLAIMS[key], outcome) in LEDGER.read_text(encoding="utf-8"), (
        "LEDGER.md is not current: python -m theory --markdown theory/LEDGER.md"
    )


def test_the_ledger_file_lists_exactly_the_claims() -> None:
    text = LEDGER.read_text(encoding="utf-8")
    headings = [line.removeprefix("#### ") for line in text.splitlines() if line.startswith("#### ")]
    assert headings == [made.key for made in select_claims()]
    assert set(headings) == set(CLAIMS)
    counts = Counter(made.verdict for made in CLAIMS.values())
    assert f"{len(CLAIMS)} claims: " + ", ".join(f"{counts[v]} {v}" for v in VERDICTS if counts[v]) in text


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
        assert made.paper in PAPERS, made.key
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
    alpha approx arg bar begin beta big Big bigl bigr Bigl Bigr cdot circ cos cup delta Delta det dot dots ell emptyset
    end epsilon equiv eta exists exp forall frac gamma ge hat iff implies in inf infty int kappa lambda le left lesssim
    lim ll ln log mapsto mathbb mathbf mathcal mathrm max mid min mp mu nabla ne ni not notin partial phi Phi pi pm prod
    propto psi qquad quad rho right Rightarrow setminus sigma sim sqrt succ succeq sum sup tanh tau text tfrac theta
    tilde to top varepsilon varphi xi
"""
MACROS = set(KNOWN.split())


def unknown_macros(text: str) -> set[str]:
    return set(re.findall(r"\\([a-zA-Z]+)", text)) - MACROS


def test_the_latex_uses_macros_that_exist() -> None:
    assert unknown_macros(r"a\quadh") == {"quadh"}  # \quad h, the space lost
    for made in CLAIMS.values():
        for text in (made.says, made.because, made.proof, made.assumes, made.source):
            assert not unknown_macros(text), made.key


def test_outcomes_do_not_depend_on_the_number_of_processes() -> None:
    claims = select_claims(["jian2025.corollary-2*", "jian2025.log-margin"])
    one = {o.key: o.findings for o in run_ledger(claims, worlds=60, seed=3, jobs=1)}
    two = {o.key: o.findings for o in run_ledger(claims, worlds=60, seed=3, jobs=2)}
    assert one == two


def test_markdown_holds_every_selected_claim() -> None:
    claims = select_claims(["jian2025.corollary-2"])
    outcomes = {o.key: o for o in run_ledger(claims, jobs=1)}
    text = markdown(claims, outcomes)
    assert text.startswith("# The claim ledger")
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
