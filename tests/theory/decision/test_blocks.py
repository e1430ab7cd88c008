"""Two blocks of parameters: the first-order account of K inner steps and an outer one, and conjectures about it."""

import random

import pytest
import torch

from theory import decide
from theory.decision.blocks import TwoBlocks, two_blocks
from theory.evidence import fitted_order
from theory.proof import holds_at, prove


def moved(w: TwoBlocks, size: float, steps: int, counted: int = 3) -> float:
    """Return how far K inner steps and an outer step of a real policy are from their first-order account."""
    p = torch.tensor([float(q) for q in w.p], dtype=torch.float64)
    theta, phi = (
        torch.tensor([[float(a) for a in row] for row in rows], dtype=torch.float64) for rows in (w._theta, w._phi)
    )
    blocks = [torch.zeros(theta.shape[1], dtype=torch.float64), torch.zeros(phi.shape[1], dtype=torch.float64)]

    def log_probs(outer, inner):  # a log-linear policy whose features are the scores
        return torch.log_softmax(theta @ outer + phi @ inner + p.log(), 0)

    before, rate = log_probs(*blocks), size * float(w.eta_in)
    for _ in range(steps):
        inner = blocks[1].clone().requires_grad_()
        log_probs(blocks[0], inner)[0].backward()
        blocks[1] = blocks[1] + rate * inner.grad
    outer = blocks[0].clone().requires_grad_()
    now = log_probs(outer, blocks[1])
    (now[0] - now[1]).backward()
    blocks[0] = blocks[0] + size * float(w.eta) * outer.grad
    after = log_probs(*blocks)
    account = [size * float(w.outer(y) + counted * w.eta_in * w.kernel_phi(y, 0)) for y in range(len(w.p))]
    return float((after - before - torch.tensor(account, dtype=torch.float64)).abs().max())


def test_the_account_is_of_first_order() -> None:
    """The residual vanishes with the square of the rates; one without the inner steps with the rates themselves."""
    w = next(w for w in map(two_blocks().draw, map(random.Random, range(50))) if sum(w.p) == 1 and len(w.p) == 3)
    scale = float(max(w.eta, w.eta_in * 3) * max(w.ww, w.ll, w.yy))
    sizes = [size / scale for size in (1e-2, 3e-3, 1e-3)]
    assert abs(fitted_order(lambda size: moved(w, size, 3), sizes) - 2) < 0.1
    forgets_a_step = fitted_order(lambda size: moved(w, size, 3, counted=2), sizes)
    assert abs(forgets_a_step - 1) < 0.1


CONJECTURES = [
    ("inner steps never lower the chosen response", lambda w: w.inner(w.chosen) >= 0, "proved"),
    ("the chosen response never falls", lambda w: w.A_w >= 0, "refuted"),
    (
        "enough inner steps lift what the outer step lowers",
        lambda w: (
            w.A_w >= 0
            or w.K * w.eta_in * w.kernel_phi(w.chosen, w.chosen)
            < w.eta * (w.kernel_theta(w.chosen, w.rejected) - w.kernel_theta(w.chosen, w.chosen))
        ),
        "proved",
    ),
    ("the log margin never falls", lambda w: w.A_w >= w.A_l, "refuted"),
    ("without inner steps it never falls", lambda w: w.A_w >= w.A_l or w.K > 0, "proved"),
    ("no other response gains more by the inner steps", lambda w: w.inner(w.y) <= w.inner(w.chosen), "refuted"),
    ("an inner step lowers some response", lambda w: w.inner(w.rejected) <= 0, "refuted"),
]


@pytest.mark.parametrize(("words", "conjecture", "verdict"), CONJECTURES, ids=[c[0] for c in CONJECTURES])
def test_conjectures_about_two_blocks(words: str, conjecture, verdict: str) -> None:
    decision = decide(conjecture, two_blocks(), worlds=20)
    assert decision.verdict == verdict, (words, decision)
    if verdict == "refuted":
        assert holds_at(conjecture, decision.case) is False
        assert "eta_in = " in str(decision)


def test_scores_of_all_responses_balance_in_both_blocks() -> None:
    for seed in range(12):
        w = two_blocks().draw(random.Random(seed))
        if len(w.p) < 3 or sum(w.p) == 1:
            for kernel in (w.kernel_theta, w.kernel_phi):
                assert sum(q * kernel(y, 0) for y, q in enumerate(w.p)) == 0


def test_both_blocks_are_shown() -> None:
    w = two_blocks().draw(random.Random(1))
    assert all(part in str(w) for part in ("score theta", "score phi", "K = ", "w (chosen)"))
    assert "score &phi;" in w._repr_html_()
    assert r"g_y^\phi" in w._repr_latex_()


def test_symbols_cannot_be_told_from_fractions() -> None:
    with pytest.raises(TypeError):
        prove(lambda w: "p" not in vars(w), two_blocks())
