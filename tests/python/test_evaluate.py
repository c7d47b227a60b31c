"""Figures of a model: how they are counted, and that they can be computed again from the CSV."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_set import make_collection, make_run

from agepred_edge import AgeEstimator, FaceDetector
from agepred_train.archive import DataError
from agepred_train.data import median_age, read_utkface
from agepred_train.evaluate import (
    BANDS,
    Prediction,
    compare,
    evaluate,
    evaluate_file,
    group_of,
    load_predictions,
    measure,
    save_predictions,
)
from agepred_train.export import GROUPS, export
from agepred_train.storage import sha256_of_file


def row(label, age, **changed):
    values = {
        "name": f"{label}-{age}",
        "label": label,
        "gender": "male",
        "race": "Black",
        "coral": "",
        "faces": 1,
        "age": age,
        "stddev": 2.0,
        "low": age - 3,
        "high": age + 5,
        "label_group": group_of(label, GROUPS),
        "group": group_of(age, GROUPS),
    }
    return Prediction(**(values | changed))


class Oracle:
    """Answers with the faces that it is given, in turn, and remembers the pictures."""

    info = SimpleNamespace(groups=GROUPS)

    def __init__(self, *answers):
        self.answers = list(answers)
        self.pictures = []

    def predict(self, picture, *, pixel_format):
        assert pixel_format == "RGB"
        self.pictures.append(picture)
        return self.answers.pop(0)


def face(age):
    return SimpleNamespace(age=age, stddev=1.5, interval=(age - 2, age + 2), group="51-75")


def test_largest_face_answers_and_faceless_pictures_get_the_median(tmp_path):
    samples = make_collection(tmp_path, train=3, val=0, test=0).samples
    oracle = Oracle([face(61.25), face(5.0)], [], [face(70.5)])
    first, second, third = evaluate(oracle, samples, median_age=29)
    assert (first.age, first.faces, first.group, first.low, first.high) == (61.25, 2, "51-75", 59.25, 63.25)
    assert (second.age, second.faces, second.group, second.stddev) == (29.0, 0, "26-50", 0.0)
    assert (third.name, third.label, third.gender) == (samples[2].name, samples[2].age, samples[2].gender)
    for sample, picture in zip(samples, oracle.pictures, strict=True):
        np.testing.assert_array_equal(picture, sample.read_picture())


def test_unreadable_picture_gets_the_median_and_is_counted(tmp_path):
    samples = make_collection(tmp_path, train=3, val=0, test=0).samples
    samples[1].path.write_bytes(b"no picture")
    rows = evaluate(Oracle([face(20.0)], []), samples, median_age=29)
    assert [row.faces for row in rows] == [1, -1, 0]
    assert (rows[1].age, rows[1].group, rows[1].stddev) == (29.0, "26-50", 0.0)
    figures = measure(rows)
    assert (figures["n"], figures["no_face"], figures["unreadable"]) == (3, 2, 1)
    save_predictions(tmp_path / "rows.csv", rows)
    assert load_predictions(tmp_path / "rows.csv") == rows


def test_split_without_a_readable_picture_is_refused(yunet, tmp_path):
    collection = make_collection(tmp_path, train=2, val=1, test=0)
    collection.part("val")[0].path.write_bytes(b"no picture")
    model = export(make_run(tmp_path / "run"), tmp_path / "fp32.onnx", version="0.1.0")
    for split, words in (("val", "none of 1 pictures"), ("test", "no picture belongs to the split test")):
        with pytest.raises(DataError, match=words):
            evaluate_file(model, FaceDetector(yunet, points_model="none"), collection, split, tmp_path / "out.csv")
    assert not list(tmp_path.glob("out.*"))


def test_figures_by_hand():
    rows = [
        row(20, 21.0, gender="female", coral="test"),  # within 1, exactly
        row(30, 25.5, race="other"),  # group 0-25 in place of 26-50
        row(60, 50.5, coral="test"),  # off by 9.5, group 26-50 in place of 51-75
        row(116, 96.0, faces=0, low=96.0, high=96.0),
    ]
    figures = measure(rows)
    assert figures["n"] == 4
    assert figures["no_face"] == 1
    assert figures["mae"] == pytest.approx((1 + 4.5 + 9.5 + 20) / 4)
    assert [figures[f"cs@{limit}"] for limit in (1, 3, 5, 10)] == [0.25, 0.25, 0.5, 0.75]
    assert figures["group_accuracy"] == 0.5
    assert figures["coral_test_mae"] == pytest.approx((1 + 9.5) / 2)
    # Intervals reach from age - 3 to age + 5: they hold 20 and 30, not 60; the faceless one does not count.
    assert figures["interval_coverage"] == pytest.approx(2 / 3)
    assert figures["interval_width"] == pytest.approx(8)
    assert figures["bands"]["19-28"] == {"n": 1, "mae": 1.0, "bias": 1.0}
    assert figures["bands"]["81-116"] == {"n": 1, "mae": 20.0, "bias": -20.0}
    assert figures["bands"]["0-3"] == {"n": 0, "mae": None, "bias": None}
    assert (figures["genders"]["female"]["n"], figures["races"]["other"]["mae"]) == (1, 4.5)
    json.dumps(figures)


def test_perfect_answers():
    figures = measure([row(age, float(age)) for age in range(117)])
    assert figures["mae"] == 0
    assert figures["group_accuracy"] == 1
    assert figures["coral_test_mae"] is None
    assert sum(band["n"] for band in figures["bands"].values()) == 117


def test_bands_cover_every_age_once():
    assert [age for low, high in BANDS for age in range(low, high + 1)] == list(range(117))


def test_nothing_cannot_be_measured():
    with pytest.raises(ValueError, match="nothing"):
        measure([])


@pytest.mark.parametrize(("age", "group"), [(0, "0-25"), (25.99, "0-25"), (26, "26-50"), (116.0, "76-116")])
def test_groups_reach_to_the_next_ones_first_year(age, group):
    assert group_of(age, GROUPS) == group


def test_age_of_no_group_is_refused():
    with pytest.raises(ValueError, match="117"):
        group_of(117, GROUPS)


def test_comparison_of_two_models():
    first = [row(20, 22.0, name="a"), row(30, 30.0, name="b")]
    second = [row(20, 21.0, name="a"), row(30, 33.0, name="b")]
    result = compare(first, second)
    assert result == {"mae_difference": -1.0, "mean_age_difference": 2.0, "max_age_difference": 3.0}
    with pytest.raises(ValueError, match="same pictures"):
        compare(first, second[::-1])


def test_predictions_survive_the_csv_bit_for_bit(tmp_path):
    rng = np.random.default_rng(0)
    rows = [row(40, float(age), name='odd, "name"\u00e9') for age in rng.uniform(0, 100, 20)]
    save_predictions(tmp_path / "rows.csv", rows)
    assert load_predictions(tmp_path / "rows.csv") == rows
    (tmp_path / "other.csv").write_text("name,age\na,3\n")
    with pytest.raises(DataError, match=r"other\.csv"):
        load_predictions(tmp_path / "other.csv")
    with (tmp_path / "rows.csv").open("a") as file:
        file.write("short,1\n")
    with pytest.raises(DataError, match=r"rows\.csv, line 22"):
        load_predictions(tmp_path / "rows.csv")


def test_model_file_is_judged_through_the_core(shared, yunet, tmp_path):
    whole = read_utkface(shared / "data/utkface.tar", shared / "data/utkface.csv")
    samples = whole.part("val")[::200]
    some = dataclasses.replace(whole, samples=(*samples, *whole.part("train")[:5]))
    model = export(make_run(tmp_path / "run"), tmp_path / "fp32.onnx", version="0.1.0")
    report = evaluate_file(model, FaceDetector(yunet, points_model="none"), some, "val", tmp_path / "new" / "val.csv")
    rows = load_predictions(tmp_path / "new" / "val.csv")
    assert report["model_sha256"] == sha256_of_file(model)
    assert report["predictions_sha256"] == sha256_of_file(tmp_path / "new" / "val.csv")
    assert (report["split"], report["pictures"], report["data_sha256"]) == ("val", len(samples), whole.hashes)
    assert report["median_train_age"] == median_age(whole.part("train")[:5])
    assert json.loads((tmp_path / "new" / "val.json").read_text()) == report
    assert report["figures"] == measure(rows)
    estimator = AgeEstimator(model, face_model=yunet, points_model="none")
    for sample, answer in zip(samples, rows, strict=True):
        largest = estimator.predict(sample.read_picture(), pixel_format="RGB")[0]
        assert (answer.age, answer.group) == (largest.age, largest.group)
        assert dataclasses.asdict(answer)["label"] == sample.age
