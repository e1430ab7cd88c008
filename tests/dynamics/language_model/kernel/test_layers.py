from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from dynamics.language_model import sequence_kernel, tiny_model, verify_kernel
from dynamics.language_model.kernel import assembly, layers
from tests.dynamics.language_model.brute_force import SEQUENCES, autograd_kernel, relative
from tests.dynamics.language_model.built import build

VECTOR = torch.tensor([1.0, -2, 3, 0.5, 1])


def test_linear_maps_that_read_one_tensor_are_contracted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queries, keys and values share their input, gate and up share theirs; the parts stay those of each module."""
    model = tiny_model("qwen2", layers=1)
    alone = sequence_kernel(model, SEQUENCES, contraction="ghost")
    together = assembly.contract_together
    for memory, tokens in (("graph", 1000), ("layerwise", 12)):
        groups: list[set[str]] = []

        def noted(maps: Any, *a: Any, groups: list[set[str]] = groups) -> Any:
            groups.append({one.name.rsplit(".", 1)[1] for one in maps})
            return together(maps, *a)

        monkeypatch.setattr(assembly, "contract_together", noted)
        got = sequence_kernel(model, SEQUENCES, contraction="ghost", memory=memory, batch_tokens=tokens)
        expected = [{"q_proj", "k_proj", "v_proj"}, {"o_proj"}, {"gate_proj", "up_proj"}, {"down_proj"}]
        assert sorted(map(sorted, groups)) == sorted(map(sorted, expected))
        for name, part in got.by_module.items():
            assert float((part - alone.by_module[name]).abs().max()) < 1e-12 * float(alone.kernel.diagonal().max())


def test_inputs_of_equal_numbers_at_different_places_are_not_taken_for_one() -> None:
    """Two maps on copies of one tensor, one of them changed afterwards."""

    class Copies(nn.Module):
        def __init__(self, first: nn.Linear) -> None:
            super().__init__()
            self.first, self.second = first, nn.Linear(16, 16, dtype=torch.float64)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x.clone()
            return self.first(x) + self.second(y) + self.third(y.mul(2))

    model = tiny_model("qwen2")
    attention = model.model.layers[1].self_attn
    attention.o_proj = Copies(attention.o_proj)
    attention.o_proj.third = nn.Linear(16, 16, dtype=torch.float64)
    got = sequence_kernel(model, SEQUENCES)
    assert verify_kernel(model, SEQUENCES, got, VECTOR).error < 1e-13


def test_a_padding_index_receives_no_gradient_as_in_torch() -> None:
    """Token 2 is in most sequences; torch's embedding gives its row no gradient, and a step does not move it."""
    model = tiny_model("llama", tied=False, pad_token_id=2)
    assert model.model.embed_tokens.padding_idx == 2
    got = sequence_kernel(model, SEQUENCES)
    assert verify_kernel(model, SEQUENCES, got, VECTOR).error < 1e-13
    (said,) = got.remarks
    assert said.startswith("token 2 is the padding_idx of model.embed_tokens")
    assert said.endswith("adds nothing to the gradient of its row")
    tied = sequence_kernel(tiny_model("llama", pad_token_id=2), SEQUENCES)
    assert tied.remarks[0].endswith("its row, which is that of the head alone")
    assert not sequence_kernel(model, SEQUENCES, parameters="*mlp*").remarks
    assert not sequence_kernel(tiny_model("llama", pad_token_id=6), SEQUENCES).remarks  # no input
    without = tiny_model("llama", tied=False)
    assert not sequence_kernel(without, SEQUENCES).remarks
    assert relative(sequence_kernel(without, SEQUENCES).kernel, got.kernel) > 1e-3


@pytest.mark.parametrize("kind", ["gemma", "gemma2", "gemma3_text"])
def test_scaled_embeddings_and_norms_with_an_offset_go_together(kind: str) -> None:
    """Gemma's embedding multiplies by sqrt(width), its norms by 1 + weight; some see heads before positions."""
    model = build(kind, dtype=torch.float64, num_attention_heads=2, num_key_value_heads=2)
    truth = autograd_kernel(model, SEQUENCES)
    for memory in ("graph", "layerwise"):
        got = sequence_kernel(model, SEQUENCES, memory=memory, batch_tokens=1)  # type: ignore[arg-type]
        assert relative(got.kernel, truth) < 1e-12
        assert set(got.contractions.values()) <= {"ghost", "materialised", "vector"}
    norms = [name for name in got.by_module if "norm" in name]
    assert relative(got.kernel - got.by_module[norms[0]], truth) > 1e-6  # left out, it would be seen
    assert relative(got.kernel - got.by_module["model.embed_tokens"], truth) > 1e-6
    embedding = layers.track_module("", model.get_input_embeddings(), True, False)
    assert isinstance(embedding, layers.TrackedEmbedding)
    assert embedding.factor == pytest.approx(32**0.5, rel=1e-3)


def test_as_many_heads_as_sequences_go_one_by_one() -> None:
    """The layout does not show which axis is which, so that it is not guessed."""
    model, four = build("gemma3_text", dtype=torch.float64), SEQUENCES[:4]
    assert model.config.num_attention_heads == len(four)
    got = sequence_kernel(model, four, memory="graph")
    assert relative(got.kernel, autograd_kernel(model, four)) < 1e-12
    assert "autograd" in got.contractions.values()


class Odd(nn.Embedding):
    """An embedding that multiplies every token by another number, beside a scale."""

    embed_scale = 1.0

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return super().forward(ids) * (1 + ids.unsqueeze(-1) / 7)


def test_an_embedding_that_is_not_scaled_by_one_number_is_not_taken_for_one() -> None:
    assert layers.track_module("", Odd(23, 16, dtype=torch.float64), True, False) is None
    model = tiny_model("qwen2", tied=False)
    odd = Odd(23, 16, dtype=torch.float64)
    odd.weight = model.model.embed_tokens.weight
    model.model.embed_tokens = odd
    got = sequence_kernel(model, SEQUENCES)
    assert relative(got.kernel, autograd_kernel(model, SEQUENCES)) < 1e-12


def test_norms_of_single_heads_are_covered() -> None:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    tokens = {"vocab_size": 23, "pad_token_id": None, "bos_token_id": None, "eos_token_id": None}
    model = Qwen3ForCausalLM(Qwen3Config(**shape, **tokens, head_dim=4, intermediate_size=20)).double().eval()
    for memory in ("graph", "layerwise"):
        got = sequence_kernel(model, SEQUENCES, memory=memory, batch_tokens=14)
        assert verify_kernel(model, SEQUENCES, got, VECTOR).error < 1e-13
    assert got.contractions["model.layers.0.self_attn.q_norm"] == "vector"
