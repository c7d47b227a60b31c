"""What the tests share: real photographs, real models, and where they are."""

import io
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from agepred_edge import AgeEstimator, default_age_model, read_picture

if find_spec("torch") is not None:
    # Before a test imports Lightning: it prepares for a torchvision that this torch cannot load.
    import agepred_train  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
YUNET = SHARED / "weights" / "yunet_n.onnx"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of data and weights beside the checkout."""
    if not YUNET.is_file():
        pytest.skip(f"no data and weights at {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def yunet(shared: Path) -> Path:
    return YUNET


@pytest.fixture(scope="session")
def int8_model() -> Path:
    return default_age_model() / "int8.onnx"


@pytest.fixture(scope="session")
def uncalibrated_model(int8_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packaged age model without the offsets of its intervals, which are then quantiles of its distribution."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(int8_model)
    keys = {entry.key: entry.value for entry in model.metadata_props}
    offsets = {f"agepred.interval.{name}" for name in ("levels", "ages", "low", "high")}
    assert offsets < keys.keys()
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {key: value for key, value in keys.items() if key not in offsets})
    path = tmp_path_factory.mktemp("uncalibrated") / "int8.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture(scope="session")
def estimator() -> AgeEstimator:
    """With the packaged models, as users get them."""
    return AgeEstimator()


@pytest.fixture(scope="session")
def blank_crop(estimator: AgeEstimator) -> NDArray[np.uint8]:
    side = estimator.info.crop_side
    return np.zeros((side, side, 3), np.uint8)


@pytest.fixture(scope="session")
def hopper_path() -> Path:
    """Grace Hopper, 600 x 512, one face; public domain, part of matplotlib's sample data."""
    matplotlib = pytest.importorskip("matplotlib")
    return Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


@pytest.fixture(scope="session")
def hopper(hopper_path: Path) -> NDArray[np.uint8]:
    return read_picture(hopper_path)


@pytest.fixture(scope="session")
def chips(shared: Path) -> list[NDArray[np.uint8]]:
    """Thirty pictures of UTKFace's validation split, spread over its ages."""
    import csv
    import tarfile

    from PIL import Image

    with (shared / "data" / "utkface.csv").open() as file:
        names = [row["file"] for row in csv.DictReader(file) if row["split"] == "val"]
    with tarfile.open(shared / "data" / "utkface.tar") as archive:
        chosen = names[:: len(names) // 30][:30]
        files = [archive.extractfile(f"./{name}") for name in chosen]
        return [np.asarray(Image.open(io.BytesIO(file.read())).convert("RGB")) for file in files if file]
