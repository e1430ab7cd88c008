"""Equation (8) on a tree of tokens whose optimal policy is found backwards."""

import math
import random

import pytest
from hypothesis import given, settings, strategies as st


@settings(max_examples=25)
@given(st.integers(0, 10**6).map(random.Random))
def test_returns_are_values_and_log_ratios(source: random.Random) -> None:
    beta, depth, branching = source.uniform(0.2, 2), 3, 3
    reference, reward, value = {}, {}, {}

    def build(prefix: tuple[int, ...]) -> float:
        """Return V* of a prefix, and fill the tables below it."""
        if len(prefix) == depth:
            return 0.0
        weights = [source.uniform(0.1, 1) for _ in range(branching)]
        total = 0.0
        for token, weight in enumerate(weights):
            node = (*prefix, token)
            reference[node], reward[node] = weight / sum(weights), source.gauss(0, 1)
            total += reference[node] * math.exp((reward[node] + build(node)) / beta)
        value[prefix] = beta * math.log(total)
        return value[prefix]

    build(())
    response = tuple(source.randrange(branching) for _ in range(depth))
    returned = logs = 0.0
    for t in range(depth):
        node, prefix = response[: t + 1], response[:t]
        after = value.get(node, 0.0)
        logs += (reward[node] + after - value[prefix]) / beta  # log pi* / pi_ref
        returned += reward[node]
        assert returned == pytest.approx(value[()] + beta * logs - after, abs=1e-9)
