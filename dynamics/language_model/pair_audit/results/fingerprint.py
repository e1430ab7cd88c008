"""A digest that identifies a model and its tokenizer, so that the results of two models are not mixed."""

from __future__ import annotations

import hashlib
import json

import torch

from dynamics.language_model.loading import LanguageModel

PIECE = 1 << 24  # how many numbers are copied from the device at a time


def model_digest(loaded: LanguageModel) -> str:
    """Return 16 hex digits that change with every weight, with its name and dtype, and with a tokenizer.

    Args:
        loaded: the model and its tokenizer.
    """
    model, tokenizer = loaded
    hashed = hashlib.sha256(json.dumps(model.config.to_diff_dict(), sort_keys=True, default=str).encode())
    for name, adapter in sorted(getattr(model, "peft_config", {}).items()):
        hashed.update(f"{name} {json.dumps(adapter.to_dict(), sort_keys=True, default=str)}".encode())
    for name, tensor in sorted(model.state_dict().items()):
        hashed.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        for piece in tensor.detach().flatten().split(PIECE):
            hashed.update(piece.contiguous().view(torch.uint8).cpu().numpy())
    if tokenizer is None:
        return hashed.hexdigest()[:16]
    backend = getattr(tokenizer, "backend_tokenizer", None)
    text = backend.to_str() if backend is not None else json.dumps(tokenizer.get_vocab(), sort_keys=True)
    for part in (text, str(getattr(tokenizer, "chat_template", None)), str(tokenizer.eos_token_id)):
        hashed.update(part.encode("utf-8", "backslashreplace"))
    return hashed.hexdigest()[:16]
