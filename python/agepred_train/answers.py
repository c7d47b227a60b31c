"""What a trained network answers, by PyTorch: so that those that no model file holds can be measured, too."""

import csv
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from agepred_edge import align
from agepred_train.archive import DataError
from agepred_train.data import GROUPS, Sample
from agepred_train.heads import head_of
from agepred_train.memory import keep_freed_memory
from agepred_train.network import load_run
from agepred_train.parallel import in_chunks
from agepred_train.prepare import FaceFinder
from agepred_train.storage import replacing

_BATCH = 64


def write_answers(run: Path, samples: Sequence[Sample], finder: FaceFinder, out: Path) -> int:
    """Ask a run about pictures and write a CSV that `agepred eval --predictions NAME=FILE` reads.

    Its columns are `file`, `age` in years, and `group`, the likeliest of the four groups, such as 26-50; the last two
    are empty where no face was found, or the picture cannot be decoded. The largest face answers.

    Args:
        run: folder of a run of `train`, any backbone and head.
        samples: the pictures, in the order of the rows.
        finder: finds the faces.
        out: the file; one of that name is replaced once the new one is whole.

    Returns:
        How many pictures are answered.

    Raises:
        DataError: the folder holds no run of `train`, or its network answers with no number.
    """
    try:
        network, recipe = load_run(run)
    except FileNotFoundError as error:
        raise DataError(f"{run}: not a run of `agepred train` ({error.filename} is not there)") from error
    head = head_of(recipe)
    keep_freed_memory()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in the stubs
    rows: list[tuple[str, str]] = []
    work = partial(_crop, finder, recipe.crop_side)
    for crops in in_chunks(work, samples, description=run.resolve().name, chunk=_BATCH):
        answers = [("", "")] * len(crops)
        found = [number for number, crop in enumerate(crops) if crop is not None]
        if found:
            pixels = np.stack([crop for crop in crops if crop is not None])
            with torch.inference_mode():
                outputs = network(torch.from_numpy(pixels).permute(0, 3, 1, 2)).float()
            if not outputs.isfinite().all():
                raise DataError(f"{run}: the network answers with no number; its training went astray, train again")
            ages, groups = head.age(outputs).tolist(), head.group(outputs).tolist()
            for number, age, group in zip(found, ages, groups, strict=True):
                answers[number] = (f"{age:.3f}", "-".join(map(str, GROUPS[group])))
        rows += answers
    with replacing(out) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "age", "group"))
        writer.writerows((sample.name, *row) for sample, row in zip(samples, rows, strict=True))
    return sum(bool(age) for age, _ in rows)


def _crop(finder: FaceFinder, side: int, sample: Sample) -> NDArray[np.uint8] | None:
    """Return the crop [side, side, 3] of the largest face; None where there is none."""
    try:
        picture = sample.read_picture()
        found = finder.detect(picture, pixel_format="RGB")
    except ValueError:  # not to be decoded, or of a size that the core refuses
        return None
    return align(picture, found[0].landmarks, side=side, pixel_format="RGB") if found else None
