"""Decoding and suppression against OpenCV's own YuNet, and what the detector does with pictures of any size."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from agepred_edge import Detection, FaceDetector

SCORE = 0.6
OVERLAP = 0.3


def opencv_faces(yunet: Path, bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Rows of x, y, width, height, ten numbers of points, score."""
    height, width = bgr.shape[:2]
    detector = cv2.FaceDetectorYN.create(str(yunet), "", (width, height), SCORE, OVERLAP)
    faces = detector.detect(bgr)[1]
    return np.zeros((0, 15), np.float32) if faces is None else faces


def largest_first(faces: NDArray[np.float32]) -> NDArray[np.float32]:
    return faces[np.argsort(-faces[:, 2] * faces[:, 3], kind="stable")]


def assert_same_faces(ours: list[Detection], theirs: NDArray[np.float32]) -> None:
    assert len(ours) == len(theirs)
    for face, row in zip(ours, largest_first(theirs), strict=True):
        assert np.abs(np.array(face.box) - row[:4]).max() <= 1
        assert np.abs(face.landmarks.ravel() - row[4:14]).max() <= 1
        assert abs(face.score - row[14]) <= 0.01


def scenes(shared: Path, count: int) -> list[NDArray[np.uint8]]:
    import io
    import tarfile

    from PIL import Image

    pictures = []
    with tarfile.open(shared / "data" / "scenes.tar") as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
        for member in members[:: len(members) // count][:count]:
            file = archive.extractfile(member)
            assert file is not None
            pictures.append(np.asarray(Image.open(io.BytesIO(file.read())).convert("RGB")))
    return pictures


def test_same_faces_as_opencv_on_scenes(shared: Path, yunet: Path) -> None:
    """Pictures with many faces, few and none, in sizes that are no multiples of the strides."""
    detector = FaceDetector(yunet, points_model="none", min_score=SCORE)
    found = 0
    for picture in scenes(shared, 40):
        bgr = np.ascontiguousarray(picture[..., ::-1])
        theirs = opencv_faces(yunet, bgr)
        if len(theirs) == 0 or theirs[:, 2:4].max() >= 250:
            continue  # then ours looks a second time, from further away
        ours = detector.detect(bgr, pixel_format="BGR")
        assert_same_faces(ours, theirs)
        found += len(ours)
    assert found >= 60


def eye_distance(face: Detection) -> float:
    return float(np.linalg.norm(face.landmarks[0] - face.landmarks[1]))


@pytest.mark.parametrize("factor", [1, 4, 6, 10])
@pytest.mark.parametrize("margin", [0, 10, 30])
def test_second_look_finds_a_face_that_fills_the_picture(
    yunet: Path, hopper: NDArray[np.uint8], margin: int, factor: int
) -> None:
    """At the network's full size YuNet takes parts of such a face for faces of their own, its points far off."""
    tight = hopper[160 - margin : 310 + margin, 195 - margin : 335 + margin]
    large = cv2.resize(tight, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    (face,) = FaceDetector(yunet, points_model="none").detect(large, pixel_format="RGB")
    assert abs(eye_distance(face) / factor - 82.5) < 0.1 * 82.5  # 82.5 pixels apart in the photograph


@pytest.mark.parametrize("factor", [0.25, 0.5, 2.0, 5.0])
def test_points_scale_with_the_picture(yunet: Path, hopper: NDArray[np.uint8], factor: float) -> None:
    """A larger picture is shrunk for the network, and its answer is scaled back to the picture."""
    detector = FaceDetector(yunet, points_model="none")
    expected = detector.detect(hopper, pixel_format="RGB")[0]
    area = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(hopper, None, fx=factor, fy=factor, interpolation=area)
    (face,) = detector.detect(scaled, pixel_format="RGB")
    # YuNet's own points move that much from one size of the same face to another.
    assert np.abs(face.landmarks / factor - expected.landmarks).max() < 0.2 * eye_distance(expected)


def test_largest_face_first(yunet: Path, hopper: NDArray[np.uint8]) -> None:
    small = cv2.resize(hopper, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    canvas = np.full((600, 1000, 3), 90, np.uint8)
    canvas[: small.shape[0], : small.shape[1]] = small
    canvas[:, 400 : 400 + hopper.shape[1]] = hopper
    faces = FaceDetector(yunet, points_model="none").detect(canvas, pixel_format="RGB")
    assert len(faces) == 2
    assert faces[0].box[2] > 2 * faces[1].box[2]
    assert faces[0].landmarks[0, 0] < faces[0].landmarks[1, 0]  # the person's right eye lies left in the picture


def test_min_score_of_yunet(yunet: Path, shared: Path) -> None:
    """Its files name none: 0.6 is the core's, and lies between the sure and the unsure faces of these scenes."""
    usual, same = FaceDetector(yunet, points_model="none"), FaceDetector(yunet, points_model="none", min_score=SCORE)
    low = FaceDetector(yunet, points_model="none", min_score=0.3)
    counts = np.zeros(3, int)
    for picture in scenes(shared, 10):
        counts += [len(detector.detect(picture, pixel_format="RGB")) for detector in (usual, same, low)]
    assert counts[0] == counts[1] < counts[2]


@pytest.mark.parametrize(
    "setting",
    [
        {"min_score": -1.0},
        {"min_score": 0},
        {"min_score": 2.0},
        {"max_side": 8},
        {"max_side": 0},
        {"threads": 1000},
        {"smallest_face": 0},
        {"smallest_face": -5.0},
        {"smallest_face": 1e6},
        {"smallest_face": float("nan")},
    ],
)
def test_settings_out_of_range(yunet: Path, setting: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(setting))):
        FaceDetector(yunet, **setting)  # type: ignore[arg-type]
