"""The card of a released model: every section, every table, and what was not measured by name."""

import copy

import pytest
from tiny_evaluation import UTKFACE, document

from agepred_train import known_sets, start_weights
from agepred_train.card import write_card
from agepred_train.known_sets import KNOWN

WEIGHTS = next(iter(start_weights.KNOWN))
SETS = {known.title: digest for digest, known in KNOWN.items()}


def evaluation(folder, **settings):
    """As a release keeps it."""
    files = [folder / name for name in ("int8.onnx", "fp32.onnx")]
    for file in files:
        file.write_text(file.name)
    one = document(*files, **settings)
    models = ("int8", "fp32")
    return {
        **{key: one[key] for key in ("data", "agepred", "bootstrap", "median_train_age", "degraded")},
        "unseen": "by name",
        "figures": {key: one["figures"][key] for key in models},
        "constant_mae": one["figures"]["median"]["mae"],
        "int8_minus_fp32": one["compared"]["fp32"],
    }


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    folder = tmp_path_factory.mktemp("card")
    data = {"data.csv": "d" * 64, "utkface.tar": SETS["UTKFace"], "fairface.tar": SETS["FairFace"]}
    utkface = {"utkface.tar": SETS["UTKFace"], "utkface.csv": "b" * 64}
    counts = {"train": 1000, "val": 200, "test": 300, "drop": 4}
    return {
        "name": "age_tiny",
        "version": "0.1.0",
        "files": {
            name: {"bytes": 1234, "sha256": digit * 64, "calibrated": True, "temperature": 1.0}
            for name, digit in (("int8.onnx", "1"), ("fp32.onnx", "2"))
        },
        "evaluations": {
            "utkface-test": evaluation(folder, sha256=utkface),
            "fairface_test": evaluation(
                folder, name="fairface_test", split=None, sha256={"fairface_test.tar": "f" * 64}, ranges=True
            ),
            "portraits": evaluation(
                folder, name="portraits", split=None, sha256={"portraits.tar": "0" * 64}, degrade=True
            ),
        },
        "pictures": {"utkface": counts, "fairface": counts | {"test": 0}},
        "commands": ["dvc repro"],
        "record": {
            "recipe": {"name": "tiny", "crop_side": 64, "epochs": 3, "batch_size": 8, "label_sigma": 2.0},
            "best": {"val_mae": 4.5, "val_inside_fairface": 0.5, "train_samples": 2000, "val_samples": 200},
            "detector": {"name": "blob", "sha256": "3" * 64, "points_sha256": "4" * 64},
            "data": {"sha256": data},
            "start_weights_sha256": WEIGHTS,
        },
        "teachers": [],
    }


def in_one_line(card):
    """Prose without its line ends."""
    return " ".join(card.split())


@pytest.fixture
def changed(metrics):
    return copy.deepcopy(metrics)


def test_sections_stand_in_order_and_nothing_is_missing(metrics):
    card = write_card(metrics)
    assert [line[3:] for line in card.splitlines() if line.startswith("## ")] == [
        "Intended use", "Unintended use", "Data and terms", "By age", "By gender and race", "Calibration",
        "Age verification", "Degraded pictures", "Limits", "Files", "How it was made",
    ]  # fmt: skip
    assert "None" not in card
    assert "nan" not in card
    assert "Not measured" not in card
    # Tables are as wide as they are; prose is to be read.
    assert max(len(line) for line in card.splitlines() if not line.startswith("|")) <= 200


def test_figures_are_those_of_the_evaluations(metrics):
    card = write_card(metrics)
    one = metrics["evaluations"]["utkface-test"]
    int8, fp32 = one["figures"]["int8"], one["figures"]["fp32"]
    decade, cell = int8["decades"]["20-29"], int8["subgroups"]["female Black"]
    for words in (
        f"| {int8['mae']:.2f} ({int8['mae_interval'][0]:.2f} to {int8['mae_interval'][1]:.2f}) |",
        f"{one['int8_minus_fp32']['mae_difference']:+.2f} (",
        f"| 20-29 | {decade['n']} | {decade['mae']:.2f} | {decade['bias']:+.2f} |",
        f"| {fp32['decades']['20-29']['mae']:.2f} | {fp32['decades']['20-29']['bias']:+.2f} |",
        f"| female Black | {cell['n']} | {cell['mae']:.2f} ({cell['low']:.2f} to {cell['high']:.2f}) |",
        f"| 90 % | int8 | {100 * int8['calibration']['intervals']['0.9']['coverage']:.1f} % |",
        f"| all under 18 | {int8['verification']['minors']['n']} |",
        f"answering 29 for everybody would be {one['constant_mae']:.2f} years off",
        f"{int8['no_face']} without a face;",
        "| blur |",
        "| 20-29 | 20 |",
        "50.0 % inside of the ranges of fairface",
    ):
        assert words in card or words in in_one_line(card), words


def test_sets_stand_with_their_terms_and_hashes(metrics):
    card = write_card(metrics)
    for words in (
        "| UTKFace | 1,000 | 200 | 300 | 4 | non-commercial research only",
        "| FairFace | 1,000 | 200 | 0 | 4 | CC BY 4.0 |",
        "age assurance",
        "google-coral/test_data under Apache-2.0",
        "MIT",
        f"| training: `fairface.tar` |  | `{SETS['FairFace']}` |",
        f"| evaluation: `portraits.tar` |  | `{'0' * 64}` |",
        f"| `int8.onnx` | 1,234 | `{'1' * 64}` |",
        "Labels of `portraits` (none that is known here): of unknown origin.",
        "dvc repro",
    ):
        assert words in card or words in in_one_line(card), words


def test_what_was_not_measured_is_named(changed):
    for name in ("fairface_test", "portraits"):
        del changed["evaluations"][name]
    (line,) = [line for line in write_card(changed).splitlines() if line.startswith("**Not measured")]
    assert "FairFace photographs" in line
    assert "studio portraits" in line
    assert "degraded pictures" in line
    assert "UTKFace" not in line


def test_what_training_started_from_and_who_taught_is_stated(changed):
    record = copy.deepcopy(changed["record"])
    record["recipe"]["backbone"] = "resnet50"
    changed["record"]["start_weights_sha256"] = None
    changed["teachers"] = [{"sha256": "7" * 64, "record": record}]
    card = in_one_line(write_card(changed))
    assert "trained from random numbers" in card
    assert "resnet50, trained on UTKFace (non-commercial research only" in card


def test_files_that_are_not_calibrated_and_pictures_that_were_not_read_are_told(changed):
    assert "not calibrated" not in write_card(changed)
    changed["files"]["int8.onnx"]["calibrated"] = False
    changed["evaluations"]["utkface-test"]["figures"]["int8"]["unreadable"] = 3
    card = in_one_line(write_card(changed))
    assert "not calibrated" in card
    assert ", 3 of these not to be decoded" in card


def test_known_sets_are_those_in_use(shared):
    from agepred_train.storage import sha256_of_file

    for name in ("utkface", "fairface", "fairface_test", "portraits"):
        assert sha256_of_file(shared / "data" / f"{name}.tar") in KNOWN, name


def test_sets_of_several_sources_are_told_apart():
    hashes = {"utkface/utkface.tar": SETS["UTKFace"], "mine/mine.tar": "5" * 64, "mine/mine.csv": "6" * 64}
    found = known_sets.sets_of(hashes)
    assert {name: one.title for name, one in found.items()} == {"utkface": "UTKFace", "mine": ""}
    assert known_sets.title_of({"name": "utkface", "split": "test", "sha256": UTKFACE}) == "utkface, split test"
