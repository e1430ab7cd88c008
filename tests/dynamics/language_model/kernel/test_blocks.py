"""A rectangle and blocks of the kernel: the same numbers as in the whole table, and nothing else is contracted."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dynamics import InvalidArgument
from dynamics.language_model import (
    TokenSequence,
    block_kernels,
    cross_kernel,
    sequence_kernel,
    sequence_log_probs,
    tiny_model,
)
from dynamics.language_model.kernel import blocks as blocks_module, contractions
from tests.dynamics.language_model.brute_force import SEQUENCES
from tests.dynamics.language_model.kernel.test_uses import BothWays, Experts, Table, changed

GROUPS = ((0, 3), (2,), (4, 1, 3))  # sequence 3 is in two of them
ROWS, COLUMNS = (4, 0, 2, 1), (3, 0)


def model_of(kind: Any) -> Any:
    return changed(kind) if isinstance(kind, type) else tiny_model(kind.split("-")[0], tied="untied" not in kind)


KINDS = ["qwen2", "qwen2-untied", "gpt2", BothWays, Experts, Table]  # the last three one sequence after the other


def error(found: torch.Tensor, whole: torch.Tensor, rows: Any, columns: Any) -> float:
    norms = whole.diagonal().sqrt()
    scale = norms[list(rows)][:, None] * norms[list(columns)][None]
    return float(((found - whole[list(rows)][:, list(columns)]).abs() / scale).max())


@pytest.mark.parametrize("memory", ["graph", "layerwise"])
@pytest.mark.parametrize("contraction", ["ghost", "materialised"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k if isinstance(k, str) else k.__name__)
def test_blocks_and_rectangles_are_those_of_the_whole_kernel(kind: Any, contraction: Any, memory: Any) -> None:
    model = model_of(kind)
    how: dict[str, Any] = {"memory": memory, "contraction": contraction, "batch_tokens": 14, "vocabulary_piece": 7}
    full = sequence_kernel(model, SEQUENCES, **how)
    found = block_kernels(model, [[SEQUENCES[n] for n in group] for group in GROUPS], **how)
    for group, one in zip(GROUPS, found, strict=True):
        assert error(one.kernel, full.kernel, group, group) < 1e-13
        assert torch.equal(one.kernel, one.kernel.T)
        torch.testing.assert_close(one.log_probs, full.log_probs[list(group)], rtol=0, atol=1e-12)
        parts = torch.stack(list(one.by_module.values())).sum(0)
        assert error(parts, full.kernel, group, group) < 1e-13
    got = cross_kernel(model, [SEQUENCES[n] for n in ROWS], [SEQUENCES[n] for n in COLUMNS], **how)
    assert error(got.kernel, full.kernel, ROWS, COLUMNS) < 1e-13
    torch.testing.assert_close(got.row_log_probs, full.log_probs[list(ROWS)], rtol=0, atol=1e-12)
    torch.testing.assert_close(got.column_log_probs, full.log_probs[list(COLUMNS)], rtol=0, atol=1e-12)
    assert got.by_module.keys() == full.by_module.keys()
    for name, part in got.by_module.items():
        whole = full.by_module[name][list(ROWS)][:, list(COLUMNS)]
        assert float((part - whole).abs().max()) < 1e-13 * float(full.kernel.diagonal().max()), name
    assert got.grouped("layer").keys() == full.grouped("layer").keys()
    wrong = cross_kernel(model, [SEQUENCES[n] for n in ROWS], [SEQUENCES[n] for n in reversed(COLUMNS)], **how)
    assert error(wrong.kernel, full.kernel, ROWS, COLUMNS) > 1e-3  # the negative control: sides in another order


@pytest.mark.parametrize("memory", ["graph", "layerwise"])
@pytest.mark.parametrize("kind", ["qwen2", Experts], ids=["together", "one by one"])
def test_nothing_outside_of_the_blocks_is_contracted(kind: Any, memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tile of token pairs, and every product of written-out gradients, is counted."""
    model, tiles, entries = model_of(kind), [], []
    plain, multiply = blocks_module.sum_columns, torch.bmm

    def seen(tile: torch.Tensor, lengths: Any) -> torch.Tensor:
        tiles.append(tuple(tile.shape))
        return plain(tile, lengths)

    def multiplied(*a: Any, **k: Any) -> torch.Tensor:
        found = multiply(*a, **k)
        if "out" not in k:  # the others form gradients
            entries.append(tuple(found.shape[1:]))
        return found

    monkeypatch.setattr(blocks_module, "sum_columns", seen)
    monkeypatch.setattr(contractions.torch, "bmm", multiplied)
    inputs, responses = [[f(s) for s in SEQUENCES] for f in (lambda s: len(s.ids) - 1, lambda s: s.length)]

    def tokens(numbers: Any) -> set[int]:
        return {sum(of[n] for n in numbers) for of in (inputs, responses)}

    rows, columns = [SEQUENCES[n] for n in (2, 4)], [SEQUENCES[n] for n in (0, 1, 3)]
    how: dict[str, Any] = {"memory": memory, "parameters": ["!*experts*", "!*o_proj*"]}
    cross_kernel(model, rows, columns, contraction="ghost", **how)
    assert tiles
    both_ways = {
        (r, c)
        for sides in (((2, 4), (0, 1, 3)), ((0, 1, 3), (2, 4)))
        for r in tokens(sides[0])
        for c in tokens(sides[1])
    }
    assert set(tiles) <= both_ways
    assert set(tiles) & {(r, c) for r in tokens((2, 4)) for c in tokens((0, 1, 3))}
    tiles.clear()
    block_kernels(model, [rows, columns], contraction="ghost", **how)
    own = {(r, c) for group in ((2, 4), (0, 1, 3)) for r in tokens(group) for c in tokens(group)}
    assert set(tiles) <= own
    cross_kernel(model, rows, columns, contraction="materialised", **how)
    assert entries
    assert set(entries) == {(2, 3)}
    entries.clear()
    block_kernels(model, [rows, columns], contraction="materialised", **how)
    assert set(entries) == {(2, 2), (3, 3)}
    entries.clear()
    tiles.clear()
    sequence_kernel(model, SEQUENCES, contraction="materialised", **how)  # the negative control: the whole table
    assert set(entries) == {(5, 5)}
    sequence_kernel(model, SEQUENCES, contraction="ghost", **how)
    assert not set(tiles) <= own | both_ways


def test_a_sequence_on_both_sides_is_run_once() -> None:
    model = tiny_model("qwen2")
    rows: list[int] = []
    handle = model.model.embed_tokens.register_forward_pre_hook(lambda _, x: rows.append(len(x[0])))
    calls = []
    for columns in ([SEQUENCES[2]], [SEQUENCES[0], SEQUENCES[0]]):
        rows.clear()
        got = cross_kernel(model, [SEQUENCES[0], SEQUENCES[3]], columns)
        calls.append(max(rows))
    handle.remove()
    assert calls == [3, 2]
    assert torch.equal(got.kernel[:, 0], got.kernel[:, 1])


def test_rows_and_groups_that_are_none_are_named() -> None:
    model, one = tiny_model(), TokenSequence((1, 2, 3), 1)
    for call, message in (
        (lambda: cross_kernel(model, [], [one]), "rows: the list is empty"),
        (lambda: cross_kernel(model, [one], [one, 3]), r"columns\[1\]"),  # type: ignore[list-item]
        (lambda: block_kernels(model, []), "groups: the list is empty"),
        (lambda: block_kernels(model, [[one], []]), r"groups\[1\]: the list is empty"),
        (lambda: block_kernels(model, [one]), r"groups\[0\]"),  # type: ignore[list-item]
        (lambda: block_kernels(model, 3), "groups: got 3"),  # type: ignore[arg-type]
        (lambda: cross_kernel(model, [one], [one], memory="disk"), "'auto', 'graph' or 'layerwise'"),
    ):
        with pytest.raises(InvalidArgument, match=message):
            call()


def test_log_probs_belong_to_their_groups() -> None:
    model = tiny_model("gpt2")
    groups = [[SEQUENCES[n] for n in group] for group in GROUPS]
    for group, one in zip(groups, block_kernels(model, groups), strict=True):
        torch.testing.assert_close(one.log_probs, sequence_log_probs(model, group).total, rtol=0, atol=1e-12)
