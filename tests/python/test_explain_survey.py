"""A labeled set explained: what counts in which decade, the figures, and the report."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from test_explain_deletion import Detail
from tiny_set import make_collection

from agepred_edge import DEFAULT_POINTS, Detection
from agepred_train.archive import DataError
from agepred_train.evaluation.labels import LabeledSet
from agepred_train.explain.deletion import delete
from agepred_train.explain.donors import Donors
from agepred_train.explain.report import summary, write_report
from agepred_train.explain.survey import deletion_figures, survey


class Middle:
    """Finds one face in the middle of every picture."""

    def detect(self, picture, *, pixel_format):
        assert pixel_format == "RGB"
        landmarks = (DEFAULT_POINTS * 64 + 16).astype(np.float32)
        return [Detection(box=(16, 16, 64, 64), score=0.9, landmarks=landmarks)]


class Nobody:
    def detect(self, picture, *, pixel_format):
        return []


@pytest.fixture(scope="module")
def explainer():
    detail = Detail(np.random.default_rng(1).normal(size=(4, 4)))
    detail.points = DEFAULT_POINTS
    return detail


@pytest.fixture(scope="module")
def labeled(tmp_path_factory):
    samples = make_collection(tmp_path_factory.mktemp("set"), train=3, val=12, test=2).samples
    return LabeledSet(name="blobs", samples=samples, has_splits=True, hashes={"blobs.tar": "00"})


@pytest.fixture(scope="module")
def found(explainer, labeled):
    return survey(explainer, Middle(), labeled, "val")


def test_every_face_counts_in_the_decade_of_its_label(found, labeled):
    document = found.to_dict()
    ages = [sample.age for sample in labeled.part("val")]
    assert document["all"]["n"] == document["data"]["pictures"] == 12
    for decade, figures in document["decades"].items():
        low, high = map(int, decade.split("-"))
        assert figures["n"] == sum(low <= age <= high for age in ages)
    assert sum(figures["n"] for figures in document["decades"].values()) == 12
    assert document["deletion"]["faces"] == 11  # the first has none to borrow from
    maps = {decade: (figures["n"], np.array(figures["map"])) for decade, figures in document["decades"].items()}
    mean = sum(count * cells for count, cells in maps.values()) / 12
    np.testing.assert_allclose(document["all"]["map"], mean, atol=1e-6)


def test_ranges_count_where_they_lie_within_a_decade(explainer, tmp_path):
    import dataclasses

    samples = make_collection(tmp_path, train=0, val=2, test=0).samples
    inside = dataclasses.replace(samples[0], age_min=20, age_max=29)
    across = dataclasses.replace(samples[1], age_min=25, age_max=35)
    labeled = LabeledSet(name="ranges", samples=(inside, across), has_splits=False, hashes={})
    document = survey(explainer, Middle(), labeled, "val").to_dict()
    assert document["data"]["split"] is None
    assert document["all"]["n"] == 2
    assert {decade: one["n"] for decade, one in document["decades"].items()} == {"20-29": 1}


def test_true_maps_pass_the_check(explainer):
    """Faces whose cells differ in their detail, which is what the age is made of."""
    rng = np.random.default_rng(3)
    donors, curves = Donors(), []
    for number in range(60):
        strength = rng.uniform(0, 80, (4, 4)).repeat(8, 0).repeat(8, 1)[..., None]
        crop = (128 + strength * rng.uniform(-1, 1, (32, 32, 1)) * np.ones(3)).astype(np.uint8)
        explained = explainer.explain(crop[None])
        age = float(explained.ages[0])
        if (other := donors.nearest(age)) is not None:
            curves.append(delete(explainer, crop, other, explained.maps[0], number))
        donors.add(age, crop)
    deletion = deletion_figures(curves)
    assert deletion["faces"] == 59
    assert deletion["map_against_random"]["high"] < 0 < deletion["reverse_against_random"]["low"]
    assert deletion["share_below_reverse"] > 0.7
    against = deletion["areas"]["map"]["mean"] - deletion["areas"]["reverse"]["mean"]
    assert deletion["map_against_reverse"]["mean"] == pytest.approx(against)


def test_same_pictures_give_the_same_figures(explainer, labeled, found):
    again = survey(explainer, Middle(), labeled, "val")
    assert again.to_dict() == found.to_dict()
    assert deletion_figures(again.curves) == found.to_dict()["deletion"]


def test_pictures_that_cannot_be_used_are_counted(explainer, tmp_path):
    samples = make_collection(tmp_path, train=0, val=3, test=0).samples
    Path(samples[1].path).write_bytes(b"no picture" + bytes(samples[1].size - 10))
    labeled = LabeledSet(name="three", samples=samples, has_splits=True, hashes={})
    data = survey(explainer, Middle(), labeled, "val").to_dict()["data"]
    assert (data["pictures"], data["unreadable"], data["no_face"]) == (3, 1, 0)
    one = survey(explainer, Middle(), LabeledSet(name="one", samples=samples[:1], has_splits=True, hashes={}), "val")
    assert one.to_dict()["deletion"] is None
    assert "not measured" in dict(summary(one.to_dict()))["deletion"]
    assert write_report(tmp_path / "one", one, one.to_dict())
    with pytest.raises(DataError, match="three: a face is found in none of 3 pictures"):
        survey(explainer, Nobody(), labeled, "val")


def test_report_shows_the_maps_and_the_curves(found, tmp_path):
    document = found.to_dict()
    page, figures = write_report(tmp_path / "new", found, document)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["explain.html", "explain.json"]
    assert json.loads(figures.read_text()) == document
    text = page.read_text()
    decades = len(document["decades"])
    assert text.count("data:image/jpeg;base64,") == 1 + 2 * decades  # means, and the first of each
    assert text.count("<svg") == 2
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "detail" in text
    words = dict(summary(document))
    assert words["pictures"] == "12 of blobs, split val"
