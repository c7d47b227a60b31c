"""The crop against an independent implementation of the definition in docs/model_contract.md."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agepred_edge import DEFAULT_POINTS, FaceDetector, align


def reference_crop(picture: NDArray[np.uint8], landmarks: NDArray[np.float32], side: int) -> NDArray[np.float64]:
    """The definition in NumPy and OpenCV: a linear least-squares fit, then bilinear samples of a mirrored picture."""
    targets = DEFAULT_POINTS.astype(np.float64) * side
    # Unknowns a, b, x, y of (a u - b v + x, b u + a v + y), two equations a point.
    rows, goals = [], []
    for (u, v), (x, y) in zip(targets, landmarks.astype(np.float64), strict=True):
        rows += [[u, -v, 1, 0], [v, u, 0, 1]]
        goals += [x, y]
    a, b, x0, y0 = np.linalg.lstsq(np.array(rows), np.array(goals), rcond=None)[0]
    n = int(np.ceil(np.clip(np.hypot(a, b), 1, 16)))
    steps = (np.arange(side * n) + 0.5) / n
    u, v = np.meshgrid(steps, steps)
    x, y = a * u - b * v + x0 - 0.5, b * u + a * v + y0 - 0.5
    # OpenCV mirrors about the outermost pixels' centers; a generous border leaves only the interpolation to do.
    border = int(max(0, -x.min(), -y.min(), x.max() - picture.shape[1], y.max() - picture.shape[0])) + 2
    padded = cv2.copyMakeBorder(picture, border, border, border, border, cv2.BORDER_REFLECT_101).astype(np.float64)
    x, y = x + border, y + border
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - left)[..., None], (y - top)[..., None]
    upper = padded[top, left] * (1 - fx) + padded[top, left + 1] * fx
    lower = padded[top + 1, left] * (1 - fx) + padded[top + 1, left + 1] * fx
    samples = upper * (1 - fy) + lower * fy
    return samples.reshape(side, n, side, n, 3).mean(axis=(1, 3))


def share_within_one(crop: NDArray[np.uint8], reference: NDArray[np.float64]) -> float:
    rounded = np.floor(reference + 0.5)
    return float((np.abs(crop.astype(np.float64) - rounded) <= 1).mean())


@pytest.mark.parametrize("side", [96, 112, 224])
def test_real_faces(chips: list[NDArray[np.uint8]], yunet, side: int) -> None:
    detector = FaceDetector(yunet)
    compared = 0
    for chip in chips:
        for face in detector.detect(chip, pixel_format="RGB"):
            crop = align(chip, face.landmarks, side=side, pixel_format="RGB")
            assert share_within_one(crop, reference_crop(chip, face.landmarks, side)) >= 0.999
            compared += 1
    assert compared >= 25


@settings(max_examples=60, deadline=None)
@given(
    angle=st.floats(-3.2, 3.2),
    scale=st.floats(5, 900),
    shift=st.tuples(st.floats(-150, 150), st.floats(-150, 150)),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_similarity(angle: float, scale: float, shift: tuple[float, float], seed: int) -> None:
    """Noise shows every wrong weight; the points are moved anywhere, beyond the border as well."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (97, 131, 3), dtype=np.uint8)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    noise = rng.normal(0, 0.02, (5, 2))
    landmarks = ((DEFAULT_POINTS - 0.5 + noise) * scale @ turn + np.array([65, 48]) + shift).astype(np.float32)
    crop = align(picture, landmarks, side=48, pixel_format="RGB")
    assert share_within_one(crop, reference_crop(picture, landmarks, 48)) >= 0.999


def test_pixel_formats_agree(hopper: NDArray[np.uint8]) -> None:
    points = np.array([[224, 197], [307, 196], [265, 239], [230, 274], [304, 272]], np.float32)
    rgb = align(hopper, points, pixel_format="RGB")
    alpha = np.full((*hopper.shape[:2], 1), 77, np.uint8)
    bgr = np.ascontiguousarray(hopper[..., ::-1])
    assert np.array_equal(rgb, align(bgr, points, pixel_format="BGR"))
    assert np.array_equal(rgb, align(np.concatenate([hopper, alpha], 2), points, pixel_format="RGBA"))
    assert np.array_equal(rgb, align(np.concatenate([bgr, alpha], 2), points, pixel_format="BGRA"))
    gray = hopper[..., 1].copy()
    assert np.array_equal(align(gray, points, pixel_format="GRAY")[..., 0], rgb[..., 1])


def test_rows_may_have_gaps_and_run_upward(hopper: NDArray[np.uint8]) -> None:
    points = np.array([[24, 97], [107, 96], [65, 139], [30, 174], [104, 172]], np.float32)
    window = hopper[100:400, 200:450]
    assert not window.flags["C_CONTIGUOUS"]
    expected = align(window.copy(), points, pixel_format="RGB")
    assert np.array_equal(expected, align(window, points, pixel_format="RGB"))
    upward = window[::-1].copy()[::-1]
    assert upward.strides[0] < 0
    assert np.array_equal(expected, align(upward, points, pixel_format="RGB"))


@pytest.mark.parametrize(
    "landmarks",
    [
        np.zeros((5, 2)),
        np.full((5, 2), np.nan),
        np.full((5, 2), np.inf),
        np.zeros((4, 2)),
        np.eye(2, 5),
        np.eye(5, 2) * 1e30,
    ],
)
def test_points_that_define_no_crop(landmarks: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="point"):
        align(np.zeros((9, 9, 3), np.uint8), landmarks, pixel_format="RGB")


@pytest.mark.parametrize("side", [0, -1, 1025, 2**31 - 1])
def test_sides_out_of_range(side: int) -> None:
    with pytest.raises(ValueError, match="side"):
        align(np.zeros((9, 9, 3), np.uint8), DEFAULT_POINTS * 9, side=side, pixel_format="RGB")
