"""Preparation from end to end: look at pictures and faces, group, split, clean, and write the manifests."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agepred_edge import FaceDetector
from agepred_train.archive import DataError
from agepred_train.curation.duplicates import contradict, find_groups
from agepred_train.curation.haar import HaarFinder
from agepred_train.curation.manifest import write_manifest
from agepred_train.curation.own_splits import own_splits
from agepred_train.curation.sources import Source
from agepred_train.curation.splits import Plan, divide
from agepred_train.curation.survey import Survey, look
from agepred_train.data import Collection, Sample, Split
from agepred_train.prepare import MIN_FACE_SIDE, FaceFinder, Faces, prepare, reason_to_drop
from agepred_train.sources import JoinedCollection, named_by_source
from agepred_train.windows import keep_windows, windows_of

REASONS = {
    "corrupt": "cannot be decoded, or is too large",
    "no_face": "no face found",
    "several_faces": "several faces found",
    "small_face": "the face is too small",
    "conflict": "a near-duplicate has another age",
    "copy_elsewhere": "a near-duplicate belongs to a split of its set that counts more",
    "dropped_by_set": "its set's own table drops it",
}
"""Why training leaves pictures out, the first that applies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that a preparation is free to choose."""

    plan: Plan = field(default_factory=Plan)
    """How pictures are divided into splits."""
    seed: int = 1
    """Of that division, at least 0; with another one a set without splits has others here than in `agepred eval`."""
    cleaner: str = "detector"
    """`detector` or `haar`: whose faces decide what is dropped; crops are always cut by the detector's points."""
    min_face_side: float = MIN_FACE_SIDE
    """Pictures whose largest face has a shorter box side are dropped, in pixels, at least 0."""
    conflict_weight: float = 0.5
    """Most that pictures weigh whose near-duplicates have another age, 0 to 1; with 0 they are dropped."""

    def __post_init__(self) -> None:
        """Check every limit that the fields' descriptions state."""
        if self.cleaner not in ("detector", "haar"):
            raise DataError(f"no cleaner {self.cleaner!r}; there are detector and haar")
        if self.min_face_side < 0 or self.seed < 0:
            raise DataError("the smallest face and the seed must not be negative")
        if not 0 <= self.conflict_weight <= 1:
            raise DataError(f"the weight of conflicts is {self.conflict_weight}; it must be within 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curated:
    """What came of a preparation; all sequences have one entry a picture, in the order of the manifests."""

    sources: tuple[Source, ...]
    """The sets that were read."""
    sets: tuple[str, ...]
    """Name of the set that each picture belongs to."""
    samples: tuple[Sample, ...]
    """With their final splits (of the first fold), groups and weights."""
    dropped: tuple[str, ...]
    """Why training leaves a picture out, one of REASONS; empty where it does not."""
    survey: Survey
    faces: Faces
    """The detector's, whose points cut the crops."""
    judged: Faces
    """Those of the cleaner; the same for the detector."""
    groups: tuple[tuple[int, ...], ...]
    """Indices of near-duplicates."""
    conflicts: tuple[tuple[int, ...], ...]
    """Those of the groups whose ages disagree."""
    manifests: tuple[Path, ...]
    """One, or one a fold."""
    settings: Settings


def merge(sources: Sequence[Source], *, limit: int | None = None) -> tuple[tuple[Source, ...], Collection]:
    """Return the sources with names that differ, and all of their pictures as one collection.

    Beside others, a set's pictures are named `set/picture`.

    Args:
        sources: as they were read, at least one.
        limit: of each set's pictures, drawn evenly over their order; None: all.
    """
    named: dict[str, Source] = {}
    for source in sources:
        number, name = 1, source.name
        while name in named:
            number += 1
            name = f"{source.name}-{number}"
        collection = source.collection
        count = len(collection.samples)
        if limit is not None and count > limit:
            chosen = tuple(collection.samples[index * count // limit] for index in range(limit))
            collection = dataclasses.replace(collection, samples=chosen)
        if len(sources) > 1:
            collection = dataclasses.replace(collection, samples=tuple(named_by_source(name, collection.samples)))
        named[name] = dataclasses.replace(source, name=name, collection=collection)
    whole = Collection(
        samples=tuple(sample for source in named.values() for sample in source.collection.samples),
        skipped=tuple(line for source in named.values() for line in source.collection.skipped),
        hashes={},
    )
    return tuple(named.values()), whole


def curate(
    sources: Sequence[Source], out: Path, settings: Settings, *, faces_cache: Path, limit: int | None = None
) -> Curated:
    """Prepare data sets for training and write the manifest `out`, or one a fold beside it.

    What is found on the way is kept in caches beside `out`, so that a stopped run goes on, and another one with
    different settings is quick.

    Args:
        sources: the sets, at least one.
        out: the manifest's file.
        settings: what is free to choose.
        faces_cache: where the faces are kept; training looks for them there.
        limit: use only so many pictures of each set; None: all.

    Raises:
        DataError: OpenCV has no cascades, or a cache is damaged.
    """
    # First what may fail at once: minutes of work come after it.
    cleaner: FaceFinder | None = HaarFinder() if settings.cleaner == "haar" else None
    named, collection = merge(sources, limit=limit)
    sets = tuple(source.name for source in named for _ in source.collection.samples)
    own = [source.has_splits for source in named for _ in source.collection.samples]
    survey = look(collection.samples, beside(out, "survey.npz"))
    if settings.plan.kind == "own":
        collection = _with_splits(named, collection, survey, settings.seed)
    faces = prepare(collection, FaceDetector(), faces_cache)
    judged = prepare(collection, cleaner, beside(out, f"{settings.cleaner}.npz")) if cleaner else faces
    groups = tuple(tuple(group) for group in find_groups(collection.samples, sets, survey))
    conflicts = tuple(group for group in groups if contradict(collection.samples[index] for index in group))
    marked = _marked(collection.samples, groups, conflicts, settings)
    folds = divide(collection.samples, own, groups, settings.plan, seed=settings.seed)
    in_conflict = {index for group in conflicts for index in group}
    results: list[tuple[tuple[Sample, ...], tuple[str, ...]]] = []
    manifests = [out] if len(folds) == 1 else [beside(out, f"fold{number + 1}.csv") for number in range(len(folds))]
    for manifest, splits in zip(manifests, folds, strict=True):
        samples = tuple(dataclasses.replace(sample, split=split) for sample, split in zip(marked, splits, strict=True))
        dropped = _reasons(collection.samples, samples, judged, in_conflict, settings)
        write_manifest(manifest, samples, dropped, _named_sets(named))
        results.append((samples, dropped))
    return Curated(
        sources=named,
        sets=sets,
        samples=results[0][0],
        dropped=results[0][1],
        survey=survey,
        faces=faces,
        judged=judged,
        groups=groups,
        conflicts=conflicts,
        manifests=tuple(manifests),
        settings=settings,
    )


def _named_sets(sources: Sequence[Source]) -> list[str]:
    """Return the set of each picture, by which its name begins; a manifest alone keeps those that it is made of."""
    if len(sources) == 1 and isinstance(sources[0].collection, JoinedCollection):
        return [sample.name.partition("/")[0] for sample in sources[0].collection.samples]
    return [source.name for source in sources for _ in source.collection.samples]


def _with_splits(sources: Sequence[Source], collection: Collection, survey: Survey, seed: int) -> Collection:
    """Return the collection of all sources, those without splits dealt as everywhere: each by itself."""
    samples: list[Sample] = []
    for source in sources:
        own = source.collection.samples
        rows = range(len(samples), len(samples) + len(own))
        splits = [sample.split for sample in own]
        if not source.has_splits:
            splits = own_splits(own, survey.at(rows), seed=seed)
        samples += [dataclasses.replace(sample, split=split) for sample, split in zip(own, splits, strict=True)]
    return dataclasses.replace(collection, samples=tuple(samples))


def keep_crops(curated: Curated) -> None:
    """Keep what the crops of all pictures are cut from, for every manifest: in one file that has several names."""
    windows = keep_windows(curated.samples, curated.faces, windows_of(curated.manifests[0]))
    for manifest in curated.manifests[1:]:
        windows.link(windows_of(manifest))


def beside(out: Path, name: str) -> Path:
    """Return the path of something that belongs to the manifest `out`."""
    return out.with_name(f"{out.stem}-{name}")


def _marked(
    samples: Sequence[Sample],
    groups: Sequence[Sequence[int]],
    conflicts: Sequence[Sequence[int]],
    settings: Settings,
) -> list[Sample]:
    """Return the samples with the groups that were found and with the weights of what is in conflict."""
    marked = [dataclasses.replace(sample, group="") for sample in samples]
    for number, group in enumerate(groups):
        for index in group:
            marked[index] = dataclasses.replace(marked[index], group=str(number))
    for group in conflicts:
        for index in group:
            weight = min(marked[index].weight, settings.conflict_weight)
            marked[index] = dataclasses.replace(marked[index], weight=weight)
    return marked


def _reasons(
    before: Sequence[Sample], after: Sequence[Sample], judged: Faces, in_conflict: set[int], settings: Settings
) -> tuple[str, ...]:
    """Return why training leaves each picture out; empty where it does not."""
    reasons = []
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        count, side = int(judged.counts[index]), float(judged.boxes[index, 2:].min())
        reason = reason_to_drop(count, side, settings.min_face_side) or ""
        if not reason and settings.conflict_weight == 0 and index in in_conflict:
            reason = "conflict"
        if not reason and new.split == "drop":
            kept: tuple[Split, ...] = ("train", "val", "test")
            reason = "copy_elsewhere" if old.split in kept else "dropped_by_set"
        if not reason and old.dropped and old.dropped not in REASONS:
            reason = "dropped_by_set"  # somebody's own reason, in a manifest; others are judged anew
        reasons.append(reason)
    return tuple(reasons)
