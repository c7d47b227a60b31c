"""Training that begins from a finished run: its weights, its record, what a resume and a release ask of it."""

import dataclasses
import json
import shutil

import pytest
import torch
from tiny_set import faces_of, make_collection

from agepred_train import recipes
from agepred_train.archive import DataError
from agepred_train.network import load_run
from agepred_train.resume import ResumeError, learned_from
from agepred_train.storage import sha256_of_file
from agepred_train.train import train


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    collection = make_collection(tmp_path_factory.mktemp("set"))
    return collection, faces_of(collection)


@pytest.fixture(scope="module")
def earlier(inputs, tmp_path_factory):
    return train(recipes.smoke(), *inputs, tmp_path_factory.mktemp("runs") / "earlier").folder


# Steps of no size: what is kept is what was begun with.
STILL = dataclasses.replace(recipes.smoke(), epochs=1, learning_rate=1e-9, weight_decay=0.0, seed=9)


def test_training_begins_with_the_earlier_runs_network(inputs, earlier, tmp_path):
    new = train(STILL, *inputs, tmp_path / "new", weights=earlier).folder
    alone = train(STILL, *inputs, tmp_path / "alone").folder
    before, after, other = (dict(load_run(run)[0].named_parameters()) for run in (earlier, new, alone))
    for name, value in after.items():
        torch.testing.assert_close(value, before[name], atol=1e-6, rtol=0)
    assert (other["classifier.1.weight"] - before["classifier.1.weight"]).abs().max() > 1e-3


def test_it_is_on_record_and_asked_for_by_a_release(inputs, earlier, tmp_path):
    new = train(STILL, *inputs, tmp_path / "new", weights=earlier).folder
    digest = sha256_of_file(earlier / "best.ckpt")
    record = json.loads((new / "record.json").read_text())
    assert (record["start_weights_sha256"], record["starts_from_run"]) == (digest, True)
    assert learned_from(record) == [digest]
    assert learned_from(json.loads((earlier / "record.json").read_text())) == []


def test_it_is_resumed_without_being_named_again(inputs, earlier, tmp_path):
    new = train(STILL, *inputs, tmp_path / "new", weights=earlier).folder
    before = (new / "record.json").read_bytes()
    train(STILL, *inputs, new, resume=True)
    assert (new / "record.json").read_bytes() == before
    train(STILL, *inputs, new, weights=earlier, resume=True)
    with pytest.raises(ResumeError, match="start_weights_sha256"):
        train(STILL, *inputs, new, weights=shutil.copytree(new, tmp_path / "other"), resume=True)


def test_what_cannot_be_begun_from_is_named(inputs, earlier, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"best\.ckpt"):
        train(STILL, *inputs, tmp_path / "new", weights=tmp_path)
    wide = dataclasses.replace(STILL, width=0.5)
    with pytest.raises(DataError, match="another shape than this recipe's"):
        train(wide, *inputs, tmp_path / "new", weights=earlier)
    for backbone in ("mobilenet_v2", "efficientnet_lite0"):
        recipe = dataclasses.replace(STILL, backbone=backbone)
        with pytest.raises(DataError, match=r"best\.ckpt: holds more than named tensors; .* or a run by its folder"):
            train(recipe, *inputs, tmp_path / "new", weights=earlier / "best.ckpt")
    assert not (tmp_path / "new").exists()


def test_a_run_is_not_replaced_by_one_that_needs_it(inputs, earlier):
    before = (earlier / "best.ckpt").read_bytes()
    for needed in ({"weights": earlier}, {"teachers": [earlier]}):
        with pytest.raises(ResumeError, match="learns or begins from; choose another folder"):
            train(STILL, *inputs, earlier, replace=True, **needed)
    assert (earlier / "best.ckpt").read_bytes() == before


def test_an_unfinished_run_or_one_of_other_pixels_is_refused(inputs, earlier, tmp_path):
    unfinished = shutil.copytree(earlier, tmp_path / "unfinished")
    (unfinished / "record.json").unlink()
    with pytest.raises(DataError, match=r"not a finished run, it has no record\.json"):
        train(STILL, *inputs, tmp_path / "new", weights=unfinished)
    with pytest.raises(DataError, match="normalization=signed; set the same"):
        train(dataclasses.replace(STILL, normalization="imagenet"), *inputs, tmp_path / "new", weights=earlier)
    # The network that model files hold has no other normalization to compare.
    other = train(dataclasses.replace(STILL, normalization="imagenet"), *inputs, tmp_path / "other").folder
    with pytest.raises(DataError, match="normalization=imagenet; set the same"):
        train(STILL, *inputs, tmp_path / "new", weights=other)


def test_runs_of_before_a_field_existed_go_on(inputs, tmp_path):
    old = train(recipes.smoke(), *inputs, tmp_path / "old").folder
    start = json.loads((old / "start.json").read_text())
    del start["recipe"]["mix_share"]
    (old / "start.json").write_text(json.dumps(start))
    before = (old / "best.ckpt").read_bytes()
    train(recipes.smoke(), *inputs, old, replace=True)
    assert (old / "best.ckpt").read_bytes() == before
    with pytest.raises(ResumeError, match=r"recipe\.mix_share = 0\.0, now it is 0\.5"):
        train(dataclasses.replace(recipes.smoke(), mix_share=0.5), *inputs, old, resume=True)
