"""``train`` against a loop that is written out, and as the body of a loop of one's own."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from tests.optional import needs

needs("transformers")

from dynamics import DPO, SGD, AdamW, InvalidArgument
from dynamics.language_model import TokenSequence, sequence_log_probs, tiny_model, train

PAIRS = [
    (TokenSequence((1, 2, 3), 1), TokenSequence((1, 4), 1)),
    (TokenSequence((5, 6, 7, 8), 2), TokenSequence((5, 6, 9), 2)),
]
RESPONSES = [s for pair in PAIRS for s in pair]
BATCHES = [[0], [0, 1], [1]]


def model() -> Any:
    return tiny_model("gpt2", width=8, layers=1, heads=2, vocabulary=11)


def log_prob(policy: Any, sequence: TokenSequence) -> torch.Tensor:
    """Return log pi of a response, by a plain forward."""
    rows = policy(input_ids=torch.tensor([sequence.ids[:-1]])).logits[0].log_softmax(-1)
    return sum(rows[n - 1, sequence.ids[n]] for n in range(sequence.prompt_tokens, len(sequence.ids)))  # type: ignore[return-value]


def by_hand(policy: Any, rule: torch.optim.Optimizer, beta: float) -> None:
    """Train with a loss that is written out."""
    reference = [float(log_prob(policy, s).detach()) for s in RESPONSES]
    for batch in BATCHES:
        losses = []
        for n in batch:
            gains = [log_prob(policy, RESPONSES[2 * n + k]) - reference[2 * n + k] for k in (0, 1)]
            losses.append(-torch.nn.functional.logsigmoid(beta * (gains[0] - gains[1])))
        rule.zero_grad()
        torch.stack(losses).mean().backward()
        rule.step()


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_it_takes_the_steps_of_a_loop_that_is_written_out(kind: str) -> None:
    ours, theirs = model(), model()
    rate = 1e-2 if kind == "sgd" else 1e-3
    torch_kind = torch.optim.SGD if kind == "sgd" else torch.optim.AdamW
    by_hand(theirs, torch_kind(theirs.parameters(), lr=rate), beta=0.5)
    how: dict[str, Any] = {"batches": BATCHES, "loss": DPO(beta=0.5), "learning_rate": rate}
    path = train(ours, PAIRS, 3, optimizer=SGD() if kind == "sgd" else AdamW(), **how)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert float((p - q).detach().abs().max()) < 1e-10, name
    assert torch.equal(path.log_probs[-1], sequence_log_probs(ours, RESPONSES).total)
    assert float(path.change[-1].abs().max()) > 1e-3
    assert all(p.grad is None for p in ours.parameters())
    other = model()  # the negative control: another order of the batches
    train(other, PAIRS, 3, optimizer=SGD() if kind == "sgd" else AdamW(), **(how | {"batches": BATCHES[::-1]}))
    assert (
        max(float((p - q).detach().abs().max()) for p, q in zip(other.parameters(), ours.parameters(), strict=True))
        > 1e-7
    )


def test_a_loop_of_ones_own_is_the_same_training() -> None:
    whole, own = model(), model()
    optimizer = torch.optim.AdamW(whole.parameters(), lr=1e-3)
    path = train(whole, PAIRS, 3, batches=BATCHES, optimizer=optimizer)

    reference = sequence_log_probs(own, RESPONSES).total
    optimizer = torch.optim.AdamW(own.parameters(), lr=1e-3)
    for batch in BATCHES:
        last = train(own, PAIRS, 1, batches=[batch], reference=reference, optimizer=optimizer)
    assert torch.equal(last.log_probs[-1], path.log_probs[-1])
    # without the reference every step would begin with the margin 0
    again, optimizer = model(), None
    for batch in BATCHES:
        last = train(again, PAIRS, 1, batches=[batch], learning_rate=1e-2)
    assert not torch.allclose(last.log_probs[-1], path.log_probs[-1])


def test_gradients_of_the_callers_own_are_neither_used_nor_lost() -> None:
    one, other = model(), model()
    frozen = other.get_input_embeddings().weight
    frozen.grad = torch.ones_like(frozen)
    for policy in (one, other):
        rule = torch.optim.SGD(policy.parameters(), lr=1e-2)
        train(policy, PAIRS, 2, optimizer=rule, parameters="*mlp*")
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))
    assert torch.equal(frozen.grad, torch.ones_like(frozen))


def test_a_derivative_that_is_not_finite_leaves_the_model_where_it_is() -> None:
    policy = model()
    before = copy.deepcopy(policy.state_dict())
    with torch.no_grad():
        policy.get_input_embeddings().weight[4] = torch.nan
    with pytest.raises(InvalidArgument):
        train(policy, PAIRS, 2, learning_rate=1e-2)
    assert all(torch.equal(p, before[n]) for n, p in policy.state_dict().items() if not bool(p.isnan().any()))


def test_a_learning_rate_beside_an_optimizer_of_torch_is_refused() -> None:
    policy = model()
    with pytest.raises(InvalidArgument, match="learning_rate: leave it out"):
        train(policy, PAIRS, 1, learning_rate=0.1, optimizer=torch.optim.SGD(policy.parameters(), lr=0.1))
    with pytest.raises(InvalidArgument, match=r"optimizer: got sgd; allowed: SGD\(\), AdamW\(\)"):
        train(policy, PAIRS, 1, optimizer="sgd")  # type: ignore[arg-type]
