"""Training that starts from another run: with its best network, on record, and with no other architecture's."""

import dataclasses
import json
import shutil

import pytest
import torch
from test_detector_train import run
from tiny_faces import make_sets

from agepred_train.archive import DataError
from agepred_train.detector import recipe as detector_recipes
from agepred_train.detector.train import DetectorTask, load_trained_detector, train_detector
from agepred_train.refiner import recipe as refiner_recipes
from agepred_train.refiner.train import RefinerTask, load_trained_refiner, train_refiner
from agepred_train.resume import ResumeError
from agepred_train.storage import sha256_of_file


@dataclasses.dataclass(frozen=True)
class Kind:
    """One of the two trainings that can start from a run."""

    recipe: object
    train: object
    load: object
    task: type
    command: str
    tables: str
    other_shape: dict

    def fit(self, sets, out, *, weights=None, resume=False, **changes):
        recipe = dataclasses.replace(self.recipe, **changes)
        return self.train(recipe, *sets, out, weights=weights, resume=resume)

    def state(self, folder):
        return self.load(folder)[0].state_dict()


KINDS = {
    "detector": Kind(
        detector_recipes.smoke(), train_detector, load_trained_detector, DetectorTask, "train-detector", "--labels",
        {"body": 24},
    ),
    "refiner": Kind(
        refiner_recipes.smoke(), train_refiner, load_trained_refiner, RefinerTask, "train-refiner", "--points",
        {"width": 48},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return make_sets(tmp_path_factory.mktemp("sets"))


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


@pytest.fixture(scope="module")
def runs(sets, tmp_path_factory):
    """A finished run of each kind, made once."""
    folder = tmp_path_factory.mktemp("runs")
    return {kind.command: kind.fit(sets, folder / name, seed=5).folder for name, kind in KINDS.items()}


@pytest.fixture
def started(kind, runs):
    return runs[kind.command]


def assert_equal_states(one, other):
    assert list(one) == list(other)
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def first_networks(monkeypatch, kind):
    """Note the weights and statistics that each training's first step meets."""
    step, met = kind.task.training_step, []

    def noting(self, batch, batch_idx):
        if self.global_step == 0:
            met.append({name: value.clone() for name, value in self.network.state_dict().items()})
        return step(self, batch, batch_idx)

    monkeypatch.setattr(kind.task, "training_step", noting)
    return met


def test_first_step_meets_the_best_network(kind, started, sets, tmp_path, monkeypatch):
    met = first_networks(monkeypatch, kind)
    kind.fit(sets, tmp_path / "new", weights=started)
    kind.fit(sets, tmp_path / "random")
    from_run, from_nothing = met
    assert_equal_states(from_run, kind.state(started))
    assert any(not torch.equal(value, from_nothing[name]) for name, value in from_run.items())


def test_best_epoch_and_not_the_last_counts(kind, started, sets, tmp_path, monkeypatch):
    """The two differ in a run of two epochs; here the best one is marked besides."""
    marked = shutil.copytree(started, tmp_path / "marked")
    checkpoint = torch.load(marked / "best.ckpt", weights_only=True)
    name = next(name for name in checkpoint["state_dict"] if name.endswith("weight"))
    checkpoint["state_dict"][name][:] = 0.125
    torch.save(checkpoint, marked / "best.ckpt")
    met = first_networks(monkeypatch, kind)
    kind.fit(sets, tmp_path / "new", weights=marked)
    assert (met[0][name.removeprefix("network.")] == 0.125).all()


def test_average_of_the_weights_starts_there_too(kind, started, sets, tmp_path):
    """With steps of no size the kept network is the one started from; an average over random ones would not be."""
    new = kind.fit(sets, tmp_path / "new", weights=started, learning_rate=1e-9).folder
    parameters = dict(kind.load(started)[0].named_parameters())
    for name, value in kind.load(new)[0].named_parameters():
        torch.testing.assert_close(value, parameters[name], atol=1e-6, rtol=0)


def test_start_is_on_record(kind, started, sets, tmp_path):
    new = kind.fit(sets, tmp_path / "new", weights=started).folder
    digest = sha256_of_file(started / "best.ckpt")
    for file in ("record.json", "start.json"):
        assert json.loads((new / file).read_text())["start_weights_sha256"] == digest
        assert json.loads((started / file).read_text())["start_weights_sha256"] is None


def test_no_other_start_is_resumed(kind, started, sets, tmp_path):
    new = kind.fit(sets, tmp_path / "new", weights=started).folder
    for other in (None, new):
        with pytest.raises(ResumeError, match="start_weights_sha256"):
            kind.fit(sets, new, weights=other, resume=True)
    record = (new / "record.json").read_bytes()
    kind.fit(sets, new, weights=started, resume=True)
    assert (new / "record.json").read_bytes() == record


def test_run_of_another_shape_is_refused(kind, started, sets, tmp_path):
    out = tmp_path / "new"
    with pytest.raises(DataError, match=r"best\.ckpt: its network has another shape.*start from a run of the same"):
        kind.fit(sets, out, weights=started, **kind.other_shape)
    kind.fit(sets, out, weights=started)  # nothing there is in its way
    assert (out / "record.json").is_file()


def test_run_of_another_kind_is_refused(kind, runs, sets, tmp_path):
    (foreign,) = (folder for command, folder in runs.items() if command != kind.command)
    with pytest.raises(DataError, match=rf"best\.ckpt: not a checkpoint of `{kind.command}`"):
        kind.fit(sets, tmp_path / "new", weights=foreign)


def test_refused_start_leaves_no_folder(kind, runs, sets, tmp_path):
    """It once left a start.json, and with --resume the right command was refused because of it."""
    out = tmp_path / "new"
    (foreign,) = [folder for command, folder in runs.items() if command != kind.command]
    for folder, changes in ((foreign, {}), (runs[kind.command], kind.other_shape)):
        with pytest.raises(DataError):
            kind.fit(sets, out, weights=folder, **changes)
        assert not out.exists()


def test_command_names_what_it_cannot_start_from(kind, started, sets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, tables = sets
    command = [kind.command, "smoke", data, kind.tables, tables, "--out", "new", "--set", "steps=2"]
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "best.ckpt").write_text("MIT License")
    width, channels = next(iter(kind.other_shape.items()))
    for arguments, words in (
        (["--weights", "absent"], "absent/best.ckpt: No such file"),
        (["--weights", "text"], "text/best.ckpt: not a PyTorch checkpoint"),
        (["--weights", started, "--set", f"{width}={channels}"], "best.ckpt: its network has another shape"),
    ):
        result = run(*command, *arguments)
        assert result.exit_code == 2, result.output
        assert words in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert not (tmp_path / "new" / "last.ckpt").exists()
    result = run(*command, "--weights", started)
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "new" / "record.json").read_text())
    assert record["start_weights_sha256"] == sha256_of_file(started / "best.ckpt")
