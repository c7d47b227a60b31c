"""Documents as `agepred eval INT8 FP32 --json` writes them, of answers that scatter around labels."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from tiny_answers import answers, normal, row

from agepred_train.data import GENDERS, RACES
from agepred_train.evaluation.bootstrap import LEVEL, RESAMPLES, SEED
from agepred_train.evaluation.comparison import compare
from agepred_train.evaluation.degradations import DEGRADATIONS
from agepred_train.evaluation.figures import brief, measure
from agepred_train.evaluation.predictions import Answers
from agepred_train.storage import sha256_of_file

UTKFACE = {"utkface.tar": "a" * 64, "utkface.csv": "b" * 64}


def scattered(seed: int, *, ranges: bool = False, pictures: int = 200) -> Answers:
    """Answers over all ages, genders and races; every fiftieth picture is without a face."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(pictures):
        label = number % 107
        decade = label - label % 10
        rows.append(
            row(
                (decade, decade + 9) if ranges else label,
                float(np.clip(label + rng.normal(0, 4), 0, 116)),
                file=str(number),
                gender=GENDERS[number % 2],
                race=RACES[number % 5],
                coral="test" if number % 3 and not ranges else "",
                faces=number % 50 and 1,
            )
        )
    return answers(*rows, probabilities=normal([one.age for one in rows], 4.0))


def document(
    int8: Path,
    fp32: Path,
    *,
    name: str = "utkface",
    split: str | None = "test",
    sha256: dict[str, str] | None = None,
    ranges: bool = False,
    degrade: bool = False,
) -> dict[str, Any]:
    """The document of both files on one set; the two differ, as files do."""
    files = {"int8": int8, "fp32": fp32}
    found = {key: scattered(seed, ranges=ranges) for seed, key in enumerate(files, 1)}
    columns: dict[str, Any] = {
        key: {
            "kind": "model",
            "file": path.name,
            "sha256": sha256_of_file(path),
            "bytes": path.stat().st_size,
            **dict.fromkeys(("detector_sha256", "points_sha256", "core_sha256", "predictions_sha256"), "e" * 64),
        }
        for key, path in files.items()
    }
    figures = {key: measure(one) for key, one in found.items()}
    degraded = {
        key: {"rows": dict.fromkeys(DEGRADATIONS, brief(one)), "worst": "blur", "worst_minus_clean": 0.0}
        for key, one in found.items()
    }
    return {
        "agepred": "0",
        "data": {"name": name, "split": split, "limit": None, "pictures": 200, "sha256": sha256 or UTKFACE},
        "median_train_age": 29.0,
        "bootstrap": {"resamples": RESAMPLES, "level": LEVEL, "seed": SEED},
        "columns": columns | {"median": {"kind": "constant"}},
        "figures": figures
        | {"median": measure(answers(*(dataclasses.replace(one, age=29.0) for one in found["int8"].rows)))},
        "degraded": degraded if degrade else {},
        "compared": {"fp32": compare(found["int8"], found["fp32"])},
    }
