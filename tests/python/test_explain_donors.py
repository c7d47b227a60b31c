"""Who lends: the nearest age among the first faces."""

import numpy as np

from agepred_train.explain.donors import POOL, Donors


def crop(number):
    return np.full((1, 1, 3), number, np.int64)


def test_nearest_is_the_nearest():
    rng = np.random.default_rng(0)
    ages = rng.uniform(0, 90, 200).tolist()
    donors = Donors()
    assert donors.nearest(20.0) is None
    for number, age in enumerate(ages):
        donors.add(age, crop(number))
    for asked in [*rng.uniform(-5, 95, 50).tolist(), ages[3]]:
        expected = int(np.argmin(np.abs(np.array(ages) - asked)))
        assert donors.nearest(asked)[0, 0, 0] == expected


def test_the_pool_does_not_grow_beyond_its_size():
    donors = Donors()
    for number in range(POOL):
        donors.add(float(number), crop(number))
    donors.add(-100.0, crop(-1))
    assert donors.nearest(-100.0)[0, 0, 0] == 0
