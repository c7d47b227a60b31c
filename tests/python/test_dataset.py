"""Crops for the network: the C++ core's, varied only where asked."""

import dataclasses

import numpy as np
import torch
from tiny_set import faces_of, make_collection

from agepred_edge import DEFAULT_POINTS, align
from agepred_train import recipes
from agepred_train.dataset import FaceCrops


def test_plain_crops_are_the_cores_own(tmp_path):
    collection = make_collection(tmp_path, train=3, val=0, test=0)
    faces = faces_of(collection)
    dataset = FaceCrops(collection.samples, faces, side=64)
    for index, sample in enumerate(collection.samples):
        expected = align(
            sample.read_picture(), faces.landmarks[index], side=64, points=DEFAULT_POINTS, pixel_format="RGB"
        )
        crop, age = dataset[index]
        np.testing.assert_array_equal(crop.permute(1, 2, 0).numpy(), expected)
        assert (crop.dtype, age) == (torch.uint8, sample.age)


def test_faceless_samples_are_left_out_and_counted(tmp_path):
    collection = make_collection(tmp_path, train=4, val=0, test=0)
    landmarks = np.tile((DEFAULT_POINTS * 64 + 16).astype(np.float32), (4, 1, 1))
    landmarks[3] += 5
    faces = faces_of(collection, counts=np.array([1, 0, -1, 2], np.int32), landmarks=landmarks)
    dataset = FaceCrops(collection.samples, faces, side=64)
    assert (len(dataset), dataset.without_face) == (2, 2)
    assert dataset[1][1] == collection.samples[3].age
    last = align(collection.samples[3].read_picture(), landmarks[3], side=64, pixel_format="RGB")
    np.testing.assert_array_equal(dataset.crop(1), last)


def test_rows_are_found_by_name(tmp_path):
    collection = make_collection(tmp_path, train=3, val=0, test=0)
    backwards = collection.samples[::-1]
    plain = FaceCrops(collection.samples, faces_of(collection), side=64)
    turned = FaceCrops(backwards, faces_of(collection), side=64)
    np.testing.assert_array_equal(plain.crop(0), turned.crop(2))


def test_augmented_crops_differ_and_repeat_with_torchs_seed(tmp_path):
    collection = make_collection(tmp_path, train=1, val=0, test=0)
    faces = faces_of(collection)
    recipe = dataclasses.replace(recipes.smoke(), crop_side=64)
    dataset = FaceCrops(collection.samples, faces, side=64, augmentation=recipe)
    torch.manual_seed(4)
    first, second = dataset.crop(0), dataset.crop(0)
    assert not np.array_equal(first, second)
    torch.manual_seed(4)
    np.testing.assert_array_equal(dataset.crop(0), first)
