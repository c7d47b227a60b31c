"""The share of a crop outside of its picture, against counting and against the core's own cut."""

import numpy as np
import pytest

from agepred_edge import DEFAULT_POINTS, align
from agepred_train.extent import crop_corners, share_outside


def turned(scale, angle, x, y):
    cosine, sine = np.cos(angle), np.sin(angle)
    return (scale * DEFAULT_POINTS @ np.array([[cosine, sine], [-sine, cosine]]) + [x, y]).astype(np.float32)


@pytest.mark.parametrize("seed", range(20))
def test_share_is_what_counting_finds(seed):
    rng = np.random.default_rng(seed)
    points = turned(rng.uniform(40, 150), rng.uniform(-3, 3), rng.uniform(-60, 120), rng.uniform(-60, 120))
    a, b, _, d = crop_corners(points)
    u = (np.arange(400) + 0.5) / 400
    grid = a + u[:, None, None] * (b - a) + u[None, :, None] * (d - a)
    inside = ((grid > 0) & (grid < [100, 80])).all(axis=-1)
    assert share_outside(points, 100, 80) == pytest.approx(1 - inside.mean(), abs=0.004)


def test_ends_are_exact():
    assert share_outside(turned(50, 0, 10, 10), 100, 100) == 0
    assert share_outside(turned(50, 0, 200, 10), 100, 100) == 1
    assert share_outside(turned(50, 0, -25, 10), 100, 100) == pytest.approx(0.5, abs=1e-6)


def test_corners_are_those_that_the_core_cuts():
    ramp = np.zeros((300, 300, 3), np.uint8)
    ramp[..., 0] = np.arange(300)[None] * 255 // 299
    ramp[..., 1] = np.arange(300)[:, None] * 255 // 299
    points = turned(120, 0.4, 80, 40)
    crop = align(ramp, points, side=120, pixel_format="RGB").astype(float)
    corners = crop_corners(points)
    for value, corner in zip((crop[0, 0], crop[0, -1], crop[-1, -1], crop[-1, 0]), corners, strict=True):
        np.testing.assert_allclose(value[:2] * 299 / 255, corner, atol=2)
