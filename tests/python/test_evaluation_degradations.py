"""What is done to pictures is what its name says, against references written another way."""

import io

import numpy as np
import pytest
from PIL import Image
from tiny_set import jpeg

from agepred_train.evaluation.degradations import DEGRADATIONS, blurred, compressed, gray, sharpened, shrunk


@pytest.fixture(scope="module")
def picture():
    return np.asarray(Image.open(io.BytesIO(jpeg(0, 64))))


def test_blur_is_opencvs(picture):
    cv2 = pytest.importorskip("cv2")
    expected = cv2.GaussianBlur(picture, (25, 25), 3.0, borderType=cv2.BORDER_REFLECT)
    assert np.abs(blurred(picture, 3.0).astype(int) - expected).max() <= 1


def test_sharpening_adds_what_blur_takes(picture):
    smooth = blurred(picture, 2.0).astype(int)
    expected = np.clip(picture + 1.5 * (picture.astype(int) - smooth), 0, 255)
    assert np.abs(sharpened(picture, 2.0, 1.5) - expected).max() <= 1.5  # smooth was rounded
    flat = np.full((20, 20, 3), 77, np.uint8)
    np.testing.assert_array_equal(sharpened(flat, 2.0, 1.5), flat)


def test_shrinking_takes_means_of_squares():
    picture = np.random.default_rng(0).integers(0, 256, (9, 6, 3), dtype=np.uint8)
    small = shrunk(picture, 2)
    assert small.shape == (4, 3, 3)
    for y, x in np.ndindex(4, 3):
        mean = picture[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].reshape(4, 3).mean(axis=0)
        assert np.abs(small[y, x] - mean).max() <= 0.5


def test_gray_and_jpeg_are_pillows(picture):
    expected = np.asarray(Image.fromarray(picture).convert("L")).astype(int)
    assert np.abs(gray(picture) - expected[..., None]).max() <= 1
    rough = compressed(picture, 30)
    assert rough.shape == picture.shape
    assert 0 < np.abs(rough.astype(int) - picture).mean() < 20


def test_all_give_pictures(picture):
    untouched = picture.copy()
    assert set(DEGRADATIONS) == {"blur", "sharpen", "shrink2", "shrink4", "jpeg30", "dark", "bright", "gray"}
    for name, degrade in DEGRADATIONS.items():
        changed = degrade(picture)
        factor = int(name[-1]) if name.startswith("shrink") else 1
        assert (changed.dtype, changed.shape) == (np.uint8, (64 // factor, 64 // factor, 3)), name
        assert changed.flags.c_contiguous, name
        assert not np.array_equal(changed, picture), name
    np.testing.assert_array_equal(picture, untouched)


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 9, 3), (9, 2, 3)])
def test_what_is_smaller_than_a_square_becomes_a_pixel(shape):
    picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    small = shrunk(picture, 4)
    assert small.shape == (max(shape[0] // 4, 1), max(shape[1] // 4, 1), 3)
    expected = picture[: min(4, shape[0]), : min(4, shape[1])].mean(axis=(0, 1))
    np.testing.assert_allclose(small[0, 0], expected, atol=0.51)
