"""Deletion and insertion, on a function of crops whose true map is known."""

import numpy as np
import pytest

from agepred_train.cells import CellGrid
from agepred_train.explain.deletion import SHARES, STEPS, area, delete, mixed, order_of
from agepred_train.explain.explainers import Explained

SIDE = 32
GRID = CellGrid(count=4, first=4.0, step=8.0)


class Detail:
    """Its age is the detail in a crop's cells, each weighed."""

    side = SIDE
    points = np.zeros((5, 2), np.float32)
    grid = GRID

    def __init__(self, weights):
        self.weights = np.asarray(weights, float)

    def by_cell(self, crops):
        gray = crops.astype(float).mean(axis=3).reshape(len(crops), 4, 8, 4, 8)
        return self.weights * gray.std(axis=(2, 4)) / 16

    def ages(self, crops):
        return 30 + self.by_cell(crops).sum(axis=(1, 2))

    def explain(self, crops):
        return Explained(ages=self.ages(crops), maps=self.by_cell(crops).astype(np.float32))

    def describe(self):
        return {"kind": "file", "name": "detail", "sha256": "00"}


@pytest.fixture
def crop():
    return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture
def other():
    """A smooth picture: what it lends has no detail."""
    return np.full((SIDE, SIDE, 3), 128, np.uint8)


@pytest.fixture
def detail():
    return Detail(np.random.default_rng(1).normal(size=(4, 4)))


def test_true_map_falls_sooner_and_its_reverse_later(detail, crop, other):
    cells = detail.explain(crop[None]).maps[0]
    curves = [delete(detail, crop, other, cells, seed) for seed in range(20)]
    areas = {order: np.mean([area(getattr(one, order)) for one in curves]) for order in ("map", "random", "reverse")}
    assert areas["map"] < areas["random"] < areas["reverse"]


def test_wrong_map_fails_the_check(detail, crop, other):
    cells = -detail.explain(crop[None]).maps[0]
    curves = delete(detail, crop, other, cells, 0)
    assert area(curves.map) > area(curves.reverse)


def test_curves_begin_whole_and_end_as_the_other_face(detail, crop, other):
    cells = detail.explain(crop[None]).maps[0]
    curves = delete(detail, crop, other, cells, 0)
    ends = detail.ages(np.stack([crop, other]))
    for curve in (curves.map, curves.random, curves.reverse):
        assert curve.shape == (STEPS + 1,)
        assert (curve[0], curve[-1]) == pytest.approx(tuple(ends))


def test_insertion_is_deletion_in_the_reverse_order_read_backwards(detail, crop, other):
    cells = detail.explain(crop[None]).maps[0]
    order = order_of(cells, SIDE, GRID)
    inserted = detail.ages(np.stack([mixed(other, crop, order, share) for share in SHARES]))
    np.testing.assert_allclose(inserted, delete(detail, crop, other, cells, 0).reverse[::-1], atol=0.05)


def test_orders_name_every_pixel_once_by_falling_value(crop):
    cells = np.random.default_rng(2).normal(size=(4, 4)).astype(np.float32)
    order = order_of(cells, SIDE, GRID)
    assert sorted(order) == list(range(SIDE * SIDE))
    best = np.unravel_index(cells.argmax(), cells.shape)
    row, column = divmod(int(order[0]), SIDE)
    assert (row // 8, column // 8) == tuple(best)


def test_shares_are_replaced(crop):
    base = np.zeros_like(crop)
    order = np.arange(SIDE * SIDE)
    half = mixed(crop, base, order, 0.5)
    assert not half[: SIDE // 2].any()
    np.testing.assert_array_equal(half[SIDE // 2 :], crop[SIDE // 2 :])
    assert crop[0].any()


def test_area_of_a_straight_fall():
    assert area(np.linspace(40, 20, STEPS + 1)) == pytest.approx(-10)
