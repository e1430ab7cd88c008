from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from dynamics import DPO, SGD, AdamW, InvalidArgument, PreferenceLoss
from dynamics.language_model import changed_parameters, parameter_change, sequence_log_probs, tiny_model
from dynamics.losses import get_loss
from tests.dynamics.language_model.brute_force import SEQUENCES, own_log_probs, reference_logits

PAIRS: dict[str, Any] = {"chosen": [0, 2], "rejected": [3, 4], "weight": [1.0, 0.5]}
LOSS = DPO(beta=0.5)


def set_gradient(model: Any, loss: PreferenceLoss = LOSS) -> dict[str, Tensor]:
    """Leave d loss / d theta in every .grad, by autograd through another forward and the value of the loss."""
    own = torch.stack([own_log_probs(reference_logits(model, s.ids), s).sum() for s in SEQUENCES])
    ref, w, other = own.detach(), PAIRS["chosen"], PAIRS["rejected"]
    weight = torch.tensor(PAIRS["weight"], dtype=torch.float64)
    value = (weight * loss(own[w], own[other], ref[w], ref[other])).sum() / weight.sum()
    model.zero_grad()
    value.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def taken(model: Any, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Really step, and return by how much every parameter moved."""
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    set_gradient(model)
    optimizer.step()
    return {name: p.detach() - before[name] for name, p in model.named_parameters()}


def off(got: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    assert got.keys() == expected.keys()
    largest = max(float(t.abs().max()) for t in expected.values())
    return max(float((got[name] - expected[name]).abs().max()) for name in got) / largest


@pytest.mark.parametrize("architecture", ["qwen2", "gpt2"])
@pytest.mark.parametrize("loss", [DPO(beta=0.5), get_loss("ipo", beta=0.3)], ids=["dpo", "ipo"])
def test_sgd_is_minus_the_gradient(architecture: str, loss: PreferenceLoss) -> None:
    model = tiny_model(architecture)
    expected = {name: -0.25 * g for name, g in set_gradient(model, loss).items()}
    for optimizer in (None, SGD()):
        got = parameter_change(model, SEQUENCES, **PAIRS, loss=loss, learning_rate=0.25, optimizer=optimizer)
        assert off(got, expected) < 1e-12
    other = parameter_change(model, SEQUENCES, **(PAIRS | {"weight": 1.0}), loss=loss, learning_rate=0.25)
    assert off(other, expected) > 1e-2


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_the_first_step_of_adamw_is_that_of_torch(decay: float) -> None:
    model = tiny_model("llama")
    rule = AdamW(betas=(0.8, 0.9), weight_decay=decay)
    got = parameter_change(model, SEQUENCES, **PAIRS, loss=LOSS, learning_rate=1e-3, optimizer=rule)
    live = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.8, 0.9), weight_decay=decay)
    assert off(got, taken(model, live)) < 1e-10


def test_the_first_step_of_adamw_is_nearly_the_sign_of_the_gradient() -> None:
    model = tiny_model("qwen2")
    gradient = set_gradient(model)
    got = parameter_change(model, SEQUENCES, **PAIRS, loss=LOSS, learning_rate=1e-3, optimizer=AdamW(weight_decay=0.0))
    for name, change in got.items():
        clear = gradient[name].abs() > 1e-4
        assert bool(clear.any())
        torch.testing.assert_close(change[clear], -1e-3 * gradient[name][clear].sign(), rtol=1e-3, atol=0)


def live_optimizers(model: Any) -> dict[str, torch.optim.Optimizer]:
    """As trainers make them: groups with their own learning rate and decay; with momentum; with a schedule."""
    large = [p for p in model.parameters() if p.ndim > 1]
    small = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": small, "lr": 3e-3, "weight_decay": 0.0}, {"params": large}]
    scheduled = torch.optim.AdamW(model.parameters(), lr=1e-2)
    torch.optim.lr_scheduler.LambdaLR(scheduled, lambda n: 0.5)
    return {
        "groups": torch.optim.AdamW(groups, lr=1e-2, weight_decay=0.1),
        "scheduled": scheduled,
        "momentum": torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9),
    }


@pytest.mark.parametrize("kind", ["groups", "scheduled", "momentum"])
def test_a_live_optimizer_is_asked_and_not_stepped(kind: str) -> None:
    """After two steps of its own it is in some state; the next step is the one that was predicted."""
    model = tiny_model("qwen2")
    optimizer = live_optimizers(model)[kind]
    for _ in range(2):
        taken(model, optimizer)
    state = deepcopy(optimizer.state_dict())
    before = [p.detach().clone() for p in model.parameters()]
    gradients = [p.grad.clone() for p in model.parameters()]
    got = parameter_change(model, SEQUENCES, **PAIRS, loss=LOSS, optimizer=optimizer)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    assert all(torch.equal(p.grad, q) for p, q in zip(model.parameters(), gradients, strict=True))
    now = optimizer.state_dict()
    assert now["param_groups"] == state["param_groups"]
    for number, moments in state["state"].items():
        assert all(torch.equal(value, now["state"][number][key]) for key, value in moments.items())
    fresh = parameter_change(model, SEQUENCES, **PAIRS, loss=LOSS, learning_rate=1e-2, optimizer=AdamW())
    expected = taken(model, optimizer)
    assert off(got, expected) < 1e-10
    assert off(fresh, expected) > 1e-2  # the negative control: the state does matter


def test_a_live_optimizer_in_low_precision_is_followed_in_the_dtype_asked_for() -> None:
    model = tiny_model("llama", dtype=torch.bfloat16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
    for p in model.parameters():
        p.grad = torch.full_like(p, 0.5)
    optimizer.step()
    got = parameter_change(model, SEQUENCES, **PAIRS, loss=LOSS, optimizer=optimizer, dtype=torch.float64)
    assert {t.dtype for t in got.values()} == {torch.float64}
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert {v.dtype for s in optimizer.state.values() for k, v in s.items() if k != "step"} == {torch.bfloat16}
    assert all(bool((t != 0).any()) for t in got.values())  # in bfloat16 a step of 1e-6 would be none


def test_only_what_is_selected_moves() -> None:
    model = tiny_model("qwen2")
    got = parameter_change(model, SEQUENCES, **PAIRS, loss=LOSS, learning_rate=1.0, parameters="*layers.1.mlp*")
    assert sorted(got) == [f"model.layers.1.mlp.{kind}_proj.weight" for kind in ("down", "gate", "up")]
    whole = parameter_change(model, SEQUENCES, **PAIRS, loss=LOSS, learning_rate=1.0)
    assert all(torch.equal(got[name], whole[name]) for name in got)


def test_a_pair_that_no_longer_pushes_changes_nothing() -> None:
    model = tiny_model("qwen2")
    far = [0.0, 0.0, 0.0, 1e6, 0.0]
    got = parameter_change(model, SEQUENCES, 0, 3, loss=get_loss("hinge", beta=1.0), reference=far, learning_rate=1.0)
    assert all(float(t.abs().max()) == 0 for t in got.values())


def test_the_model_is_changed_and_restored_even_after_an_error() -> None:
    model = tiny_model("gpt2", dtype=torch.bfloat16)
    places = [p.data_ptr() for p in model.parameters()]
    values = [p.clone() for p in model.parameters()]
    change = parameter_change(model, SEQUENCES, **PAIRS, loss=LOSS, learning_rate=1e-9, dtype=torch.float64)
    start = sequence_log_probs(model, SEQUENCES, dtype=torch.float64).total
    with pytest.raises(ZeroDivisionError), changed_parameters(model, change, torch.float64):  # noqa: PT012
        after = sequence_log_probs(model, SEQUENCES, dtype=torch.float64).total
        assert float((after - start).abs().min()) > 1e-12  # far below what bfloat16 could hold
        raise ZeroDivisionError
    assert [p.data_ptr() for p in model.parameters()] == places
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), values, strict=True))


def test_bad_arguments_are_named() -> None:
    model = tiny_model("qwen2")
    some = torch.optim.AdamW(model.model.layers.parameters())
    with pytest.raises(InvalidArgument, match="has its own"):
        parameter_change(model, SEQUENCES, learning_rate=0.1, optimizer=some)
    with pytest.raises(InvalidArgument, match=r"without model\.embed_tokens\.weight"):
        parameter_change(model, SEQUENCES, optimizer=some)
    assert len(parameter_change(model, SEQUENCES, optimizer=some, parameters="model.layers.*")) == 24
    with pytest.raises(InvalidArgument, match="learning_rate"):
        parameter_change(model, SEQUENCES, learning_rate=float("nan"))
    with pytest.raises(InvalidArgument, match="rejected"):
        parameter_change(model, SEQUENCES, 0, 9)
    with (
        pytest.raises(InvalidArgument, match="names of the model's parameters"),
        changed_parameters(model, {"no": torch.ones(1)}),
    ):
        pass
