"""Released folders: complete, of one piece, of pictures never trained on, and never half replaced."""

import dataclasses
import json

import numpy as np
import onnx
import pytest
from tiny_evaluation import UTKFACE, document
from tiny_set import crops, make_run

from agepred_train import release as releasing
from agepred_train import start_weights
from agepred_train.archive import DataError
from agepred_train.calibrate import Calibration, calibrate_file
from agepred_train.evaluation.offsets import IntervalOffsets
from agepred_train.export import export
from agepred_train.graph import read_keys
from agepred_train.quantize import Quantization, quantize_graph
from agepred_train.release import Parts, ReleaseError, release
from agepred_train.storage import sha256_of_file, write_json
from agepred_train.unseen import SeenError


def whole_run(folder, *, seed=0, **entries):
    """A run whose record names its data and the known start weights."""
    run = make_run(folder, seed=seed)
    record = json.loads((run / "record.json").read_text())
    weights, *_ = start_weights.KNOWN
    record |= {"detector": {"name": "blob", "sha256": "e" * 64, "points_sha256": "e" * 64}}
    record |= {"data": {"sha256": UTKFACE, "median_train_age": 29}, "start_weights_sha256": weights, **entries}
    (run / "record.json").write_text(json.dumps(record))
    return run


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    run = whole_run(folder / "run")
    fp32 = export(run, folder / "fp32.onnx", version="0.1.0")
    int8 = folder / "int8.onnx"
    int8.write_bytes(quantize_graph(onnx.load(fp32), crops(16, 64), Quantization(crops=16)).SerializeToString())
    write_json(folder / "utkface.json", document(int8, fp32))
    faces = document(int8, fp32, name="fairface_test", split=None, sha256={"fairface_test.tar": "f" * 64}, ranges=True)
    write_json(folder / "fairface_test.json", faces)
    return Parts(
        run=run,
        fp32=fp32,
        int8=int8,
        evaluations=[folder / "utkface.json", folder / "fairface_test.json"],
        commands=["agepred train first_light utkface.tar", "agepred export run"],
    )


def test_release_is_complete(parts, tmp_path):
    folder = release(parts, tmp_path / "models", name="age_tiny")
    assert folder == tmp_path / "models" / "age_tiny-0.1.0"
    assert {path.name for path in folder.iterdir()} == {"int8.onnx", "fp32.onnx", "metrics.json", "card.md"}
    assert [path.name for path in folder.parent.iterdir()] == ["age_tiny-0.1.0"]
    metrics = json.loads((folder / "metrics.json").read_text())
    for file in ("int8.onnx", "fp32.onnx"):
        assert metrics["files"][file]["sha256"] == sha256_of_file(folder / file)
        assert not metrics["files"][file]["calibrated"]
    assert list(metrics["evaluations"]) == ["utkface-test", "fairface_test"]
    written = json.loads(parts.evaluations[0].read_text())
    kept = metrics["evaluations"]["utkface-test"]
    assert kept["figures"]["int8"] == {key: row for key, row in written["figures"]["int8"].items() if key != "ages"}
    assert kept["int8_minus_fp32"] == written["compared"]["fp32"]
    assert kept["unseen"] == "same splits"
    assert metrics["evaluations"]["fairface_test"]["unseen"] == "other set"
    assert metrics["commands"] == parts.commands
    assert metrics["record"] == json.loads((parts.run / "record.json").read_text())
    assert (folder / "card.md").read_text().startswith("# age_tiny 0.1.0\n")


def test_older_release_is_replaced_as_a_whole(parts, tmp_path):
    target = tmp_path / "age_tiny-0.1.0"
    target.mkdir()
    (target / "leftover.txt").write_text("from an older release")
    release(parts, tmp_path, name="age_tiny")
    assert not (target / "leftover.txt").exists()
    assert (target / "int8.onnx").exists()


def test_failure_leaves_the_older_release(parts, tmp_path, monkeypatch):
    target = tmp_path / "age_tiny-0.1.0"
    target.mkdir()
    (target / "int8.onnx").write_text("older")
    monkeypatch.setattr(releasing, "write_card", lambda metrics: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        release(parts, tmp_path, name="age_tiny")
    assert [path.name for path in tmp_path.iterdir()] == ["age_tiny-0.1.0"]
    assert (target / "int8.onnx").read_text() == "older"


def test_parts_of_different_runs_are_refused(parts, tmp_path):
    other = make_run(tmp_path / "other", seed=1)
    record = json.loads((other / "record.json").read_text())
    (other / "record.json").write_text(json.dumps(record | {"format": 1}))
    table = tmp_path / "table.csv"
    table.write_text("name\n")
    for changes, words in (
        ({"run": other}, "does not come from"),
        ({"tables": [table]}, "not a table"),
        ({"teachers": [other]}, "neither taught"),
        ({"evaluations": []}, "no evaluations"),
        ({"evaluations": parts.evaluations[:1] * 2}, "second evaluation on utkface-test"),
    ):
        with pytest.raises(ReleaseError, match=words):
            release(dataclasses.replace(parts, **changes), tmp_path, name="age_tiny")
    with pytest.raises(FileNotFoundError):
        release(dataclasses.replace(parts, int8=tmp_path / "absent.onnx"), tmp_path, name="age_tiny")
    assert not list(tmp_path.glob("age_tiny*"))


@pytest.fixture
def changed(parts, tmp_path):
    """Parts with one evaluation, changed by a function."""

    def change(edit):
        evaluation = json.loads(parts.evaluations[0].read_text())
        edit(evaluation)
        write_json(tmp_path / "utkface.json", evaluation)
        return dataclasses.replace(parts, evaluations=[tmp_path / "utkface.json"])

    return change


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda one: one["data"].update(split="val"), r"utkface\.json is of the split val"),
        (lambda one: one["data"].update(limit=100), "not of all pictures"),
        (lambda one: one["columns"]["int8"].update(detector_sha256="0" * 64), "another detector"),
        (
            lambda one: one.pop("bootstrap"),
            r"utkface\.json: not what `agepred eval --json` writes: 'bootstrap' is missing",
        ),
        (lambda one: one.update(columns=[]), "not what `agepred eval --json` writes"),
        (lambda one: one["figures"].update(int8=3), "not what `agepred eval --json` writes"),
        (lambda one: one["data"].update(sha256={}), "which data"),
        (lambda one: one["columns"]["int8"].update(sha256="0" * 64), "not made with the int8 file: evaluate again"),
        (lambda one: one["columns"].pop("fp32"), "not made with the fp32 file: evaluate again"),
        (lambda one: one.update(columns=dict(reversed(one["columns"].items()))), "name the int8 file first"),
        (lambda one: one.pop("columns"), "not what `agepred eval --json` writes"),
    ],
)
def test_only_whole_test_sets_of_these_files_are_released(changed, tmp_path, edit, words):
    with pytest.raises(ReleaseError, match=words):
        release(changed(edit), tmp_path, name="age_tiny")
    assert not list(tmp_path.glob("age_tiny*"))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda data: data.update(split=None), "was trained on this set"),
        (lambda data: data["sha256"].update({"utkface.csv": "c" * 64}), "name it with --data"),
    ],
)
def test_pictures_that_may_have_been_trained_on_are_refused(changed, tmp_path, edit, words):
    with pytest.raises(SeenError, match=words):
        release(changed(lambda one: edit(one["data"])), tmp_path, name="age_tiny")
    assert not list(tmp_path.glob("age_tiny*"))


def test_parts_that_are_no_models_or_reports_are_refused(parts, tmp_path):
    junk = tmp_path / "junk.onnx"
    junk.write_text("MIT License")
    with pytest.raises(DataError, match=r"junk\.onnx: not an ONNX file"):
        release(dataclasses.replace(parts, int8=junk), tmp_path, name="age_tiny")
    odd = tmp_path / "odd.json"
    odd.write_text("[1, 2")
    with pytest.raises(ReleaseError, match=r"odd\.json"):
        release(dataclasses.replace(parts, evaluations=[odd]), tmp_path, name="age_tiny")


@pytest.fixture(params=["taught", "begun"])
def taught(tmp_path, request):
    """Parts of a student of two teachers, the second of which was taught by a third, or began from it."""
    third = whole_run(tmp_path / "third", seed=7)
    digest = sha256_of_file(third / "best.ckpt")
    begun = {"start_weights_sha256": digest, "starts_from_run": True}
    learned = {"teachers_sha256": [digest]} if request.param == "taught" else begun
    teachers = [whole_run(tmp_path / "first", seed=5), whole_run(tmp_path / "second", seed=6, **learned)]
    digests = [sha256_of_file(run / "best.ckpt") for run in teachers]
    student = whole_run(tmp_path / "student", teachers_sha256=digests)
    fp32 = export(student, tmp_path / "fp32.onnx", version="0.1.0")
    int8 = tmp_path / "int8.onnx"
    other = onnx.load(fp32)
    other.doc_string = "stands for a quantized one"
    onnx.save(other, int8)
    write_json(tmp_path / "utkface.json", document(int8, fp32))
    return Parts(
        run=student, fp32=fp32, int8=int8, evaluations=[tmp_path / "utkface.json"], teachers=[third, *teachers]
    )


def test_teachers_bring_their_records(taught, tmp_path):
    metrics = json.loads((release(taught, tmp_path, name="age_tiny") / "metrics.json").read_text())
    third, first, second = taught.teachers
    assert [one["sha256"] for one in metrics["teachers"]] == [
        sha256_of_file(run / "best.ckpt") for run in (first, second, third)
    ]
    assert metrics["teachers"][2]["record"] == json.loads((third / "record.json").read_text())
    card = (tmp_path / "age_tiny-0.1.0" / "card.md").read_text()
    for run in taught.teachers:  # each is described, and named where it is learned from
        assert " ".join(card.split()).count(sha256_of_file(run / "best.ckpt")) >= 2


def test_every_teacher_must_be_named(taught, tmp_path):
    for left_out in range(3):
        teachers = [run for number, run in enumerate(taught.teachers) if number != left_out]
        digest = sha256_of_file(taught.teachers[left_out] / "best.ckpt")
        with pytest.raises(ReleaseError, match=f"{digest}: name it with --teacher"):
            release(dataclasses.replace(taught, teachers=teachers), tmp_path, name="age_tiny")


@pytest.mark.parametrize("which", [0, 1, 2])
def test_what_a_teacher_has_seen_is_not_released_as_unseen(taught, tmp_path, which):
    """The student was trained by the archive's own splits, a teacher by others."""
    path = taught.teachers[which] / "record.json"
    record = json.loads(path.read_text())
    record["data"]["sha256"] = {**UTKFACE, "utkface.csv": "c" * 64}
    path.write_text(json.dumps(record))
    with pytest.raises(SeenError, match="name it with --data"):
        release(taught, tmp_path, name="age_tiny")
    del record["data"]
    path.write_text(json.dumps(record))
    with pytest.raises(ReleaseError, match="which data"):
        release(taught, tmp_path, name="age_tiny")


@pytest.mark.parametrize(
    ("split", "hashes", "error", "words"),
    [
        ("val", UTKFACE, None, ""),
        ("test", UTKFACE, ReleaseError, "calibrated on the split test: calibrate on val"),
        (None, {"mine.tar": "9" * 64}, ReleaseError, "calibrated on all pictures of a set"),
        ("val", {**UTKFACE, "utkface.csv": "c" * 64}, SeenError, "name it with --data"),
    ],
)
def test_intervals_fitted_on_measured_pictures_are_refused(parts, tmp_path, split, hashes, error, words):
    one = IntervalOffsets(levels=np.array([0.8]), ages=np.array([30.0]), low=np.zeros((1, 1)), high=np.zeros((1, 1)))
    calibration = Calibration(temperature=1.0, offsets=one)
    int8 = calibrate_file(parts.int8, tmp_path / "int8.onnx", calibration, split=split, hashes=hashes)
    write_json(tmp_path / "utkface.json", document(int8, parts.fp32))
    changed = dataclasses.replace(parts, int8=int8, evaluations=[tmp_path / "utkface.json"])
    if error is None:
        metrics = json.loads((release(changed, tmp_path, name="age_tiny") / "metrics.json").read_text())
        assert metrics["files"]["int8.onnx"]["calibrated"]
        return
    with pytest.raises(error, match=words):
        release(changed, tmp_path, name="age_tiny")


def test_a_calibration_of_unknown_origin_is_refused(parts, tmp_path):
    model = onnx.load(parts.int8)
    one = IntervalOffsets(levels=np.array([0.8]), ages=np.array([30.0]), low=np.zeros((1, 1)), high=np.zeros((1, 1)))
    onnx.helper.set_model_props(model, read_keys(model) | one.to_keys())
    onnx.save(model, tmp_path / "int8.onnx")
    write_json(tmp_path / "utkface.json", document(tmp_path / "int8.onnx", parts.fp32))
    changed = dataclasses.replace(parts, int8=tmp_path / "int8.onnx", evaluations=[tmp_path / "utkface.json"])
    with pytest.raises(ReleaseError, match="does not say what it was calibrated on"):
        release(changed, tmp_path, name="age_tiny")


def test_known_start_weights_are_those_in_use(shared):
    assert sha256_of_file(shared / "weights" / "mobilenet_v2_imagenet.pth") in start_weights.KNOWN
