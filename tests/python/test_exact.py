"""The file says that int8 cannot saturate anywhere: the same bits on x86 with VNNI and without.

x86 without VNNI adds pairs of u8 x s8 products in 16 bits. A model with 8-bit weights saturates there and its ages are
years off; ours must not differ in a single bit. The processor without VNNI is emulated.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import agepred_edge
from agepred_edge import AgeEstimator, align, runtime_info

SCRIPT = """
import sys
sys.path[:0] = sys.argv[3:]
import json, numpy
from agepred_edge import AgeEstimator, runtime_info
work, models = sys.argv[1], json.loads(sys.argv[2])
estimator = AgeEstimator(models["age"])
crops = numpy.load(work + "/crops.npy")
numpy.save(work + "/crops_there.npy", [estimator.predict_crop(crop).probabilities for crop in crops])
whole = AgeEstimator(models["age"], face_model=models["face"], points_model=models["points"])
chips = numpy.load(work + "/chips.npz")
answers = [whole.predict(chip, pixel_format="RGB") for chip in chips.values()]
numpy.savez(work + "/faces_there.npz", *([[face.age, *face.box] for face in faces] for faces in answers))
print(runtime_info().cpu_features)
"""


@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="needs qemu-x86_64 (Debian's qemu-user)")
@pytest.mark.skipif(
    "avx512_vnni" not in runtime_info().cpu_features, reason="this processor has no VNNI to compare with"
)
def test_same_answers_without_vnni(int8_model: Path, chips: list[NDArray[np.uint8]], tmp_path: Path) -> None:
    """Of crops the same bits; of whole pictures all but the same: detector and refiner end in floats."""
    whole = AgeEstimator(int8_model)
    found = [whole.predict(chip, pixel_format="RGB") for chip in chips]
    crops = np.array(
        [
            align(chip, faces[0].landmarks, side=whole.info.crop_side, pixel_format="RGB")
            for chip, faces in zip(chips, found, strict=True)
            if faces
        ]
    )
    here = np.array([whole.predict_crop(crop).probabilities for crop in crops])
    np.save(tmp_path / "crops.npy", crops)
    np.savez(tmp_path / "chips.npz", *chips)
    assert whole.points_model is not None
    models = {"age": int8_model, "face": whole.face_model, "points": whole.points_model}

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
    paths = json.dumps({name: str(path) for name, path in models.items()})
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [*emulator, str(tmp_path), paths, *folders], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "avx2" in done.stdout
    assert "vnni" not in done.stdout
    assert np.array_equal(here, np.load(tmp_path / "crops_there.npy"))
    assert len(here) >= 25
    for faces, there in zip(found, np.load(tmp_path / "faces_there.npz").values(), strict=True):
        assert len(faces) == len(there)
        for face, (age, *box) in zip(faces, there, strict=True):
            assert face.box == pytest.approx(box, abs=0.1)
            assert face.age == pytest.approx(age, abs=0.01)
