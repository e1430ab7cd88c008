"""Whatever surrounds a call or wraps a model: the very same numbers, or one sentence that says what to do."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from types import MethodType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dynamics import DPO, InvalidArgument
from dynamics.language_model import (
    changed_parameters,
    ches,
    log_probs_jvp,
    model_step,
    next_token_log_probs,
    pair_drives,
    parameter_change,
    sequence_kernel,
    sequence_log_probs,
    tiny_model,
    token_kernel,
    verify_kernel,
    vocabulary_shift,
)
from tests.dynamics.language_model.brute_force import SEQUENCES

PAIR = list(SEQUENCES[:2])
CHANGE = {"model.norm.weight": torch.linspace(0.0, 1.0, 16)}


def after(model: Any) -> Tensor:
    with changed_parameters(model, CHANGE):
        return sequence_log_probs(model, PAIR).total


def checked(model: Any) -> float:
    return verify_kernel(model, PAIR, torch.eye(2), torch.ones(2)).from_backward


CALLS: dict[str, Callable[[Any], Tensor]] = {
    "sequence_log_probs": lambda m: sequence_log_probs(m, PAIR).total,
    "ches": lambda m: ches(m, [(PAIR[0], PAIR[1])]).value,
    "sequence_kernel": lambda m: sequence_kernel(m, PAIR).kernel,
    "layerwise": lambda m: sequence_kernel(m, PAIR, memory="layerwise").kernel,
    "token_kernel": lambda m: token_kernel(m, PAIR).tokens.kernel,
    "pair_drives": lambda m: pair_drives(m, PAIR).drive,
    "model_step": lambda m: model_step(m, PAIR, learning_rate=1e-6).actual_log_change,
    "verify_kernel": lambda m: torch.tensor(checked(m), dtype=torch.float64),
    "parameter_change": lambda m: parameter_change(m, PAIR, loss=DPO())["model.norm.weight"],
    "log_probs_jvp": lambda m: log_probs_jvp(m, CHANGE, PAIR),
    "vocabulary_shift": lambda m: vocabulary_shift(m, CHANGE, [(1, 2)]).log_change,
    "next_token_log_probs": lambda m: next_token_log_probs(m, [(1, 2)]),
    "changed_parameters": after,
}


@contextmanager
def default_dtype() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


CONTEXTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "default dtype": default_dtype,
}


@cache
def original() -> Any:
    """Return the model, made when it is first used, because that imports transformers."""
    return tiny_model(dtype=torch.float32)


@pytest.fixture(scope="module")
def truth() -> dict[str, Tensor]:
    return {name: call(original()) for name, call in CALLS.items()}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("context", CONTEXTS)
def test_what_surrounds_a_call_does_not_reach_it(context: str, call: str, truth: dict[str, Tensor]) -> None:
    wanted = [p.requires_grad for p in original().parameters()]
    with CONTEXTS[context]():
        found = CALLS[call](original())
        assert torch.is_inference_mode_enabled() == (context == "inference_mode")
        assert torch.is_grad_enabled() == (context not in ("no_grad", "inference_mode"))
    assert torch.equal(found, truth[call])
    assert [p.requires_grad for p in original().parameters()] == wanted


def test_autocast_would_have_changed_the_numbers(truth: dict[str, Tensor]) -> None:
    """The negative control: what the model itself computes under autocast is far from it."""
    ids = torch.tensor([PAIR[0].ids[:-1]])
    with torch.no_grad():
        plain = original()(input_ids=ids).logits
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert float((original()(input_ids=ids).logits.float() - plain).abs().max()) > 1e-3


@pytest.mark.parametrize("call", CALLS)
def test_a_model_that_accelerate_has_prepared_gives_the_same_numbers(call: str, truth: dict[str, Tensor]) -> None:
    accelerate = pytest.importorskip("accelerate")
    accelerate.state.AcceleratorState._reset_state(True)
    try:
        model = copy.deepcopy(original())
        prepared = accelerate.Accelerator(mixed_precision="bf16", cpu=True).prepare_model(model)
        wrapper = vars(prepared)["forward"]
        assert torch.equal(CALLS[call](prepared), truth[call])
        assert vars(prepared)["forward"] is wrapper
    finally:
        accelerate.state.AcceleratorState._reset_state(True)


def wrapped_in_autocast() -> Any:
    """A model whose owner has wrapped its forward by hand, as accelerate does, but under no name that we know."""
    model = copy.deepcopy(original())
    forward = type(model).forward
    model.forward = MethodType(torch.autocast("cpu", dtype=torch.bfloat16)(forward), model)
    return model


@pytest.mark.parametrize("call", CALLS)
def test_another_wrapper_with_autocast_is_refused(call: str) -> None:
    model = wrapped_in_autocast()
    says = r"model: the forward of \S+ turns autocast on \(torch.bfloat16\); remove that wrapper"
    with pytest.raises(InvalidArgument, match=says):
        CALLS[call](model)
    assert not any(module._forward_pre_hooks for module in model.modules())


class Wrapper(nn.Module):
    """What DistributedDataParallel, DataParallel, FSDP and DeepSpeed look like from outside."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *arguments: Any, **options: Any) -> Any:
        return self.module(*arguments, **options)


def compiled_in_place(model: Any) -> Any:
    """A compiled model would be compiled again, because forwards are replaced inside; nothing here can compile."""
    model.compile(backend=lambda *_: pytest.fail("compiled"))
    return model


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, when it imports its compiler
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "wrapper",
    [Wrapper, nn.DataParallel, torch.compile, compiled_in_place, lambda m: Wrapper(torch.compile(m))],
    ids=["wrapper", "data-parallel", "compiled", "compiled-in-place", "both"],
)
def test_the_model_inside_of_a_wrapper_is_used(wrapper: Any, call: str, truth: dict[str, Tensor]) -> None:
    model = copy.deepcopy(original())
    outside = wrapper(model)
    inside = [module._compiled_call_impl for module in model.modules()]
    assert torch.equal(CALLS[call](outside), truth[call])
    assert [module._compiled_call_impl for module in model.modules()] == inside


def test_a_model_made_under_inference_mode_has_no_gradients_and_says_so(truth: dict[str, Tensor]) -> None:
    with torch.inference_mode():
        model = tiny_model(dtype=torch.float32)
    for name in ("sequence_log_probs", "ches", "log_probs_jvp", "vocabulary_shift", "next_token_log_probs"):
        assert torch.equal(CALLS[name](model), truth[name])
    for name in ("sequence_kernel", "layerwise", "token_kernel", "pair_drives", "model_step", "verify_kernel"):
        with pytest.raises(InvalidArgument, match=r"load the model outside of torch.inference_mode\(\)"):
            CALLS[name](model)
