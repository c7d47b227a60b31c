"""What the figures of `agepred eval-detector` are made of: pieces of pictures, spreads, pairs of answers, drawings."""

import io

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("typer")

from agepred_train.archive import StoredPicture
from agepred_train.detector import steadiness as steadinesses
from agepred_train.detector import survey as surveys
from agepred_train.detector.annotations import Annotation
from agepred_train.detector.measure import point_errors
from agepred_train.detector.steadiness import SCALES, SHIFTS, _Answer, shifted, spread
from agepred_train.detector.survey import Clock, Column, survey, tiles, turned, turned_points, whole
from agepred_train.detector.worst import Case, thumbnail
from agepred_train.plots import Line, plot, steps

VARIANTS = 1 + len(SHIFTS) + len(SCALES)
FIVE = np.array([[30, 40], [70, 40], [50, 60], [35, 80], [65, 80]], np.float64)


def png(picture):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


class Everywhere:
    """Stands in for a detector: one answer, as large as the picture."""

    def detect(self, picture, *, pixel_format):
        from agepred_edge import Detection

        height, width = picture.shape[:2]
        return [Detection(box=(0, 0, width, height), score=0.9, landmarks=np.zeros((5, 2), np.float32))]


def test_survey_keeps_the_order_of_pictures_and_pieces(tmp_path):
    sizes = [(40, 30), (700, 330)]
    pictures = []
    for number, size in enumerate(sizes):
        path = tmp_path / f"{number}.png"
        path.write_bytes(png(np.zeros((*size[::-1], 3), np.uint8)))
        pictures.append(StoredPicture(name=path.name, path=path, size=path.stat().st_size))
    clock = Clock()
    views = {"whole": whole, "tiles": tiles(320, 1.0, mirrored=False)}
    found = survey("test", pictures, views, {("one", "work"): Everywhere()}, clock)
    assert [one.boxes[0, 2:].tolist() for one in found["one", "work", "whole"]] == [list(size) for size in sizes]
    assert [one.boxes[0, 2:].tolist() for one in found["one", "work", "tiles"]] == [[40, 30], *[[320, 320]] * 6]
    assert clock.seconds["one"] > 0


def test_tiles_cover_every_pixel():
    picture = np.arange(400 * 700 * 3, dtype=np.uint32).reshape(400, 700, 3).view(np.uint8)[..., :3]
    marked = np.zeros((400, 700, 3), np.uint8)
    for piece in tiles(320, 1.0, mirrored=False)(marked):
        assert piece.shape == (320, 320, 3)
        piece[:] = 1  # pieces are views
    assert marked.all()
    assert [piece.shape for piece in tiles(320, 0.5, mirrored=True)(picture)] == [(200, 320, 3)] * 2


@pytest.mark.parametrize("degrees", [40, -40, 13])
def test_turned_points_lie_where_the_turned_picture_shows_them(degrees):
    picture = np.zeros((90, 140, 3), np.uint8)
    picture[20:23, 100:103] = 255
    shown = turned(degrees)(picture)[0]
    rows, columns = np.nonzero((shown > 190).all(axis=2))
    center = turned_points(np.array([[101.5, 21.5]]), degrees, (140, 90), (shown.shape[1], shown.shape[0]))[0]
    assert center == pytest.approx([columns.mean() + 0.5, rows.mean() + 0.5], abs=0.3)
    assert (shown[0, 0] == 128).all()


def test_shifted_picture_repeats_its_edge():
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4, 1).repeat(3, axis=2)
    moved = shifted(picture, 1, -1)[..., 0]
    assert moved.tolist() == [[4, 4, 5, 6], [8, 8, 9, 10], [8, 8, 9, 10]]
    assert {max(abs(right), abs(down)) for right, down in SHIFTS} == set(range(1, 9))


def test_steady_answers_have_no_spread():
    figures = spread([[_Answer(points=FIVE, age=30.0)] * VARIANTS] * 2)
    assert (figures["missed"], figures["all"]["faces"]) == (0, 2)
    for part in ("all", "shifts", "scales"):
        assert figures[part]["age_stddev"] == figures[part]["points_stddev"] == 0


def test_spread_by_hand():
    # Ages of 20 and 22 in turn among an even number of answers: one year. Eyes 40 apart, points 2 to either side.
    answers = [_Answer(points=FIVE + np.array([2 * (-1) ** n, 0]), age=21.0 + (-1) ** n) for n in range(VARIANTS - 1)]
    figures = spread([[None, *answers]])
    assert figures["missed"] == 1
    assert figures["all"]["age_stddev"] == pytest.approx(1.0)
    assert figures["all"]["points_stddev"] == pytest.approx(2 / 40)
    nothing = spread([[None] * VARIANTS])
    assert nothing["all"]["faces"] == 0
    assert nothing["all"]["age_stddev"] is None


def test_ages_that_were_not_asked_for_have_no_figure():
    figures = spread([[_Answer(points=FIVE, age=float("nan"))] * VARIANTS])
    assert figures["all"]["age_stddev"] is None
    assert figures["all"]["points_stddev"] == 0


def test_settings_that_are_not_set_are_left_to_the_model(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(surveys, "FaceDetector", lambda model, **settings: seen.append(settings))
    model = tmp_path / "face.onnx"
    model.write_bytes(b"")
    Column(name="own", model=model).detector()
    Column(name="set", model=model, min_score=0.4, points_model="none").detector(min_score=0.02, max_side=320)
    assert seen == [{"max_side": 640}, {"max_side": 320, "min_score": 0.02, "points_model": "none"}]


def test_thumbnails_of_odd_places_can_be_drawn():
    picture = np.zeros((50, 80, 3), np.uint8)
    for focus in ([-500, -500, 20, 20], [70, 40, 300, 300], [79, 49, 0, 0], [200, 200, 10, 10]):
        boxes = np.array([focus], np.float32)
        case = Case(
            column="", kind="", badness=(0,), caption="", load=lambda: picture,
            focus=boxes[0], labels=boxes, answers=boxes, label_points=FIVE, answer_points=FIVE,
        )  # fmt: skip
        assert max(Image.open(io.BytesIO(thumbnail(case))).size) == 200


def test_plot_escapes_names_and_stays_inside():
    drawn = plot("<t>", "x", "y", [Line(name="a&b", x=[0, 2], y=[0, 5])])
    assert "&lt;t&gt;" in drawn
    assert "a&amp;b" in drawn
    x, y = steps([0, 0.5, 1], [1, 3])
    assert (x, y) == ([0, 0.5, 0.5, 1], [0.25, 0.25, 0.75, 0.75])


def test_no_face_no_error():
    assert point_errors([], []) == []


class Boxes:
    """Stands in for a detector: the same answers, as shares of the picture, whatever it shows."""

    def __init__(self, *answers):
        self.answers = answers

    def detect(self, picture, *, pixel_format):
        from agepred_edge import Detection

        size = np.array(picture.shape[1::-1], np.float32)
        faces = [
            Detection(box=tuple((np.array(box) * np.tile(size, 2)).tolist()), score=score,
                      landmarks=np.asarray(np.array(points) * size, np.float32))
            for box, score, points in self.answers
        ]  # fmt: skip
        return sorted(faces, key=lambda face: -face.box[2] * face.box[3])


class Standing:
    """Stands in for a column of one detector."""

    def __init__(self, name, *answers):
        self.name = name
        self.answers = answers

    def detector(self, **settings):
        return Boxes(*self.answers)


EYES = np.array([[0.2, 0.2], [0.3, 0.2], [0.25, 0.25], [0.22, 0.3], [0.28, 0.3]])
FACE = ((0.1, 0.1, 0.3, 0.3), 0.9, EYES)
WALL = ((0.5, 0.5, 0.5, 0.5), 0.4, EYES + 0.5)
"""Larger than the face, and none."""


def stored_gray(tmp_path):
    path = tmp_path / "gray.png"
    path.write_bytes(png(np.full((200, 200, 3), 128, np.uint8)))
    return StoredPicture(name=path.name, path=path, size=path.stat().st_size)


@pytest.mark.parametrize("labeled", [True, False])
def test_large_faces_are_compared_by_the_face_and_not_by_the_largest_box(tmp_path, labeled):
    """Each model's largest answer was compared, so that a box on the wall counted as the face, metres away."""
    label = Annotation.of(np.array([FACE[0]]) * 200, EYES[None] * 200) if labeled else None
    moved = (FACE[0], 0.8, EYES + np.array([0.01, 0]))  # a tenth of the distance between the eyes
    pictures = [(stored_gray(tmp_path), label)]
    figures = steadinesses.large_faces(pictures, Standing("int8", moved, WALL), Standing("fp32", FACE, WALL), Clock())
    assert set(figures) == {"large_faces", "large_faces_640"}
    for part in figures.values():
        for height in ("150", "300", "450", "600"):
            assert (part[height]["int8_found"], part[height]["fp32_found"], part[height]["both_found"]) == (1, 1, 1)
            assert part[height]["points"] == pytest.approx(0.1, rel=1e-3)
            assert part[height]["int8_error"] == pytest.approx(0.1, rel=1e-3)
            assert part[height]["fp32_error"] == pytest.approx(0, abs=1e-5)


def test_large_face_that_only_the_wall_is_answered_for_is_missed(tmp_path):
    figures = steadinesses.large_faces(
        [(stored_gray(tmp_path), None)], Standing("int8", WALL), Standing("fp32", FACE), Clock()
    )
    assert figures["large_faces"]["300"] == {
        "faces": 1, "int8_found": 0, "fp32_found": 1, "int8_error": None, "fp32_error": pytest.approx(0, abs=1e-5),
        "both_found": 0, "points": None, "points_worst": None,
    }  # fmt: skip
