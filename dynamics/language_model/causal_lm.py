"""What this package needs of a causal language model, as a type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from torch import Tensor, nn

from dynamics.errors import InvalidArgument, Unsupported


class HasLogits(Protocol):
    """The output of a language model.

    Attributes:
        logits: ``(sequences, positions, vocabulary)``.
    """

    logits: Tensor


class CausalLM(Protocol):
    """A causal language model in the form that Hugging Face transformers gives it.

    It is a ``torch.nn.Module`` that maps token ids to logits, where the logits at a position depend on the tokens up to
    that position only. Models with adapters from peft have this form too.

    Attributes:
        config: the configuration that transformers keeps with every model.
    """

    config: Any

    def __call__(self, *, input_ids: Tensor, use_cache: bool) -> HasLogits:
        """Return the logits for token ids ``(sequences, positions)``."""
        ...

    def get_input_embeddings(self) -> nn.Module:
        """Return the token embedding."""
        ...

    def get_output_embeddings(self) -> nn.Module | None:
        """Return the head, the linear map from hidden states to logits; None if the model has none."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return all parameters and stored buffers, as ``torch.nn.Module.state_dict`` does."""
        ...

    def modules(self) -> Iterator[nn.Module]:
        """Yield all modules, as ``torch.nn.Module.modules`` does."""
        ...

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Yield all parameters, as ``torch.nn.Module.parameters`` does."""
        ...

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield all parameters with their names, as ``torch.nn.Module.named_parameters`` does."""
        ...


def as_module(model: CausalLM | nn.Module) -> nn.Module:
    """Return the model as a torch module.

    Raises:
        InvalidArgument: the model is not a torch module.

    Example:
        >>> as_module("gpt2")
        Traceback (most recent call last):
            ...
        dynamics.errors.InvalidArgument: model: got gpt2; allowed: a causal language model, such as load() returns
    """
    if not isinstance(model, nn.Module):
        raise InvalidArgument("model", model, "a causal language model, such as load() returns")
    return model


WRAPPERS = ("module", "_orig_mod")
"""Where DistributedDataParallel, DataParallel and FSDP keep the model inside, and where ``torch.compile`` does."""


def unwrapped(model: Any) -> Any:
    """Return the causal language model inside of wrappers for distributed training or compilation.

    The names of parameters are those of the model inside.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> model = tiny_model()
        >>> unwrapped(nn.DataParallel(model)) is model
        True
    """
    inside: Any = model
    while isinstance(inside, nn.Module):
        kept = [inside._modules.get(name) for name in WRAPPERS]
        found = next((part for part in kept if hasattr(part, "get_output_embeddings") or _wraps(part)), None)
        if found is None:
            break
        inside = found
    return inside


def _wraps(part: nn.Module | None) -> bool:
    """Return whether this is a wrapper too."""
    return part is not None and any(isinstance(part._modules.get(name), nn.Module) for name in WRAPPERS)


@contextmanager
def padding_rows_trained(model: CausalLM | nn.Module) -> Iterator[None]:
    """Inside this context, let autograd compute the gradients of the ``padding_idx`` rows of the embeddings.

    Otherwise torch sets these gradients to zero.
    """
    before = [(m, m.padding_idx) for m in model.modules() if isinstance(m, nn.Embedding)]
    try:
        for embedding, _ in before:
            embedding.padding_idx = None
        yield
    finally:
        for embedding, padding in before:
            embedding.padding_idx = padding


class NotDifferentiable(Unsupported):
    """A model that autograd cannot differentiate.

    Attributes:
        modules: names or globs of the modules that prevent it, as far as they are known.
    """

    def __init__(self, problem: str, modules: Sequence[str] = (), behind: Sequence[str] = ()) -> None:
        """Keep what the message says.

        Args:
            problem: what torch says.
            modules: names of the modules that prevent it.
            behind: globs of the parameters that have gradients all the same.
        """
        self.problem, self.modules, self.behind = problem, tuple(modules), tuple(behind)
        where = f" in {', '.join(self.modules)}" if modules else ""
        remedy = "use a model all of whose operations have a derivative"
        if behind:
            remedy += f", or only the parameters that act after these modules: parameters={list(self.behind)}"
            remedy += " (and for a kernel memory='graph')"
        super().__init__("model", f"autograd cannot differentiate this model{where} ({problem})", remedy)

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """Keep the attributes when the error is pickled."""
        return type(self), (self.problem, self.modules, self.behind)

    def naming(self, modules: Sequence[str], behind: Sequence[str]) -> NotDifferentiable:
        """Return the same error with the names of modules and parameters."""
        return NotDifferentiable(self.problem, modules, behind)


@contextmanager
def differentiating() -> Iterator[None]:
    """Inside this context, an operation that autograd cannot differentiate is an error of the model.

    Raises:
        NotDifferentiable: an operation of the model has no derivative.
    """
    try:
        yield
    except RuntimeError as problem:
        text = " ".join(str(problem).split())
        if not isinstance(problem, NotImplementedError) and "derivative for" not in text:
            raise
        raise NotDifferentiable(text[:200]) from problem


@contextmanager
def replaced_forward(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Replace the ``forward`` of this one module, and restore it at the end."""
    before = module.__dict__.get("forward")
    module.forward = forward
    try:
        yield
    finally:
        if before is None:
            del module.forward
        else:
            module.forward = before
