"""Several data sets as one."""

import dataclasses
import json

import numpy as np
import pytest
from tiny_set import faces_of, make_collection

from agepred_train import recipes
from agepred_train.archive import DataError
from agepred_train.dataset import FaceCrops
from agepred_train.sources import join, of_source, sources_of, weights_by_source
from agepred_train.train import _refuse_other_cleaning, _weight, train


@pytest.fixture
def parts(tmp_path):
    pairs = {}
    for number, name in enumerate(("utkface", "utkface2")):
        (tmp_path / name).mkdir()
        collection = make_collection(tmp_path / name, train=3 + number, val=1, test=1)
        pairs[name] = (collection, faces_of(collection, counts=np.arange(5 + number, dtype=np.int32) + 10 * number))
    return pairs


def test_names_say_the_source_and_faces_follow(parts):
    collection, faces = join(parts)
    assert sources_of(collection) == ("utkface", "utkface2")
    assert len(collection.samples) == len(faces.names) == 11
    rows = faces.row_of()
    for source, (part, found) in parts.items():
        chosen = of_source(collection.samples, source)
        assert [sample.name for sample in chosen] == [f"{source}/{sample.name}" for sample in part.samples]
        for sample, original, count in zip(chosen, part.samples, found.counts, strict=True):
            assert dataclasses.replace(sample, name=original.name) == original
            assert faces.counts[rows[sample.name]] == count
    assert collection.hashes == {"utkface/tiny": "t" * 64, "utkface2/tiny": "t" * 64}


def test_single_set_is_a_source_without_a_name(parts):
    collection, _ = parts["utkface"]
    assert sources_of(collection) == ("",)
    assert of_source(collection.samples, "") == list(collection.samples)


def test_faces_of_different_detectors_do_not_mix(parts):
    collection, faces = parts["utkface2"]
    parts["utkface2"] = (collection, dataclasses.replace(faces, points_sha256="e" * 64))
    with pytest.raises(DataError, match="utkface, utkface2 were found by 2 different detectors"):
        join(parts)


def test_names_of_sources_are_plain(parts):
    with pytest.raises(DataError, match="'a/b' cannot name a data set"):
        join({"a/b": parts["utkface"]})


def test_weights_are_read_and_wrong_ones_named():
    assert weights_by_source("") == {}
    assert weights_by_source("fairface=0.5,snapshots=2") == {"fairface": 0.5, "snapshots": 2.0}
    for text in ("fairface", "fairface=many", "fairface=-1", "fairface=nan"):
        with pytest.raises(ValueError, match="fairface"):
            weights_by_source(text)


@pytest.fixture
def ranged(parts, tmp_path):
    """The second set labeled with ranges."""
    collection, faces = parts["utkface2"]
    samples = [dataclasses.replace(sample, age_min=20, age_max=29) for sample in collection.samples]
    ones = np.ones(len(samples), np.int32)
    first, first_faces = parts["utkface"]
    return {
        "utkface": (first, dataclasses.replace(first_faces, counts=np.ones(5, np.int32))),
        "crowd": (dataclasses.replace(collection, samples=tuple(samples)), dataclasses.replace(faces, counts=ones)),
    }


def test_training_on_two_sets_validates_each(ranged, tmp_path):
    recipe = dataclasses.replace(recipes.smoke(), batch_size=3, source_weights="crowd=0.5")
    run = train(recipe, *join(ranged), tmp_path / "run")
    assert run.figures.keys() == {"val_mae", "val_loss", "val_accuracy", "val_mae_crowd", "val_inside_crowd"}
    record = json.loads((run.folder / "record.json").read_text())
    assert record["data"]["sha256"].keys() == {"utkface/tiny", "crowd/tiny"}
    assert record["best"]["train_samples"] == 3 + 4
    assert record["best"]["val_samples"] == 1
    # The answer without a face is of the first set's labels: 0, 37 and 74.
    assert record["data"]["median_train_age"] == 37


def test_labels_count_as_their_source_and_sample_say(ranged):
    first, faces = ranged["crowd"]
    samples = (dataclasses.replace(first.samples[0], weight=0.25), *first.samples[1:])
    ranged["crowd"] = (dataclasses.replace(first, samples=samples), faces)
    collection, faces = join(ranged)
    recipe = dataclasses.replace(recipes.smoke(), source_weights="crowd=0.5")
    crops = FaceCrops(collection.part("train"), faces, side=64)
    _weight(crops, recipe, sources_of(collection))
    assert crops.weights.tolist() == [1, 1, 1, 0.125, 0.5, 0.5, 0.5]


def test_a_source_that_is_not_there_is_named(ranged, tmp_path):
    recipe = dataclasses.replace(recipes.smoke(), batch_size=3, source_weights="fairfaces=0.5")
    with pytest.raises(DataError, match="source_weights names fairfaces, the data sets are utkface, crowd"):
        train(recipe, *join(ranged), tmp_path / "run")


def test_what_is_joined_already_keeps_its_sources(parts, tmp_path):
    """A table of `agepred data` of two sets beside a third one: weights and figures are of all three."""
    joined, faces = join(parts)
    (tmp_path / "third").mkdir()
    third = make_collection(tmp_path / "third", train=2, val=1, test=0)
    whole, all_faces = join({"both": (joined, faces), "third": (third, faces_of(third))})
    assert sources_of(whole) == ("utkface", "utkface2", "third")
    assert len(of_source(whole.samples, "utkface2")) == 6
    assert all_faces.names.tolist() == [sample.name for sample in whole.samples]
    assert whole.hashes.keys() == {"both/utkface/tiny", "both/utkface2/tiny", "third/tiny"}
    with pytest.raises(DataError, match="two sources are named utkface2"):
        join({"both": (joined, faces), "utkface2": parts["utkface2"]})


def test_the_first_set_with_validation_pictures_chooses(ranged, tmp_path):
    first, faces = ranged["utkface"]
    samples = tuple(dataclasses.replace(sample, split="train") for sample in first.samples)
    ranged["utkface"] = (dataclasses.replace(first, samples=samples), faces)
    run = train(dataclasses.replace(recipes.smoke(), batch_size=3), *join(ranged), tmp_path / "run")
    assert run.figures.keys() == {"val_mae", "val_loss", "val_accuracy"}


def test_a_size_of_faces_that_would_count_for_nothing_is_refused(parts):
    collection, _ = parts["utkface"]
    judged = dataclasses.replace(
        collection, samples=tuple(dataclasses.replace(sample, dropped="") for sample in collection.samples)
    )
    _refuse_other_cleaning(recipes.smoke(), judged)
    smaller = dataclasses.replace(recipes.smoke(), min_face_side=20)
    _refuse_other_cleaning(smaller, collection)
    with pytest.raises(DataError, match=r"write it anew with --min-face 20"):
        _refuse_other_cleaning(smaller, judged)
