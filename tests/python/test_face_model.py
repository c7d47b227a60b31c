"""Face models of our own format: what the network gets to see, where its answers land, and which files are refused."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from tiny_models import FACE_KEYS, STRIDES, PixelAt, Plane, WiderThan, face_model

from agepred_edge import Detection, FaceDetector, ModelError

CELL = 8
GRAY = 128  # the graph's zero

Picture = NDArray[np.uint8]


def noise(height: int, width: int, seed: int = 5) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def detector(model: Path, **settings: float) -> FaceDetector:
    return FaceDetector(model, points_model="none", **settings)  # type: ignore[arg-type]


# ---- what the network sees: a model that tells pixels of its input as landmarks


def echo_model(path: Path, place: tuple[int, int], score: Plane = 0.9, keys: dict[str, str] = FACE_KEYS) -> Path:
    """Each cell is a face of its own, and its first landmarks are one pixel's red and green, and its blue twice."""
    pixel = [PixelAt(channel, *place) for channel in (0, 1, 2, 2)]
    return face_model(path, score=score, points=[*pixel, 0.5, 0.5, 0.5, 0.5, 1.4, 1.4], keys=keys)


def echoed(faces: list[Detection], scale: float = 1.0, border: int = 0) -> NDArray[np.float64]:
    """The pixels that the network saw, as rows x columns x RGB; one a cell."""
    corners = np.array([face.box[:2] for face in faces], np.float64) * scale + border
    cells = np.rint(corners / CELL).astype(int)
    points = np.array([face.landmarks[:2] for face in faces], np.float64) * scale + border
    values = (points.reshape(-1, 4)[:, :3] / CELL - cells[:, [0, 1, 0]]) * 255
    grid = np.full((cells[:, 1].max() + 1, cells[:, 0].max() + 1, 3), np.nan)
    grid[cells[:, 1], cells[:, 0]] = values
    assert len(faces) == grid.shape[0] * grid.shape[1]
    return grid


def padded(picture: NDArray[np.float64] | Picture) -> NDArray[np.float64]:
    """Gray right of it and below, up to multiples of 32."""
    height, width = (-(-side // 32) * 32 for side in picture.shape[:2])
    result = np.full((height, width, 3), float(GRAY))
    result[: picture.shape[0], : picture.shape[1]] = picture
    return result


def area_mean(picture: Picture, height: int, width: int) -> NDArray[np.float64]:
    """The mean over rectangles, rounded half up."""

    def weights(size: int, to: int) -> NDArray[np.float64]:
        edges = np.arange(to + 1) * size / to
        low, high = edges[:-1, None], edges[1:, None]
        pixels = np.arange(size)
        return np.clip(np.minimum(high, pixels + 1) - np.maximum(low, pixels), 0, None) * to / size

    rows, columns = weights(picture.shape[0], height), weights(picture.shape[1], width)
    return np.floor(np.einsum("ys,sxc,wx->ywc", rows, picture.astype(float), columns) + 0.5)


@pytest.mark.parametrize("place", [(0, 0), (7, 7), (3, 4)])
@pytest.mark.parametrize("size", [(64, 96), (57, 33), (1, 1), (50, 130)])
def test_input_is_rgb_with_gray_beyond(tmp_path: Path, size: tuple[int, int], place: tuple[int, int]) -> None:
    picture = noise(*size)
    model = echo_model(tmp_path / "face.onnx", place)
    expected = padded(picture)[place[0] :: CELL, place[1] :: CELL]
    assert np.abs(echoed(detector(model).detect(picture, pixel_format="RGB")) - expected).max() < 0.01
    bgr = np.ascontiguousarray(picture[..., ::-1])
    assert np.abs(echoed(detector(model).detect(bgr, pixel_format="BGR")) - expected).max() < 0.01
    rgba = np.dstack([picture, np.zeros(size, np.uint8)])
    assert np.abs(echoed(detector(model).detect(rgba, pixel_format="RGBA")) - expected).max() < 0.01
    gray = np.ascontiguousarray(picture[..., 1])
    seen = echoed(detector(model).detect(gray, pixel_format="GRAY"))
    assert np.abs(seen - padded(np.dstack([gray] * 3))[place[0] :: CELL, place[1] :: CELL]).max() < 0.01


@pytest.mark.parametrize("size", [(300, 400), (128, 257), (400, 150)])
def test_shrunk_input_is_rounded(tmp_path: Path, size: tuple[int, int]) -> None:
    """The mean over areas in whole gray levels; a value on a half's edge may fall to either side."""
    picture = noise(*size)
    side = 128
    scale = side / max(size)
    height, width = (round(length * scale) for length in size)
    model = echo_model(tmp_path / "face.onnx", (3, 4))
    faces = detector(model, max_side=side).detect(picture, pixel_format="RGB")
    expected = padded(area_mean(picture, height, width))[3::CELL, 4::CELL]
    # The two axes shrink by slightly different factors where the sides are not proportional in whole pixels.
    stretch = np.array([size[1] / width, size[0] / height])
    boxes = [(face.box[0] / stretch[0], face.box[1] / stretch[1], 0.0, 0.0) for face in faces]
    rescaled = [
        Detection(box=box, score=face.score, landmarks=face.landmarks / stretch)
        for box, face in zip(boxes, faces, strict=True)
    ]
    seen = echoed(rescaled)
    assert np.abs(seen - np.rint(seen)).max() < 0.05  # bytes
    assert np.abs(seen - expected).max() < 1.05
    assert (np.abs(seen - expected) > 0.5).mean() < 0.002


def test_second_look_repeats_the_border(tmp_path: Path) -> None:
    """Nothing found: again with a border of 0.3 of each side, the outermost pixels repeated, and gray beyond."""
    picture = noise(64, 64)
    model = echo_model(tmp_path / "face.onnx", (5, 2), score=WiderThan(64))
    seen = echoed(detector(model).detect(picture, pixel_format="RGB"), border=19)
    surrounded = cv2.copyMakeBorder(picture, 19, 19, 19, 19, cv2.BORDER_REPLICATE)
    assert np.abs(seen - padded(surrounded)[5::CELL, 2::CELL]).max() < 0.01


# ---- where answers land


BOX = (0.25, 0.75, np.log(6.0), np.log(4.0))
POINTS = (0.5, -1.0, 2.0, -0.5, 1.0, 0.5, 0.25, 1.5, 1.75, 2.0)


def dark(height: int, width: int) -> Picture:
    return np.zeros((height, width, 3), np.uint8)


@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("size", [(203, 150), (96, 224)])
def test_box_and_points_land(tmp_path: Path, size: tuple[int, int], factor: int, stride: int) -> None:
    """One cell says that there is a face; the picture is `factor` times as large as the network's input."""
    height, width = size
    row, column = 64 // stride, 96 // stride
    picture = dark(height * factor, width * factor)
    picture[64 * factor : 65 * factor, 96 * factor : 97 * factor] = 255
    keys = FACE_KEYS | {"agepred.face.min_score": "0.9"}  # above the gray beside the picture
    model = face_model(tmp_path / "face.onnx", score=PixelAt(0), box=BOX, points=POINTS, stride=stride, keys=keys)
    (face,) = detector(model, max_side=max(size)).detect(picture, pixel_format="RGB")
    scale = stride * factor
    x, y = (column + BOX[0]) * scale, (row + BOX[1]) * scale
    assert face.box == pytest.approx((x - 3 * scale, y - 2 * scale, 6 * scale, 4 * scale), abs=1e-3)
    assert face.landmarks == pytest.approx(
        np.array(POINTS).reshape(5, 2) * scale + [column * scale, row * scale], abs=1e-3
    )
    assert face.score == pytest.approx(1)


@pytest.mark.parametrize(("largest", "looks"), [("300", 1), ("250", 2)])
def test_model_says_from_which_size_a_second_look_is_needed(tmp_path: Path, largest: str, looks: int) -> None:
    """A face of 32 * 8 pixels: seen whole, or not, and then looked at from a quarter of 640 with a border."""
    picture = dark(320, 640)
    picture[160:161, 320:321] = 255
    keys = FACE_KEYS | {"agepred.face.largest": largest, "agepred.face.min_score": "0.1"}
    box = (0.5, 0.5, np.log(8.0), np.log(8.0))
    model = face_model(tmp_path / "face.onnx", score=PixelAt(0), box=box, stride=32, keys=keys)
    (face,) = detector(model).detect(picture, pixel_format="RGB")
    # A sixteenth of the pixel is too dark for the second look: the first one's answer stays.
    assert face.box[2] == pytest.approx(256)
    everywhere = face_model(tmp_path / "all.onnx", score=0.9, box=box, stride=32, keys=keys)
    faces = detector(everywhere).detect(picture, pixel_format="RGB")
    assert (max(face.box[2] for face in faces) > 1000) == (looks == 2)


def test_min_score_is_the_models_own(tmp_path: Path) -> None:
    """The picture's gray levels are the scores: 40, 50 and 60 % of 255, a cell each."""
    picture = dark(32, 96)
    for column, score in ((0, 0.4), (32, 0.5), (64, 0.6)):
        picture[0, column] = np.ceil(255 * score)
    for min_score, count in (("0.35", 3), ("0.45", 2), ("0.55", 1)):
        keys = FACE_KEYS | {"agepred.face.min_score": min_score}
        model = face_model(tmp_path / "face.onnx", score=PixelAt(0), keys=keys)
        assert len(detector(model).detect(picture, pixel_format="RGB")) == count
        assert len(detector(model, min_score=0.45).detect(picture, pixel_format="RGB")) == 2


@pytest.mark.parametrize(
    ("smallest_face", "size"),
    [(None, (320, 640)), (5, (320, 640)), (24, (320, 640)), (30, (256, 512)), (96, (96, 160)), (65535, (32, 32))],
)
def test_smallest_face_sets_the_input(tmp_path: Path, smallest_face: float | None, size: tuple[int, int]) -> None:
    """A face of `smallest_face` pixels of the picture gets the model's smallest, 12 pixels, and no more."""
    picture = dark(640, 1280)
    model = echo_model(tmp_path / "face.onnx", (0, 0), keys=FACE_KEYS | {"agepred.face.smallest": "12"})
    settings = {} if smallest_face is None else {"smallest_face": smallest_face}
    faces = detector(model, **settings).detect(picture, pixel_format="RGB")
    assert len(faces) == size[0] // CELL * (size[1] // CELL)


def test_smallest_face_holds_for_yunet(yunet: Path, hopper: Picture) -> None:
    """Its face is about 200 pixels high: asked for such faces the detector sees a picture of a few dozen pixels."""
    (usual,) = detector(yunet).detect(hopper, pixel_format="RGB")
    (coarse,) = detector(yunet, smallest_face=60).detect(hopper, pixel_format="RGB")
    assert np.abs(np.array(coarse.box) - usual.box).max() < 0.15 * usual.box[3]
    assert np.abs(np.array(coarse.box) - usual.box).max() > 0.1  # another answer, since another input


# ---- which files are refused


@pytest.mark.parametrize("key", FACE_KEYS)
def test_missing_key(tmp_path: Path, key: str) -> None:
    keys = {name: value for name, value in FACE_KEYS.items() if name != key}
    with pytest.raises(ModelError, match=f"face model .*face.onnx.*{key}"):
        detector(face_model(tmp_path / "face.onnx", score=0.0, keys=keys))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("agepred.format", "2"), ("agepred.task", "points"), ("agepred.exact", "maybe"),
        ("agepred.face.min_score", "0"), ("agepred.face.min_score", "1"), ("agepred.face.min_score", "nan"),
        ("agepred.face.smallest", "3"), ("agepred.face.smallest", "300"), ("agepred.face.smallest", ""),
        ("agepred.face.largest", "63"), ("agepred.face.largest", "5000"), ("agepred.face.largest", "1e2x"),
    ],
)  # fmt: skip
def test_wrong_key(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(ModelError, match=key):
        detector(face_model(tmp_path / "face.onnx", score=0.0, keys=FACE_KEYS | {key: value}))


@pytest.mark.parametrize("name", [f"{kind}_{stride}" for kind in ("score", "box", "points") for stride in STRIDES])
def test_missing_output(tmp_path: Path, name: str) -> None:
    model = onnx.load(face_model(tmp_path / "face.onnx", score=0.0))
    kept = [output for output in model.graph.output if output.name != name]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    onnx.save(model, tmp_path / "face.onnx")
    with pytest.raises(ModelError, match=f"must have an output {name}, float32"):
        detector(tmp_path / "face.onnx")


def test_output_of_other_channels_or_type(tmp_path: Path) -> None:
    path = face_model(tmp_path / "face.onnx", score=0.0, points=[0.0] * 8)
    with pytest.raises(ModelError, match="points_8"):
        detector(path)
    model = onnx.load(face_model(tmp_path / "face.onnx", score=0.0))
    (node,) = [node for node in model.graph.node if node.output[0] == "box_16"]
    node.output[0] = "before"
    model.graph.node.append(onnx.helper.make_node("Cast", ["before"], ["box_16"], to=onnx.TensorProto.DOUBLE))
    (output,) = [output for output in model.graph.output if output.name == "box_16"]
    output.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    onnx.save(model, path)
    with pytest.raises(ModelError, match="box_16"):
        detector(path)


@pytest.mark.parametrize(("axis", "size"), [(1, 1), (2, 320), (3, 320), (0, 2)])
def test_input_of_other_shape(tmp_path: Path, axis: int, size: int) -> None:
    path = face_model(tmp_path / "face.onnx", score=0.0)
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = size
    del model.graph.value_info[:]
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"uint8 \[1,3,H,W\]|load"):
        detector(path)


def test_yunet_that_lacks_an_output(yunet: Path, tmp_path: Path) -> None:
    model = onnx.load(yunet)
    kept = [output for output in model.graph.output if output.name != "kps_16"]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    onnx.save(model, tmp_path / "less.onnx")
    with pytest.raises(ModelError, match=r"agepred\.format is missing.*kps_16"):
        detector(tmp_path / "less.onnx")


def test_outputs_that_do_not_fit_the_input(tmp_path: Path) -> None:
    """A graph whose grid is finer than it says fails at the first picture, with a word, and reads no memory beyond."""
    path = face_model(tmp_path / "face.onnx", score=0.9)
    model = onnx.load(path)
    for constant in model.graph.initializer:
        value = onnx.numpy_helper.to_array(constant)
        if value.tolist() == [3, 32, 32]:
            constant.CopyFrom(onnx.numpy_helper.from_array(np.array([3, 64, 64]), constant.name))
    onnx.save(model, path)
    with pytest.raises(RuntimeError, match="do not fit"):
        detector(path).detect(noise(96, 96), pixel_format="RGB")
