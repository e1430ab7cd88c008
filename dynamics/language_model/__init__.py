"""The quantities of this package for a causal language model: log pi(y | x), its exact kernel, drives, steps.

It needs the extra ``lm`` (transformers), which is imported when it is first used.
"""

from typing import TYPE_CHECKING, Any

from dynamics.language_model.causal_lm import CausalLM
from dynamics.language_model.jvp import log_probs_jvp
from dynamics.language_model.kernel.cross_kernel import CrossKernel, cross_kernel
from dynamics.language_model.kernel.memory import MemoryPlan
from dynamics.language_model.kernel.sequence_kernel import SequenceKernel, block_kernels, sequence_kernel
from dynamics.language_model.kernel.token_kernel import TokenKernel, token_kernel
from dynamics.language_model.kernel.verify import KernelCheck, verify_kernel
from dynamics.language_model.loading import LanguageModel, MissingExtra, ModelUnavailable, load
from dynamics.language_model.log_probs import SequenceLogProbs, sequence_log_probs
from dynamics.language_model.out_of_memory import OutOfMemory
from dynamics.language_model.prediction.ches import CHES, ches
from dynamics.language_model.prediction.drives import PairDrives, pair_drives, predict_change
from dynamics.language_model.prediction.flow import predict_flow
from dynamics.language_model.prediction.model_step import ModelStep, StepChange, model_step
from dynamics.language_model.prediction.parameter_change import changed_parameters, parameter_change
from dynamics.language_model.prediction.path import predict_path
from dynamics.language_model.prediction.plan import LogProbPath
from dynamics.language_model.prediction.train import train
from dynamics.language_model.prediction.vocabulary_shift import (
    TokenShift,
    VocabularyShift,
    next_token_log_probs,
    vocabulary_shift,
)
from dynamics.language_model.tiny_model import tiny_model
from dynamics.language_model.tokens import TokenSequence, tokenize
from dynamics.language_model.training.adapters import AdaptedModel, add_adapters
from dynamics.language_model.training.differentiable import differentiable_log_probs
from dynamics.language_model.training.stable_po import pair_batch, stable_po_state, stable_po_step
from dynamics.language_model.training.stable_po_types import PairBatch, StablePO, StablePOAccount, StablePOState
from dynamics.language_model.vjp import log_probs_vjp

if TYPE_CHECKING:
    from dynamics.language_model.watching.callback import DynamicsCallback

__all__ = [
    "CHES",
    "AdaptedModel",
    "CausalLM",
    "CrossKernel",
    "DynamicsCallback",
    "KernelCheck",
    "LanguageModel",
    "LogProbPath",
    "MemoryPlan",
    "MissingExtra",
    "ModelStep",
    "ModelUnavailable",
    "OutOfMemory",
    "PairBatch",
    "PairDrives",
    "SequenceKernel",
    "SequenceLogProbs",
    "StablePO",
    "StablePOAccount",
    "StablePOState",
    "StepChange",
    "TokenKernel",
    "TokenSequence",
    "TokenShift",
    "VocabularyShift",
    "add_adapters",
    "block_kernels",
    "changed_parameters",
    "ches",
    "cross_kernel",
    "differentiable_log_probs",
    "load",
    "log_probs_jvp",
    "log_probs_vjp",
    "model_step",
    "next_token_log_probs",
    "pair_batch",
    "pair_drives",
    "parameter_change",
    "predict_change",
    "predict_flow",
    "predict_path",
    "sequence_kernel",
    "sequence_log_probs",
    "stable_po_state",
    "stable_po_step",
    "tiny_model",
    "token_kernel",
    "tokenize",
    "train",
    "verify_kernel",
    "vocabulary_shift",
]


def __getattr__(name: str) -> Any:
    """Import the callback when it is first used: it is a subclass of one of transformers, which takes a while."""
    if name != "DynamicsCallback":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dynamics.language_model.watching.callback import DynamicsCallback  # noqa: PLC0415

    return DynamicsCallback
