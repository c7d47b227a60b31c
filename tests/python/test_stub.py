"""The committed stub of the extension is the generated one."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_stub_is_up_to_date(tmp_path: Path) -> None:
    """Mend with: make stub."""
    generate = [sys.executable, "-m", "pybind11_stubgen", "agepred_edge._core", "-o", str(tmp_path)]
    subprocess.run(generate, check=True, capture_output=True)
    stub = tmp_path / "agepred_edge" / "_core.pyi"
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", str(stub)], check=True, cwd=ROOT)
    assert stub.read_text() == (ROOT / "bindings" / "agepred_edge" / "_core.pyi").read_text()
