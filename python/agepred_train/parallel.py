"""One piece of work on many items: on all cores, with a progress bar, in chunks that can be kept."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from agepred_train.progress import progress_bar

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 1000
"""Items whose results are lost at worst when a stage is stopped: about ten seconds of work on one core."""


def in_chunks(
    work: Callable[[Item], Result], items: Sequence[Item], *, description: str, start: int = 0, chunk: int = CHUNK
) -> Iterator[list[Result]]:
    """Yield the results of `items[start:]` in order, a chunk at a time.

    Threads suffice: decoding, hashing, detecting and cutting all release the interpreter's lock. A chunk is yielded
    before the next one begins, so memory holds the results of one.

    Args:
        work: what is done to an item; must be safe in several threads. What it raises ends the iteration.
        items: all of them.
        description: shown beside the progress bar.
        start: number of the items that are done already.
        chunk: items in a chunk, at least 1.
    """
    if start >= len(items):
        return  # a bar of nothing says nothing
    with progress_bar() as progress, ThreadPoolExecutor(core_count()) as pool:
        task = progress.add_task(description, total=len(items), completed=start)
        for first in range(start, len(items), chunk):
            results = []
            for result in pool.map(work, items[first : first + chunk]):
                results.append(result)
                progress.advance(task)
            yield results


def core_count() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0))
