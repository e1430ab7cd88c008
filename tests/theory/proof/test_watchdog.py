"""What takes too long is stopped once; what ends in time is not, and no later block is stopped in its place."""

from time import monotonic, sleep

from theory.proof import watchdog
from theory.proof.watchdog import Watchdog


def test_only_what_takes_too_long_is_stopped() -> None:
    dog, stopped = Watchdog(), []
    with dog.over(30, lambda: stopped.append("outer")):
        with dog.over(0.02, lambda: stopped.append("late")):
            sleep(0.15)
        with dog.over(0.2, lambda: stopped.append("in time")):
            pass
    with dog.over(30, lambda: stopped.append("next")):
        sleep(0.3)  # longer than the block that ended had been given
    assert stopped == ["late"]


def test_a_shorter_limit_wakes_a_thread_that_sleeps_for_a_longer_one() -> None:
    dog, stopped = Watchdog(), []
    for seconds in (20, 0.05):
        with dog.over(seconds, lambda: stopped.append(monotonic())):
            begun = monotonic()
            sleep(0.25)
    assert len(stopped) == 1
    assert stopped[0] - begun < 0.2


def test_one_thread_watches_all_blocks(monkeypatch) -> None:
    started = []
    thread = watchdog.Thread
    monkeypatch.setattr(watchdog, "Thread", lambda **options: (started.append(1), thread(**options))[1])
    dog = Watchdog()
    for _ in range(100):
        with dog.over(10, lambda: None):
            pass
    assert len(started) == 1
