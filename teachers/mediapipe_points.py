"""Ask MediaPipe's face mesh for the five points of every face in our tables of labels.

A teacher for training only, in an environment of its own (teachers/README.md); no package of ours imports it.

    python teachers/mediapipe_points.py build/detector/labels ../shared/data build/detector/points

Reads every table of the first folder and the tar archives that they name, and writes the same tables with the points of
faces of at least --min-side pixels replaced by the mesh's. Where the mesh finds nothing that agrees with the box, the
points become unknown. The mesh puts the nose and the corners of the mouth a little elsewhere than the annotators of
landmarks.csv: the mean difference on that set's training faces, in each face's own frame, is taken off everywhere, and
those faces keep the annotators' points. Finished tables are kept, so that a stopped run goes on.
"""

import argparse
import csv
import io
import os
import tarfile
from collections import defaultdict
from multiprocessing import Pool
from pathlib import Path

import cv2
import mediapipe
import numpy as np
from PIL import Image

# Vertices of the mesh: Google's canonical face model. Eyes are means of six lid points, as in landmarks.csv.
RIGHT_EYE = (33, 133, 160, 158, 153, 144)
LEFT_EYE = (362, 263, 385, 387, 373, 380)
NOSE, RIGHT_MOUTH, LEFT_MOUTH = 4, 61, 291

NAMES = ("right_eye", "left_eye", "nose", "right_mouth", "left_mouth")
COLUMNS = [f"{name}_{axis}" for name in NAMES for axis in "xy"]
REFERENCE = "landmarks"
SIDE = 320  # of the square that the mesh is shown, in pixels
MARGIN = 1.9  # side of that square over the longer side of the box


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("labels", type=Path, help="folder of tables from `agepred label-faces`")
    parser.add_argument("data", type=Path, help="folder of the archives that they name")
    parser.add_argument("out", type=Path, help="folder of the new tables")
    parser.add_argument("--min-side", type=float, default=40, help="smaller faces keep their points (pixels)")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    tables = sorted(arguments.labels.glob("*.csv"), key=lambda path: (path.stem != REFERENCE, path.name))
    if not tables:
        parser.error(f"{arguments.labels}: no tables; write them with `agepred label-faces`")
    arguments.out.mkdir(parents=True, exist_ok=True)
    offset_file = arguments.out / "offset.npy"
    for table in tables:
        target = arguments.out / table.name
        if target.exists():
            continue
        with table.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            header, rows = reader.fieldnames, list(reader)
        ask_mesh(rows, arguments.data, arguments.min_side, arguments.processes)
        if table.stem == REFERENCE:
            np.save(offset_file, mean_offset(rows))
        offset = np.load(offset_file) if offset_file.exists() else np.zeros((5, 2))
        for row in rows:
            settle(row, offset, keep=table.stem == REFERENCE)
        temporary = target.with_suffix(".tmp")
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, header, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        temporary.replace(target)
        asked = [row for row in rows if "mesh" in row]
        found = sum(row["mesh"] is not None for row in asked)
        print(f"{target}: {len(rows)} faces, {len(asked)} asked for, {found} found; offset {np.abs(offset).max():.3f}")


def ask_mesh(rows: list[dict], data: Path, min_side: float, processes: int) -> None:
    """Add to each face that is large enough the key `mesh`: points [5, 2] in pixels of its picture, or None."""
    pictures = defaultdict(list)
    for number, row in enumerate(rows):
        if row["x"] and row["ignored"] != "1" and min(float(row["w"]), float(row["h"])) >= min_side:
            pictures[row["archive"], row["file"]].append(number)
    places = {}
    for archive in {archive for archive, _ in pictures}:
        with tarfile.open(data / archive, "r:") as tar:
            places |= {
                (archive, member.name.removeprefix("./")): (data / archive, member.offset_data, member.size)
                for member in tar
                if member.isfile()
            }
    jobs = [
        (places[key], [[float(rows[number][name]) for name in ("x", "y", "w", "h")] for number in numbers])
        for key, numbers in pictures.items()
    ]
    with Pool(processes) as pool:
        for done, (numbers, answers) in enumerate(
            zip(pictures.values(), pool.imap(mesh_points, jobs, chunksize=16), strict=True), 1
        ):
            for number, answer in zip(numbers, answers, strict=True):
                rows[number]["mesh"] = answer
            if done % 500 == 0 or done == len(jobs):
                print(f"\r{done} of {len(jobs)} pictures", end="" if done < len(jobs) else "\n", flush=True)


_mesh = None


def mesh_points(job) -> list:
    """Return the points of each box in a picture, or None where the mesh finds no face that agrees with it."""
    global _mesh  # noqa: PLW0603  # one network a process
    if _mesh is None:
        _mesh = mediapipe.solutions.face_mesh.FaceMesh(
            static_image_mode=True, refine_landmarks=True, max_num_faces=2, min_detection_confidence=0.3
        )
    (path, offset, size), boxes = job
    with path.open("rb") as file:
        file.seek(offset)
        picture = np.asarray(Image.open(io.BytesIO(file.read(size))).convert("RGB"))
    return [points_in_box(picture, box) for box in boxes]


def points_in_box(picture: np.ndarray, box: list[float]) -> np.ndarray | None:
    """Return the five points of the face that fills a box, in pixels of the picture."""
    x, y, width, height = box
    side = MARGIN * max(width, height)
    scale = SIDE / side
    left, top = x + width / 2 - side / 2, y + height / 2 - side / 2
    matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    shrink = int(max(1, 1 / scale))
    source = picture
    if shrink > 1:
        source = cv2.resize(picture, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
        matrix[:, :2] *= picture.shape[1] / source.shape[1]
    shown = cv2.warpAffine(source, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    answer = _mesh.process(shown)
    best, best_distance = None, 0.35  # of the box's longer side: farther off it is another face
    for face in answer.multi_face_landmarks or ():
        mesh = np.array([[point.x, point.y] for point in face.landmark]) * side + (left, top)
        five = np.array(
            [
                mesh[list(RIGHT_EYE)].mean(0),
                mesh[list(LEFT_EYE)].mean(0),
                mesh[NOSE],
                mesh[RIGHT_MOUTH],
                mesh[LEFT_MOUTH],
            ]
        )
        extent = mesh.max(0) - mesh.min(0)
        center = (mesh.max(0) + mesh.min(0)) / 2
        distance = np.hypot(*(center - (x + width / 2, y + height / 2))) / max(width, height)
        alike = 0.6 < max(extent) / max(width, height) < 1.6
        if alike and distance < best_distance:
            best, best_distance = five, distance
    return best


def frame(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a face's rotation with scale (2 x 2, unit: distance between the eyes) and its origin, between the eyes."""
    along = points[1] - points[0]
    return np.array([along, [-along[1], along[0]]]).T, points[:2].mean(axis=0)


def mean_offset(rows: list[dict]) -> np.ndarray:
    """Return how far the mesh lies from the labels on average, [5, 2], in the frames of the faces."""
    offsets = []
    for row in rows:
        if row.get("mesh") is None or not row[COLUMNS[0]]:
            continue
        labeled = np.array([float(row[name]) for name in COLUMNS]).reshape(5, 2)
        axes, _ = frame(labeled)
        offset = np.linalg.solve(axes, (row["mesh"] - labeled).T).T
        if np.abs(offset).max() < 0.3:  # more is a gross error of one of the two, or a neighbor
            offsets.append(offset)
    print(f"mean offset of {len(offsets)} faces, in distances between the eyes:\n{np.mean(offsets, axis=0).round(4)}")
    return np.mean(offsets, axis=0)


def settle(row: dict, offset: np.ndarray, *, keep: bool) -> None:
    """Write the mesh's points into a row, corrected, or empty its points where the mesh was asked in vain."""
    if "mesh" not in row or keep:
        return
    if row["mesh"] is None:
        row.update(dict.fromkeys(COLUMNS, ""))
        return
    axes, _ = frame(row["mesh"])
    corrected = row["mesh"] - offset @ axes.T
    row.update({name: f"{value:.2f}" for name, value in zip(COLUMNS, corrected.ravel(), strict=True)})


if __name__ == "__main__":
    main()
