"""The pipeline of dvc.yaml from end to end, on few pictures: one command makes a release, and versions compare."""

import csv
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

pytest.importorskip("typer")
pytest.importorskip("lightning")
yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).resolve().parents[2]
PARTS = {
    "utkface": {"train": 60, "val": 170, "test": 24},  # 150 answers are the fewest to calibrate on
    "fairface": {"train": 12, "val": 4},
    "fairface_test": {"": 8},
    "portraits": {"": 4},
}
"""Pictures of each set by split."""


def copy_part(source: Path, folder: Path, name: str) -> None:
    """Write a small archive and its labels: so many pictures of each split, spread over the set."""
    with (source / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    chosen = []
    for split, count in PARTS[name].items():
        of_split = [row for row in rows if not split or row["split"] == split]
        chosen += [of_split[number * len(of_split) // count] for number in range(count)]
    with (folder / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(chosen[0]))
        writer.writeheader()
        writer.writerows(chosen)
    with tarfile.open(source / f"{name}.tar") as archive, tarfile.open(folder / f"{name}.tar", "w") as small:
        members = {member.name.removeprefix("./"): member for member in archive}
        for row in chosen:
            member = members[row["file"]]
            content = archive.extractfile(member)
            assert content is not None
            small.addfile(member, io.BytesIO(content.read()))


@pytest.fixture(scope="module")
def workplace(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the pipeline's files, parameters that make it small, and few pictures."""
    for command in ("dvc", "git"):
        if not shutil.which(command):
            pytest.skip(f"{command} is not installed (dvc: pip install 'agepred-edge[pipeline]')")
    folder = tmp_path_factory.mktemp("pipeline")
    for name in ("dvc.yaml", ".dvcignore", ".gitignore", ".dvc/config", ".dvc/.gitignore"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    (folder / "data").mkdir()
    for name in PARTS:
        copy_part(shared / "data", folder / "data", name)
    parameters = yaml.safe_load((ROOT / "params.yaml").read_text())
    parameters |= {
        "name": "small",
        "version": "9.8.7",
        "data": "data",
        "weights": str(shared / "weights" / "mobilenet_v2_imagenet.pth"),
        "detector": str(ROOT / parameters["detector"]),
        "recipes": str(ROOT / parameters["recipes"]),
        "teachers": {
            key: {
                "recipe": "smoke",
                "weights": str(shared / "weights" / "mobilenet_v2_imagenet.pth"),
                "options": {"set": ["width=1.0", "epochs=1", f"seed={seed}"]},
            }
            for seed, key in enumerate(("large", "small"), 2)
        },
        "train": {"recipe": "smoke", "options": {"set": ["width=1.0", "epochs=1"]}},
        "enlarge": {"recipe": "smoke", "options": {"set": ["width=1.0", "epochs=1", "crop_side=80"]}},
        "quantize": {"options": {"crops": 16}},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(parameters))
    (folder / "bin").mkdir()
    command_file = folder / "bin" / "agepred"
    # DVC may be of an environment of its own, which knows nothing of ours: it gets no PYTHONPATH, its stages do.
    path = shlex.quote(os.environ.get("PYTHONPATH", ""))
    command_file.write_text(f'#!/bin/sh\nPYTHONPATH={path} exec "{sys.executable}" -m agepred_cli "$@"\n')
    command_file.chmod(0o755)
    run(folder, "git", "init", "--quiet")
    return folder


def run(folder: Path, *command: str) -> str:
    """Return what a command says on its standard output; it must succeed."""
    environment = os.environ | {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
    return result.stdout


def commit(folder: Path) -> None:
    run(folder, "git", "add", "--all")
    run(folder, "git", "-c", "user.name=test", "-c", "user.email=test", "commit", "--quiet", "--message", "a version")


def test_one_command_makes_a_release_and_versions_can_be_compared(workplace: Path) -> None:
    run(workplace, "dvc", "repro", "release")
    released = workplace / "models" / "small-9.8.7"
    assert {path.name for path in released.iterdir()} == {"int8.onnx", "fp32.onnx", "card.md", "metrics.json"}
    metrics = json.loads((released / "metrics.json").read_text())
    assert list(metrics["evaluations"]) == ["utkface-test", "fairface_test", "portraits"]
    assert metrics["evaluations"]["utkface-test"]["unseen"] == "by name"
    assert metrics["pictures"]["utkface"]["test"] == PARTS["utkface"]["test"]
    assert all(row["calibrated"] for row in metrics["files"].values())
    assert "## Degraded pictures" in (released / "card.md").read_text()
    assert "Not measured" not in (released / "card.md").read_text()
    assert (released / "card.md").read_text().count("- Run with sha256") == 3  # the teachers, and what it began from
    commit(workplace)
    in_git = run(workplace, "git", "ls-files").split()
    assert {"dvc.lock", "models/small.json", "models/small-9.8.7/int8.onnx"} <= set(in_git)
    assert not [name for name in in_git if name.startswith("build/")]

    # Nothing has changed: nothing is done.
    assert "Data and pipelines are up to date" in run(workplace, "dvc", "repro", "release")

    # What does not depend on a changed parameter stays; the figures of both versions stand side by side.
    parameters = yaml.safe_load((workplace / "params.yaml").read_text())
    parameters["quantize"]["options"]["crops"] = 32
    (workplace / "params.yaml").write_text(yaml.safe_dump(parameters))
    said = run(workplace, "dvc", "repro", "release")
    for stage in ("prepare", "teach@large", "train", "enlarge", "export", "calibrate@fp32"):
        assert f"Stage '{stage}' didn't change, skipping" in said
    difference = json.loads(run(workplace, "dvc", "metrics", "diff", "--json"))["models/small.json"]
    assert difference["utkface-test.int8.mae"]["diff"] != 0
    assert "utkface-test.fp32.mae" not in difference
