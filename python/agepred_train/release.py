"""Assemble a released model: models/<name>-<version>/ with two ONNX files, their figures and their card."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agepred_train.card import write_card
from agepred_train.evaluation.comparison import compare
from agepred_train.evaluation.figures import measure
from agepred_train.evaluation.predictions import load_answers, probabilities_file
from agepred_train.fit import RECORD
from agepred_train.graph import read_keys, read_model
from agepred_train.storage import sha256_of_file, write_json

INT8 = "int8.onnx"
FP32 = "fp32.onnx"


class ReleaseError(ValueError):
    """Parts that do not belong together; the message names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a release is assembled from."""

    run: Path
    """Folder of the training run, for its record."""
    fp32: Path
    """File that `export` wrote from that run."""
    int8: Path
    """File that `quantize` made of it."""
    fp32_test: Path
    """CSV that `evaluate_file` wrote for `fp32` on the test split, its JSON beside it."""
    int8_test: Path
    """The same for `int8`."""
    commands: Sequence[str]
    """Command lines that produced all this, in order."""


def release(parts: Parts, models: Path, *, name: str) -> Path:
    """Write models/<name>-<version>/ and return it; the version is the one in the model files.

    The folder is filled beside its place and renamed; a folder of that name is replaced only then.

    Raises:
        FileNotFoundError: a part is not there.
        DataError: a part is not the kind of file that it must be.
        ReleaseError: the parts are not of one model, or an evaluation is not of the whole split `test`.
    """
    record = _checked_record(parts)
    version = read_keys(read_model(parts.int8))["agepred.version"]
    metrics = _metrics(parts, name, version, record)
    files = {FP32: parts.fp32, INT8: parts.int8}
    return filled_folder(models / f"{name}-{version}", files, metrics, write_card(metrics))


def filled_folder(target: Path, files: Mapping[str, Path], metrics: Mapping[str, Any], card: str) -> Path:
    """Make the folder of a release at once: it is filled beside its place and renamed; an old one gives way then.

    Args:
        target: the folder.
        files: what to copy, by the name that it gets.
        metrics: content of metrics.json.
        card: content of card.md.

    Returns:
        `target`.
    """
    new, old = (target.with_name(f".{target.name}.{os.getpid()}.{word}") for word in ("new", "old"))
    new.mkdir(parents=True)
    try:
        for file, source in files.items():
            shutil.copyfile(source, new / file)
        write_json(new / "metrics.json", metrics)
        (new / "card.md").write_text(card, encoding="utf-8")
        if target.exists():
            target.rename(old)
        new.rename(target)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        if old.exists() and not target.exists():
            old.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    return target


def _checked_record(parts: Parts) -> dict[str, Any]:
    """Return the training record if files and evaluations all go back to it."""
    path = parts.run / RECORD
    record, digest = _read_object(path), sha256_of_file(path)
    for model, predictions in ((parts.fp32, parts.fp32_test), (parts.int8, parts.int8_test)):
        if read_keys(read_model(model)).get("agepred.record") != digest:
            raise ReleaseError(f"{model} does not come from the run {parts.run}: export and quantize again")
        _check_evaluation(model, predictions, record)
    return record


def _check_evaluation(model: Path, predictions: Path, record: dict[str, Any]) -> None:
    """Refuse predictions that are not this model's on the whole test split of the data it was trained on."""
    path = predictions.with_suffix(".json")
    evaluation = _read_object(path)
    if evaluation.get("model_sha256") != sha256_of_file(model):
        raise ReleaseError(f"{predictions} was not made with {model}: evaluate again")
    if evaluation.get("predictions_sha256") != sha256_of_file(predictions):
        raise ReleaseError(f"{path} does not belong to {predictions}: evaluate again")
    distributions = probabilities_file(predictions)
    found = sha256_of_file(distributions) if distributions.is_file() else None
    if found is None or evaluation.get("probabilities_sha256") != found:
        raise ReleaseError(f"{path} does not belong to {distributions}: evaluate again")
    split = evaluation.get("split")
    if split != "test":
        raise ReleaseError(
            f"{predictions} is of the split {split}, a release states `test`: evaluate with --split test"
        )
    if evaluation.get("limit") or evaluation.get("degradation"):
        raise ReleaseError(f"{predictions} is not of the whole split as it is: evaluate without --limit")
    if not evaluation.get("data_sha256") or evaluation["data_sha256"] != record.get("data", {}).get("sha256"):
        raise ReleaseError(f"{predictions} is of other data than the run was trained on: evaluate on the same")


def _read_object(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ReleaseError(f"{path}: not the JSON object that belongs there ({error}); make it again") from error


def _metrics(parts: Parts, name: str, version: str, record: dict[str, Any]) -> dict[str, Any]:
    fp32, int8 = load_answers(parts.fp32_test), load_answers(parts.int8_test)
    return {
        "format": 1,
        "name": name,
        "version": version,
        "files": {
            file: {"bytes": path.stat().st_size, "sha256": sha256_of_file(path)}
            for file, path in ((INT8, parts.int8), (FP32, parts.fp32))
        },
        "test": {INT8: measure(int8), FP32: measure(fp32)},
        "int8_against_fp32": compare(int8, fp32),
        "calibrated": int8.offsets is not None and fp32.offsets is not None,
        "commands": list(parts.commands),
        "record": record,
    }
