"""Takes times of several engines in turn and sums them up.

Every engine gets the same inputs. A round gives each engine one turn of several calls in a row, in an
order that is shuffled anew for every round. The first call of a turn finds the processor's caches full
of another engine's data and is kept apart as *cold*; the calls after it are *warm*. No time is dropped.
"""

import gc
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

Input = TypeVar("Input")

_NS_PER_MS = 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How much is measured."""

    warmup: int = 20
    """Calls of each engine before any time is taken."""
    runs: int = 200
    """Warm times that each engine gets at least."""
    min_time_s: float = 10.0
    """Seconds that the rounds last at least, all engines together."""
    turn: int = 50
    """Calls in a row in a turn, the cold one included; a network of a few MiB is warm after some ten."""
    seed: int = 0
    """Of the shuffled order of turns."""

    def __post_init__(self) -> None:
        """Refuses numbers that measure nothing."""
        if self.warmup < 0 or self.runs < 1 or self.turn < 2:
            raise ValueError("a plan needs warmup >= 0, runs >= 1 and turn >= 2")
        if not (math.isfinite(self.min_time_s) and self.min_time_s >= 0):
            raise ValueError("a plan needs a finite min_time_s >= 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """All times of one engine in milliseconds, in the order in which they were taken."""

    cold: list[float] = field(default_factory=list)
    """One a turn: its first call."""
    warm: list[float] = field(default_factory=list)
    """The other calls."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What a list of times comes to; all but count in milliseconds."""

    count: int
    p50: float
    p90: float
    p99: float
    min: float
    max: float
    mean: float
    stddev: float
    """Of the sample (divisor count - 1); 0 for a single time."""


def percentile(values: Sequence[float], percent: float) -> float:
    """Value below which that percentage of the values lies, linear between neighbors.

    The values may come in any order. Raises ValueError if there are none or percent is not in [0, 100].
    """
    if not values:
        raise ValueError("no values to take a percentile of")
    if not 0 <= percent <= 100:
        raise ValueError(f"a percentile lies in 0 to 100, not at {percent}")
    ordered = sorted(values)
    rank = (len(ordered) - 1) * percent / 100
    below = math.floor(rank)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (rank - below)


def summarize(times_ms: Sequence[float]) -> Summary:
    """Sums up times in milliseconds, all of them; raises ValueError if there are none."""
    count = len(times_ms)
    p50, p90, p99 = (percentile(times_ms, percent) for percent in (50, 90, 99))
    mean = math.fsum(times_ms) / count
    squares = math.fsum((value - mean) ** 2 for value in times_ms)
    return Summary(
        count=count,
        p50=p50,
        p90=p90,
        p99=p99,
        min=min(times_ms),
        max=max(times_ms),
        mean=mean,
        stddev=math.sqrt(squares / (count - 1)) if count > 1 else 0.0,
    )


def take_turns(
    engines: Mapping[str, Callable[[Input], object]],
    inputs: Sequence[Input],
    plan: Plan,
    *,
    clock_ns: Callable[[], int] = time.perf_counter_ns,
) -> dict[str, Times]:
    """Calls the engines in turn as planned and returns their times by name.

    What an engine raises passes through. clock_ns is there for tests.
    """
    if not engines or not inputs:
        raise ValueError("nothing to measure: no engines or no inputs")
    for engine in engines.values():
        for call in range(plan.warmup):
            engine(inputs[call % len(inputs)])
    times = {name: Times() for name in engines}
    order = list(engines)
    shuffle = random.Random(plan.seed).shuffle
    # The collector would strike in whichever engine's time its threshold happens to be reached.
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        begun, rounds = clock_ns(), 0
        while rounds * (plan.turn - 1) < plan.runs or clock_ns() - begun < plan.min_time_s * 1e9:
            shuffle(order)
            for name in order:
                first = rounds * plan.turn
                turn = [inputs[call % len(inputs)] for call in range(first, first + plan.turn)]
                _take_turn(engines[name], turn, times[name], clock_ns)
            rounds += 1
    finally:
        if collecting:
            gc.enable()
    return times


def _take_turn(
    engine: Callable[[Input], object], turn: Sequence[Input], times: Times, clock_ns: Callable[[], int]
) -> None:
    """Appends the times of one turn, a call for each of its inputs."""
    for call, one in enumerate(turn):
        begun = clock_ns()
        engine(one)
        elapsed_ms = (clock_ns() - begun) / _NS_PER_MS
        (times.warm if call else times.cold).append(elapsed_ms)
