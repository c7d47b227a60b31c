"""Time to the first result and peak memory of an engine, each taken in a fresh process.

The time runs from the start of the process to its first answer: the interpreter, imports, loading the
model and one call. PyTorch's includes reading the ONNX file that it is rebuilt from.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from agepred_edge.bench_engines import EngineSpec, noise_crops

_CHILD = "import sys; from agepred_edge import bench_first; bench_first.report_first_result(sys.argv[1])"
_TIMEOUT_S = 300.0


class FirstResultError(RuntimeError):
    """An engine that fails in a process of its own; the message has that process's last words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstResult:
    """What an engine costs before it is of use."""

    first_result_ms: float
    """From the start of the process; median of the processes."""
    peak_memory_mib: float
    """Resident; median of the processes."""


def measure_first_result(spec: EngineSpec, side: int, *, processes: int = 3) -> FirstResult:
    """Loads the engine in that many fresh processes, one after the other, for crops of that side."""
    results = [_run_child(spec, side) for _ in range(processes)]
    return FirstResult(
        first_result_ms=statistics.median(elapsed for elapsed, _ in results),
        peak_memory_mib=statistics.median(memory for _, memory in results),
    )


def report_first_result(task: str) -> None:
    """Runs in the fresh process: loads, answers once, prints the moment and the peak memory as JSON."""
    arguments = json.loads(task)
    engine = EngineSpec(**arguments["spec"]).load()
    engine.run(noise_crops(1, arguments["side"], seed=0)[0])
    done_ns = time.monotonic_ns()
    print(json.dumps({"done_ns": done_ns, "peak_memory_mib": peak_memory_mib()}))


def peak_memory_mib() -> float:
    """Most resident memory that this process has had so far, in MiB.

    On Linux from /proc, because there ru_maxrss also counts what the parent held when it started us.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024) if sys.platform == "darwin" else peak / 1024


def _run_child(spec: EngineSpec, side: int) -> tuple[float, float]:
    """Milliseconds and MiB of one process."""
    task = json.dumps({"spec": spec.to_dict(), "side": side})
    begun_ns = time.monotonic_ns()  # the same clock in every process of the machine
    try:
        child = subprocess.run(
            [sys.executable, "-c", _CHILD, task],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise FirstResultError(f"{spec.name} gave no result in {_TIMEOUT_S:.0f} s") from None
    if child.returncode != 0:
        last_words = child.stderr.strip().splitlines() or [f"exit status {child.returncode}"]
        raise FirstResultError(f"{spec.name} failed in a fresh process: {last_words[-1]}")
    result = json.loads(child.stdout.splitlines()[-1])
    return (result["done_ns"] - begun_ns) / 1e6, result["peak_memory_mib"]
