"""Label the faces of whole sets with a teacher, once, for all later training."""

import json
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from agepred_train.archive import DataError, index_archive
from agepred_train.detector.annotations import AnnotatedPicture, Annotation, read_packed, read_rows, write_labels
from agepred_train.detector.teach import Teacher, Teaching, completed, largest
from agepred_train.progress import progress_bar
from agepred_train.storage import sha256_of_file, write_json

SCENES, LANDMARKS = "scenes", "landmarks"
CHIPS = ("utkface", "fairface")
"""Sets of cut-out faces, one face a picture, whose tables say nothing of boxes."""

_TEACHER = "teacher.json"
_SPLITS = ("train", "val")
_NO_FACES = Annotation.of(np.empty((0, 4), np.float32))


def label_sets(data: Path, teacher: Path, out: Path, *, processes: int) -> list[Path]:
    """Write a table of labels for each set in `data`, splits `train` and `val` (of the chips `train` only).

    A table that is there already is kept, so that a stopped run goes on with the next set; teacher.json says whose the
    tables are.

    Args:
        data: folder with scenes, landmarks, utkface and fairface, each a tar and a CSV of that name.
        teacher: face model that is asked.
        out: folder of the tables, each named as its set.
        processes: pictures looked at at once.

    Returns:
        The tables.

    Raises:
        FileNotFoundError: a set or the teacher is not there.
        DataError: a table or an archive is malformed, a picture cannot be decoded, or the folder's tables are another
            teacher's.
    """
    jobs: dict[str, tuple[Callable[[Path, str], list[AnnotatedPicture]], Teaching, _Rule]] = {
        SCENES: (_annotated, Teaching(), _complete),
        LANDMARKS: (_annotated, Teaching(), _landmarked),
        **{name: (_chips, Teaching(scales=(1.0,), border=0.3), _largest_only) for name in CHIPS},
    }
    Teacher(teacher, Teaching())  # what is wrong with it is said here, not by a process that dies of it
    sets = {name: read(data, name) for name, (read, _, _) in jobs.items() if not (out / f"{name}.csv").exists()}
    _claim(out, teacher)
    for name, pictures in sets.items():
        _, teaching, rule = jobs[name]
        labeled = _label(pictures, teacher, teaching, rule, processes)
        write_labels(out / f"{name}.csv", ((f"{name}.tar", picture, faces) for picture, faces in labeled))
    return [out / f"{name}.csv" for name in jobs]


def _claim(out: Path, teacher: Path) -> None:
    """Note whose tables the folder holds; refuse one that holds another teacher's."""
    path, asked = out / _TEACHER, {"file": teacher.name, "sha256": sha256_of_file(teacher)}
    if path.exists():
        try:
            known = json.loads(path.read_text(encoding="utf-8"))["sha256"]
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path}: not a note of `label-faces` ({error!r}); choose another folder") from error
        if known != asked["sha256"]:
            raise DataError(f"{path}: the tables there are another teacher's; choose another folder or remove them")
    else:
        out.mkdir(parents=True, exist_ok=True)
        write_json(path, asked)


_Labeled = tuple[str, Annotation]
_Rule = Callable[[Annotation, Annotation], Annotation]


def _label(
    pictures: list[AnnotatedPicture], teacher: Path, teaching: Teaching, rule: _Rule, processes: int
) -> list[_Labeled]:
    labeled: list[_Labeled] = []
    # Processes of their own: a fork while the bar's thread draws may never wake up.
    pool = ProcessPoolExecutor(
        processes, multiprocessing.get_context("spawn"), initializer=_start, initargs=(teacher, teaching, rule)
    )
    with pool, progress_bar() as progress:
        task = progress.add_task(f"labeling {pictures[0].stored.path.name}", total=len(pictures))
        for picture, faces in zip(pictures, pool.map(_label_one, pictures, chunksize=16), strict=True):
            labeled.append((picture.stored.name, faces))
            progress.advance(task)
    return labeled


class _Worker:
    """What a process keeps between pictures."""

    teacher: Teacher
    rule: _Rule


def _start(teacher: Path, teaching: Teaching, rule: _Rule) -> None:
    _Worker.teacher = Teacher(teacher, teaching)
    _Worker.rule = staticmethod(rule)


def _label_one(picture: AnnotatedPicture) -> Annotation:
    found, _ = _Worker.teacher.faces(picture.stored.read_picture())
    return _Worker.rule(picture.faces, found)


def _complete(labels: Annotation, found: Annotation) -> Annotation:
    return completed(labels, found)


def _largest_only(_: Annotation, found: Annotation) -> Annotation:
    return largest(found)


def _landmarked(labels: Annotation, found: Annotation) -> Annotation:
    """Give the found face around the labeled points those points; its neighbors keep what the teacher says."""
    points = labels.points[0]
    center = points.mean(axis=0)
    inside = ((found.boxes[:, :2] <= center) & (center <= found.boxes[:, :2] + found.boxes[:, 2:])).all(axis=1)
    if not inside.any():
        return Annotation.of(found.boxes, found.points, np.ones(len(found.boxes), np.bool_))
    row = int(np.where(inside, found.boxes[:, 2:].prod(axis=1), 0).argmax())
    all_points, ignored = found.points.copy(), found.ignored.copy()
    all_points[row], ignored[row] = points, False
    return Annotation.of(found.boxes, all_points, ignored)


def _annotated(data: Path, name: str) -> list[AnnotatedPicture]:
    table = data / f"{name}.csv"
    pictures = read_packed(data / f"{name}.tar", table).pictures
    return _some([picture for picture in pictures if picture.split in _SPLITS], table)


def _chips(data: Path, name: str) -> list[AnnotatedPicture]:
    archive, table = data / f"{name}.tar", data / f"{name}.csv"
    stored = index_archive(archive)
    chosen: list[AnnotatedPicture] = []
    for place, row in read_rows(table, ("file", "split")):
        if row["file"] not in stored:
            raise DataError(f"{place}: {row['file']} is not in {archive}")
        if row["split"] == "train":
            chosen.append(AnnotatedPicture(stored=stored[row["file"]], faces=_NO_FACES, split="train"))
    return _some(chosen, table)


def _some(pictures: list[AnnotatedPicture], table: Path) -> list[AnnotatedPicture]:
    if not pictures:
        raise DataError(f"{table}: no row's split is `train`")
    return pictures
