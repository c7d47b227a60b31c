"""Ask DeepFace for the age in every picture of a labeled set.

    python baselines/deepface_ages.py ../shared/data/utkface.tar build/deepface.csv --split val --weights FILE

It runs in an environment of its own (baselines/README.md). DeepFace loads its weights from the web at the first call;
here they are a file that is there, or the baseline is skipped with the reason (exit status 3). The picture is asked
with the call that its users make, with its default detector; the largest face answers.
"""

import hashlib
import os
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

from pictures import answer_all, arguments

WEIGHTS = "age_model_weights.h5"
SKIPPED = 3


def main() -> None:
    """Run the command."""
    parser = arguments(__doc__.split("\n\n")[0])
    home = Path(os.environ.get("DEEPFACE_HOME", Path.home())) / ".deepface" / "weights" / WEIGHTS
    parser.add_argument("--weights", type=Path, default=home, help=f"DeepFace's {WEIGHTS} [default: {home}]")
    options = parser.parse_args()
    if not options.weights.is_file():
        _skip(
            f"{options.weights} is not there. DeepFace's age weights ({WEIGHTS}, 540 MB, from the releases of "
            "serengil/deepface_models) come neither with its package nor from PyPI; name the file with --weights"
        )
    if options.weights != home:
        home.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(options.weights, home)
    try:
        import numpy as np  # noqa: PLC0415
        from deepface import DeepFace  # noqa: PLC0415
    except ImportError as error:
        _skip(f"DeepFace is not installed in this environment ({error}); see baselines/README.md")
    with options.weights.open("rb") as file:
        weights = f"{WEIGHTS}: sha256 {hashlib.file_digest(file, 'sha256').hexdigest()}"
    print(weights)

    def answer(picture):
        try:
            # DeepFace takes arrays in OpenCV's order of the channels.
            faces = DeepFace.analyze(np.asarray(picture)[..., ::-1], actions=["age"], silent=True)
        except ValueError:  # how it says that there is no face
            return None
        return float(max(faces, key=lambda face: face["region"]["w"] * face["region"]["h"])["age"])

    answer_all(options, answer, software=f"deepface {version('deepface')}, {weights}")


def _skip(reason: str) -> None:
    print(f"skipped: {reason}", file=sys.stderr)
    raise SystemExit(SKIPPED)


if __name__ == "__main__":
    main()
