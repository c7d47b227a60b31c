"""Maps at the size of a crop, their colors, and what the core says of models that can and cannot explain."""

import numpy as np
import pytest

from agepred_edge import AgeEstimator, ModelError, enlarge_map, map_at, tint
from agepred_edge.bench_features import copy_without_features

CELLS = np.array([[0.0, 1.0, 3.0], [-2.0, 4.0, 0.5]], np.float32)
GRID = {"first": 0.5, "step": 8.0}


def test_a_cell_has_its_value_at_its_center():
    rows, columns = np.indices(CELLS.shape)
    found = map_at(CELLS, 0.5 + 8 * columns, 0.5 + 8 * rows, **GRID)
    np.testing.assert_array_equal(found, CELLS)
    np.testing.assert_array_equal(enlarge_map(CELLS, 17, **GRID)[::8, ::8][:2], CELLS)


def test_between_cells_it_is_bilinear_and_beyond_them_constant():
    assert map_at(CELLS, 4.5, 0.5, **GRID) == pytest.approx(0.5)
    assert map_at(CELLS, 4.5, 4.5, **GRID) == pytest.approx((0 + 1 - 2 + 4) / 4)
    assert map_at(CELLS, -100, 100, **GRID) == CELLS[1, 0]
    assert map_at(CELLS, 100, -100, **GRID) == CELLS[0, 2]
    large = enlarge_map(CELLS, 40, **GRID)
    assert large.shape == (40, 40)
    assert (large.min(), large.max()) == (CELLS.min(), CELLS.max())


def test_one_cell_is_everywhere():
    np.testing.assert_array_equal(enlarge_map([[2.5]], 5, **GRID), np.full((5, 5), 2.5))


def test_colors_say_which_way_and_how_much():
    picture = np.full((1, 4, 3), 120, np.uint8)
    plain, older, younger, more = tint(picture, [[0.0, 0.5, -0.5, 9.0]], 1.0)[0].astype(int)
    np.testing.assert_array_equal(plain, [120, 120, 120])
    assert older[0] > 120 > older[2]
    assert younger[2] > 120 > younger[0]
    assert more[0] > older[0]
    np.testing.assert_array_equal(picture, 120)


def test_model_without_the_output_says_what_to_do(int8_model, blank_crop, tmp_path):
    plain = AgeEstimator(copy_without_features(int8_model, tmp_path))
    assert plain.info.map_shape == (0, 0)
    with pytest.raises(ModelError, match=r"\.onnx: it has no output features.*agepred export"):
        plain.explain_crop(blank_crop)


def test_crops_are_checked(estimator: AgeEstimator, blank_crop):
    side = estimator.info.crop_side
    with pytest.raises(ValueError, match=f"{side} x {side} x 3"):
        estimator.explain_crop(blank_crop[1:])
    with pytest.raises(TypeError, match="uint8"):
        estimator.explain_crop(blank_crop.astype(np.float32))
