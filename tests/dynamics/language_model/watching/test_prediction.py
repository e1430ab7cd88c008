"""The direction of a run, with several batches, clipping and decay, against a computation that is written out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.optional import needs

needs("transformers")

from dynamics import DPO, SGD, AdamW
from dynamics.language_model import TokenSequence, tiny_model
from dynamics.language_model.watching.prediction import run_direction, run_slopes
from dynamics.language_model.watching.probes import Probe

PAIRS = [
    (TokenSequence((1, 2, 3), 1), TokenSequence((1, 4), 1)),
    (TokenSequence((5, 6, 7, 8), 2), TokenSequence((5, 6, 9), 2)),
    (TokenSequence((3, 3, 1), 1), TokenSequence((3, 2, 2), 1)),
    (TokenSequence((2, 8, 8), 2), TokenSequence((2, 8, 1, 1), 2)),
    (TokenSequence((9, 1), 1), TokenSequence((9, 10, 4), 1)),
]
REFERENCE = torch.linspace(-6.0, -3.0, 10, dtype=torch.float64).reshape(5, 2)
BATCH, BETA, EPS = 2, 0.7, 1e-3  # five pairs in batches of two: the last batch has one


def model() -> Any:
    return tiny_model("gpt2", width=8, layers=1, heads=2, vocabulary=11)


def log_prob(policy: Any, sequence: TokenSequence) -> Tensor:
    rows = policy(input_ids=torch.tensor([sequence.ids[:-1]])).logits[0].log_softmax(-1)
    return torch.stack([rows[n - 1, sequence.ids[n]] for n in range(sequence.prompt_tokens, len(sequence.ids))]).sum()


def batch_gradients(policy: Any) -> list[tuple[int, dict[str, Tensor]]]:
    """Return the size and the gradient of every batch, by torch's autograd of the loss as it is written."""
    found = []
    for start in range(0, len(PAIRS), BATCH):
        losses = []
        for (chosen, rejected), (w, other) in zip(
            PAIRS[start : start + BATCH], REFERENCE[start : start + BATCH], strict=True
        ):
            margin = log_prob(policy, chosen) - w - log_prob(policy, rejected) + other
            losses.append(-torch.nn.functional.logsigmoid(BETA * margin))
        policy.zero_grad()
        torch.stack(losses).mean().backward()
        gradient = {name: p.grad.clone() for name, p in policy.named_parameters()}
        found.append((len(losses), gradient))
    policy.zero_grad()
    return found


def by_hand(
    policy: Any, adaptive: bool, clip: float, rates: dict[str, float], decay: dict[str, float]
) -> dict[str, Tensor]:
    first: dict[str, Tensor] = {}
    second: dict[str, Tensor] = {}
    for size, gradient in batch_gradients(policy):
        norm = torch.nn.utils.get_total_norm(gradient.values())
        scale = min(1.0, clip / (float(norm) + 1e-6)) if clip else 1.0
        for name, g in gradient.items():
            first[name] = first.get(name, 0) + size / len(PAIRS) * scale * g
            second[name] = second.get(name, 0) + size / len(PAIRS) * (scale * g) ** 2
    found = {}
    for name, p in policy.named_parameters():
        towards = first[name] / (second[name].sqrt() + EPS) if adaptive else first[name]
        found[name] = -rates.get(name, 0.0) * (towards + decay.get(name, 0.0) * p.detach())
    return found


@pytest.mark.parametrize("clip", [0.0, 0.5], ids=["not clipped", "clipped"])
@pytest.mark.parametrize("rule", [SGD(), AdamW(eps=EPS)], ids=["SGD", "AdamW"])
def test_the_direction_of_several_batches(rule: Any, clip: float) -> None:
    policy = model()
    norms = [float(torch.nn.utils.get_total_norm(g.values())) for _, g in batch_gradients(policy)]
    assert min(norms) < 0.5 < max(norms)  # the limit acts on some batches
    names = [name for name, _ in policy.named_parameters()]
    rates = {name: 0.5 if "mlp" in name else 1.0 for name in names if "ln_f" not in name}
    decay = {name: 0.2 for name in names if name.endswith("weight")}

    def direction(**changed: Any) -> dict[str, Tensor]:
        how: dict[str, Any] = {"clip": clip, "rates": rates, "decay": decay, "batch": BATCH}
        return run_direction(policy, PAIRS, REFERENCE, DPO(beta=BETA), rule, **(how | changed)).change

    wanted = by_hand(policy, isinstance(rule, AdamW), clip, rates, decay)
    found = direction()
    assert found.keys() == rates.keys()
    for name, change in found.items():
        assert torch.allclose(change, wanted[name], rtol=1e-9, atol=1e-12), name
    # negative controls: what one setting less, or another batch, would give
    for changed in ({"clip": 1.0}, {"decay": {}}, {"rates": None}, {"batch": 5}):
        if changed == {"batch": 5} and isinstance(rule, SGD) and not clip:
            continue  # the mean of the gradients of batches is that of the pairs
        other = direction(**changed)
        assert any(not torch.allclose(other[name], wanted[name], rtol=1e-3, atol=1e-7) for name in found), changed


def test_the_slopes_are_the_inner_products_of_scores_and_direction() -> None:
    policy = model()
    direction = run_direction(policy, PAIRS, REFERENCE, DPO(beta=BETA), AdamW(eps=EPS), BATCH)
    probe = Probe("probe 0", {"chosen": PAIRS[0][0], "rejected": PAIRS[0][1], "another": TokenSequence((1, 5, 5), 1)})
    (found,) = run_slopes(policy, direction, [probe])
    for role, sequence in probe.responses.items():
        policy.zero_grad()
        log_prob(policy, sequence).backward()
        wanted = sum(float((p.grad * direction.change[name]).sum()) for name, p in policy.named_parameters())
        assert found[role] == pytest.approx(wanted, rel=1e-9)


def test_a_number_without_a_gradient_does_not_move() -> None:
    """The embedding of a token that occurs nowhere: its moments are 0, and 0 / (0 + eps) is 0, not 1 / eps."""
    policy = tiny_model("gpt2", width=8, layers=1, heads=2, vocabulary=11, tie_word_embeddings=False)
    change = run_direction(policy, PAIRS[:1], None, DPO(), AdamW(eps=1e-12), 1).change["transformer.wte.weight"]
    assert not change[10].any()
    assert change[1].any()
    assert float(change.abs().max()) <= 1 + 1e-9
