"""``python -m theory`` as a user types it."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dynamics.errors import InvalidArgument
from theory.__main__ import app
from theory.claim import CLAIMS, FALSE, claim
from theory.evidence import HOLDS, Finding
from theory.ledger import select_claims
from theory.record import Row, matching, page_of, sections_of
from theory.report import TITLES

RUN = CliRunner()


@pytest.fixture
def wrong_claim():
    key = "jian2025.wrong-on-purpose"
    words = {"source": "a test", "says": "1=1", "verdict": FALSE}
    claim(key, **words)(lambda e: e.findings.append(Finding(HOLDS, "search", True, True, "")))
    yield key
    del CLAIMS[key]


def test_a_claim_is_run_and_counted() -> None:
    result = RUN.invoke(app, ["jian2025.log-margin", "--worlds", "50", "--jobs", "1"])
    assert result.exit_code == 0, result.output
    assert "jian2025.log-margin" in result.output
    assert "1 of 1 verdicts reproduced: 1 holds" in result.output


def test_a_verdict_that_is_not_earned_makes_the_exit_code_1(wrong_claim: str) -> None:
    result = RUN.invoke(app, [wrong_claim, "--jobs", "1"])
    assert result.exit_code == 1
    assert "CONTRADICTED" in result.output
    assert "written down as false, the evidence earns holds" in result.output


def test_explain_tells_the_story_of_corollary_2() -> None:
    result = RUN.invoke(app, ["--explain", "jian2025.corollary-2"])
    assert result.exit_code == 0, result.output
    for part in (
        "√(π_w)",
        "arithmetic and geometric means",
        "7/12",
        "true instead: jian2025.log-margin",
        "proof:",
    ):
        assert part in result.output


@pytest.mark.parametrize("arguments", [["nope"], ["--paper", "smith1999"], ["--explain", "nope"]])
def test_unknown_names_are_refused_with_what_is_allowed(arguments: list[str]) -> None:
    result = RUN.invoke(app, arguments)
    assert result.exit_code == 2
    assert "allowed" in result.output


def test_json_and_markdown_are_written_whole(tmp_path: Path) -> None:
    files = [tmp_path / "ledger.json", tmp_path / "ledger.md"]
    arguments = ["jian2025.log-margin", "--jobs", "1", "--json", str(files[0]), "--markdown", str(files[1])]
    result = RUN.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    data = json.loads(files[0].read_text())
    assert data["claims"] == data["reproduced"] == 1
    assert data["ledger"][0]["earned"] == "holds"
    assert all(f["control"] for f in data["ledger"][0]["findings"])
    assert "#### jian2025.log-margin" in files[1].read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ledger.json", "ledger.md"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    result = RUN.invoke(app, ["jian2025.log-margin", "--jobs", "1", "--json", str(tmp_path / "no" / "f.json")])
    assert result.exit_code == 2
    assert "cannot write" in result.output


def test_list_does_not_run_anything() -> None:
    result = RUN.invoke(app, ["--list", "--paper", "jian2025"])
    assert result.exit_code == 0
    assert "jian2025.corollary-2" in result.output


def test_a_certificate_is_written_for_a_proof_and_said_to_be_missing_for_a_search(tmp_path: Path) -> None:
    keys = ["jian2025.corollary-2-identity", "jian2025.table-1"]
    result = RUN.invoke(app, [*keys, "--certificate", str(tmp_path / "proofs")])
    assert result.exit_code == 0, result.output
    assert "table-1: no proof by the solver" in result.output
    files = sorted((tmp_path / "proofs").iterdir())
    assert files
    assert all(path.name.startswith("jian2025.corollary-2-identity-") for path in files)
    assert "; Statement: D_w-D_l=" in files[0].read_text(encoding="utf-8")


def test_a_reader_finds_what_is_said_of_an_equation_inside_a_range_too() -> None:
    listed = RUN.invoke(app, ["jian2025", "--eq", "44", "--list"])
    assert listed.exit_code == 0, listed.output
    assert "jian2025.eq-48" in listed.output  # Eqs. (43)-(45), (48)
    assert "jian2025.eq-46" not in listed.output
    assert "corollary-2-non-negativity" in RUN.invoke(app, ["--at", "remark 3", "--list"]).output
    missing = RUN.invoke(app, ["jian2025", "--eq", "4900", "--list"])
    assert missing.exit_code == 2
    assert "4900" in missing.output


def test_a_key_stands_in_one_line_of_the_table() -> None:
    longest = max((claim.key for claim in select_claims([], None)), key=len)
    ran = RUN.invoke(app, [longest, "--jobs", "1"], env={"COLUMNS": "100"})
    assert longest in ran.stdout
    narrow = RUN.invoke(app, [longest, "--jobs", "1"], env={"COLUMNS": "80"})
    assert longest not in narrow.stdout
    assert longest[:12] in narrow.stdout


@pytest.mark.parametrize("width", [60, 200])
def test_list_has_one_line_a_claim_at_any_width(width: int) -> None:
    listed = RUN.invoke(app, ["jian2025", "--list"], env={"COLUMNS": str(width)})
    lines = [line for line in listed.output.split("\n") if line.strip()]
    assert len(lines) == len(select_claims(["jian2025"]))


def test_explain_is_mathematics_in_lines_of_the_terminal() -> None:
    shown = RUN.invoke(app, ["--explain", "jian2025.corollary-2-identity"], env={"COLUMNS": "70"}).output
    assert "‖g_w-g_l‖^2" in shown
    assert "\\frac" not in shown
    assert max(map(len, shown.split("\n"))) <= 70
    assert "theory/jian2025/corollary_2_mended.py, line" in shown
    assert "assumed of every case: p_w, p_l, p_y > 0" in shown


def test_pages_are_updated_by_the_claims_that_ran_and_keep_the_others(tmp_path: Path) -> None:
    theory = Path(__file__).parents[2] / "theory"
    door, page, key = tmp_path / "LEDGER.md", page_of("jian2025", tmp_path), "jian2025.log-margin"
    for paper in TITLES:
        page_of(paper, tmp_path).parent.mkdir()
        page_of(paper, tmp_path).write_text(page_of(paper).read_text(encoding="utf-8"), encoding="utf-8")
    whole = page.read_text(encoding="utf-8")
    own = sections_of(whole)[key]
    door.write_text("old", encoding="utf-8")
    page.write_text(whole.replace(own, f"#### {key}\n\nOld.\n"), encoding="utf-8")
    result = RUN.invoke(app, [key, "--jobs", "1", "--update", str(door)])
    assert result.exit_code == 0, result.output
    assert page.read_text(encoding="utf-8") == whole
    assert door.read_text(encoding="utf-8") == (theory / "LEDGER.md").read_text(encoding="utf-8")
    page.write_text(whole.replace(own, "").replace(sections_of(whole)["jian2025.eq-48"], ""), encoding="utf-8")
    result = RUN.invoke(app, [key, "--jobs", "1", "--update", str(door)])
    assert result.exit_code == 2
    assert "jian2025.eq-48 were neither run nor recorded on the page" in result.output
    result = RUN.invoke(app, [key, "--update", str(tmp_path / "no.md")])
    assert result.exit_code == 2
    assert "the ledger's first page" in result.output


README = (Path(__file__).parents[2] / "theory" / "README.md").read_text(encoding="utf-8")
ASKED = re.findall(r"\| `python -m theory ([^`]+)` \|", README)


@pytest.mark.parametrize("command", ASKED)
def test_what_the_readme_answers_is_reproduced(command: str) -> None:
    keys = shlex.split(command)
    result = RUN.invoke(app, [*keys, "--jobs", "1", "--worlds", "50"])
    assert result.exit_code == 0, result.output
    assert "reproduced" in result.output


def test_the_readme_answers_every_question() -> None:
    assert len(ASKED) == 5


def test_each_choice_that_the_readme_names_finds_claims() -> None:
    text = (Path(__file__).parents[2] / "theory" / "README.md").read_text(encoding="utf-8")
    choices = re.findall(r"`--(paper|eq|at|verdict|strength) ([^`]+)`", text)
    assert {option for option, _ in choices} == {"paper", "eq", "at", "verdict", "strength"}
    for option, value in choices:
        result = RUN.invoke(app, ["--list", f"--{option}", value.strip("'")])
        assert (result.exit_code, bool(result.output)) == (0, True), (option, value)


def test_no_strength_is_called_allowed_that_no_claim_has() -> None:
    rows = [Row("a.one", "Eq. (1)", "holds", "proved by smt"), Row("a.two", "Eq. (2)", "false", "numerical: 1e-9")]
    for verdict, strength, there_are in ((None, "unrefuted", "proved, numerical"), ("false", "proved", "numerical")):
        with pytest.raises(InvalidArgument, match=rf"got {strength}; allowed: {there_are}, or part"):
            matching(rows, verdict=verdict, strength=strength)


def test_list_is_filtered_by_verdict_and_strength() -> None:
    false = RUN.invoke(app, ["jian2025", "--list", "--verdict", "false"]).output
    assert "jian2025.corollary-2 " in false
    assert "jian2025.log-margin " not in false
    induction = RUN.invoke(app, ["--list", "--strength", "induction"], env={"COLUMNS": "120"}).output
    assert "proved" in induction
    assert "numerical" not in induction
    for wrong in (["--verdict", "perhaps"], ["--strength", "by sight"]):
        refused = RUN.invoke(app, ["--list", *wrong])
        assert refused.exit_code == 2
        assert "allowed" in refused.output


def test_list_starts_without_loading_the_claims() -> None:
    code = "import sys; from theory.__main__ import app; app(['--list'], standalone_mode=False); "
    code += "assert not {'torch', 'sympy', 'theory.jian2025'} & set(sys.modules), 'loaded'"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.strip().split("\n")) == len(select_claims())


def test_explain_shows_both_sides_at_the_counterexample_and_what_the_evidence_is() -> None:
    shown = RUN.invoke(app, ["--explain", "jian2025.corollary-2-non-negativity"], env={"COLUMNS": "100"}).output
    for part in (
        "w.D_w - w.D_l >= least:  ",
        "control, which was rejected: ",
        "covers: every policy with two responses",
    ):
        assert part in shown, shown
    lemma = RUN.invoke(app, ["--explain", "jian2025.eq-19"], env={"COLUMNS": "100"}).output
    assert "lemma, Taylor: an n times differentiable function" in lemma
    assert "no machine joins this to the statement of the claim" in lemma
