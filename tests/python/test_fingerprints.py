"""Pictures are known by their stored bytes."""

import hashlib

import numpy as np
import pytest
from tiny_set import make_collection

from agepred_train.fingerprints import fingerprints, rows_of, unknown


def test_they_are_the_hashes_of_the_stored_bytes(tmp_path):
    samples = make_collection(tmp_path, train=5, val=0, test=0).samples
    prints = fingerprints(samples)
    assert prints.shape == (5, 32)
    assert [row.tobytes() for row in prints] == [hashlib.sha256(s.path.read_bytes()).digest() for s in samples]
    assert fingerprints([]).shape == (0, 32)


def test_what_is_not_known_is_named_once():
    prints = np.arange(4 * 32, dtype=np.uint8).reshape(4, 32)
    wanted = prints[[2, 0, 2, 3, 3]]
    assert unknown(wanted, prints[:1]) == [0, 3]
    assert unknown(wanted, prints) == []
    np.testing.assert_array_equal(rows_of(wanted, prints), [2, 0, 2, 3, 3])
    with pytest.raises(KeyError):
        rows_of(wanted, prints[:1])
