"""The same quantities on a causal language model: log pi(y | x), its exact kernel, drives, predicted steps.

Needs the extra ``lm`` (transformers); importing this package does not load it, using it does.
"""

from dynamics.language_model.audit import Audit, audit, plain_gradient
from dynamics.language_model.kernel import SequenceKernel, sequence_kernel
from dynamics.language_model.loading import LanguageModel, MissingExtra, ModelUnavailable, load
from dynamics.language_model.memory import MemoryPlan
from dynamics.language_model.pair_step import ModelStep, model_step, predict_change
from dynamics.language_model.score import SequenceLogProbs, sequence_log_probs
from dynamics.language_model.sequences import TokenSequence, tokenize
from dynamics.language_model.tiny_model import tiny_model
from dynamics.language_model.token_kernel import TokenKernel, token_kernel

__all__ = [
    "Audit",
    "LanguageModel",
    "MemoryPlan",
    "MissingExtra",
    "ModelStep",
    "ModelUnavailable",
    "SequenceKernel",
    "SequenceLogProbs",
    "TokenKernel",
    "TokenSequence",
    "audit",
    "load",
    "model_step",
    "plain_gradient",
    "predict_change",
    "sequence_kernel",
    "sequence_log_probs",
    "tiny_model",
    "token_kernel",
    "tokenize",
]
