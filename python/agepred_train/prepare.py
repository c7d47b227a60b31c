"""Find the faces of a collection once, keep them in a cache, and say which samples are fit for training."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from agepred_edge import Detection
from agepred_train.archive import DataError
from agepred_train.data import Collection, Sample
from agepred_train.fingerprints import NO_FINGERPRINTS, Fingerprints, fingerprints, rows_of, unknown
from agepred_train.parallel import CHUNK, in_chunks
from agepred_train.storage import replacing, sha256_of_file

# Faces.counts where the picture could not be decoded, or has more pixels a side than the core takes.
CORRUPT = -1

MIN_FACE_SIDE = 40.0
"""Training pictures whose largest face has a shorter box side are dropped unless something else is asked for, in
pixels."""

FACE_COLUMNS = ("counts", "boxes", "scores", "landmarks", "pictures")
"""Columns of `Faces` beside the names."""

# A partial cache is written after this many pictures.
_CHUNK = CHUNK


class FaceFinder(Protocol):
    """What `prepare` asks for faces: `agepred_edge.FaceDetector`, or another method with its answers."""

    face_model: Path
    points_model: Path | None

    def detect(self, picture: NDArray[np.uint8], *, pixel_format: str) -> list[Detection]:
        """Return the faces in a picture [height, width, 3], the largest first; called by several threads."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Faces:
    """What the detector found, one row per sample; rows without a face hold zeros."""

    names: NDArray[np.str_]
    """Sample names, [n]."""
    counts: NDArray[np.int32]
    """Number of faces, [n]; CORRUPT where the picture could not be decoded."""
    boxes: NDArray[np.float32]
    """Largest face's x, y, width, height in pixels, [n, 4]."""
    scores: NDArray[np.float32]
    """Largest face's score, 0 to 1, [n]."""
    landmarks: NDArray[np.float32]
    """Largest face's five points in pixels, [n, 5, 2], the person's right eye first."""
    pictures: Fingerprints
    """sha256 of the encoded pictures, [n, 32]."""
    detector: str
    """Name of the detector: its file's stem, or the folder of a release."""
    detector_sha256: str
    """sha256 of the detector's file in hex."""
    points_sha256: str
    """sha256 of the file that refined the points in hex; empty where there was none."""

    def at(self, rows: Sequence[int] | NDArray[np.intp], names: NDArray[np.str_]) -> "Faces":
        """Return some of the rows, in the order given, under these names [n]."""
        chosen = np.array(rows, np.intp)
        columns: dict[str, Any] = {name: getattr(self, name)[chosen] for name in FACE_COLUMNS}
        return replace(self, names=names, **columns)

    def row_of(self) -> dict[str, int]:
        """Return the row of each sample name."""
        return {str(name): row for row, name in enumerate(self.names)}

    def save(self, path: Path) -> None:
        """Write an uncompressed npz file; a file of that name is replaced only once the new one is whole."""
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **asdict(self))

    @staticmethod
    def load(path: Path) -> "Faces":
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            DataError: the file is not a face cache.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                columns: dict[str, Any] = {name: arrays[name] for name in Faces.__slots__ if name != "pictures"}
                # Caches of 0.1.0 do not say which pictures they are of.
                columns["pictures"] = arrays["pictures"] if "pictures" in arrays.files else NO_FINGERPRINTS
        except (ValueError, KeyError, EOFError, BadZipFile) as error:
            raise DataError(f"{path}: not a face cache ({error}); delete it and prepare again") from error
        for name in ("detector", "detector_sha256", "points_sha256"):
            columns[name] = str(columns[name])
        return Faces(**columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaning:
    """How many training samples were kept and why the others were dropped."""

    kept: int
    corrupt: int
    no_face: int
    several_faces: int
    small_face: int
    by_table: int
    """Dropped by the table of `agepred data` for other reasons, such as contradicting near-duplicates."""
    min_face_side: float
    """Faces with a shorter box side than this count as small, in pixels, where no such table has judged."""
    skipped_files: int
    """Files of the collection that were no samples at all, such as odd names in a folder."""


def prepare(collection: Collection, finder: FaceFinder, out: Path) -> Faces:
    """Find the faces in every sample and write the cache `out`; a stopped run goes on where it was.

    What the same detector and refiner found in the same bytes is not looked for again, whatever the picture is called;
    a changed picture under an old name is.
    """
    nothing = _empty(finder)
    unfinished = out.with_name(out.name + ".partial")
    samples = collection.samples
    names = np.array([sample.name for sample in samples], np.str_)
    pictures = fingerprints(samples)
    finished = _load(out, nothing)
    if np.array_equal(finished.names, names) and np.array_equal(finished.pictures, pictures):
        return finished
    out.parent.mkdir(parents=True, exist_ok=True)
    faces = _together(finished, _load(unfinished, nothing))
    missing = unknown(pictures, faces.pictures)
    detect, todo = partial(_detect, finder), [samples[row] for row in missing]
    done = 0
    for rows in in_chunks(detect, todo, description="detecting faces", chunk=_CHUNK):
        faces = _append(faces, rows, pictures[missing[done : done + len(rows)]])
        done += len(rows)
        faces.save(unfinished)
    faces = faces.at(rows_of(pictures, faces.pictures), names)
    faces.save(out)
    unfinished.unlink(missing_ok=True)
    return faces


def clean(collection: Collection, faces: Faces, min_face_side: float) -> tuple[list[Sample], Cleaning]:
    """Return the training samples that are fit for training, and the count of the rest by reason.

    What `agepred data` has judged stays as it says, but for pictures in which the detector finds nothing to cut a
    crop by. The others need exactly one face, and one that is large enough.
    """
    row_of = faces.row_of()
    kept: list[Sample] = []
    dropped = {"corrupt": 0, "no_face": 0, "several_faces": 0, "small_face": 0, "by_table": 0}
    for sample in collection.part("train"):
        row = row_of[sample.name]
        count, side = int(faces.counts[row]), float(faces.boxes[row, 2:].min())
        if sample.dropped is None:
            reason = reason_to_drop(count, side, min_face_side)
        else:
            reason = sample.dropped or reason_to_drop(min(count, 1), side, 0)
        if reason:
            dropped[reason if reason in dropped else "by_table"] += 1
        else:
            kept.append(sample)
    report = Cleaning(kept=len(kept), **dropped, min_face_side=min_face_side, skipped_files=len(collection.skipped))
    return kept, report


_Row = tuple[str, int, tuple[float, ...], float, NDArray[np.float32]]


def _detect(finder: FaceFinder, sample: Sample) -> _Row:
    nothing = ((0.0,) * 4, 0.0, np.zeros((5, 2), np.float32))
    try:
        found = finder.detect(sample.read_picture(), pixel_format="RGB")
    except ValueError:  # not to be decoded, or of a size that the core refuses
        return (sample.name, CORRUPT, *nothing)
    if not found:
        return (sample.name, 0, *nothing)
    return (sample.name, len(found), found[0].box, found[0].score, found[0].landmarks)


def _empty(finder: FaceFinder) -> Faces:
    path = finder.face_model
    return Faces(
        names=np.empty(0, np.str_),
        counts=np.empty(0, np.int32),
        boxes=np.empty((0, 4), np.float32),
        scores=np.empty(0, np.float32),
        landmarks=np.empty((0, 5, 2), np.float32),
        pictures=NO_FINGERPRINTS,
        detector=path.parent.name if path.stem in ("int8", "fp32") else path.stem,
        detector_sha256=sha256_of_file(path),
        points_sha256=sha256_of_file(finder.points_model) if finder.points_model else "",
    )


def _append(faces: Faces, rows: Sequence[_Row], pictures: Fingerprints) -> Faces:
    names, counts, boxes, scores, landmarks = zip(*rows, strict=True)
    found = replace(
        faces,
        names=np.array(names, np.str_),
        counts=np.array(counts, np.int32),
        boxes=np.array(boxes, np.float32),
        scores=np.array(scores, np.float32),
        landmarks=np.array(landmarks, np.float32),
        pictures=pictures,
    )
    return _together(faces, found)


def _together(first: Faces, second: Faces) -> Faces:
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in ("names", *FACE_COLUMNS)
    }
    return replace(first, **columns)


def _load(path: Path, nothing: Faces) -> Faces:
    """Return a cache if it was made as `nothing` would be filled, and else `nothing`."""
    if not path.exists():
        return nothing
    faces = Faces.load(path)
    same = (faces.detector_sha256, faces.points_sha256) == (nothing.detector_sha256, nothing.points_sha256)
    return faces if same and len(faces.pictures) == len(faces.names) else nothing


def reason_to_drop(count: int, shorter_side: float, min_face_side: float) -> str | None:
    """Return why a picture is not fit for training: `corrupt`, `no_face`, `several_faces`, `small_face`, or None.

    Args:
        count: of the faces found; CORRUPT where the picture could not be decoded.
        shorter_side: of the largest face's box in pixels.
        min_face_side: the least of that, in pixels.
    """
    if count == CORRUPT:
        return "corrupt"
    if count == 0:
        return "no_face"
    if count > 1:
        return "several_faces"
    return "small_face" if shorter_side < min_face_side else None
