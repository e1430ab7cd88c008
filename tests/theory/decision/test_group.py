"""Batches, preference matrices and sampled groups: exact worlds agree with dynamics, conjectures are decided."""

import random
from fractions import Fraction as F
from itertools import pairwise

import numpy as np
import pytest
import torch

from dynamics import DPO, LogLinear, step
from dynamics.errors import InvalidArgument
from theory import decide
from theory.decision.group import batch, expected_force, preference_matrix, sampled_group
from theory.decision.pushed import Group
from theory.proof import holds_at, prove
from theory.proof.balls import Ball


def test_a_batch_moves_as_a_step_of_dynamics_on_its_pairs() -> None:
    p, features = (F(1, 2), F(1, 4), F(1, 8), F(1, 8)), ((F(1), F(0)), (F(2), F(1)), (F(-1), F(3)), (F(0), F(1)))
    mean = [sum(q * row[k] for q, row in zip(p, features, strict=True)) for k in range(2)]
    scores = [[a - m for a, m in zip(row, mean, strict=True)] for row in features]
    group = Group(p, scores, (F(1), F(-1), F(2), F(-2)), pairs=((0, 1), (2, 3)))
    policy = LogLinear([[float(a) for a in row] for row in features], [float(q) for q in p])
    account = step(policy, [0.0, 0.0], [0, 2], [1, 3], weight=[1.0, 2.0], loss=DPO(beta=1.0), learning_rate=1.0)
    scale = 0.5 / 3  # urgency at the reference over the sum of the weights
    assert [scale * float(group.change(y)) for y in range(4)] == pytest.approx(account.predicted.tolist(), rel=1e-9)
    assert group[1].D_w == group.change(2)
    assert group[0].A_w == group.kernel(0, 0) - group.kernel(0, 1) + 2 * (group.kernel(0, 2) - group.kernel(0, 3))


def test_all_of_a_batch_is_shown() -> None:
    text = str(batch(2).draw(random.Random(0)))
    for part in ("w of pair 0", "l of pair 0", "w of pair 1", "l of pair 1", "weight = (", "g_2 . g_3 = ", "2 prompts"):
        assert part in text
    html = batch(2).draw(random.Random(0))._repr_html_()
    assert "l of pair 1" in html


def test_the_scores_of_all_responses_balance() -> None:
    for family in (preference_matrix(3), preference_matrix(4, tabular=True), sampled_group(3)):
        for seed in range(5):
            b = family.draw(random.Random(seed))
            assert sum(b.p) == 1
            assert all(sum(b.p[y] * b.kernel(y, z) for y in range(len(b))) == 0 for z in range(len(b)))
            assert sum(b.change(y) for y in range(len(b))) == 0


def test_a_prompt_without_other_responses_has_balanced_scores() -> None:
    alone = 0
    for seed in range(40):
        b = batch(2).draw(random.Random(seed))
        for k in range(2):
            w, rejected = b[k].chosen, b[k].rejected
            if b.p[w] + b.p[rejected] == 1:
                alone += 1
                assert all(b.p[w] * b.kernel(w, z) + b.p[rejected] * b.kernel(rejected, z) == 0 for z in range(4))
    assert alone > 5


def test_the_expected_advantage_has_its_closed_form() -> None:
    """For groups of G the expectation is (1 - 1/G) p_y (r_y - mean reward); enumeration must find it."""
    source = random.Random(2)
    for members in (2, 3):
        weights = [F(source.randint(1, 9)) for _ in range(3)]
        p = [a / sum(weights) for a in weights]
        reward = [F(source.randint(-5, 5)) for _ in p]
        mean = sum(q * r for q, r in zip(p, reward, strict=True))
        closed = [(1 - F(1, members)) * q * (r - mean) for q, r in zip(p, reward, strict=True)]
        assert expected_force(p, reward, members) == closed


def test_a_sampled_group_estimates_the_gradient_of_the_mean_reward() -> None:
    """An independent reference: automatic differentiation of the mean reward of a softmax."""
    p, reward = [F(1, 2), F(3, 10), F(1, 5)], [F(1), F(0), F(-2)]
    logits = torch.tensor([float(q) for q in p], dtype=torch.float64).log().requires_grad_()
    (torch.softmax(logits, 0) @ torch.tensor([float(r) for r in reward], dtype=torch.float64)).backward()
    scores = [[int(i == j) - p[j] for j in range(3)] for i in range(3)]
    force = expected_force(p, reward, 2)
    direction = [sum(c * row[k] for c, row in zip(force, scores, strict=True)) for k in range(3)]
    assert [2 * float(a) for a in direction] == pytest.approx(logits.grad.tolist(), rel=1e-12)


CONJECTURES = [
    ("a pair rises against its rejected response in every batch", lambda b: b[0].A_w >= b[0].A_l, batch(2), "refuted"),
    (
        "two prompts without other responses: some mass is left",
        lambda b: b.p[0] + b.p[1] < 1 or b.p[2] + b.p[3] < 1,
        batch(2),
        "refuted",
    ),
    ("a tabular policy keeps prompts apart", lambda b: b[0].A_w >= b[0].A_l, batch(2, tabular=True), "proved"),
    (
        "the weighted margins of a batch rise together",
        lambda b: b.weight[0] * (b[0].A_w - b[0].A_l) + b.weight[1] * (b[1].A_w - b[1].A_l) >= 0,
        batch(2),
        "proved",
    ),
    (
        "the unweighted margins of a batch rise together",
        lambda b: (b[0].A_w - b[0].A_l) + (b[1].A_w - b[1].A_l) >= 0,
        batch(2),
        "refuted",
    ),
    (
        "another pair of the same prompt can turn a chosen response of a table",
        lambda b: b[0].A_w > 0,
        batch(2, tabular=True, one_prompt=True),
        "refuted",
    ),
    ("what is won is lost", lambda b: sum(b.c) == 0, preference_matrix(3), "proved"),
    (
        "the most useful of two responses has the larger force",
        lambda b: not (b.utility[0] > b.utility[1]) or b.c[0] >= b.c[1],
        preference_matrix(3, tabular=True),
        "refuted",
    ),
    (
        "with two responses the more useful one rises",
        lambda b: not b.utility[0] > b.utility[1] or b.drive(0) >= 0,
        preference_matrix(2),
        "proved",
    ),
    (
        "the best rewarded response rises",
        lambda b: b.drive(0) >= 0 or b.reward[0] < max(b.reward),
        sampled_group(3),
        "refuted",
    ),
]


@pytest.mark.parametrize(("words", "conjecture", "over", "verdict"), CONJECTURES, ids=[c[0] for c in CONJECTURES])
def test_conjectures_about_groups(words: str, conjecture, over, verdict: str) -> None:
    decision = decide(conjecture, over, worlds=20)
    assert decision.verdict == verdict, (words, decision)
    if verdict == "refuted":
        assert holds_at(conjecture, decision.case) is False
        assert decision.sides, words


@pytest.mark.parametrize(
    ("p", "members"), [((F(1, 2), F(1, 3), F(1, 6)), 2), ((F(1, 2), F(1, 2)), 3), ((F(1, 4), F(3, 4)), 4)]
)
def test_advantages_over_their_deviation_are_those_of_drawn_groups(p, members: int) -> None:
    """The enumeration agrees with the mean over drawn groups; of two drawn rewards only the order counts."""
    reward = (F(3), F(1), F(2))[: len(p)]
    force = expected_force(p, reward, members, normalised=True)
    drawn = np.random.default_rng(0).choice(len(p), size=(200_000, members), p=[float(q) for q in p])
    found = np.array([float(r) for r in reward])[drawn]
    deviation = found.std(axis=1, keepdims=True)
    advantage = np.divide(found - found.mean(axis=1, keepdims=True), deviation, where=deviation > 0, out=0 * found)
    means = [(advantage * (drawn == y)).mean() for y in range(len(p))]
    assert [float(Ball.of(c).arb.mid()) for c in force] == pytest.approx(means, abs=5e-3)
    assert force != expected_force(p, reward, members)
    assert (force == expected_force(p, [r**3 for r in reward], members, normalised=True)) is (
        len(p) == 2 or members == 2
    )


def test_pairs_may_share_responses() -> None:
    family = batch([(0, 1), (0, 2)])
    b = next(b for b in map(family.draw, map(random.Random, range(40))) if sum(b.p) == 1)
    assert b.c == (b.weight[0] + b.weight[1], -b.weight[0], -b.weight[1])
    assert (b[0].chosen, b[1].chosen, b[1].rejected) == (0, 0, 2)
    assert all(sum(q * b.kernel(y, z) for y, q in enumerate(b.p)) == 0 for z in range(3))
    assert "y_0 w of pair 0 w of pair 1" in str(b)
    account = [sum(b.c[i] * b.kernel(y, i) for i in range(3)) for y in range(3)]
    assert [b.drive(y) for y in range(3)] == account
    twice = decide(lambda b: b[0].A_w > 0, batch([(0, 1), (0, 2)], tabular=True), worlds=5)
    middle = decide(lambda b: b[1].A_w > 0, batch([(0, 1), (1, 2)], tabular=True), worlds=5)
    assert (twice.verdict, middle.verdict) == ("proved", "refuted")


def test_worlds_of_several_responses_are_typeset() -> None:
    latex = batch(2).draw(random.Random(0))._repr_latex_()
    assert latex.count(r"\begin{array}") == latex.count(r"\end{array}") == 1
    assert r"\text{y\_0 w of pair 0}" in latex
    assert r"\tfrac{" in latex


def test_both_sides_are_named() -> None:
    decision = decide(lambda b: b[0].A_w >= b[1].A_l + b.weight[0] - b.drive(3), batch(2), worlds=3)
    assert decision.sides[0].formula == "b[0].A_w >= b[1].A_l + weight[0] - drive(3)"


def test_symbols_cannot_be_told_from_fractions() -> None:
    with pytest.raises(TypeError):
        prove(lambda b: "p" not in vars(b), batch(2))


def test_bad_sizes_are_refused() -> None:
    for call, name in (
        (lambda: batch(0), "pairs"),
        (lambda: batch(99), "pairs"),
        (lambda: batch([(0, 0)]), "pairs"),
        (lambda: batch([(0, 2)]), "pairs"),
        (lambda: batch([(0, 1, 2)]), "pairs"),
        (lambda: batch([]), "pairs"),
        (lambda: batch("01"), "pairs"),
        (lambda: preference_matrix(1), "responses"),
        (lambda: sampled_group(3, 1), "members"),
        (lambda: sampled_group(99), "responses"),
    ):
        with pytest.raises(InvalidArgument, match=rf"^{name}"):
            call()


def test_the_names_of_families_tell_them_apart() -> None:
    """Random cases are kept by the name of their family."""
    families = [batch(2), batch(3), batch(2, one_prompt=True), batch(2, tabular=True), preference_matrix(3)]
    families += [preference_matrix(3, tabular=True), sampled_group(3), sampled_group(3, 3), sampled_group(2)]
    families += [sampled_group(3, normalised=True), batch([(0, 1), (0, 2)]), batch([(0, 1), (1, 2)])]
    names = sorted(family.name for family in families)
    assert all(a != b for a, b in pairwise(names))
