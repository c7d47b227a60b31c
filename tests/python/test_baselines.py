"""The scripts that have other people's software answer: what they write is what `agepred eval` reads."""

import csv
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_set import jpeg, write_tar

from agepred_train.evaluation.labels import read_labeled
from agepred_train.evaluation.others import read_predictions

BASELINES = Path(__file__).parents[2] / "baselines"


@pytest.fixture
def pictures(monkeypatch):
    monkeypatch.syspath_prepend(str(BASELINES))
    module = importlib.import_module("pictures")
    yield module
    sys.modules.pop("pictures")


@pytest.fixture
def data(tmp_path):
    """Eleven pictures of growing size, one of them damaged, half of them in the split val."""
    content = {f"{number}.jpg": jpeg(number, 16 + number) for number in range(10)} | {"10.jpg": b"no picture"}
    with (tmp_path / "set.csv").open("w", newline="") as file:
        rows = [(name, 30, "val" if number % 2 == 0 else "train") for number, name in enumerate(content)]
        csv.writer(file).writerows([("file", "age", "split"), *rows])
    return write_tar(tmp_path / "set.tar", content)


@pytest.mark.parametrize("limit", [None, 4])
def test_answers_are_to_the_pictures_that_are_measured(pictures, data, tmp_path, limit):
    out = tmp_path / "theirs.csv"
    command = [str(data), str(out), "--split", "val", *(["--limit", str(limit)] if limit else [])]
    options = pictures.arguments("test").parse_args(command)
    pictures.answer_all(options, lambda picture: None if picture.width == 18 else float(picture.width), software="it 1")
    samples = read_labeled(data).part("val", limit)
    found = {row.file: row.age for row in read_predictions(out, samples, 29).rows}
    expected = {"0.jpg": 16, "2.jpg": 29, "4.jpg": 20, "6.jpg": 22, "8.jpg": 24, "10.jpg": 29}
    assert found == {sample.name: expected[sample.name] for sample in samples}
    assert not list(tmp_path.glob("theirs.csv.*"))


def test_stopped_run_goes_on(pictures, data, tmp_path):
    options = pictures.arguments("test").parse_args([str(data), str(tmp_path / "theirs.csv")])
    asked = []

    def stopping(picture):
        if len(asked) == 3:
            raise KeyboardInterrupt
        asked.append(picture.width)
        return 40.0

    with pytest.raises(KeyboardInterrupt):
        pictures.answer_all(options, stopping, software="it 1")
    assert not (tmp_path / "theirs.csv").exists()
    with (tmp_path / "theirs.csv.partial").open("a") as file:
        file.write("3.jpg,4")  # a line that was cut off
    pictures.answer_all(options, lambda picture: asked.append(picture.width) or 50.0, software="it 1")
    assert sorted(asked) == list(range(16, 26))
    ages = [row.age for row in read_predictions(tmp_path / "theirs.csv", read_labeled(data).samples, 29).rows]
    assert sorted(ages) == [29.0] + [40.0] * 3 + [50.0] * 7


@pytest.mark.parametrize("changed", ["software", "set"])
def test_a_stopped_run_of_something_else_is_begun_anew(pictures, data, tmp_path, changed):
    options = pictures.arguments("test").parse_args([str(data), str(tmp_path / "theirs.csv")])
    asked = []

    def stopping(picture):
        if len(asked) == 3:
            raise KeyboardInterrupt
        asked.append(picture.width)
        return 40.0

    with pytest.raises(KeyboardInterrupt):
        pictures.answer_all(options, stopping, software="it 1")
    if changed == "set":
        write_tar(data, {f"{number}.jpg": jpeg(50 + number, 16 + number) for number in range(11)})
    software = "it 2" if changed == "software" else "it 1"
    pictures.answer_all(options, lambda picture: 50.0, software=software)
    ages = [row.age for row in read_predictions(tmp_path / "theirs.csv", read_labeled(data).samples, 29).rows]
    assert 40.0 not in ages


def test_deepface_is_skipped_with_the_reason(data, tmp_path):
    command = [sys.executable, str(BASELINES / "deepface_ages.py"), str(data), str(tmp_path / "out.csv")]
    result = subprocess.run([*command, "--weights", "absent.h5"], capture_output=True, text=True, check=False)
    assert result.returncode == 3
    assert result.stderr.startswith("skipped: absent.h5 is not there")
    assert not (tmp_path / "out.csv").exists()
