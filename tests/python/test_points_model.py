"""The refiner of points: what crop it sees, where its answers land, and when the detector's points stay."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from tiny_models import FACE_KEYS, PixelAt, face_model, points_keys, points_model

from agepred_edge import DEFAULT_POINTS, AgeEstimator, Detection, FaceDetector, ModelError, align

Points = NDArray[np.float64]

TARGETS = np.array([[0.33, 0.35], [0.67, 0.35], [0.5, 0.55], [0.36, 0.72], [0.64, 0.72]])
"""Not those of the age model."""
SIDE = 48


def snapped(answer: Points) -> Points:
    """The core takes answers on a grid: processors' floats differ in the last bits."""
    return np.round(answer * 8192) / 8192


ANSWER = snapped(TARGETS + np.array([[0.02, -0.01], [-0.03, 0.02], [0.05, 0.04], [0.0, -0.06], [0.03, 0.01]]))


def similarity(source: Points, target: Points) -> tuple[Points, Points]:
    """The least-squares similarity without reflection, as a matrix and a shift, by the normal equations."""
    rows, right = [], []
    for (u, v), (x, y) in zip(source, target, strict=True):
        rows += [[u, -v, 1, 0], [v, u, 0, 1]]
        right += [x, y]
    a, b, x, y = np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)[0]
    return np.array([[a, -b], [b, a]]), np.array([x, y])


def moved(points: Points, source: Points, target: Points) -> Points:
    matrix, shift = similarity(source, target)
    return points @ matrix.T + shift


def turned(degrees: float, size: float) -> Points:
    """The usual points, turned about their center and `size` strides wide; not quite a similarity of the targets."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (DEFAULT_POINTS - 0.5) @ turn.T * size + 0.5


def one_face(path: Path, points: Points, *, size: float = 6.0) -> Path:
    """A detector that finds one face, where the picture is white."""
    box = (0.5, 0.5, np.log(size), np.log(size))
    keys = FACE_KEYS | {"agepred.face.min_score": "0.9"}
    return face_model(path, score=PixelAt(0), box=box, points=[float(p) for p in points.ravel()], stride=16, keys=keys)


def picture(factor: int = 1) -> NDArray[np.uint8]:
    """Noise too dark for the detector, and one white spot."""
    noise = np.random.default_rng(2).integers(0, 200, (210 * factor, 190 * factor, 3), np.uint8)
    noise[96 * factor : 97 * factor, 80 * factor : 81 * factor] = 255
    return noise


def both(face: Path, points: Path, pixels: NDArray[np.uint8], max_side: int = 640) -> tuple[Detection, Detection]:
    """The face by the detector alone, and refined."""
    (before,) = FaceDetector(face, points_model="none", max_side=max_side).detect(pixels, pixel_format="RGB")
    (after,) = FaceDetector(face, points_model=points, max_side=max_side).detect(pixels, pixel_format="RGB")
    assert after.box == before.box
    assert after.score == before.score
    return before, after


@pytest.mark.parametrize("passes", [1, 2, 4])
def test_each_pass_begins_where_the_last_one_ended(tmp_path: Path, passes: int) -> None:
    face = one_face(tmp_path / "face.onnx", turned(20, 3.0))
    keys = points_keys(TARGETS) | {"agepred.points.passes": str(passes)}
    points = points_model(tmp_path / "points.onnx", ANSWER, targets=TARGETS, side=SIDE, keys=keys)
    before, after = both(face, points, picture())
    expected = before.landmarks.astype(float)
    for _ in range(passes):
        expected = moved(ANSWER, TARGETS, expected)
    assert after.landmarks == pytest.approx(expected, abs=5e-3)


@pytest.mark.parametrize("passes", ["0", "5", "two", ""])
def test_impossible_number_of_passes_is_refused(tmp_path: Path, passes: str) -> None:
    face = one_face(tmp_path / "face.onnx", turned(0, 3.0))
    keys = points_keys(TARGETS) | {"agepred.points.passes": passes}
    points = points_model(tmp_path / "points.onnx", ANSWER, targets=TARGETS, side=SIDE, keys=keys)
    with pytest.raises(ModelError, match=r"agepred\.points\.passes"):
        FaceDetector(face, points_model=points)


@pytest.mark.parametrize("factor", [1, 3])
@pytest.mark.parametrize("size", [0.8, 6.0])
@pytest.mark.parametrize("degrees", [0, 30, -75, 180])
def test_answer_is_mapped_back(tmp_path: Path, degrees: float, size: float, factor: int) -> None:
    """Constant answers land where the similarity of this face puts them, upright or not, in a shrunk picture too."""
    face = one_face(tmp_path / "face.onnx", turned(degrees, size), size=2 * size)
    points = points_model(tmp_path / "points.onnx", ANSWER, targets=TARGETS, side=SIDE)
    before, after = both(face, points, picture(factor), max_side=210)
    expected = moved(ANSWER, TARGETS, before.landmarks.astype(float))
    assert after.landmarks == pytest.approx(expected, abs=2e-3)
    assert np.abs(after.landmarks - before.landmarks).max() > 0.01 * size * 16 * factor


def test_crop_is_cut_by_the_models_own_targets(tmp_path: Path) -> None:
    """A refiner that adds pixels of its crop to the targets: RGB, its own geometry and side, turned upright."""
    rng = np.random.default_rng(4)
    probes = [(c % 3, *rng.integers(0, SIDE, 2)) for c in range(10)]
    face = one_face(tmp_path / "face.onnx", turned(20, 5.0))
    model = points_model(tmp_path / "points.onnx", TARGETS, targets=TARGETS, side=SIDE, probes=probes, gain=0.2)
    before, after = both(face, model, picture())
    crop = align(picture(), before.landmarks, side=SIDE, points=TARGETS, pixel_format="RGB")
    shifts = np.array([crop[row, column, channel] for channel, row, column in probes]) / 255 * 0.2
    expected = moved(snapped(TARGETS + shifts.reshape(5, 2)), TARGETS, before.landmarks.astype(float))
    assert after.landmarks == pytest.approx(expected, abs=2e-3)


def replaced(value: float) -> Points:
    answer = ANSWER.copy()
    answer[2, 1] = value
    return answer


@pytest.mark.parametrize(
    "answer",
    [
        replaced(float("nan")), replaced(float("inf")), replaced(-float("inf")), replaced(1.51), replaced(-0.51),
        np.full((5, 2), 0.5), np.full((5, 2), np.nan), 0.5 + (TARGETS - 0.5) * 0.05,
    ],
)  # fmt: skip
def test_answers_that_are_no_face_leave_the_points(tmp_path: Path, answer: Points) -> None:
    face = one_face(tmp_path / "face.onnx", turned(10, 5.0))
    points = points_model(tmp_path / "points.onnx", answer, targets=TARGETS)
    before, after = both(face, points, picture())
    assert np.array_equal(after.landmarks, before.landmarks)


@pytest.mark.parametrize("answer", [replaced(1.49), replaced(-0.49), 0.5 + (TARGETS - 0.5) * 0.2])
def test_answers_that_are_odd_but_sound_are_taken(tmp_path: Path, answer: Points) -> None:
    face = one_face(tmp_path / "face.onnx", turned(10, 5.0))
    points = points_model(tmp_path / "points.onnx", answer, targets=TARGETS)
    before, after = both(face, points, picture())
    assert after.landmarks == pytest.approx(moved(snapped(answer), TARGETS, before.landmarks.astype(float)), abs=2e-3)


def test_face_that_cannot_be_aligned_keeps_its_points(tmp_path: Path) -> None:
    """Points from which the best similarity has been taken away: the best of what is left has no size at all."""
    scattered = np.random.default_rng(0).uniform(-1.5, 1.5, (5, 2))
    left = scattered - moved(TARGETS, TARGETS, scattered) + 0.5
    face = one_face(tmp_path / "face.onnx", left)
    points = points_model(tmp_path / "points.onnx", ANSWER, targets=TARGETS)
    before, after = both(face, points, picture())
    assert np.ptp(before.landmarks) > 8
    assert np.array_equal(after.landmarks, before.landmarks)


def test_every_face_is_refined(tmp_path: Path) -> None:
    pixels = np.zeros((64, 96, 3), np.uint8)
    face = face_model(tmp_path / "face.onnx", score=0.9, stride=32)
    points = points_model(tmp_path / "points.onnx", ANSWER, targets=TARGETS)
    before = FaceDetector(face, points_model="none").detect(pixels, pixel_format="RGB")
    after = FaceDetector(face, points_model=points).detect(pixels, pixel_format="RGB")
    assert len(before) == len(after) == 6
    for one, other in zip(before, after, strict=True):
        assert other.landmarks == pytest.approx(moved(ANSWER, TARGETS, one.landmarks.astype(float)), abs=2e-3)


def test_ages_are_estimated_from_the_refined_points(tmp_path: Path, yunet: Path, hopper: NDArray[np.uint8]) -> None:
    points = points_model(tmp_path / "points.onnx", ANSWER, targets=TARGETS)
    estimator = AgeEstimator(face_model=yunet, points_model=points)
    (face,) = estimator.predict(hopper, pixel_format="RGB")
    (found,) = FaceDetector(yunet, points_model=points).detect(hopper, pixel_format="RGB")
    (raw,) = FaceDetector(yunet, points_model="none").detect(hopper, pixel_format="RGB")
    assert np.array_equal(face.landmarks, found.landmarks)
    assert not np.array_equal(face.landmarks, raw.landmarks)
    info = estimator.info
    crop = align(hopper, face.landmarks, side=info.crop_side, points=info.crop_points, pixel_format="RGB")
    assert estimator.predict_crop(crop).age == face.age
    assert np.array_equal(estimator.align_crops(hopper, pixel_format="RGB")[0], crop)


# ---- which files are refused


@pytest.mark.parametrize("key", points_keys(TARGETS))
def test_missing_key(tmp_path: Path, yunet: Path, key: str) -> None:
    keys = {name: value for name, value in points_keys(TARGETS).items() if name != key}
    path = points_model(tmp_path / "points.onnx", ANSWER, keys=keys)
    with pytest.raises(ModelError, match=f"points model .*points.onnx.*{key}"):
        FaceDetector(yunet, points_model=path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("agepred.task", "age"), ("agepred.format", "2"), ("agepred.crop.points", "0.5,0.5;" * 4 + "0.5,0.5")],
)
def test_wrong_key(tmp_path: Path, yunet: Path, key: str, value: str) -> None:
    path = points_model(tmp_path / "points.onnx", ANSWER, keys=points_keys(TARGETS) | {key: value})
    with pytest.raises(ModelError, match=key):
        FaceDetector(yunet, points_model=path)


def test_models_in_each_others_place(tmp_path: Path, yunet: Path) -> None:
    points = points_model(tmp_path / "points.onnx", ANSWER)
    face = face_model(tmp_path / "face.onnx", score=0.0)
    for named, settings, message in (
        (points, {}, "agepred.task is points, not face"),
        (yunet, {"points_model": face}, "agepred.task is face, not points"),
        (face, {"points_model": yunet}, "agepred.format is missing"),
    ):
        with pytest.raises(ModelError, match=message):
            FaceDetector(named, **settings)
    with pytest.raises(ModelError, match=r"agepred\.task is face, not age"):
        AgeEstimator(face, face_model=yunet)


@pytest.mark.parametrize("shape", [["n", 8], ["n", 10, 1], ["n", "k"]])
def test_output_of_another_shape(tmp_path: Path, yunet: Path, shape: list[object]) -> None:
    path = points_model(tmp_path / "points.onnx", ANSWER)
    model = onnx.load(path)
    model.graph.node[-1].output[0] = "before"
    places = np.arange(shape[1] if isinstance(shape[1], int) else 10)
    if len(shape) == 3:
        model.graph.node.append(onnx.helper.make_node("Unsqueeze", ["before", "places"], ["points"]))
        places = np.array([2])
    elif shape[1] == "k":
        model.graph.node.append(onnx.helper.make_node("Compress", ["before", "chosen"], ["points"], axis=1))
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([True]), "one"))
        model.graph.node.insert(0, onnx.helper.make_node("Expand", ["one", "places"], ["chosen"]))
        places = np.array([10])
    else:
        model.graph.node.append(onnx.helper.make_node("Gather", ["before", "places"], ["points"], axis=1))
    model.graph.initializer.append(onnx.numpy_helper.from_array(places, "places"))
    model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("points", onnx.TensorProto.FLOAT, shape))
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"must have an output points, float32 \[N,10\]"):
        FaceDetector(yunet, points_model=path)


def test_input_that_is_no_crop(tmp_path: Path, yunet: Path) -> None:
    path = points_model(tmp_path / "points.onnx", ANSWER)
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "s"
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"uint8 \[N,3,S,S\]"):
        FaceDetector(yunet, points_model=path)
