"""Released folders: complete, of one piece, and never half replaced."""

import dataclasses
import json
import shutil

import numpy as np
import onnx
import pytest
from tiny_answers import normal
from tiny_set import crops, make_run

from agepred_train import release as releasing
from agepred_train import start_weights
from agepred_train.archive import DataError
from agepred_train.card import write_card
from agepred_train.data import GENDERS, RACES
from agepred_train.evaluation.figures import measure
from agepred_train.evaluation.predictions import Answers, Prediction, group_of, probabilities_file, save_answers
from agepred_train.export import GROUPS, export
from agepred_train.quantize import Quantization, quantize_graph
from agepred_train.release import Parts, ReleaseError, release
from agepred_train.storage import sha256_of_file, write_json

DATA = {"utkface.tar": "a" * 64, "utkface.csv": "b" * 64}


def write_evaluation(path, model, seed):
    """Predictions that scatter around labels over all ages, genders and races."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(200):
        label = number % 117
        age = float(np.clip(label + rng.normal(0, 4), 0, 116))
        groups = {"label_group": group_of(label, GROUPS), "group": group_of(age, GROUPS)}
        rows.append(
            Prediction(
                file=str(number),
                age_min=label,
                age_max=label,
                gender=GENDERS[number % 2],
                race=RACES[number % 5],
                coral="test" if number % 3 else "",
                faces=number % 50 and 1,
                age=age,
                stddev=4.0,
                low=age - 5,
                high=age + 5,
                **groups,
            )
        )
    answers = Answers(rows=tuple(rows), probabilities=normal([row.age for row in rows], 4.0))
    save_answers(path, answers)
    report = {
        "model_sha256": sha256_of_file(model),
        "split": "test",
        "pictures": len(rows),
        "data_sha256": DATA,
        "predictions_sha256": sha256_of_file(path),
        "probabilities_sha256": sha256_of_file(probabilities_file(path)),
        "figures": measure(answers),
    }
    write_json(path.with_suffix(".json"), report)
    return path


def whole_run(folder, *, seed=0):
    """A run whose record names its data and the known start weights."""
    run = make_run(folder, seed=seed)
    record = json.loads((run / "record.json").read_text())
    weights, *_ = start_weights.KNOWN
    record |= {"data": {"sha256": DATA, "median_train_age": 29}, "start_weights_sha256": weights}
    (run / "record.json").write_text(json.dumps(record))
    return run


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    run = whole_run(folder / "run")
    fp32 = export(run, folder / "fp32.onnx", version="0.1.0")
    int8 = folder / "int8.onnx"
    int8.write_bytes(quantize_graph(onnx.load(fp32), crops(16, 64), Quantization(crops=16)).SerializeToString())
    return Parts(
        run=run,
        fp32=fp32,
        int8=int8,
        fp32_test=write_evaluation(folder / "fp32.csv", fp32, 1),
        int8_test=write_evaluation(folder / "int8.csv", int8, 2),
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
        assert metrics["test"][file]["n"] == 200
    assert metrics["commands"] == parts.commands
    assert metrics["record"] == json.loads((parts.run / "record.json").read_text())


def test_card_has_the_sections_and_the_figures(parts, tmp_path):
    folder = release(parts, tmp_path, name="age_tiny")
    card = (folder / "card.md").read_text()
    metrics = json.loads((folder / "metrics.json").read_text())
    headings = [line[3:] for line in card.splitlines() if line.startswith("## ")]
    assert headings == [
        "Intended use",
        "Out of scope",
        "Training",
        "Terms",
        "Results",
        "Uncertainty",
        "Factors",
        "Caveats",
        "How it was made",
    ]
    assert card.startswith("# age_tiny 0.1.0\n")
    assert f"| MAE, years | {metrics['test']['int8.onnx']['mae']:.2f} |" in card
    for word in (
        "age assurance",
        "non-commercial",
        "Apache-2.0",
        "MIT",
        "| 81-116 |",
        "| female |",
        "| Indian |",
        "not calibrated",
        f"| 90% | {metrics['test']['int8.onnx']['calibration']['intervals']['0.9']['coverage']:.1%} |",
    ):
        assert word in card
    assert "agepred export run" in card
    assert "None" not in card
    assert max(map(len, card.splitlines())) <= 200


def test_card_says_that_the_files_are_calibrated(parts, tmp_path):
    metrics = json.loads((release(parts, tmp_path, name="age_tiny") / "metrics.json").read_text())
    assert not metrics["calibrated"]
    card = write_card(metrics | {"calibrated": True})
    assert "offsets of the ends by age were fitted on the split `val`" in card
    assert "not calibrated" not in card


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
    with pytest.raises(ReleaseError, match="does not come from"):
        release(dataclasses.replace(parts, run=other), tmp_path, name="age_tiny")
    with pytest.raises(ReleaseError, match="evaluate again"):
        release(dataclasses.replace(parts, int8_test=parts.fp32_test), tmp_path, name="age_tiny")
    with pytest.raises(FileNotFoundError):
        release(dataclasses.replace(parts, int8=tmp_path / "absent.onnx"), tmp_path, name="age_tiny")
    assert not list(tmp_path.glob("age_tiny*"))


@pytest.fixture
def changed(parts, tmp_path):
    """Copies the evaluation of int8 with changes in its JSON; None takes a key away."""

    def change(**changes):
        copy = tmp_path / "int8-test.csv"
        for suffix in (".csv", ".npz"):
            shutil.copyfile(parts.int8_test.with_suffix(suffix), copy.with_suffix(suffix))
        report = json.loads(parts.int8_test.with_suffix(".json").read_text()) | changes
        report = {key: value for key, value in report.items() if value is not None}
        copy.with_suffix(".json").write_text(json.dumps(report))
        return dataclasses.replace(parts, int8_test=copy)

    return change


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"split": "val"}, r"int8-test\.csv is of the split val"),
        ({"split": None}, "--split test"),
        ({"limit": 100}, "not of the whole split"),
        ({"degradation": "blur"}, "not of the whole split"),
        ({"data_sha256": DATA | {"utkface.csv": "c" * 64}}, "other data"),
        ({"data_sha256": None}, "other data"),
        ({"predictions_sha256": "0" * 64}, "does not belong"),
        ({"probabilities_sha256": "0" * 64}, r"does not belong to .*int8-test\.npz"),
    ],
)
def test_only_the_test_split_of_the_same_data_is_released(changed, tmp_path, changes, words):
    with pytest.raises(ReleaseError, match=words):
        release(changed(**changes), tmp_path, name="age_tiny")
    assert not list(tmp_path.glob("age_tiny*"))


def test_parts_that_are_no_models_or_reports_are_refused(parts, changed, tmp_path):
    junk = tmp_path / "junk.onnx"
    junk.write_text("MIT License")
    with pytest.raises(DataError, match=r"junk\.onnx: not an ONNX file"):
        release(dataclasses.replace(parts, int8=junk), tmp_path, name="age_tiny")
    odd = changed()
    odd.int8_test.with_suffix(".json").write_text("[1, 2")
    with pytest.raises(ReleaseError, match=r"int8-test\.json"):
        release(odd, tmp_path, name="age_tiny")


def test_card_says_what_training_started_from(parts, tmp_path):
    folder = release(parts, tmp_path, name="age_tiny")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert "google-coral/test_data under Apache-2.0" in write_card(metrics)
    for weights, words in (
        (None, "trained from random numbers"),
        ("f" * 64, f"unknown source and terms, sha256 {'f' * 64}"),
    ):
        metrics["record"]["start_weights_sha256"] = weights
        card = write_card(metrics)
        assert words in card
        assert "Apache-2.0" not in card


def test_card_states_pictures_that_could_not_be_decoded(parts, tmp_path):
    folder = release(parts, tmp_path, name="age_tiny")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert "decoded) were answered" not in write_card(metrics)
    metrics["test"]["int8.onnx"]["unreadable"] = 3
    assert "(3 of them could not be decoded) were answered" in write_card(metrics)


def test_known_start_weights_are_those_in_use(shared):
    assert sha256_of_file(shared / "weights" / "mobilenet_v2_imagenet.pth") in start_weights.KNOWN
