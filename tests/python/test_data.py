"""Labeled pictures: labels within their limits, pixels as they should be seen."""

import numpy as np
import pytest
from PIL import Image
from tiny_set import jpeg

from agepred_train.archive import DataError
from agepred_train.data import Sample, median_age


@pytest.mark.parametrize("content", [b"", b"no picture", jpeg(1)[:300]])
def test_damaged_picture_is_named(tmp_path, content):
    path = tmp_path / "damaged.jpg"
    path.write_bytes(content)
    sample = Sample(name="damaged.jpg", age_min=3, age_max=3, split="train", path=path, size=len(content))
    with pytest.raises(DataError, match=r"damaged\.jpg"):
        sample.read_picture()


def test_pictures_come_as_upright_rgb(tmp_path):
    path = tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # the picture must be turned clockwise to stand upright
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(path, exif=exif)
    sample = Sample(name="turned", age_min=3, age_max=3, split="train", path=path, size=path.stat().st_size)
    assert sample.read_picture().shape == (30, 20, 3)


def test_median_is_a_label_that_occurs(tmp_path):
    def samples(*ages):
        return [Sample(name="", age_min=age, age_max=age, split="train", path=tmp_path, size=0) for age in ages]

    assert median_age(samples(30, 1, 50)) == 30
    assert median_age(samples(30, 1, 50, 40)) == 30
    with pytest.raises(DataError):
        median_age([])


def test_a_label_may_be_a_range(tmp_path):
    labels = {"name": "a", "split": "train", "path": tmp_path, "size": 0}
    assert Sample(age_min=7, age_max=7, **labels).age == 7
    with pytest.raises(ValueError, match="a: labeled with a range, 3 to 9 years"):
        _ = Sample(age_min=3, age_max=9, **labels).age
    for ages in ((9, 3), (-1, 3), (3, 117)):
        with pytest.raises(DataError, match=r"range|within"):
            Sample(age_min=ages[0], age_max=ages[1], **labels)
    with pytest.raises(DataError, match="weight 2"):
        Sample(age_min=3, age_max=3, weight=2, **labels)
