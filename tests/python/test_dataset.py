"""Crops for the network: the C++ core's, varied only where asked."""

import dataclasses
from itertools import pairwise

import numpy as np
import torch
from tiny_set import faces_of, make_collection

from agepred_edge import DEFAULT_POINTS, align
from agepred_train import recipes
from agepred_train.dataset import FaceCrops
from agepred_train.labels import collate


def test_plain_crops_are_the_cores_own(tmp_path):
    collection = make_collection(tmp_path, train=3, val=0, test=0)
    faces = faces_of(collection)
    dataset = FaceCrops(collection.samples, faces, side=64)
    for index, sample in enumerate(collection.samples):
        expected = align(
            sample.read_picture(), faces.landmarks[index], side=64, points=DEFAULT_POINTS, pixel_format="RGB"
        )
        item = dataset[index]
        np.testing.assert_array_equal(item.crop.permute(1, 2, 0).numpy(), expected)
        assert item.crop.dtype == torch.uint8
        assert (item.age_min, item.age_max, item.weight) == (sample.age, sample.age, 1.0)
        assert item.teacher_crop is None


def test_faceless_samples_are_left_out_and_counted(tmp_path):
    collection = make_collection(tmp_path, train=4, val=0, test=0)
    landmarks = np.tile((DEFAULT_POINTS * 64 + 16).astype(np.float32), (4, 1, 1))
    landmarks[3] += 5
    faces = faces_of(collection, counts=np.array([1, 0, -1, 2], np.int32), landmarks=landmarks)
    dataset = FaceCrops(collection.samples, faces, side=64)
    assert (len(dataset), dataset.without_face) == (2, 2)
    assert dataset[1].age_min == collection.samples[3].age
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


def test_ranges_and_weights_come_with_their_crops(tmp_path):
    collection = make_collection(tmp_path, train=2, val=0, test=0)
    samples = [dataclasses.replace(sample, age_min=20, age_max=29, weight=0.5) for sample in collection.samples]
    dataset = FaceCrops(samples, faces_of(collection), side=64)
    assert dataset[0][1:4] == (20, 29, 0.5)
    dataset.weights *= 0.5
    batch = collate([dataset[0], dataset[1]])
    assert batch.crops.shape == (2, 3, 64, 64)
    assert batch.crops.is_contiguous(memory_format=torch.channels_last)
    assert batch.labels.age_max.tolist() == [29, 29]
    assert batch.labels.weight.tolist() == [0.25, 0.25]
    assert batch.teacher_crops is None


def test_teacher_sees_the_same_crop_only_larger(tmp_path):
    """The same flip, cut, color and rectangle: shrunk to half, the large crop is the small one."""
    collection = make_collection(tmp_path, train=1, val=0, test=0)
    faces = faces_of(collection)
    recipe = dataclasses.replace(
        recipes.first_light(), degrade_share=0, erase_share=0.5, blur_share=0.5, exposure_share=0.5, sharpen_share=0.3
    )
    dataset = FaceCrops(collection.samples, faces, side=64, augmentation=recipe, teacher_side=128)
    other = FaceCrops(collection.samples, faces, side=64, augmentation=recipe)
    torch.manual_seed(7)
    pairs = [dataset[0] for _ in range(20)]
    differences = []
    for item in pairs:
        half = item.teacher_crop.float().reshape(3, 64, 2, 64, 2).mean(dim=(2, 4))
        differences.append((half - item.crop.float()).abs().mean().item())
    assert np.median(differences) < 3
    assert max(differences) < 8  # where the rectangle's border falls on another pixel
    apart = [(first.crop.float() - second.crop.float()).abs().mean() for first, second in pairwise(pairs)]
    assert np.median(apart) > 15
    # What the student sees does not depend on there being a teacher.
    torch.manual_seed(7)
    np.testing.assert_array_equal(other[0].crop, pairs[0].crop)
