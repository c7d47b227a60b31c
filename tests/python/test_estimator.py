"""The estimator's answers, its models, and what missing or damaged ones are answered with."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from tiny_models import points_model

from agepred_edge import (
    DEFAULT_POINTS,
    AgeEstimator,
    DetectorMissingError,
    FaceDetector,
    ModelError,
    RuntimeMissingError,
    default_age_model,
    runtime_info,
)


def test_answer(estimator: AgeEstimator, hopper: NDArray[np.uint8]) -> None:
    (face,) = estimator.predict(hopper, pixel_format="RGB")
    ages = np.arange(estimator.info.age_count) + estimator.info.first_age
    p = face.probabilities.astype(np.float64)
    assert p.shape == (estimator.info.age_count,)
    assert p.sum() == pytest.approx(1, abs=1e-5)
    assert face.age == pytest.approx((p * ages).sum(), abs=1e-3)
    assert face.stddev == pytest.approx(np.sqrt((p * (ages - face.age) ** 2).sum()), abs=1e-2)
    assert face.interval[0] < face.age < face.interval[1]
    sums = {f"{a}-{b}": p[(ages >= a) & (ages <= b)].sum() for a, b in estimator.info.groups}
    assert face.group == max(sums, key=lambda name: sums[name])
    assert face.landmarks.shape == (5, 2)
    assert face.landmarks[0, 0] < face.landmarks[1, 0]


@pytest.mark.parametrize("level", [0.01, 0.5, 0.8, 0.95])
def test_interval_is_made_of_quantiles(uncalibrated_model: Path, hopper: NDArray[np.uint8], level: float) -> None:
    estimator = AgeEstimator(uncalibrated_model, interval_level=level)
    assert estimator.info.interval_level == pytest.approx(level)
    (face,) = estimator.predict(hopper, pixel_format="RGB")
    ages = np.arange(estimator.info.age_count) + estimator.info.first_age
    # Each year's probability lies evenly over the year, as in distribution.hpp.
    edges = np.concatenate([[ages[0] - 0.5], ages + 0.5])
    cumulated = np.concatenate([[0], face.probabilities.astype(np.float64).cumsum()])
    expected = [(1 - level) / 2, (1 + level) / 2]
    assert np.interp(face.interval, edges, cumulated) == pytest.approx(expected, abs=1e-3)


def test_higher_levels_have_wider_intervals(hopper: NDArray[np.uint8]) -> None:
    widths = []
    for level in (0.1, 0.5, 0.8, 0.9, 0.99):
        estimator = AgeEstimator(interval_level=level)
        assert estimator.info.interval_level == pytest.approx(level)
        low, high = estimator.predict(hopper, pixel_format="RGB")[0].interval
        widths.append(high - low)
    assert widths == sorted(widths)


@pytest.mark.parametrize("level", [0.0, -0.5, 1.0, 80.0, float("nan")])
def test_interval_of_no_level(level: float) -> None:
    with pytest.raises(ValueError, match="interval_level"):
        AgeEstimator(interval_level=level)


def test_crop_alone_gives_the_same_answer(estimator: AgeEstimator, hopper: NDArray[np.uint8]) -> None:
    (crop,) = estimator.align_crops(hopper, pixel_format="RGB")
    assert crop.shape == (estimator.info.crop_side, estimator.info.crop_side, 3)
    (face,) = estimator.predict(hopper, pixel_format="RGB")
    alone = estimator.predict_crop(crop)
    assert alone.age == face.age
    assert np.array_equal(alone.probabilities, face.probabilities)


def test_crop_of_another_shape(estimator: AgeEstimator) -> None:
    side = estimator.info.crop_side
    for shape in ((side - 1, side, 3), (side, side), (side, side, 4), (0, 0, 3)):
        with pytest.raises(ValueError, match=f"{side} x {side} x 3"):
            estimator.predict_crop(np.zeros(shape, np.uint8))


def test_crop_that_is_not_contiguous_or_not_bytes(estimator: AgeEstimator, blank_crop: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="contiguous"):
        estimator.predict_crop(blank_crop[:, ::-1])
    with pytest.raises(TypeError, match="uint8"):
        estimator.predict_crop(blank_crop.astype(np.float32))


def test_info_is_what_the_file_says(estimator: AgeEstimator) -> None:
    info = estimator.info
    assert np.allclose(info.crop_points, DEFAULT_POINTS, atol=1e-5)
    assert info.crop_detector.startswith("face_detector-")
    assert info.groups == ((0, 25), (26, 50), (51, 75), (76, 116))
    assert info.int8_exact
    assert info.interval_level == pytest.approx(0.8)


def test_threads_share_one_estimator(estimator: AgeEstimator, hopper: NDArray[np.uint8]) -> None:
    (expected,) = estimator.predict(hopper, pixel_format="RGB")
    ages: list[float] = []

    def work() -> None:
        ages.extend(estimator.predict(hopper, pixel_format="RGB")[0].age for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ages == [expected.age] * 40


def test_gil_is_released(estimator: AgeEstimator) -> None:
    """While one thread is inside a call, another one runs Python; a call that kept the GIL would stop it."""
    large = np.random.default_rng(0).integers(0, 256, (6000, 8000, 3), dtype=np.uint8)
    counted = 0
    done = threading.Event()

    def count() -> None:
        nonlocal counted
        while not done.wait(0.001):
            counted += 1

    thread = threading.Thread(target=count)
    thread.start()
    before = counted
    estimator.predict(large, pixel_format="RGB")
    during = counted - before
    done.set()
    thread.join()
    assert during >= 3


# ---- models


def test_bare_name_means_the_packaged_model(hopper: NDArray[np.uint8]) -> None:
    fp32 = AgeEstimator("fp32.onnx").predict(hopper, pixel_format="RGB")[0]
    path = AgeEstimator(default_age_model() / "fp32.onnx").predict(hopper, pixel_format="RGB")[0]
    assert fp32.age == path.age


@pytest.mark.parametrize("name", ["nothing.onnx", "no/such/file.onnx"])
def test_missing_model(name: str) -> None:
    with pytest.raises(FileNotFoundError, match=name):
        AgeEstimator(name)


def test_model_without_a_key_is_refused_by_its_name(int8_model: Path, tmp_path: Path) -> None:
    model = onnx.load(int8_model)
    keys = [entry.key for entry in model.metadata_props]
    optional = {"agepred.interval.level", "agepred.calibration"}
    required = [key for key in keys if key.startswith("agepred.") and key not in optional]
    assert len(required) >= 9
    for key in required:
        bare = onnx.ModelProto.FromString(model.SerializeToString())
        kept = [entry for entry in model.metadata_props if entry.key != key]
        del bare.metadata_props[:]
        bare.metadata_props.extend(kept)
        path = tmp_path / "bare.onnx"
        onnx.save(bare, path)
        with pytest.raises(ModelError, match=key):
            AgeEstimator(path)


def test_model_of_another_kind(yunet: Path, int8_model: Path) -> None:
    with pytest.raises(ModelError, match=r"agepred\.format"):
        AgeEstimator(yunet)
    with pytest.raises(ModelError, match=r"agepred\.task is age, not face"):
        AgeEstimator(face_model=int8_model)
    with pytest.raises(ModelError, match=r"agepred\.task is age, not points"):
        AgeEstimator(face_model=yunet, points_model=int8_model)


def test_damaged_model(int8_model: Path, tmp_path: Path) -> None:
    data = int8_model.read_bytes()
    path = tmp_path / "damaged.onnx"
    for damaged in (b"", b"text", data[: len(data) // 2], data[:-1], b"\0" * 1000):
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"damaged\.onnx"):
            AgeEstimator(path)


def test_external_data_is_refused(tmp_path: Path, int8_model: Path) -> None:
    """A model whose weights lie in another file could make the process read any file."""
    model = onnx.load(default_age_model() / "fp32.onnx")
    path = tmp_path / "outside.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    with pytest.raises(ModelError, match="external data"):
        AgeEstimator(path)


def test_overlong_field_numbers_do_not_hide_external_data(tmp_path: Path) -> None:
    """ONNX Runtime reads 32 bits of a field's key: one with more bits must not slip past our own reader."""
    model = onnx.load(default_age_model() / "fp32.onnx")
    path = tmp_path / "outside.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    outside = onnx.load(path, load_external_data=False)
    graph = outside.graph.SerializeToString()
    outside.ClearField("graph")
    overlong = bytes([0xBA, 0x80, 0x80, 0x80, 0x10])  # field 7, length-delimited, and one bit above the 32nd
    length = b""
    size = len(graph)
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    path.write_bytes(outside.SerializeToString() + overlong + length + bytes([size]) + graph)
    with pytest.raises(ModelError, match="damaged"):
        AgeEstimator(path)


def test_detector_of_one_size_is_refused(yunet: Path, tmp_path: Path) -> None:
    """At once and with a word of the right file, not at the first picture."""
    model = onnx.load(yunet)
    for axis, size in ((2, 320), (3, 320)):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = size
    onnx.save(model, tmp_path / "fixed.onnx")
    with pytest.raises(ModelError, match=r"yunet_n_dynamic\.onnx"):
        AgeEstimator(face_model=tmp_path / "fixed.onnx")


def test_missing_detector(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hopper: NDArray[np.uint8]) -> None:
    """Says what is missing and how to name another; crops can be estimated all the same."""
    (tmp_path / default_age_model().name).symlink_to(default_age_model())  # and nothing else
    monkeypatch.delenv("AGEPRED_FACE_MODEL", raising=False)
    monkeypatch.setattr("agepred_edge.model_files._PACKAGE", Path("/nowhere/at/all"))
    monkeypatch.setattr("agepred_edge.model_files._model_roots", lambda: [tmp_path])
    estimator = AgeEstimator()
    with pytest.raises(DetectorMissingError, match=r"lacks face_detector-0\.1\.0.*AGEPRED_FACE_MODEL"):
        estimator.predict(hopper, pixel_format="RGB")
    side = estimator.info.crop_side
    assert 0 <= estimator.predict_crop(np.zeros((side, side, 3), np.uint8)).age <= 116


def test_named_detector(
    monkeypatch: pytest.MonkeyPatch, yunet: Path, tmp_path: Path, hopper: NDArray[np.uint8]
) -> None:
    copy = shutil.copy(yunet, tmp_path / "mine.onnx")
    monkeypatch.setenv("AGEPRED_FACE_MODEL", str(copy))
    assert len(AgeEstimator().predict(hopper, pixel_format="RGB")) == 1
    monkeypatch.setenv("AGEPRED_FACE_MODEL", str(tmp_path / "gone.onnx"))
    with pytest.raises(FileNotFoundError, match=r"gone\.onnx"):
        AgeEstimator()


def test_packaged_detector_and_refiner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, yunet: Path) -> None:
    """Used where nothing is named, the refiner also beside a face model that is named; "none" turns it off."""
    folder = tmp_path / "face_detector-0.1.0"
    folder.mkdir()
    shutil.copy(yunet, folder / "int8.onnx")
    points_model(folder / "points_int8.onnx", DEFAULT_POINTS)
    monkeypatch.delenv("AGEPRED_FACE_MODEL", raising=False)
    monkeypatch.setattr("agepred_edge.model_files._model_roots", lambda: [tmp_path])
    detector = FaceDetector()
    assert (detector.face_model, detector.points_model) == (folder / "int8.onnx", folder / "points_int8.onnx")
    assert FaceDetector(yunet).points_model == folder / "points_int8.onnx"
    assert FaceDetector(yunet, points_model="none").points_model is None
    with pytest.raises(FileNotFoundError, match=r"gone\.onnx"):
        FaceDetector(points_model=tmp_path / "gone.onnx")


def test_missing_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGEPRED_ONNXRUNTIME", "/no/such/libonnxruntime.so")
    with pytest.raises(RuntimeMissingError, match=r"/no/such/libonnxruntime\.so.*pip install onnxruntime"):
        AgeEstimator()
    with pytest.raises(RuntimeMissingError):
        runtime_info()


def test_runtime_not_installed() -> None:
    """Without the onnxruntime wheel and without a library on the system: a message that says what to install."""
    script = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "onnxruntime" else find(name, *rest)
from agepred_edge import AgeEstimator, RuntimeMissingError
try:
    AgeEstimator()
except RuntimeMissingError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "pip install onnxruntime" in done.stdout


def test_runtime_info() -> None:
    info = runtime_info()
    assert info.onnxruntime_version.count(".") == 2
    assert Path(info.onnxruntime_path).is_file()
    assert info.cpu_features
