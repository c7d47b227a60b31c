"""Training by two processes that share every step, on the processor with gloo."""

import dataclasses
import json
import os
import pickle
import pickletools
from contextlib import nullcontext

import pytest
import torch
import torch.distributed
import torch.multiprocessing
from tiny_set import faces_of, make_collection
from torch import nn

from agepred_train import recipes
from agepred_train.export import load_trained
from agepred_train.processes import refuse_different
from agepred_train.spawning import SpawnedProcesses
from agepred_train.train import train

pytestmark = pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="torch is built without gloo")

TOGETHER = dataclasses.replace(recipes.smoke(), devices=2, batch_size=4, epochs=3, schedule="constant", mix_share=0.5)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    collection = make_collection(tmp_path_factory.mktemp("pictures"), train=32, val=9)
    return collection, faces_of(collection)


@pytest.fixture(scope="module")
def unbroken(inputs, tmp_path_factory):
    return train(TOGETHER, *inputs, tmp_path_factory.mktemp("runs") / "unbroken")


def test_a_process_imports_this_package_before_lightning():
    """What a spawned process is sent first is unpickled in order; torchvision is prepared for by our import alone."""
    import lightning  # not above: spawned processes import this file, too

    trainer = lightning.Trainer(accelerator="cpu", devices=2, strategy=SpawnedProcesses(), logger=False)
    sent = pickle.dumps(trainer.strategy.launcher._wrapping_function)
    modules = [name for name in strings_in(sent) if name.startswith(("agepred", "lightning"))]
    assert modules[0] == "agepred_train.spawning"
    assert any(name.startswith("lightning") for name in modules)


def strings_in(pickled):
    return [value for opcode, value, _ in pickletools.genops(pickled) if "UNICODE" in opcode.name]


def test_two_processes_leave_a_valid_run(unbroken, inputs):
    """Each epoch ends with a comparison of the processes' weights, so a run that ends is one where they agreed."""
    network, recipe = load_trained(unbroken.folder)
    assert recipe == TOGETHER
    lines = [json.loads(line) for line in (unbroken.folder / "metrics.jsonl").read_text().splitlines()]
    assert [(line["epoch"], line["step"]) for line in lines] == [(0, 3), (1, 6), (2, 9)]
    record = json.loads((unbroken.folder / "record.json").read_text())
    assert record["best"]["val_mae"] == pytest.approx(min(line["val_mae"] for line in lines), abs=1e-3)
    assert not network.training


def test_figures_are_those_of_all_validation_samples(unbroken, inputs):
    """Nine samples, of which one process has five and the other four: none counts twice, none is left out."""
    from agepred_train.dataset import FaceCrops
    from agepred_train.labels import collate
    from agepred_train.loss import expected_age

    collection, faces = inputs
    network, recipe = load_trained(unbroken.folder)
    val = FaceCrops(collection.part("val"), faces, side=recipe.crop_side)
    crops, labels, _ = collate([val[index] for index in range(len(val))])
    with torch.inference_mode():
        errors = (expected_age(network(crops)) - labels.age_min).abs()
    assert unbroken.val_mae == pytest.approx(errors.mean().item(), abs=0.3)  # validated in bfloat16


def test_resumed_pair_ends_as_an_unbroken_one(unbroken, inputs, tmp_path):
    """The last checkpoint of a run of two epochs is where the third of three begins."""
    train(dataclasses.replace(TOGETHER, epochs=2), *inputs, tmp_path / "part")
    start = json.loads((tmp_path / "part" / "start.json").read_text())
    start["recipe"]["epochs"] = 3
    (tmp_path / "part" / "start.json").write_text(json.dumps(start))
    train(TOGETHER, *inputs, tmp_path / "part", resume=True)
    states = [
        torch.load(run / "last.ckpt", weights_only=True)["state_dict"] for run in (unbroken.folder, tmp_path / "part")
    ]
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def _compare(rank, port, spoiled):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    network = nn.Linear(3, 3)
    nn.init.ones_(network.weight)
    nn.init.zeros_(network.bias)
    if spoiled and rank == 1:
        nn.init.constant_(network.bias, 1e-6)
    with pytest.raises(RuntimeError, match="train different weights") if spoiled else nullcontext():
        refuse_different(network)
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("spoiled", [False, True])
def test_processes_that_differ_are_noticed(spoiled):
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_compare, (port, spoiled), nprocs=2)
