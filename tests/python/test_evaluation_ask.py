"""Answers of a model file: how pictures are asked, that files hold what was answered, and that stopped work goes on."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from test_torch_peer import age_graph, write_model
from tiny_answers import answers, normal, row
from tiny_set import make_collection

from agepred_edge import AgeEstimator, FaceDetector
from agepred_train.archive import DataError
from agepred_train.data import GROUPS
from agepred_train.evaluation import ask as asking
from agepred_train.evaluation.ask import Partial, Question, ask, evaluate_file
from agepred_train.evaluation.degradations import DEGRADATIONS
from agepred_train.evaluation.labels import LabeledSet, read_labeled
from agepred_train.evaluation.predictions import load_answers, save_answers
from agepred_train.prepare import CORRUPT
from agepred_train.storage import sha256_of_file


class Oracle:
    """Answers with the faces that it is given, in turn, and remembers the pictures."""

    info = SimpleNamespace(groups=GROUPS, first_age=0, age_count=117)

    def __init__(self, *answers):
        self.answers = list(answers)
        self.pictures = []

    def predict(self, picture, *, pixel_format):
        assert pixel_format == "RGB"
        if not self.answers:
            raise KeyboardInterrupt
        self.pictures.append(picture)
        return self.answers.pop(0)


def face(age):
    p = normal([age], 2)[0]
    return SimpleNamespace(age=age, stddev=1.5, interval=(age - 2, age + 2), group="51-75", probabilities=p)


def samples_of(folder, count=3):
    return make_collection(folder, train=count, val=0, test=0).samples


def test_largest_face_answers_and_faceless_pictures_get_the_median(tmp_path):
    samples = samples_of(tmp_path)
    oracle = Oracle([face(61.25), face(5.0)], [], [face(70.5)])
    found = ask(oracle, samples, 29)
    first, second, third = found.rows
    assert (first.age, first.faces, first.group, first.low, first.high) == (61.25, 2, "51-75", 59.25, 63.25)
    assert (second.age, second.faces, second.group, second.stddev) == (29.0, 0, "26-50", 0.0)
    assert (third.file, third.age_min, third.gender) == (samples[2].name, samples[2].age, samples[2].gender)
    np.testing.assert_array_equal(found.probabilities[0], face(61.25).probabilities)
    assert not found.probabilities[1].any()
    for sample, picture in zip(samples, oracle.pictures, strict=True):
        np.testing.assert_array_equal(picture, sample.read_picture())


def test_unreadable_picture_gets_the_median_and_is_counted(tmp_path):
    samples = samples_of(tmp_path)
    samples[1].path.write_bytes(b"no picture")
    found = ask(Oracle([face(20.0)], []), samples, 29)
    assert [row.faces for row in found.rows] == [1, -1, 0]
    assert (found.rows[1].age, found.rows[1].group, found.rows[1].stddev) == (29.0, "26-50", 0.0)


def test_degraded_pictures_are_what_is_asked(tmp_path):
    samples = samples_of(tmp_path, 1)
    oracle = Oracle([face(20.0)])
    ask(oracle, samples, 29, degradation="shrink2")
    np.testing.assert_array_equal(oracle.pictures[0], DEGRADATIONS["shrink2"](samples[0].read_picture()))


def test_stopped_work_goes_on_and_nothing_is_asked_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(asking, "_CHUNK", 2)
    samples = samples_of(tmp_path, 5)
    faces = [[face(20.0 + number)] for number in range(5)]
    whole = ask(Oracle(*faces), samples, 29)
    partial = Partial(tmp_path / "partial", {"model": "a"})
    with pytest.raises(KeyboardInterrupt):
        ask(Oracle(*faces[:3]), samples, 29, partial=partial)
    rest = Oracle(*faces[3:])
    resumed = ask(rest, samples, 29, partial=partial)
    assert len(rest.pictures) == 2
    assert resumed.rows == whole.rows
    np.testing.assert_array_equal(resumed.probabilities, whole.probabilities)


def test_partial_answers_of_another_model_or_damaged_ones_are_of_no_use(tmp_path):
    path = tmp_path / "partial"
    Partial(path, {"model": "a"}).save([row(20, 21.0)], [normal([20], 2)[0]])
    assert len(Partial(path, {"model": "a"}).load()[0]) == 1
    assert Partial(path, {"model": "b"}).load() == ([], [])
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"no archive"):
        path.write_bytes(damaged)
        assert Partial(path, {"model": "a"}).load() == ([], [])


def test_answers_survive_the_files_bit_for_bit(tmp_path):
    ages = np.random.default_rng(0).uniform(0, 100, 20)
    rows = [row(40, float(age), file=f'odd, "name"\u00e9 {age}') for age in ages]
    p = normal(ages, 3)
    save_answers(tmp_path / "rows.csv", answers(*rows, probabilities=p, first_age=3))
    loaded = load_answers(tmp_path / "rows.csv")
    assert (loaded.rows, loaded.first_age) == (tuple(rows), 3)
    np.testing.assert_array_equal(loaded.probabilities, p)
    (tmp_path / "rows.npz").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"rows\.npz"):
        load_answers(tmp_path / "rows.csv")
    save_answers(tmp_path / "rows.csv", answers(*rows))  # takes the older distributions away
    assert load_answers(tmp_path / "rows.csv").probabilities is None
    (tmp_path / "other.csv").write_text("name,age\na,3\n")
    with pytest.raises(DataError, match=r"other\.csv"):
        load_answers(tmp_path / "other.csv")
    with (tmp_path / "rows.csv").open("a") as file:
        file.write("short,1\n")
    with pytest.raises(DataError, match=r"rows\.csv, line 22"):
        load_answers(tmp_path / "rows.csv")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small age model: its ages mean nothing, but they are ages."""
    return write_model(tmp_path_factory.mktemp("models") / "tiny.onnx", age_graph(scale=2.0))


def test_split_without_a_readable_picture_is_refused(model, yunet, tmp_path):
    samples = make_collection(tmp_path, train=0, val=1, test=0).samples
    samples[0].path.write_bytes(b"no picture")
    labeled = LabeledSet(name="tiny", samples=samples, has_splits=True, hashes={})
    for split, words in (("val", "none of 1 pictures"), ("test", "no picture belongs to the split test")):
        question = Question(labeled=labeled, split=split, median_age=29)
        with pytest.raises(DataError, match=words):
            evaluate_file(model, FaceDetector(yunet, points_model="none"), question, tmp_path / "out.csv")
    assert not list(tmp_path.glob("out.csv")) + list(tmp_path.glob("out.json"))


def test_model_file_is_judged_through_the_core(model, shared, yunet, tmp_path):
    whole = read_labeled(shared / "data/utkface.tar", shared / "data/utkface.csv")
    few = dataclasses.replace(whole, samples=tuple(whole.part("val", 6)))
    question = Question(labeled=few, split="val", median_age=29)
    finder = FaceDetector(yunet, points_model="none")
    out = tmp_path / "new" / "val.csv"
    found, report = evaluate_file(model, finder, question, out)
    assert report["model_sha256"] == sha256_of_file(model)
    assert report["predictions_sha256"] == sha256_of_file(out)
    assert (report["split"], report["pictures"], report["data_sha256"]) == ("val", 6, whole.hashes)
    assert json.loads(out.with_suffix(".json").read_text()) == report
    assert load_answers(out).rows == found.rows
    assert {path.name for path in out.parent.iterdir()} == {"val.csv", "val.npz", "val.json"}
    estimator = AgeEstimator(model, face_model=yunet, points_model="none")
    for number, (sample, answer) in enumerate(zip(few.samples, found.rows, strict=True)):
        largest = estimator.predict(sample.read_picture(), pixel_format="RGB")[0]
        assert answer.age == largest.age
        np.testing.assert_array_equal(found.probabilities[number], largest.probabilities)
        assert answer.age_min == sample.age


def test_finished_answers_are_taken_only_where_nothing_has_changed(model, shared, yunet, tmp_path, monkeypatch):
    whole = read_labeled(shared / "data/utkface.tar", shared / "data/utkface.csv")
    question = Question(labeled=dataclasses.replace(whole, samples=tuple(whole.part("val", 2))), median_age=29)
    finder = FaceDetector(yunet, points_model="none")
    asked = []
    original = asking.ask
    monkeypatch.setattr(asking, "ask", lambda *args, **named: asked.append(1) or original(*args, **named))
    out = tmp_path / "val.csv"
    first, _ = evaluate_file(model, finder, question, out)
    again, _ = evaluate_file(model, finder, question, out)
    assert again.rows == first.rows
    assert len(asked) == 1
    evaluate_file(model, finder, dataclasses.replace(question, median_age=30), out)
    assert len(asked) == 2
    question = dataclasses.replace(question, median_age=30)
    out.write_text(out.read_text().replace(first.rows[0].file, "other.jpg"))
    evaluate_file(model, finder, question, out)
    assert len(asked) == 3
    out.with_suffix(".npz").unlink()
    evaluate_file(model, finder, question, out)
    assert len(asked) == 4
    other = write_model(tmp_path / "other.onnx", age_graph(scale=2.0, seed=1))
    evaluate_file(other, finder, question, out)
    assert len(asked) == 5


def test_a_changed_picture_under_an_old_name_is_asked_again(model, yunet, tmp_path, monkeypatch):
    samples = samples_of(tmp_path, 2)
    labeled = LabeledSet(name="tiny", samples=samples, has_splits=True, hashes={"names and sizes": "n" * 64})
    question = Question(labeled=labeled, split="train", median_age=29)
    asked = []
    original = asking.ask
    monkeypatch.setattr(asking, "ask", lambda *args, **named: asked.append(1) or original(*args, **named))
    finder = FaceDetector(yunet, points_model="none")
    for _ in range(2):
        evaluate_file(model, finder, question, tmp_path / "out.csv")
    assert len(asked) == 1
    content = samples[0].path.read_bytes()
    samples[0].path.write_bytes(content[:-4] + bytes(255 - byte for byte in content[-4:]))  # of the same size
    evaluate_file(model, finder, question, tmp_path / "out.csv")
    assert len(asked) == 2


def test_a_picture_that_the_core_refuses_is_counted_and_the_others_answered(tmp_path, estimator):
    samples = list(samples_of(tmp_path, 2))
    wide = tmp_path / "wide.png"
    Image.new("RGB", (70_000, 2)).save(wide)
    samples.insert(1, dataclasses.replace(samples[0], name="wide.png", path=wide, offset=0, size=wide.stat().st_size))
    found = ask(estimator, samples, 29)
    assert [row.faces == CORRUPT for row in found.rows] == [False, True, False]
    assert found.rows[1].age == 29
