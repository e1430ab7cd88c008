"""Truncation as a trainer does it: what a maximal length leaves of a prompt and a response."""

from __future__ import annotations

from dataclasses import dataclass

from dynamics.errors import InvalidArgument, check_count
from dynamics.language_model.tokens import TokenSequence

MODES = ("keep_start", "keep_end")
"""The truncation modes, by the names that TRL gives them."""


@dataclass(frozen=True)
class Truncation:
    """How a trainer truncates prompt and response together, after TRL's ``DPOTrainer`` (1.16).

    Attributes:
        max_length: most tokens that are left; None to leave all. (TRL's default is 1024.)
        mode: ``"keep_start"``, which cuts off the end, or ``"keep_end"``.

    Raises:
        InvalidArgument: a length below 2, or another mode.
    """

    max_length: int | None = None
    mode: str = "keep_start"

    def __post_init__(self) -> None:
        if self.max_length is not None:
            check_count("max_length", self.max_length, minimum=2)
        if self.mode not in MODES:
            raise InvalidArgument("truncation_mode", self.mode, " or ".join(MODES))

    def cut(self, sequence: TokenSequence) -> TokenSequence:
        """Return what is left of a sequence.

        With ``keep_end``, the first token that is left is never predicted; if the prompt is cut off whole, this is a
        token of the response.

        Args:
            sequence: prompt and response.

        Raises:
            InvalidArgument: with ``keep_start``, nothing of the response is left: a trainer drops such a pair.

        Example:
            >>> sequence = TokenSequence((1, 2, 3, 4, 5), prompt_tokens=2)
            >>> Truncation(4).cut(sequence).ids, Truncation(4, "keep_end").cut(sequence).ids
            ((1, 2, 3, 4), (2, 3, 4, 5))
            >>> Truncation(2, "keep_end").cut(sequence)
            TokenSequence(ids=(4, 5), prompt_tokens=1, cut=False)
        """
        most, prompt = self.max_length, sequence.prompt_tokens
        if most is not None and self.mode == "keep_start" and prompt >= most:
            raise InvalidArgument(
                "prompt",
                f"it has {prompt} tokens, so that --max-length {most} leaves nothing of the responses; a trainer drops "
                "this pair",
            )
        if most is None or len(sequence.ids) <= most:
            return sequence
        if self.mode == "keep_start":
            return TokenSequence(sequence.ids[:most], prompt, sequence.cut)
        return TokenSequence(sequence.ids[-most:], max(1, prompt - (len(sequence.ids) - most)), sequence.cut)
