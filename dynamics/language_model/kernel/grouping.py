"""The parts of a kernel, grouped by decoder layer or by kind of module."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from torch import Tensor

from dynamics.errors import InvalidArgument

By = Literal["layer", "kind"]


def group_parts(by_module: Mapping[str, Tensor], by: Sequence[By]) -> dict[tuple[str, ...], Tensor]:
    """Return the sums of the parts of a kernel by decoder layer, by kind of module, or by both.

    Args:
        by_module: the part of each module, by its name.
        by: ``"layer"`` is the number of the decoder layer, empty outside of them; ``"kind"`` is the name of the module
            within it, such as ``self_attn.q_proj``.

    Raises:
        InvalidArgument: nothing or something else to group by.

    Example:
        >>> import torch
        >>> parts = {"model.layers.0.mlp": torch.ones(1), "model.layers.1.mlp": torch.ones(1), "lm_head": torch.ones(1)}
        >>> group_parts(parts, ["kind"])
        {('mlp',): tensor([2.]), ('lm_head',): tensor([1.])}
    """
    if not by or not set(by) <= {"layer", "kind"}:
        raise InvalidArgument("by", by, "'layer', 'kind' or both")
    groups: dict[tuple[str, ...], Tensor] = {}
    for name, part in by_module.items():
        inside = re.fullmatch(r".*?\.(\d+)\.(.*)", name)
        layer, kind = inside.groups() if inside else ("", name)
        key = tuple({"layer": layer, "kind": kind}[one] for one in by)
        groups[key] = groups[key] + part if key in groups else part
    return dict(sorted(groups.items(), key=lambda item: [(len(text), text) for text in item[0]]))
