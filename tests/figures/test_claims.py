"""A figure names claims; the ledger must have them."""

import pytest

from figures.catalog import FIGURES
from theory.ledger import load_claims


@pytest.mark.parametrize("key", list(FIGURES))
def test_the_claims_of_a_figure_are_in_the_ledger(key: str) -> None:
    claims = FIGURES[key].claims
    assert claims, "name at least one claim"
    missing = [name for name in claims if name not in load_claims()]
    assert not missing
