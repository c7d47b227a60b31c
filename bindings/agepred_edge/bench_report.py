"""The plain-text page that agepred-bench prints, and the JSON file that it stores."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WARM_COLUMNS = ("p50", "p90", "p99", "min", "mean", "stddev")
_HEADINGS = ("engine", *WARM_COLUMNS, "ratio", "cold p50", "ratio", "first", "MiB peak", "MiB file")


def render(result: dict[str, Any]) -> str:
    """The whole result as text for a terminal, without a newline at its end."""
    crops = result["crops"]
    parts = [
        render_head(result, [("crops", f"{crops['count']} of {crops['side']} px, {crops['source']}")]),
        render_table(_HEADINGS, [_engine_row(engine) for engine in result["engines"]]),
        "\n".join(_notes(result)),
    ]
    if result["picture"] is not None:
        parts.append(_render_picture(result["picture"]))
    return "\n\n".join(part for part in parts if part)


def render_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their longest entry: the first flush left, the others flush right."""
    lines = [headings, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def render_head(result: dict[str, Any], inputs: Sequence[tuple[str, str]]) -> str:
    """On what was measured, with what and how; inputs: lines about what the engines were given."""
    machine, settings = result["machine"], result["settings"]
    versions = ", ".join(f"{name} {version or 'absent'}" for name, version in result["versions"].items())
    lines = [
        (
            "cpu",
            f"{machine['cpu']}, {machine['cores']} cores ({machine['cpu_features'] or 'no features known'})",
        ),
        ("clock", _clock(machine)),
        ("versions", versions),
    ]
    lines += [
        ("model", f"{model['file']}  {_mib(model['bytes'])} MiB  sha256 {model['sha256'][:12]}")
        for model in result["models"]
    ]
    lines += [*inputs, ("threads", f"{settings['threads']}"), ("method", result["method"])]
    return "\n".join(f"{name:<9} {text}" for name, text in lines)


def ratio(value: float | None) -> str:
    """A ratio for a cell of a table."""
    return "-" if value is None else f"{value:.2f}"


def write_json(result: dict[str, Any], path: Path) -> None:
    """Stores the result: written beside and renamed, so that no reader meets half a file.

    Raises OSError, and leaves nothing behind then.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _clock(machine: dict[str, Any]) -> str:
    clock = machine["clock_mhz"]
    load = machine["load_average"]
    return ", ".join(
        (
            f"{clock:.0f} MHz" if clock is not None else "not readable",
            f"governor {machine['governor'] or 'not readable'}",
            f"load {load:.1f} at the start" if load is not None else "load not readable",
        )
    )


def _engine_row(engine: dict[str, Any]) -> list[str]:
    warm, cold = engine["warm"], engine["cold"]
    return [
        engine["name"],
        *(f"{warm[key]:.3f}" for key in WARM_COLUMNS),
        ratio(engine["times_pytorch_warm"]),
        f"{cold['p50']:.3f}",
        ratio(engine["times_pytorch_cold"]),
        f"{engine['first_result_ms']:.0f}",
        f"{engine['peak_memory_mib']:.0f}",
        _mib(engine["file_bytes"]),
    ]


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.2f}"


def _notes(result: dict[str, Any]) -> list[str]:
    warm, cold = result["engines"][0]["warm"], result["engines"][0]["cold"]
    lines = [f"times in ms: {warm['count']} warm and {cold['count']} cold of each engine, none dropped"]
    lines += [
        f"{one['of']} against {one['against']}: age differs by {one['mean_age_difference']:.2g} years "
        f"on average, {one['max_age_difference']:.2g} at most; "
        f"a probability by {one['max_probability_difference']:.1e} at most"
        for one in result["agreements"]
    ]
    return [*lines, *result["remarks"]]


def _render_picture(picture: dict[str, Any]) -> str:
    title = (
        f"{picture['file']}: {picture['width']} x {picture['height']} pixels, faces: {picture['faces']}; "
        "predict is detect, align and age in one call"
    )
    rows = [
        [stage, *(f"{summary[column]:.3f}" for column in WARM_COLUMNS)] for stage, summary in picture["stages"].items()
    ]
    return title + "\n" + render_table(("stage", *WARM_COLUMNS), rows)
