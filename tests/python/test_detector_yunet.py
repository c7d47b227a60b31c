"""The teacher: it answers as its file does, and a network that starts from it goes on where it stopped."""

import dataclasses
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tiny_faces import make_sets

from agepred_train.archive import DataError
from agepred_train.detector import recipe as recipes
from agepred_train.detector.network import STRIDES, FaceNetwork, Widths
from agepred_train.detector.train import DetectorTask, load_trained_detector, train_detector
from agepred_train.detector.yunet import YuNet, start_from

KINDS = {"cls": 1, "bbox": 4, "obj": 1, "kps": 10}


def scenes(count, height, width, seed=0):
    """Smooth pictures: a teacher's features of noise are not those of scenes."""
    coarse = torch.rand(count, 3, height // 8, width // 8, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")
    return (smooth * 255).clamp(0, 255).to(torch.uint8)


@torch.no_grad()
def maps_of(network, pixels):
    return network.trunk(network.first_features(pixels))


@torch.no_grad()
def answers(teacher, pixels):
    maps = maps_of(teacher, pixels)
    heads = iter(teacher.heads)
    return {
        f"{kind}_{stride}": next(heads)(features)
        for kind in KINDS
        for stride, features in zip(STRIDES, maps, strict=True)
    }


@pytest.mark.parametrize(("height", "width"), [(96, 128), (160, 64)])
def test_teacher_answers_as_its_file(yunet, height, width):
    pixels = scenes(2, height, width)
    session = onnxruntime.InferenceSession(str(yunet), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    blue_first = pixels.flip(1).float().numpy()
    expected = dict(zip(names, session.run(None, {"input": blue_first}), strict=True))
    found = answers(YuNet.load(yunet), pixels)
    assert set(found) == set(expected)
    for name, rows in expected.items():
        own = found[name].permute(0, 2, 3, 1).reshape(rows.shape)
        if name.startswith(("cls", "obj")):
            own = own.sigmoid()
        np.testing.assert_allclose(own, rows, atol=1e-4, err_msg=name)


def test_statistics_are_those_of_the_scenes(yunet):
    """The network answers alike with the statistics that it was given and with those of the batch, as training has."""
    torch.manual_seed(0)
    network, pixels = FaceNetwork(), scenes(32, 128, 128)
    start_from(network, YuNet.load(yunet), pixels)
    assert network.training
    with torch.no_grad():
        in_training, settled = network(pixels), network.eval()(pixels)
    for one, other in zip(in_training, settled, strict=True):
        torch.testing.assert_close(one, other, atol=2e-2, rtol=2e-2)


def test_first_layers_are_the_teachers_where_it_does_not_pool(yunet):
    teacher, network, pixels = YuNet.load(yunet), FaceNetwork().eval(), scenes(2, 64, 96)
    start_from(network, teacher, pixels)
    with torch.no_grad():
        normal = (pixels.float() - 128) / 128
        halved = network.stem[:3](normal)
        torch.testing.assert_close(halved[..., 1:, 1:], teacher.stem[:2](pixels.flip(1).float())[..., 1:, 1:])
        # The teacher's next unit answers at each place, ours at every second one; the border is padded otherwise.
        torch.testing.assert_close(
            network.stem[3:6](halved)[..., 1:, 1:], teacher.stem[2](halved)[..., 2::2, 2::2], atol=1e-3, rtol=1e-3
        )


def test_trunk_is_the_teachers(yunet):
    teacher, network = YuNet.load(yunet), FaceNetwork().eval()
    start_from(network, teacher, scenes(8, 64, 64))
    features = teacher.first_features(scenes(2, 96, 64))
    with torch.no_grad():
        for own, expected in zip(network.trunk(features), teacher.trunk(features), strict=True):
            torch.testing.assert_close(own, expected, atol=1e-3, rtol=1e-3)


def test_boxes_and_points_are_the_teachers_and_scores_nearly(yunet):
    teacher, network = YuNet.load(yunet), FaceNetwork().eval()
    start_from(network, teacher, scenes(8, 64, 64))
    maps = maps_of(teacher, scenes(4, 128, 96, seed=5))
    with torch.no_grad():
        for number, (prediction, features) in enumerate(zip(network.predict(maps), maps, strict=True)):
            cls, box, obj, points = (teacher.heads[kind * 3 + number](features) for kind in range(4))
            torch.testing.assert_close(prediction[:, 1:5], box, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(prediction[:, 5:], points, atol=1e-4, rtol=1e-4)
            both = torch.stack([prediction[:, 0].flatten(), ((cls + obj) / 2).flatten()])
            assert torch.corrcoef(both)[0, 1] > 0.9


def test_one_score_is_the_mean_of_two(yunet):
    teacher, pixels = YuNet.load(yunet), scenes(2, 96, 64)
    found = answers(teacher, pixels)
    with torch.no_grad():
        predictions = teacher.predict(maps_of(teacher, pixels))
    for stride, prediction in zip(STRIDES, predictions, strict=True):
        cls, box, obj, points = (found[f"{kind}_{stride}"] for kind in KINDS)
        mean = (cls.sigmoid() * obj.sigmoid()).sqrt()
        torch.testing.assert_close(prediction[:, :1].sigmoid(), mean, atol=1e-6, rtol=1e-5)
        assert torch.equal(prediction[:, 1:], torch.cat([box, points], dim=1))


def test_the_surest_score_is_a_number():
    certain = YuNet().eval()
    with torch.no_grad():
        for head in certain.heads:
            head[1].bias.fill_(100.0)
            predictions = certain.predict([torch.zeros(1, 64, 2, 2)] * len(STRIDES))
    assert all(prediction.isfinite().all() for prediction in predictions)


def test_what_is_not_the_teacher_is_refused(yunet, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.onnx"):
        YuNet.load(tmp_path / "nothing.onnx")
    (tmp_path / "text.onnx").write_text("MIT License")
    with pytest.raises(DataError, match=r"text\.onnx: not an ONNX file"):
        YuNet.load(tmp_path / "text.onnx")
    model = onnx.load(yunet)
    last = [node for node in model.graph.node if node.op_type == "Conv"][-1]
    model.graph.node.remove(last)
    onnx.save(model, tmp_path / "short.onnx")
    with pytest.raises(DataError, match=r"short\.onnx: not a model of YuNet-n .* give yunet_n\.onnx"):
        YuNet.load(tmp_path / "short.onnx")
    model = onnx.load(yunet)
    narrow = next(c for c in model.graph.initializer if list(c.dims) == [64, 64, 1, 1])
    narrow.CopyFrom(onnx.numpy_helper.from_array(np.zeros((32, 64, 1, 1), np.float32), narrow.name))
    onnx.save(model, tmp_path / "narrow.onnx")
    with pytest.raises(DataError, match=r"narrow\.onnx: .*\[32, 64, 1, 1\]"):
        YuNet.load(tmp_path / "narrow.onnx")
    with pytest.raises(ValueError, match="stem 8 and body 16 cannot start from a teacher with 16 and 64; set stem=16"):
        start_from(FaceNetwork(Widths(stem=8, body=16)), YuNet.load(yunet), scenes(2, 32, 32))


PUPIL = dataclasses.replace(recipes.smoke(), stem=16, body=64, imitation_steps=2, ema_decay=0.0)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return make_sets(tmp_path_factory.mktemp("sets"))


def weights_after(folder, name):
    return torch.load(folder / name, weights_only=True)["state_dict"]


def test_only_the_first_layers_learn_at_first(sets, yunet, tmp_path):
    """Of the last step, which alone reads labels, nothing is seen before it: the first epoch is all imitation."""
    longer = train_detector(PUPIL, *sets, tmp_path / "b", teacher=yunet).folder
    patient = dataclasses.replace(PUPIL, steps=6, imitation_steps=4)
    with pytest.MonkeyPatch.context() as patch:
        step = DetectorTask.training_step

        def stopping(self, batch, batch_idx):
            if self.current_epoch == 1:
                raise RuntimeError("power cut")
            return step(self, batch, batch_idx)

        patch.setattr(DetectorTask, "training_step", stopping)
        with pytest.raises(RuntimeError, match="power cut"):
            train_detector(patient, *sets, tmp_path / "a", teacher=yunet)
    at_first = tmp_path / "a"
    trunk = YuNet.load(yunet).trunk.state_dict()
    start = {name: value for name, value in trunk.items() if value.ndim == 4}
    one, other = weights_after(at_first, "last.ckpt"), weights_after(longer, "last.ckpt")
    for name, value in start.items():
        assert torch.equal(one[f"network.trunk.{name}"], value), name
    assert any(not torch.equal(other[f"network.trunk.{name}"], value) for name, value in start.items())
    assert not [name for name in other if "teacher" in name]


def test_what_cannot_end_well_is_refused_before_the_sets_are_read(yunet, tmp_path):
    nowhere = (tmp_path / "data", tmp_path / "labels", tmp_path / "run")
    with pytest.raises(ValueError, match="imitation_steps is 4 of 4 steps: no label would ever be read"):
        train_detector(dataclasses.replace(PUPIL, imitation_steps=4), *nowhere, teacher=yunet)
    with pytest.raises(ValueError, match="cannot start from a teacher"):
        train_detector(recipes.smoke(), *nowhere, teacher=yunet)
    with pytest.raises(FileNotFoundError, match=r"no\.onnx"):
        train_detector(PUPIL, *nowhere, teacher=tmp_path / "no.onnx")
    assert not any(path.exists() for path in nowhere)


def test_a_taught_run_is_resumed_with_its_own_teacher_only(sets, yunet, tmp_path):
    run = train_detector(PUPIL, *sets, tmp_path / "run", teacher=yunet)
    network, recipe = load_trained_detector(run.folder)
    assert recipe == PUPIL
    assert network.heads[0][0].in_channels == 64
    stopped = tmp_path / "stopped"
    shutil.copytree(run.folder, stopped)
    (stopped / "record.json").unlink()
    with pytest.raises(ValueError, match="teacher_sha256"):
        train_detector(PUPIL, *sets, stopped, resume=True)
