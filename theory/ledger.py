"""The ledger of all claims: load, select and run them, in several processes."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from functools import cache

from joblib import Parallel, cpu_count, delayed

from dynamics.errors import check_count
from theory.claim import Claim, Outcome, outcome_of, parts_of
from theory.order import in_order
from theory.record import Row, matching, recorded_sections, row_of


def load_claims() -> dict[str, Claim]:
    """Import every claim and return the ledger by key.

    Example:
        >>> load_claims()["jian2025.log-margin"].verdict
        'holds'
    """
    from theory.catalog import CLAIMS  # noqa: PLC0415 - imports torch and SymPy, which a search for keys does not need

    return CLAIMS


def select_claims(
    patterns: Sequence[str] = (),
    paper: str | None = None,
    place: str | None = None,
    verdict: str | None = None,
    strength: str | None = None,
) -> list[Claim]:
    """Return the claims whose keys match any of the patterns, of one paper or of all, in the order of the papers.

    Args:
        patterns: keys, patterns such as ``"jian2025.eq-*"``, or the key of a paper for all of its claims; all claims if
            empty.
        paper: key of a paper, such as ``ma2025``.
        place: number of an equation, or a label such as "Theorem 1": only claims whose source names it.
        verdict: "holds", "false" and so on: only claims with that verdict.
        strength: "proved", "unrefuted", "numerical" or a part of the words, as the pages record it.

    Raises:
        InvalidArgument: a pattern, a paper, a place, a verdict or a strength that matches nothing.
    """
    claims = load_claims()
    return [claims[row.key] for row in matching(list_claims(), patterns, paper, place, verdict, strength)]


def list_claims() -> list[Row]:
    """Return all claims of the code in the order of the papers, with the strength that the pages record."""
    claims = load_claims()
    recorded = {key: row_of(key, section).strength for key, section in recorded_sections().items() if key in claims}
    order = in_order({key: made.source for key, made in claims.items()})
    return [Row(key, claims[key].source, claims[key].verdict, recorded.get(key, "")) for key in order]


def run_ledger(claims: Sequence[Claim], worlds: int = 500, seed: int = 0, jobs: int | None = None) -> Iterator[Outcome]:
    """Run claims and yield their outcomes in the order of completion; the numbers do not depend on ``jobs``.

    Args:
        claims: what to run.
        worlds: random cases for each search, >= 1.
        seed: of the random cases.
        jobs: processes; as many as there are cores if not given.
    """
    check_count("worlds", worlds)
    check_count("seed", seed, minimum=0)
    processes = cpu_count() if jobs is None else check_count("jobs", jobs)
    if processes == 1 or len(claims) == 1:
        yield from (outcome_of(made, worlds, seed) for made in claims)
        return
    work = (delayed(_run_keys)([made.key for made in group], worlds, seed) for group in together(claims))
    for outcomes in Parallel(n_jobs=min(processes, len(claims)), return_as="generator_unordered")(work):
        yield from outcomes


def together(claims: Sequence[Claim]) -> list[list[Claim]]:
    """Return claims in groups that share no part: what several claims rest on is run once, in one process.

    Example:
        >>> claims = select_claims(["sun2025.theorem-1*"])
        >>> sum(map(len, together(claims))) == len(claims)
        True
    """
    groups: list[tuple[set[str], list[Claim]]] = []
    for made in claims:
        keys, joined = _with_parts(made), [made]
        for group in [group for group in groups if group[0] & keys]:
            keys, joined = keys | group[0], group[1] + joined
            groups.remove(group)
        groups.append((keys, joined))
    return [group for _, group in groups]


def _with_parts(claim: Claim) -> set[str]:
    return {claim.key}.union(*(_with_parts(part) for part in parts_of(claim)))


def _run_keys(keys: Sequence[str], worlds: int, seed: int) -> list[Outcome]:
    return [outcome_of(_kept_claims()[key], worlds, seed) for key in keys]


@cache
def _kept_claims() -> dict[str, Claim]:
    """Return the ledger in a process that does nothing else: what is loaded by now stays until its end."""
    claims = load_claims()
    collect_less_garbage()
    return claims


def collect_less_garbage() -> None:
    """Keep what is loaded by now until the end of the process, and look for garbage less often: a tenth of a run."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
