"""While it works, a decision that takes long says what it does, on a terminal and in a notebook."""

import time
from io import StringIO

import pytest
from rich.console import Console

from theory.decision import progress


def test_a_long_decision_shows_what_it_does_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    def shown(terminal: bool, silent: float) -> str:
        monkeypatch.setattr(progress, "SILENT", silent)
        console = Console(file=StringIO(), force_terminal=terminal)
        with progress.Shown(console) as told:
            told.doing("asking the solver")
            time.sleep(0.15)
            told.doing("exact worlds")
            told.world()
        return console.file.getvalue()

    assert "exact worlds" in shown(terminal=True, silent=0.0)
    assert shown(terminal=True, silent=60.0) == shown(terminal=False, silent=0.0) == ""


def test_a_long_decision_says_in_a_notebook_what_it_does_and_removes_it_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from IPython.core.displaypub import CapturingDisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    shell.display_pub = CapturingDisplayPublisher()
    notebook = Console(file=StringIO(), force_jupyter=True)

    def shown(silent: float) -> list[str]:
        shell.display_pub.outputs.clear()
        monkeypatch.setattr(progress, "SILENT", silent)
        with progress.Shown(notebook) as told:
            told.doing("asking <it>")
            end = time.monotonic() + (0.1 if silent else 20.0)
            while told._bar is None and time.monotonic() < end:
                time.sleep(0.01)
            told.doing("asking <it> again")
            for _ in range(100):  # too many to show each
                told.world()
            told.doing("exact worlds")
        return [output["data"]["text/html"] for output in shell.display_pub.outputs]

    try:
        assert shown(60.0) == []
        lines = shown(0.0)
        assert lines[0] == lines[-1] == ""
        assert lines[-2] == "<em>exact worlds; examined so far: 100</em>"
        assert "<em>asking &lt;it&gt; again; examined so far: 0</em>" in lines
        assert len(lines) < 20
        assert len({output.get("transient", {}).get("display_id") for output in shell.display_pub.outputs}) == 1
    finally:
        InteractiveShell.clear_instance()
