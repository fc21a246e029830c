"""Rewritten in half precision, a network gives the same colors, and TensorRT takes it."""

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from networks import write_network
from onnx import TensorProto, helper, numpy_helper

from streamcolor.backends import known_models
from streamcolor.backends.engines import Profile, build
from streamcolor.backends.half import halved

SHIPPED = known_models()["tiny-fp32"]


@pytest.fixture(scope="module")
def shipped():
    return onnx.load(SHIPPED)


def lights(count=2, height=64, width=128, seed=0):
    """Soft shapes, as in a photograph."""
    rng = np.random.default_rng(seed)
    small = rng.uniform(0, 100, (count, height // 16, width // 16)).astype(np.float32)
    large = [cv2.resize(each, (width, height), interpolation=cv2.INTER_CUBIC) for each in small]
    return np.clip(np.stack(large)[:, None], 0, 100)


def run(onnx_bytes, light_N1hw, vividness=0.5):
    session = onnxruntime.InferenceSession(onnx_bytes, providers=["CPUExecutionProvider"])
    return session.run(["ab", "confidence"], {"light": light_N1hw, "vividness": np.array([vividness], np.float32)})


def types(model):
    """The element type of every value, by name, as ONNX itself infers it."""
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    return {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}


@pytest.mark.parametrize("vividness", [0.0, 0.5, 1.0])
def test_the_shipped_network_keeps_its_colors(shipped, vividness):
    light = lights()
    ab, confidence = run(SHIPPED.read_bytes(), light, vividness)
    half_ab, half_confidence = run(halved(shipped), light, vividness)
    assert np.abs(ab).mean() > 1
    assert np.abs(half_ab - ab).mean() < 0.05  # CIE units; one code of chroma is about 0.5
    assert np.abs(half_confidence - confidence).max() < 0.01


def test_every_convolution_of_the_network_computes_in_half_precision_and_the_palette_does_not(shipped):
    model = onnx.load_from_string(halved(shipped))
    onnx.checker.check_model(model, full_check=True)
    found = types(model)
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    single = [node.input[1] for node in convolutions if found[node.output[0]] == TensorProto.FLOAT]
    assert single == ["moments", "moments"]
    assert len(convolutions) == 28
    after = {"Exp", "Div", "Pow", "Reciprocal"}
    outputs = [node.output[0] for node in model.graph.node if node.op_type in after]
    assert {found.get(name, TensorProto.FLOAT) for name in outputs} <= {TensorProto.FLOAT, TensorProto.INT64}


def test_no_value_goes_back_and_forth(shipped):
    model = onnx.load_from_string(halved(shipped))
    casts = [node.input[0] for node in model.graph.node if node.op_type == "Cast"]
    assert casts == ["moments.half", "pixel_unshuffle", "conv2d_25.in_half"]


def test_inputs_outputs_and_the_card_stay_as_they_are(shipped):
    model = onnx.load_from_string(halved(shipped))
    assert model.graph.input == shipped.graph.input
    assert model.graph.output == shipped.graph.output
    assert model.metadata_props == shipped.metadata_props


def test_weights_in_single_precision_are_stored_in_half(tmp_path):
    path = write_network(tmp_path / "toy.onnx")
    model = onnx.load_from_string(halved(onnx.load(path)))
    onnx.checker.check_model(model, full_check=True)
    stored = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert stored == {"parts": TensorProto.INT64, "weights.to_half": TensorProto.FLOAT16}
    ab, confidence = run(path.read_bytes(), lights())
    half_ab, half_confidence = run(model.SerializeToString(), lights())
    assert np.abs(half_ab - ab).max() < 0.1
    assert np.abs(half_confidence - confidence).max() < 0.01


def test_a_value_that_is_needed_in_both_precisions_is_had_in_both():
    """The light feeds a convolution and the sum at the end; a convolution's result is an output and is used again."""
    weights = numpy_helper.from_array(np.full((1, 1, 4, 4), 1 / 16, np.float32), "weights")
    four = {"kernel_shape": [4, 4], "strides": [4, 4]}
    nodes = [
        helper.make_node("Conv", ["light", "weights"], ["ab"], **four),
        helper.make_node("Relu", ["ab"], ["positive"]),
        helper.make_node("ReduceMean", ["light"], ["mean"], keepdims=1),
        helper.make_node("Add", ["positive", "mean"], ["sum"]),
        helper.make_node("Mul", ["sum", "vividness"], ["confidence"]),
    ]
    names = [
        ("light", ["N", 1, "h", "w"]),
        ("vividness", [1]),
        ("ab", ["N", 1, "a", "b"]),
        ("confidence", ["N", 1, "a", "b"]),
    ]
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in names]
    graph = helper.make_graph(nodes, "both", tensors[:2], tensors[2:], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    rewritten = onnx.load_from_string(halved(model))
    onnx.checker.check_model(rewritten, full_check=True)
    light = lights()
    for before, after in zip(run(model.SerializeToString(), light), run(halved(model), light), strict=True):
        assert np.abs(before - after).max() < 0.1


@pytest.mark.parametrize("target", ["8.6", "8.9"])
def test_tensorrt_builds_it_for_two_generations_of_gpus_at_half_the_size(shipped, target):
    profiles = {"light": Profile((1, 1, 128, 256), (16, 1, 128, 256), (64, 1, 128, 256))}
    single, half = (build(each, profiles, targets=[target]) for each in (SHIPPED.read_bytes(), halved(shipped)))
    assert len(half) < 0.6 * len(single)
