"""Preparation from end to end on real faces: what is found, kept together, dropped, written and shown."""

import html.parser
import io
import json

import numpy as np
import pytest
from PIL import Image
from tiny_set import jpeg, write_tar

from agepred_train import recipes
from agepred_train.archive import DataError
from agepred_train.curation.curate import Settings, curate, merge
from agepred_train.curation.manifest import read_manifest
from agepred_train.curation.report import write_reports
from agepred_train.curation.sources import read_source
from agepred_train.curation.splits import Plan
from agepred_train.curation.summary import summarize
from agepred_train.prepare import Faces, clean
from agepred_train.sources import sources_of


def encode(picture, quality=95):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def sets(chips, tmp_path_factory):
    """A folder of twelve faces, a copy of one with another age, and some that training must not see; and a tar that
    calls a near-duplicate of another one its test picture."""
    root = tmp_path_factory.mktemp("sets")
    folder = root / "UTKFace"
    folder.mkdir()
    for number, chip in enumerate(chips[:12]):
        (folder / f"{20 + number}_{number % 2}_0_{number}.jpg").write_bytes(encode(chip))
    (folder / "60_0_0_100.jpg").write_bytes(encode(chips[0]))
    (folder / "30_0_0_101.jpg").write_bytes(b"no picture")
    (folder / "30_0_0_102.jpg").write_bytes(jpeg(1, 200))
    (folder / "31_0_0_103.jpg").write_bytes(encode(np.hstack([chips[13], chips[14]])))
    (folder / "32_0_0_104.jpg").write_bytes(encode(np.asarray(Image.fromarray(chips[15]).resize((32, 32)))))
    (folder / "130_0_0_105.jpg").write_bytes(encode(chips[16]))
    (folder / "<b>.jpg").write_bytes(b"")
    (folder / "\udcff.jpg").write_bytes(b"")
    archive = write_tar(root / "fair.tar", {"t.jpg": encode(chips[3], 50), "u.jpg": encode(chips[20])})
    (root / "fair.csv").write_text(
        "file,age_min,age_max,gender,race,split\nt.jpg,20,29,0,Black,test\nu.jpg,70,,1,,train\n"
    )
    return [read_source(folder), read_source(archive)]


@pytest.fixture(scope="module")
def curated(sets, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "both.csv"
    return curate(sets, out, Settings(), faces_cache=out.with_name("both-faces.npz"))


def row(curated, name):
    return next(index for index, sample in enumerate(curated.samples) if sample.name == name)


def test_reasons_are_those_of_the_pictures(curated):
    reasons = dict(zip((sample.name for sample in curated.samples), curated.dropped, strict=True))
    expected = {
        "UTKFace/30_0_0_101.jpg": "corrupt",
        "UTKFace/30_0_0_102.jpg": "no_face",
        "UTKFace/31_0_0_103.jpg": "several_faces",
        "UTKFace/32_0_0_104.jpg": "small_face",
        "UTKFace/23_1_0_3.jpg": "copy_elsewhere",
    }
    assert {name: reason for name, reason in reasons.items() if reason} == expected


def test_copies_share_a_group_across_sets_and_one_counts(curated):
    """The folder, dealt by itself, trains with a picture of which the tar's is a copy, and that one tests."""
    first, copy = row(curated, "UTKFace/23_1_0_3.jpg"), row(curated, "fair/t.jpg")
    assert curated.samples[first].group == curated.samples[copy].group != ""
    assert (curated.samples[first].split, curated.samples[copy].split) == ("drop", "test")


def test_copies_with_another_age_count_less(curated, sets, tmp_path):
    old, young = row(curated, "UTKFace/60_0_0_100.jpg"), row(curated, "UTKFace/20_0_0_0.jpg")
    assert curated.conflicts == (tuple(sorted((old, young))),)
    assert {curated.samples[index].weight for index in (old, young)} == {0.5}
    assert sum(sample.weight for sample in curated.samples) == len(curated.samples) - 1
    out = tmp_path / "both.csv"
    faces = tmp_path / "faces.npz"
    curated.faces.save(faces)  # spares the detector the same work
    dropped = curate(sets, out, Settings(conflict_weight=0), faces_cache=faces)
    assert dropped.dropped[old] == dropped.dropped[young] == "conflict"


def test_manifest_is_what_training_reads(curated):
    (manifest,) = curated.manifests
    collection = read_manifest(manifest)
    kept = {
        sample.name
        for sample, reason in zip(curated.samples, curated.dropped, strict=True)
        if sample.split == "train" and not reason
    }
    assert {sample.name for sample in clean(collection, curated.faces, 40)[0]} == kept
    assert sources_of(collection) == ("UTKFace", "fair")
    assert [sample.read_bytes() for sample in collection.samples] == [sample.read_bytes() for sample in curated.samples]
    faces = Faces.load(manifest.with_name("both-faces.npz"))
    assert faces.names.tolist() == [sample.name for sample in collection.samples]


def test_a_manifest_can_be_prepared_again_with_another_set(curated, sets, tmp_path):
    again = curate(
        [read_source(curated.manifests[0])],
        tmp_path / "again.csv",
        Settings(),
        faces_cache=curated.manifests[0].with_name("both-faces.npz"),
    )
    splits = [sample.split for sample in read_manifest(curated.manifests[0]).samples]
    assert [sample.split for sample in again.samples] == splits
    assert [sample.weight for sample in again.samples] == [sample.weight for sample in curated.samples]
    assert sources_of(read_manifest(tmp_path / "again.csv")) == ("UTKFace", "fair")


def test_smaller_faces_are_trained_on_where_the_table_says_so(curated, sets, tmp_path):
    """The size is said once, to `agepred data`: the recipe's own does not take them out again."""
    faces = tmp_path / "faces.npz"
    curated.faces.save(faces)
    small = curate(sets, tmp_path / "m.csv", Settings(min_face_side=5, plan=Plan(kind="whole")), faces_cache=faces)
    kept, _ = clean(read_manifest(tmp_path / "m.csv"), small.faces, recipes.first_light().min_face_side)
    assert "UTKFace/32_0_0_104.jpg" in {sample.name for sample in kept}


def test_folds_are_a_manifest_each(sets, curated, tmp_path):
    faces = tmp_path / "faces.npz"
    curated.faces.save(faces)
    folds = curate(sets, tmp_path / "m.csv", Settings(plan=Plan(kind="folds", folds=3)), faces_cache=faces)
    assert [path.name for path in folds.manifests] == ["m-fold1.csv", "m-fold2.csv", "m-fold3.csv"]
    validated = [{sample.name for sample in read_manifest(path).part("val")} for path in folds.manifests]
    assert not validated[0] & validated[1]
    tested = [[sample.name for sample in read_manifest(path).part("test")] for path in folds.manifests]
    assert tested[0] == tested[1] == tested[2] == ["UTKFace/23_1_0_3.jpg", "fair/t.jpg"]


def test_limit_draws_evenly_and_names_stay_unique(sets):
    named, whole = merge([*sets, sets[0]], limit=4)
    assert [source.name for source in named] == ["UTKFace", "fair", "UTKFace-2"]
    assert len(whole.samples) == len({sample.name for sample in whole.samples}) == 4 + 2 + 4
    alone, collection = merge(sets[:1])
    assert collection.samples == sets[0].collection.samples
    assert alone[0].name == "UTKFace"


def test_settings_are_checked():
    for wrong in ({"cleaner": "broom"}, {"conflict_weight": 1.1}, {"conflict_weight": float("nan")}, {"seed": -1}):
        with pytest.raises(DataError):
            Settings(**wrong)


class Page(html.parser.HTMLParser):
    """Collects what a page refers to, its texts, and whether its elements close."""

    def __init__(self):
        super().__init__()
        self.references, self.texts, self.open = [], [], []

    def handle_starttag(self, tag, attributes):
        self.references += [value for name, value in attributes if name in ("src", "href")]
        if tag in ("table", "tr", "svg", "figure", "div"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in ("table", "tr", "svg", "figure", "div"):
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_report_says_all_and_needs_nothing_beside_it(curated, tmp_path):
    summary = summarize(curated)
    write_reports(tmp_path / "report", curated, summary)
    written = json.loads((tmp_path / "report" / "report.json").read_text())
    assert written["pictures"] == len(curated.samples) == 19
    assert written["dropped"]["no_face"]["pictures"] == 1
    assert written["duplicates"]["groups"] == 2
    assert written["duplicates"]["groups_across_sets"] == 1
    assert sorted(entry["age_min"] for entry in written["duplicates"]["conflicts"][0]) == [20, 60]
    assert sum(written["sets"]["fair"]["ages"]) == pytest.approx(2, abs=0.05)
    assert written["sets"]["UTKFace"]["genders"]["female"] == 6
    assert 0 <= written["sets"]["UTKFace"]["outside"]["mean"] < 0.5
    assert len(written["sets"]["UTKFace"]["unusable"]) == 3
    page = Page()
    text = (tmp_path / "report" / "report.html").read_text()
    page.feed(text)
    assert not page.open
    assert page.references
    assert all(reference.startswith("data:image/jpeg;base64,") for reference in page.references)
    assert any("several faces found: 1" in words for words in page.texts)
    assert "<b>.jpg" not in text
    assert any("<b>.jpg: not named" in words for words in page.texts)
