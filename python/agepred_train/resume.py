"""What a training run starts from, kept in its folder so that a resumed run cannot become another one unseen."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agepred_train.data import Collection
from agepred_train.fit import BEST_CHECKPOINT, LAST_CHECKPOINT
from agepred_train.model import read_checkpoint
from agepred_train.overrides import to_dict
from agepred_train.prepare import Faces
from agepred_train.recipes import Recipe
from agepred_train.storage import sha256_of_file, write_json

START = "start.json"

_WEIGHTS = "start_weights_sha256"
FROM_RUN = "starts_from_run"
"""Set where these weights are a finished run's; absent where they are not."""

# What recipes have learned since, and the value that means what was done before: runs of then can go on.
_ADDED = {"recipe.mix_share": 0.0, "recipe.backdrop_share": 0.0}


class ResumeError(ValueError):
    """A run that cannot go on as asked; the message names what differs."""


def describe_start(
    recipe: Recipe, collection: Collection, faces: Faces, weights: Path | None, teachers_sha256: Sequence[str] = ()
) -> dict[str, Any]:
    """Return everything that decides a run, ready for JSON.

    Raises:
        FileNotFoundError: the weights are not there.
    """
    return {
        "format": 1,
        "recipe": to_dict(recipe),
        "data": dict(collection.hashes),
        "detector": {
            "name": faces.detector,
            "sha256": faces.detector_sha256,
            "points_sha256": faces.points_sha256,
        },
        "teachers_sha256": list(teachers_sha256),
        **_describe_weights(weights),
    }


def _describe_weights(weights: Path | None) -> dict[str, Any]:
    if weights is None:
        return {_WEIGHTS: None}
    if weights.is_dir():
        return {_WEIGHTS: sha256_of_file(weights / BEST_CHECKPOINT), FROM_RUN: True}
    return {_WEIGHTS: sha256_of_file(weights)}


def learned_from(record: Mapping[str, Any]) -> list[str]:
    """Return the hashes of the checkpoints of other runs that a training record names: teachers, and where it began."""
    begun = [record[_WEIGHTS]] if record.get(FROM_RUN) else []
    return [*record.get("teachers_sha256", ()), *begun]


def begin(out: Path, start: Mapping[str, Any], *, resume: bool) -> Path | None:
    """Make the folder of a run that starts from `start`, or check that the one there may go on as it.

    Returns:
        The checkpoint to go on from, or None where there is none yet.

    Raises:
        FileExistsError: `out` holds a run and `resume` is not set.
        ResumeError: the run in `out` started from something else.
        DataError: its last checkpoint cannot be read.
    """
    refuse_finished(out, resume=resume)
    last = out / LAST_CHECKPOINT
    if resume and _begun(out):
        refuse_difference(out, read_start(out), start)
    if last.exists():
        # Lightning reads it only later, and answers damage with a traceback.
        read_checkpoint(last)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / START, start)
    return last if last.exists() else None


def holds_other(out: Path, start: Mapping[str, Any]) -> bool:
    """Return whether a folder holds a run that did not start from `start`.

    Only what says what it started from is a run: whatever else a wrong name may mean is not.

    Raises:
        ResumeError: what the run started from cannot be read.
    """
    if not (out / START).exists():
        return False
    begun = read_start(out)
    try:
        refuse_difference(out, begun, start)
    except ResumeError:
        return True
    return False


def discard(out: Path) -> None:
    """Remove a run; a stop on the way leaves no half of it under its name."""
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    out.rename(old)
    shutil.rmtree(old)


def refuse_own(out: Path, others: Iterable[Path]) -> None:
    """Raise ResumeError if `out` is one of the runs that it learns or begins from: replacing it would remove both."""
    if out.resolve() in {other.resolve() for other in others}:
        raise ResumeError(f"{out}: is a run that this one learns or begins from; choose another folder")


def refuse_finished(out: Path, *, resume: bool) -> None:
    """Raise FileExistsError if `out` holds a run that shall not be resumed: before any long work."""
    if (out / LAST_CHECKPOINT).exists() and not resume:
        raise FileExistsError(f"{out}: holds a run; choose another folder, or resume it")


def _begun(run: Path) -> bool:
    return (run / LAST_CHECKPOINT).exists() or (run / START).exists()


def with_weights_of_run(run: Path, wanted: dict[str, Any], *, resume: bool) -> dict[str, Any]:
    """Return `wanted`, from `describe_start`; where it goes on with a run and names no weights, with those of the run.

    Raises:
        ResumeError: what the run started from is not known, or its weights are needed again.
    """
    if not (resume and _begun(run)) or wanted[_WEIGHTS] is not None:
        return wanted
    start = read_start(run)
    if _WEIGHTS not in start:
        raise ResumeError(f"{run / START}: does not say which weights the run started from; train into another folder")
    if start[_WEIGHTS] is not None and not (run / LAST_CHECKPOINT).exists():
        raise ResumeError(
            f"{run}: the run was stopped before its first epoch ended, so it begins anew; name the weights again"
        )
    return wanted | {key: start[key] for key in (_WEIGHTS, FROM_RUN) if key in start}


def read_start(run: Path) -> dict[str, Any]:
    """Return what a run started from.

    Raises:
        ResumeError: that is not known.
    """
    path = run / START
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ResumeError(
            f"{run}: what this run started from is not known, {START} is missing; train into another folder"
        ) from error
    except (ValueError, TypeError) as error:
        raise ResumeError(
            f"{path}: not what a run writes when it starts ({error}); train into another folder"
        ) from error


def refuse_difference(run: Path, start: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise ResumeError, which names the first difference, unless a run's start is what is wanted now."""
    now = dict(_leaves(wanted))
    before = {key: value for key, value in _ADDED.items() if key in now} | dict(_leaves(start))
    for key in now | before:
        if before.get(key) != now.get(key):
            raise ResumeError(
                f"{run / START}: the run was started with {key} = {before.get(key)}, now it is {now.get(key)}; "
                "resume with the same, or train into another folder"
            )


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the plain values of nested mappings, each under a key like `recipe.learning_rate`."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
