"""What the numbers of a watched run are made into: the sentences about chosen responses that fell."""

from __future__ import annotations

import pytest

from dynamics.language_model.watching.comparison import causes
from dynamics.language_model.watching.page import make_page
from dynamics.language_model.watching.run_log import RunLog


def log_of(changes: list[float], displaced: list[bool] | None) -> RunLog:
    """Return the log of a run of one look, with a change of log pi(chosen) and an audit for each pair."""
    names = [f"train {number}" for number in range(len(changes))]
    sides = {"chosen": [-1.0] * len(changes), "rejected": [-2.0] * len(changes)}
    after = {"chosen": [-1.0 + change for change in changes], "rejected": [-3.0] * len(changes)}
    return RunLog(
        run={"names": names, "loss": "DPO(beta=0.1)", "left_out": []},
        start={"step": 0, "log_probs": sides},
        audit=None if displaced is None else {"pairs": [{"displaced": one} for one in displaced]},
        looks=[{"step": 4, "log_probs": after, "rate_sum": 4e-5}],
    )


ALSO = (
    "the 3 chosen responses that fell would also have been lowered, before training, by a small step of gradient "
    "descent on"
)


@pytest.mark.parametrize(
    ("displaced", "beginnings"),
    [
        ([True, True, False, True], [f"2 of {ALSO} their own", "1 of the 3 would not; other pairs"]),
        ([True, False, False, True], [f"1 of {ALSO} its own", "2 of the 3 would not; other pairs"]),
        ([True, True, True, False], [f"3 of {ALSO} their own"]),
        ([False, False, False, True], ["None of the 3 chosen responses that fell would have been lowered"]),
    ],
)
def test_the_causes_count_only_the_chosen_responses_that_fell(displaced: list[bool], beginnings: list[str]) -> None:
    """The last pair rises, so that it is in no count, whatever the audit says of it."""
    found = causes(log_of([-0.2, -0.1, -0.3, 0.4], displaced))
    assert len(found) == len(beginnings)
    assert all(sentence.startswith(beginning) for sentence, beginning in zip(found, beginnings, strict=True))


def test_no_cause_is_told_where_nothing_fell_or_no_audit_was_made() -> None:
    assert causes(log_of([0.1, 0.2], [True, False])) == []
    assert causes(log_of([-0.1, 0.2], None)) == []


def test_the_page_says_it_before_the_pictures() -> None:
    said = [("3 x 4 = ?", "12", "15")] * 2
    page = make_page(log_of([-0.1, 0.2], [True, True]), [], said)
    assert page.index("1 of the 1 chosen responses that fell would also have been lowered") < page.index("<svg")
    assert "their own pair.</strong>" not in make_page(log_of([0.1, 0.2], [True, True]), [], said)
