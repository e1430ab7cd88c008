"""``python -m dynamics keep``: a data set without some of its pairs, chosen by the columns of an audit."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from dynamics.commands.printing import print_lines
from dynamics.commands.recipe import recipe, why_not_by_trl
from dynamics.errors import InvalidArgument
from dynamics.files import write_atomically
from dynamics.language_model.pair_audit.decision.expression import Expression, parse
from dynamics.language_model.pair_audit.decision.filtered_copy import copy_rows
from dynamics.language_model.pair_audit.reading.columns import IMPLICIT
from dynamics.language_model.pair_audit.reading.containers import open_records
from dynamics.language_model.pair_audit.reading.data import open_pairs
from dynamics.language_model.pair_audit.reading.relations import RELATIONS, find_relations
from dynamics.language_model.pair_audit.results.joined import read_joined
from dynamics.language_model.pair_audit.results.store import Results

NOT_COLUMNS = {"digest", "remarks", "left_out", "cut_by", "skipped"}
NAMED = 5  # dropped rows that are printed


def keep_command(
    console: Console,
    keep: str,
    results: Path,
    data: str,
    out: Path,
    weight: str | None = None,
    split: str = "train",
    skipped: bool = False,
) -> None:
    """Write the pairs of a data set for which an expression holds, and why each of the others was dropped.

    Args:
        console: where to print.
        keep: the expression.
        results: the file of the results.
        data: the data set.
        out: the new data set, in the format of the old one.
        weight: an expression for the weight of each pair.
        split: the split of the data.
        skipped: whether rows that the audit skipped are kept.
    """
    found = Results(results)
    settings = found.read_settings()
    if settings is None:
        raise InvalidArgument("results", f"there are no results in {results}; give the file that pairs wrote (--out)")
    records = open_records(data, split)
    if records.fingerprint != settings["data"]:
        raise InvalidArgument("data", f"{results} has results of other data than {data} holds now; audit it again")
    prompt = tuple(settings["columns"]["prompt"])
    columns = () if prompt == ("prompt",) else prompt or (IMPLICIT,)
    related = find_relations(open_pairs(data, split, columns))
    missing = {row.number for row in open_pairs(data, split, columns).read()} - {line["row"] for line in found.read()}
    if missing:
        first = f"{len(missing)} rows of {data}, the first of them row {min(missing)}, are not in {results}"
        raise InvalidArgument("results", f"{first}; finish the audit (the same command again, without --first)")
    kinds = {kind: set(related.rows.get(kind, ())) for kind in RELATIONS}

    def lines() -> Iterator[dict[str, Any]]:
        for record in read_joined(found):
            yield record | {kind.replace("-", "_"): record["row"] in rows for kind, rows in kinds.items()}

    names = {name for record in lines() if "skipped" not in record for name in record} - NOT_COLUMNS
    if not names:
        raise InvalidArgument("results", f"{results} holds no audited pair; its summary says why the rows were skipped")
    wanted = parse(keep, names)
    weigh = None if weight is None else parse(weight, names, "weight")
    decided = [_decide(record, wanted, weigh, skipped) for record in lines()]
    kept = {line["row"] for line in decided if line["kept"]}
    if not kept:
        raise InvalidArgument("keep", f"{keep!r} holds for no pair; the data set would be empty")
    beside = out.with_name(f"{out.name}.rows.jsonl")
    if beside.exists():
        raise InvalidArgument("out", f"{beside} exists; give another --out")
    copy_rows(records, data, split, kept.__contains__, out)
    text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in decided)
    write_atomically(beside, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    _print(console, decided, out, beside)
    template = (found.read_summary() or {}).get("chat_template")

    def rows() -> Iterator[Mapping[str, Any]]:
        values = (record.value for record in records.read(None) if record.number in kept)
        return (value for value in values if isinstance(value, Mapping))

    problem = why_not_by_trl(rows(), prompt)
    if problem is not None:
        print_lines(
            console, [f"before TRL's DPOTrainer can train on it, bring all rows into one form that it reads: {problem}"]
        )
        return
    print_lines(console, recipe(settings, str(out), records.form, template, next(rows(), {})))


def _decide(record: dict[str, Any], keep: Expression, weigh: Expression | None, skipped: bool) -> dict[str, Any]:
    """Return the line of a row: whether it is kept, why not, and its weight."""
    line: dict[str, Any] = {"row": record["row"], "digest": record["digest"]}
    if "skipped" in record:
        line |= {"kept": skipped, "reason": f"the audit skipped it: {record['skipped']}"}
    elif keep.holds(record):
        line |= {"kept": True}
    else:
        line |= {"kept": False, "reason": keep.reason(record)}
    if weigh is not None:
        weight = weigh.number(record) if line["kept"] and "skipped" not in record else float(line["kept"])
        if not math.isfinite(weight) or weight < 0:
            raise InvalidArgument("weight", f"it is {weight} for row {record['row']}; it must be a number >= 0")
        line |= {"weight": weight}
    return line


def _print(console: Console, decided: list[dict[str, Any]], out: Path, beside: Path) -> None:
    dropped = [line for line in decided if not line["kept"]]
    print_lines(console, [f"kept {len(decided) - len(dropped)} of {len(decided)} rows, dropped {len(dropped)}"])
    print_lines(console, (f"  row {line['row']}: {line['reason']}" for line in dropped[:NAMED]))
    if len(dropped) > NAMED:
        skips = Counter("skipped" if "the audit skipped" in line["reason"] else "expression" for line in dropped)
        print_lines(console, [f"  and {len(dropped) - NAMED} more ({skips['skipped']} that the audit skipped)"])
    print_lines(console, [f"written: {out}, and why in {beside.name}"])
