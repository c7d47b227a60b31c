"""torchvision beside a torch that its binary does not fit: the one place that works around it.

No build of torchvision is published for some CPU builds of torch. Installed without its dependencies it is complete but
for its binary, and its import fails at operators that nobody declared; Lightning's metrics import it where it is found.
Networks use none of these operators: declared without an implementation they are enough.
"""

from importlib.util import find_spec
from pathlib import Path

import torch

# Those whose shapes torchvision registers when it is imported.
_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[torch.library.Library] = []  # operators live as long as their library


def declare_missing() -> None:
    """Declare torchvision's operators where it is installed and its binary cannot be loaded; else do nothing."""
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None or _declared or hasattr(torch.ops.torchvision, "nms"):
        return
    for binary in Path(spec.origin).parent.glob("_C*.*"):
        try:
            torch.ops.load_library(binary)  # type: ignore[no-untyped-call]
        except (OSError, RuntimeError):
            continue
        return
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for operator in _OPERATORS:
        library.define(operator)  # type: ignore[no-untyped-call]
    _declared.append(library)
