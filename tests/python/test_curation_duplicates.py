"""Near-duplicates: found across sizes, compression and sets; strangers and broken files stay apart."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from agepred_train.archive import DataError
from agepred_train.curation.duplicates import NEAR, contradict, exact_copies, find_groups, near_pairs
from agepred_train.curation.survey import HASH_SIDE, gradients_of, look
from agepred_train.data import Sample

HASH_BITS = HASH_SIDE**2
WHOLE_HASHES = np.random.default_rng(3).integers(0, 256, (700, HASH_BITS // 8), dtype=np.uint8)


def smooth(seed, side=200):
    coarse = np.random.default_rng(seed).integers(0, 256, (10, 10, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def encoded(picture, **options):
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def store(folder, contents, ages=None, groups=None):
    samples = []
    for number, content in enumerate(contents):
        path = folder / f"{number}.jpg"
        path.write_bytes(content)
        age = ages[number] if ages else 30
        labels = {"age_min": age, "age_max": age, "split": "train", "group": groups[number] if groups else ""}
        samples.append(Sample(name=path.name, path=path, size=len(content), **labels))
    return samples


def distance(a, b):
    first, second = (gradients_of(np.asarray(picture), HASH_SIDE) > 0 for picture in (a, b))
    return int((first != second).sum())


@pytest.mark.parametrize("seed", range(5))
def test_hash_outlives_size_compression_and_light_but_not_another_picture(seed):
    picture = smooth(seed)
    poor = Image.open(io.BytesIO(encoded(picture, quality=30)))
    for copy in (
        picture.resize((64, 64)),
        poor,
        ImageEnhance.Brightness(picture).enhance(0.8),
        picture.convert("L").convert("RGB"),
    ):
        assert distance(picture, copy) <= NEAR
    assert distance(picture, smooth(seed + 100)) > 2 * NEAR
    assert distance(picture, picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) > 2 * NEAR


def test_pairs_are_those_of_a_plain_count():
    hashes = WHOLE_HASHES.copy()
    rng = np.random.default_rng(4)
    for copy, original in ((600, 3), (601, 3), (699, 511), (512, 511)):
        bits = np.unpackbits(hashes[original])
        bits[rng.choice(HASH_BITS, copy % 30, replace=False)] ^= 1
        hashes[copy] = np.packbits(bits)
    bits = np.unpackbits(hashes, axis=1).astype(int)
    for near in (0, 10, NEAR, 100):
        expected = {
            (i, j) for i in range(700) for j in np.flatnonzero((bits[i] != bits).sum(axis=1) <= near).tolist() if i < j
        }
        assert {tuple(pair) for pairs in near_pairs(hashes, near) for pair in pairs.tolist()} == expected
    assert expected


def test_copies_near_copies_and_tables_make_groups(tmp_path):
    a, b, c = (encoded(smooth(seed), quality=95) for seed in range(3))
    near_b = encoded(smooth(1), quality=40)
    samples = store(
        tmp_path, [a, b, c, a, near_b, encoded(smooth(5)), encoded(smooth(6))], groups=["", "", "x", "", "", "x", "x"]
    )
    survey = look(samples, tmp_path / "survey.npz")
    one = ["set"] * 7
    assert find_groups(samples, one, survey) == [[0, 3], [1, 4], [2, 5, 6]]
    # Two tables may use the same word for their groups; the pictures do not care which set they are in.
    assert find_groups(samples, ["p", "p", "p", "q", "q", "q", "p"], survey) == [[0, 3], [1, 4], [2, 6]]
    assert exact_copies(survey) == 1


def test_broken_files_are_no_copies_of_each_other(tmp_path):
    samples = store(tmp_path, [b"", b"", b"no picture", encoded(smooth(1))[:200], encoded(smooth(1))])
    survey = look(samples, tmp_path / "survey.npz")
    assert survey.readable().tolist() == [False, False, False, False, True]
    assert find_groups(samples, ["set"] * 5, survey) == []


def test_heads_before_one_wall_are_not_one_picture(tmp_path):
    """Nine tenths of the bits are the wall's and agree; what there is to see does not."""

    def portrait(seed):
        wall = Image.new("RGB", (640, 640), "white")
        wall.paste(smooth(seed, 230), (200, 200))
        return wall

    contents = [encoded(portrait(seed), quality=90) for seed in (1, 2, 1)]
    contents[2] = encoded(portrait(1).resize((300, 300)), quality=60)
    samples = store(tmp_path, contents)
    assert distance(portrait(1), portrait(2)) <= NEAR
    assert find_groups(samples, ["set"] * 3, look(samples, tmp_path / "survey.npz")) == [[0, 2]]


def test_blank_pictures_are_copies_by_their_bytes_alone(tmp_path):
    contents = [encoded(Image.new("RGB", (200, 200), color)) for color in ("black", "white", "black")]
    samples = store(tmp_path, contents)
    assert find_groups(samples, ["set"] * 3, look(samples, tmp_path / "survey.npz")) == [[0, 2]]


def test_labels_contradict_where_no_age_fits_all():
    def label(low, high):
        return Sample(name="", age_min=low, age_max=high, split="train", path=Path("x"), size=0)

    assert contradict([label(30, 30), label(31, 31)])
    assert not contradict([label(30, 30), label(30, 39), label(25, 30)])
    assert contradict([label(30, 39), label(20, 30), label(35, 35)])


def test_survey_goes_on_where_it_was_and_knows_its_samples(tmp_path, monkeypatch):
    from agepred_train.curation import survey as surveying

    samples = store(tmp_path, [encoded(smooth(seed)) for seed in range(7)])
    whole = look(samples, tmp_path / "whole.npz")
    out = tmp_path / "survey.npz"
    in_chunks = surveying.in_chunks
    monkeypatch.setattr(surveying, "in_chunks", lambda *a, **k: in_chunks(*a, **k, chunk=2))
    plain = surveying._look
    seen = []

    def counted(sample):
        if sample.name == "5.jpg" and not seen.count("5.jpg"):
            seen.append(sample.name)
            raise KeyboardInterrupt
        seen.append(sample.name)
        return plain(sample)

    monkeypatch.setattr(surveying, "_look", counted)
    with pytest.raises(KeyboardInterrupt):
        look(samples, out)
    assert not out.exists()
    seen[:] = ["5.jpg"]
    resumed = look(samples, out)
    assert sorted(seen) == ["4.jpg", "5.jpg", "5.jpg", "6.jpg"]
    for name in surveying.Survey.__slots__:
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name))
    seen.clear()
    look(samples, out)
    assert not seen
    look(samples[::-1], out)
    assert not seen


def test_damaged_survey_is_refused_by_name(tmp_path):
    (tmp_path / "survey.npz").write_bytes(b"PK broken")
    with pytest.raises(DataError, match=r"survey\.npz.*delete it"):
        look(store(tmp_path, [b"x"]), tmp_path / "survey.npz")
