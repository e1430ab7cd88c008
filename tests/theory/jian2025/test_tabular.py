"""Prefix trees and many pairs in closed form against steps of ``dynamics``."""

import math
import random
from fractions import Fraction as F

import pytest
import torch
from hypothesis import given, settings, strategies as st

from dynamics import DPO, Tabular, pairs, step
from dynamics.policies import PrefixTree
from theory.jian2025.tabular_pairs import complete_design, many_pairs

seeds = st.integers(0, 10**6).map(random.Random)


def tree_changes(words: list[str], logits: dict[tuple[str, ...], float], size: float) -> list[float]:
    """Return the change of log pi of the chosen and the rejected word, token by token as in jian2025.prefix-tree."""
    chosen, rejected = words[:2]
    parting = next(i for i in range(len(chosen)) if chosen[i] != rejected[i])
    changes = []
    for word, sign in ((chosen, 1), (rejected, -1)):
        total = 0.0
        for i in range(parting, len(word)):
            node = {edge[-1]: x for edge, x in logits.items() if edge[:-1] == tuple(word[:i])}
            norm = math.fsum(map(math.exp, node.values()))
            p = {token: math.exp(x) / norm for token, x in node.items()}
            own = p[word[i]]
            if i == parting:
                push = {token: (token == chosen[i]) - (token == rejected[i]) - sign for token in p}
            else:
                push = {token: 0 if token == word[i] else -sign * (1 - own + p[token]) for token in p}
            total -= math.log(math.fsum(q * math.exp(size * push[token]) for token, q in p.items()))
        changes.append(total)
    return changes


@settings(max_examples=40)
@given(seeds)
def test_the_closed_form_of_a_tree_is_the_step_of_dynamics(source: random.Random) -> None:
    words = list(dict.fromkeys("".join(source.choice("abc") for _ in range(3)) for _ in range(9)))[:6]
    tree = PrefixTree(words)
    logits = [source.gauss(0, 1) for _ in tree.edges]
    named = {(*prefix, token): x for (prefix, token), x in zip(tree.edges, logits, strict=True)}
    size = source.choice((0.01, 0.3, 2.0))
    # at the reference the urgency of DPO is 1/2
    account = step(tree, logits, 0, 1, loss=DPO(beta=1.0), learning_rate=2 * size)
    change = (account.new_log_probs - account.log_probs).flatten()
    assert [float(v) for v in change[:2]] == pytest.approx(tree_changes(words, named, size), rel=1e-8, abs=1e-11)


def change_in_a_tree(words: tuple[str, ...], tied: bool) -> torch.Tensor:
    """Return the change of log pi of every word; tied: the step moves all logits of a token, whatever its prefix."""
    tree = PrefixTree(words)
    theta = torch.zeros(tree.parameters, dtype=torch.float64, requires_grad=True)
    log_p = tree.log_probs(theta)
    (direction,) = torch.autograd.grad(log_p[0] - log_p[1], theta)
    if tied:
        tokens = [token for _, token in tree.edges]
        direction = torch.tensor([[float(a == b) for b in tokens] for a in tokens], dtype=torch.float64) @ direction
    return tree.log_probs(theta.detach() + 0.3 * direction) - log_p.detach()


def test_a_tied_bias_displaces_where_separate_logits_do_not() -> None:
    tied, untied = (change_in_a_tree(("bab", "aba", "bbc"), shared) for shared in (True, False))
    assert float(untied[0]) > 0 > float(tied[0])


@pytest.mark.parametrize("factor", [F(3, 2), F(101, 100)])
@settings(max_examples=30)
@given(seeds)
def test_many_pairs_take_the_steps_of_dynamics(factor: F, source: random.Random) -> None:
    case = many_pairs(source)
    n = len(case.p)
    theta = [math.log(q) for q in case.p]
    chosen, rejected, weight = (list(column) for column in zip(*case.pairs, strict=True))
    asked = pairs(chosen, rejected, weight=[float(a) for a in weight], shape=(n,))
    loss = DPO(beta=float(case.beta))
    # of the sum over pairs: a response chosen once moves by learning_rate * beta / 2 = log(factor)
    sum_rate = 2 * math.log(factor) / case.beta
    rate = sum_rate * float(sum(weight))
    first = step(Tabular(n), theta, preferences=asked, loss=loss, learning_rate=rate)
    total = case.normaliser(factor)
    after = [float(q * factor**push / total) for q, push in zip(case.p, case.push, strict=True)]
    assert [float(q) for q in first.new_log_probs.exp()] == pytest.approx(after)
    others = [y for y in range(n) if case.push[y] == 0 and y not in chosen + rejected]
    start = first.log_probs
    second = step(Tabular(n), first.new_theta, preferences=asked, loss=loss, learning_rate=rate, reference=start)
    p = first.new_log_probs.exp()
    for y in others:
        assert math.expm1(float(first.new_log_probs[y]) - theta[y]) == pytest.approx(float(1 / total - 1))
        rise = float(second.predicted[y] / p[y]) / (sum_rate * case.beta)
        assert rise == pytest.approx(float(case.others_rate(factor)), abs=1e-9)


def test_a_complete_design_has_every_pair_once() -> None:
    for seed in range(20):
        pairs_of = complete_design(random.Random(seed)).pairs
        chosen, rejected = {w for w, _, _ in pairs_of}, {r for _, r, _ in pairs_of}
        assert sorted(pairs_of) == sorted((w, r, 1) for w in chosen for r in rejected)
