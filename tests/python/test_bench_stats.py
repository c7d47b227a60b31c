"""The statistics of agepred-bench: known lists, and the errors that other harnesses have made."""

import gc
import random

import pytest

from agepred_edge.bench_stats import Plan, percentile, summarize, take_turns


class Clock:
    """Nanoseconds that pass only when an engine says so."""

    def __init__(self):
        self.now_ns = 0

    def __call__(self):
        return self.now_ns

    def engine(self, *durations_ms):
        """Each call takes the next of the durations, over and over."""
        calls = iter(range(10**9))

        def run(_):
            self.now_ns += int(durations_ms[next(calls) % len(durations_ms)] * 1e6)

        return run


def plan(**changes):
    return Plan(**({"warmup": 0, "runs": 1, "min_time_s": 0.0, "turn": 2} | changes))


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([7.0], 50, 7.0),
        ([1.0, 2.0], 50, 1.5),
        ([3.0, 1.0, 2.0], 50, 2.0),
        ([4.0, 1.0, 3.0, 2.0], 50, 2.5),
        ([5.0, 4.0, 3.0, 2.0, 1.0], 90, 4.6),
        ([float(value) for value in range(101)], 99, 99.0),
        ([2.0, 1.0], 0, 1.0),
        ([2.0, 1.0], 100, 2.0),
    ],
)
def test_percentile_of_known_lists(values, percent, expected):
    assert percentile(values, percent) == pytest.approx(expected)


def test_percentile_refuses_nothing_and_nonsense():
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)
    with pytest.raises(ValueError, match="0 to 100"):
        percentile([1.0], 101)


def test_summary_of_a_known_list():
    summary = summarize([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])
    assert (summary.count, summary.min, summary.max) == (8, 2.0, 9.0)
    assert (summary.p50, summary.mean) == (4.5, 5.0)
    assert summary.stddev == pytest.approx((32 / 7) ** 0.5)


def test_summary_of_one_time_has_no_spread():
    assert summarize([3.0]).stddev == 0.0


def test_summary_is_the_same_in_any_order():
    # A median taken from the middle of an unsorted list is what opencv_zoo's harness reports.
    values = [float(value) for value in range(1, 100)]
    shuffled = random.Random(1).sample(values, len(values))
    assert shuffled != values
    assert summarize(shuffled) == summarize(values)


def test_summary_leaves_its_list_as_it_was():
    values = [3.0, 1.0, 2.0]
    summarize(values)
    assert values == [3.0, 1.0, 2.0]


def test_slow_times_are_not_dropped():
    # A mean over the fastest 90 % would be 1.
    summary = summarize([1.0] * 9 + [101.0])
    assert (summary.mean, summary.max, summary.count) == (11.0, 101.0, 10)


def test_every_call_is_timed_and_the_first_of_a_turn_is_cold():
    clock = Clock()
    times = take_turns({"steady": clock.engine(5.0, 1.0, 1.0)}, ["crop"], plan(runs=6, turn=3), clock_ns=clock)[
        "steady"
    ]
    assert times.cold == [5.0, 5.0, 5.0]
    assert times.warm == [1.0] * 6


def test_times_are_kept_apart_between_engines_and_between_measurements():
    # opencv_zoo's harness lets each model's list go on with the times of the one before.
    clock = Clock()
    engines = {"slow": clock.engine(8.0), "fast": clock.engine(2.0)}
    for _ in range(2):
        times = take_turns(engines, ["crop"], plan(runs=10), clock_ns=clock)
        assert set(times["slow"].warm + times["slow"].cold) == {8.0}
        assert set(times["fast"].warm + times["fast"].cold) == {2.0}
        assert [len(one.warm) for one in times.values()] == [10, 10]


def test_warm_up_is_not_timed():
    clock = Clock()
    times = take_turns({"one": clock.engine(90.0, 90.0, 1.0, 1.0)}, ["crop"], plan(warmup=2, runs=1), clock_ns=clock)
    assert (times["one"].cold, times["one"].warm) == ([1.0], [1.0])


def test_lasts_as_long_as_asked():
    clock = Clock()
    times = take_turns({"one": clock.engine(10.0)}, ["crop"], plan(min_time_s=1.0), clock_ns=clock)
    assert len(times["one"].cold) == len(times["one"].warm) == 50


def test_engines_get_the_same_inputs_in_a_changing_order():
    seen = []
    engines = {name: lambda crop, name=name: seen.append((name, crop)) for name in "abc"}
    take_turns(engines, [0, 1, 2], plan(runs=20))
    by_engine = [[crop for name, crop in seen if name == engine] for engine in "abc"]
    assert by_engine[0] == by_engine[1] == by_engine[2]
    assert set(by_engine[0]) == {0, 1, 2}
    rounds = ["".join(name for name, _ in seen[start : start + 6 : 2]) for start in range(0, len(seen), 6)]
    assert all(sorted(order) == ["a", "b", "c"] for order in rounds)
    assert len(set(rounds)) > 2


def test_failing_engine_stops_the_measurement_and_leaves_the_collector_on():
    def fail(_):
        raise RuntimeError("broken engine")

    with pytest.raises(RuntimeError, match="broken engine"):
        take_turns({"one": fail}, ["crop"], plan())
    assert gc.isenabled()


def test_nothing_to_measure_is_refused():
    with pytest.raises(ValueError, match="nothing to measure"):
        take_turns({}, ["crop"], plan())
    with pytest.raises(ValueError, match="nothing to measure"):
        take_turns({"one": print}, [], plan())


@pytest.mark.parametrize(
    "nonsense", [{"runs": 0}, {"turn": 1}, {"warmup": -1}, {"min_time_s": -1.0}, {"min_time_s": float("nan")}]
)
def test_plan_refuses_nonsense(nonsense):
    with pytest.raises(ValueError, match="a plan needs"):
        plan(**nonsense)
