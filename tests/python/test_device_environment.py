"""What a device has: numpy and onnxruntime, the wheel, and nothing else."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from agepred_edge import AgeEstimator
from agepred_edge.model_files import FACE_MODEL

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def device_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment into which the wheel was installed, as a user would."""
    folder = tmp_path_factory.mktemp("device")
    wheel_command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*wheel_command, "-w", str(folder), str(ROOT)], check=True, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", str(wheel)], check=True)
    return python


def run(python: Path, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run([python, "-c", script], capture_output=True, text=True, check=False,
                          env=settings | environment, cwd="/")  # fmt: skip


def test_array_to_ages(device_python: Path, hopper, estimator: AgeEstimator, tmp_path: Path) -> None:
    """The same age as in the development environment, from an array, with neither Pillow nor torch nor OpenCV."""
    import numpy as np

    np.save(tmp_path / "hopper.npy", hopper)
    script = f"""
import importlib.util, sys
import numpy
from agepred_edge import AgeEstimator
assert not any(importlib.util.find_spec(name) for name in ("PIL", "torch", "cv2", "typer", "rich"))
picture = numpy.load({str(tmp_path / "hopper.npy")!r})
faces = AgeEstimator().predict(picture, pixel_format="RGB")
assert "onnxruntime" not in sys.modules, "its Python half is not needed"
print(len(faces), faces[0].age)
"""
    done = run(device_python, script)
    assert done.returncode == 0, done.stderr
    count, age = done.stdout.split()
    assert count == "1"
    assert float(age) == pytest.approx(estimator.predict(hopper, pixel_format="RGB")[0].age, abs=1e-4)


def test_path_names_the_extra(device_python: Path, hopper_path: Path) -> None:
    script = f"""
from agepred_edge import AgeEstimator
try:
    AgeEstimator().predict({str(hopper_path)!r})
except ImportError as error:
    print(error)
"""
    assert "pip install 'agepred-edge[cli]'" in run(device_python, script).stdout


def test_detector_and_refiner_of_the_wheel(device_python: Path, hopper, tmp_path: Path) -> None:
    """Nothing named, nothing beside the wheel: its own detector and its own refiner."""
    import numpy as np

    np.save(tmp_path / "hopper.npy", hopper)
    script = f"""
import numpy
from agepred_edge import AgeEstimator
estimator = AgeEstimator()
print(estimator.face_model, estimator.points_model, sep="\\n")
print(len(estimator.predict(numpy.load({str(tmp_path / "hopper.npy")!r}), pixel_format="RGB")))
"""
    done = run(device_python, script, AGEPRED_FACE_MODEL="")
    assert done.returncode == 0, done.stderr
    face_model, points_model, count = done.stdout.split()
    assert "site-packages" in face_model
    assert points_model.endswith(f"{FACE_MODEL}/points_int8.onnx")
    assert count == "1"


def test_commands_without_their_extras(device_python: Path) -> None:
    """agepred-bench works with the base dependencies; agepred says what to install."""
    folder = device_python.parent
    bench = subprocess.run([folder / "agepred-bench", "--model", "int8.onnx", "--runs", "20", "--min-time", "0",
                            "--warmup", "1"], capture_output=True, text=True, check=False)  # fmt: skip
    assert bench.returncode == 0, bench.stderr
    assert "p90" in bench.stdout
    cli = subprocess.run([folder / "agepred", "--version"], capture_output=True, text=True, check=False)
    assert cli.returncode != 0
    assert "agepred-edge[cli]" in cli.stderr
    assert "Traceback" not in cli.stderr
