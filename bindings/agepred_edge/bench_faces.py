"""agepred-bench --faces: face models against each other on a picture of one face, and what their stages take.

The whole call of every engine is timed in turn, as bench_stats has it. A second series of turns takes the stages of
libagepred's engines, by the core's own clock, on the same picture and on a crowded one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agepred_edge import bench_machine
from agepred_edge.bench_engines import BenchError
from agepred_edge.bench_face_engines import (
    STAGES,
    FaceSpec,
    Pixels,
    crowd,
    face_specs,
    find_picture,
    middle_square,
    opencv_engine,
    resized,
)
from agepred_edge.bench_report import WARM_COLUMNS, ratio, render_head, render_table
from agepred_edge.bench_stats import Plan, Times, summarize, take_turns

_KINDS = ("warm", "cold")


def measure(
    plan: Plan,
    *,
    threads: int,
    face_model: Path | None,
    points_model: str | None,
    against: Path | None,
    image: Path | None,
    side: int,
) -> dict[str, Any]:
    """Measures and returns the JSON-ready result.

    Raises BenchError, OSError and what agepred_edge raises for the files.
    """
    specs = face_specs(face_model, points_model, against)
    machine = bench_machine.describe_machine()
    file = find_picture(image)
    square = middle_square(file)
    picture = resized(square, side)
    detectors = {spec.name: spec.detector(side, threads) for spec in specs}
    boxes = {name: [face.box for face in one.detect(picture, pixel_format="RGB")] for name, one in detectors.items()}
    counts = {name: len(found) for name, found in boxes.items()}
    engines: dict[str, Callable[[Pixels], object]] = {
        name: lambda pixels, one=one: one.detect(pixels, pixel_format="RGB")  # type: ignore[misc]
        for name, one in detectors.items()
    }
    opencv, remarks = None, []
    if against is not None:
        try:
            engine, opencv = opencv_engine(against, picture, threads)
            name = f"OpenCV {against.stem}"
            engines[name], counts[name] = engine, engine(picture)
        except BenchError as reason:
            remarks.append(f"OpenCV left out: {reason}")
    _require_one_face(counts, file, side)
    box = [number * len(square) / side for number in boxes[specs[0].name][0]]
    crowded, tiles = crowd(square, box, side)
    times = take_turns(engines, [picture], plan)
    pictures = {"one face": picture, f"{tiles} faces": crowded}
    parts = _measure_stages(specs, pictures, plan, threads)
    ours = len(specs) if against is None else len(specs) - 1
    rivals = list(engines)[ours:]
    return {
        "versions": {**bench_machine.describe_versions(), "opencv": opencv},
        "machine": machine,
        "settings": {**asdict(plan), "threads": threads, "side": side},
        "method": _method(plan),
        "models": [bench_machine.describe_file(path) for path in _files(specs)],
        "picture": {
            "file": file.name,
            "source": f"the middle square of {file.name}, resized to {side} x {side}",
            "crowd": f"{tiles} times its face, {crowded.shape[1]} x {crowded.shape[0]}",
        },
        "engines": [
            {
                "name": name,
                **_files_of(specs, name),
                **{kind: asdict(summarize(getattr(times[name], kind))) for kind in _KINDS},
                "times_as_fast_as": ratios(times, name, rivals),
            }
            for name in engines
        ],
        "stages": parts,
        "remarks": remarks + _looks_remarks(parts),
    }


def ratios(times: Mapping[str, Times], name: str, rivals: Sequence[str]) -> dict[str, dict[str, float]]:
    """How many times as fast as each of the rivals an engine is, by the medians of warm and of cold calls."""

    def median(engine: str, kind: str) -> float:
        return summarize(getattr(times[engine], kind)).p50

    return {rival: {kind: median(rival, kind) / median(name, kind) for kind in _KINDS} for rival in rivals}


def sum_up_stages(calls: Sequence[Mapping[str, int]], plan: Plan) -> dict[str, Any]:
    """Summaries of the stages of calls that take_turns made, in milliseconds, warm and cold; JSON-ready.

    decode_per_network is the share of the network's median time that goes from its answers to faces.
    """
    timed = calls[plan.warmup :]
    turns = {
        "warm": [call for number, call in enumerate(timed) if number % plan.turn],
        "cold": list(timed[:: plan.turn]),
    }
    stages = {
        stage: {kind: asdict(summarize([call[stage] / 1e6 for call in turns[kind]])) for kind in _KINDS}
        for stage in STAGES
    }
    share = {kind: stages["decode"][kind]["p50"] / stages["network"][kind]["p50"] for kind in _KINDS}
    return {"faces": calls[-1]["faces"], "looks": calls[-1]["looks"], "stages": stages, "decode_per_network": share}


def render(result: dict[str, Any]) -> str:
    """The whole result as text for a terminal, without a newline at its end."""
    picture = result["picture"]
    warm, cold = (result["engines"][0][kind]["count"] for kind in _KINDS)
    parts = [
        render_head(result, [("picture", picture["source"]), ("crowd", picture["crowd"])]),
        render_table(("engine", *WARM_COLUMNS, "cold p50"), [_engine_row(engine) for engine in result["engines"]]),
        _render_ratios(result["engines"]),
        render_table(
            ("stages, warm p50", "picture", "found", "looks", *STAGES, "decode / network", "cold"),
            [_stages_row(part) for part in result["stages"]],
        ),
        "\n".join([f"times in ms: {warm} warm and {cold} cold of each engine, none dropped", *result["remarks"]]),
    ]
    return "\n\n".join(part for part in parts if part)


def _measure_stages(
    specs: list[FaceSpec], pictures: dict[str, Pixels], plan: Plan, threads: int
) -> list[dict[str, Any]]:
    recorders = {
        (spec.name, about): spec.stage_recorder(picture, threads)
        for spec in specs
        for about, picture in pictures.items()
    }
    named = {f"{name}, {about}": recorder for (name, about), recorder in recorders.items()}
    take_turns(named, [None], plan)
    return [
        {"engine": name, "picture": about, **sum_up_stages(recorder.calls, plan)}
        for (name, about), recorder in recorders.items()
    ]


def _require_one_face(counts: dict[str, int], file: Path, side: int) -> None:
    """Times of different numbers of faces cannot be compared, and a refiner's is that of one face."""
    for name, count in counts.items():
        if count != 1:
            found = "no face" if count == 0 else f"{count} faces"
            raise BenchError(
                f"{file}: {name} finds {found} in its middle square at {side} x {side}; name a picture with --image in "
                "which every engine finds exactly one"
            )


def _files(specs: list[FaceSpec]) -> list[Path]:
    return [path for spec in specs for path in (spec.face_model, spec.points_model) if path is not None]


def _files_of(specs: list[FaceSpec], name: str) -> dict[str, str | None]:
    """What an engine of libagepred runs; OpenCV runs the rival's file."""
    spec = next((spec for spec in specs if spec.name == name), specs[-1])
    refiner = spec.points_model.name if spec.points_model is not None else None
    return {"face_model": spec.face_model.name, "points_model": refiner}


def _looks_remarks(parts: list[dict[str, Any]]) -> list[str]:
    return [
        f"{part['engine']} looks {part['looks']} times at the picture of {part['picture']}: its times are of all looks"
        for part in parts
        if part["looks"] != 1
    ]


def _engine_row(engine: dict[str, Any]) -> list[str]:
    name = engine["name"] if engine["points_model"] is None else f"{engine['name']} + {engine['points_model']}"
    return [name, *(f"{engine['warm'][key]:.3f}" for key in WARM_COLUMNS), f"{engine['cold']['p50']:.3f}"]


def _render_ratios(engines: list[dict[str, Any]]) -> str:
    rivals = list(engines[0]["times_as_fast_as"])
    if not rivals:
        return ""
    headings = [f"{rival}, {kind}" for rival in rivals for kind in _KINDS]
    rows = [
        [engine["name"], *(ratio(engine["times_as_fast_as"][rival][kind]) for rival in rivals for kind in _KINDS)]
        for engine in engines
    ]
    return render_table(("times as fast as", *headings), rows)


def _stages_row(part: dict[str, Any]) -> list[str]:
    medians = [f"{part['stages'][stage]['warm']['p50']:.4f}" for stage in STAGES]
    shares = [f"{100 * part['decode_per_network'][kind]:.2f} %" for kind in _KINDS]
    return [part["engine"], part["picture"], str(part["faces"]), str(part["looks"]), *medians, *shares]


def _method(plan: Plan) -> str:
    return (
        f"turns of {plan.turn} calls in shuffled order; cold: a turn's first call; the rest is warm; whole calls of "
        "detect; then, in turns of their own, its stages by the core's clock: fill (the picture into the network's "
        "input), network, decode (its answers to faces: decoding, suppression, sorting), refine (the points model)"
    )
