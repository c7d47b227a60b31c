"""The card of a released detector: it says what was measured, of the released file, and nothing else."""

import copy
import json
import re

import pytest

from agepred_edge import default_face_model
from agepred_train.detector.card import write_detector_card


@pytest.fixture(scope="module")
def packaged():
    return json.loads((default_face_model().parent / "metrics.json").read_text())


@pytest.fixture
def metrics(packaged):
    """To be changed at will."""
    return copy.deepcopy(packaged)


def own(metrics):
    """The released file's column."""
    digest = metrics["files"]["int8.onnx"]["sha256"]
    (name,) = (name for name, column in metrics["test"]["columns"].items() if column["model"]["sha256"] == digest)
    return name


def section(card, title):
    """A section's text in one line."""
    return " ".join(card.split(f"\n## {title}\n")[1].split("\n## ")[0].split())


def table(card):
    """Cells of the results by title; titles that repeat are told apart by their order."""
    rows, last = {}, ""
    for line in card.splitlines():
        if line.startswith("| ") and not line.startswith("| ---"):
            title, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            last = title if not title.startswith("the same") else last
            key = title if title == last else f"{last}; {title}"
            assert key not in rows
            rows[key] = cells
    return rows


def test_sections_and_identity(metrics):
    card = write_detector_card(metrics)
    headings = [line[3:] for line in card.splitlines() if line.startswith("## ")]
    assert headings == [
        "Intended use", "Out of scope", "Training", "Terms", "Results", "Caveats", "How it was made",
    ]  # fmt: skip
    assert card.startswith(f"# face_detector {metrics['version']}\n")
    for name, figures in metrics["files"].items():
        if "int8" in name:
            assert f"{figures['bytes']:,}" in card
    for count in metrics["parameters"].values():
        assert f"{count:,}" in card
    assert f"from a score of {metrics['min_score']:g} on" in " ".join(card.split())
    assert all(command in card for command in metrics["commands"])
    assert not re.search(r"None|nan|[{}]", card.split("## How it was made")[0])


def test_intended_use_states_recall_by_size(metrics):
    """It once promised faces from 12 pixels on, of which less than a fifth is found."""
    recall = metrics["test"]["rows"]["scenes_640"][own(metrics)]["recall"]
    for number, span in enumerate(("<32", "32-63", "64-127", ">=128")):
        recall[span]["recall"] = 0.11 + 0.2 * number
    metrics["test"]["rows"]["rolled"][own(metrics)]["found"] = 0.66
    text = section(write_detector_card(metrics), "Intended use")
    assert [int(share) for share in re.findall(r"(\d+)%", text)] == [11, 31, 51, 71, 66]
    assert re.findall(r"\d+% of those ([^;.]+)", text) == [
        "lower than 32 pixels", "32 to 63 pixels high", "64 to 127 pixels high", "128 pixels and higher",
    ]  # fmt: skip
    assert "12 pixels" not in text


def test_intended_use_is_of_the_released_file(metrics):
    """Not of its float sibling, nor of the rival, in whatever order they stand."""
    expected = section(write_detector_card(metrics), "Intended use")
    columns = metrics["test"]["columns"]
    metrics["test"]["columns"] = dict(reversed(columns.items()))
    for name in columns:
        if name != own(metrics):
            for row in ("scenes_640", "rolled"):
                metrics["test"]["rows"][row][name] = {}
    metrics["test"]["rows"] = {row: metrics["test"]["rows"][row] for row in ("scenes_640", "rolled")}
    for row in metrics["test"]["rows"].values():
        for name in [name for name in row if name != own(metrics)]:
            del row[name]
    assert section(write_detector_card(metrics), "Intended use") == expected


def test_nothing_is_said_of_what_was_not_measured(metrics):
    metrics["test"]["rows"] = {}
    card = write_detector_card(metrics)
    assert "%" not in section(card, "Intended use")
    assert list(table(card)) == [""]
    # A size without a labeled face has no recall.
    metrics["test"]["rows"] = {"scenes_640": {own(metrics): {
        "ap": 0.5, "recall_from_32": None,
        "recall": {span: {"recall": None if span == "<32" else 0.25} for span in ("<32", "32-63", "64-127", ">=128")},
    }}}  # fmt: skip
    card = write_detector_card(metrics)
    assert "lower than 32" not in section(card, "Intended use")
    assert "25% of those 32 to 63 pixels high" in section(card, "Intended use")
    assert table(card)["640: recall of faces of 32 pixels and higher; the same, <32 pixels"] == ["-"] * len(
        metrics["test"]["columns"]
    )


def test_every_figure_of_the_table_is_the_evaluations(metrics):
    rows, columns = metrics["test"]["rows"], list(metrics["test"]["columns"])
    cells = table(write_detector_card(metrics))
    assert cells[""] == columns
    recall = "640: recall of faces of 32 pixels and higher"
    figures = {
        "scenes, longer side 640: AP at an overlap of 0.5": lambda name: f"{rows['scenes_640'][name]['ap']:.3f}",
        "scenes, longer side 640: AP at an overlap of 0.5; the same, 320": lambda name:
            f"{rows['scenes_320'][name]['ap']:.3f}",
        recall: lambda name: f"{rows['scenes_640'][name]['recall_from_32']:.1%}",
        **{
            f"{recall}; the same, {span} pixels": lambda name, span=span:
                f"{rows['scenes_640'][name]['recall'][span]['recall']:.1%}"
            for span in ("<32", "32-63", "64-127", ">=128")
        },
        "shrunk to a quarter: mean": lambda name: f"{rows['landmarks_quarter'][name]['mean']:.1%}",
        "turned by 40 degrees: faces found": lambda name: f"{rows['rolled'][name]['found']:.1%}",
        "answers per 1,000 tiles without a face": lambda name:
            f"{rows['backgrounds'][name]['working']['per_1000_tiles']:.1f}",
        "answers per 1,000 tiles without a face; the same, from a score of 0.3 on": lambda name:
            f"{rows['backgrounds'][name]['at_0.3']['per_1000_tiles']:.1f}",
        "mean gap between an answer's score and the share of labeled faces among such answers": lambda name:
            f"{rows['calibration'][name]['expected_error']:.3f}",
        **{
            title: lambda name, size=size: f"{{{size}:,}} of {{pictures:,}}".format(**rows["chips"][name]["portraits"])
            for title, size in (
                ("faces found on portraits", "full"), ("faces found on portraits; the same at half size", "half")
            )
        },
        "faces found on FairFace; the same at half size": lambda name:
            "{half:,} of {pictures:,}".format(**rows["chips"][name]["fairface_test"]),
        "faces found on UTKFace": lambda name:
            "{full:,} of {pictures:,}".format(**rows["chips"][name]["utkface"]),
        "faces found on FairFace": lambda name:
            "{full:,} of {pictures:,}".format(**rows["chips"][name]["fairface_test"]),
        "faces found on UTKFace; the same at half size": lambda name:
            "{half:,} of {pictures:,}".format(**rows["chips"][name]["utkface"]),
    }  # fmt: skip
    for title, figure in figures.items():
        assert cells[title] == [figure(name) for name in columns], title


def test_table_sets_precisions_side_by_side(metrics):
    part = {"faces": 99, "int8_found": 98, "fp32_found": 97, "int8_error": 0.0612, "fp32_error": 0.0534,
            "both_found": 97, "points": 0.0123, "points_worst": 0.2}  # fmt: skip
    metrics["test"]["rows"]["int8_vs_fp32"] = {own(metrics): {
        "large_faces": {"450": part}, "large_faces_640": {"450": part | {"points": 0.0345}},
        "landmarks_full": {"mean_points": 0.125, "p95_points": -1.5, "found_points": 0.0},
        "scenes_640": {"ap_points": -0.25, "recall_from_32_points": 0.5},
    }}  # fmt: skip
    cells = table(write_detector_card(metrics))
    columns = list(metrics["test"]["columns"])
    large = "faces of 450 pixels, {}: found in 8 bits and in floats"
    for title, figure in {
        large.format("at full size"): "98 and 97 of 99",
        f"{large.format('at full size')}; the same, point error in 8 bits": "6.12%",
        f"{large.format('at full size')}; the same, point error in floats": "5.34%",
        f"{large.format('at full size')}; the same, points of both apart": "1.23%",
        f"{large.format('longer side 640')}; the same, points of both apart": "3.45%",
        "faces of 300 pixels, at full size: found in 8 bits and in floats": "-",
        "8 bits minus floats, percentage points: mean error, labeled points": "+0.12",
        "8 bits minus floats, percentage points: 95th percentile of errors, labeled points": "-1.50",
        "8 bits minus floats, percentage points: AP, scenes, longer side 640": "-0.25",
        "8 bits minus floats, percentage points: recall from 32 pixels on, scenes, longer side 640": "+0.50",
        "8 bits minus floats, percentage points: AP, scenes, longer side 320": "-",
    }.items():
        assert cells[title] == [figure if name == own(metrics) else "-" for name in columns], title


def test_sets_that_were_not_there_have_no_figure(metrics):
    for column in metrics["test"]["rows"]["chips"].values():
        del column["fairface_test"]
    del metrics["test"]["rows"]["steadiness"][own(metrics)]
    cells = table(write_detector_card(metrics))
    assert set(cells["faces found on FairFace"]) == {"-"}
    assert "-" not in cells["faces found on UTKFace"]
    (steadiness,) = (row for title, row in cells.items() if title.startswith("standard deviation"))
    assert [cell == "-" for cell in steadiness] == [name == own(metrics) for name in metrics["test"]["columns"]]


@pytest.mark.parametrize("kind", ["detector", "refiner"])
def test_training_says_what_it_started_from(metrics, kind):
    for record in metrics["records"].values():
        record["start_weights_sha256"] = None
    assert "from the weights of" not in section(write_detector_card(metrics), "Training")
    metrics["records"][kind]["start_weights_sha256"] = "0123456789abcdef"
    text = section(write_detector_card(metrics), "Training")
    assert text.count("from the weights of an earlier run of ours (0123456789ab)") == 1
    assert (text.index("0123456789ab") < text.index("The refiner:")) == (kind == "detector")


def test_terms_say_whose_weights_are_in_the_files(metrics):
    """A network that began as YuNet has terms of YuNet's."""
    for record in metrics["records"].values():
        record["start_weights_sha256"] = None
        record.pop("teacher_sha256", None)
    assert "Trained from random numbers; no other file's weights" in section(write_detector_card(metrics), "Terms")
    metrics["records"]["refiner"]["start_weights_sha256"] = "a" * 64
    assert "from the weights of earlier runs of ours" in section(write_detector_card(metrics), "Terms")
    metrics["records"]["detector"]["teacher_sha256"] = "b" * 64
    text = section(write_detector_card(metrics), "Terms")
    assert (
        f"The detector has the layers of YuNet (Apache-2.0; sha256 {'b' * 64}), with strides in place of pools: every "
        "layer starts from YuNet's weights, and all were trained on. The refiner was trained from the weights of an "
        "earlier run of ours"
    ) in text
    assert "no other file's weights" not in text
    assert "random" not in text
    metrics["records"]["refiner"]["start_weights_sha256"] = None
    assert "The refiner was trained from random numbers." in section(write_detector_card(metrics), "Terms")
    metrics["records"]["detector"]["start_weights_sha256"] = "a" * 64
    text = section(write_detector_card(metrics), "Terms")
    assert "The detector was trained from the weights of an earlier run of ours" in text
    assert f"YuNet (Apache-2.0; sha256 {'b' * 64}) as its teacher" in text


@pytest.mark.parametrize("teacher", [None, "b" * 64])
def test_no_sentence_is_wider_than_a_page(metrics, teacher):
    metrics["records"]["detector"]["teacher_sha256"] = teacher
    metrics["records"]["refiner"]["start_weights_sha256"] = "a" * 64
    card = write_detector_card(metrics).split("## How it was made")[0]
    assert [line for line in card.splitlines() if len(line) > 120 and not line.startswith("|")] == []


def test_training_is_the_records(metrics):
    detector, refiner = (metrics["records"][kind] for kind in ("detector", "refiner"))
    detector["recipe"] |= {"name": "some_faces", "steps": 12345, "batch_size": 77, "side": 224}
    detector["best"] |= {"val_pictures": 181, "val_ap": 0.6543}
    refiner["recipe"] |= {"name": "some_points", "steps": 6789, "batch_size": 55, "crop_side": 80}
    refiner["best"] |= {"val_crops": 340, "val_error": 0.0567}
    text = section(write_detector_card(metrics), "Training")
    for words in (
        "recipe `some_faces`, 12,345 steps of 77 composed scenes of 224 pixels",
        "181 scenes of `val`, as they are and at half size (AP 0.654)",
        "recipe `some_points`, 6,789 steps of 55 crops of 80 pixels", "340 crops of `val` (mean error 5.7%)",
    ):  # fmt: skip
        assert words in text
