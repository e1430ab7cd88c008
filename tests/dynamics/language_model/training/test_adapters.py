"""LoRA adapters as a block of their own, and log pi as a function of numbers in the place of parameters."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.optional import needs

needs("transformers", "peft")

from dynamics import InvalidArgument
from dynamics.language_model import (
    TokenSequence,
    add_adapters,
    differentiable_log_probs,
    sequence_log_probs,
    tiny_model,
)
from dynamics.language_model.precision import computing_in
from tests.dynamics.language_model.brute_force import SEQUENCES, own_log_probs
from tests.dynamics.language_model.stable_po_reference import (
    CHOSEN,
    REJECTED,
    Case,
    make_case,
    plain_log_probs,
    small_model,
)


@pytest.fixture(scope="module")
def case() -> Case:
    return make_case()


def test_adapters_start_as_the_same_policy_and_leave_the_model_alone() -> None:
    model = small_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    adapted = add_adapters(model, rank=2)
    assert torch.equal(torch.get_rng_state(), random)
    assert before.keys() == model.state_dict().keys()
    every = [*CHOSEN, *REJECTED]
    want = sequence_log_probs(model, every).total
    torch.testing.assert_close(sequence_log_probs(adapted.model, every).total, want, rtol=0, atol=1e-12)
    assert all(p.requires_grad for p in adapted.model.parameters())
    assert len(adapted.theta) == 8
    assert not {n for n in adapted.phi if "lora" in n}
    again, other = add_adapters(model, rank=2).values()[0], add_adapters(model, rank=2, seed=1).values()[0]
    first = adapted.values()[0]
    assert all(torch.equal(first[n], again[n]) for n in first)
    assert not all(torch.equal(first[n], other[n]) for n in first)


def test_log_probs_of_values_are_those_of_the_merged_weights(case: Case) -> None:
    with computing_in(case.adapted.model, torch.float64):
        found = case.adapted.log_probs([*CHOSEN, *REJECTED], case.theta, case.phi)
    want = plain_log_probs(case, [*CHOSEN, *REJECTED], case.theta, case.phi)
    torch.testing.assert_close(found, want, rtol=0, atol=1e-12)
    start = plain_log_probs(case, [*CHOSEN, *REJECTED], *case.adapted.values())
    assert (found - start).abs().min() > 1e-3  # the values were looked at


def test_log_probs_with_a_graph_are_those_without(case: Case) -> None:
    model = small_model()
    every = [*REJECTED, *CHOSEN]
    with computing_in(model, torch.float64):
        torch.testing.assert_close(
            differentiable_log_probs(model, every), sequence_log_probs(model, every).total, rtol=0, atol=1e-12
        )


def test_a_padding_token_in_a_response_has_its_gradient() -> None:
    model = tiny_model(width=8, layers=1, heads=2, pad_token_id=3)
    embedding = model.get_input_embeddings()
    assert embedding.padding_idx == 3
    sequence = TokenSequence((1, 2, 3, 4), 2)
    with computing_in(model, torch.float64):
        differentiable_log_probs(model, [sequence])[0].backward()
    assert embedding.padding_idx == 3
    got = embedding.weight.grad[3].clone()
    size = 1e-6
    for k in range(4):
        ends = []
        for sign in (1, -1):
            moved = dict(model.named_parameters())
            weight = moved["model.embed_tokens.weight"].detach().clone()
            weight[3, k] += sign * size
            with computing_in(model, torch.float64):
                ends.append(differentiable_log_probs(model, [sequence], {"model.embed_tokens.weight": weight}).item())
        assert float(got[k]) == pytest.approx((ends[0] - ends[1]) / (2 * size), rel=1e-5, abs=1e-7)


def test_adapters_that_cannot_be_are_named() -> None:
    with pytest.raises(InvalidArgument, match="targets"):
        add_adapters(small_model(), targets=["no_such_map"])
    with pytest.raises(InvalidArgument, match="rank"):
        add_adapters(small_model(), rank=0)
    with pytest.raises(InvalidArgument, match="alpha"):
        add_adapters(small_model(), alpha=-1.0)


def test_rotary_frequencies_that_depend_on_the_length_are_those_of_each_sequence() -> None:
    """In one batch with a longer sequence, the shorter ones would get its frequencies."""
    rope = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}

    def fresh() -> Any:  # transformers remembers the longest sequence so far
        return tiny_model("llama", rope_parameters=rope, max_position_embeddings=4)

    model = fresh()
    got = differentiable_log_probs(model, SEQUENCES)
    alone = torch.cat([differentiable_log_probs(fresh(), [s]) for s in SEQUENCES])
    torch.testing.assert_close(got, alone, rtol=0, atol=1e-12)
    torch.testing.assert_close(got.detach(), sequence_log_probs(model, SEQUENCES).total, rtol=0, atol=1e-6)
    ids = torch.zeros(2, 10, dtype=torch.int64)  # the negative control: padded to the longest
    for row, s in enumerate((SEQUENCES[0], SEQUENCES[2])):
        ids[row, : len(s.ids) - 1] = torch.tensor(s.ids[:-1])
    with torch.no_grad():
        padded = own_log_probs(model(input_ids=ids).logits[0], SEQUENCES[0]).sum()
    assert float((padded - alone[0].detach()).abs()) > 1e-4
