"""WIDER FACE's subsets: lists as MATLAB writes them, here byte by byte, and the authors' way to count."""

import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from tiny_set import jpeg

from agepred_train.archive import DataError
from agepred_train.detector.annotations import AnnotatedPicture, AnnotatedSet, Annotation
from agepred_train.detector.mat_cells import read_mat
from agepred_train.detector.measure import Found
from agepred_train.detector.wider import SUBSETS, WiderSet, open_wider, wider_figures

DOUBLE, UINT8, INT32 = (6, 9, "f8"), (9, 2, "u1"), (12, 5, "i4")


def element(kind, data, order="<"):
    if 0 < len(data) <= 4:
        return struct.pack(f"{order}I", len(data) << 16 | kind) + data.ljust(4, b"\0")
    return struct.pack(f"{order}II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def matrix(value, name="", order="<", form=DOUBLE):
    """A cell array of a list, text of a string, numbers of the rest."""
    if isinstance(value, list):
        kind, shape, parts = 1, (len(value), 1), [matrix(part, order=order, form=form) for part in value]
    elif isinstance(value, str):
        kind, shape, parts = (
            4,
            (1, len(value)),
            [element(4, value.encode(f"utf-16-{'le' if order == '<' else 'be'}"), order)],
        )
    else:
        numbers = np.atleast_2d(np.array(value)).T
        kind, shape = form[0], numbers.shape
        parts = [element(form[1], numbers.astype(order + form[2]).tobytes(order="F"), order)]
    flags = element(6, struct.pack(f"{order}II", kind, 0), order)
    size = element(5, struct.pack(f"{order}ii", *shape), order)
    return element(14, flags + size + element(1, name.encode(), order) + b"".join(parts), order)


def mat_file(order="<", *, packed=True, form=DOUBLE, **variables):
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(f"{order}H", 0x0100) + (b"IM" if order == "<" else b"MI")
    parts = [matrix(value, name, order, form) for name, value in variables.items()]
    if packed:
        parts = [struct.pack(f"{order}II", 15, len(small)) + small for part in parts for small in [zlib.compress(part)]]
    return header + b"".join(parts)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("form", [DOUBLE, UINT8, INT32])
def test_cells_are_read_as_they_were_written(tmp_path, order, packed, form):
    path = tmp_path / "lists.mat"
    numbers = [[np.array([1, 2, 30]), np.array([4])], [np.array([])]]
    lists = {"events": ["0--Parade", "1"], "numbers": numbers, "plain": np.array([7])}
    path.write_bytes(mat_file(order, packed=packed, form=form, **lists))
    read = read_mat(path)
    assert read["events"] == ["0--Parade", "1"]
    assert [[part.ravel().tolist() for part in parts] for parts in read["numbers"]] == [[[1, 2, 30], [4]], [[]]]
    assert read["plain"].tolist() == [[7]]


@pytest.mark.parametrize(
    "content", [b"", b"%PDF", b"x" * 200, mat_file(event_list=["a"])[:-3], mat_file(a=["b"])[:150]]
)
def test_damaged_lists_are_refused_by_name(tmp_path, content):
    path = tmp_path / "wider_easy_val.mat"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"wider_easy_val\.mat"):
        read_mat(path)


def test_every_cut_of_a_file_is_refused_or_read(tmp_path):
    path, content = tmp_path / "cut.mat", mat_file(packed=False, event_list=["a", "b"], gt_list=[[np.array([1])]])
    for length in range(128, len(content)):
        path.write_bytes(content[:length])
        with suppress(DataError):  # no other error, and no endless loop
            read_mat(path)


@pytest.fixture
def wider(tmp_path):
    """Two pictures in WIDER FACE's layout: three faces of 60, 40 and 12 pixels, one of them; and none."""
    images, truth = tmp_path / "images", tmp_path / "truth"
    (images / "0--Parade").mkdir(parents=True)
    truth.mkdir()
    for name in ("a", "b"):
        (images / "0--Parade" / f"{name}.jpg").write_bytes(jpeg(1))
    rows = ["0 0 50 60", "100 0 30 40", "200 0 10 12"]
    (truth / "wider_face_val_bbx_gt.txt").write_text(
        "0--Parade/a.jpg\n3\n" + "".join(f"{row} 0 0 0 0 0 0\n" for row in rows)
        + "0--Parade/b.jpg\n0\n0 0 0 0 0 0 0 0 0 0\n"
    )  # fmt: skip
    return images, truth


def write_lists(truth, **numbers):
    for name in SUBSETS:
        lists = [[np.array(numbers[name]), np.array([], np.float64)]]
        content = mat_file(event_list=["0--Parade"], file_list=[["a", "b"]], gt_list=lists)
        (truth / f"wider_{name}_val.mat").write_bytes(content)


def test_authors_lists_say_which_faces_count(wider):
    images, truth = wider
    write_lists(truth, easy=[1], medium=[1, 2], hard=[1, 2, 3])
    opened = open_wider(images, truth)
    assert opened.official
    assert {name: part[0].tolist() for name, part in opened.subsets.items()} == {
        "easy": [True, False, False],
        "medium": [True, True, False],
        "hard": [True, True, True],
    }
    assert "wider_easy_val.mat" in opened.labeled.hashes


def test_without_the_lists_subsets_go_by_height_and_say_so(wider):
    opened = open_wider(*wider)
    assert not opened.official
    assert [int(opened.subsets[name][0].sum()) for name in SUBSETS] == [1, 2, 3]
    figures = wider_figures([Found.of([], [], [])] * 2, opened)
    assert figures["official_lists"] is False
    assert figures["hard"] == {"faces": 3, "ap": 0.0}


@pytest.mark.parametrize("numbers", [[0], [4]])
def test_lists_of_other_pictures_are_refused(wider, numbers):
    images, truth = wider
    write_lists(truth, easy=numbers, medium=[1], hard=[1])
    with pytest.raises(DataError, match=r"wider_easy_val\.mat"):
        open_wider(images, truth)


def test_faces_outside_the_subset_count_neither_way(wider):
    images, truth = wider
    write_lists(truth, easy=[1], medium=[1, 2], hard=[1, 2, 3])
    opened = open_wider(images, truth)
    boxes = opened.labeled.pictures[0].faces.boxes
    small = Found.of([boxes[2], boxes[0]], [0.9, 0.8], np.zeros((2, 5, 2)))
    figures = wider_figures([small, Found.of([], [], [])], opened)
    assert [figures[name]["ap"] for name in SUBSETS] == pytest.approx([1.0, 0.5, 2 / 3])


def as_the_authors_count(answers, faces, parts):
    """Their program's steps one by one (eval_tools of WIDER FACE), for one subset."""
    everything = np.concatenate([one.scores for one in answers])
    low, high = everything.min(), everything.max()
    curve, total = np.zeros((1000, 2)), 0
    for one, labels, part in zip(answers, faces, parts, strict=True):
        total += int(part.sum())
        if not len(one.boxes) or not len(labels.boxes):
            continue
        scores = (one.scores.astype(float) - low) / (high - low)
        recall_list, proposal, found = np.zeros(len(part)), np.ones(len(scores)), np.zeros(len(scores))
        for h, (x, y, w, height) in enumerate(one.boxes.astype(float)):
            best, at = -1.0, 0
            for j, (a, b, c, d) in enumerate(labels.boxes.astype(float)):
                across, down = min(x + w, a + c) - max(x, a) + 1, min(y + height, b + d) - max(y, b) + 1
                common = across * down if across > 0 and down > 0 else 0.0
                iou = common / ((w + 1) * (height + 1) + (c + 1) * (d + 1) - common)
                if iou > best:
                    best, at = iou, j
            if best >= 0.5:
                if not part[at]:
                    recall_list[at] = proposal[h] = -1
                elif recall_list[at] == 0:
                    recall_list[at] = 1
            found[h] = (recall_list == 1).sum()
        for t in range(1000):
            reached = np.flatnonzero(scores >= 1 - (t + 1) / 1000)
            if len(reached):
                curve[t] += [(proposal[: reached[-1] + 1] == 1).sum(), found[reached[-1]]]
    with np.errstate(invalid="ignore"):
        precision = np.nan_to_num(curve[:, 1] / curve[:, 0])
    recall = np.concatenate([[0], curve[:, 1] / total, [1]])
    precision = np.concatenate([[0], precision, [0]])
    for i in range(len(precision) - 1, 0, -1):
        precision[i - 1] = max(precision[i - 1], precision[i])
    steps = np.flatnonzero(recall[1:] != recall[:-1])
    return float(((recall[steps + 1] - recall[steps]) * precision[steps + 1]).sum())


@pytest.mark.parametrize("seed", range(8))
def test_average_precision_is_the_authors(seed):
    rng = np.random.default_rng(seed)
    answers, faces, parts = [], [], []
    for _ in range(12):
        boxes = np.round(rng.uniform(0, 200, (rng.integers(0, 6), 4))) + np.array([0, 0, 8, 8])
        near = np.concatenate([boxes + rng.normal(0, 4, boxes.shape), boxes[:2] + 2, rng.uniform(20, 90, (2, 4))])
        near[:, 2:] = np.abs(near[:, 2:]) + 1
        answers.append(Found.of(near, rng.uniform(0.02, 0.98, len(near)), np.zeros((len(near), 5, 2))))
        faces.append(Annotation.of(np.asarray(boxes, np.float32)))
        parts.append(rng.random(len(boxes)) < 0.7)
    pictures = tuple(AnnotatedPicture(stored=None, faces=labels, split="") for labels in faces)
    subsets = dict.fromkeys(SUBSETS, tuple(parts))
    wider = WiderSet(labeled=AnnotatedSet(name="w", pictures=pictures, hashes={}), subsets=subsets, official=True)
    assert wider_figures(answers, wider)["easy"]["ap"] == pytest.approx(as_the_authors_count(answers, faces, parts))
