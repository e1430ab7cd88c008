"""The ledger of all claims: load, select and run them, in several processes."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence

from joblib import Parallel, cpu_count, delayed

from dynamics.errors import InvalidArgument, check_count
from theory.claim import Claim, Outcome, run_claim
from theory.order import in_order
from theory.places import speaks_of


def load_claims() -> dict[str, Claim]:
    """Import every claim and return the ledger by key.

    Example:
        >>> load_claims()["jian2025.log-margin"].verdict
        'holds'
    """
    from theory.catalog import CLAIMS  # noqa: PLC0415 - imports torch and SymPy, which a search for keys does not need

    return CLAIMS


def select_claims(patterns: Sequence[str] = (), paper: str | None = None, place: str | None = None) -> list[Claim]:
    """Return the claims whose keys match any of the patterns, of one paper or of all, in the order of the papers.

    Args:
        patterns: keys or globs, or the key of a paper for all of its claims; none for all.
        paper: key of a paper, such as ``ma2025``.
        place: number of an equation, or a label such as "Theorem 1": only claims whose source names it.

    Raises:
        InvalidArgument: a pattern, a paper or a place that matches nothing.
    """
    claims = load_claims()
    if not isinstance(patterns, (tuple, list)) or not all(isinstance(pattern, str) for pattern in patterns):
        raise InvalidArgument("patterns", patterns, "a list of keys or globs of claims")
    papers = sorted({made.paper for made in claims.values()})
    patterns = [f"{pattern}.*" if pattern in papers else pattern for pattern in patterns]
    for pattern in patterns:
        if not fnmatch.filter(claims, pattern):
            near = [key for key in claims if key.split(".")[-1].startswith(pattern.split(".")[-1][:4])][:5]
            hint = f"; near it: {', '.join(near)}" if near else ""
            raise InvalidArgument("keys", pattern, f"keys or globs of claims (python -m theory --list){hint}")
    if paper is not None and (not isinstance(paper, str) or paper not in papers):
        raise InvalidArgument("paper", paper, "one of " + ", ".join(papers))
    order = in_order({key: made.source for key, made in claims.items()})
    chosen = [
        made
        for key, made in ((key, claims[key]) for key in order)
        if (not patterns or any(fnmatch.fnmatch(key, pattern) for pattern in patterns))
        and (paper is None or made.paper == paper)
    ]
    if place is None:
        return chosen
    there = [made for made in chosen if speaks_of(made.source, place)]
    if not there:
        raise InvalidArgument("place", place, "an equation, theorem or section that the source of a claim names")
    return there


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
        yield from (run_claim(made, worlds, seed) for made in claims)
        return
    work = (delayed(_run_key)(made.key, worlds, seed) for made in claims)
    yield from Parallel(n_jobs=min(processes, len(claims)), return_as="generator_unordered", batch_size=4)(work)


def _run_key(key: str, worlds: int, seed: int) -> Outcome:
    return run_claim(load_claims()[key], worlds, seed)
