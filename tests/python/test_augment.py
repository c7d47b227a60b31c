"""Random variation of training crops."""

import dataclasses

import numpy as np
import pytest

from agepred_edge import DEFAULT_POINTS
from agepred_train import recipes
from agepred_train.augment import move_points, vary_crop

POINTS = (DEFAULT_POINTS * 150 + 20).astype(np.float32)
STILL = dataclasses.replace(recipes.first_light(), rotation=0, scale=0, shift=0, point_noise=0)
PLAIN = dataclasses.replace(recipes.first_light(), color_jitter=0, gray_share=0, degrade_share=0, erase_share=0)


def moved(count=4000, **sizes):
    rng = np.random.default_rng(5)
    recipe = dataclasses.replace(STILL, **sizes)
    return np.stack([move_points(POINTS, DEFAULT_POINTS, recipe, rng) for _ in range(count)])


def angle(points):
    eyes = points[..., 1, :] - points[..., 0, :]
    return np.degrees(np.arctan2(eyes[..., 1], eyes[..., 0]))


def test_without_variation_points_stay():
    np.testing.assert_allclose(moved(1)[0], POINTS, atol=1e-4)


def test_sizes_are_those_of_the_recipe():
    assert angle(moved(rotation=6.0)).std() == pytest.approx(6.0, rel=0.05)
    eyes = np.linalg.norm(np.diff(moved(scale=0.06)[:, :2], axis=1)[:, 0], axis=1)
    assert np.log(eyes / (0.4 * 150)).std() == pytest.approx(0.06, rel=0.05)
    # The points span the crop as the targets do, so its side is 150 pixels here.
    assert moved(shift=0.03).mean(axis=1).std(axis=0) == pytest.approx([4.5, 4.5], rel=0.05)
    assert moved(point_noise=0.01).std(axis=0) == pytest.approx(np.full((5, 2), 1.5), rel=0.08)


def test_rotation_and_scale_keep_the_shape():
    for points in moved(20, rotation=20, scale=0.2, shift=0.1):
        distances = np.linalg.norm(points[:, None] - points, axis=2)
        original = np.linalg.norm(POINTS[:, None] - POINTS, axis=2)
        ratios = distances[original > 0] / original[original > 0]
        assert ratios.std() < 1e-4


@pytest.fixture
def crop():
    return np.random.default_rng(0).integers(30, 220, (64, 64, 3), dtype=np.uint8)


def test_plain_variation_only_flips(crop):
    rng = np.random.default_rng(0)
    results = [vary_crop(crop, PLAIN, rng) for _ in range(40)]
    same = [np.array_equal(result, crop) for result in results]
    flipped = [np.array_equal(result, crop[:, ::-1]) for result in results]
    assert all(a != b for a, b in zip(same, flipped, strict=True))
    assert 8 < sum(flipped) < 32


def test_gray_crops_have_equal_channels(crop):
    gray = vary_crop(crop, dataclasses.replace(PLAIN, gray_share=1.0), np.random.default_rng(0))
    assert np.ptp(gray.astype(int), axis=2).max() <= 1


def test_erasing_hides_one_bounded_rectangle(crop):
    recipe = dataclasses.replace(PLAIN, erase_share=1.0)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        result = vary_crop(crop, recipe, rng)
        unchanged = (result == crop).all(axis=2) | (result == crop[:, ::-1]).all(axis=2)
        assert 0.01 < 1 - unchanged.mean() < 0.2


def test_a_backdrop_is_one_gray_around_a_face_that_stays():
    """Of the same draws at twice the size, as a teacher sees it, the same is left."""
    recipe = dataclasses.replace(PLAIN, backdrop_share=1.0, flip_share=0.0)
    crop = np.full((64, 64, 3), (201, 80, 7), np.uint8)  # no gray
    grays = []
    for seed in range(60):
        small, large = (
            vary_crop(np.repeat(np.repeat(crop, times, 0), times, 1), recipe, np.random.default_rng(seed))
            for times in (1, 2)
        )
        kept = (small == crop).all(axis=2)
        assert kept[12:52, 16:48].all()  # brows to chin, and cheeks
        assert not kept[[0, 0, -1, -1], [0, -1, 0, -1]].any()
        painted = np.unique(small[~kept])
        assert len(painted) == 1
        grays.append(painted[0])
        assert (np.repeat(np.repeat(kept, 2, 0), 2, 1) == (large == painted[0]).all(axis=2)).mean() < 0.03
    assert grays.count(0) > 5
    assert grays.count(255) > 5
    assert len(set(grays)) > 15


def test_degrading_keeps_the_mean(crop):
    smooth = np.sort(crop, axis=0)
    recipe = dataclasses.replace(PLAIN, degrade_share=1.0)
    for seed in range(10):
        result = vary_crop(smooth, recipe, np.random.default_rng(seed))
        assert result.mean() == pytest.approx(smooth.mean(), abs=2.5)


def test_result_is_a_contiguous_crop_and_repeats_with_its_seed(crop):
    recipe = recipes.first_light()
    first = vary_crop(crop, recipe, np.random.default_rng(9))
    assert first.flags.c_contiguous
    assert (first.shape, first.dtype) == (crop.shape, np.uint8)
    np.testing.assert_array_equal(first, vary_crop(crop, recipe, np.random.default_rng(9)))
