"""An installed libagepred as applications see it: CMake, pkg-config, symbols; and moved elsewhere after that."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from agepred_edge import AgeEstimator, runtime_info

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "cpp" / "examples"


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, **environment}
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, env=settings)


def checked(*command: str | Path, **environment: str) -> str:
    done = run(*command, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=["shared", "static"])
def prefix(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library, built and installed, then moved: nothing in it may name the place where it was."""
    folder = tmp_path_factory.mktemp(f"install-{request.param}")
    shared = "ON" if request.param == "shared" else "OFF"
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DAGEPRED_TESTS=OFF", f"-DBUILD_SHARED_LIBS={shared}"]
    checked("cmake", "-S", ROOT, "-B", folder / "build", "-G", "Ninja", *options)
    checked("cmake", "--build", folder / "build")
    checked("cmake", "--install", folder / "build", "--prefix", folder / "first")
    return shutil.move(folder / "first", folder / "moved" / "here")


@pytest.fixture(scope="module")
def ppm(hopper: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "hopper.ppm"
    height, width = hopper.shape[:2]
    path.write_bytes(b"P6\n%d %d\n255\n" % (width, height) + hopper.tobytes())
    return path


@pytest.fixture(scope="module")
def unrefined() -> AgeEstimator:
    """Without a refiner, as the examples name none."""
    return AgeEstimator(points_model="none")


@pytest.fixture(scope="module")
def face_model(unrefined: AgeEstimator) -> Path:
    assert unrefined.face_model is not None
    return unrefined.face_model


def library_folder(prefix: Path) -> Path:
    return next(prefix.glob("lib*/**/libagepred.*")).parent


def assert_right_age(
    program: Path, prefix: Path, ppm: Path, int8_model: Path, face_model: Path, unrefined: AgeEstimator
) -> None:
    environment = {
        "AGEPRED_ONNXRUNTIME": runtime_info().onnxruntime_path,
        "LD_LIBRARY_PATH": str(library_folder(prefix)),
    }
    output = checked(program, int8_model, face_model, ppm, **environment)
    (face,) = unrefined.predict(np.frombuffer(ppm.read_bytes()[15:], np.uint8).reshape(600, 512, 3), pixel_format="RGB")
    low, high = face.interval
    assert output.startswith(f"{face.age:.2f} years ({low:.2f} to {high:.2f})")
    # Failures are messages on stderr and a status, not crashes.
    for arguments in (
        (face_model, face_model, ppm),
        (int8_model, "nothing.onnx", ppm),
        (int8_model, face_model, int8_model),
    ):
        failed = run(program, *arguments, **environment)
        assert failed.returncode == 1
        assert failed.stderr.strip()
    assert "pip install onnxruntime" in run(program, int8_model, face_model, ppm, AGEPRED_ONNXRUNTIME="/no.so",
                                            LD_LIBRARY_PATH=str(library_folder(prefix))).stderr  # fmt: skip


def test_cmake_package(
    prefix: Path, ppm: Path, int8_model: Path, face_model: Path, unrefined: AgeEstimator, tmp_path: Path
) -> None:
    project = shutil.copytree(EXAMPLES, tmp_path / "project")
    checked("cmake", "-S", project, "-B", tmp_path / "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}")
    checked("cmake", "--build", tmp_path / "build")
    assert_right_age(tmp_path / "build" / "ages", prefix, ppm, int8_model, face_model, unrefined)
    wrong = project / "CMakeLists.txt"
    wrong.write_text(wrong.read_text().replace("agepred 0.1", "agepred 99.0"))
    refused = run("cmake", "-S", project, "-B", tmp_path / "other", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}")
    assert refused.returncode != 0
    assert "99.0" in refused.stderr


def test_project_in_c_alone(
    prefix: Path, ppm: Path, int8_model: Path, face_model: Path, unrefined: AgeEstimator, tmp_path: Path
) -> None:
    """Its linker does not know C++: the package must name what the static library needs."""
    project = shutil.copytree(EXAMPLES, tmp_path / "project")
    (project / "CMakeLists.txt").write_text("""
cmake_minimum_required(VERSION 3.25)
project(c_alone LANGUAGES C)
find_package(agepred CONFIG REQUIRED)
add_executable(ages ages.c)
target_link_libraries(ages PRIVATE agepred::agepred)
""")
    checked("cmake", "-S", project, "-B", tmp_path / "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}")
    checked("cmake", "--build", tmp_path / "build")
    assert_right_age(tmp_path / "build" / "ages", prefix, ppm, int8_model, face_model, unrefined)


def test_part_of_another_project(tmp_path: Path) -> None:
    """Neither its tests nor its choice of shared libraries reach the project around it."""
    (tmp_path / "own.c").write_text("int own(void) { return 1; }")
    (tmp_path / "CMakeLists.txt").write_text(f"""
cmake_minimum_required(VERSION 3.25)
project(around LANGUAGES C CXX)
add_subdirectory({ROOT} agepred)
add_library(own own.c)
add_executable(ages {EXAMPLES}/ages.cpp)
target_link_libraries(ages PRIVATE agepred::agepred)
""")
    checked("cmake", "-S", tmp_path, "-B", tmp_path / "build", "-G", "Ninja")
    checked("cmake", "--build", tmp_path / "build")
    assert (tmp_path / "build" / "libown.a").is_file()
    assert not list((tmp_path / "build").rglob("test_*"))
    assert "usage" in run(tmp_path / "build" / "ages").stderr


def test_pkg_config(
    prefix: Path, ppm: Path, int8_model: Path, face_model: Path, unrefined: AgeEstimator, tmp_path: Path
) -> None:
    folder = library_folder(prefix)
    static = ["--static"] if (folder / "libagepred.a").exists() else []
    flags = checked("pkg-config", *static, "--cflags", "--libs", "agepred", PKG_CONFIG_PATH=str(folder / "pkgconfig"))
    program = tmp_path / "ages"
    warnings = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    checked("cc", *warnings, EXAMPLES / "ages.c", *flags.split(), "-o", program)
    assert_right_age(program, prefix, ppm, int8_model, face_model, unrefined)


def test_exported_symbols(prefix: Path) -> None:
    """agepred_* and nothing else leaves the shared library; it is not linked with ONNX Runtime."""
    libraries = list(library_folder(prefix).glob("libagepred.so"))
    if not libraries:
        return  # the static library hides nothing: the application's linker does
    lines = checked("nm", "--dynamic", "--defined-only", libraries[0]).splitlines()
    names = [line.split()[-1] for line in lines]
    assert len(names) >= 12
    assert all(name.startswith("agepred_") for name in names), names
    assert "onnxruntime" not in checked("readelf", "-d", libraries[0])
    assert "libagepred.so.0" in checked("readelf", "-d", libraries[0])
