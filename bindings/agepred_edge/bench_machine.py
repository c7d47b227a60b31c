"""On what a benchmark ran: processor, clock, versions, model files."""

import hashlib
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import agepred_edge

_CPUFREQ = Path("/sys/devices/system/cpu/cpu0/cpufreq")


def describe_machine() -> dict[str, Any]:
    """Processor, its features that decide int8 speed, number of cores, governor and clock; JSON-ready.

    What the system does not tell is None.
    """
    return {
        "cpu": _cpu_model(),
        "cpu_features": agepred_edge.runtime_info().cpu_features,
        "cores": os.cpu_count(),
        "load_average": _load_average(),
        "governor": _read_line(_CPUFREQ / "scaling_governor"),
        "clock_mhz": _clock_mhz(),
        "system": platform.platform(),
    }


def describe_versions() -> dict[str, str | None]:
    """Versions of what took part; None for what is not installed."""
    runtime = agepred_edge.runtime_info()
    return {
        "agepred": agepred_edge.__version__,
        "onnxruntime": runtime.onnxruntime_version,
        "numpy": _installed("numpy"),
        "torch": _installed("torch"),
        "python": platform.python_version(),
    }


def describe_file(path: Path) -> dict[str, Any]:
    """Name with its folder's, size in bytes and SHA-256 of a model file; JSON-ready. Raises OSError.

    The rest of the path is left out: results are published, and where a model lay tells nobody anything.
    """
    content = path.read_bytes()
    return {
        "file": f"{path.resolve().parent.name}/{path.name}",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _installed(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _read_line(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def _cpuinfo(key: str) -> str | None:
    for line in (_read_line(Path("/proc/cpuinfo")) or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None


def _cpu_model() -> str:
    # Arm's /proc/cpuinfo names no processor, but its device tree names the board.
    board = _read_line(Path("/proc/device-tree/model"))
    return _cpuinfo("model name") or board or platform.processor() or platform.machine()


def _clock_mhz() -> float | None:
    frequency_khz = _read_line(_CPUFREQ / "scaling_cur_freq")
    if frequency_khz is not None and frequency_khz.isdigit():
        return int(frequency_khz) / 1000
    clock = _cpuinfo("cpu MHz")
    return float(clock) if clock is not None else None


def _load_average() -> float | None:
    """Of the last minute: above the threads in use, other work disturbed the times."""
    try:
        return os.getloadavg()[0]
    except OSError:
        return None
