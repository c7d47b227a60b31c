"""What a finished run answers, by PyTorch: so that networks that no model file holds can be measured, too."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from agepred_train.data import GROUPS, Sample
from agepred_train.dataset import FaceCrops
from agepred_train.heads import head_of
from agepred_train.labels import collate
from agepred_train.network import Network, load_run
from agepred_train.prepare import Faces
from agepred_train.progress import progress_bar
from agepred_train.storage import replacing

_BATCH = 64


def outputs_of(network: Network, crops: FaceCrops, title: str, *, mirrored: bool = False) -> NDArray[np.float32]:
    """Return what a network in evaluation mode says of crops, [1, n, outputs]; mirrored ones besides, [2, n, outputs].

    `title` stands before a progress bar.
    """
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in the stubs
    parts = []
    with torch.inference_mode(), progress_bar() as bar:
        task = bar.add_task(title, total=len(crops))
        for batch in DataLoader(crops, _BATCH, collate_fn=collate):
            views = (batch.crops, batch.crops.flip(3)) if mirrored else (batch.crops,)
            parts.append(np.stack([network(pixels).float().numpy() for pixels in views]))
            bar.advance(task, len(batch.crops))
    return np.concatenate(parts, axis=1)


def write_answers(run: Path, samples: Sequence[Sample], faces: Faces, out: Path) -> None:
    """Ask a run about pictures and write a CSV that `agepred eval --predictions NAME=FILE` reads.

    Its columns are `file`, `age` in years and `group`, the first and last age of the likeliest of the four groups;
    both are empty where no face was found.

    Raises:
        FileNotFoundError: the run has no checkpoint.
        DataError: it is not one of `train`, or a picture cannot be read.
    """
    network, recipe = load_run(run)
    head = head_of(recipe)
    crops = FaceCrops(samples, faces, side=recipe.crop_side)
    answered: dict[str, tuple[str, str]] = {}
    if crops.samples:
        outputs = torch.from_numpy(outputs_of(network, crops, run.name)[0])
        for sample, age, group in zip(crops.samples, head.age(outputs).tolist(), head.group(outputs), strict=True):
            low, high = GROUPS[int(group)]
            # A network that has gone astray answers with no number: then the picture is not answered.
            answered[sample.name] = (f"{age:.3f}", f"{low}-{high}") if math.isfinite(age) else ("", "")
    with replacing(out) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "age", "group"))
        writer.writerows((sample.name, *answered.get(sample.name, ("", ""))) for sample in samples)
