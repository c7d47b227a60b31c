"""The network: shapes, normalization, and that ImageNet weights mean what they should."""

import pytest
import torch
from PIL import Image

from agepred_train.archive import DataError
from agepred_train.model import AgeNetwork, load_backbone

# ImageNet's class "military uniform" in the usual order of the 1000 classes.
MILITARY_UNIFORM = 652


@pytest.fixture(scope="module")
def weights(shared):
    return shared / "weights" / "mobilenet_v2_imagenet.pth"


def test_gives_a_logit_per_age():
    network = AgeNetwork(width=0.25).eval()
    for count, side in ((1, 64), (3, 112)):
        assert network(torch.zeros(count, 3, side, side, dtype=torch.uint8)).shape == (count, 117)


def test_pixels_may_be_bytes_or_floats():
    network = AgeNetwork(width=0.25).eval()
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    torch.testing.assert_close(network(pixels), network(pixels.float()))


def test_first_convolution_sees_pixels_from_minus_one_to_one():
    network = AgeNetwork(width=0.25).eval()
    seen = []
    network.features[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(torch.tensor([0, 128, 255], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 64, 64))
    assert seen[0][0, :, 0, 0].tolist() == [-1.0, 0.0, 127 / 128]


def test_backbone_names_are_exactly_those_of_the_checkpoint(weights):
    state = torch.load(weights, map_location="cpu", weights_only=True)
    assert AgeNetwork(classes=1000).state_dict().keys() == state.keys()


def test_imagenet_weights_recognize_a_photograph(weights, hopper_path):
    network = AgeNetwork(classes=1000)
    state = torch.load(weights, map_location="cpu", weights_only=True)
    network.load_state_dict({name: value.to(network.state_dict()[name].dtype) for name, value in state.items()})
    picture = Image.open(hopper_path).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(1, 224, 224, 3)
    with torch.inference_mode():
        best = network.eval()(pixels.permute(0, 3, 1, 2)).topk(3).indices[0].tolist()
    assert MILITARY_UNIFORM in best


def test_load_backbone_leaves_the_head_alone(weights):
    network = AgeNetwork()
    head = network.classifier[1].weight.clone()
    stem = network.features[0][0].weight.clone()
    load_backbone(network, weights)
    assert torch.equal(network.classifier[1].weight, head)
    assert not torch.equal(network.features[0][0].weight, stem)


def test_weights_that_do_not_fit_are_named(tmp_path):
    path = tmp_path / "other.pth"
    torch.save(AgeNetwork(width=0.25).state_dict(), path)
    with pytest.raises(DataError, match=r"other\.pth"):
        load_backbone(AgeNetwork(width=0.5), path)
    with pytest.raises(FileNotFoundError):
        load_backbone(AgeNetwork(), tmp_path / "absent.pth")


@pytest.mark.parametrize("width", [0.1, 0.35, 0.5, 0.75, 1.4])
def test_widths_give_channels_that_are_multiples_of_eight(width):
    convolutions = [module for module in AgeNetwork(width=width).modules() if isinstance(module, torch.nn.Conv2d)]
    assert all(convolution.out_channels % 8 == 0 for convolution in convolutions)
