"""The second look from further away: only faces that the model itself calls such decide on it and on what it hides.

A model whose cells read score and size from a pixel each: red is the score, green the size. The second look adds a
border of 0.3 of each side, so that its cells read other pixels; a face can be shown to either look alone.

With a large max_side the second look may not be far enough: then there are further ones.
"""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_models import FACE_KEYS, PixelAt, face_model

from agepred_edge import FaceDetector, _core
from agepred_edge.pictures import PIXEL_FORMATS
from agepred_edge.runtime import find_runtime

STRIDE = 32
SIDE = 96
BORDER = 29  # 0.3 of the side, in whole pixels: a cell's corner at 32 k shows the pixel at 32 k - 29
FIRST, SECOND = (32, 64), (35, 67)
"""Rows and columns of the pixels that one of the looks reads; the picture's edges are left black."""
SURE, DOUBTFUL = 255, 153  # scores of 1 and of 0.6
SMALL, LARGE = 0, 255  # sides of 32 pixels and of 32 e = 87
LOW = 0.52  # above the gray beyond the picture, 128 / 255

Picture = NDArray[np.uint8]
Found = set[tuple[int, int, float, int]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It calls a face from 0.7 on, and sees faces up to 64 pixels well."""
    keys = FACE_KEYS | {"agepred.face.min_score": "0.7", "agepred.face.largest": "64"}
    size = PixelAt(1)
    path = tmp_path_factory.mktemp("models") / "face.onnx"
    return face_model(path, score=PixelAt(0), box=(0.5, 0.5, size, size), stride=STRIDE, keys=keys)


def picture(*faces: tuple[int, int, int, int]) -> Picture:
    """Black, with pixels at (row, column) that say score and size."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    for row, column, score, size in faces:
        pixels[row, column] = (score, size, 0)
    return pixels


def found(model: Path, pixels: Picture, min_score: float | None = LOW) -> Found:
    """Each face by the pixel that told of it, its score and its side."""
    settings = {} if min_score is None else {"min_score": min_score}
    faces = FaceDetector(model, points_model="none", **settings).detect(pixels, pixel_format="RGB")
    places = set()
    for face in faces:
        x, y, width, height = face.box
        places.add(
            (round(y + (height - STRIDE) / 2), round(x + (width - STRIDE) / 2), round(face.score, 2), round(width))
        )
    assert len(places) == len(faces)
    return places


def test_each_look_reads_its_own_pixels(model: Path) -> None:
    """What the tests below stand on: a sure large face of the first look calls for the second."""
    second = (SECOND[0], SECOND[1], SURE, LARGE)
    assert found(model, picture(second), None) == {(35, 67, 1.0, 87)}  # nothing seen at first: looked again
    assert found(model, picture((32, 32, SURE, SMALL), second), None) == {(32, 32, 1.0, 32)}  # not looked again
    assert found(model, picture((64, 32, SURE, LARGE), second), None) == {(64, 32, 1.0, 87), (35, 67, 1.0, 87)}


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_doubtful_face_does_not_pass_for_one_seen(model: Path, size: int) -> None:
    """A doubtful answer of the first look once kept the second one from being taken: the face was missed."""
    pixels = picture((64, 32, DOUBTFUL, size), (35, 67, SURE, SMALL))
    assert (35, 67, 1.0, 32) in found(model, pixels)
    # Who asks for doubtful faces gets this one, too.
    assert (64, 32, 0.6, 32 if size == SMALL else 87) in found(model, pixels)


def test_doubtful_large_face_does_not_call_for_a_second_look(model: Path) -> None:
    """Nor for its findings, which are for faces that are too large for the first."""
    pixels = picture((32, 32, SURE, SMALL), (64, 64, DOUBTFUL, LARGE), (35, 67, SURE, LARGE))
    assert found(model, pixels) == {(32, 32, 1.0, 32), (64, 64, 0.6, 87)}


def test_doubtful_face_of_the_second_look_hides_none_of_the_first(model: Path) -> None:
    """A large one lies over the small face; it once took its place."""
    pixels = picture((32, 32, SURE, SMALL), (64, 64, SURE, LARGE), (35, 35, DOUBTFUL, LARGE))
    assert found(model, pixels) == {(32, 32, 1.0, 32), (64, 64, 1.0, 87)}
    pixels[35, 35, 0] = SURE
    assert found(model, pixels) == {(64, 64, 1.0, 87), (35, 35, 1.0, 87)}  # a sure one does


def test_doubtful_face_of_the_first_look_hides_none_of_the_second(model: Path) -> None:
    """The sure face of the second look lies inside of a doubtful one, and the other way round."""
    inside = picture((32, 32, DOUBTFUL, LARGE), (35, 35, SURE, SMALL))
    assert (35, 35, 1.0, 32) in found(model, inside)
    around = picture((32, 32, DOUBTFUL, SMALL), (35, 35, SURE, LARGE))
    assert found(model, around) == {(35, 35, 1.0, 87)}


def test_doubtful_faces_of_both_looks(model: Path) -> None:
    """Those of the first look stay; where there are none, those of the second are what there is."""
    assert found(model, picture((32, 32, DOUBTFUL, SMALL), (67, 67, DOUBTFUL, SMALL))) == {(32, 32, 0.6, 32)}
    assert found(model, picture((67, 67, DOUBTFUL, SMALL))) == {(67, 67, 0.6, 32)}
    assert found(model, picture((67, 67, DOUBTFUL, SMALL)), None) == set()


def sure(faces: Found) -> Found:
    return {face for face in faces if face[2] >= 0.7}


def test_asking_for_doubtful_faces_changes_none_of_the_sure_ones(model: Path) -> None:
    """All pixels that either look reads, at random: a lower min_score adds faces and does nothing else."""
    rng = np.random.default_rng(3)
    more = looked = 0
    for _ in range(150):
        places = [(row, column) for rows in (FIRST, SECOND) for row in rows for column in rows]
        scores = rng.choice([0, 0, DOUBTFUL, SURE], len(places))
        sizes = rng.choice([SMALL, LARGE], len(places))
        pixels = picture(*((*place, score, size) for place, score, size in zip(places, scores, sizes, strict=True)))
        usual, low = found(model, pixels, None), found(model, pixels)
        assert sure(low) == usual
        more += low != usual
        looked += any(row in SECOND for row, *_ in usual)
    assert more > 30
    assert looked > 30


WIDE = 512
"""Side of a picture that is seen at 512 pixels, then with a border at 128 and 32; faces up to 64 are seen whole."""
Block = tuple[int, int, int]
AT_512, AT_128, AT_32 = (64, 64, 1), (104, 232, 4), (352, 352, 16)
"""Row, column and side of what one of the looks reads and the others do not."""


def wide_picture(*faces: tuple[Block, int, int]) -> Picture:
    """Black, with blocks that say score and size."""
    pixels = np.zeros((WIDE, WIDE, 3), np.uint8)
    for (row, column, side), score, size in faces:
        pixels[row : row + side, column : column + side] = (score, size, 0)
    pixels[352, 352] = pixels[360:364, 360:364] = 0  # what others read of the largest block
    return pixels


def sides_and_looks(model: Path, pixels: Picture, max_side: int = 4 * WIDE) -> tuple[list[int], int]:
    """The sides of the sure faces, largest first, and how often the model looked."""
    faces = FaceDetector(model, points_model="none", max_side=max_side).detect(pixels, pixel_format="RGB")
    timer = _core._StageTimer(str(model), "", find_runtime(), threads=1, max_side=max_side)
    return [round(face.box[2]) for face in faces], timer.detect(pixels, PIXEL_FORMATS["RGB"][0])["looks"]


@pytest.mark.parametrize(
    ("side", "max_side", "looks"),
    [
        (512, 32, 2),
        (512, 256, 2),
        (512, 257, 2),
        (512, 260, 3),
        (512, 4096, 3),
        (200, 256, 2),
        (200, 260, 3),
        (64, 4096, 2),
    ],
)
def test_looks_go_on_until_a_face_as_large_as_the_picture_is_seen_whole(
    model: Path, side: int, max_side: int, looks: int
) -> None:
    """The last side is at most 64; up to a max_side of four times that the second look is the last."""
    assert sides_and_looks(model, wide_picture()[:side, :side], max_side) == ([], looks)


@pytest.mark.parametrize(("place", "side", "looks"), [(AT_512, 32, 2), (AT_128, 128, 2), (AT_32, 512, 3)])
def test_faces_of_any_size_are_found(model: Path, place: Block, side: int, looks: int) -> None:
    """Those as large as the picture were once lost where max_side was large."""
    assert sides_and_looks(model, wide_picture((place, SURE, SMALL))) == ([side], looks)
    assert sides_and_looks(model, wide_picture((place, DOUBTFUL, SMALL))) == ([], 3)


def test_a_small_face_does_not_end_the_search_at_a_look_that_overlooks_large_ones(model: Path) -> None:
    """512 pixels are more than four times 64; 128 are not, and there a sure face is enough."""
    small, larger, largest = ((place, SURE, SMALL) for place in (AT_512, AT_128, AT_32))
    assert sides_and_looks(model, wide_picture(small, larger)) == ([128, 32], 2)
    assert sides_and_looks(model, wide_picture(small, largest)) == ([32], 2)
    assert sides_and_looks(model, wide_picture(larger, largest)) == ([128], 2)


def test_a_face_too_large_for_a_look_calls_for_the_next(model: Path) -> None:
    """It is of 87 pixels in the second look."""
    large, largest = (AT_128, SURE, LARGE), (AT_32, SURE, SMALL)
    assert sides_and_looks(model, wide_picture(large)) == ([348], 3)
    assert sides_and_looks(model, wide_picture((AT_512, SURE, SMALL), large, largest))[1] == 3
    assert sides_and_looks(model, wide_picture(large, largest)) == ([512, 348], 3)


def test_asking_for_doubtful_faces_changes_no_sure_one_of_any_look(model: Path) -> None:
    usual, low = (FaceDetector(model, points_model="none", max_side=4096, min_score=least) for least in (None, LOW))
    rng = np.random.default_rng(5)
    more = 0
    for _ in range(100):
        pixels = wide_picture(
            *((place, rng.choice([0, DOUBTFUL, SURE]), rng.choice([SMALL, LARGE])) for place in (AT_512, AT_128, AT_32))
        )
        faces = low.detect(pixels, pixel_format="RGB")
        sure_boxes = [face.box for face in faces if face.score >= 0.7]
        assert sure_boxes == [face.box for face in usual.detect(pixels, pixel_format="RGB")]
        more += len(faces) > len(sure_boxes)
    assert more > 20


@pytest.mark.parametrize("factor", [1.0, 2.5])
def test_packaged_detector_finds_the_same_sure_faces(hopper: Picture, factor: float) -> None:
    """A photograph as it is and enlarged, with many doubtful answers around the one face."""
    import cv2

    large = cv2.resize(hopper[80:400, 100:420], None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    usual = FaceDetector().detect(large, pixel_format="RGB")
    low = FaceDetector(min_score=0.01).detect(large, pixel_format="RGB")
    least = min(face.score for face in usual)
    assert len(low) > len(usual) >= 1
    boxes = [face.box for face in low if face.score >= least]
    assert boxes == [face.box for face in usual]
