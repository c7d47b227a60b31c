"""The pictures of a labeled set and the CSV of answers to them, for scripts that run without agepred's packages."""

import argparse
import csv
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image, ImageOps

_SHOWN = 100  # pictures between two lines of progress

Answer = Callable[[Image.Image], float | None]
"""Gives the age in years of the largest face of an RGB picture; None where there is no face."""


def arguments(description: str) -> argparse.ArgumentParser:
    """Return a parser of what all baselines take."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("data", type=Path, help="uncompressed tar, or folder, of pictures")
    parser.add_argument("out", type=Path, help="CSV of the answers, for `agepred eval --predictions NAME=OUT`")
    parser.add_argument("--labels", type=Path, help="CSV with a column file [default: DATA's name with .csv]")
    parser.add_argument("--split", help="only pictures of this split [default: all]")
    parser.add_argument("--limit", type=int, help="pictures at most, spread evenly as `agepred eval` does")
    return parser


def answer_all(options: argparse.Namespace, answer: Answer) -> None:
    """Write the answers to all pictures that are asked for; a stopped run goes on where it was."""
    names = _names(options.labels or options.data.with_suffix(".csv"), options.split, options.limit)
    partial = options.out.with_name(options.out.name + ".partial")
    kept = _kept(partial)
    with partial.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        todo = [name for name in names if name not in kept]
        for number, (name, content) in enumerate(_contents(options.data, todo), start=1):
            age = _answered(content, answer)
            writer.writerow([name, "" if age is None else age])
            file.flush()
            if number % _SHOWN == 0 or number == len(todo):
                print(f"{number + len(kept)} of {len(names)}", flush=True)
    answers = _kept(partial)
    whole = partial.with_suffix(".whole")
    with whole.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "age"])
        writer.writerows([name, answers[name]] for name in names)
    whole.replace(options.out)
    partial.unlink()
    faceless = sum(not answers[name] for name in names)
    print(f"wrote {options.out}: {len(names)} pictures, {faceless} without a face that was found")


def _names(table: Path, split: str | None, limit: int | None) -> list[str]:
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.DictReader(file) if split is None or row["split"] == split]
    if not rows:
        raise SystemExit(f"{table}: no picture belongs to the split {split}")
    count = min(limit or len(rows), len(rows))
    return [rows[number * len(rows) // count]["file"] for number in range(count)]


def _contents(data: Path, names: list[str]) -> Iterator[tuple[str, bytes]]:
    if data.is_dir():
        for name in names:
            yield name, (data / name).read_bytes()
        return
    with tarfile.open(data, "r:") as archive:
        members = {os.path.normpath(member.name): member for member in archive if member.isfile()}
        for name in names:
            file = archive.extractfile(members[name])
            assert file is not None  # only plain files are in `members`
            yield name, file.read()


def _answered(content: bytes, answer: Answer) -> float | None:
    try:
        with Image.open(io.BytesIO(content)) as stored:
            picture = ImageOps.exif_transpose(stored).convert("RGB")
    except Exception:  # damaged pictures raise almost anything; they count as without a face
        return None
    return answer(picture)


def _kept(partial: Path) -> dict[str, str]:
    """Return the finished rows of a stopped run; the last line may be half written."""
    if not partial.exists():
        return {}
    text = partial.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        partial.write_text(whole, encoding="utf-8")
    return {row[0]: row[1] for row in csv.reader(io.StringIO(whole))}
