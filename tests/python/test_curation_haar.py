"""Haar cascades, where this OpenCV has them; a clear word where it has not. `make test` runs it by both."""

import pytest

from agepred_train.archive import DataError
from agepred_train.curation.haar import HaarFinder

cv2 = pytest.importorskip("cv2")
has_cascades = hasattr(cv2, "CascadeClassifier") and hasattr(getattr(cv2, "data", None), "haarcascades")


def test_opencv_without_cascades_is_named(monkeypatch):
    monkeypatch.delattr(cv2, "CascadeClassifier", raising=False)
    with pytest.raises(DataError, match=r"OpenCV .* has no Haar cascades.*opencv-python-headless<5"):
        HaarFinder()


@pytest.mark.skipif(not has_cascades, reason="this OpenCV has no Haar cascades (OpenCV 4 has)")
def test_cascade_finds_the_face_that_the_detector_finds(hopper):
    from agepred_edge import FaceDetector

    (face,) = HaarFinder().detect(hopper, pixel_format="RGB")[:1]
    expected = FaceDetector().detect(hopper, pixel_format="RGB")[0]
    x, y, width, height = face.box
    center = expected.landmarks.mean(axis=0)
    assert x < center[0] < x + width
    assert y < center[1] < y + height
    assert not HaarFinder().detect(hopper[:60, :60].copy(), pixel_format="RGB")
