"""The look at every picture: kept by the pictures' bytes, so that a changed one is looked at again."""

import dataclasses
import hashlib

import numpy as np
import pytest
from tiny_set import SIDE, jpeg, make_collection

from agepred_train.archive import DataError
from agepred_train.curation import survey as surveying
from agepred_train.curation.survey import look


@pytest.fixture
def seen(monkeypatch):
    """Names of the pictures that are looked at."""
    names = []
    original = surveying._look
    monkeypatch.setattr(surveying, "_look", lambda sample: names.append(sample.name) or original(sample))
    return names


def test_says_what_pictures_are(tmp_path):
    samples = make_collection(tmp_path, train=3, val=0, test=0).samples
    samples[1].path.write_bytes(b"no picture")
    samples = [dataclasses.replace(sample, size=sample.path.stat().st_size) for sample in samples]
    survey = look(samples, tmp_path / "new" / "s.npz")
    assert survey.sizes.tolist() == [[SIDE, SIDE], [0, 0], [SIDE, SIDE]]
    assert survey.readable().tolist() == [True, False, True]
    assert [row.tobytes() for row in survey.sha256] == [hashlib.sha256(s.read_bytes()).digest() for s in samples]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["s.npz"]


def test_a_changed_picture_under_an_old_name_is_looked_at_again(tmp_path, seen):
    collection = make_collection(tmp_path, train=4, val=0, test=0)
    first = look(collection.samples, tmp_path / "s.npz")
    seen.clear()
    content = jpeg(99)
    collection.samples[1].path.write_bytes(content)
    samples = list(collection.samples)
    samples[1] = dataclasses.replace(samples[1], size=len(content))
    again = look(samples, tmp_path / "s.npz")
    assert seen == ["1.jpg"]
    assert not np.array_equal(first.gradients[1], again.gradients[1])
    np.testing.assert_array_equal(first.gradients[[0, 2, 3]], again.gradients[[0, 2, 3]])


def test_other_names_and_another_order_cost_nothing(tmp_path, seen):
    samples = make_collection(tmp_path, train=4, val=0, test=0).samples
    first = look(samples, tmp_path / "s.npz")
    seen.clear()
    renamed = [dataclasses.replace(sample, name=f"set/{sample.name}") for sample in samples[::-1]]
    again = look(renamed, tmp_path / "s.npz")
    assert not seen
    assert again.names.tolist() == [sample.name for sample in renamed]
    np.testing.assert_array_equal(first.gradients[::-1], again.gradients)


def test_damaged_cache_is_refused_by_name(tmp_path):
    (tmp_path / "s.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"s\.npz.*delete it"):
        look(make_collection(tmp_path, train=1, val=0, test=0).samples, tmp_path / "s.npz")
