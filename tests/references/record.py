"""What was computed once, and where: ``python tests/references/record.py`` records it again.

``recorded.json`` holds kernels, runs and counts with the environment that made them. ``test_references`` computes them
anew and compares. A number that changed is a change of behaviour: understand it before recording over it.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:  # run as a script
    sys.path.insert(0, str(ROOT))

import numpy as np
import torch

from dynamics import LOSSES, AdamW, Tabular, bradley_terry, get_loss, kernel, preference_matrix, simulate
from dynamics.files import write_atomically
from dynamics.grid import one_thread
from tests.dynamics.strategies import KINDS, make_policy

KINKED = ("dpop",)
"""Losses with a kink at the reference, where every run starts: rounding decides which side it is on."""

RECORDED = Path(__file__).with_name("recorded.json")
LIBRARIES = ("numpy", "scipy", "torch", "transformers")

# A sum in another order differs in its last bits, and a BLAS chooses the order by the processor it finds.
TOLERANCES = {
    "finite kernels": 1e-9,
    "runs": 1e-9,
    # float64 throughout, but a few thousand terms through a dozen matrix products
    "kernels of a tiny model": 1e-9,
    # weights and products in float32: about sqrt(terms) x 6e-8, relative to the norms of the scores
    "kernel of the shipped model": 2e-4,
}
"""Largest difference of each part from what is recorded, relative to the largest entry of an array."""


def environment() -> dict[str, str]:
    """Return what the numbers may depend on."""
    found = {name: version(name) for name in LIBRARIES}
    blas = torch.backends.mkl.is_available()
    cpu = torch.backends.cpu.get_cpu_capability()
    return {"python": platform.python_version(), **found, "mkl": str(blas), "cpu": cpu, "machine": platform.machine()}


def finite_kernels() -> dict[str, Any]:
    """Return the kernel of one policy of every class."""
    return {kind: kernel(*make_policy(kind, seed=7)).flatten().tolist() for kind in KINDS}


def runs() -> dict[str, Any]:
    """Return the last log-probabilities of a run of every loss, with either optimizer, and with minibatches."""
    policy, theta = make_policy("log_linear", seed=7)
    asked = preference_matrix(bradley_terry([0.0, 1.0, -1.0, 0.5]))
    losses = [get_loss(name) for name in LOSSES]
    settings: dict[str, dict[str, Any]] = {
        "sgd": {},
        "adamw": {"optimizer": AdamW()},
        "minibatches": {"minibatch": 3, "seeds": 2, "generator": torch.Generator().manual_seed(5)},
    }
    found = {}
    for name, more in settings.items():
        run = simulate(policy, theta, asked, loss=losses, learning_rate=[0.05, 0.5], steps=40, **more)
        last = run.log_probs[-1]
        # a run that leaves the range (SquaredPO's force is an exponential) has no numbers to record
        smooth = [key not in KINKED and bool(values.isfinite().all()) for key, values in zip(LOSSES, last, strict=True)]
        kept = {key: last[i] for i, key in enumerate(LOSSES) if smooth[i]}
        found |= {f"{name}, {key}": values.flatten().tolist() for key, values in kept.items()}
    for key in KINKED:
        other = policy.log_probs(theta + 0.3)  # its log-ratios are not zero at the start
        moved = simulate(policy, theta, asked, loss=get_loss(key), learning_rate=0.05, steps=10, reference=other)
        found[f"away from its kink, {key}"] = moved.log_probs[-1].flatten().tolist()
    tabular = simulate(Tabular(4), np.zeros(4), asked, loss=losses[0], steps=40)
    return found | {"tabular, dpo": tabular.log_probs[-1].flatten().tolist()}


def tiny_kernels() -> dict[str, Any]:
    """Return kernel and log-probabilities of three sequences under random models of every architecture."""
    from dynamics.language_model import sequence_kernel, tiny_model

    found = {}
    for architecture in ("qwen2", "llama", "gpt2"):
        account = sequence_kernel(tiny_model(architecture, seed=3), sequences())
        found[architecture] = account.kernel.flatten().tolist()
        found[f"{architecture}, log pi"] = account.log_probs.tolist()
    return found


def sequences() -> list[Any]:
    """Return three short sequences, two of them of one prompt."""
    from dynamics.language_model import TokenSequence

    return [TokenSequence((1, 2, 3, 4), 2), TokenSequence((1, 2, 5), 2), TokenSequence((6, 7, 8, 9, 10, 11), 3)]


def shipped_sequences() -> tuple[Any, list[Any]]:
    """Return the shipped model and three answers to its question."""
    from dynamics.language_model import tokenize
    from toy_models.multiplication.responses import as_prompt
    from toy_models.multiplication.shipped import QUESTION, load_checkpoint

    model, tokenizer = load_checkpoint()
    prompt = as_prompt(tokenizer, QUESTION)
    answers = ("The answer is 132.", "The answer is 121.", "132.")
    return model, [tokenize(tokenizer, prompt, answer) for answer in answers]


def shipped_kernel() -> dict[str, Any]:
    """Return kernel and log-probabilities of three answers under the shipped model."""
    from dynamics.language_model import sequence_kernel

    account = sequence_kernel(*shipped_sequences())
    return {"kernel": account.kernel.flatten().tolist(), "log pi": account.log_probs.tolist()}


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "finite kernels": finite_kernels,
    "runs": runs,
    "kernels of a tiny model": tiny_kernels,
    "kernel of the shipped model": shipped_kernel,
}


def compute(part: str) -> dict[str, Any]:
    """Compute a part on one thread."""
    with one_thread():
        return PARTS[part]()


def differences(part: str, now: dict[str, Any], then: dict[str, Any]) -> list[str]:
    """Return what differs from the record by more than the tolerance of the part, in words.

    Only what was recorded is compared: a new loss or a new architecture breaks nothing until it is recorded too.
    """
    found = [f"{key}: gone" for key in sorted(set(then) - set(now))]
    for key in sorted(set(now) & set(then)):
        a, b = np.array(now[key]), np.array(then[key])
        if a.shape != b.shape:
            found.append(f"{key}: shape {b.shape} then, {a.shape} now")
            continue
        size = np.abs(a - b).max() / max(np.abs(b).max(), 1e-300)
        if not size <= TOLERANCES[part]:
            found.append(f"{key}: by {size:.2g} of its largest entry, {TOLERANCES[part]:g} is allowed")
    return found


def main() -> None:
    """Record every part, and say what is not as it was."""
    then = json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.exists() else {"parts": {}}
    parts = {}
    for part in PARTS:
        parts[part] = compute(part)
        for words in differences(part, parts[part], then["parts"].get(part, {})):
            print(f"{part}: {words}")
    text = json.dumps({"environment": environment(), "parts": parts}, indent=1) + "\n"
    write_atomically(RECORDED, lambda path: path.write_text(text, encoding="utf-8"))
    print(f"{len(parts)} parts in {RECORDED.name}")


if __name__ == "__main__":
    main()
