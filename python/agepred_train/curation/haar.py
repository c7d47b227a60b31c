"""Faces by OpenCV's Haar cascade: the cleaning that older age projects used, to be compared with the detector's."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agepred_edge import Detection
from agepred_train.archive import DataError

_CASCADE = "haarcascade_frontalface_default.xml"

# OpenCV's own examples; a cascade of one neighbor more or less finds other faces, so it is not left to chance.
_SCALE_FACTOR, _NEIGHBORS = 1.1, 5


class HaarFinder:
    """Finds boxes of faces; their five points are unknown and zero.

    Raises:
        DataError: this OpenCV has no cascades.
    """

    points_model: Path | None = None
    """There is none."""

    def __init__(self) -> None:
        try:
            import cv2  # noqa: PLC0415 - an extra, and a slow import
        except ImportError as missing:
            raise DataError(
                f"Haar cascades need OpenCV 4: pip install 'opencv-python-headless<5' ({missing})"
            ) from None
        folder = getattr(getattr(cv2, "data", None), "haarcascades", None)
        if not hasattr(cv2, "CascadeClassifier") or folder is None or not Path(folder, _CASCADE).is_file():
            raise DataError(
                f"OpenCV {cv2.__version__} has no Haar cascades; install another beside it for this step "
                "(pip install --target DIR 'opencv-python-headless<5', then PYTHONPATH=DIR), or clean with the detector"
            )
        self._cv2: Any = cv2
        self.face_model = Path(folder, _CASCADE)
        """The cascade's file."""
        self._local = threading.local()

    def detect(self, picture: NDArray[np.uint8], *, pixel_format: str) -> list[Detection]:
        """Return the faces in a picture [height, width, 3], the largest first."""
        assert pixel_format == "RGB"
        gray = self._cv2.cvtColor(picture, self._cv2.COLOR_RGB2GRAY)
        boxes = self._classifier().detectMultiScale(gray, scaleFactor=_SCALE_FACTOR, minNeighbors=_NEIGHBORS)
        return [
            Detection(box=(float(x), float(y), float(w), float(h)), score=1.0, landmarks=np.zeros((5, 2), np.float32))
            for x, y, w, h in sorted(boxes, key=lambda box: -box[2] * box[3])
        ]

    def _classifier(self) -> Any:
        # One a thread: OpenCV's keeps state while it looks.
        if not hasattr(self._local, "classifier"):
            self._local.classifier = self._cv2.CascadeClassifier(str(self.face_model))
        return self._local.classifier
