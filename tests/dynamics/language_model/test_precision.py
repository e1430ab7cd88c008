from __future__ import annotations

import pytest
import torch
from torch import nn

from dynamics import InvalidArgument
from dynamics.language_model import tiny_model
from dynamics.language_model.precision import computing_in


def test_requests_for_float32_are_answered_with_float64() -> None:
    x = torch.rand(3, dtype=torch.float64)
    with computing_in(nn.Linear(2, 2), torch.float64):
        for y in (x.float(), x.to(torch.float32), x.half(), x.type(torch.float32), torch.arange(3).float()):
            assert y.dtype == torch.float64
        assert torch.softmax(x, 0, dtype=torch.float32).dtype == torch.float64
        assert torch.zeros(2).dtype == torch.float64
    assert x.float().dtype == torch.float32
    assert torch.zeros(2).dtype == torch.float32


def test_rotary_tables_are_float64() -> None:
    model = tiny_model("qwen2")
    rotary = model.model.rotary_emb
    rotary.inv_freq = rotary.inv_freq.float()
    positions = torch.arange(40).unsqueeze(0)
    with computing_in(model, torch.float64):
        cos, sin = rotary(torch.zeros(1, dtype=torch.float64), positions)
    angles = positions[0, :, None].double() * rotary.inv_freq.double()
    torch.testing.assert_close(cos[0], torch.cat([angles, angles], -1).cos(), rtol=0, atol=1e-15)
    torch.testing.assert_close(sin[0], torch.cat([angles, angles], -1).sin(), rtol=0, atol=1e-15)
    assert rotary.inv_freq.dtype == torch.float32
    with torch.no_grad():  # without it the table is that of float32
        cos, _ = rotary(torch.zeros(1, dtype=torch.float64), positions)
    assert float((cos[0] - torch.cat([angles, angles], -1).cos()).abs().max()) > 1e-8


def test_an_island_of_another_kind_is_an_error() -> None:
    kept = torch.ones(2, dtype=torch.float32)
    with computing_in(nn.Linear(2, 2), torch.float64), pytest.raises(InvalidArgument, match="float32 from mul"):
        kept * 2


def test_everything_is_put_back_even_after_an_error() -> None:
    model = tiny_model("gpt2", dtype=torch.bfloat16).train()
    before = [p.data_ptr() for p in model.parameters()]
    torch.set_float32_matmul_precision("high")
    try:
        with pytest.raises(ZeroDivisionError), computing_in(model, torch.float64):  # noqa: PT012
            assert model.lm_head.weight.dtype == torch.float64
            assert model.lm_head.weight is model.transformer.wte.weight
            assert torch.get_float32_matmul_precision() == "highest"
            raise ZeroDivisionError
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert [p.data_ptr() for p in model.parameters()] == before
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert all(m.training for m in model.modules())
    assert torch.get_default_dtype() == torch.float32


def test_only_the_two_dtypes_that_are_good_enough() -> None:
    with (
        pytest.raises(InvalidArgument, match=r"float32 or torch.float64"),
        computing_in(nn.Linear(1, 1), torch.bfloat16),
    ):
        pass
