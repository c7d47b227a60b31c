"""Freed memory is kept: large arrays are not mapped and cleared anew each time."""

import ctypes
import subprocess
import sys

import pytest

_PROGRAM = """
import resource
import numpy as np
from agepred_train.memory import keep_freed_memory

keep_freed_memory()
def step():
    for megabytes in (48, 3, 20):
        np.empty(megabytes * 2**20, np.uint8)[:: 4096] = 1
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_a_second_step_touches_no_new_pages() -> None:
    # A process of its own: the option holds for the rest of a process's life.
    run = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    # Each step has 18,176 pages of 4 KB.
    assert int(run.stdout) < 200
