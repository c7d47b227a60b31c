"""Exposure is a factor in linear light, and there is one curve for all that changes light."""

import re
from pathlib import Path

import numpy as np
import pytest

import agepred_train
from agepred_train.light import exposed


def test_exposure_is_light_times_a_power_of_two():
    gray = np.arange(256, dtype=np.uint8)[:, None, None].repeat(3, axis=2)
    np.testing.assert_array_equal(exposed(gray, 0.0), gray)
    brighter = exposed(gray, 1.0)[:, 0, 0]
    assert (brighter[190:] == 255).all()
    # Of sRGB's values 188 is half of the light, 137 a quarter, 99 an eighth.
    for value, stops, expected in ((188, -1, 137), (188, -2, 99), (137, -1, 99), (99, 1, 137), (137, 1, 188)):
        assert exposed(gray, stops)[value, 0, 0] == pytest.approx(expected, abs=1)
    assert (np.diff(brighter.astype(int)) >= 0).all()
    back = exposed(exposed(gray, -1.0), 1.0)[:, 0, 0].astype(int)
    assert np.abs(back - np.arange(256)).max() <= 3


def test_exposure_is_a_factor_in_linear_light():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    np.testing.assert_array_equal(exposed(levels, 0.0), levels)
    # sRGB 188 is half of the light of 255 (0.5029), and 99 an eighth of it (0.1248).
    assert exposed(np.full((1, 1, 3), 188, np.uint8), 1.0)[0, 0, 0] == 255
    assert exposed(np.full((1, 1, 3), 188, np.uint8), -2.0)[0, 0, 0] == 99
    assert (np.diff(exposed(levels, -2.0)[..., 0].ravel().astype(int)) >= 0).all()
    assert exposed(levels, 1.0)[-1, -1, 0] == 255


def test_the_curve_is_written_once():
    sources = Path(agepred_train.__file__).parent.rglob("*.py")
    assert [path.name for path in sources if re.search(r"0\.04045|0\.0031308", path.read_text())] == ["light.py"]
