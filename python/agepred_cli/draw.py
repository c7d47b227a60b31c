"""Draws faces and their ages onto a picture, with Pillow alone."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from agepred_edge import Face

Rectangle = tuple[float, float, float, float]

_BRIGHT = (255, 214, 10)
_DARK = (16, 16, 16)

# A smaller picture is enlarged first, since letters of a legible height would not fit into it.
_LEAST_SIDE = 640

# Height of a label's letters: as wide as its face asks for, but not below what can be read with the
# picture at its own size, nor below the first nor above the second share of the picture's size (the root
# of its area): legible where the picture fills a screen, and not hiding what it labels.
_LEAST_LETTERS = 11.0
_LETTER_SHARES = (1 / 130, 1 / 18)
_LETTERS_PER_FACE = 5.0  # a label such as "58 (51-66)" is about five times as wide as its letters are high


def draw_faces(pixels: NDArray[np.uint8], faces: Sequence[Face]) -> Image.Image:
    """A copy of a picture, height x width x 3 RGB, with boxes, points, ages and intervals.

    A picture whose longer side has less than 640 pixels is enlarged to that.
    """
    picture, enlarge = legible(pixels)
    pen = ImageDraw.Draw(picture)
    for face in faces:
        _draw_face(pen, face, enlarge, picture.size)
    # Labels last, so that no box runs through one.
    draw_labels(picture, [(_enlarged(face.box, enlarge), label_of(face)) for face in faces])
    return picture


def draw_labels(picture: Image.Image, labels: Sequence[tuple[Rectangle, str]]) -> None:
    """Writes texts at their boxes (x, y, width, height), so that none hides another."""
    pen = ImageDraw.Draw(picture)
    taken: list[Rectangle] = []
    for box, text in labels:
        taken.append(_draw_label(pen, text, box, picture.size, taken))


def legible(pixels: NDArray[np.uint8]) -> tuple[Image.Image, float]:
    """A copy of a picture that has room for letters, and how many times as large it is."""
    picture = Image.fromarray(pixels)
    enlarge = max(1.0, _LEAST_SIDE / max(picture.size))
    if enlarge > 1:
        width, height = (max(1, round(side * enlarge)) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    return picture, enlarge


def label_of(face: Face) -> str:
    """Age and interval in whole years, as "58 (51-66)"."""
    low, high = face.interval
    return f"{face.age:.0f} ({low:.0f}-{high:.0f})"


def _draw_face(pen: ImageDraw.ImageDraw, face: Face, enlarge: float, size: tuple[int, int]) -> None:
    """Box and points: bright with a dark rim, so that they show on any background."""
    left, top, width, height = _enlarged(face.box, enlarge)
    box = (left, top, left + max(width, 1), top + max(height, 1))
    line = max(1, round(min(_size(size) / 300, width / 30)))
    pen.rectangle(_grown(box, line / 2), outline=_DARK, width=2 * line)
    pen.rectangle(box, outline=_BRIGHT, width=line)
    radius = max(1.0, min(width, height) / 40)
    for x, y in face.landmarks * enlarge:
        dot = (x - radius, y - radius, x + radius, y + radius)
        pen.ellipse(_grown(dot, max(1, radius / 4)), fill=_DARK)
        pen.ellipse(dot, fill=_BRIGHT)


def _draw_label(
    pen: ImageDraw.ImageDraw,
    text: str,
    box: Rectangle,
    size: tuple[int, int],
    taken: Sequence[Rectangle],
) -> Rectangle:
    """Writes a label where it is legible and returns the place that it takes."""
    left, top, width, height = box
    font, extent, margin = _fitting_font(pen, text, width, size)
    label = (extent[2] - extent[0] + 2 * margin, extent[3] - extent[1] + 2 * margin)
    place = _free_place((left, top, left + width, top + height), label, size, taken)
    pen.rectangle(place, fill=_DARK)
    pen.text((place[0] + margin - extent[0], place[1] + margin - extent[1]), text, font=font, fill=_BRIGHT)
    return place


def _fitting_font(
    pen: ImageDraw.ImageDraw, text: str, face_width: float, size: tuple[int, int]
) -> tuple[ImageFont.FreeTypeFont | ImageFont.ImageFont, Rectangle, float]:
    """Font, extent of the text in it and margin, for a label as wide as its face where that is legible."""
    least, most = (share * _size(size) for share in _LETTER_SHARES)
    letters = max(min(face_width / _LETTERS_PER_FACE, most), least, _LEAST_LETTERS)
    while True:
        font = ImageFont.load_default(size=letters)
        extent = pen.textbbox((0, 0), text, font=font)
        margin = letters / 4
        fits = extent[2] - extent[0] + 2 * margin < size[0] and extent[3] - extent[1] + 2 * margin < size[1]
        if fits or letters < 2:
            return font, extent, margin
        letters *= 0.8


def _free_place(
    box: Rectangle, label: tuple[float, float], size: tuple[int, int], taken: Sequence[Rectangle]
) -> Rectangle:
    """Above the box, below it, or at its upper or lower edge inside: the first that hides no other label."""
    left, top, _, bottom = box
    width, height = label
    places = [
        _kept_inside((left, y, left + width, y + height), size) for y in (top - height, bottom, top, bottom - height)
    ]
    free = [place for place in places if not any(_overlap(place, other) for other in taken)]
    return (free or places)[0]


def _kept_inside(place: Rectangle, size: tuple[int, int]) -> Rectangle:
    """Moved by as little as needed to lie within the picture."""
    x = min(max(0.0, place[0]), max(0.0, size[0] - 1 - (place[2] - place[0])))
    y = min(max(0.0, place[1]), max(0.0, size[1] - 1 - (place[3] - place[1])))
    return (x, y, x + place[2] - place[0], y + place[3] - place[1])


def _enlarged(box: Rectangle, times: float) -> Rectangle:
    left, top, width, height = (side * times for side in box)
    return (left, top, width, height)


def _size(size: tuple[int, int]) -> float:
    return math.sqrt(size[0] * size[1])


def _overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _grown(box: Rectangle, by: float) -> Rectangle:
    return (box[0] - by, box[1] - by, box[2] + by, box[3] + by)
