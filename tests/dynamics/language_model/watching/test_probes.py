"""What is watched and measured: rows as collators make them, the panel, entropies; the files of a run."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch

from tests.optional import needs

needs("transformers")

from dynamics import InvalidArgument
from dynamics.language_model import TokenSequence, next_token_log_probs, sequence_log_probs, tiny_model
from dynamics.language_model.model_head import CHECKED_POSITIONS, Head
from dynamics.language_model.tokens import tokenize_responses
from dynamics.language_model.watching.beside import GROUP, Failed, keeping_random_state, share, share_each
from dynamics.language_model.watching.comparison import agreement, outcomes, table
from dynamics.language_model.watching.looks import score
from dynamics.language_model.watching.page import make_page
from dynamics.language_model.watching.panel import greedy_responses, with_panel
from dynamics.language_model.watching.probes import Probe, collated_pair, draw_probes, draw_rows, given_probes
from dynamics.language_model.watching.run_log import RunLog, append, read_run
from tests.dynamics.language_model.tokenizers import byte_tokenizer


def probe(prompt: int, chosen: tuple[int, ...]) -> Probe:
    made = {"chosen": TokenSequence((prompt, *chosen), 1), "rejected": TokenSequence((prompt, 9, 22), 1)}
    return Probe(f"probe {prompt}", made)


def test_a_row_of_trls_trainers_for_cpo_and_orpo_is_read_too() -> None:
    batch = {
        "chosen_input_ids": torch.tensor([[1, 2, 3, 0]]),
        "chosen_labels": torch.tensor([[-100, 2, 3, -100]]),
        "chosen_attention_mask": torch.tensor([[1, 1, 1, 0]]),
        "rejected_input_ids": torch.tensor([[1, 4]]),
        "rejected_labels": torch.tensor([[-100, 4]]),
        "rejected_attention_mask": torch.tensor([[1, 1]]),
    }
    found = collated_pair(lambda rows: batch, {})
    assert found == {"chosen": TokenSequence((1, 2, 3), 1), "rejected": TokenSequence((1, 4), 1)}
    assert collated_pair(lambda rows: batch, {}, 2)["chosen"].ids == (1, 2)
    with pytest.raises(InvalidArgument, match="the prompt is empty"):
        collated_pair(lambda rows: batch, {}, 2, "keep_end")
    with pytest.raises(InvalidArgument, match="does not become a pair"):
        collated_pair(lambda rows: {"input_ids": torch.tensor([[1]])}, {})
    with pytest.raises(InvalidArgument, match="images"):
        collated_pair(lambda rows: batch | {"pixel_values": torch.zeros(1)}, {})


def test_a_column_without_a_response_is_told_and_not_measured() -> None:
    """An empty text would become the response EOS, whose log pi is a number like any other."""
    tokenizer = byte_tokenizer()
    responses = ["It is 4.", "", " ", None, 5]
    rows = [{"prompt": "2 + 2 = ", "chosen": "4", "rejected": "5", "paraphrase": response} for response in responses]

    def pair_of(row: Mapping[str, Any]) -> dict[str, TokenSequence]:
        made = tokenize_responses(tokenizer, row["prompt"], [row["chosen"], row["rejected"]])
        return dict(zip(("chosen", "rejected"), made, strict=True))

    probes, left_out = draw_probes({"train": rows}, pair_of, len(rows), 0, tokenizer, ("paraphrase",))
    assert [one.name for one in probes if "paraphrase" in one.responses] == ["train 0"]
    (found,) = (one.responses["paraphrase"] for one in probes if "paraphrase" in one.responses)
    assert found == tokenize_responses(tokenizer, "2 + 2 = ", ["It is 4."])[0]
    assert sorted(said.partition(":")[0] for said in left_out) == [f"train {number}" for number in range(1, 5)]


def test_a_stream_is_drawn_from_its_first_rows() -> None:
    rows = draw_rows(({"n": n} for n in range(5000)), 50, seed=0)
    assert len({number for number, _ in rows}) == 50
    assert max(number for number, _ in rows) < 1000
    assert all(row["n"] == number for number, row in rows)


def test_the_panel_has_no_response_twice() -> None:
    probes = [probe(1, (5, 6, 22)), probe(2, (7, 22)), probe(1, (5, 8, 22))]
    best = [probes[0].chosen, TokenSequence((2, 3), 1), None]
    found = with_panel(probes, best, seed=0)
    assert list(found[0].responses) == ["chosen", "rejected", "other_prompt", "random"]  # y* is the chosen response
    assert found[0].responses["other_prompt"] == TokenSequence((1, 7, 22), 1)
    assert found[2].responses["other_prompt"] == TokenSequence((1, 7, 22), 1)  # not of a probe with the same prompt
    for one in found:
        noise = one.responses["random"]
        assert noise.length == one.chosen.length
        assert noise.response[-1] == 22
        assert len(set(one.responses.values())) == len(one.responses)
    assert with_panel(probes, best, seed=0) == found
    assert list(with_panel(probes, best, 0, ["random"])[1].responses) == ["chosen", "rejected", "random"]


def test_a_random_response_ends_only_at_its_end() -> None:
    """Many tokens of short responses are ends; a random one would hold ends inside of it."""
    probes = [probe(1, (*range(2, 8), *range(2, 8), 22)), *(probe(n, (n, 22)) for n in range(2, 8))]
    for seed in range(5):
        noise = with_panel(probes, [None] * 7, seed)[0].responses["random"]
        assert noise.response.index(22) == noise.length - 1
    assert "random" not in with_panel([probe(1, (22,))], [None], 0)[0].responses  # nothing to draw from but the end


def test_greedy_responses_take_the_most_likely_token_everywhere() -> None:
    model: Any = tiny_model(dtype=torch.float32)
    prompts = [(1, 2, 3), (4,), (7, 8), (2, 2, 2, 2)]
    for end in (None, 5, 11):
        found = greedy_responses(model, prompts, end, most=6, batch_tokens=7)
        for one, prompt in zip(found, prompts, strict=True):
            assert one.prompt == prompt
            for place in range(len(prompt), len(one.ids)):
                assert int(next_token_log_probs(model, [one.ids[:place]])[0].argmax()) == one.ids[place]
            assert end not in one.response[:-1]
            assert one.length == 6 or one.response[-1] == end


def test_greedy_responses_need_logits_at_the_last_positions_only() -> None:
    """The head of a model with many tokens in a prompt never sees more than one position of each prompt."""
    model: Any = tiny_model(dtype=torch.float32)
    widths: list[int] = []
    logits = Head.logits

    def counting(head: Head, hidden: torch.Tensor, piece: slice) -> torch.Tensor:
        widths.append(hidden[..., 0].numel())
        return logits(head, hidden, piece)

    head = model.get_output_embeddings()
    seen: list[int] = []
    handle = head.register_forward_hook(lambda _, inputs, output: seen.append(output.numel()))
    with patch.object(Head, "logits", counting):
        greedy_responses(model, [tuple(range(1, 20)), (3,), (5, 6)], end=None, most=5)
    handle.remove()
    assert max(widths[1:]) == 3  # the first call compares the head with the model on a few positions
    assert max(seen) <= 2 * CHECKED_POSITIONS * 23 < 3 * 19 * 23  # at all positions it would be the latter


@pytest.mark.parametrize("batch_tokens", [3, 8192])
def test_scores_are_those_of_the_rest_of_the_package(batch_tokens: int) -> None:
    model, sequences = (
        tiny_model(),
        [TokenSequence((1, 2, 3), 1), TokenSequence((4, 5), 1), TokenSequence((1, 9, 9), 2)],
    )
    log_probs, entropy = score(model, sequences, [True, False, True], batch_tokens)
    assert torch.allclose(log_probs, sequence_log_probs(model, sequences).total, atol=1e-12)
    rows = [next_token_log_probs(model, [sequence]) for sequence in sequences]
    wanted = [float(-(row.exp() * row).sum(-1).mean()) for row in rows]
    assert entropy[[0, 2]].tolist() == pytest.approx([wanted[0], wanted[2]], abs=1e-12)
    assert bool(entropy[1].isnan())


def test_random_states_are_kept() -> None:
    import numpy as np

    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(1))  # noqa: NPY002

    torch.manual_seed(0)
    wanted = draw()
    torch.manual_seed(0)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    first = draw()
    torch.manual_seed(0)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    with keeping_random_state():
        draw()
        torch.manual_seed(7)
    assert draw() == first
    assert first[2] == wanted[2]


def test_groups_are_shared_and_a_failure_is_heard_of() -> None:
    items = list(range(3 * GROUP + 1))
    seen: list[slice] = []

    def compute(part: slice) -> list[int]:
        seen.append(part)
        return [10 * n for n in items[part]]

    assert share(items, compute) == [10 * n for n in items]
    assert len(seen) == 4
    with pytest.raises(Failed, match="ValueError: not this one"):
        share(items, lambda part: (_ for _ in ()).throw(ValueError("not this one")))


def test_an_item_that_fails_takes_no_other_along() -> None:
    items = list(range(2 * GROUP + 1))

    def compute(part: slice) -> list[int]:
        if 3 in items[part]:
            raise ValueError("not this one")
        return [10 * n for n in items[part]]

    found = share_each(items, compute)
    assert [n for n, one in enumerate(found) if isinstance(one, Failed)] == [3]
    assert str(found[3]) == "ValueError: not this one"
    assert [one for n, one in enumerate(found) if n != 3] == [10 * n for n in items if n != 3]
    with pytest.raises(Failed, match="ValueError: not this one"):  # nothing is left
        share_each([3], lambda part: (_ for _ in ()).throw(ValueError("not this one")))


def test_given_probes_bring_their_panel_along() -> None:
    (found,) = given_probes(
        [{"rejected": TokenSequence((1, 3), 1), "own": TokenSequence((1, 4), 1)} | probe(1, (2,)).responses]
    )
    assert list(found.responses) == ["chosen", "rejected", "own"]
    for wrong in ("probes", [1], [{"chosen": TokenSequence((1, 2), 1)}], []):
        with pytest.raises(InvalidArgument, match="probes"):
            given_probes(wrong)  # type: ignore[arg-type]


def a_run(names: tuple[str, ...] = ("a", "b", "c")) -> RunLog:
    start = {"step": 0, "log_probs": {"chosen": [-1.0, -2.0, -3.0], "rejected": [-1.0, -1.0, -1.0]}}
    end = {"step": 10, "rate_sum": 2.0, "log_probs": {"chosen": [-1.5, -1.0, -3.5], "rejected": [-2.0, -3.0, -1.5]}}
    prediction = {"slope": {"chosen": [-0.25, 0.5, 0.1]}, "pairs": 4, "optimizer": "SGD()"}
    run = {"names": list(names), "loss": "DPO()", "left_out": []}
    return RunLog(run, start, None, prediction, [end])


def test_the_outcome_of_a_run_and_its_table() -> None:
    log = a_run()
    assert [(o.name, o.predicted, o.chosen) for o in outcomes(log)] == [
        ("a", -0.5, -0.5),
        ("c", 0.2, -0.5),
        ("b", 1.0, 1.0),
    ]
    found = agreement(log)
    assert found is not None
    assert (found.predicted_to_fall, found.fell, found.both, found.same_sign) == (1, 2, 1, pytest.approx(2 / 3))
    assert "1 were predicted to, and 1 of these did; right sign for 67% of all" in table(log)[1]
    assert len(table(log, most=1)) == len(table(log)) - 2


def test_the_page_escapes_what_stands_in_the_data() -> None:
    log = a_run(("<i>", "b", "c"))
    page = make_page(log, [{"step": 1, "loss": 0.7}, {"step": 2, "loss": 0.6}], [("<script>", "x & y", "z")] * 3)
    assert "<script>" not in page
    assert "<i>" not in page
    assert "x &amp; y" in page
    assert page.count("<circle") == 3
    assert page.count('fill="none" stroke="#a33b00"') == 1  # one sign was wrong


def test_an_unfinished_line_is_removed_and_a_resumed_run_forgets_later_steps(tmp_path: Path) -> None:
    path = tmp_path / "watch.jsonl"
    append(
        path, {"kind": "run", "names": []}, {"kind": "look", "step": 2, "rate_sum": 1.0}, {"kind": "look", "step": 4}
    )
    path.write_bytes(path.read_bytes() + b'{"kind": "look", "st')
    found = read_run(path)
    assert found is not None
    assert [look["step"] for look in found.looks] == [2, 4]
    append(path, {"kind": "resume", "step": 2, "rate_sum": 1.0}, {"kind": "look", "step": 3})
    found = read_run(path)
    assert found is not None
    assert [look["step"] for look in found.looks] == [2, 3]
    assert read_run(tmp_path / "nowhere") is None


def test_a_resumed_run_keeps_what_failed_before(tmp_path: Path) -> None:
    path = tmp_path / "watch.jsonl"
    failed = [{"kind": "problem", "step": step, "problem": "no room"} for step in (2, 6)]
    append(path, {"kind": "run", "names": []}, *failed, {"kind": "resume", "step": 4, "rate_sum": 1.0, "skipped": 2})
    append(path, {"kind": "look", "step": 6, "rate_sum": 2.0})
    append(path, {"kind": "resume", "step": 5, "rate_sum": 1.5, "skipped": 2})
    found = read_run(path)
    assert found is not None
    assert found.problems == ["step 2: no room", "step 6: no room (before the run was resumed at step 4)"]
    assert found.looks == []
    assert found.rates_at(5) == (1.5, 2)
    assert found.rates_at(3) == (0.0, 0)
