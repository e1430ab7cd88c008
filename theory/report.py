"""Reports of the ledger: one claim explained, the whole ledger as Markdown, the outcomes as JSON."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from theory.claim import REPRODUCED, VERDICTS, Claim, Outcome
from theory.evidence import Finding
from theory.order import section_of, sort_keys
from theory.terminal import readable, readable_text, wrapped

PAPERS = {
    "jian2025": "Jian et al. 2025, Stable Preference Optimization for LLMs: A Bilevel Approach Beyond DPO",
    "wipf2024": "Wipf 2024, Unavoidable Learning Constraints Alter the Foundations of DPO",
    "feng2024": "Feng et al. 2024, Towards Analyzing and Understanding the Limitations of DPO",
    "sun2025": "Sun et al. 2025, SPO: Self Preference Optimization with Self Regularization",
    "ma2025": "Ma et al. 2025, Gradient Imbalance in Direct Preference Optimization",
}

INTRODUCTION = """# The claim ledger

What five papers on direct preference optimization say, and what is true. Every verdict below was earned by running the
evidence under it, and beside it stands how strongly it is known: *proved* by a machine in the generality that is
claimed (it says by which prover, and modulo which lemma), *unrefuted* in so many exact cases, or *numerical* to a
tolerance. Every checker was also run on a perturbed statement, which it had to reject.

This file is generated: `python -m theory --markdown theory/LEDGER.md`. `python -m theory --explain KEY` runs one claim.
"""


def section(claim: Claim, outcome: Outcome) -> str:
    """Return one claim with its evidence as Markdown with LaTeX, as it stands in LEDGER.md."""
    lines = [
        f"#### {claim.key}",
        "",
        f"**{claim.verdict.capitalize()}**: {VERDICTS[claim.verdict]}; **{outcome.strength}**. "
        f"In print: {claim.source}.",
        "",
    ]
    lines += ["```math", claim.says, "```", ""]
    if claim.assumes:
        lines += [f"Assumes: {_inline(claim.assumes)}.", ""]
    if claim.because:
        lines += [_inline(claim.because), ""]
    if claim.proof:
        lines += [f"Proof: {_inline(claim.proof)}", ""]
    if claim.instead:
        lines += ["True instead: " + ", ".join(f"[{key}](#{anchor(key)})" for key in claim.instead) + ".", ""]
    for finding in outcome.findings:
        first, *rest = finding.detail.split("\n")
        lines.append(f"- {finding.role}: {finding.kind}, {first}")
        if rest:
            lines += ["", "  ```text", *("  " + row for row in rest), "  ```", ""]
    return "\n".join(lines).rstrip() + "\n"


def markdown(claims: Sequence[Claim], outcomes: Mapping[str, Outcome]) -> str:
    """Return the whole ledger as Markdown: for every paper an index, then its claims by section."""
    counts = Counter(made.verdict for made in claims)
    parts = [
        INTRODUCTION,
        f"{len(claims)} claims: " + ", ".join(f"{counts[v]} {v}" for v in VERDICTS if counts[v]) + ".\n",
    ]
    for paper, title in PAPERS.items():
        own = [made for made in claims if made.paper == paper]
        if not own:
            continue
        parts.append(f"## {title}\n")
        parts.append("| claim | in print | verdict |\n|---|---|---|")
        for made in own:
            source = made.source.replace("|", "\\|")
            parts.append(f"| [{made.key}](#{anchor(made.key)}) | {_inline(source)} | {made.verdict} |")
        parts.append("")
        keys = sort_keys({made.key: made.source for made in own})
        for name, about in groupby(own, key=lambda made: section_of(made.paper, keys[made.key][1])):
            parts.append(f"### {name}\n")
            parts += [section(made, outcomes[made.key]) for made in about]
    return "\n".join(parts).rstrip() + "\n"


def explanation(claim: Claim, outcome: Outcome, claims: Mapping[str, Claim], width: int = 100) -> str:
    """Return one claim for a terminal: statement, why it fails, counterexample, what is true and why, where it stands.

    Args:
        claim: the claim.
        outcome: what its run came to.
        claims: the ledger, for what is true instead.
        width: columns of the terminal; only tables of a counterexample may be wider.
    """
    lines = [
        *wrapped(f"{claim.key}: {claim.verdict} ({VERDICTS[claim.verdict]})", width),
        *wrapped(f"strength: {outcome.strength}", width),
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
    lines = wrapped(f"[{mark}] {finding.role}: {finding.kind}, {first}", width, "  ")
    lines += ["        " + row for row in rest]
    if finding.assumes:
        lines += wrapped(f"told of every case: {finding.assumes}", width, "        ")
    return lines


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
    """Return the anchor that a code host gives a heading.

    Example:
        >>> anchor("wipf2024.proposition-3.1")
        'wipf2024proposition-31'
    """
    return re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")


def _inline(text: str) -> str:
    """Turn $...$ into the form in which a code host leaves backslashes alone."""
    return re.sub(r"\$([^$]+)\$", r"$`\1`$", text)
