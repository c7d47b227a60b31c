"""Data sets that models are trained and measured on, known by hash: the one place that says what they are.

A name proves nothing: two archives may be called utkface.tar. What is not known by its hash is called unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSet:
    """What a card says of a data set."""

    title: str
    """Its name, and which part of it."""
    terms: str
    """Under which it was published."""
    labels: str
    """Where its ages come from, and what they do not support."""


UNKNOWN = KnownSet(title="", terms="unknown", labels="of unknown origin")
"""Of sets that are not in KNOWN; the title is then their file's name."""

_FAIRFACE_LABELS = "ranges of years judged by a crowd; they support no exact error"

KNOWN = {
    # utkface.tar
    "07e6f822efc6a36a18b5389762e961549c83a548f1a9087c2f07640b18929fdf": KnownSet(
        title="UTKFace",
        terms="non-commercial research only; its authors do not own the pictures",
        labels="whole years, estimated by a network and checked by people: apparent ages, with errors of their own",
    ),
    # fairface.tar
    "f75e79d0bb48e8c576f88aa8c666cfc3a48b9b28aba4cd99559ecc4c36698c2d": KnownSet(
        title="FairFace", terms="CC BY 4.0", labels=_FAIRFACE_LABELS
    ),
    # fairface_more.tar
    "e74f6a48c6952a21d4c09fe8fa6f910d9e6fa6382670b19c2a656a29f4daf594": KnownSet(
        title="FairFace, further men", terms="CC BY 4.0", labels=_FAIRFACE_LABELS
    ),
    # fairface_test.tar
    "3de3c531e3569cbe00ea8fdeece77d8b4af4516ad2259a764080c77514017dc2": KnownSet(
        title="FairFace, photographs with context", terms="CC BY 4.0", labels=_FAIRFACE_LABELS
    ),
    # portraits.tar
    "a98e67d47442618a98570704768186815d4bb62c2fb89e42295f48194fb231a7": KnownSet(
        title="studio portraits (3d.sk)",
        terms="CC BY (their readme also says educational use)",
        labels="exact, but of 18 to 33 years only, and few",
    ),
}


def sets_of(hashes: Mapping[str, str]) -> dict[str, KnownSet]:
    """Return the sets that a training or an evaluation read, by the name of their archive or folder.

    Args:
        hashes: sha256 in hex of what was read, by file name, as a training record and an evaluation state them; tables
            of labels (.csv) are no sets.
    """
    return {name: KNOWN.get(digest, UNKNOWN) for name, digest in pictures_of(hashes).items()}


def pictures_of(hashes: Mapping[str, str]) -> dict[str, str]:
    """Return the hashes of the archives and folders among those of everything that was read."""
    return {_name(file): digest for file, digest in hashes.items() if not _is_table(file)}


def digests_of(hashes: Mapping[str, str]) -> set[str]:
    """Return the hashes of the archives and folders alone; archives of one name are told apart."""
    return {digest for file, digest in hashes.items() if not _is_table(file)}


def title_of(data: Mapping[str, Any]) -> str:
    """Return what an evaluation was measured on, in words, from its `data`: the set, and its split if it has some."""
    known = [one.title for one in sets_of(data["sha256"]).values()]
    # A table of several sets has a name of its own.
    title = known[0] if len(known) == 1 and known[0] else data["name"]
    return f"{title}, split {data['split']}" if data["split"] else title


def _is_table(file: str) -> bool:
    """Return whether a hash is of labels, or of splits that were dealt, not of pictures."""
    return file.endswith((".csv", "dealt splits"))


def _name(file: str) -> str:
    """Return `utkface` for `utkface.tar`, and for `utkface/utkface.tar` as runs on several sources record it."""
    path = PurePosixPath(file)
    return path.stem if path.suffix == ".tar" else str(path)
