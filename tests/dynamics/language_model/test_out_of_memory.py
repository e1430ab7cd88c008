from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from dynamics import InvalidArgument
from dynamics.language_model import load, tiny_model
from dynamics.language_model.out_of_memory import OutOfMemory, is_out_of_memory, raising_out_of_memory
from tests.dynamics.language_model.tokenizers import byte_tokenizer

MESSAGES = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("MPS backend out of memory (MPS allocated: 1.00 GB, other allocations: 1 MB, max allowed: 2.00 GB)"),
    RuntimeError("HIP out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:75] . DefaultCPUAllocator: not enough memory: you tried to allocate 8"
    ),
    RuntimeError("std::bad_alloc"),
    MemoryError(),
    MemoryError("Unable to allocate 1.00 GiB for an array"),
    OutOfMemory("sequences", "9 of them do not fit", "use fewer", 5, 4),
]


@pytest.mark.parametrize("problem", MESSAGES, ids=lambda p: str(p)[:30])
def test_every_message_about_memory_is_recognised(problem: BaseException) -> None:
    assert is_out_of_memory(problem)
    with pytest.raises(OutOfMemory), raising_out_of_memory("sequences", 3):
        raise problem


@pytest.mark.parametrize("problem", [RuntimeError("shapes differ"), ValueError("out of memory"), KeyError("memory")])
def test_other_errors_are_left_alone(problem: Exception) -> None:
    assert not is_out_of_memory(problem)
    with pytest.raises(type(problem)), raising_out_of_memory("sequences", 3):
        raise problem


def test_the_error_is_of_both_kinds_and_crosses_a_process_border() -> None:
    problem = pickle.loads(pickle.dumps(OutOfMemory("sequences", "9 do not fit", "use fewer", 5, 4)))
    assert isinstance(problem, InvalidArgument)
    assert isinstance(problem, MemoryError)
    assert (problem.needed, problem.available, str(problem)) == (5, 4, "sequences: 9 do not fit; use fewer")


@pytest.mark.parametrize("where", ["transformers.AutoModelForCausalLM.from_pretrained", "torch.nn.Module.to"])
def test_a_model_that_does_not_fit_is_refused_in_words(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While its weights are read, and on its way to a device."""
    pytest.importorskip("transformers")
    tiny_model(vocabulary=258, dtype=torch.float32).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)

    def fails(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(where, fails)
    with pytest.raises(OutOfMemory, match="does not fit into memory; use a smaller model, a narrower dtype"):
        load(tmp_path)
