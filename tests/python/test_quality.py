"""What is done to the quality of crops, each kind against what it should do to a known picture."""

import io

import numpy as np
import pytest
from PIL import Image

from agepred_train.quality import blur, expose, rescale, save_as_jpeg, sharpen

KINDS = {"blur": blur, "sharpen": sharpen, "rescale": rescale, "jpeg": save_as_jpeg, "expose": expose}


@pytest.fixture
def crop():
    coarse = np.random.default_rng(0).integers(40, 216, (14, 14, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((112, 112), Image.Resampling.BICUBIC))


def detail(crop):
    return float(np.abs(np.diff(crop.astype(float), axis=0)).mean())


@pytest.mark.parametrize("kind", KINDS)
def test_result_is_a_crop_that_repeats_with_its_seed(kind, crop):
    for picture in (crop, crop[:, ::-1]):
        results = [KINDS[kind](picture, np.random.default_rng(seed)) for seed in (1, 1, 2)]
        assert all((result.shape, result.dtype) == (crop.shape, np.uint8) for result in results)
        np.testing.assert_array_equal(results[0], results[1])
        assert not np.array_equal(results[0], results[2])
    np.testing.assert_array_equal(crop.shape, (112, 112, 3))


def test_blur_and_rescaling_take_detail_and_sharpening_adds_it(crop):
    noisy = np.clip(crop + np.random.default_rng(1).normal(0, 12, crop.shape), 0, 255).astype(np.uint8)
    for seed in range(12):
        assert detail(blur(noisy, np.random.default_rng(seed))) < detail(noisy)
        assert detail(sharpen(noisy, np.random.default_rng(seed))) > detail(noisy)
        assert detail(rescale(noisy, np.random.default_rng(seed))) < 1.001 * detail(noisy)


def test_blur_is_a_share_of_the_side():
    """A bright point in a crop twice as large spreads over twice as many pixels."""

    def spread(side):
        crop = np.zeros((side, side, 3), np.uint8)
        crop[side // 2 - 4 : side // 2 + 4, side // 2 - 4 : side // 2 + 4] = 255
        light = blur(crop, np.random.default_rng(3))[..., 0].astype(float).sum(axis=0)
        place = np.arange(side)
        mean = (light * place).sum() / light.sum()
        variance = (light * (place - mean) ** 2).sum() / light.sum()
        return np.sqrt(variance - 63 / 12)  # less that of the square of eight pixels

    assert spread(448) / spread(224) == pytest.approx(2.0, rel=0.1)


def test_jpeg_is_what_its_decoder_gives(crop):
    changed = save_as_jpeg(crop, np.random.default_rng(5))
    quality = int(np.random.default_rng(5).integers(20, 91))
    buffer = io.BytesIO()
    Image.fromarray(crop).save(buffer, "JPEG", quality=quality)
    np.testing.assert_array_equal(changed, np.asarray(Image.open(buffer)))
