"""Memory that training frees and asks for again in every step."""

import ctypes

# Parameters of glibc's mallopt, from its malloc.h.
_TRIM_THRESHOLD = -1
_TOP_PAD = -2
_MMAP_MAX = -4
_ARENA_MAX = -8

# The most that fits into a C int: memory is given back to the system when the process ends.
_NEVER = 2**31 - 1
_GROWTH = 64 * 2**20


def keep_freed_memory() -> None:
    """Let the C library keep what this process frees, where by default it goes back to the system.

    A step's tensors have tens of megabytes each. By default each is mapped anew and cleared page by page by the system
    (benchmarks/training_step.py measures what that costs). Where the C library is not glibc, nothing is done.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return
    for option, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, _GROWTH), (_ARENA_MAX, 1)):
        set_option(option, value)
