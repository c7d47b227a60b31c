"""Detectors measured on small sets whose figures are known, and the command `agepred eval-detector`."""

import csv
import io
import json
import shutil

import numpy as np
import onnx
import pytest
from PIL import Image
from tiny_set import write_tar

pytest.importorskip("typer")
from typer.testing import CliRunner

from agepred_cli.app import app
from agepred_edge import FaceDetector
from agepred_train.detector import rows as all_rows
from agepred_train.detector.annotations import POINT_NAMES
from agepred_train.detector.evaluate import evaluate_rows
from agepred_train.detector.evaluation import Evaluation, Request
from agepred_train.detector.held_out import Absent
from agepred_train.detector.survey import Column
from agepred_train.graph import read_keys


def png(picture):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def write_table(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture(scope="module")
def data(yunet, hopper, tmp_path_factory):
    """All sets, made of one photograph; labeled are the detector's own answers, so that every figure is known."""
    folder = tmp_path_factory.mktemp("sets") / "data"
    folder.mkdir()
    (folder.parent / "weights").mkdir()
    shutil.copy(yunet, folder.parent / "weights" / "yunet_n.onnx")
    pictures = {"a.png": hopper, "b.png": np.ascontiguousarray(hopper[:, ::-1])}
    members = {name: png(picture) for name, picture in pictures.items()}
    for name in ("scenes", "landmarks", "portraits", "fairface_test", "utkface"):
        write_tar(folder / f"{name}.tar", members)
    detector = FaceDetector(yunet)
    found = {name: detector.detect(picture, pixel_format="RGB")[0] for name, picture in pictures.items()}
    boxes = [[name, *face.box, "test"] for name, face in found.items()]
    write_table(folder / "scenes.csv", ["file", "x", "y", "w", "h", "split"], boxes)
    points = [f"{name}_{axis}" for name in POINT_NAMES for axis in "xy"]
    rows = [[*row[:5], *found[row[0]].landmarks.ravel().tolist(), "test"] for row in boxes]
    write_table(folder / "landmarks.csv", ["file", "x", "y", "w", "h", *points, "split"], rows)
    write_table(folder / "utkface.csv", ["file", "split"], [["a.png", "test"], ["b.png", "train"]])
    for name in ("portraits", "fairface_test"):
        write_table(folder / f"{name}.csv", ["file", "age"], [["a.png", 50], ["b.png", 50]])
    noise = np.random.default_rng(0).integers(0, 256, (4, 330, 400, 3), dtype=np.uint8)
    write_tar(folder / "backgrounds.tar", {f"{number}.png": png(one) for number, one in enumerate(noise)})
    return folder


def run(*arguments):
    """All that is labeled belongs to `test`."""
    asked = [] if "--split" in arguments or "--wider" in arguments else ["--split", "test"]
    return CliRunner().invoke(app, ["eval-detector", *map(str, arguments), *asked])


def one_set(table):
    return table.with_suffix(".tar"), table


def of_record(source, target, record):
    """A copy of a model file that names a training run."""
    model = onnx.load(source)
    onnx.helper.set_model_props(model, read_keys(model) | {"agepred.record": record})
    onnx.save(model, target)
    return target


def test_answers_measured_against_themselves_are_perfect(data, yunet, int8_model, tmp_path):
    report = tmp_path / "report"
    arguments = ("--data", data, "--min-score", 0.6, "--age-model", int8_model)
    result = run(yunet, *arguments, "--json", tmp_path / "all.json", "--report", report)
    assert result.exit_code == 0, result.output
    document = json.loads((tmp_path / "all.json").read_text())
    rows = {name: figures["yunet_n"] for name, figures in document["rows"].items()}
    assert rows["landmarks_full"]["mean"] == pytest.approx(0, abs=1e-6)
    assert 0 < rows["landmarks_quarter"]["mean"] < 0.3
    assert (rows["rolled"]["faces"], rows["rolled"]["by_turn"]["40"]["faces"]) == (4, 2)
    assert rows["scenes_640"]["ap"] == 1.0
    assert rows["scenes_640"]["recall"][">=32"] == {"faces": 2, "found": 2, "recall": 1.0}
    assert rows["unconfirmed"]["unlabeled"] == 0
    assert rows["backgrounds"]["tiles"] == 2 * (1 + 4 + 9)
    assert rows["backgrounds"]["working"]["answers"] == 0
    assert rows["chips"]["utkface"] == {"pictures": 1, "full": 1, "half": 1}
    assert rows["steadiness"]["missed"] == 0
    assert 0 < rows["steadiness"]["all"]["age_stddev"] < 5
    assert list(document["left_out"]) == ["int8_vs_fp32"]
    assert set(document["data"]) == {"landmarks", "scenes", "backgrounds", "fairface_test", "portraits", "utkface"}
    assert len(document["columns"]["yunet_n"]["model"]["sha256"]) == 64
    page = (report / "report.html").read_text()
    assert "<svg" in page
    assert "data:image/jpeg;base64," in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_precisions_of_the_same_file_do_not_differ(data, yunet, tmp_path):
    models = [shutil.copy(yunet, tmp_path / f"{name}.onnx") for name in ("int8", "fp32")]
    out = tmp_path / "pair.json"
    result = run(*models, "--data", data, "--rows", "landmarks,scenes,int8_vs_fp32", "--json", out, "--min-score", 0.6)
    assert result.exit_code == 0, result.output
    figures = json.loads(out.read_text())["rows"]["int8_vs_fp32"]["int8"]
    assert figures["landmarks_full"] == {"mean_points": 0.0, "p95_points": 0.0, "found_points": 0.0}
    assert figures["scenes_320"]["ap_points"] == 0.0
    for row in ("large_faces", "large_faces_640"):
        large = figures[row]["300"]
        assert 0 < large["int8_error"] == large["fp32_error"] < 0.1
        assert {key: value for key, value in large.items() if not key.endswith("_error")} == {
            "faces": 2, "int8_found": 2, "fp32_found": 2, "both_found": 2, "points": 0.0, "points_worst": 0.0,
        }  # fmt: skip
    assert "int8 and fp32, faces of 300 px, longer side 640: found" in result.stdout


def test_any_labeled_set_can_be_measured(data, yunet):
    result = run(yunet, "--set", data / "landmarks.tar", data / "landmarks.csv", "--min-score", 0.6)
    assert result.exit_code == 0, result.output
    assert "landmarks: AP at IoU 0.5" in result.stdout
    assert "landmarks points: point error" in result.stdout


def test_rival_stands_beside_the_models_without_a_refiner(data, yunet, tmp_path):
    rival, out = shutil.copy(yunet, tmp_path / "rival.onnx"), tmp_path / "two.json"
    result = run(yunet, "--against", rival, "--data", data, "--rows", "scenes", "--limit", 1, "--json", out)
    assert result.exit_code == 0, result.output
    document = json.loads(out.read_text())
    assert list(document["columns"]) == list(document["rows"]["scenes_640"]) == ["yunet_n", "rival"]
    assert document["columns"]["rival"]["min_score"] == 0.6
    assert "points_model" not in document["columns"]["rival"]
    assert document["data"]["scenes"]["pictures"] == 1


def test_wider_face_is_measured_in_its_own_layout(data, yunet, hopper, tmp_path):
    (tmp_path / "0--Parade").mkdir()
    (tmp_path / "0--Parade" / "a.jpg").write_bytes(png(hopper))
    x, y, w, h = (round(side) for side in FaceDetector(yunet).detect(hopper, pixel_format="RGB")[0].box)
    text = f"0--Parade/a.jpg\n1\n{x} {y} {w} {h} 0 0 0 0 0 0\n"
    (tmp_path / "wider_face_val_bbx_gt.txt").write_text(text)
    result = run(yunet, "--wider", tmp_path, tmp_path, "--against", yunet)
    assert result.exit_code == 2
    assert "different" in result.stderr
    result = run(yunet, "--wider", tmp_path, tmp_path)
    assert result.exit_code == 0, result.output
    assert "WIDER FACE easy (by height of faces: not the authors' subsets): AP" in result.stdout
    assert "1.000" in result.stdout


def test_refuses_what_cannot_be_measured(data, yunet, int8_model, tmp_path):
    old = tmp_path / "old.json"
    old.write_text("{}")
    no_splits = tmp_path / "party.csv"
    shutil.copy(data / "scenes.tar", tmp_path / "party.tar")
    write_table(no_splits, ["file", "x", "y", "w", "h"], [["a.png", 1, 1, 40, 40]])
    for arguments, words in (
        (["--data", data, "--set", data / "scenes.tar", data / "scenes.csv"], "one of --data, --set and --wider"),
        ([], "one of --data, --set and --wider"),
        (["--data", tmp_path / "absent"], "absent: there is no such folder"),
        (["--data", tmp_path], "nothing to measure"),
        (["--data", data, "--rows", "smiles"], "no row 'smiles'; there are landmarks"),
        (["--data", tmp_path, "--rows", "scenes"], "scenes.tar: there is no such file"),
        (["--data", data, "--rows", "backgrounds", "--split", "val"], "for test only"),
        (["--data", data, "--rows", "scenes", "--split", "val"], "no row's split is val"),
        (["--data", data, "--max-side", "320"], "--max-side is for --set and --wider"),
        (["--set", data / "scenes.tar", data / "scenes.csv", "--age-model", int8_model], "--age-model is for"),
        (["--set", data / "scenes.tar", data / "scenes.csv", "--teacher", yunet], "--teacher is for"),
        (["--wider", tmp_path, tmp_path, "--age-model", int8_model], "--age-model is for"),
        (["--wider", tmp_path, tmp_path, "--teacher", yunet], "--teacher is for"),
        (["--wider", tmp_path, tmp_path, "--split", "val"], "--split does nothing with --wider"),
        (["--set", *one_set(no_splits), "--split", "val"], "--split does nothing with"),
        (["--data", data, "--min-score", "7"], "min_score"),
        (["--data", data, "--teacher", tmp_path / "none.onnx"], "none.onnx: there is no such file"),
        (["--data", data, "--points-model", tmp_path / "two.onnx"], "two.onnx: there is no such file"),
        (["--data", data, "--age-model", int8_model, "--age-model", int8_model], "2 are named for 1 face models"),
        (["--data", data, "--json", tmp_path / "no" / "out.json"], "name a file in a folder that exists"),
        (["--set", data / "scenes.tar", data / "utkface.csv"], "utkface.csv: column 'x' is missing"),
        (["--set", data / "scenes.tar", data / "scenes.csv", "--rows", "scenes"], "--rows"),
        (["--wider", tmp_path, tmp_path], "wider_face_val_bbx_gt.txt: No such file"),
    ):
        result = run(yunet, *arguments, *([] if "--json" in arguments else ["--json", old]))
        assert result.exit_code == 2, (arguments, result.output)
        assert words in result.stderr, (arguments, result.stderr)
        assert "Traceback" not in result.output
        assert old.read_text() == "{}"
    result = run(tmp_path / "gone.onnx", "--data", data)
    assert result.exit_code == 2
    assert "gone.onnx" in result.stderr


def test_damaged_picture_is_named(data, yunet, tmp_path):
    write_tar(tmp_path / "party.tar", {"a.png": b"not a picture"})
    write_table(tmp_path / "party.csv", ["file", "x", "y", "w", "h"], [["a.png", 1, 1, 40, 40]])
    result = CliRunner().invoke(app, ["eval-detector", str(yunet), "--set", *map(str, one_set(tmp_path / "party.csv"))])
    assert result.exit_code == 2
    assert "a.png in" in result.stderr
    assert "cannot be decoded" in result.stderr


def test_yunet_has_the_figures_that_were_measured_before(shared, yunet):
    """The work item's figures, counted by another program: AP 0.789, recall 93.6 % of 299 faces."""
    request = Request(columns=(Column(name="yunet", model=yunet, min_score=0.6),), split="test")
    figures = evaluate_rows(request, shared / "data", ["scenes"]).rows["scenes_640"]["yunet"]
    assert figures["ap"] == pytest.approx(0.789, abs=0.002)
    recall = figures["recall"]
    assert [round(100 * recall[span]["recall"], 1) for span in (">=32", "32-63", "64-127", ">=128")] == [
        93.6, 87.0, 96.4, 98.8,
    ]  # fmt: skip
    assert recall[">=32"]["faces"] == 299


def test_each_model_is_measured_with_the_refiner_beside_it(data, yunet, tmp_path):
    """All models had one refiner, so the floats' was never measured, and the release refused what it asked for."""
    models = [shutil.copy(yunet, tmp_path / f"{name}.onnx") for name in ("int8", "fp32", "plain")]
    packaged = FaceDetector().points_model
    refiners = {name: of_record(packaged, tmp_path / f"points_{name}.onnx", "r" * 64) for name in ("int8", "fp32")}
    out = tmp_path / "out.json"
    common = ("--data", data, "--rows", "landmarks", "--limit", 1, "--json", out)
    assert run(*models, *common).exit_code == 0
    used = {name: column.get("points_model", {}).get("file")
            for name, column in json.loads(out.read_text())["columns"].items()}  # fmt: skip
    assert used == {**{name: str(path) for name, path in refiners.items()}, "plain": str(packaged)}
    assert run(*models, *common, "--points-model", packaged).exit_code == 0
    columns = json.loads(out.read_text())["columns"].values()
    assert {column["points_model"]["file"] for column in columns} == {str(packaged)}
    assert run(*models, *common, "--points-model", "none").exit_code == 0
    assert not any("points_model" in column for column in json.loads(out.read_text())["columns"].values())


def test_row_that_is_absent_does_not_throw_the_others_away(data, yunet, tmp_path):
    out, report = tmp_path / "out.json", tmp_path / "report"
    result = run(yunet, "--data", data, "--rows", "int8_vs_fp32,scenes", "--json", out, "--report", report)
    assert result.exit_code == 1
    assert "agepred: row int8_vs_fp32 was not measured: needs two models" in result.stderr
    assert "scenes 640: AP at IoU 0.5" in result.stdout
    document = json.loads(out.read_text())
    assert list(document["rows"]) == ["scenes_640", "scenes_320"]
    assert list(document["left_out"]) == ["int8_vs_fp32"]
    assert (report / "report.html").is_file()


def test_rows_are_measured_once_in_their_own_order(monkeypatch, yunet, tmp_path):
    """int8_vs_fp32 reads the rows before it."""
    seen = []

    def row(name):
        def fill(evaluation, data):
            seen.append(name)
            evaluation.rows[name] = {}

        return fill

    for name in all_rows.ROWS:
        monkeypatch.setitem(all_rows.ROWS, name, row(name))
    request = Request(columns=(Column(name="yunet", model=yunet),))
    evaluate_rows(request, tmp_path, ["int8_vs_fp32", "scenes", "landmarks", "scenes"])
    assert seen == ["landmarks", "scenes", "int8_vs_fp32"]


@pytest.mark.parametrize("option", ["--age-model", "--teacher", "--points-model", "--against"])
def test_bad_model_is_told_before_the_first_row(data, yunet, tmp_path, monkeypatch, option):
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"MIT License")
    for name in all_rows.ROWS:
        monkeypatch.setitem(all_rows.ROWS, name, lambda evaluation, data: pytest.fail("a row was begun"))
    result = run(yunet, "--data", data, option, bad)
    assert result.exit_code == 2, result.output
    assert "bad.onnx" in result.stderr


def test_precisions_are_paired_only_where_they_belong_together(yunet, tmp_path):
    def columns(int8="a", fp32="a", **settings):
        files = {}
        for name, record in (("int8", int8), ("fp32", fp32)):
            (tmp_path / record).mkdir(exist_ok=True)
            files[name] = of_record(yunet, tmp_path / record / f"{name}.onnx", record * 64)
        return tuple(
            Column(name=f"{path.parent.name}/{name}", model=path, points_model=settings.get(f"{name}_points", "none"),
                   min_score=settings.get(f"{name}_score"))
            for name, path in files.items()
        )  # fmt: skip

    packaged = FaceDetector().points_model
    same, other = (of_record(packaged, tmp_path / f"points_{record}.onnx", record * 64) for record in ("r", "s"))
    again = of_record(packaged, tmp_path / "again.onnx", "r" * 64)

    def pairs(found):
        return [(one.name, two.name) for one, two in all_rows._precisions(found)]

    assert pairs(columns()) == [("a/int8", "a/fp32")]
    assert pairs(columns(int8_points=same, fp32_points=again)) == [("a/int8", "a/fp32")]
    assert pairs(columns() + columns("b", "b")) == [("a/int8", "a/fp32"), ("b/int8", "b/fp32")]
    for unlike in (
        columns(fp32="b"), columns(int8_score=0.3), columns(int8_points=same), columns(int8_points=same,
                                                                                       fp32_points=other),
    ):  # fmt: skip
        with pytest.raises(Absent, match="not of one training run"):
            pairs(unlike)


@pytest.mark.parametrize(("count", "limit", "chosen"), [
    (10, 4, [0, 2, 5, 7]), (10, 6, [0, 1, 3, 5, 6, 8]), (3, 5, [0, 1, 2]), (5, None, [0, 1, 2, 3, 4]), (0, 3, []),
])  # fmt: skip
def test_limit_spreads_over_all_pictures(yunet, count, limit, chosen):
    """Six of ten were the first six."""
    evaluation = Evaluation(request=Request(columns=(Column(name="yunet", model=yunet),), limit=limit))
    assert evaluation.use("set", list(range(count)), {}) == chosen
    assert evaluation.data["set"] == {"pictures": len(chosen), "of": count, "sha256": {}}


def test_split_is_val_unless_test_is_named(data, yunet):
    arguments = ["eval-detector", str(yunet), "--data", str(data), "--rows", "landmarks"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "no row's split is val" in result.stderr
    assert Request(columns=(Column(name="yunet", model=yunet),)).split == "val"


def test_only_evaluations_of_the_data_are_of_a_split(data, yunet, tmp_path):
    out = tmp_path / "out.json"
    assert run(yunet, "--set", *one_set(data / "scenes.csv"), "--json", out).exit_code == 0
    document = json.loads(out.read_text())
    assert document["options"]["split"] is None
    assert document["data"]["scenes"]["split"] == "test"
    assert run(yunet, "--data", data, "--rows", "scenes", "--json", out).exit_code == 0
    assert json.loads(out.read_text())["options"]["split"] == "test"
