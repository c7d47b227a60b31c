"""The file says that int8 cannot saturate anywhere: the same bits on x86 with VNNI and without.

x86 without VNNI adds pairs of u8 x s8 products in 16 bits. A model with 8-bit weights saturates there and its ages are
years off; ours must not differ in a single bit. The processor without VNNI is emulated.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import agepred_edge
from agepred_edge import AgeEstimator, FaceDetector, align, runtime_info

SCRIPT = """
import sys
sys.path[:0] = sys.argv[4:]
import numpy
from agepred_edge import AgeEstimator, runtime_info
estimator = AgeEstimator(sys.argv[1])
numpy.save(sys.argv[3], numpy.array([estimator.predict_crop(c).probabilities for c in numpy.load(sys.argv[2])]))
print(runtime_info().cpu_features)
"""


@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="needs qemu-x86_64 (Debian's qemu-user)")
@pytest.mark.skipif(
    "avx512_vnni" not in runtime_info().cpu_features, reason="this processor has no VNNI to compare with"
)
def test_same_bits_without_vnni(int8_model: Path, yunet: Path, chips: list[NDArray[np.uint8]], tmp_path: Path) -> None:
    detector = FaceDetector(yunet)
    faces = [(chip, detector.detect(chip, pixel_format="RGB")) for chip in chips]
    crops = np.array([align(chip, found[0].landmarks, pixel_format="RGB") for chip, found in faces if found])
    estimator = AgeEstimator(int8_model)
    here = np.array([estimator.predict_crop(crop).probabilities for crop in crops])
    np.save(tmp_path / "crops.npy", crops)

    # Where the packages lie, since the emulated interpreter does not run the environment's start-up files.
    core = importlib.util.find_spec("agepred_edge._core")
    assert core is not None
    assert core.origin is not None
    package = shutil.copytree(Path(agepred_edge.__file__).parent, tmp_path / "agepred_edge")
    shutil.copy(core.origin, package)
    numpy_spec = importlib.util.find_spec("numpy")
    assert numpy_spec is not None
    assert numpy_spec.origin is not None
    folders = [str(tmp_path), str(Path(numpy_spec.origin).parents[1])]

    emulator = ["qemu-x86_64", "-cpu", "Haswell", str(Path(sys.executable).resolve()), "-c", SCRIPT]
    files = [int8_model, tmp_path / "crops.npy", tmp_path / "there.npy"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [*emulator, *map(str, files), *folders], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "avx2" in done.stdout
    assert "vnni" not in done.stdout
    assert np.array_equal(here, np.load(tmp_path / "there.npy"))
    assert len(here) >= 25
