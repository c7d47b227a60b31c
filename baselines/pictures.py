"""The pictures of a labeled set and the CSV of answers to them, for scripts that run without agepred's packages."""

import argparse
import csv
import hashlib
import io
import json
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


def answer_all(options: argparse.Namespace, answer: Answer, *, software: str) -> None:
    """Write the answers to all pictures that are asked for; a stopped run goes on where it was.

    Args:
        options: what `arguments` parsed.
        answer: asks the software.
        software: its name and version, and whatever else bears on what it answers: a stopped run of another one, or
            on another set, is not gone on with.
    """
    names = _names(options.labels or options.data.with_suffix(".csv"), options.split, options.limit)
    partial = options.out.with_name(options.out.name + ".partial")
    identity = _identity(software, options.data)
    if partial.exists() and _identity_of(partial) != identity:
        print(f"{partial}: of other software or another set; begun anew", flush=True)
        partial.unlink()
    if not partial.exists():
        partial.write_text(identity + "\n", encoding="utf-8")
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
        rows = [row for row in csv.DictReader(file) if split is None or row.get("split") == split]
    if not rows:
        raise SystemExit(f"{table}: no picture belongs to the split {split}; without --split all count")
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


def _identity(software: str, data: Path) -> str:
    """Return one line of what bears on answers; the labels do not: they say which pictures, not what is in them."""
    return "# " + json.dumps({"software": software, "data_sha256": _sha256(data)}, sort_keys=True)


def _sha256(data: Path) -> str:
    """Return the sha256 of an archive, or of a folder's files by their names and sizes."""
    if data.is_dir():
        files = sorted(path for path in data.rglob("*") if path.is_file())
        listing = "\n".join(f"{path.relative_to(data)} {path.stat().st_size}" for path in files)
        return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()
    with data.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _identity_of(partial: Path) -> str:
    with partial.open(encoding="utf-8") as file:
        return file.readline().rstrip("\n")


def _kept(partial: Path) -> dict[str, str]:
    """Return the finished rows of a stopped run, below the line of its identity; the last may be half written."""
    text = partial.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        partial.write_text(whole, encoding="utf-8")
    rows = whole[whole.find("\n") + 1 :]
    return {row[0]: row[1] for row in csv.reader(io.StringIO(rows))}
