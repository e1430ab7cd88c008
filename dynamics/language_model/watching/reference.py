"""The reference of a training run: where the trainer keeps it, and whether its loss needs one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dynamics.language_model.causal_lm import unwrapped
from dynamics.losses import PreferenceLoss

OWN_COPY = "ref"
"""The name of the adapter in which TRL keeps a copy of the adapters that a model was given with."""
COLUMNS = ("ref_chosen_logps", "ref_rejected_logps")
"""The columns in which TRL keeps log ref of the two responses, with ``precompute_ref_log_probs=True``."""
OF_MODEL, OF_START, OF_COLUMNS, UNKNOWN = "model", "start", "columns", "unknown"
"""Where log ref comes from, as a log has it."""
SENTENCES = {
    OF_MODEL: "The reference is the trainer's own reference model.",
    OF_START: "The reference is the model as it was before training.",
    OF_COLUMNS: "The reference is what the trainer has computed in advance (the columns ref_chosen_logps and "
    "ref_rejected_logps of its data); for the other responses the reference is unknown.",
    UNKNOWN: "The reference is unknown: training began before the callback could measure it, and the trainer keeps no "
    "reference model. Whatever needs the reference is left out.",
}


@contextmanager
def reference_model(trainer: Any) -> Iterator[Any]:
    """Provide the reference model of a trainer, as TRL finds it; None if it keeps none.

    It is ``trainer.ref_model`` if there is one. A model that was given with adapters has a copy of them under the name
    "ref", and is the reference while that is in use. A model with new adapters is its own reference while they are
    switched off. Within the context the model may be run; it is as before at the end, also which of its parameters
    require a gradient.

    Args:
        trainer: the trainer.
    """
    given = getattr(trainer, "ref_model", None)
    if given is not None:
        yield unwrapped(given)
        return
    model = unwrapped(trainer.model)
    if not hasattr(model, "disable_adapter"):
        yield None
        return
    trained = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        if OWN_COPY in getattr(model, "peft_config", {}):
            before = model.active_adapter
            model.set_adapter(OWN_COPY)
            try:
                yield model
            finally:
                model.set_adapter(before)
        else:
            with model.disable_adapter():
                yield model
    finally:
        for parameter, needed in trained:  # switching adapters decides anew which of them are trained
            if parameter.requires_grad != needed:
                parameter.requires_grad_(needed)


def row_reference(trainer: Any, row: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return log ref of the two responses of a row, where the trainer has computed them in advance; else None.

    Args:
        trainer: the trainer; unless it was asked for precomputed log-probabilities it does not use such columns.
        row: a row of its data set.
    """
    if not getattr(trainer.args, "precompute_ref_log_probs", False) or not all(name in row for name in COLUMNS):
        return None
    chosen, rejected = (float(row[name]) for name in COLUMNS)
    return chosen, rejected


def uses_reference(loss: PreferenceLoss) -> bool:
    """Return whether the value of a loss depends on the reference.

    Example:
        >>> from dynamics import DPO, SimPO
        >>> uses_reference(DPO()), uses_reference(SimPO()), uses_reference(0.5 * SimPO() + DPO())
        (True, False, True)
    """
    references = ((-3.0, -5.0), (-1.0, -9.0), (-9.0, -1.0), (-4.0, -4.0))
    values = {float(loss(-3.0, -5.0, *reference, 3, 4)) for reference in references}
    return len(values) > 1
