"""What the tables of data sets say of age, gender and race, in one form."""

import re
from collections.abc import Mapping, Sequence

from agepred_train.archive import DataError
from agepred_train.data import GENDERS, OLDEST, RACES

Ranges = Mapping[str, tuple[int, int]]
"""Lowest and highest age in years that a class of ages stands for, by its name in capitals."""

_AGE = re.compile(r"(\d+)(?:\.0+)?")
_RANGE = re.compile(r"\(?\s*(\d+)(?:\.0+)?\s*(?:-|to|,)\s*(\d+)(?:\.0+)?\s*\)?")
_OPEN = re.compile(r"(?:more than|over)\s+(\d+)|(\d+)\s*\+", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d+")
_GENDERS = {"0": GENDERS[0], "1": GENDERS[1], "m": GENDERS[0], "f": GENDERS[1], "-1": ""}
_RACES = {str(code): name for code, name in enumerate(RACES)} | {"-1": ""}


def ages_of(text: str, ranges: Ranges) -> tuple[int, int]:
    """Return the lowest and the highest age of a label such as `23`, `3-9`, `70+`, `more than 70` or a class's name.

    `more than 70` is FairFace's word for the range that begins with 70.

    Raises:
        DataError: it is none of these, or the class is not among `ranges`.
    """
    text = text.strip()
    if exact := _AGE.fullmatch(text):
        return int(exact[1]), int(exact[1])
    if both := _RANGE.fullmatch(text):
        return int(both[1]), int(both[2])
    if above := _OPEN.fullmatch(text):
        return int(above[1] or above[2]), OLDEST
    if text.upper() in ranges:
        return ranges[text.upper()]
    known = f"of the classes only {', '.join(ranges)} are known" if ranges else "what a class stands for must be told"
    raise DataError(f"age {text!r} is neither a number of years nor a range ({known})")


def bounds_of(low: str, high: str) -> tuple[int, int]:
    """Return the ages of a label in two columns; an empty upper end is open.

    Raises:
        DataError: one of the two is no number of years.
    """
    ends = []
    for text in (low, high or str(OLDEST)):
        found = _AGE.fullmatch(text.strip())
        if found is None:
            raise DataError(f"age {text!r} is no number of years")
        ends.append(int(found[1]))
    return ends[0], ends[1]


def gender_of(text: str) -> str:
    """Return `male`, `female`, or a set's own word; empty where nothing is said. Codes are UTKFace's and FairFace's.

    Raises:
        DataError: it is a number that is no code.
    """
    word = text.strip().lower()
    return _word_of(word, _GENDERS, "gender", GENDERS)


def race_of(text: str) -> str:
    """Return the set's own word, or the one that UTKFace's code stands for; empty where nothing is said.

    Raises:
        DataError: it is a number that is no code.
    """
    return _word_of(text.strip(), _RACES, "race", RACES)


def _word_of(word: str, words: Mapping[str, str], column: str, coded: Sequence[str]) -> str:
    if word not in words and _NUMBER.fullmatch(word):
        raise DataError(f"{column} {word} is no code from -1 to {len(coded) - 1} ({', '.join(coded)})")
    return words.get(word, word)


def parse_ranges(options: list[str]) -> dict[str, tuple[int, int]]:
    """Return what options like `YOUNG=0-29` say, several in one joined by commas.

    Raises:
        DataError: one is not of that form, or its ages are none or in the wrong order.
    """
    ranges: dict[str, tuple[int, int]] = {}
    for option in (part for whole in options for part in whole.split(",")):
        name, equals, text = option.partition("=")
        try:
            low, high = ages_of(text, {})
        except DataError as error:
            raise DataError(f"--ranges {option}: {error}; write it like YOUNG=0-29") from error
        if not name.strip() or not equals or not 0 <= low <= high <= OLDEST:
            raise DataError(f"--ranges {option}: write it like YOUNG=0-29, ages from 0 to {OLDEST}")
        ranges[name.strip().upper()] = (low, high)
    return ranges
