"""Assemble a released model: models/<name>-<version>/ with two ONNX files, their figures and their card."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agepred_train.archive import DataError
from agepred_train.calibrate import ORIGIN_KEY
from agepred_train.card import write_card
from agepred_train.fit import BEST_CHECKPOINT, RECORD
from agepred_train.graph import read_keys, read_model
from agepred_train.key_figures import reading_document, set_name
from agepred_train.resume import learned_from
from agepred_train.storage import sha256_of_file, write_json
from agepred_train.unseen import SeenError, how_unseen, is_table_of, pictures_by_set, tables_of

INT8 = "int8.onnx"
FP32 = "fp32.onnx"
FORMAT = 2
"""Of metrics.json: 2 holds several evaluations, 1 held one of UTKFace's split test."""

_COLUMN_KEYS = ("file", "sha256", "bytes", "detector_sha256", "points_sha256", "core_sha256")


class ReleaseError(ValueError):
    """Parts that do not belong together; the message names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a release is assembled from."""

    run: Path
    """Folder of the training run, for its record."""
    fp32: Path
    """File that `export` wrote from that run, calibrated or not."""
    int8: Path
    """File that `quantize` made of it, calibrated or not."""
    evaluations: Sequence[Path]
    """What `agepred eval INT8 FP32 --json` wrote, one a set; the card shows them in this order."""
    tables: Sequence[Path] = ()
    """What `agepred data` wrote for the training, where that did not read the sets as they are published."""
    teachers: Sequence[Path] = ()
    """Folders of the runs that the network learned from, as teachers or to go on from, and of those that these
    learned from: what a teacher has seen, the network has heard of."""
    commands: Sequence[str] = ()
    """Command lines that produced all this, in order."""


def release(parts: Parts, models: Path, *, name: str) -> Path:
    """Write models/<name>-<version>/ and return it; the version is the one in the model files.

    The folder is filled beside its place and renamed; a folder of that name is replaced only then.

    Raises:
        FileNotFoundError: a part is not there.
        DataError: a part is not the kind of file that it must be.
        ReleaseError, SeenError: the parts are not of one model, or an evaluation is not of a whole test set that the
            model has never seen.
    """
    record = _checked_record(parts)
    teachers = _teachers(parts, record)
    version = read_keys(read_model(parts.int8))["agepred.version"]
    metrics = {
        "format": FORMAT,
        "name": name,
        "version": version,
        "files": {file: _describe(path) for file, path in ((INT8, parts.int8), (FP32, parts.fp32))},
        "evaluations": _evaluations(parts, record, [one["record"] for one in teachers]),
        # Teachers' tables are of the same pictures, or of others: they count for what was seen, not here.
        "pictures": pictures_by_set(tables_of(parts.tables, _trained_on(record))) or None,
        "commands": list(parts.commands),
        "record": record,
        "teachers": teachers,
    }
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
    """Return the training record if both files go back to it and the table is the one that it names."""
    path = parts.run / RECORD
    record, digest = _read_object(path), sha256_of_file(path)
    for model in (parts.fp32, parts.int8):
        if read_keys(read_model(model)).get("agepred.record") != digest:
            raise ReleaseError(f"{model} does not come from the run {parts.run}: export and quantize again")
    versions = {read_keys(read_model(model)).get("agepred.version") for model in (parts.fp32, parts.int8)}
    if len(versions) > 1:
        raise ReleaseError(f"{parts.fp32} and {parts.int8} are of different versions: export and quantize again")
    return record


def _describe(model: Path) -> dict[str, Any]:
    """Return size and hash of a model file, and what it was told about its doubt."""
    keys = read_keys(read_model(model))
    return {
        "bytes": model.stat().st_size,
        "sha256": sha256_of_file(model),
        "temperature": float(keys["agepred.temperature"]),
        "calibrated": "agepred.interval.levels" in keys,
    }


def _evaluations(
    parts: Parts, record: Mapping[str, Any], teachers: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return the checked evaluations by the name of their set, the two files' columns as `int8` and `fp32`."""
    trained = [_trained_on(one) for one in (record, *teachers)]
    for path in parts.tables:
        if not any(is_table_of(path, hashes) for hashes in trained):
            raise ReleaseError(f"{path} is not a table that {parts.run} or a teacher was trained on: name those")
    trained += [hashes for model in (parts.int8, parts.fp32) if (hashes := _calibrated_on(model))]
    digests = {"int8": sha256_of_file(parts.int8), "fp32": sha256_of_file(parts.fp32)}
    result: dict[str, dict[str, Any]] = {}
    for path in parts.evaluations:
        document = _read_object(path)
        try:
            name = set_name(document)
            with reading_document():
                evaluation = _evaluation(path, document, digests, record)
                evaluation["unseen"] = _unseen(document["data"], trained, parts.tables)
        except (ReleaseError, SeenError):
            raise
        except DataError as error:
            raise ReleaseError(f"{path}: {error}; make it again") from error
        if name in result:
            raise ReleaseError(f"{path}: a second evaluation on {name}; name one of a set")
        result[name] = evaluation
    if not result:
        raise ReleaseError("no evaluations: a card without figures would say nothing; evaluate first")
    return result


def _evaluation(
    path: Path,
    document: Mapping[str, Any],
    digests: Mapping[str, str],
    record: Mapping[str, Any],
) -> dict[str, Any]:
    """Return one checked evaluation; whether its pictures were seen is not known yet."""
    columns = _columns(path, document, digests)
    _check_whole(path, document["data"])
    trained = [record["detector"][part] or "" for part in ("sha256", "points_sha256")]
    for key, (_, row) in columns.items():
        if [row[part] or "" for part in ("detector_sha256", "points_sha256")] != trained:
            raise ReleaseError(
                f"{path}: the {key} file answered for faces of another detector than it was trained with; evaluate "
                "with that one"
            )
    return {
        "data": document["data"],
        "agepred": document["agepred"],
        "bootstrap": document["bootstrap"],
        "median_train_age": document["median_train_age"],
        "columns": {key: {name: row[name] for name in _COLUMN_KEYS} for key, (_, row) in columns.items()},
        "figures": {key: _without_years(document["figures"][column]) for key, (column, _) in columns.items()},
        "constant_mae": _constant_mae(document),
        "degraded": {
            key: document["degraded"][column] for key, (column, _) in columns.items() if column in document["degraded"]
        },
        "int8_minus_fp32": document["compared"][columns["fp32"][0]],
    }


def _trained_on(record: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the hashes of what a training read."""
    try:
        return dict(record["data"]["sha256"])
    except (KeyError, TypeError, ValueError) as error:
        raise ReleaseError("a training's record does not say which data it read: train again") from error


def _calibrated_on(model: Path) -> dict[str, str]:
    """Return the hashes of what a calibration was fitted on; none where the file is not calibrated."""
    keys = read_keys(read_model(model))
    if "agepred.interval.levels" not in keys:
        return {}
    try:
        origin = json.loads(keys[ORIGIN_KEY])
        split, hashes = origin["split"], dict(origin["sha256"])
    except (KeyError, TypeError, ValueError) as error:
        raise ReleaseError(f"{model} does not say what it was calibrated on: calibrate again") from error
    if split not in {"val", "train"}:
        raise ReleaseError(
            f"{model} was calibrated on {f'the split {split}' if split else 'all pictures of a set'}: calibrate on val"
        )
    return hashes


def _unseen(data: Mapping[str, Any], trained: Sequence[Mapping[str, str]], tables: Sequence[Path]) -> str:
    """Return how it is known that the network did not see an evaluation's pictures, if its teachers did not either."""
    known, *_ = [how_unseen(data, hashes, tables_of(tables, hashes)) for hashes in trained]
    return known


def _columns(
    path: Path, document: Mapping[str, Any], digests: Mapping[str, str]
) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return name and description of the columns that the two files answered, the quantized one first."""
    found = {}
    for key, digest in digests.items():
        same = [(column, row) for column, row in document["columns"].items() if row.get("sha256") == digest]
        if not same:
            raise ReleaseError(f"{path} was not made with the {key} file: evaluate again, both files at once")
        found[key] = same[0]
    if next(iter(document["columns"])) != found["int8"][0]:
        raise ReleaseError(f"{path}: differences are of the first model to the others: name the int8 file first")
    return found


def _check_whole(path: Path, data: Mapping[str, Any]) -> None:
    if data["split"] not in (None, "test"):
        raise ReleaseError(
            f"{path} is of the split {data['split']}, a release states `test`: evaluate with --split test"
        )
    if data["limit"]:
        raise ReleaseError(f"{path} is not of all pictures: evaluate without --limit")
    if not data["sha256"]:
        raise ReleaseError(f"{path} does not say which data it is of: evaluate again")


def _without_years(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return figures without those by single year: half of the file, for a plot that the report has."""
    return {name: value for name, value in figures.items() if name != "ages"}


def _constant_mae(document: Mapping[str, Any]) -> float | None:
    """Return the mean absolute error of answering everybody with the median age, in years."""
    constant = [column for column, row in document["columns"].items() if row["kind"] == "constant"]
    mae: float | None = document["figures"][constant[0]]["mae"] if constant else None
    return mae


def _teachers(parts: Parts, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return hash and training record of every run that the network learned from, and of those that they did."""
    named = {sha256_of_file(run / BEST_CHECKPOINT): run for run in parts.teachers}
    found: dict[str, dict[str, Any]] = {}
    missing = learned_from(record)
    while missing:
        digest = missing.pop(0)
        if digest in found:
            continue
        if digest not in named:
            raise ReleaseError(
                f"{parts.run} was taught by, or began from, a run whose checkpoint has the sha256 {digest}: name it "
                "with --teacher, so that it can be told what was learned from it"
            )
        found[digest] = _read_object(named[digest] / RECORD)
        missing += learned_from(found[digest])
    if strangers := sorted(str(run) for digest, run in named.items() if digest not in found):
        raise ReleaseError(f"{', '.join(strangers)}: neither taught {parts.run} nor began it; name the runs that did")
    return [{"sha256": digest, "record": one} for digest, one in found.items()]


def _read_object(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ReleaseError(f"{path}: not the JSON object that belongs there ({error}); make it again") from error
