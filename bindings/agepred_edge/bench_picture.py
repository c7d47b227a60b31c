"""Times a whole picture through the chain, stage by stage: decode, detect, align, age."""

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import agepred_edge
from agepred_edge.bench_stats import Plan, summarize

STAGES = ("decode", "detect", "align", "age", "predict")


def time_picture(
    picture: Path, model: Path, plan: Plan, *, threads: int, face_model: Path | None, points_model: str | None
) -> dict[str, Any]:
    """Times of one picture's stages and of predict as a whole, which decodes nothing; JSON-ready.

    align and age are of all faces together. The stages run one after the other as in predict, so each
    finds the caches as it does there. Raises what agepred_edge raises for the files.
    """
    estimator = agepred_edge.AgeEstimator(model, face_model=face_model, points_model=points_model, threads=threads)
    detector = agepred_edge.FaceDetector(face_model, points_model=points_model, threads=threads)
    pixels = agepred_edge.read_picture(picture)
    times: dict[str, list[float]] = {stage: [] for stage in STAGES}
    warmup = math.ceil(plan.warmup / plan.turn)
    begun, faces = time.perf_counter(), 0
    while _more(len(times["predict"]), warmup + plan.runs, begun, plan.min_time_s):
        faces = _time_once(picture, estimator, detector, times)
    return {
        "file": Path(picture).name,
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "faces": faces,
        "stages": {stage: asdict(summarize(values[warmup:])) for stage, values in times.items()},
    }


def _more(rounds: int, least: int, begun: float, min_time_s: float) -> bool:
    return rounds < least or time.perf_counter() - begun < min_time_s


def _time_once(
    picture: Path,
    estimator: agepred_edge.AgeEstimator,
    detector: agepred_edge.FaceDetector,
    times: dict[str, list[float]],
) -> int:
    """Appends one time to each stage, in milliseconds, and returns the number of faces."""
    info = estimator.info
    marks = [time.perf_counter_ns()]
    pixels = agepred_edge.read_picture(picture)
    marks.append(time.perf_counter_ns())
    detections = detector.detect(pixels, pixel_format="RGB")
    marks.append(time.perf_counter_ns())
    crops = [
        agepred_edge.align(pixels, found.landmarks, side=info.crop_side, points=info.crop_points, pixel_format="RGB")
        for found in detections
    ]
    marks.append(time.perf_counter_ns())
    for crop in crops:
        estimator.predict_crop(crop)
    marks.append(time.perf_counter_ns())
    estimator.predict(pixels, pixel_format="RGB")
    marks.append(time.perf_counter_ns())
    for stage, begun, ended in zip(STAGES, marks, marks[1:], strict=False):
        times[stage].append((ended - begun) / 1e6)
    return len(detections)
