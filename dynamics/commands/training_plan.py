"""The training that an audit is about: loss, reference model, optimizer, adapter."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from dynamics.commands.inputs import choose_optimizer
from dynamics.commands.shared import Options
from dynamics.errors import InvalidArgument
from dynamics.language_model.causal_lm import CausalLM
from dynamics.language_model.loading import LanguageModel, load
from dynamics.language_model.pair_audit.measuring.batch_run import Batches
from dynamics.language_model.pair_audit.measuring.duration import Work
from dynamics.language_model.pair_audit.measuring.saved_adamw import read_adamw
from dynamics.language_model.pair_audit.measuring.set_gradient import Rule
from dynamics.language_model.pair_audit.results.fingerprint import model_digest
from dynamics.language_model.parameters import Filter
from dynamics.language_model.training.adapters import TARGETS, add_adapters


@dataclass(frozen=True)
class TrainingPlan:
    """The training that an audit is about, besides the loss.

    Attributes:
        optimizer: ``sgd`` or ``adamw``; the step of the whole set is its first one, or with ``optimizer_state`` the
            next one of the AdamW that is saved there.
        reference: folder or hub id of the reference model; None if the model is its own reference.
        lora_rank: rank of fresh LoRA adapters whose parameters alone are trained; None for none.
        lora_target: names of the linear maps that get one, separated by commas.
        only_own: leave out the step of the whole set.
        influences: for each displaced pair, name this many pairs that push its chosen response down most, and up most.
        verify: train copies of the model for a few steps, and compare what happens with the prediction.
        batches: compute the step on the batch of each pair too, with batches drawn like this.
        optimizer_state: folder of a trainer's checkpoint, whose AdamW takes its next step; None for a fresh optimizer.
    """

    optimizer: str = "sgd"
    reference: str | None = None
    lora_rank: int | None = None
    lora_target: str | None = None
    only_own: bool = False
    influences: int = 0
    verify: bool = False
    batches: Batches | None = None
    optimizer_state: str | None = None

    def __post_init__(self) -> None:
        choose_optimizer(self.optimizer)
        if self.lora_target is not None and self.lora_rank is None:
            raise InvalidArgument("lora-target", "give --lora-rank too, such as --lora-rank 16")
        if self.optimizer_state is not None and self.optimizer != "adamw":
            raise InvalidArgument("optimizer-state", "give --optimizer adamw too: only its state can be read")
        for name, wanted in (("influences", self.influences), ("verify", self.verify), ("batch", self.batches)):
            if wanted and self.only_own:
                raise InvalidArgument(name, "leave out --only-own: this is about the step on all pairs")

    def described(self) -> dict[str, Any]:
        """Return what the summary says about the plan."""
        return {name: value for name, value in asdict(self).items() if name not in ("influences", "verify")}

    def rule(self, loaded: LanguageModel, parameters: Filter) -> Rule:
        """Return how a gradient becomes a step.

        Args:
            loaded: model and tokenizer.
            parameters: the parameters that are trained.

        Raises:
            InvalidArgument: the state in the checkpoint does not fit the model.
        """
        if self.optimizer_state is None:
            return choose_optimizer(self.optimizer)
        return read_adamw(self.optimizer_state, loaded.model, parameters)

    def work(self, reference: CausalLM | None) -> Work:
        """Return what the audit computes besides each pair alone.

        Args:
            reference: the reference model of the loss; None for the model itself.
        """
        steps = 0 if self.only_own else 1 + (self.batches is not None)
        return Work(steps, self.influences, self.verify, reference)

    @property
    def targets(self) -> list[str]:
        """Return the names of the linear maps that get an adapter."""
        return list(TARGETS) if self.lora_target is None else [name.strip() for name in self.lora_target.split(",")]

    def adapt(self, loaded: LanguageModel) -> LanguageModel:
        """Return the model with fresh LoRA adapters, if there are to be any: B = 0, so that no log-probability changes.

        Args:
            loaded: model and tokenizer.

        Raises:
            InvalidArgument: the model has no linear maps of these names.
            MissingExtra: peft is not installed.
        """
        if self.lora_rank is None:
            return loaded
        adapted = add_adapters(loaded.model, rank=self.lora_rank, alpha=2.0 * self.lora_rank, targets=self.targets)
        return LanguageModel(adapted.model, loaded.tokenizer)

    def load_reference(self, options: Options, device: str) -> tuple[CausalLM | None, str]:
        """Return the reference model and a digest of it.

        Args:
            options: the shared options.
            device: where to load it.
        """
        if self.reference is None:
            return None, "the model itself"
        loaded = load(self.reference, dtype=options.dtype, device=device, tokenizer=False)
        return loaded.model, model_digest(loaded)
