"""What a training run starts from, kept in its folder so that a resumed run cannot become another one unseen."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agepred_train import recipes
from agepred_train.data import Collection
from agepred_train.prepare import Faces
from agepred_train.recipes import Recipe
from agepred_train.storage import sha256_of_file, write_json

START = "start.json"

_WEIGHTS = "start_weights_sha256"


class ResumeError(ValueError):
    """A run that cannot go on as asked; the message names what differs."""


def describe_start(recipe: Recipe, collection: Collection, faces: Faces, weights: Path | None) -> dict[str, Any]:
    """Return everything that decides a run, ready for JSON.

    Raises:
        FileNotFoundError: the weights are not there.
    """
    return {
        "format": 1,
        "recipe": recipes.to_dict(recipe),
        "data": dict(collection.hashes),
        "detector": {"name": faces.detector, "sha256": faces.detector_sha256},
        _WEIGHTS: sha256_of_file(weights) if weights else None,
    }


def write_start(run: Path, start: Mapping[str, Any]) -> None:
    """Write what the run starts from into its folder; the file is whole or not there."""
    write_json(run / START, start)


def resumed_start(run: Path, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an interrupted run started from if it is what is wanted now.

    Args:
        run: folder of the run.
        wanted: from `describe_start`; where it names no weights, those of the run are taken.

    Raises:
        ResumeError: recipe, data, detector or weights differ, or what the run started from is not known.
    """
    path = run / START
    try:
        start: dict[str, Any] = dict(json.loads(path.read_text(encoding="utf-8")))
        weights = start[_WEIGHTS]
    except FileNotFoundError as error:
        raise ResumeError(
            f"{run}: what this run started from is not known, {START} is missing; train into another folder"
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise ResumeError(
            f"{path}: not what a run writes when it starts ({error}); train into another folder"
        ) from error
    expected = dict(wanted)
    if expected[_WEIGHTS] is None:
        expected[_WEIGHTS] = weights
    before, now = dict(_leaves(start)), dict(_leaves(expected))
    for key in now | before:
        if before.get(key) != now.get(key):
            raise ResumeError(
                f"{path}: the run was started with {key} = {before.get(key)}, now it is {now.get(key)}; "
                "resume with the same, or train into another folder"
            )
    return start


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the plain values of nested mappings, each under a key like `recipe.learning_rate`."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
