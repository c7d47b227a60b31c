"""Labeled pictures as the commands take them, and where what is found in them is kept."""

from pathlib import Path
from typing import TYPE_CHECKING

import agepred_edge
from agepred_cli.failure import complain, fail, reported, training_tools
from agepred_cli.options import MeasuredPart

if TYPE_CHECKING:
    from agepred_train.data import Collection
    from agepred_train.evaluation.labels import LabeledSet
    from agepred_train.prepare import Faces

CACHES = Path("build")
"""Folder of what is found in pictures: `agepred data` keeps it there, too, unless told otherwise."""


def open_faces(
    sources: list[Path], layout: str | None, ranges: list[str] | None, faces: Path | None
) -> tuple["Collection", "Faces"]:
    """Reads sets to train with and finds their faces; ends the command where it cannot.

    `faces`: the cache of a single set, where it is not the usual one.
    """
    with training_tools():
        from agepred_train.curation.labeled_sets import read_sets  # noqa: PLC0415
        from agepred_train.curation.labels import parse_ranges  # noqa: PLC0415
        from agepred_train.prepare import prepare  # noqa: PLC0415
        from agepred_train.sources import join  # noqa: PLC0415
    if faces and len(sources) > 1:
        fail(f"--faces {faces}: names the cache of one source, {len(sources)} were given; leave it out")
    with reported(ValueError):
        sets = read_sets(sources, layout=layout, ranges=parse_ranges(ranges or []), caches=CACHES)
        detector = agepred_edge.FaceDetector()
        parts = {
            name: (source.collection, prepare(source.collection, detector, faces_cache(name, faces)))
            for name, source in sets.items()
        }
        return join(parts) if len(parts) > 1 else next(iter(parts.values()))


def open_labeled(
    sources: list[Path], labels: Path | None, layout: str | None, ranges: list[str] | None, *, whole: bool
) -> "LabeledSet":
    """Reads sets to measure on; ends the command where it cannot.

    `whole`: all pictures count, so sets without splits need none.
    """
    with training_tools():
        from agepred_train.curation.labels import parse_ranges  # noqa: PLC0415
        from agepred_train.evaluation.labels import read_labeled  # noqa: PLC0415
    with reported(ValueError):
        labeled = read_labeled(
            sources,
            labels,
            layout=layout,
            ranges=parse_ranges(ranges or []),
            caches=None if whole else CACHES,
        )
    for name in labeled.silent if labeled.has_splits else ():
        complain(f"{name} names no splits: they are dealt 70/15/15, as `agepred train` does; --split all counts all")
    return labeled


def open_measured(
    sources: list[Path],
    labels: Path | None,
    layout: str | None,
    ranges: list[str] | None,
    split: MeasuredPart | None,
) -> tuple["LabeledSet", MeasuredPart]:
    """Reads sets to measure on, and chooses what counts where no split is named; ends the command where it cannot.

    These are `val`, but all where no set names splits: most of such sets are new to the model.
    """
    labeled = open_labeled(sources, labels, layout, ranges, whole=split in {None, "all"})
    if split is not None:
        return labeled, split
    if not labeled.silent:
        return labeled, "val"
    names = ", ".join(labeled.silent)
    if len(labeled.silent) < len(sources):
        fail(f"{names}: names no splits, and other sets do; say which pictures count, such as --split test")
    complain(f"{names}: no splits, so all pictures count; name --split test if a model was trained on it")
    return labeled, "all"


def faces_cache(name: str, named: Path | None) -> Path:
    """Where the detected faces of a set of that name are kept."""
    return named or CACHES / f"{name}-faces.npz"
