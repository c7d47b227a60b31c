"""Labeled pictures: the packed UTKFace (tar and CSV) and the plain UTKFace folder."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from agepred_train.archive import DataError, StoredPicture, index_archive
from agepred_train.storage import sha256_of_file
from agepred_train.table import read_table

Split = Literal["train", "val", "test", "drop"]
SPLITS: tuple[Split, ...] = get_args(Split)

GENDERS = ("male", "female")
"""In the order of UTKFace's codes."""
RACES = ("White", "Black", "Asian", "Indian", "other")
"""In the order of UTKFace's codes."""

GROUPS = ((0, 25), (26, 50), (51, 75), (76, 116))
"""First and last age of each of the four groups by which answers are judged."""

# The network's classes: UTKFace's oldest label is 116.
AGES = range(117)

_COLUMNS = ("file", "age", "gender", "race", "coral", "split")
_FOLDER_NAME = re.compile(r"(?P<age>\d+)_(?P<gender>[01])_(?P<race>[0-4])_\d+\.jpg(\.chip\.jpg)?")
_FOLDER_FORM = "age_gender_race_timestamp.jpg[.chip.jpg]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(StoredPicture):
    """One labeled picture and the place where its bytes lie."""

    age_min: int
    """Lowest apparent age that the label allows, in years, 0 to 116."""
    age_max: int
    """Highest; `age_min` where the label is one age."""
    split: Split
    """`train`, `val`, `test`, or `drop` for what belongs nowhere."""
    gender: str = ""
    """In the set's own words; empty where it is not known."""
    race: str = ""
    """In the set's own words; empty where it is not known."""
    coral: str = ""
    """Membership in the published CORAL split: `train`, `test` or empty."""
    group: str = ""
    """Name that near-duplicates share; empty where none are known."""
    weight: float = 1.0
    """How much the label counts in training, 0 to 1."""

    def __post_init__(self) -> None:
        """Check the labels."""
        for age in (self.age_min, self.age_max):
            if age not in AGES:
                raise DataError(f"age {age} is not within {AGES.start} to {AGES.stop - 1}")
        if self.age_min > self.age_max:
            raise DataError(f"the ages {self.age_min} to {self.age_max} are no range")
        if not 0 <= self.weight <= 1:
            raise DataError(f"weight {self.weight} is not within 0 to 1")
        if self.split not in SPLITS:
            raise DataError(f"split {self.split!r} is none of {', '.join(SPLITS)}")

    @property
    def age(self) -> int:
        """The labeled age in years; ValueError where the label is a range."""
        if self.age_min != self.age_max:
            raise ValueError(f"{self.name}: labeled with a range, {self.age_min} to {self.age_max} years")
        return self.age_min


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """The pictures of one data set, in a fixed order, with what identifies them."""

    samples: tuple[Sample, ...]
    """All usable pictures."""
    skipped: tuple[str, ...] = ()
    """Files left out, each as `name: reason`."""
    hashes: dict[str, str]
    """sha256 of what was read, by file name; it goes into the training record."""

    def part(self, split: Split) -> list[Sample]:
        """Return the samples of one split, in order."""
        return [sample for sample in self.samples if sample.split == split]


def read_utkface(archive: Path, table: Path) -> Collection:
    """Read the packed UTKFace: an uncompressed tar of chips and a CSV of labels and splits.

    Raises:
        FileNotFoundError: one of the files is not there.
        DataError: the table lacks columns or rows, a row is malformed or names a picture twice, or the archive
            does not hold a picture.
    """
    rows = read_table(table, _COLUMNS, lambda row: row["file"])
    places = index_archive(archive)
    missing = [row["file"] for row in rows.values() if row["file"] not in places]
    if missing:
        raise DataError(
            f"{archive}: {len(missing)} of the pictures listed in {table} are missing, first {missing[0]}; "
            "use the archive and the table of the same release"
        )
    samples = tuple(_sample_of_row(row, f"{table}, line {line}", places[row["file"]]) for line, row in rows.items())
    return Collection(samples=samples, hashes={path.name: sha256_of_file(path) for path in (archive, table)})


def read_utkface_folder(folder: Path) -> Collection:
    """Read a plain folder of UTKFace pictures; labels come from names like `age_gender_race_time.jpg`.

    Pictures may lie in folders of it, as in Kaggle's copies (`UTKFace/`, `crop_part1/`), which hold many of them
    twice: the first of a name counts. Other files are skipped and listed. The folder has no splits, so each name
    is hashed into train, val or test (80 / 8 / 12 %): the same on every machine, but copies of one picture under
    two names may part ways, which the packed set's table and `agepred data` prevent.

    Raises:
        NotADirectoryError: the folder is not there.
        DataError: no file has a usable name.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder}: no such folder; give the one that holds UTKFace's .jpg files")
    samples: dict[str, Sample] = {}
    skipped: list[str] = []
    for path in sorted(entry for entry in folder.rglob("*") if entry.is_file()):
        found = _sample_of_name(path)
        if path.name in samples:
            found = "lies in another folder already, under the same name"
        if isinstance(found, Sample):
            samples[path.name] = found
        else:
            skipped.append(f"{path.relative_to(folder)}: {found}")
    if not samples:
        raise DataError(f"{folder}: none of {len(skipped)} files is named {_FOLDER_FORM}; is it UTKFace?")
    hashes = {"names and sizes": names_and_sizes(samples.values())}
    return Collection(samples=tuple(samples.values()), skipped=tuple(skipped), hashes=hashes)


def names_and_sizes(samples: Iterable[Sample]) -> str:
    """Return a sha256 in hex that stands for pictures in files of their own: to read them all would take minutes."""
    listing = "\n".join(f"{sample.name} {sample.size}" for sample in samples)
    return hashlib.sha256(listing.encode()).hexdigest()


def median_age(samples: Iterable[Sample]) -> int:
    """Return the lower median of the ages in years: the answer where a picture shows no face."""
    ages = sorted(sample.age for sample in samples)
    if not ages:
        raise DataError("no samples: the median age of nothing is not defined")
    return ages[(len(ages) - 1) // 2]


def _sample_of_row(row: dict[str, str], place: str, stored: StoredPicture) -> Sample:
    try:
        return Sample(
            name=row["file"],
            age_min=int(row["age"]),
            age_max=int(row["age"]),
            split=cast("Split", row["split"]),
            gender=_word(row["gender"], "gender", GENDERS),
            race=_word(row["race"], "race", RACES),
            coral=row["coral"],
            group=row.get("group", ""),
            path=stored.path,
            offset=stored.offset,
            size=stored.size,
        )
    except ValueError as error:
        raise DataError(f"{place}: row of {row['file']}: {error}; mend that line") from error


def _word(code: str, name: str, words: Sequence[str]) -> str:
    """Return the word that UTKFace's code stands for; empty for -1, which stands for nothing."""
    number = int(code)
    if number not in range(-1, len(words)):
        raise DataError(f"{name} {number} is not within -1 to {len(words) - 1}")
    return words[number] if number >= 0 else ""


def _sample_of_name(path: Path) -> Sample | str:
    """Return the sample that a file name describes, or why it describes none."""
    match = _FOLDER_NAME.fullmatch(path.name)
    if match is None:
        return f"not named {_FOLDER_FORM}"
    age = int(match["age"])
    if age not in AGES:
        return f"age {age} is not within {AGES.start} to {AGES.stop - 1}"
    return Sample(
        name=path.name,
        age_min=age,
        age_max=age,
        split=split_of_name(path.name),
        gender=GENDERS[int(match["gender"])],
        race=RACES[int(match["race"])],
        path=path,
        size=path.stat().st_size,
    )


def split_of_name(name: str) -> Split:
    """Return the split of a picture whose set has none: 80 / 8 / 12 %, by the hash of its name."""
    percent = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % 100
    if percent < 80:
        return "train"
    return "val" if percent < 88 else "test"
