"""agepred-bench --features: what an age model's output `features` costs, and what an explanation does.

Each file takes turns with a copy of itself that lacks the output, in one process: first where nobody asks for the
features, which the runtime computes all the same, then where every answer is explained.
"""

import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import agepred_edge
from agepred_edge import bench_machine
from agepred_edge.bench_engines import BenchError, Crop, noise_crops
from agepred_edge.bench_report import WARM_COLUMNS, ratio, render_head, render_table
from agepred_edge.bench_stats import Plan, summarize, take_turns

FEATURES = "features"

_CROPS = 8
_KINDS = ("warm", "cold")


def measure(plan: Plan, models: list[Path], *, threads: int) -> dict[str, Any]:
    """Measures and returns the JSON-ready result.

    Args:
        plan: how much is measured.
        models: age models of one network, each with the output.
        threads: of each engine.

    Raises:
        BenchError: a model lacks the output, or onnx is not installed.
        OSError, and what agepred_edge raises for the files.
    """
    machine = bench_machine.describe_machine()
    with tempfile.TemporaryDirectory(prefix="agepred-") as folder:
        engines: dict[str, Callable[[Crop], object]] = {}
        plain_of: dict[str, str] = {}
        for path in models:
            estimator = agepred_edge.AgeEstimator(path, threads=threads)
            plain = agepred_edge.AgeEstimator(copy_without_features(path, Path(folder)), threads=threads)
            names = [f"{path.stem} {what}" for what in ("without features", "with features", "explained")]
            engines |= dict(
                zip(names, (plain.predict_crop, estimator.predict_crop, estimator.explain_crop), strict=True)
            )
            plain_of |= dict.fromkeys(names, names[0])
        info = estimator.info
    crops = noise_crops(_CROPS, info.crop_side, seed=0)
    times = take_turns(engines, crops, plan)
    medians = {
        name: {"warm": summarize(taken.warm).p50, "cold": summarize(taken.cold).p50} for name, taken in times.items()
    }
    return {
        "versions": bench_machine.describe_versions(),
        "machine": machine,
        "settings": {**asdict(plan), "threads": threads},
        "method": _method(plan),
        "models": [bench_machine.describe_file(path) for path in models],
        "crops": {"count": _CROPS, "side": info.crop_side, "source": "seeded noise"},
        "map": list(info.map_shape),
        "engines": [
            {
                "name": name,
                "warm": asdict(summarize(taken.warm)),
                "cold": asdict(summarize(taken.cold)),
                "of_the_time_without": {kind: medians[name][kind] / medians[plain_of[name]][kind] for kind in _KINDS},
            }
            for name, taken in times.items()
        ],
    }


def render(result: dict[str, Any]) -> str:
    """The whole result as text for a terminal, without a newline at its end."""
    crops = result["crops"]
    headings = ("engine", *WARM_COLUMNS, "ratio", "cold p50", "ratio")
    rows = [
        [
            engine["name"],
            *(f"{engine['warm'][key]:.3f}" for key in WARM_COLUMNS),
            ratio(engine["of_the_time_without"]["warm"]),
            f"{engine['cold']['p50']:.3f}",
            ratio(engine["of_the_time_without"]["cold"]),
        ]
        for engine in result["engines"]
    ]
    source = f"{crops['count']} of {crops['side']} px, {crops['source']}"
    return "\n\n".join(
        [
            render_head(result, [("crops", source), ("map", " x ".join(map(str, result["map"])))]),
            render_table(headings, rows),
            "times in ms; ratio: to the same file without the output",
        ]
    )


def copy_without_features(path: Path, folder: Path) -> Path:
    """Writes a copy of a model file that does not answer its features, and returns where it lies.

    Raises:
        BenchError: the file does not answer them, or onnx is not installed.
    """
    try:
        import onnx  # noqa: PLC0415 - agepred-bench must work without it
    except ImportError as missing:
        raise BenchError("--features needs onnx: pip install 'agepred-edge[bench]'") from missing
    model = onnx.load_model_from_string(path.read_bytes())
    graph = model.graph
    outputs = [output for output in graph.output if output.name != FEATURES]
    if len(outputs) == len(graph.output):
        raise BenchError(f"{path}: the model has no output `features`; name one that has it with --model")
    del graph.output[:]
    graph.output.extend(outputs)
    # What made nothing but the output goes with it.
    if not any(FEATURES in node.input for node in graph.node):
        kept = [node for node in graph.node if list(node.output) != [FEATURES]]
        del graph.node[:]
        graph.node.extend(kept)
    target = folder / f"{path.stem}-without-features.onnx"
    onnx.save(model, target)
    return target


def _method(plan: Plan) -> str:
    return (
        f"turns of {plan.turn} calls in shuffled order; cold: a turn's first call; the rest is warm; whole calls of "
        "predict_crop on a copy of the file without the output and on the file itself, and of explain_crop"
    )
