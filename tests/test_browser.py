"""A missing browser is a skipped test on a desk and a failed one in continuous integration."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser import find_chromium, need


@pytest.mark.parametrize(
    ("ci", "outcome"),
    [("true", "fail"), ("1", "fail"), ("", "skip"), ("false", "skip"), ("0", "skip")],
)
def test_a_missing_browser_is_red_in_ci(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ci: str, outcome: str) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", str(tmp_path))
    raised = getattr(pytest, outcome).Exception
    with pytest.raises(raised, match="Chromium is missing"):
        find_chromium()
    with pytest.raises(raised, match=r"no_such_driver\.sync_api is missing"):
        need("no_such_driver.sync_api")


def test_a_browser_on_the_path_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "chromium"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", "true")
    assert find_chromium() == str(program)
    assert need("json").dumps([]) == "[]"
