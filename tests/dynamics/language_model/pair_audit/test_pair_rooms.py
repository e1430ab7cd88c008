"""The rooms of the audit: a pair enters each of them once, and only measuring needs the model."""

from __future__ import annotations

from tests.dynamics.language_model.test_rooms import floors, imports, without_a_floor

AUDIT = "pair_audit."


def audit_rooms() -> dict[str, set[str]]:
    """Return which rooms of the audit each of them imports from."""
    found: dict[str, set[str]] = {}
    for name, others in imports().items():
        if name.startswith(AUDIT):
            room = name.removeprefix(AUDIT).split(".")[0]
            inside = {other.removeprefix(AUDIT).split(".")[0] for other in others if other.startswith(AUDIT)}
            found.setdefault(room, set()).update(inside - {room})
    return found


def test_no_room_is_entered_again_from_one_that_it_leads_to() -> None:
    found = audit_rooms()
    assert {"reading", "results", "measuring", "report", "decision"} <= found.keys()
    assert without_a_floor(found) == set()
    assert len(floors(found)) <= 3
    assert "measuring" not in found["report"] | found["decision"] | found["results"] | found["reading"]


def test_a_way_back_would_be_seen() -> None:
    found = audit_rooms()
    assert without_a_floor(found | {"reading": found["reading"] | {"measuring"}}) != set()
