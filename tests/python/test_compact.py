"""Compacted model files: the same answers to the bit from fewer bytes, and nothing that others refer to renamed."""

import itertools

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny_set import crops, make_run

from agepred_train import quantize as quantizing
from agepred_train.compact import compact
from agepred_train.export import export
from agepred_train.quantize import Quantization, quantize_graph

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def value(name, shape=("n", 4), kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, list(shape))


def model_of(nodes, inputs, outputs, constants):
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def compacted(model):
    result = onnx.ModelProto.FromString(model.SerializeToString())
    compact(result)
    onnx.checker.check_model(result, full_check=True)
    return result


def answers(model, inputs):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # constants that nothing reads are part of the tests
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return {
        output.name: answer for output, answer in zip(session.get_outputs(), session.run(None, inputs), strict=True)
    }


def assert_same_answers(one, other, inputs):
    before, after = answers(one, inputs), answers(other, inputs)
    assert list(before) == list(after)
    for name, expected in before.items():
        assert (after[name].dtype, after[name].shape) == (expected.dtype, expected.shape)
        assert after[name].tobytes() == expected.tobytes(), name


def layers(model):
    return [(node.op_type, node.name) for node in model.graph.node if "uantizeLinear" not in node.op_type]


def random_model(seed):
    """A graph of sums and products of earlier tensors and constants, many of which are equal to others."""
    rng = np.random.default_rng(seed)
    kinds = [np.array([1.0, -0.0, 3.0, 0.5], np.float32), np.array([1.0, 0.0, 3.0, 0.5], np.float32),
             np.array(2.0, np.float32), np.array([2.0], np.float32)]  # fmt: skip
    constants = [
        numpy_helper.from_array(kinds[rng.integers(len(kinds))], f"constant_of_layer_{number}") for number in range(40)
    ]
    known, nodes = ["image", *(constant.name for constant in constants)], []
    for number in range(30):
        # The tensor before and anything else, so that each node depends on the input.
        first = nodes[-1].output[0] if nodes else "image"
        second = known[rng.integers(len(known))]
        kind = ("Add", "Sub", "Mul", "Max")[rng.integers(4)]
        nodes.append(helper.make_node(kind, [first, second], [f"answer_of_layer_{number}"], name=f"layer_{number}"))
        known.append(nodes[-1].output[0])
    last = helper.make_node("Tanh", [known[-1]], ["ages"], name="last")
    return model_of([*nodes, last], [value("image")], [value("ages"), value(nodes[7].output[0])], constants)


@pytest.fixture(scope="module")
def uncompacted(tmp_path_factory):
    """What the quantizer writes."""
    run = make_run(tmp_path_factory.mktemp("run"))
    plain = onnx.load(export(run, run / "fp32.onnx", version="0.1.0"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantizing, "compact", lambda model: None)
        return quantize_graph(plain, crops(32, 64), Quantization(crops=32))


@pytest.mark.parametrize("seed", range(6))
def test_random_graphs_answer_as_before(seed):
    model = random_model(seed)
    small = compacted(model)
    for rows in (1, 3):
        pixels = np.random.default_rng(seed + 100).normal(0, 1, (rows, 4)).astype(np.float32)
        assert_same_answers(model, small, {"image": pixels})
    assert small.ByteSize() < model.ByteSize()


def test_quantized_network_answers_as_before(uncompacted):
    small = compacted(uncompacted)
    assert_same_answers(uncompacted, small, {"image": crops(4, 64, 700)})
    noise = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64), np.uint8)
    assert_same_answers(uncompacted, small, {"image": noise})
    assert small.ByteSize() < 0.9 * uncompacted.ByteSize()


def test_equal_constants_stand_once(uncompacted):
    """However they are written: a zero point as a number of its own, and the same as a byte."""
    for model in (uncompacted, random_model(0)):
        contents = {(c.data_type, tuple(c.dims), numpy_helper.to_array(c).tobytes()) for c in model.graph.initializer}
        assert len(contents) < len(model.graph.initializer)
        small = compacted(model)
        assert len(small.graph.initializer) == len(contents)


def test_constants_that_only_look_alike_stay_apart():
    """Equal bytes of another type or shape, and zeros of either sign: 1 / x tells them apart."""
    zeros = {"plus": np.zeros(1, np.float32), "minus": -np.zeros(1, np.float32), "none": np.zeros((), np.float32)}
    constants = [numpy_helper.from_array(array, f"zero_{name}") for name, array in zeros.items()]
    constants += [numpy_helper.from_array(np.zeros(1, kind), f"zero_{kind.__name__}") for kind in (np.int32, np.uint32)]
    ones = [helper.make_node("Div", ["image", f"zero_{name}"], [name]) for name in zeros]
    casts = [helper.make_node("Identity", [f"zero_{kind}"], [kind]) for kind in ("int32", "uint32")]
    outputs = [*(value(name) for name in zeros), value("int32", [1], TensorProto.INT32)]
    outputs.append(value("uint32", [1], TensorProto.UINT32))
    model = model_of([*ones, *casts], [value("image")], outputs, constants)
    small = compacted(model)
    assert len(small.graph.initializer) == len(constants)
    assert_same_answers(model, small, {"image": np.ones((1, 4), np.float32)})


def test_names_that_others_use_stay(uncompacted):
    """Inputs, outputs, metadata, and the names of nodes, by which the quantizer's options mean layers."""
    for model in (uncompacted, random_model(3)):
        small = compacted(model)
        for part in ("input", "output"):
            assert list(getattr(small.graph, part)) == list(getattr(model.graph, part))
        assert list(small.metadata_props) == list(model.metadata_props)
        assert layers(small) == layers(model)
        assert [list(node.attribute) for node in small.graph.node] == [
            list(node.attribute) for node in model.graph.node
        ]


def test_short_names_that_are_taken_are_not_given_again():
    """Inputs and outputs are called a, c and e; constants and tensors between them b, d, f, in another order."""
    constants = [numpy_helper.from_array(np.float32(number), name) for number, name in ((2, "f"), (3, "d"), (5, "aa"))]
    nodes = [
        helper.make_node("Mul", ["a", "d"], ["b"]),
        helper.make_node("Add", ["b", "f"], ["c"]),
        helper.make_node("Sub", ["c", "e"], ["x"]),
        helper.make_node("Mul", ["x", "aa"], ["z"]),
    ]
    model = model_of(nodes, [value("a"), value("e")], [value("c"), value("z")], constants)
    small = compacted(model)
    between = {name for node in small.graph.node for name in node.output} | {c.name for c in small.graph.initializer}
    assert between == {"c", "z", "b", "d", "f", "g", "h"}
    inputs = {name: np.arange(4, dtype=np.float32)[None] + number for number, name in enumerate("ae")}
    assert_same_answers(model, small, inputs)


@pytest.mark.parametrize("count", [25, 26, 27, 26 + 26 * 26 + 3])
def test_names_go_on_after_z_and_after_zz(count):
    names = ["image", *(f"between_{number}" for number in range(count)), "ages"]
    nodes = [helper.make_node("Neg", [one], [other]) for one, other in itertools.pairwise(names)]
    small = compacted(model_of(nodes, [value("image")], [value("ages")], []))
    found = [node.output[0] for node in small.graph.node[:-1]]
    assert len(set(found)) == count
    assert found[:25] == list(LETTERS[:25])
    assert {len(name) for name in found} == {1} | ({2} if count > 26 else set()) | ({3} if count > 702 else set())


def test_inputs_that_are_left_out_stay_left_out():
    """An empty name is no tensor: an optional input in the middle, and Resize's region."""
    constants = [
        numpy_helper.from_array(np.float32(1.5), "highest_value"),
        numpy_helper.from_array(np.array([1, 2], np.float32), "scales_of_both"),
    ]
    nodes = [
        helper.make_node("Clip", ["image", "", "highest_value"], ["clipped_values"]),
        helper.make_node("Resize", ["clipped_values", "", "scales_of_both"], ["twice"], mode="nearest"),
    ]
    model = model_of(nodes, [value("image")], [value("twice", ["n", 8])], constants)
    small = compacted(model)
    assert [node.input[1] for node in small.graph.node] == ["", ""]
    assert_same_answers(model, small, {"image": np.linspace(-3, 3, 4, dtype=np.float32)[None]})


def test_constants_that_are_answers_or_defaults_of_inputs_stay():
    """Both were once replaced by an equal constant: the graph had an output that nothing made."""
    three = np.full((1, 4), 3, np.float32)
    constants = [numpy_helper.from_array(three, name) for name in ("inner", "bias", "answer")]
    nodes = [helper.make_node("Add", ["image", "inner"], ["sum"]), helper.make_node("Add", ["sum", "bias"], ["ages"])]
    inputs = [value("image"), value("bias", [1, 4])]
    model = model_of(nodes, inputs, [value("ages"), value("answer", [1, 4])], constants)
    small = compacted(model)
    pixels = np.ones((2, 4), np.float32)
    assert_same_answers(model, small, {"image": pixels})
    assert_same_answers(model, small, {"image": pixels, "bias": np.zeros((1, 4), np.float32)})


@pytest.mark.parametrize("kind", ["random", "quantized"])
def test_twice_is_once(kind, uncompacted):
    small = compacted(uncompacted if kind == "quantized" else random_model(5))
    assert compacted(small).SerializeToString(deterministic=True) == small.SerializeToString(deterministic=True)
