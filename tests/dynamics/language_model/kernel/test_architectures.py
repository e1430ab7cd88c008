"""Architectures and the ways in which people hold them, every pair of choices at least once, against brute force."""

from __future__ import annotations

import itertools
import random
from fnmatch import fnmatchcase
from typing import Any

import pytest
import torch

from dynamics import InvalidArgument
from dynamics.language_model import (
    model_step,
    next_token_log_probs,
    sequence_kernel,
    sequence_log_probs,
    vocabulary_shift as shift,
)
from dynamics.language_model.kernel import computation
from dynamics.language_model.model_head import confirmed_head, find_head
from dynamics.language_model.prediction.parameter_change import changed_parameters, parameter_change
from tests.dynamics.language_model.architectures import BEGIN, END, PAGE, SEQUENCES
from tests.dynamics.language_model.brute_force import autograd_kernel, own_log_probs, relative
from tests.dynamics.language_model.built import build

FACTORS: dict[str, tuple[Any, ...]] = {
    "kind": ("llama", "gpt2", "gemma2", "cohere", "falcon", "opt", "mixtral", "gpt_oss", "mamba", "bloom", "granite"),
    "stored": (torch.float32, torch.bfloat16, torch.float16),
    "frozen": ("nothing", "*embed*|*wte*", "*.0.*"),
    "tied": (True, False),
    "attention": ("eager", "sdpa"),
    "checkpointing": (True, False),
    "training": (True, False),
}
NO_SDPA = ("gpt_oss", "bloom", "mamba", "gemma2")
DROPOUTS = ("attention_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop", "hidden_dropout", "dropout")


def pairs_of(case: tuple[Any, ...]) -> set[tuple[int, Any, int, Any]]:
    return {(i, case[i], j, case[j]) for i, j in itertools.combinations(range(len(case)), 2)}


def pairwise(factors: dict[str, tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return cases such that every pair of choices of two factors is in one of them: the best of some random ones."""
    draw, values = random.Random(0), list(factors.values())
    missing = set().union(*(pairs_of(case) for case in itertools.product(*values)))
    cases: list[tuple[Any, ...]] = []
    while missing:
        i, first, j, second = min(missing, key=repr)
        trials = [[draw.choice(choices) for choices in values] for _ in range(60)]
        for trial in trials:
            trial[i], trial[j] = first, second
        cases.append(max(map(tuple, trials), key=lambda case: len(pairs_of(case) & missing)))
        missing -= pairs_of(cases[-1])
    return cases


CASES = pairwise(FACTORS)


def test_every_pair_of_choices_is_in_a_case() -> None:
    covered = set().union(*(pairs_of(case) for case in CASES))
    assert covered == set().union(*(pairs_of(case) for case in itertools.product(*FACTORS.values())))
    assert len(CASES) < 60  # 33 is the least, 1584 are all


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)).replace("torch.", ""))
def test_kernels_are_those_of_brute_force(case: tuple[Any, ...]) -> None:
    kind, stored, frozen, tied, attention, checkpointing, training = case
    dropouts = dict.fromkeys(DROPOUTS, 0.1)
    model = build(
        kind,
        dtype=stored,
        attention="eager" if kind in NO_SDPA else attention,
        tie_word_embeddings=tied,
        **dropouts,
    ).train(training)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(fnmatchcase(name, glob) for glob in frozen.split("|")))
    if checkpointing:
        model.activation_checkpointing_enable()
    flags = [p.requires_grad for p in model.parameters()]
    truth = autograd_kernel(model, SEQUENCES)
    for memory in ("graph", "layerwise"):
        assert relative(sequence_kernel(model, SEQUENCES, memory=memory, dtype=torch.float64).kernel, truth) < 1e-12
    assert 1e-12 < relative(sequence_kernel(model, SEQUENCES, dtype=torch.float32).kernel, truth) < 1e-5
    assert model.training == training
    assert [p.requires_grad for p in model.parameters()] == flags
    assert {p.dtype for p in model.parameters()} == {stored}
    assert all("forward" not in m.__dict__ for m in model.modules())


HEADS = {"gemma2": {"final_logit_softcapping": 2.0}, "cohere": {"logit_scale": 0.3}, "granite": {"logits_scaling": 3.0}}
HEADS |= {"phi": {}, "gptj": {}}  # with a bias


@pytest.mark.parametrize("kind", HEADS)
def test_a_scale_a_soft_cap_or_a_bias_of_the_head(kind: str) -> None:
    """log pi, kernel, prediction and shift alike; the cap is low enough to bend every logit."""
    model = build(kind, dtype=torch.float64, **HEADS[kind])
    s = SEQUENCES[2]
    ids = torch.tensor([s.ids[:-1]])
    head = confirmed_head(model, ids)
    assert head.linear is not None
    assert (head.scale, head.cap, head.bias is None) != (1.0, None, True)
    with torch.no_grad():
        expected = own_log_probs(model(input_ids=ids, use_cache=False).logits[0], s)
    assert float((sequence_log_probs(model, [s]).tokens[0] - expected).abs().max()) < 1e-6  # float32 islands
    truth = autograd_kernel(model, SEQUENCES)
    for piece in (7, 100):
        assert relative(sequence_kernel(model, SEQUENCES, vocabulary_piece=piece).kernel, truth) < 1e-12
    step = model_step(model, SEQUENCES, 0, 1, learning_rate=1e-6)
    torch.testing.assert_close(step.predicted_log_change, step.predict(1e-6), rtol=1e-9, atol=1e-15)
    change = parameter_change(model, SEQUENCES, 0, 1, learning_rate=1e-4)
    found = shift(model, change, [s])
    errors = []
    for size in (1.0, 0.5):
        with changed_parameters(model, {name: size * c for name, c in change.items()}):
            after = next_token_log_probs(model, [s])
        errors.append(float((after - found.log_probs - size * found.log_change).abs().max()))
    assert 3.5 < errors[0] / errors[1] < 4.5  # second order


def test_a_head_that_does_something_else_than_its_configuration_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration is compared with what the model does; if they differ, the logits themselves are used."""
    model = build("cohere", dtype=torch.float64, logit_scale=0.3)
    truth = autograd_kernel(model, SEQUENCES)
    model.config.logit_scale = 0.30001
    assert confirmed_head(model, torch.tensor([SEQUENCES[0].ids])).linear is None
    assert relative(sequence_kernel(model, SEQUENCES).kernel, truth) < 1e-12
    monkeypatch.setattr(computation, "confirmed_head", lambda model, _: find_head(model))  # the negative control
    assert relative(sequence_kernel(model, SEQUENCES).kernel, truth) > 1e-6


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_predictions_from_later_tokens_are_refused(kind: str) -> None:
    """The same weights with and without the mask of a decoder; one token before the last is seen to depend on it."""
    ids = torch.tensor([SEQUENCES[0].ids])
    for count in (1, 2, 7):
        assert confirmed_head(build(kind), ids[:, :count]).vocabulary == 61
    assert confirmed_head(build(kind, is_decoder=False), ids[:, :1]).vocabulary == 61  # nothing comes later
    for count in (2, 7):
        with pytest.raises(InvalidArgument, match="depend on later tokens; use a causal language model"):
            confirmed_head(build(kind, is_decoder=False), ids[:, :count])


def test_the_page_holds_a_table_without_failures() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = page[page.index(BEGIN) : page.index(END)].splitlines()
    compared = [row for row in rows if row.startswith("| ") and not row.startswith("| type")]
    assert len(compared) >= 60
    assert not [row for row in rows if "not exact" in row or "FAILED" in row]
