"""Grad-CAM by autograd: every backbone and head, and the closed form of the default head."""

import dataclasses
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from tiny_set import crops, make_run
from torch.nn import functional

from agepred_edge import ModelError
from agepred_train import recipes
from agepred_train.cells import cell_grid
from agepred_train.explain.explainers import FileExplainer, RunExplainer
from agepred_train.explain.gradcam import grad_cam
from agepred_train.export import export
from agepred_train.heads import head_of
from agepred_train.network import load_run, make_network

needs_torchvision = pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed")
BACKBONES = [
    "mobilenet_v2",
    "efficientnet_lite0",
    "efficientnet_lite2",
    pytest.param("resnet50", marks=needs_torchvision),
    pytest.param("efficientnet_b0", marks=needs_torchvision),
]
HEADS = [
    ("distribution", "soft_label", ""),
    ("distribution", "soft_label", "24"),
    ("regression", "mse", ""),
    ("groups", "cross_entropy", "24,12"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(("head", "loss", "hidden"), HEADS)
def test_map_adds_up_to_what_scaling_the_features_does(backbone, head, loss, hidden):
    """The directional derivative of the age along the features themselves, by differences."""
    recipe = dataclasses.replace(recipes.smoke(), backbone=backbone, head=head, loss=loss, hidden=hidden)
    torch.manual_seed(0)
    network, answers = make_network(recipe).eval(), head_of(recipe)
    pixels = torch.from_numpy(crops(2, recipe.crop_side))
    ages, maps = grad_cam(network, answers, pixels)
    grid = cell_grid(network, recipe.crop_side)
    assert maps.shape == (2, grid.count, grid.count)
    assert torch.isfinite(maps).all()
    torch.testing.assert_close(ages, answers.age(network(pixels)))

    def scaled(factor):
        handle = network.features.register_forward_hook(lambda module, inputs, output: output * factor)
        with torch.inference_mode():
            result = answers.age(network(pixels)).double()
        handle.remove()
        return result

    expected = (scaled(1.01) - scaled(0.99)) / 0.02
    torch.testing.assert_close(maps.double().sum(dim=(1, 2)), expected, rtol=0.05, atol=0.02)


def test_closed_form_of_the_default_head(run):
    network, recipe = load_run(run)
    pixels = torch.from_numpy(crops(4, recipe.crop_side))
    _, maps = grad_cam(network, head_of(recipe), pixels)
    with torch.inference_mode():
        features = network.features((pixels.float() - 128) / 128)
        logits = network.classifier(functional.adaptive_avg_pool2d(features, 1).flatten(1))
        p, years = logits.softmax(dim=1), torch.arange(logits.shape[1])
        pulls = p * (years - (p * years).sum(dim=1, keepdim=True))
        slopes = pulls @ network.classifier[1].weight
        closed = torch.einsum("nc,nchw->nhw", slopes, features) / features[0, 0].numel()
    torch.testing.assert_close(maps, closed, rtol=1e-4, atol=1e-5)


def test_no_trace_is_left_in_the_network(run):
    network, recipe = load_run(run)
    before = [weight.requires_grad for weight in network.parameters()]
    grad_cam(network, head_of(recipe), torch.from_numpy(crops(1, recipe.crop_side)))
    assert [weight.requires_grad for weight in network.parameters()] == before
    assert all(weight.grad is None for weight in network.parameters())
    assert not network.features._forward_hooks


def test_file_and_run_explain_alike(run):
    path = export(run, run / "fp32.onnx", version="0.1.0")
    file, trained = FileExplainer(path), RunExplainer(run)
    assert (file.side, file.grid) == (trained.side, trained.grid)
    np.testing.assert_allclose(file.points, trained.points, atol=1e-5)
    pictures = np.ascontiguousarray(crops(3, 64).transpose(0, 2, 3, 1))
    one, other = file.explain(pictures), trained.explain(pictures)
    np.testing.assert_allclose(one.ages, other.ages, atol=1e-2)
    np.testing.assert_allclose(one.maps, other.maps, atol=1e-3)
    np.testing.assert_array_equal(one.ages, file.ages(pictures))
    np.testing.assert_allclose(other.ages, trained.ages(pictures), atol=1e-3)
    assert file.describe()["kind"], trained.describe()["backbone"] == ("file", "mobilenet_v2")


def test_file_without_features_is_refused_with_the_way_out(run, tmp_path):
    path = export(run, tmp_path / "plain.onnx", version="0.1.0", features=False)
    with pytest.raises(ModelError, match=r"plain\.onnx.*agepred export.*--run"):
        FileExplainer(path)
