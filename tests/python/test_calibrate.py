"""Calibration: what it fits makes intervals true on pictures it has not seen, and the core does what Python does."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_answers import answers, normal, row
from tiny_set import make_collection
from typer.testing import CliRunner

from agepred_cli.app import app
from agepred_edge import AgeEstimator, ModelError, default_face_model
from agepred_train.archive import DataError
from agepred_train.calibrate import LEVELS, Calibration, calibrate_file, crossed_coverage, fit, sharpened
from agepred_train.data import GROUPS
from agepred_train.evaluation.distribution import intervals, mean_and_stddev
from agepred_train.evaluation.offsets import IntervalOffsets
from agepred_train.evaluation.predictions import load_answers, save_answers
from agepred_train.graph import read_keys, read_model

OFFSETS = IntervalOffsets(
    levels=np.array([0.5, 0.9]),
    ages=np.array([10.0, 30.0, 60.0]),
    low=np.array([[0.5, -0.5, 2.0], [1.0, -1.0, 4.0]]),
    high=np.array([[0.0, 1.5, -0.25], [3.0, 2.0, -1.0]]),
)


def drawn(count, *, spread, claimed, bias=0.0, seed=0):
    """Answers whose labels scatter by `spread` years (or a function of the age); `claimed` is what they say."""
    rng = np.random.default_rng(seed)
    mean = rng.uniform(15, 80, count)
    true = spread(mean) if callable(spread) else spread
    labels = np.clip(np.round(mean + bias + true * rng.standard_normal(count)), 0, 116).astype(int)
    rows = [row(int(label), float(age)) for label, age in zip(labels, mean, strict=True)]
    return answers(*rows, probabilities=normal(mean, claimed))


def inside(some, calibration):
    """Shares of labels inside of the calibrated intervals, by level."""
    p = sharpened(some.probabilities.astype(float), calibration.temperature)
    ends = intervals(p, 0, LEVELS, calibration.offsets)
    labels = some.column("age_min")
    return [(low <= labels) & (labels <= high) for low, high in ends]


@pytest.mark.parametrize("claimed", [2.5, 5.0, 9.0])
def test_temperature_finds_the_true_spread(claimed):
    calibration = fit(drawn(3000, spread=5.0, claimed=claimed))
    # A normal distribution at a temperature T has a deviation of the root of T times its own.
    assert calibration.temperature == pytest.approx((5.0 / claimed) ** 2, rel=0.1)


def test_intervals_hold_what_they_claim_on_other_pictures():
    seen, unseen = (drawn(4000, spread=6.0, claimed=3.0, bias=2.0, seed=seed) for seed in (1, 2))
    for level, held in zip(LEVELS, inside(unseen, fit(seen)), strict=True):
        assert held.mean() == pytest.approx(level, abs=0.025)


def test_each_age_gets_its_own_offsets():
    def wider(age):
        return 2 + age / 10

    calibration = fit(drawn(6000, spread=wider, claimed=6.0, seed=3))
    unseen = drawn(6000, spread=wider, claimed=6.0, seed=4)
    for number, level in enumerate(LEVELS):
        held = inside(unseen, calibration)[number]
        for first, last in ((15, 35), (35, 60), (60, 80)):
            band = (unseen.column("age") >= first) & (unseen.column("age") < last)
            assert held[band].mean() == pytest.approx(level, abs=0.04)


def test_crossed_coverage_is_of_pictures_left_out():
    coverage = crossed_coverage(drawn(2000, spread=6.0, claimed=3.0))
    for level, (before, after) in coverage.items():
        assert before < level - 0.1
        assert after == pytest.approx(level, abs=0.03)


def test_too_few_pictures_are_refused():
    with pytest.raises(ValueError, match="149 answered pictures with exact ages; 150 are needed"):
        fit(drawn(149, spread=5.0, claimed=5.0))
    with pytest.raises(ValueError, match="without distributions"):
        fit(answers(row(3, 4.0)))


def test_what_is_no_age_or_no_face_does_not_count():
    some = drawn(400, spread=5.0, claimed=5.0)
    rows = [row((0, 116), 50.0) for _ in range(100)] + [row(90, 10.0, faces=0) for _ in range(100)]
    mixed = answers(*some.rows, *rows, probabilities=np.concatenate([some.probabilities, normal([5.0] * 200, 1.0)]))
    assert fit(mixed).temperature == fit(some).temperature


@given(level=st.floats(0.01, 0.999), age=st.floats(0, 116))
def test_offsets_lie_between_their_neighbors(level, age):
    low, high = (float(end[0]) for end in OFFSETS.of(level, [age]))
    for found, table in ((low, OFFSETS.low), (high, OFFSETS.high)):
        assert min(0.0, table.min()) <= found <= max(0.0, table.max())


def test_offsets_go_through_a_files_keys_and_through_kept_answers(tmp_path):
    again = IntervalOffsets.from_keys(OFFSETS.to_keys())
    for name in ("levels", "ages", "low", "high"):
        np.testing.assert_allclose(getattr(again, name), getattr(OFFSETS, name), atol=1e-3)
    assert IntervalOffsets.from_keys({"agepred.interval.level": "0.8"}) is None
    some = drawn(5, spread=5.0, claimed=5.0)
    for offsets in (None, OFFSETS):
        save_answers(tmp_path / "a.csv", answers(*some.rows, probabilities=some.probabilities, offsets=offsets))
        kept = load_answers(tmp_path / "a.csv").offsets
        assert (kept is None) == (offsets is None)
    np.testing.assert_array_equal(kept.low, again.low)


@pytest.mark.parametrize(
    ("key", "value"),
    [("levels", "0.9,0.5"), ("ages", "10,30"), ("low", "1,2,3"), ("high", "1,2,x;1,2,3"), ("high", None)],
)
def test_malformed_offsets_are_refused_here_and_in_the_core(int8_model, tmp_path, key, value):
    keys = OFFSETS.to_keys() | {f"agepred.interval.{key}": value}
    keys = {name: text for name, text in keys.items() if text is not None}
    with pytest.raises(ValueError, match=r"agepred\.interval"):
        IntervalOffsets.from_keys(keys)
    model = read_model(int8_model)
    onnx.helper.set_model_props(model, read_keys(model) | keys)
    (tmp_path / "odd.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"agepred\.interval"):
        AgeEstimator(tmp_path / "odd.onnx")


FITTED_ON = {"split": "val", "hashes": {"faces.tar": "a" * 64}}


@pytest.fixture(scope="module")
def calibrated(int8_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("calibrated") / "int8.onnx"
    return calibrate_file(int8_model, path, Calibration(temperature=1.7, offsets=OFFSETS), **FITTED_ON)


@pytest.mark.parametrize("level", [0.2, 0.5, 0.8, 0.9, 0.97])
def test_the_core_moves_ends_as_python_does(calibrated, chips, level):
    estimator = AgeEstimator(calibrated, interval_level=level)
    faces = [faces[0] for chip in chips if (faces := estimator.predict(chip, pixel_format="RGB"))]
    p = np.stack([face.probabilities for face in faces])
    [(low, high)] = intervals(p, estimator.info.first_age, [level], OFFSETS)
    found = np.array([face.interval for face in faces])
    np.testing.assert_allclose(found[:, 0], low, atol=2e-3)
    np.testing.assert_allclose(found[:, 1], high, atol=2e-3)


def test_a_file_gets_a_flatter_distribution_and_keeps_the_rest(calibrated, int8_model, chips):
    before, after = AgeEstimator(int8_model), AgeEstimator(calibrated)
    one, other = (estimator.predict(chips[0], pixel_format="RGB")[0] for estimator in (before, after))
    expected = sharpened(np.asarray(one.probabilities, float)[None], 1.7)
    np.testing.assert_allclose(np.asarray(other.probabilities), expected[0], atol=1e-4)
    assert other.age == pytest.approx(float(mean_and_stddev(expected, 0)[0][0]), abs=0.01)
    old, new = (read_keys(read_model(path)) for path in (int8_model, calibrated))
    changed = {name for name in new if new[name] != old.get(name)}
    assert changed == {"agepred.temperature", *OFFSETS.to_keys(), "agepred.calibration"}
    assert json.loads(new["agepred.calibration"]) == {"split": "val", "sha256": {"faces.tar": "a" * 64}}


def test_what_is_no_age_model_is_refused_and_stays(tmp_path):
    path = tmp_path / "face.onnx"
    before = default_face_model().read_bytes()
    path.write_bytes(before)
    with pytest.raises(DataError, match="no age model"):
        calibrate_file(path, path, Calibration(temperature=1.0, offsets=OFFSETS), **FITTED_ON)
    assert path.read_bytes() == before


def test_command_names_what_is_missing(tmp_path, int8_model):
    def refusal(*arguments):
        result = CliRunner().invoke(app, ["calibrate", *map(str, arguments)])
        assert result.exit_code == 2
        return " ".join(result.output.split())

    assert "none.onnx: there is no such file" in refusal(tmp_path / "none.onnx", "--data", tmp_path)
    nowhere = tmp_path / "no" / "out.onnx"
    assert "name a file in a folder that exists" in refusal(int8_model, "--data", tmp_path, "--out", nowhere)


class Teller:
    """In place of the core: one face a picture, whose age the picture's name tells, until it is stopped."""

    info = SimpleNamespace(groups=GROUPS, first_age=0, age_count=117)
    left = 0

    def __init__(self, *_, **__):
        pass

    def predict(self, picture, *, pixel_format):
        if Teller.left == 0:
            raise KeyboardInterrupt
        Teller.left -= 1
        p = normal([float(picture.mean()) % 80 + 10], 3)[0]
        return [SimpleNamespace(age=40.0, stddev=3.0, interval=(36, 44), group="26-50", probabilities=p)]


@pytest.fixture
def held_out(tmp_path, monkeypatch, int8_model):
    """A folder of twenty pictures, their labels, and a copy of the packaged model."""
    monkeypatch.chdir(tmp_path)
    make_collection(tmp_path, train=20, val=0, test=0)
    lines = [f"{number}.jpg,{20 + number}" for number in range(20)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,age", *lines]) + "\n")
    shutil.copy(int8_model, tmp_path / "m.onnx")
    monkeypatch.setattr("agepred_train.calibrate._PICTURES_A_KNOT", 5)
    monkeypatch.setattr("agepred_train.evaluation.ask.AgeEstimator", Teller)
    return ["calibrate", "m.onnx", "--data", ".", "--labels", "labels.csv", "--split", "all"]


def test_stopped_calibration_goes_on(held_out, tmp_path):
    Teller.left = 12
    assert CliRunner().invoke(app, held_out).exit_code != 0
    stem = f"m-{tmp_path.name}-calibration"
    assert (tmp_path / f"{stem}.csv.partial").is_file()
    before = (tmp_path / "m.onnx").read_bytes()
    Teller.left = 8
    result = CliRunner().invoke(app, held_out)
    assert result.exit_code == 0, result.output
    assert Teller.left == 0
    assert (tmp_path / "m.onnx").read_bytes() != before
    assert not (tmp_path / f"{stem}.csv.partial").exists()
    assert len(load_answers(tmp_path / f"{stem}.csv").rows) == 20


def test_labels_that_cannot_serve_are_refused_before_the_pictures_are_asked(held_out, tmp_path):
    Teller.left = 100
    lines = [f"{number}.jpg,20-29" for number in range(16)] + [f"{number}.jpg,30" for number in range(16, 20)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,age", *lines]) + "\n")
    result = CliRunner().invoke(app, held_out)
    assert result.exit_code == 2
    assert "4 of 20 pictures are labeled with exact ages; 5 are needed" in " ".join(result.stderr.split())
    assert Teller.left == 100


def test_what_was_fitted_takes_no_place_of_anything_else(held_out, tmp_path):
    for name in ("m.onnx", "labels.csv", f"m-{tmp_path.name}-calibration.json"):
        result = CliRunner().invoke(app, [*held_out, "--json", name])
        assert result.exit_code == 2
        assert f"--json {name}: this command reads or writes that file itself" in " ".join(result.stderr.split())
    assert (tmp_path / "labels.csv").read_text().startswith("file,age")
