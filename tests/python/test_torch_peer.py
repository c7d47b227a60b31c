"""PyTorch's rebuild of an exported model against ONNX Runtime on the same file."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
torch = pytest.importorskip("torch")

import onnxruntime  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from agepred_edge.torch_peer import PeerError, load_peer, read_temperature  # noqa: E402

SIDE, WIDTH, AGES = 16, 8, 117

METADATA = {
    "agepred.format": "1",
    "agepred.task": "age",
    "agepred.version": "0.0.1",
    "agepred.exact": "0",
    "agepred.record": "0" * 64,
    "agepred.crop.points": "0.30000,0.29000;0.70000,0.29000;0.50127,0.51860;0.33694,0.75278;0.66820,0.75095",
    "agepred.crop.detector": "yunet_n sha256:" + "0" * 64,
    "agepred.age.first": "0",
    "agepred.temperature": "1.5",
    "agepred.interval.level": "0.8",
    "agepred.groups": "0-25,26-50,51-75,76-116",
}


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs, [output], name=output, **attributes)


def pooled_by(variant):
    """From the map 'sum' to 'flat', in the ways in which exporters write it."""
    if variant == "pool":
        return [node("GlobalAveragePool", ["sum"], "pooled"), node("Flatten", ["pooled"], "flat")]
    if variant == "reshape":
        return [node("GlobalAveragePool", ["sum"], "pooled"), node("Reshape", ["pooled", "shape"], "flat")]
    return [node("ReduceMean", ["sum", "axes"], "flat", keepdims=0)]


def head_of(variant):
    if variant == "matmul":
        return [node("MatMul", ["flat", "head_w_t"], "product"), node("Add", ["product", "head_b"], "logits")]
    return [node("Gemm", ["flat", "head_w", "head_b"], "logits", transB=1)]


def age_graph(*, pool="mean", head="gemm", side=SIDE, seed=0, scale=1.0):
    """Nodes, weights of a small network with every operator that an exported age model has."""
    random = np.random.default_rng(seed)

    def weights(*shape):
        return (random.normal(0, scale / np.sqrt(np.prod(shape[1:])), shape)).astype(np.float32)

    head_w = weights(AGES, WIDTH)
    tensors = {
        "offset": np.float32(128),
        "divisor": np.float32(128),
        "six": np.float32(6),
        "zero": np.float32(0),
        "axes": np.array([2, 3], np.int64),
        "shape": np.array([0, -1], np.int64),
        "stem_w": weights(WIDTH, 3, 3, 3),
        "stem_b": weights(WIDTH, 1)[:, 0],
        "deep_w": weights(WIDTH, 1, 3, 3),
        "point_w": weights(WIDTH, WIDTH, 1, 1),
        "point_b": weights(WIDTH, 1)[:, 0],
        "head_w": head_w,
        "head_w_t": np.ascontiguousarray(head_w.T),
        "head_b": weights(AGES, 1)[:, 0],
    }
    nodes = [
        node("Cast", ["image"], "float", to=TensorProto.FLOAT),
        node("Sub", ["float", "offset"], "centered"),
        node("Div", ["centered", "divisor"], "scaled"),
        node("Conv", ["scaled", "stem_w", "stem_b"], "stem", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Clip", ["stem", "zero", "six"], "active"),
        node("Conv", ["active", "deep_w"], "deep", group=WIDTH, pads=[1, 1, 1, 1]),
        node("Relu", ["deep"], "positive"),
        node("Conv", ["positive", "point_w", "point_b"], "point"),
        node("Add", ["active", "point"], "sum"),
        *pooled_by(pool),
        *head_of(head),
    ]
    return nodes, tensors, side


def write_model(path, graph, *, metadata=METADATA):
    nodes, tensors, side = graph
    used = {name for one in nodes for name in one.input}
    body = helper.make_graph(
        nodes,
        "age",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 3, side, side])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", AGES])],
        [numpy_helper.from_array(value, name) for name, value in tensors.items() if name in used],
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def some_images(count=2, side=SIDE):
    return np.random.default_rng(3).integers(0, 256, (count, 3, side, side), dtype=np.uint8)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(
    ("pool", "head"), [("mean", "gemm"), ("pool", "gemm"), ("reshape", "gemm"), ("mean", "matmul")]
)
def test_gives_the_logits_of_onnx_runtime(tmp_path, pool, head, channels_last):
    path = write_model(tmp_path / "fp32.onnx", age_graph(pool=pool, head=head))
    images = some_images()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    expected = session.run(["logits"], {"image": images})[0]
    peer = load_peer(path, channels_last=channels_last)
    with torch.inference_mode():
        logits = peer(torch.from_numpy(images)).numpy()
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)


def test_is_made_of_modules_in_straight_line_code(tmp_path):
    peer = load_peer(write_model(tmp_path / "fp32.onnx", age_graph()))
    kinds = [type(module).__name__ for module in peer.children()]
    assert kinds == ["Conv2d", "ReLU6", "Conv2d", "ReLU", "Conv2d", "Linear"]
    assert "for " not in peer.code
    assert not peer.training
    assert not any(parameter.requires_grad for parameter in peer.parameters())


def test_activation_overwrites_only_what_nobody_else_reads(tmp_path):
    nodes, tensors, side = age_graph()
    # The sum now reads the stem before its activation too.
    nodes[8] = node("Add", ["stem", "point"], "sum")
    path = write_model(tmp_path / "fp32.onnx", (nodes, tensors, side))
    images = some_images()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    peer = load_peer(path)
    with torch.inference_mode():
        logits = peer(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(logits, session.run(None, {"image": images})[0], rtol=0, atol=1e-5)
    assert [module.inplace for module in peer.children() if hasattr(module, "inplace")] == [False, True]


def test_channels_last_stores_weights_so(tmp_path):
    peer = load_peer(write_model(tmp_path / "fp32.onnx", age_graph()), channels_last=True)
    stem = next(peer.children()).weight
    assert stem.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("index", "replacement", "cause"),
    [
        (4, node("Sigmoid", ["stem"], "active"), "unknown operator Sigmoid"),
        (3, node("Conv", ["scaled", "stem_w"], "stem", strides=[2, 2], pads=[0, 0, 1, 1]), "symmetric"),
        (10, node("Gemm", ["flat", "head_w", "head_b"], "logits", transB=1, alpha=2.0), "scales"),
        (9, node("ReduceMean", ["sum"], "flat"), "names no axes"),
        (0, node("Cast", ["image"], "float", to=TensorProto.DOUBLE), "Cast to DOUBLE"),
    ],
)
def test_names_what_it_cannot_rebuild(tmp_path, index, replacement, cause):
    nodes, tensors, side = age_graph()
    nodes[index] = replacement
    path = tmp_path / "odd.onnx"
    body = helper.make_graph(
        nodes,
        "age",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 3, side, side])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", AGES])],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    onnx.save(helper.make_model(body), path)
    with pytest.raises(PeerError, match=cause) as caught:
        load_peer(path)
    assert str(path) in str(caught.value)


def test_refuses_what_is_no_model(tmp_path):
    text = tmp_path / "fp32.onnx"
    text.write_text("these are no weights")
    with pytest.raises(PeerError, match="not an ONNX file"):
        load_peer(text)
    with pytest.raises(FileNotFoundError):
        load_peer(tmp_path / "absent.onnx")


def test_reads_the_temperature(tmp_path):
    assert read_temperature(write_model(tmp_path / "a.onnx", age_graph())) == 1.5
    assert read_temperature(write_model(tmp_path / "b.onnx", age_graph(), metadata={})) == 1.0
