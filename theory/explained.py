"""One claim of the ledger, run and told: as text in a terminal, typeset in a notebook."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dynamics.errors import InvalidArgument, check_count
from theory.claim import Claim, Outcome, outcome_of


@dataclass(frozen=True)
class Explanation:
    """A claim and what its run found. ``print`` shows it as ``python -m theory --explain`` does, a notebook typeset.

    Attributes:
        claim: the claim.
        outcome: its verdict, strength and evidence.
    """

    claim: Claim
    outcome: Outcome

    def __str__(self) -> str:
        """Return it for a terminal: the statement, its evidence, and what is true instead."""
        from theory.ledger import load_claims  # noqa: PLC0415 - loads all claims
        from theory.report import explanation  # noqa: PLC0415

        return explanation(self.claim, self.outcome, load_claims())

    def __repr__(self) -> str:
        """Return the key and what came out, in one line."""
        return f"<{self.claim.key}: {self.outcome.verdict}, {self.outcome.strength}, {self.outcome.status}>"

    def _repr_markdown_(self) -> str:
        from theory.report import section  # noqa: PLC0415

        text = section(self.claim, self.outcome)
        text = re.sub(r"```math\n(.*?)\n```", r"$$\n\1\n$$", text, flags=re.DOTALL)
        text = re.sub(r"\$`([^`]+)`\$", r"$\1$", text)  # a code host wants $`...`$, a notebook $...$
        return re.sub(r"\[([^\]]+)\]\(#[^)]+\)", r"`\1`", text)  # no other claim stands on this page


def explain(key: str, worlds: int = 500, seed: int = 0) -> Explanation:
    """Run one claim of the ledger and tell it: the statement, its verdict and strength, and the evidence for them.

    Args:
        key: key of the claim, such as ``"jian2025.corollary-2"``; ``python -m theory --list`` shows all.
        worlds: random cases for each search, >= 1.
        seed: of the random cases, >= 0.

    Raises:
        InvalidArgument: a key that the ledger does not have, or one that stands for several claims; a number of worlds
            below 1 or a negative seed.

    Example:
        >>> explain("razin2024.ches-one-token")
        <razin2024.ches-one-token: vacuous, proved by smt, reproduced>
    """
    from theory.ledger import select_claims  # noqa: PLC0415

    check_count("worlds", worlds)
    check_count("seed", seed, minimum=0)
    if not isinstance(key, str):
        raise InvalidArgument("key", key, "the key of one claim, such as 'jian2025.corollary-2'")
    found = select_claims([key])
    if len(found) > 1:
        raise InvalidArgument("key", key, f"the key of one claim; {len(found)} claims match it")
    return Explanation(found[0], outcome_of(found[0], worlds, seed))
