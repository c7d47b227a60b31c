"""The figures of a preparation: labels, what was dropped, duplicates, splits, and crops; ready for JSON."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from agepred_train.curation.curate import REASONS, Curated
from agepred_train.curation.duplicates import exact_copies
from agepred_train.curation.sources import Source
from agepred_train.data import AGES, SPLITS, Sample
from agepred_train.extent import share_outside

# Crops with a larger share outside of their picture are counted: such a border shows.
_VISIBLE = 0.1

_UNKNOWN = "unknown"


def summarize(curated: Curated) -> dict[str, Any]:
    """Return everything that the report shows but for the pictures.

    Ages are counted by year; a range counts for each of its years in equal parts.
    """
    samples, dropped = curated.samples, curated.dropped
    return {
        "format": 1,
        "settings": dataclasses.asdict(curated.settings),
        "detector": {
            "name": curated.faces.detector,
            "sha256": curated.faces.detector_sha256,
            "points_sha256": curated.faces.points_sha256,
        },
        "cleaner": {"name": curated.judged.detector, "sha256": curated.judged.detector_sha256},
        "pictures": len(samples),
        "training": sum(used_in_training(sample, why) for sample, why in zip(samples, dropped, strict=True)),
        "sets": {source.name: _of_set(curated, source) for source in curated.sources},
        "splits": {
            split: {"pictures": sum(sample.split == split for sample in samples)}
            | _labels([sample for sample in samples if sample.split == split])
            for split in SPLITS
        },
        "dropped": {
            reason: {
                "pictures": sum(why == reason for why in dropped),
                "of_training": sum(
                    why == reason and sample.split == "train" for why, sample in zip(dropped, samples, strict=True)
                ),
            }
            for reason in REASONS
        },
        "duplicates": {
            "groups": len(curated.groups),
            "pictures": sum(len(group) for group in curated.groups),
            "exact_copies": exact_copies(curated.survey),
            "groups_across_sets": sum(len({curated.sets[index] for index in group}) > 1 for group in curated.groups),
            "conflicts": [[_labeled(samples[index]) for index in group] for group in curated.conflicts],
        },
    }


def used_in_training(sample: Sample, why_dropped: str) -> bool:
    """Return whether training sees a picture."""
    return sample.split == "train" and not why_dropped


def _of_set(curated: Curated, source: Source) -> dict[str, Any]:
    rows = [row for row, name in enumerate(curated.sets) if name == source.name]
    samples = [curated.samples[row] for row in rows]
    dropped = Counter(curated.dropped[row] for row in rows)
    return {
        "layout": source.layout,
        "pictures": len(samples),
        "exact_ages": sum(sample.age_min == sample.age_max for sample in samples),
        **_labels(samples),
        "splits": {split: sum(sample.split == split for sample in samples) for split in SPLITS},
        "dropped": {reason: dropped[reason] for reason in REASONS},
        "outside": _outside(curated, rows),
        "unusable": list(source.collection.skipped),
        "warnings": list(source.warnings),
        "sha256": source.collection.hashes,
    }


def _labels(samples: Sequence[Sample]) -> dict[str, Any]:
    return {
        "ages": _years(samples),
        "genders": _count(samples, lambda sample: sample.gender),
        "races": _count(samples, lambda sample: sample.race),
    }


def _years(samples: Iterable[Sample]) -> list[float]:
    """Return how many pictures there are of each year of age, [117]."""
    years = np.zeros(len(AGES))
    for sample in samples:
        years[sample.age_min : sample.age_max + 1] += 1 / (sample.age_max + 1 - sample.age_min)
    return [round(float(count), 3) for count in years]


def _count(samples: Iterable[Sample], word: Callable[[Sample], str]) -> dict[str, int]:
    return dict(Counter(word(sample) or _UNKNOWN for sample in samples).most_common())


def _outside(curated: Curated, rows: Sequence[int]) -> dict[str, Any]:
    """Return which share of the crops' area lies outside of the pictures, over all with a face."""
    faces, sizes = curated.faces, curated.survey.sizes
    shares = [
        share_outside(faces.landmarks[row], float(sizes[row, 0]), float(sizes[row, 1]))
        for row in rows
        if faces.counts[row] > 0
    ]
    if not shares:
        return {"crops": 0, "mean": None, "visible": None}
    return {
        "crops": len(shares),
        "mean": float(np.mean(shares)),
        "visible": float(np.mean(np.array(shares) > _VISIBLE)),
    }


def _labeled(sample: Sample) -> dict[str, Any]:
    return {
        "name": sample.name,
        "age_min": sample.age_min,
        "age_max": sample.age_max,
        "split": sample.split,
        "weight": sample.weight,
    }
