"""Maps over pictures: they lie where the core cut the crop, and leave the rest alone."""

import numpy as np
import pytest

pytest.importorskip("PIL")

from agepred_cli.heat import CropFrame, ExplainedFace, _similarity, draw_heat
from agepred_edge import DEFAULT_POINTS, Detection, align

FRAME = CropFrame(side=64, points=DEFAULT_POINTS, first=0.5, step=32.0)


def face_at(x, y, size, angle, noise=0.0):
    """A detection whose points are the crop's, turned, with errors of their own."""
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    points = (DEFAULT_POINTS * size) @ turn + [x, y]
    points += np.random.default_rng(0).normal(size=points.shape) * noise
    return Detection(box=(x, y, size, size), score=0.9, landmarks=points.astype(np.float32))


@pytest.mark.parametrize(("angle", "noise"), [(0.0, 0.0), (0.3, 0.0), (-0.5, 3.0)])
def test_transform_is_the_cores(angle, noise):
    """The crop of a picture whose colors are its coordinates tells where each of its pixels came from."""
    y, x = np.indices((250, 250))
    picture = np.stack([x, y, np.zeros_like(x)], axis=2).astype(np.uint8)
    face = face_at(70, 80, 100, angle, noise)
    crop = align(picture, face.landmarks, side=64, points=DEFAULT_POINTS, pixel_format="RGB").astype(float)
    scale, shift = _similarity(DEFAULT_POINTS * 64, face.landmarks)
    v, u = np.indices((64, 64)) + 0.5
    expected = (u + 1j * v) * scale + shift
    inside = (np.minimum(expected.real, expected.imag) > 3) & (np.maximum(expected.real, expected.imag) < 247)
    assert inside.mean() > 0.8
    # The center of pixel (x, y) lies at (x + 0.5, y + 0.5); colors are whole numbers.
    np.testing.assert_allclose((crop[..., 0] + 0.5)[inside], expected.real[inside], atol=1)
    np.testing.assert_allclose((crop[..., 1] + 0.5)[inside], expected.imag[inside], atol=1)


def explained(face, cells):
    return ExplainedFace(face=face, label="58", answer={"age": 58.0}, map=np.asarray(cells, np.float32))


def test_colors_lie_on_the_crop_and_nowhere_else():
    picture = np.full((700, 700, 3), 120, np.uint8)
    face = face_at(200, 300, 300, 0.0)
    drawn = np.asarray(draw_heat(picture, [explained(face, [[1.0, -1.0], [1.0, -1.0]])], FRAME)).astype(int)
    red, blue = drawn[500, 215], drawn[500, 485]
    assert red[0] > 150 > red[2]
    assert blue[2] > 150 > blue[0]
    assert (drawn[:, :195] == 120).all()
    assert (drawn[605:] == 120).all()


def test_small_pictures_are_enlarged_and_faces_may_leave_them():
    picture = np.full((100, 120, 3), 120, np.uint8)
    faces = [explained(face_at(*place, 80, 0.2), [[0.0]]) for place in ((-60, -60), (90, 70), (500, 500))]
    drawn = draw_heat(picture, faces, FRAME)
    assert drawn.size == (640, 533)
    assert draw_heat(picture, [], FRAME).size == (640, 533)


def test_json_has_the_map():
    document = explained(face_at(0, 0, 50, 0.0), [[0.123456, -1.0]]).to_dict()
    assert document == {"age": 58.0, "map": [[0.1235, -1.0]]}
