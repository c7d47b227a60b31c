"""Ablations: plans that are refused, runs that are trained once, figures that are the networks' own."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_set import faces_of, make_collection
from typer.testing import CliRunner

from agepred_cli.app import app
from agepred_train.ablation.measure import compare, median
from agepred_train.ablation.plan import BASELINE, read_plan
from agepred_train.ablation.run import as_markdown, carry_out
from agepred_train.archive import DataError
from agepred_train.data import Sample
from agepred_train.dataset import FaceCrops
from agepred_train.labels import collate
from agepred_train.loss import expected_age
from agepred_train.network import load_run

HEAD = 'recipe = "smoke"\nset = ["epochs=1"]\nsources = ["people"]\n'
STEPS = """
[[steps]]
name = "other"
says = "another seed"
set = ["seed=2"]
[[steps]]
name = "median"
says = "median"
estimator = "median"
[[steps]]
name = "both"
says = "both, mirrored too"
runs = ["baseline", "other"]
flip = true
[[steps]]
name = "taught"
says = "taught"
teachers = ["other"]
"""


def plan(folder, text):
    path = folder / "plan.toml"
    path.write_text(text)
    return read_plan(path)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    collection = make_collection(tmp_path_factory.mktemp("pictures"))
    return {"people": (collection, faces_of(collection))}


@pytest.fixture(scope="module")
def done(sets, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    return out, carry_out(plan(out, HEAD + STEPS), sets, out)


def figures(result, name):
    (step,) = (step for step in result["steps"] if step["name"] == name)
    return step["figures"]["people"]


def test_figures_are_those_of_the_networks(done, sets):
    out, result = done
    collection, faces = sets["people"]
    crops = FaceCrops(collection.part("val"), faces, side=64)
    batch = collate([crops[index] for index in range(len(crops))])
    labels = batch.labels.age_min.double()
    with torch.inference_mode():
        ages = {name: expected_age(load_run(out / name)[0](batch.crops)) for name in (BASELINE, "other", "taught")}
    errors = {name: (found - labels).abs().numpy() for name, found in ages.items()}
    for name, of_run in errors.items():
        assert figures(result, name)["mae"] == pytest.approx(of_run.mean(), abs=1e-3)
        assert figures(result, name)["gain"] == pytest.approx((errors[BASELINE] - of_run).mean(), abs=1e-3)
    assert figures(result, BASELINE)["gain_interval"] == [0, 0]
    assert figures(result, "median")["mae"] != figures(result, BASELINE)["mae"]
    assert figures(result, "both")["mae"] != figures(result, "other")["mae"]
    assert [step["name"] for step in result["steps"]] == [BASELINE, "other", "median", "both", "taught"]
    assert result["steps"][1]["recipe"] == {"seed": 2}


def test_what_is_trained_is_not_trained_again(done, sets, monkeypatch):
    out, result = done
    monkeypatch.setattr("agepred_train.ablation.run.train", None)
    again = carry_out(plan(out, HEAD + STEPS), sets, out)
    assert json.dumps(again) == json.dumps(result)
    markdown = as_markdown(again)
    assert "`both`" in markdown
    assert "+0.000 (+0.000 to +0.000)" not in markdown  # the baseline gains nothing over itself: its cell is empty


def test_steps_that_are_not_trained_yet_are_left_out(done, sets):
    out, _ = done
    more = '[[steps]]\nname = "later"\nsays = "later"\nset = ["seed=3"]\n'
    result = carry_out(plan(out, HEAD + more), sets, out, only=[BASELINE])
    assert [step["name"] for step in result["steps"]] == [BASELINE]
    with pytest.raises(ValueError, match="no step is named never"):
        carry_out(plan(out, HEAD + more), sets, out, only=["never"])


def test_nothing_is_compared_without_a_baseline(sets, tmp_path):
    steps = plan(tmp_path, HEAD + STEPS)
    with pytest.raises(ValueError, match="the baseline is not trained"):
        carry_out(steps, sets, tmp_path, only=["median"])


def test_a_backbone_without_weights_is_not_compared_with_one_that_has_some(sets, tmp_path):
    more = '[[steps]]\nname = "lite"\nsays = "lite"\nset = ["backbone=efficientnet_lite0", "width=1"]\n'
    with pytest.raises(ValueError, match="lite: no weights for its backbone, efficientnet_lite0"):
        carry_out(plan(tmp_path, HEAD + more), sets, tmp_path, weights={"mobilenet_v2": tmp_path / "absent.pth"})
    assert not (tmp_path / BASELINE).exists()  # found out before anything is trained


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["absent.pth"], "absent.pth is no file"),
        (["efficientnet_lite0=absent.pth"], "absent.pth is no file"),
        (["plan.toml", "mobilenet_v2=plan.toml"], "mobilenet_v2 has plan.toml already"),
        (["a=b.toml", "mobilenet_v2=plan.toml"], "mobilenet_v2 has a=b.toml already"),
    ],
)
def test_weights_are_files_one_a_backbone(given, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("plan.toml", "a=b.toml"):
        Path(name).touch()
    options = [option for text in given for option in ("--weights", text)]
    result = CliRunner().invoke(app, ["ablate", "plan.toml", "people.csv", *options])
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("recipe = 3", "`recipe` must be a text"),
        ("recipe =", "not TOML"),
        ('recipe = "smoke"', "`sources` names no set"),
        (HEAD + "speed = 1", "unknown keys speed"),
        (HEAD + '[[steps]]\nname = "a"', "step a: `says` must be a text"),
        (HEAD + '[[steps]]\nname = "a/b"\nsays = "x"', "can name a folder"),
        (HEAD + '[[steps]]\nname = "baseline"\nsays = "x"', "a name of its own"),
        (HEAD + '[[steps]]\nname = "a"\nsays = "x"\nset = ["epochs=0"]', "step a: .*epochs is 0"),
        (HEAD + '[[steps]]\nname = "a"\nsays = "x"\nset = "epochs=2"', "must be a list of texts"),
        (HEAD + '[[steps]]\nname = "a"\nsays = "x"\nruns = ["b"]', "names b, which is no step before it"),
        (HEAD + '[[steps]]\nname = "a"\nsays = "x"\nteachers = ["a"]', "names a, which is no step before it"),
        (HEAD + '[[steps]]\nname = "a"\nsays = "x"\nset = ["seed=2"]\nflip = true', "either trains"),
        (HEAD + '[[steps]]\nname = "a"\nsays = "x"\nestimator = "mode"', "must be one of mean, median"),
    ],
)
def test_plans_that_make_no_sense_are_refused(text, words, tmp_path):
    with pytest.raises(DataError, match=words):
        plan(tmp_path, text)


def test_medians_halve_the_probability():
    rng = np.random.default_rng(0)
    samples = rng.integers(0, 90, 20_001)
    (found,) = median(np.bincount(samples, minlength=117)[None] / len(samples))
    spread = samples + rng.uniform(-0.5, 0.5, len(samples))
    assert found == pytest.approx(np.median(spread), abs=0.5)
    certain = np.zeros((1, 117))
    certain[0, 30] = 1
    assert median(certain) == pytest.approx(30)


def test_a_gain_is_sure_where_its_interval_leaves_zero_out():
    rng = np.random.default_rng(1)
    stored = {"path": Path("faces.tar"), "offset": 0, "size": 1}
    samples = [Sample(name=str(number), age_min=20, age_max=29, split="val", **stored) for number in range(400)]
    baseline = rng.uniform(0, 4, 400)
    better, same = compare(baseline * 0.8, baseline, samples), compare(rng.permutation(baseline), baseline, samples)
    assert better["sure"]
    assert better["gain"] == pytest.approx(0.2 * baseline.mean())
    assert better["inside"] == pytest.approx((baseline * 0.8 <= 0.5).mean())
    assert not same["sure"]
    exact = [dataclasses.replace(sample, age_max=20) for sample in samples]
    assert "inside" not in compare(baseline, baseline, exact)
