"""Annotated pictures: what is drawn lies where it belongs and can be read."""

import numpy as np
import pytest

pytest.importorskip("PIL")

from agepred_cli import draw
from agepred_cli.draw import draw_faces, label_of
from agepred_edge import Face

WHITE = 255


def face(box, *, age=58.4, interval=(50.6, 66.2)):
    x, y, width, height = box
    landmarks = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)
    return Face(
        age=age,
        stddev=6.0,
        interval=interval,
        group="51-75",
        probabilities=np.full(117, 1 / 117, np.float32),
        box=box,
        score=0.9,
        landmarks=landmarks * np.float32([width, height]) + np.float32([x, y]),
    )


def blank(width, height):
    return np.full((height, width, 3), WHITE, np.uint8)


def drawn_mask(picture):
    """Where the picture is no longer blank."""
    return (np.asarray(picture) != WHITE).any(axis=2)


def test_label_is_in_whole_years():
    assert label_of(face((0, 0, 9, 9))) == "58 (51-66)"


def test_leaves_its_input_alone_and_draws_nothing_without_faces():
    pixels = blank(800, 600)
    picture = draw_faces(pixels, [])
    assert picture.size == (800, 600)
    assert not drawn_mask(picture).any()
    draw_faces(pixels, [face((100, 100, 50, 60))])
    assert (pixels == WHITE).all()


def test_box_points_and_label_lie_where_they_belong():
    mask = drawn_mask(draw_faces(blank(800, 800), [face((300, 300, 200, 200))]))
    assert mask[400, 300]  # left edge
    assert mask[400, 500]
    assert mask[300, 400]
    assert mask[500, 400]
    for x, y in face((300, 300, 200, 200)).landmarks:
        assert mask[int(y), int(x)]
    assert mask[250:298, 300:420].mean() > 0.5  # label above
    assert not mask[:200].any()
    assert not mask[520:].any()
    assert not mask[:, :290].any()


@pytest.mark.parametrize("size", [(1, 1), (40, 40), (96, 112), (640, 480), (4000, 120), (120, 4000), (6000, 4000)])
def test_letters_can_be_read_at_any_size(size):
    width, height = size
    one = face((width * 0.3, height * 0.3, min(size) * 0.4, min(size) * 0.4))
    picture = draw_faces(blank(width, height), [one])
    assert max(picture.size) >= 640
    pen = draw.ImageDraw.Draw(picture)
    enlarge = picture.width / width
    _, extent, _ = draw._fitting_font(pen, label_of(one), one.box[2] * enlarge, picture.size)
    height_of_text = extent[3] - extent[1]
    assert height_of_text >= 8
    assert height_of_text >= (picture.width * picture.height) ** 0.5 / 200
    assert extent[2] - extent[0] < picture.width


@pytest.mark.parametrize(
    "box",
    [
        (-50, -40, 120, 120),
        (580, -40, 120, 120),
        (-50, 420, 120, 120),
        (580, 420, 120, 120),
        (0, 0, 640, 480),
    ],
)
def test_label_of_a_face_at_the_border_stays_inside(box):
    pen = draw.ImageDraw.Draw(draw_faces(blank(640, 480), []))
    place = draw._draw_label(pen, draw.label_of(face(box)), box, (640, 480), [])
    assert 0 <= place[0] < place[2] <= 640
    assert 0 <= place[1] < place[3] <= 480


def test_labels_of_neighbors_do_not_hide_each_other():
    taken = []
    for x in (100, 130, 160):
        place = draw._free_place((x, 200, x + 80, 300), (90, 20), (640, 480), taken)
        assert not any(draw._overlap(place, other) for other in taken)
        taken.append(place)


def test_crowd_of_small_faces_is_not_painted_over():
    faces = [face((x, y, 45, 55)) for x in range(40, 2900, 130) for y in range(40, 1400, 150)]
    mask = drawn_mask(draw_faces(blank(3000, 1500), faces))
    assert mask.mean() < 0.25
    inside = mask[40 + 40 : 40 + 50, 40 + 5 : 40 + 40]
    assert inside.mean() < 0.5


@pytest.mark.parametrize("box", [(100, 100, 0, 0), (1e6, 1e6, 10, 10), (-1e6, 5, 2e6, 10)])
def test_odd_boxes_do_not_fail(box):
    assert draw_faces(blank(640, 480), [face(box)]).size == (640, 480)
