"""A teacher's looks: where they land in the picture, how they merge, and how they complete labels."""

import numpy as np
import pytest
from tiny_faces import DOTS, dot, make_sets, painted
from tiny_models import PixelAt, face_model
from typer.testing import CliRunner

from agepred_cli.app import app
from agepred_edge import DetectorMissingError
from agepred_train.detector import teach
from agepred_train.detector.annotations import Annotation, read_labels, read_packed
from agepred_train.detector.boxes import greedy_groups
from agepred_train.detector.label import _landmarked
from agepred_train.detector.teach import Teacher, Teaching, completed, largest


class Sight:
    """A detector that sees the painted face by its colors, whichever size and side it is shown from."""

    def __init__(self, model, *, points_model, min_score, max_side):
        assert points_model == "none"
        self.scores = iter(np.tile([0.9, 0.5], 20))

    def detect(self, picture, *, pixel_format):
        assert pixel_format == "RGB"
        rows, columns = np.nonzero(np.abs(picture.astype(int) - 60).max(axis=2) > 40)
        low = np.array([columns.min(), rows.min()])
        size = np.array([columns.max(), rows.max()]) + 1 - low
        points = np.array([dot(picture, color) for color in DOTS])
        # What the detector calls the right eye is the one on the left of the picture, as on a real face.
        points[[0, 1]] = points[[0, 1]][np.argsort(points[[0, 1], 0])]
        points[[3, 4]] = points[[3, 4]][np.argsort(points[[3, 4], 0])]
        face = type("Face", (), {"box": (*low, *size), "landmarks": points, "score": next(self.scores)})
        return [face]


@pytest.mark.parametrize("border", [0.0, 0.3])
def test_looks_of_all_sizes_and_sides_land_on_the_same_face(monkeypatch, border):
    monkeypatch.setattr(teach, "FaceDetector", Sight)
    picture, truth = painted(231, 180, [(60.0, 40.0, 100.0, 110.0)])
    faces, scores = Teacher("any", Teaching(border=border)).faces(picture)
    np.testing.assert_allclose(faces.boxes, truth.boxes, atol=1.0)
    np.testing.assert_allclose(faces.points, truth.points, atol=0.5)
    assert faces.ignored.tolist() == [False]
    assert scores.tolist() == pytest.approx([0.9])


class Answers:
    """A detector that gives the same faces, whatever it is shown."""

    faces: list = []  # noqa: RUF012

    def __init__(self, *_, **__):
        pass

    def detect(self, picture, *, pixel_format):
        given, self.__class__.faces = self.faces, []
        return given


def face(box, score):
    return type("Face", (), {"box": box, "landmarks": np.full((5, 2), box[0], np.float32), "score": score})


def test_merged_faces_are_means_weighted_by_their_scores(monkeypatch):
    monkeypatch.setattr(teach, "FaceDetector", Answers)
    Answers.faces = [face((10, 10, 20, 20), 0.9), face((12, 10, 20, 20), 0.3), face((60, 60, 20, 20), 0.95)]
    faces, scores = Teacher("any", Teaching()).faces(np.zeros((100, 100, 3), np.uint8))
    # Seen at half the size, so all numbers double.
    np.testing.assert_allclose(faces.boxes, [[120, 120, 40, 40], [21, 20, 40, 40]], atol=1e-4)
    np.testing.assert_allclose(faces.points[1], 21, atol=1e-4)
    np.testing.assert_allclose(scores, [0.95, 0.9])
    # The first was seen by one look only.
    assert faces.ignored.tolist() == [True, False]


def test_a_face_that_no_look_is_sure_of_is_ignored(monkeypatch):
    monkeypatch.setattr(teach, "FaceDetector", Answers)
    Answers.faces = [face((10, 10, 20, 20), 0.59), face((10, 10, 20, 20), 0.58)]
    faces, _ = Teacher("any", Teaching()).faces(np.zeros((100, 100, 3), np.uint8))
    assert faces.ignored.tolist() == [True]


def test_an_empty_picture_has_no_face(monkeypatch):
    monkeypatch.setattr(teach, "FaceDetector", Answers)
    faces, scores = Teacher("any", Teaching()).faces(np.zeros((10, 10, 3), np.uint8))
    assert (faces.boxes.shape, faces.points.shape, faces.ignored.shape, scores.shape) == (
        (0, 4), (0, 5, 2), (0,), (0,),
    )  # fmt: skip


def test_the_cores_detector_is_asked_without_a_refiner(tmp_path):
    teacher = Teacher(face_model(tmp_path / "face.onnx", score=PixelAt(0)), Teaching(scales=(1.0,), min_score=0.9))
    assert teacher._detector.points_model is None
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[16, 24] = 255
    faces, scores = teacher.faces(picture)
    np.testing.assert_allclose(faces.boxes[0], [24, 16, 8, 8], atol=1e-3)
    assert scores.tolist() == pytest.approx([1.0])
    with pytest.raises(DetectorMissingError, match=r"absent\.onnx"):
        Teacher(tmp_path / "absent.onnx", Teaching())


def annotation(boxes, *, points=None, ignored=None):
    filled = None if points is None else np.repeat(np.array(points, np.float32), 10).reshape(-1, 5, 2)
    return Annotation.of(np.array(boxes, np.float32).reshape(-1, 4), filled, ignored)


def test_labels_keep_their_boxes_and_take_points_that_they_lack():
    labels = annotation([[0, 0, 10, 10], [50, 0, 10, 10]], points=[7, np.nan])
    found = annotation([[1, 0, 10, 10], [50, 1, 10, 10], [90, 90, 5, 5]], points=[1, 2, 3])
    merged = completed(labels, found)
    assert merged.boxes.tolist() == [[0, 0, 10, 10], [50, 0, 10, 10], [90, 90, 5, 5]]
    assert merged.points[:, 0, 0].tolist() == [7, 2, 3]
    assert merged.ignored.tolist() == [False, False, False]


def test_found_faces_beside_labels_are_asked_doubted_or_dropped():
    labels = annotation([[0, 0, 10, 10]])
    for box, expected in (
        ([0, 0, 10, 10], []),  # the label itself
        ([0, 0, 10, 4.5], []),  # meets it by 0.45
        ([0, 0, 10, 3], [True]),  # lies on it, of another size
        ([0, 9.5, 10, 10], [False]),  # its neighbor
    ):
        assert completed(labels, annotation([box], points=[1])).ignored[1:].tolist() == expected, box


@pytest.mark.parametrize("empty", ["labels", "found", "both"])
def test_nothing_completes_and_is_completed(empty):
    some, nothing = annotation([[0, 0, 9, 9]], points=[1], ignored=[True]), annotation([])
    merged = completed(some if empty == "found" else nothing, some if empty == "labels" else nothing)
    count = 0 if empty == "both" else 1
    assert (len(merged.boxes), merged.points.shape, merged.ignored.tolist()) == (count, (count, 5, 2), [True] * count)


def test_the_largest_sure_face_of_a_chip_is_asked_for():
    faces = annotation([[0, 0, 9, 9], [0, 0, 20, 20], [0, 0, 10, 10]], points=[1, 2, 3], ignored=[False, True, False])
    assert largest(faces).ignored.tolist() == [True, True, False]
    assert largest(annotation([[0, 0, 9, 9]], ignored=[True])).ignored.tolist() == [True]
    assert largest(annotation([])).ignored.tolist() == []


def test_labeled_landmarks_go_to_the_face_around_them():
    boxes = [[0, 0, 50, 50], [10, 10, 20, 20], [80, 80, 9, 9]]
    found = annotation(boxes, points=[1, 2, 3], ignored=[True, False, True])
    merged = _landmarked(annotation([[0, 0, 1, 1]], points=[15]), found)
    assert merged.points[:, 0, 0].tolist() == [15, 2, 3]
    assert merged.ignored.tolist() == [False, False, True]
    nowhere = _landmarked(annotation([[0, 0, 1, 1]], points=[70]), found)
    assert nowhere.ignored.all()


def test_groups_are_led_by_their_surest_box():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 10, 10], [40, 0, 10, 10], [0, 1, 10, 10]], np.float32)
    groups = greedy_groups(boxes, np.array([0.5, 0.9, 0.7, 0.6], np.float32), 0.45)
    assert [group.tolist() for group in groups] == [[1, 3, 0], [2]]
    zero = np.zeros((2, 4), np.float32)  # boxes without an area meet nothing, themselves included
    assert [group.tolist() for group in greedy_groups(zero, np.array([0.1, 0.2], np.float32), 0.45)] == [[1], [0]]


def label(*arguments):
    return CliRunner().invoke(app, ["label-faces", *(str(argument) for argument in arguments)])


def test_command_labels_all_sets_and_keeps_finished_tables(tmp_path):
    data, _ = make_sets(tmp_path)
    out = tmp_path / "out"
    blind = face_model(tmp_path / "blind.onnx", score=0.0)
    options = ("--teacher", blind, "--out", out, "--processes", 1)
    out.mkdir()
    (out / "utkface.csv").write_text("finished before")
    result = label(data, *options)
    assert result.exit_code == 0, result.output
    tables = {"scenes.csv", "landmarks.csv", "utkface.csv", "fairface.csv"}
    assert {path.name for path in out.iterdir()} == {*tables, "teacher.json"}
    assert (out / "utkface.csv").read_text() == "finished before"
    packed = read_packed(data / "scenes.tar", data / "scenes.csv")
    labeled = read_labels(out / "scenes.csv")
    # The blind teacher adds nothing to the labels, and `test` is not looked at.
    assert list(labeled) == [("scenes.tar", f"s{number}.png") for number in range(8)]
    for picture in packed.pictures[:8]:
        np.testing.assert_allclose(labeled["scenes.tar", picture.stored.name].boxes, picture.faces.boxes, atol=0.01)
    chips = read_labels(out / "fairface.csv")
    assert [name for _, name in chips] == [f"c{number}.png" for number in range(6)]
    assert not any(len(faces.boxes) for faces in chips.values())
    before = {path: path.read_bytes() for path in out.iterdir()}
    refused = label(data, "--teacher", face_model(tmp_path / "other.onnx", score=0.1), *options[2:])
    assert refused.exit_code != 0
    assert "the tables there are another teacher's; choose another folder" in " ".join(refused.output.split())
    assert {path: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda data: (data / "fairface.csv").unlink(), "fairface.csv"),
        (lambda data: (data / "fairface.csv").write_text("file,split\nx.png,train\n"), "fairface.csv, line 2: x.png"),
        (lambda data: (data / "fairface.csv").write_text("file,split\nc1.png,test\n"), "no row's split is `train`"),
        (lambda data: (data / "fairface.csv").write_text("file\nc1.png\n"), "column 'split' is missing"),
        (lambda data: (data / "scenes.tar").write_bytes(b"no tar at all"), "scenes.tar: not an uncompressed tar"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_labeled(tmp_path, break_it, words):
    data, _ = make_sets(tmp_path)
    break_it(data)
    model = face_model(tmp_path / "blind.onnx", score=0.0)
    result = label(data, "--teacher", model, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_command_needs_its_teacher(tmp_path):
    data, _ = make_sets(tmp_path)
    for model, words in (("absent.onnx", "absent.onnx"), (data / "scenes.csv", "scenes.csv")):
        result = label(data, "--teacher", model)
        assert result.exit_code == 2
        assert words in result.stderr
