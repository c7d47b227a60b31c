"""Where ONNX Runtime's shared library is."""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from agepred_edge import _core
from agepred_edge.errors import translated

RUNTIME_VARIABLE = "AGEPRED_ONNXRUNTIME"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeInfo:
    """The ONNX Runtime that agepred uses, and the processor."""

    onnxruntime_version: str
    onnxruntime_path: str
    cpu_features: str
    """Those that decide int8 speed, separated by blanks."""


def find_runtime() -> str:
    """The shared library inside the installed onnxruntime wheel, found without importing it.

    Empty where there is none, or where $AGEPRED_ONNXRUNTIME names another: the core then looks for itself.
    """
    if os.environ.get(RUNTIME_VARIABLE):
        return ""
    spec = importlib.util.find_spec("onnxruntime")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for library in sorted(Path(folder, "capi").glob("libonnxruntime.so*")):
            return str(library)
    return ""


def runtime_info() -> RuntimeInfo:
    """Finds ONNX Runtime and describes it; raises RuntimeMissingError."""
    with translated():
        return RuntimeInfo(**_core.describe_runtime(find_runtime()))
