"""A data set small enough to be made in code: soft blobs in place of faces, with labels, splits and points."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from agepred_edge import DEFAULT_POINTS
from agepred_train import recipes
from agepred_train.data import GENDERS, RACES, Collection, Sample
from agepred_train.export import load_trained
from agepred_train.fingerprints import fingerprints
from agepred_train.model import AgeNetwork
from agepred_train.overrides import to_dict
from agepred_train.prepare import Faces

SIDE = 96
DETECTOR_SHA256 = "d" * 64


def jpeg(seed: int, side: int = SIDE) -> bytes:
    """A smooth random picture, so that JPEG and resampling change it little."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(f"./{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def make_collection(folder: Path, *, train: int = 32, val: int = 8, test: int = 4) -> Collection:
    """Pictures with ages that brightness does not tell; gender and race go in turn."""
    splits = ["train"] * train + ["val"] * val + ["test"] * test
    samples = []
    for number, split in enumerate(splits):
        path = folder / f"{number}.jpg"
        path.write_bytes(jpeg(number))
        size = path.stat().st_size
        age = (number * 37) % 100
        labels = {"gender": GENDERS[number % 2], "race": RACES[number % 5]}
        samples.append(Sample(name=path.name, age_min=age, age_max=age, split=split, path=path, size=size, **labels))
    return Collection(samples=tuple(samples), hashes={"tiny": "t" * 64})


def faces_of(collection: Collection, **changed: np.ndarray) -> Faces:
    """One face in the middle of every picture; columns can be given otherwise."""
    count = len(collection.samples)
    columns = {
        "names": np.array([sample.name for sample in collection.samples]),
        "counts": np.ones(count, np.int32),
        "boxes": np.tile(np.array([20, 20, 56, 56], np.float32), (count, 1)),
        "scores": np.full(count, 0.9, np.float32),
        "landmarks": np.tile((DEFAULT_POINTS * 64 + 16).astype(np.float32), (count, 1, 1)),
        "pictures": fingerprints(collection.samples),
    }
    return Faces(**(columns | changed), detector="blob", detector_sha256=DETECTOR_SHA256, points_sha256="")


def make_run(folder: Path, *, seed: int = 0) -> Path:
    """A run folder as training leaves it, around a small random network with settled statistics."""
    recipe = recipes.smoke()
    torch.manual_seed(seed)
    network = AgeNetwork(width=recipe.width, dropout=0.0)
    with torch.no_grad():
        for start in range(0, 96, 16):
            network.train()(torch.from_numpy(crops(16, recipe.crop_side, start)))
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    hyper_parameters = {"recipe": to_dict(recipe)}
    torch.save({"state_dict": state, "hyper_parameters": hyper_parameters}, folder / "best.ckpt")
    record = {
        "recipe": to_dict(recipe),
        "detector": {"name": "blob", "sha256": DETECTOR_SHA256, "points_sha256": ""},
        "cleaning": {"kept": 30, "corrupt": 0, "no_face": 1, "several_faces": 1, "small_face": 0},
        "best": {"val_mae": 9.5, "train_samples": 30, "val_samples": 8},
    }
    (folder / "record.json").write_text(json.dumps(record))
    assert load_trained(folder)[1] == recipe
    return folder


def crops(count: int, side: int, first_seed: int = 0) -> np.ndarray:
    """Smooth random crops, uint8 [count, 3, side, side]."""
    pictures = [jpeg(first_seed + number, side) for number in range(count)]
    decoded = [np.asarray(Image.open(io.BytesIO(picture))) for picture in pictures]
    return np.ascontiguousarray(np.stack(decoded).transpose(0, 3, 1, 2))
