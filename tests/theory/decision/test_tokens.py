"""Token-level worlds: kernels as automatic differentiation finds them, and conjectures about shared hidden vectors."""

import random

import pytest
import torch

from dynamics.errors import InvalidArgument
from theory import decide
from theory.decision.tokens import TokenWorld, token_pair
from theory.proof import NoSuchResponse, holds_at, prove


def scores_by_autograd(w: TokenWorld, train_hidden: bool) -> torch.Tensor:
    """Return the scores of all sequences of a model U h + b whose probabilities are those of the world."""
    size = len(next(iter(w._after.values())))
    dim = len(next(iter(w._hidden.values())))
    if train_hidden:  # the coordinates of U are its own; hidden vectors are moved along them
        assert w._unembedding is not None
        unembedding = torch.tensor([[float(a) for a in row] for row in w._unembedding], dtype=torch.float64)
        dim_u = unembedding.shape[1]
        unembedding = torch.cat([torch.zeros(size, dim, dtype=torch.float64), unembedding], 1)
    else:
        dim_u, unembedding = 0, torch.zeros(size, dim, dtype=torch.float64)
    unembedding.requires_grad_()
    hidden = {
        prefix: torch.tensor([*map(float, h), *[0.0] * dim_u], dtype=torch.float64, requires_grad=train_hidden)
        for prefix, h in w._hidden.items()
    }
    base = {}
    for prefix, q in w._after.items():
        wanted = torch.tensor([float(a) for a in q], dtype=torch.float64).log()
        base[prefix] = wanted - (unembedding @ hidden[prefix]).detach()
    rows = []
    parameters = [unembedding, *(hidden.values() if train_hidden else [])]
    for tokens in w._sequences:
        total = sum(
            torch.log_softmax(unembedding @ hidden[tokens[:t]] + base[tokens[:t]], 0)[tokens[t]]
            for t in range(len(tokens))
        )
        found = torch.autograd.grad(total, parameters, allow_unused=True)
        parts = [torch.zeros_like(q) if g is None else g for g, q in zip(found, parameters, strict=True)]
        rows.append(torch.cat([part.flatten() for part in parts]))
    return torch.stack(rows)


@pytest.mark.parametrize("train_hidden", [False, True])
@pytest.mark.parametrize(
    ("chosen", "rejected"), [((0,), (1,)), ((0, 1), (0, 2)), ((0, 1, 2), (0, 1)), ((2, 0), (1, 0))]
)
def test_the_kernel_is_that_of_automatic_differentiation(chosen, rejected, train_hidden: bool) -> None:
    family = token_pair(chosen, rejected, other=(1, 1), train_hidden=train_hidden)
    for seed in range(3):
        w = family.draw(random.Random(seed))
        scores = scores_by_autograd(w, train_hidden)
        kernel = scores @ scores.T
        expected = torch.tensor([[float(w.kernel(y, z)) for z in range(3)] for y in range(3)], dtype=torch.float64)
        scale = (kernel.diagonal()[:, None] * kernel.diagonal()).sqrt()
        assert ((kernel - expected).abs() <= 1e-9 * scale + 1e-12).all()


CONJECTURES = [
    ("one token: the chosen one never falls", lambda w: w.A_w >= 0, token_pair((0,), (1,)), "proved"),
    (
        "one token: it never falls, hidden vector trained",
        lambda w: w.A_w >= 0,
        token_pair((0,), (1,), train_hidden=True),
        "refuted",
    ),
    ("a shared first token changes nothing", lambda w: w.A_w >= 0, token_pair((0, 1), (0, 2)), "refuted"),
    (
        "unless the two hidden vectors are orthogonal",
        lambda w: w.A_w >= 0 or w.hidden_product(w.chosen, 0, w.chosen, 1) != 0,
        token_pair((0, 1), (0, 2)),
        "proved",
    ),
    (
        "a CHES of 0 or less protects the chosen response",
        lambda w: w.A_w >= 0 or w.ches > 0,
        token_pair((0, 1), (0, 2)),
        "refuted",
    ),
    (
        "one token of one prompt: CHES is 0",
        lambda w: w.ches == 0,
        token_pair((0,), (1,)),
        "proved",
    ),
    ("the log margin never falls", lambda w: w.A_w >= w.A_l, token_pair((0, 1), (1, 2)), "proved"),
    (
        "a shared first token adds nothing to the margin",
        lambda w: w.dd == w.hidden_product(w.chosen, 1, w.chosen, 1) * 2,
        token_pair((0, 1), (0, 2)),
        "proved",
    ),
    (
        "no sequence outside the pair gains more in log than the chosen one",
        lambda w: w.A_y <= w.A_w,
        token_pair((0, 1), (0, 2), other=(1, 1)),
        "refuted",
    ),
]


@pytest.mark.parametrize(("words", "conjecture", "over", "verdict"), CONJECTURES, ids=[c[0] for c in CONJECTURES])
def test_conjectures_about_tokens(words: str, conjecture, over, verdict: str) -> None:
    decision = decide(conjecture, over, worlds=20)
    assert decision.verdict == verdict, (words, decision)
    if verdict == "refuted":
        assert holds_at(conjecture, decision.case) is False
        assert decision.sides


def test_everything_is_shown() -> None:
    w = token_pair((0, 1), (0, 2), other=(1, 1), train_hidden=True).draw(random.Random(1))
    for part in ("w (chosen)", "(0, 2)", "y ", "hidden vector", "unembedding (", "CHES = "):
        assert part in str(w)
    assert "after (0,)" in w._repr_html_()
    assert w._repr_latex_().count(r"\begin{array}") == 2


def test_probabilities_are_products() -> None:
    w = token_pair((0, 1), (0, 2)).draw(random.Random(0))
    assert w.p_w == w.token(w.chosen, 0) * w.token(w.chosen, 1)
    assert w.p_w + w.p_l < 1
    with pytest.raises(NoSuchResponse):
        _ = w.y


def test_symbols_cannot_be_told_from_fractions() -> None:
    with pytest.raises(TypeError):
        prove(lambda w: "chosen" not in vars(w), token_pair((0,), (1,)))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"chosen": (), "rejected": (1,)}, "chosen"),
        ({"chosen": (0,), "rejected": (9,)}, "rejected"),
        ({"chosen": (0,), "rejected": (0,)}, "rejected"),
        ({"chosen": [0], "rejected": (1,)}, "chosen"),
        ({"chosen": (0,) * 9, "rejected": (1,)}, "chosen"),
        ({"chosen": (0,), "rejected": (1,), "vocabulary": 99}, "vocabulary"),
    ],
)
def test_bad_tokens_are_refused(arguments: dict, name: str) -> None:
    with pytest.raises(InvalidArgument, match=rf"^{name}"):
        token_pair(**arguments)
