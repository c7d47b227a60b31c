"""Labeled pictures as commands take them: one set or several, in any layout, each picture with a split."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from agepred_train.archive import DataError
from agepred_train.curation.labels import Ranges
from agepred_train.curation.own_splits import with_splits
from agepred_train.curation.sources import Source, read_source, set_name


def read_sets(
    paths: Sequence[Path],
    *,
    layout: str | None = None,
    ranges: Ranges | None = None,
    labels: Path | None = None,
    caches: Path | None,
) -> Mapping[str, Source]:
    """Read one set or several for training, calibration or evaluation.

    A row that cannot be used is refused: unseen, it would be missing from training or from a figure. `agepred data`
    lists such rows, leaves them out, and writes a table that is whole.

    Args:
        paths: of the sets, at least one.
        layout: one of LAYOUTS, of all of them; None: recognized by what lies there.
        ranges: what named classes of ages stand for.
        labels: the table of a tar or a folder; only with one set.
        caches: folder in which what is seen in the pictures of sets without splits is kept, under the name that
            `agepred data` gives it; None: such sets stay undivided.

    Returns:
        The sets by their names, in order.

    Raises:
        FileNotFoundError, NotADirectoryError: something is not there.
        DataError: two sets have one name, or the data is not what it should be.
    """
    names = [set_name(path) for path in paths]
    if len(set(names)) < len(names):
        raise DataError(f"two sources are named {max(names, key=names.count)}; rename one of them")
    if labels is not None and len(paths) != 1:
        raise DataError(f"--labels {labels}: is the table of one set, {len(paths)} are named; leave it out")
    sets = {}
    for name, path in zip(names, paths, strict=True):
        source = read_source(path, layout=layout, ranges=ranges, labels=labels, strict=True)
        if caches is not None:
            source = with_splits(source, caches / f"{name}-survey.npz")
        sets[name] = dataclasses.replace(source, name=name)
    return sets
