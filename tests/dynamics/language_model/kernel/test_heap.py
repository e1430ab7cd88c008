"""What was freed in the middle of the heap is given back, and stays with the process otherwise."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dynamics.language_model.kernel.heap import give_back_freed_memory

MEASURE = """
import sys
import psutil
from dynamics.language_model.kernel.heap import give_back_freed_memory

resident = lambda: psutil.Process().memory_info().rss / 2**20
before = resident()
blocks = [bytearray(b"x" * 50_000) for _ in range(4000)]  # 190 MiB, in blocks too small to have pages of their own
del blocks[:-1]
freed = resident() - before
assert give_back_freed_memory()
print(freed, resident() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measures glibc")
def test_gaps_between_what_lives_are_given_back() -> None:
    if not give_back_freed_memory():
        pytest.skip("a C library that keeps what was freed")
    done = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    kept, left = map(float, done.stdout.split())
    assert kept > 150  # the last block stands at the end of the heap
    assert left < 40
