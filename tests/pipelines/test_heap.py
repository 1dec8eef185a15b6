"""What was freed is used again: no new pages are asked for."""

from __future__ import annotations

import subprocess
import sys

COUNT = """
import resource
from pipelines.heap import keep_freed_memory

def new_pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytes(bytearray(40 << 20))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

new_pages()
without = new_pages()
keep_freed_memory(64)
new_pages()
print(without, new_pages())
"""


def test_a_block_is_asked_for_once() -> None:
    done = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    without, kept = map(int, done.stdout.split())
    assert without > 10_000
    assert kept < 100
