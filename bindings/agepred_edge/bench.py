"""The command agepred-bench: libagepred in int8 and fp32 and PyTorch, measured in one run, in turn.

Needs numpy and onnxruntime; PyTorch's rows appear where torch and onnx are installed. With --faces it measures face
models in its place (bench_faces.py).
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import agepred_edge
from agepred_edge import bench_faces, bench_features, bench_machine
from agepred_edge.bench_engines import (
    PYTORCH_LAYOUTS,
    Agreement,
    BenchError,
    Crop,
    Engine,
    EngineSpec,
    compare,
    noise_crops,
    pytorch_is_here,
)
from agepred_edge.bench_first import measure_first_result
from agepred_edge.bench_picture import time_picture
from agepred_edge.bench_report import render, write_json
from agepred_edge.bench_stats import Plan, Times, summarize, take_turns

_CROPS = 8
_MAX_THREADS = 64  # of the library
_FACE_SIDE = 320  # pixels; a face model's input on a small device

# Sums of the same products in another order differ by some 1e-6 a logit; what lies beyond these is a
# network that was rebuilt wrongly.
_MAX_AGE_DIFFERENCE = 0.01
_MAX_PROBABILITY_DIFFERENCE = 1e-3

_EXAMPLES = """examples:
  agepred-bench                              the packaged age model, one thread
  agepred-bench --model build/int8.onnx --threads 4
  agepred-bench --image photo.jpg            a photograph's crops, and its time stage by stage
  agepred-bench --runs 1000 --output result.json
  agepred-bench --features --model build/int8.onnx   what the output `features` costs
  agepred-bench --faces                      the packaged face model, and what its stages take
  agepred-bench --faces --face-model build/int8.onnx --against yunet_n.onnx --side 320

The engines take turns of several calls (--turn). A turn's first call runs with the caches full of
another engine's data and is reported apart (cold) from the calls after it (warm). The exit status is 1
where PyTorch and libagepred disagree about the ages, 2 where something prevents the measurement."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status: 0, 1 (engines disagree) or 2 (cannot measure)."""
    options = _parse(argv)
    try:
        _check_output(options.output)
        measured, as_text = _subject(options)
        result = measured(options)
        print(json.dumps(result, indent=2) if options.json else as_text(result))
        if options.output is not None:
            write_json(result, options.output)
    except (BenchError, agepred_edge.AgepredError, OSError, ImportError, RuntimeError) as error:
        print(f"agepred-bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130  # as shells report a command that was interrupted
    if result.get("disagreement") is not None:
        print(f"agepred-bench: {result['disagreement']}", file=sys.stderr)
        return 1
    return 0


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measures as the parsed options say and returns the JSON-ready result.

    Raises BenchError, FirstResultError, OSError and what agepred_edge and PyTorch raise.
    """
    plan = _plan(options)
    named = _named_model(options.model or "int8.onnx")
    models = _with_sibling(named)
    specs, remarks = _specs(models, options.threads, with_torch=not options.no_torch)
    machine = bench_machine.describe_machine()
    engines = {spec.name: spec.load() for spec in specs}
    info = _common_info(models)
    crops, source = _crops(options, named, info.crop_side)
    firsts = {spec.name: measure_first_result(spec, info.crop_side) for spec in specs}
    times = take_turns({name: engine.run for name, engine in engines.items()}, crops, plan)
    agreements = _agreements(engines, crops, info.first_age)
    picture = None
    if options.image is not None:
        picture = time_picture(options.image, named, plan, threads=options.threads, face_model=options.face_model,
                               points_model=options.points_model)  # fmt: skip
    return {
        "versions": bench_machine.describe_versions(),
        "machine": machine,
        "settings": {**asdict(plan), "threads": options.threads},
        "method": _method(plan),
        "models": [bench_machine.describe_file(path) for path in models],
        "crops": {"count": len(crops), "side": info.crop_side, "source": source},
        "engines": [
            {
                "name": spec.name,
                **_engine_times(times, spec.name),
                **asdict(firsts[spec.name]),
                "file_bytes": Path(spec.model).stat().st_size,
            }
            for spec in specs
        ],
        "agreements": [asdict(agreement) for agreement in agreements],
        "disagreement": _disagreement(agreements),
        "remarks": remarks,
        "picture": picture,
    }


def _plan(options: argparse.Namespace) -> Plan:
    return Plan(warmup=options.warmup, runs=options.runs, min_time_s=options.min_time, turn=options.turn)


def _subject(
    options: argparse.Namespace,
) -> tuple[Callable[[argparse.Namespace], dict[str, Any]], Callable[[dict[str, Any]], str]]:
    """What is measured, and how that is put into words."""
    if options.faces:
        return _measure_faces, bench_faces.render
    if options.features:
        return _measure_features, bench_features.render
    return measure, render


def _measure_features(options: argparse.Namespace) -> dict[str, Any]:
    models = _with_sibling(_named_model(options.model or "int8.onnx"))
    _common_info(models)
    return bench_features.measure(_plan(options), models, threads=options.threads)


def _measure_faces(options: argparse.Namespace) -> dict[str, Any]:
    return bench_faces.measure(
        _plan(options), threads=options.threads, face_model=options.face_model, points_model=options.points_model,
        against=options.against, image=options.image, side=options.side or _FACE_SIDE,
    )  # fmt: skip


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="agepred-bench",
        description="Measure an age model in libagepred, in int8 and fp32, against PyTorch on this machine; "
        "or, with --faces, a face model against another.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    defaults = Plan()
    add = parser.add_argument
    add("--model", help="ONNX file; a bare name that is no file here means "
        "that file of the packaged age model (default: int8.onnx)")  # fmt: skip
    add(
        "--threads",
        type=_number(int, 1, _MAX_THREADS),
        default=1,
        metavar="N",
        help="of each engine (default: 1)",
    )
    add("--warmup", type=_number(int, 0, 10**6), default=defaults.warmup, metavar="N",
        help=f"calls of each engine that are not timed (default: {defaults.warmup})")  # fmt: skip
    add("--runs", type=_number(int, 1, 10**6), default=defaults.runs, metavar="N",
        help=f"warm times of each engine at least (default: {defaults.runs})")  # fmt: skip
    add("--min-time", type=_number(float, 0, 86400), default=defaults.min_time_s, metavar="SECONDS",
        help=f"that the measurement lasts at least (default: {defaults.min_time_s:g})")  # fmt: skip
    add("--turn", type=_number(int, 2, 10**6), default=defaults.turn, metavar="N",
        help=f"calls in a row in an engine's turn (default: {defaults.turn})")  # fmt: skip
    add("--image", type=Path, metavar="PHOTO", help="use this picture's faces, and time the whole chain on it; "
        "with --faces: the picture, of one face (default: Grace Hopper, where matplotlib is installed)")  # fmt: skip
    add("--face-model", type=Path, metavar="FILE", help="face detector for --image and --faces")
    add("--points-model", metavar="FILE", help="refiner of the detector's points for --image and --faces, or "
        '"none" (default with --faces: the one beside the face model)')  # fmt: skip
    add("--faces", action="store_true", help="measure a face detector and its stages in place of an age model")
    add("--features", action="store_true", help="measure what an age model's output `features`, and explanations, "
        "cost")  # fmt: skip
    add("--against", type=Path, metavar="FILE", help="with --faces: a rival's file, such as YuNet's, for libagepred "
        "and for OpenCV where it is installed")  # fmt: skip
    add("--side", type=_number(int, 32, 4096), metavar="PIXELS",
        help=f"with --faces: of the picture, which becomes a square (default: {_FACE_SIDE})")  # fmt: skip
    add("--no-torch", action="store_true", help="leave PyTorch out")
    add("--json", action="store_true", help="print JSON in place of the table")
    add("--output", type=Path, metavar="FILE", help="store the JSON there too")
    add("--version", action="version", version=f"agepred {agepred_edge.__version__}")
    options = parser.parse_args(argv)
    if options.faces and (options.model is not None or options.no_torch):
        parser.error("--model and --no-torch say nothing to --faces; the face model is --face-model")
    if options.features and (options.faces or options.image is not None or options.no_torch):
        parser.error("--faces, --image and --no-torch say nothing to --features")
    if not options.faces and (options.against is not None or options.side is not None):
        parser.error("--against and --side belong to --faces")
    return options


def _number(kind: type[int] | type[float], least: float, most: float) -> Callable[[str], float]:
    """A converter for argparse that refuses what lies outside [least, most]."""

    def convert(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            name = "whole number" if kind is int else "number"
            raise argparse.ArgumentTypeError(f"'{text}' is not a {name} from {least:g} to {most:g}")
        return value

    return convert


def _check_output(output: Path | None) -> None:
    """Finds out before the measurement whether its result can be stored."""
    if output is None:
        return
    if output.is_dir():
        raise BenchError(f"--output {output}: is a folder; name a file in it")
    if not output.absolute().parent.is_dir():
        raise BenchError(f"--output {output}: there is no folder {output.parent}")


def _named_model(name: str) -> Path:
    path = agepred_edge.find_age_model(name)
    if path.is_dir():
        raise BenchError(f"--model {name}: is a folder; name a file in it")
    return path


def _with_sibling(named: Path) -> list[Path]:
    """The file and, where it has one beside it, its sibling of the other precision; int8 first."""
    precisions = [named.with_name(f"{precision}.onnx") for precision in ("int8", "fp32")]
    if named not in precisions:
        return [named]
    return [path for path in precisions if path.is_file()]


def _common_info(models: list[Path]) -> agepred_edge.ModelInfo:
    """What the files say of themselves, where they say the same of crop and ages."""
    infos = [agepred_edge.AgeEstimator(path).info for path in models]
    if len({(info.crop_side, info.first_age, info.age_count) for info in infos}) > 1:
        raise BenchError(f"{' and '.join(map(str, models))} differ in their crops or ages: not one network")
    return infos[0]


def _specs(models: list[Path], threads: int, *, with_torch: bool) -> tuple[list[EngineSpec], list[str]]:
    """What takes part, and remarks about what does not."""
    specs = [EngineSpec(name=f"libagepred {path.stem}", model=str(path), threads=threads) for path in models]
    fp32 = next((path for path in models if path.name == "fp32.onnx"), None)
    if not with_torch:
        return specs, []
    if fp32 is None:
        return specs, [f"PyTorch left out: it is rebuilt from fp32.onnx, which does not lie beside {models[0]}"]
    if not pytorch_is_here():
        return specs, ["PyTorch left out: not installed (pip install 'agepred-edge[bench]')"]
    specs += [
        EngineSpec(name=f"PyTorch {layout}", model=str(fp32), threads=threads, layout=layout)
        for layout in PYTORCH_LAYOUTS
    ]
    return specs, []


def _crops(options: argparse.Namespace, model: Path, side: int) -> tuple[list[Crop], str]:
    """Inputs of all engines, and where they come from in words."""
    if options.image is None:
        return noise_crops(_CROPS, side, seed=0), "seeded noise (says little about ages in photographs)"
    estimator = agepred_edge.AgeEstimator(model, face_model=options.face_model, points_model=options.points_model)
    crops = list(estimator.align_crops(options.image))
    if not crops:
        raise BenchError(f"--image {options.image}: no face found in it")
    return crops[:_CROPS], f"faces of {options.image.name}"


def _engine_times(times: dict[str, Times], name: str) -> dict[str, Any]:
    """Summaries of one engine, and how many times as fast as the faster PyTorch layout it is."""
    warm = {engine: summarize(taken.warm) for engine, taken in times.items()}
    cold = {engine: summarize(taken.cold) for engine, taken in times.items()}
    peers = [f"PyTorch {layout}" for layout in PYTORCH_LAYOUTS if f"PyTorch {layout}" in times]
    best = {
        kind: min((summaries[peer].p50 for peer in peers), default=None)
        for kind, summaries in (("warm", warm), ("cold", cold))
    }
    return {
        "warm": asdict(warm[name]),
        "cold": asdict(cold[name]),
        "times_pytorch_warm": best["warm"] / warm[name].p50 if best["warm"] else None,
        "times_pytorch_cold": best["cold"] / cold[name].p50 if best["cold"] else None,
    }


def _agreements(engines: dict[str, Engine], crops: list[Crop], first_age: int) -> list[Agreement]:
    """Everything else against fp32 in libagepred, where that takes part."""
    reference = "libagepred fp32"
    if reference not in engines:
        return []
    return [
        compare(crops, first_age, (name, engine), (reference, engines[reference]))
        for name, engine in engines.items()
        if name != reference
    ]


def _disagreement(agreements: list[Agreement]) -> str | None:
    """What is wrong where PyTorch answers otherwise than libagepred."""
    for one in agreements:
        apart = (
            one.max_age_difference > _MAX_AGE_DIFFERENCE or one.max_probability_difference > _MAX_PROBABILITY_DIFFERENCE
        )
        if one.of.startswith("PyTorch") and apart:
            return (
                f"{one.of} and {one.against} disagree by {one.max_age_difference:.3g} years "
                f"(at most {_MAX_AGE_DIFFERENCE} is rounding): these are times of different networks"
            )
    return None


def _method(plan: Plan) -> str:
    return (
        f"turns of {plan.turn} calls in shuffled order; cold: a turn's first call; the rest is warm; "
        "ratio: to PyTorch's faster layout; first: result in a fresh process, from its start"
    )


if __name__ == "__main__":
    sys.exit(main())
