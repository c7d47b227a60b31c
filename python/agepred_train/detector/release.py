"""From the runs of a detector and its refiner to models/face_detector-<version>/: files, figures, card."""

import dataclasses
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agepred_train.detector.annotations import Annotation
from agepred_train.detector.card import write_detector_card
from agepred_train.detector.export import export_detector, quantize_detector
from agepred_train.detector.measure import Found
from agepred_train.detector.network import FaceNetwork
from agepred_train.detector.recipe import DetectorRecipe
from agepred_train.detector.scenes import BACKGROUNDS, NO_FACES, ComposedScenes, TrainingSet, backgrounds
from agepred_train.detector.threshold import best_threshold
from agepred_train.detector.train import ValidationScenes, detect, load_trained_detector, to_input
from agepred_train.fit import RECORD
from agepred_train.graph import read_keys, read_model
from agepred_train.quantize import Quantization
from agepred_train.refiner.crops import PointedFaces, RefinerCrops
from agepred_train.refiner.export import export_refiner, quantize_refiner
from agepred_train.refiner.recipe import RefinerRecipe
from agepred_train.refiner.train import load_trained_refiner
from agepred_train.release import FP32, INT8, ReleaseError, filled_folder
from agepred_train.storage import sha256_of_file

POINTS_INT8 = "points_int8.onnx"
POINTS_FP32 = "points_fp32.onnx"
FILES = (INT8, FP32, POINTS_INT8, POINTS_FP32)
NAME = "face_detector"

# What the card shows and every evaluation of the data has.
_ROWS = (
    "landmarks_full", "landmarks_quarter", "rolled", "scenes_640", "scenes_320", "calibration", "backgrounds",
)  # fmt: skip
# What the card shows where there are sets or models for it; an evaluation of all rows says why there is none.
_ROWS_IF_ANY = ("unconfirmed", "chips", "int8_vs_fp32", "steadiness")
# Sets that were trained on: the evaluation's must be the same files.
_TRAINED_ON = ("landmarks", "scenes")

# Seeds of training never reach this far: the scenes that ranges are found with are none that weights were fitted to.
_CALIBRATION_SEED = 2**31
# Sides of these scenes and how many there are of each: the large ones show how far large faces' boxes reach.
_CALIBRATION_SCENES = {320: 128, 640: 32}
_CROPS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorRuns:
    """What a release is made from."""

    detector: Path
    """Folder that `train_detector` filled."""
    refiner: Path
    """Folder that `train_refiner` filled."""


def build_files(runs: DetectorRuns, data: Path, points: Path, out: Path, *, version: str) -> float:
    """Write the four model files of a detector and its refiner into `out`.

    The score from which a box is a face is chosen on the scenes of `val` and the backgrounds of training; ranges of the
    8-bit files come from training pictures. Files of those names are replaced together, once all four are whole.

    Args:
        runs: the two training runs.
        data: folder of the archives.
        points: folder of the tables of labels that the runs were trained with.
        out: folder for the files; made where it is not there.
        version: of the release.

    Returns:
        The chosen score.

    Raises:
        ReleaseError: a run is not finished.
        FileNotFoundError, DataError, ExportError, QuantizeError: as the steps raise them.
        ValueError: there is no score to choose, or too few pictures for the ranges.
    """
    with _replaced_together(out) as folder:
        return _build(runs, data, points, folder, version)


def _build(runs: DetectorRuns, data: Path, points: Path, out: Path, version: str) -> float:
    network, recipe = load_trained_detector(runs.detector)
    _check_finished(runs.detector)
    refiner_recipe = load_trained_refiner(runs.refiner)[1]  # what cannot be read is told before minutes of work
    _check_finished(runs.refiner)
    min_score = _chosen_score(network, data)
    export_detector(runs.detector, out / FP32, version=version, min_score=min_score)
    scenes = calibration_scenes(data, points, recipe)
    quantize_detector(out / FP32, out / INT8, scenes, Quantization(crops=len(scenes)))
    name = f"{NAME}-{version} sha256:{sha256_of_file(out / INT8)}"
    export_refiner(runs.refiner, out / POINTS_FP32, version=version, detector=name)
    crops = calibration_crops(data, points, refiner_recipe)
    quantize_refiner(out / POINTS_FP32, out / POINTS_INT8, crops, Quantization(crops=len(crops)))
    return min_score


def _chosen_score(network: FaceNetwork, data: Path) -> float:
    """Choose on scenes of `val`, as they are and at half size, and on pictures without a face, which scenes are not."""
    empty = [to_input(stored.read_picture()) for stored in backgrounds(data / f"{BACKGROUNDS}.tar")]
    pictures = [*ValidationScenes(data, halved=True), *((pixels, NO_FACES) for pixels in empty)]
    answers: list[tuple[Found, Annotation]] = [(detect(network, pixels), faces) for pixels, faces in pictures]
    found, labels = zip(*answers, strict=True)
    return best_threshold(found, labels)


def _check_finished(run: Path) -> None:
    """Refuse a run whose record is not there, or none: training writes it last."""
    path = run / RECORD
    if not path.is_file():
        raise ReleaseError(f"{path}: there is no such file: the run is not finished; train it to its end with --resume")
    try:
        finished = "best" in dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        finished = False
    if not finished:
        raise ReleaseError(f"{path}: not the record of a finished run; train again")


@contextmanager
def _replaced_together(out: Path) -> Iterator[Path]:
    """Give an empty folder, and put its files into `out` if the block succeeds; else leave everything as it was."""
    existing = next(folder for folder in (out, *out.parents) if folder.exists())
    with tempfile.TemporaryDirectory(dir=existing, prefix=".agepred-") as folder:
        yield Path(folder)
        out.mkdir(parents=True, exist_ok=True)
        for file in sorted(Path(folder).iterdir()):
            file.replace(out / file.name)


def calibration_scenes(data: Path, points: Path, recipe: DetectorRecipe) -> list[NDArray[np.uint8]]:
    """Return composed training scenes of two sizes, each uint8 [3, S, S]."""
    training = TrainingSet.load(data, points, max_pictures=4 * max(_CALIBRATION_SCENES.values()))
    scenes: list[NDArray[np.uint8]] = []
    for side, count in _CALIBRATION_SCENES.items():
        changed = dataclasses.replace(recipe, seed=_CALIBRATION_SEED, side=side, largest=float(side))
        composed = ComposedScenes(training, changed)
        scenes.extend(_planar([composed[index].pixels for index in range(count)]))
    return scenes


def calibration_crops(data: Path, points: Path, recipe: RefinerRecipe) -> NDArray[np.uint8]:
    """Return training crops of the refiner, uint8 [n, 3, S, S]."""
    cut = RefinerCrops(PointedFaces.load(data, points), dataclasses.replace(recipe, seed=_CALIBRATION_SEED))
    return _planar([cut[index][0] for index in range(_CROPS)])


def release_detector(
    runs: DetectorRuns, files: Path, evaluation: Path, models: Path, *, commands: Sequence[str] = ()
) -> Path:
    """Write models/face_detector-<version>/ and return it.

    The folder is filled beside its place and renamed; a folder of that name is replaced only then.

    Args:
        runs: the two training runs, for their records.
        files: folder that `build_files` filled.
        evaluation: JSON of `agepred eval-detector` on `test`, of the int8 file (and any others beside it).
        models: where released models lie.
        commands: command lines that produced all this, in order, for the card.

    Raises:
        FileNotFoundError: a part is not there.
        ReleaseError: the parts are not of one release, or the evaluation is not of the whole split `test`.
    """
    records = {}
    keys_of = {name: read_keys(read_model(files / name)) for name in FILES}
    keys = keys_of[INT8]
    for run, names in ((runs.detector, (INT8, FP32)), (runs.refiner, (POINTS_INT8, POINTS_FP32))):
        digest = sha256_of_file(run / RECORD)
        for name in names:
            if keys_of[name].get("agepred.record") != digest:
                raise ReleaseError(f"{files / name} does not come from the run {run}: build the files again")
            if keys_of[name].get("agepred.version") != keys.get("agepred.version"):
                raise ReleaseError(f"{files / name} is of another version than {files / INT8}: build the files again")
        records[run] = json.loads((run / RECORD).read_text(encoding="utf-8"))
    for name in (POINTS_INT8, POINTS_FP32):
        if not keys_of[name].get("agepred.crop.detector", "").endswith(sha256_of_file(files / INT8)):
            raise ReleaseError(f"{files / name} belongs to another detector than {files / INT8}: build the files again")
    measured = _checked_evaluation(evaluation, files, list(records.values()))
    metrics = {
        "format": 1,
        "name": NAME,
        "version": keys["agepred.version"],
        "min_score": float(keys["agepred.face.min_score"]),
        "files": {
            name: {"bytes": (files / name).stat().st_size, "sha256": sha256_of_file(files / name)} for name in FILES
        },
        "parameters": {name: _parameters(files / name) for name in (FP32, POINTS_FP32)},
        "test": _figures(measured),
        "commands": list(commands),
        "records": {"detector": records[runs.detector], "refiner": records[runs.refiner]},
    }
    copies = {name: files / name for name in FILES}
    return filled_folder(models / f"{NAME}-{metrics['version']}", copies, metrics, write_detector_card(metrics))


def _checked_evaluation(path: Path, files: Path, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    try:
        measured: dict[str, Any] = dict(json.loads(path.read_text(encoding="utf-8")))
        known = {column["model"]["sha256"]: (name, column) for name, column in measured["columns"].items()}
        split, limit = measured["options"]["split"], measured["options"]["limit"]
        _figures(measured)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ReleaseError(f"{path}: not written by `agepred eval-detector` ({error!r}); evaluate again") from error
    own_name, own = known.get(sha256_of_file(files / INT8), ("", None))
    if own is None or (own.get("points_model") or {}).get("sha256") != sha256_of_file(files / POINTS_INT8):
        raise ReleaseError(
            f"{path}: does not measure {files / INT8} with {files / POINTS_INT8}: evaluate these two files again, "
            "without --points-model: a model is measured with the refiner beside it"
        )
    stated = float(read_keys(read_model(files / INT8))["agepred.face.min_score"])
    if own.get("min_score") not in (None, stated):
        raise ReleaseError(
            f"{path}: is at a score of {own['min_score']}, {files / INT8} states {stated}: evaluate without --min-score"
        )
    if split != "test" or limit is not None:
        raise ReleaseError(
            f"{path}: is not of the whole split `test` of the data: evaluate with --data and --split test, "
            "without --limit"
        )
    try:
        _check_rows(path, measured, own_name)
        _check_data(path, measured, records)
    except (TypeError, KeyError, AttributeError) as error:
        raise ReleaseError(f"{path}: not written by `agepred eval-detector` ({error!r}); evaluate again") from error
    return measured


def _check_rows(path: Path, measured: dict[str, Any], own: str) -> None:
    """Refuse an evaluation of some rows only: what the card does not show was measured, or could not be."""
    rows, left_out = measured["rows"], measured.get("left_out", {})
    absent = [row for row in _ROWS if own not in rows.get(row, {})]
    absent += [row for row in _ROWS_IF_ANY if own not in rows.get(row, {}) and row not in left_out]
    if absent:
        raise ReleaseError(f"{path}: has no row {absent[0]} of {own}: evaluate with --data, without --rows")


def _check_data(path: Path, measured: dict[str, Any], records: Sequence[dict[str, Any]]) -> None:
    """Refuse an evaluation on other sets than those whose `test` the runs left aside."""
    for name in _TRAINED_ON:
        for file, digest in measured["data"][name]["sha256"].items():
            trained = {record["data"][file] for record in records if file in record["data"]}
            if trained != {digest}:
                raise ReleaseError(
                    f"{path}: is of another {file} than the runs were trained with, which may have seen its pictures: "
                    "evaluate on the same data"
                )


def _figures(measured: dict[str, Any]) -> dict[str, Any]:
    """Return an evaluation without what only plots need, and without the places where files lay."""
    columns = {
        name: {part: {"sha256": file["sha256"]} for part, file in column.items() if isinstance(file, dict)}
        for name, column in measured["columns"].items()
    }
    options = {name: value for name, value in measured["options"].items() if name != "teacher"}
    return {"columns": columns, "options": options, "data": measured["data"], "rows": _without_plots(measured["rows"])}


def _without_plots(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _without_plots(branch) for name, branch in tree.items() if name not in ("curve", "histogram")}
    return tree


def _parameters(fp32: Path) -> int:
    """Return the number of weights and biases of a float file."""
    graph = read_model(fp32).graph
    read = {name for node in graph.node if node.op_type == "Conv" for name in node.input[1:]}
    return int(sum(np.prod(list(constant.dims)) for constant in graph.initializer if constant.name in read))


def _planar(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2))
