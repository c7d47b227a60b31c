"""The house's arrows: what may use what, read from the sources themselves."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Each package may import those below it; agepred_edge nothing but NumPy and the standard library at its top level.
PACKAGES = {
    "agepred_edge": (ROOT / "bindings" / "agepred_edge", set[str]()),
    "agepred_train": (ROOT / "python" / "agepred_train", {"agepred_edge"}),
    "agepred_cli": (ROOT / "python" / "agepred_cli", {"agepred_edge", "agepred_train"}),
}
DEVICE_PACKAGES = {"numpy"}

# design: "one concept a file pair; each may use only those before it".
CORE_ORDER = [
    "status", "cpu", "image", "kernels/crop", "kernels/shrink", "onnx/api", "onnx/runtime", "onnx/wire",
    "onnx/model_file", "onnx/linear_layer", "onnx/model", "align", "distribution", "explanation", "contract",
    "signature", "faces", "face_model", "points_model", "detector", "age_model", "estimator", "workspaces", "c_api",
]  # fmt: skip


def imports(path: Path, *, top_level: bool) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level else list(ast.walk(tree))
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_point_one_way(package: str) -> None:
    folder, below = PACKAGES[package]
    files = list(folder.rglob("*.py"))
    assert files
    for path in files:
        ours = imports(path, top_level=False) & PACKAGES.keys()
        assert ours <= below | {package}, path


def test_device_package_needs_numpy_only() -> None:
    import sys

    folder, _ = PACKAGES["agepred_edge"]
    for path in folder.glob("*.py"):
        if path.name == "torch_peer.py":
            continue  # imported by the benchmark only where torch is installed
        foreign = imports(path, top_level=True) - set(sys.stdlib_module_names) - {"agepred_edge"}
        assert foreign <= DEVICE_PACKAGES, path


def test_training_is_imported_inside_the_commands_only() -> None:
    """`agepred predict` must start on a device, where neither torch nor agepred_train's needs are installed."""
    folder, _ = PACKAGES["agepred_cli"]
    for path in folder.glob("*.py"):
        assert "agepred_train" not in imports(path, top_level=True), path
        assert "torch" not in imports(path, top_level=False), path


def test_core_includes_point_one_way() -> None:
    sources = ROOT / "cpp" / "src"
    seen = 0
    for path in [*sources.rglob("*.hpp"), *sources.rglob("*.cpp")]:
        stem = str(path.relative_to(sources).with_suffix("")).removesuffix("_scalar").removesuffix("_simd")
        assert stem in CORE_ORDER, f"{stem} has no place in the order"
        for included in re.findall(r'#include "([^"]+)\.hpp"', path.read_text()):
            if included.startswith("agepred/"):
                assert included != "agepred/agepred", f"{path}: the core does not use its own C++ face"
                continue
            assert CORE_ORDER.index(included) <= CORE_ORDER.index(stem), f"{path} includes {included}"
            seen += 1
    assert seen > 20


def test_only_onnx_knows_onnx_runtime() -> None:
    for path in (ROOT / "cpp" / "src").rglob("*.[ch]pp"):
        if path.parent.name != "onnx":
            assert "dlopen" not in path.read_text(), path
            assert "onnx/api.hpp" not in path.read_text(), path


def test_no_file_grows_beyond_400_lines() -> None:
    for pattern in ("cpp/**/*.[ch]*", "bindings/**/*.[cp][py]*", "python/**/*.py", "tests/**/*.py", "tests/**/*.cpp"):
        for path in ROOT.glob(pattern):
            if path.is_file() and path.suffix in (".c", ".h", ".cpp", ".hpp", ".py"):
                assert len(path.read_text().splitlines()) <= 400, path


def test_library_neither_prints_nor_exits() -> None:
    forbidden = re.compile(r"\b(printf|puts|std::c(out|err|log)|abort|exit|_Exit|terminate)\s*[(<]")
    for path in (ROOT / "cpp" / "src").rglob("*.[ch]pp"):
        assert not forbidden.search(path.read_text()), path
