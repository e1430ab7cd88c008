from __future__ import annotations

from typing import Any

import pytest
import torch

from dynamics import InvalidArgument, drives, pairs
from dynamics.language_model import TokenSequence, sequence_kernel, sequence_log_probs, tiny_model
from dynamics.language_model.kernel import blocks as blocks_module, contractions
from dynamics.language_model.kernel.assembly import TIED_CROSS
from tests.dynamics.language_model.brute_force import SEQUENCES, kernel, relative, scores, scores_by_name

MODELS = [("qwen2", True), ("qwen2", False), ("llama", True), ("llama", False), ("gpt2", True), ("gpt2", False)]


@pytest.fixture(scope="module", params=MODELS, ids=lambda p: f"{p[0]}-{'tied' if p[1] else 'untied'}")
def known(request: pytest.FixtureRequest) -> tuple[Any, torch.Tensor]:
    model = tiny_model(request.param[0], tied=request.param[1])
    return model, kernel(model, SEQUENCES)


@pytest.mark.parametrize("memory", ["graph", "layerwise"])
@pytest.mark.parametrize("contraction", [None, "ghost", "materialised"])
def test_kernel_is_that_of_gradients_written_out(known: Any, memory: Any, contraction: Any) -> None:
    model, truth = known
    got = sequence_kernel(model, SEQUENCES, memory=memory, contraction=contraction, batch_tokens=14, vocabulary_piece=7)
    assert relative(got.kernel, truth) < 1e-12
    assert got.plan is not None
    assert got.plan.strategy == memory
    expected = sequence_log_probs(model, SEQUENCES).total
    torch.testing.assert_close(got.log_probs, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("memory", ["graph", "layerwise"])
def test_float32(known: Any, memory: Any) -> None:
    model, truth = known
    got = sequence_kernel(model, SEQUENCES, memory=memory, dtype=torch.float32, batch_tokens=14)
    assert 1e-12 < relative(got.kernel, truth) < 1e-5
    assert got.kernel.dtype == torch.float64


def test_parts_sum_to_the_whole_and_it_is_positive_semidefinite(known: Any) -> None:
    model, truth = known
    got = sequence_kernel(model, SEQUENCES)
    assert relative(torch.stack(list(got.by_module.values())).sum(0), got.kernel) < 1e-14
    assert torch.equal(got.kernel, got.kernel.T)
    assert float(torch.linalg.eigvalsh(got.kernel)[0]) > -1e-12 * float(got.kernel.trace())
    for name, part in got.by_module.items():
        if name != TIED_CROSS:
            assert float(torch.linalg.eigvalsh(part)[0]) > -1e-12 * float(got.kernel.trace()), name
    torch.testing.assert_close(got.norms(), truth.diagonal().sqrt())
    torch.testing.assert_close(got.cosine().diagonal(), torch.ones(5, dtype=torch.float64))


def test_every_part_is_that_of_its_own_parameters(known: Any) -> None:
    """A part in the wrong place, or two errors that cancel, would not show in the sum."""
    model, whole = known
    got = sequence_kernel(model, SEQUENCES)
    tied = model.config.tie_word_embeddings
    gradients = scores_by_name(model, SEQUENCES)
    for name, part in got.by_module.items():
        if tied and (name == TIED_CROSS or part is got.by_module["lm_head"]):
            continue
        own = torch.cat([g for n, g in gradients.items() if n.rsplit(".", 1)[0] == name], dim=1)
        expected = own @ own.T
        if tied and name.endswith(("embed_tokens", "wte")):
            expected = expected - got.by_module["lm_head"] - got.by_module[TIED_CROSS]
        assert float(((part - expected).abs() / whole.diagonal().mean()).max()) < 1e-13, name
        assert float(expected.abs().max()) > 0
    modules = {n.rsplit(".", 1)[0] for n, _ in model.named_parameters(remove_duplicate=False)}
    assert set(got.by_module) == modules | ({TIED_CROSS} if tied else set())


@pytest.mark.parametrize("by", [("layer",), ("kind",), ("layer", "kind"), ("kind", "layer")])
def test_grouped_parts_are_sums_of_those_of_modules(known: Any, by: Any) -> None:
    model, _ = known
    got = sequence_kernel(model, SEQUENCES)
    groups = got.grouped(*by)
    assert relative(torch.stack(list(groups.values())).sum(0), got.kernel) < 1e-14
    assert all(len(key) == len(by) for key in groups)
    if by == ("layer",):
        for number in "01":
            of_layer = [part for name, part in got.by_module.items() if f".{number}." in name]
            assert relative(groups[(number,)], torch.stack(of_layer).sum(0)) < 1e-14
    if by == ("kind",):
        assert len(groups) == len({name.split(".", 3)[-1] for name in got.by_module})
    for wrong in ((), ("head",), ("layer", "head")):
        with pytest.raises(InvalidArgument, match="'layer', 'kind' or both"):
            got.grouped(*wrong)


def test_without_the_tied_cross_terms_it_is_wrong() -> None:
    model = tiny_model("qwen2")
    got = sequence_kernel(model, SEQUENCES)
    truth = kernel(model, SEQUENCES)
    assert relative(got.kernel - got.by_module[TIED_CROSS], truth) > 1e-2


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_order_of_sequences_batches_and_padding_change_nothing(dtype: torch.dtype) -> None:
    model = tiny_model("qwen2")
    whole = sequence_kernel(model, SEQUENCES, dtype=dtype, memory="graph").kernel
    bound = 1e-13 if dtype == torch.float64 else 1e-5
    order = [3, 1, 4, 0, 2]
    shuffled = sequence_kernel(model, [SEQUENCES[n] for n in order], dtype=dtype, memory="graph").kernel
    assert relative(shuffled, whole[order][:, order]) < bound
    some = [0, 4]  # no longest sequence to pad for
    assert (
        relative(sequence_kernel(model, [SEQUENCES[n] for n in some], dtype=dtype).kernel, whole[some][:, some]) < bound
    )
    for tokens in (1, 8, 25):
        layerwise = sequence_kernel(model, SEQUENCES, dtype=dtype, memory="layerwise", batch_tokens=tokens)
        assert relative(layerwise.kernel, whole) < bound


def test_strips_of_rows_and_pieces_of_columns_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("gpt2")
    truth = kernel(model, SEQUENCES)
    for rows, buffer in ((1, 1), (3, 1500), (12, 8000), (1000, 1 << 20)):
        monkeypatch.setitem(blocks_module.STRIP_ROWS, "cpu", rows)
        monkeypatch.setitem(contractions.BUFFER_BYTES, "cpu", buffer)
        for contraction in ("ghost", "materialised"):
            assert relative(sequence_kernel(model, SEQUENCES, contraction=contraction).kernel, truth) < 1e-12


def test_the_automatic_choice_uses_both_contractions() -> None:
    model = tiny_model("llama", tied=False, width=8, heads=2)
    sequences = [TokenSequence(tuple((k * t + k) % 23 for t in range(30)), 2) for k in (1, 2, 3)]
    got = sequence_kernel(model, sequences)
    assert {"ghost", "materialised", "vector"} <= set(got.contractions.values())
    assert set(got.contractions) == set(got.by_module)
    assert relative(got.kernel, kernel(model, sequences)) < 1e-12


def test_scores_weighted_by_probability_sum_to_zero() -> None:
    model = tiny_model("qwen2", vocabulary=5)
    every = [TokenSequence((3, 1, a, b), 2) for a in range(5) for b in range(5)]
    got = sequence_kernel(model, every)
    p = got.log_probs.exp()
    assert float(p.sum()) == pytest.approx(1, abs=1e-13)
    assert float((p @ got.kernel).abs().max()) < 1e-12 * float(got.kernel.diagonal().max())
    assert float((p[:-1] @ got.kernel[:-1]).abs().max()) > 1e-6 * float(got.kernel.diagonal().max())


def test_a_tree_ended_by_eos() -> None:
    """Responses of any length up to two, EOS included; the last layer of the tree is cut off by exhaustion."""
    model = tiny_model("gpt2", vocabulary=4)
    every = [TokenSequence((1, 3), 1)]  # EOS at once
    every += [TokenSequence((1, a, b), 1) for a in range(3) for b in range(4)]
    got = sequence_kernel(model, every)
    assert float((got.log_probs.exp() @ got.kernel).abs().max()) < 1e-12 * float(got.kernel.diagonal().max())


@pytest.mark.parametrize("memory", ["graph", "layerwise"])
@pytest.mark.parametrize(
    "glob",
    ["*q_proj*", "*.bias", "*layernorm*", "model.layers.1.*", "*embed_tokens*", "lm_head*", "*1.mlp.down_proj.weight"],
)
@pytest.mark.parametrize("tied", [True, False])
def test_a_filter_is_the_kernel_of_those_parameters(memory: Any, glob: str, tied: bool) -> None:
    from fnmatch import fnmatchcase

    model = tiny_model("qwen2", tied=tied)
    got = sequence_kernel(model, SEQUENCES, parameters=glob, memory=memory, batch_tokens=14)
    assert relative(got.kernel, kernel(model, SEQUENCES, lambda n: fnmatchcase(n, glob))) < 1e-11


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft's affair
def test_adapters_of_low_rank() -> None:
    peft = pytest.importorskip("peft")
    model = tiny_model("qwen2")
    config = peft.LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj", "down_proj"])
    adapted = peft.get_peft_model(model, config).double()
    with torch.no_grad():
        for name, p in adapted.named_parameters():
            if "lora_B" in name:  # zero at the start, which hides the gradient of A
                p.copy_(torch.randn(p.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    adapted.eval()
    by_default = sequence_kernel(adapted, SEQUENCES)
    by_name = sequence_kernel(adapted, SEQUENCES, parameters="*lora_*", memory="layerwise", batch_tokens=10)
    rows = []
    trained = [p for p in adapted.parameters() if p.requires_grad]
    assert len(trained) == 12
    from dynamics.language_model.precision import computing_in
    from tests.dynamics.language_model.brute_force import own_log_probs

    with computing_in(adapted, torch.float64):
        for s in SEQUENCES:
            own = own_log_probs(adapted(input_ids=torch.tensor([s.ids])).logits[0], s).sum()
            rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(own, trained)]))
    g = torch.stack(rows)
    assert relative(by_default.kernel, g @ g.T) < 1e-12
    assert relative(by_name.kernel, g @ g.T) < 1e-12
    assert [p.requires_grad for p in adapted.parameters()].count(True) == 12


def test_the_model_is_left_as_it_was() -> None:
    model = tiny_model("qwen2", dtype=torch.float32).train()
    model.lm_head.weight.requires_grad_(False)
    before = {name: p.clone() for name, p in model.state_dict().items()}
    flags = [p.requires_grad for p in model.parameters()]
    sequence_kernel(model, SEQUENCES, memory="layerwise", batch_tokens=8, dtype=torch.float64)
    assert [p.requires_grad for p in model.parameters()] == flags
    assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert all("forward" not in m.__dict__ for m in model.modules())
    assert model.training


def test_confident_predictions_keep_their_digits_in_float32() -> None:
    """Where pi is close to 1 the score is as small as 1 - pi, which float32 cannot hold as a difference."""
    model = tiny_model("qwen2", tied=False, vocabulary=5)
    head = model.lm_head.weight
    one = [TokenSequence((1, 2, 3), 2)]
    with torch.no_grad():
        hidden = model.model(torch.tensor([[1, 2]])).last_hidden_state[0, -1]
        head.copy_(torch.zeros_like(head))
        head[3] = 14 * hidden / hidden.square().sum()
    truth = sequence_kernel(model, one)
    assert -4e-6 < float(truth.log_probs) < -1e-6
    got = sequence_kernel(model, one, dtype=torch.float32)
    assert relative(got.kernel, truth.kernel) < 3e-5  # the logit itself is rounded: 14 eps


def test_drives_of_any_response_come_from_the_kernel() -> None:
    model = tiny_model("gpt2")
    g = scores(model, SEQUENCES)
    got = drives(sequence_kernel(model, SEQUENCES).kernel, pairs([0, 3], [3, 2], shape=(5,)))
    torch.testing.assert_close(got, torch.stack([g @ (g[0] - g[3]), g @ (g[3] - g[2])]), rtol=1e-11, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"contraction": "both"}, "'ghost', 'materialised'"),
        ({"memory": "disk"}, "'auto', 'graph' or 'layerwise'"),
        ({"batch_tokens": 0}, "whole number >= 1"),
        ({"vocabulary_piece": 0}, "whole number >= 1"),
        ({"dtype": torch.bfloat16}, "float32 or torch.float64"),
        ({"parameters": "no such"}, "selects no parameter"),
    ],
)
def test_bad_arguments_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        sequence_kernel(tiny_model(), SEQUENCES, **options)
