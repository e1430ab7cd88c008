"""Reports of claims: an explanation of one, a Markdown page of some, the outcomes as JSON."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from theory.claim import REPRODUCED, VERDICTS, Claim, Outcome
from theory.evidence import ALSO, MADE, Finding
from theory.neighbours import NEIGHBOURS
from theory.proof.lemmas import LEMMAS
from theory.terminal import readable, readable_text, wrapped

PAPERS = {
    "jian2025": "Jian et al. 2025, Stable Preference Optimization for LLMs: A Bilevel Approach Beyond DPO",
    "wipf2024": "Wipf 2024, Unavoidable Learning Constraints Alter the Foundations of DPO",
    "feng2024": "Feng et al. 2024, Towards Analyzing and Understanding the Limitations of DPO",
    "sun2025": "Sun et al. 2025, SPO: Self Preference Optimization with Self Regularization",
    "ma2025": "Ma et al. 2025, Gradient Imbalance in Direct Preference Optimization",
}
"""The five papers of the first part of the ledger."""

TITLES = PAPERS | {key: paper.title for key, paper in NEIGHBOURS.items()}
"""All papers: the five, then the neighbours."""


def section(claim: Claim, outcome: Outcome) -> str:
    """Return one claim with its evidence as Markdown with LaTeX, as it stands in the page of its paper."""
    lines = [
        f"#### {claim.key}",
        "",
        f"**{claim.verdict.capitalize()}**: {VERDICTS[claim.verdict]}. In print: {claim.source}.",
        "",
        f"Strength: {outcome.strength}.",
        "",
    ]
    if outcome.over:
        lines += [f"For: {_code(outcome.over)}.", ""]
    lines += ["```math", claim.says, "```", ""]
    if claim.assumes:
        lines += [f"Assumes: {inline(claim.assumes)}.", ""]
    if claim.because:
        lines += [inline(claim.because), ""]
    if claim.proof:
        lines += [f"Proof: {inline(claim.proof)}", ""]
    if claim.instead:
        lines += ["True instead: " + ", ".join(f"[{key}](#{anchor(key)})" for key in claim.instead) + ".", ""]
    for finding in outcome.findings:
        first, *rest = finding.detail.split("\n")
        found = first.replace("*", r"\*")  # a product, not the beginning of emphasis
        lines.append(f"- {finding.role}: {what_ran(finding, _code)}, {found}{control_words(finding, _code)}")
        if rest:
            lines += ["", "  ```text", *("  " + row for row in rest), "  ```", ""]
    return "\n".join(lines).rstrip() + "\n"


def what_ran(finding: Finding, code: Callable[[str], str] = str) -> str:
    """Return what a line of evidence ran: the checker, the statement if it differs from the claim's own, its words."""
    of = finding.kind + (f" of {code(finding.of)}" if finding.of else "")
    return of + (f" for {code(finding.part)}" if finding.part else "")


def control_words(finding: Finding, code: Callable[[str], str] = str) -> str:
    """Return the control of a line of evidence, which the same checker had to reject."""
    return f"; {'far ' if finding.far else ''}control: {code(finding.wrong)}" if finding.wrong else ""


def markdown(claims: Sequence[Claim], outcomes: Mapping[str, Outcome]) -> str:
    """Return claims that were run as one page of Markdown, in their order."""
    counts = Counter(made.verdict for made in claims)
    parts = [
        "# Claims of the ledger\n",
        f"{len(claims)} claims: " + ", ".join(f"{counts[v]} {v}" for v in VERDICTS if counts[v]) + ".\n",
    ]
    parts += [section(made, outcomes[made.key]) for made in claims]
    return "\n".join(parts).rstrip() + "\n"


def explanation(claim: Claim, outcome: Outcome, claims: Mapping[str, Claim], width: int = 100) -> str:
    """Explain one claim for a terminal: statement, why it fails, counterexample, what is true and why, source file.

    Args:
        claim: the claim.
        outcome: outcome of its run.
        claims: the ledger, for what is true instead.
        width: columns of the terminal; only tables of a counterexample may be wider.
    """
    lines = [
        *wrapped(f"{claim.key}: {claim.verdict} ({VERDICTS[claim.verdict]})", width),
        *wrapped(f"strength: {outcome.strength}", width),
        *(wrapped(f"for: {outcome.over}", width) if outcome.over else []),
        *wrapped(f"in print: {readable_text(claim.source)}", width),
        f"written in {_where(claim)}",
        "",
        *_statement(claim, width),
    ]
    lines.append("evidence")
    for finding in outcome.findings:
        lines += _evidence(finding, width)
    for key in claim.instead:
        true = claims[key]
        lines += ["", *wrapped(f"true instead: {key} ({true.verdict})", width), "", *_statement(true, width)[:-1]]
    lines += ["", f"{outcome.status} in {outcome.seconds:.2f} s" + (f": {outcome.problem}" if outcome.problem else "")]
    return "\n".join(lines)


def _statement(claim: Claim, width: int) -> list[str]:
    lines = [*wrapped(readable(claim.says), width, "    "), ""]
    for word, text in (("assumes: ", claim.assumes), ("", claim.because), ("proof: ", claim.proof)):
        if text:
            lines += [*wrapped(word + readable_text(text), width), ""]
    return lines


def _evidence(finding: Finding, width: int) -> list[str]:
    mark = "ok" if finding.control else "CONTROL NOT REJECTED"
    mark = mark if finding.passed else "NOT FOUND"
    first, *rest = finding.detail.split("\n")
    lines = wrapped(f"[{mark}] {finding.role}: {what_ran(finding)}, {first}", width, "  ")
    lines += ["        " + row for row in rest]
    for line in finding.sides:
        lines += wrapped(line, width, "        ")
    strength = finding.known()
    words = [
        ("control, which was rejected: " if finding.control else "control: ", finding.wrong + _far(finding)),
        ("covers: ", finding.over),
        ("assumed of every case: ", finding.assumes),
        *((f"lemma, {name}: ", LEMMAS.get(name, "")) for name in strength.lemma),
    ]
    for word, text in words:
        if text:
            lines += wrapped(word + text, width, "        ")
    if finding.of and finding.used:
        lines += wrapped("the worlds of a later line assume this", width, "        ")
    elif finding.of and finding.role != ALSO and finding.joined == MADE and not finding.part:
        lines += wrapped("it makes the cases of the claim; that these are all of them is told", width, "        ")
    elif finding.of and finding.role != ALSO and not finding.joined and not finding.part:
        lines += wrapped("no machine joins this to the statement of the claim", width, "        ")
    return lines


def _far(finding: Finding) -> str:
    return " (far: false in every case that was tried)" if finding.far else ""


def _where(claim: Claim) -> str:
    """Return the module of a claim as a file, and the line of its statement."""
    function = inspect.unwrap(getattr(claim.evidence, "statement", claim.evidence))
    return f"{function.__module__.replace('.', '/')}.py, line {function.__code__.co_firstlineno}"


def as_json(claims: Sequence[Claim], outcomes: Mapping[str, Outcome], settings: dict[str, Any]) -> dict[str, Any]:
    """Return claims and outcomes as plain data."""
    rows = []
    for made in claims:
        outcome = asdict(outcomes[made.key])
        words = {name: getattr(made, name) for name in ("source", "says", "assumes", "because", "instead", "proof")}
        rows.append({**words, **outcome})
    reproduced = sum(outcome.status == REPRODUCED for outcome in outcomes.values())
    return {"settings": settings, "claims": len(rows), "reproduced": reproduced, "ledger": rows}


def anchor(heading: str) -> str:
    """Return the anchor that a code host such as GitHub gives a heading.

    Example:
        >>> anchor("wipf2024.proposition-3.1")
        'wipf2024proposition-31'
    """
    return re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")


def inline(text: str) -> str:
    """Turn $...$ into a form in which code hosts such as GitHub do not interpret backslashes."""
    return re.sub(r"\$([^$]+)\$", r"$`\1`$", text)


def _code(text: str) -> str:
    """Return text that a page shows as it is written: stars and underscores mean nothing in it."""
    return f"`{text}`"
