"""For tests of claims: claims of their own, which are not in the ledger afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from theory.claim import CLAIMS
from theory.statement import claims_of


@pytest.fixture
def claim() -> Iterator[Any]:
    """Yield the decorator of claims of the paper "trial", and remove them from the ledger at the end."""
    before = set(CLAIMS)
    yield claims_of("trial")
    for key in set(CLAIMS) - before:
        del CLAIMS[key]
