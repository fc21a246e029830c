"""A network of integers is rewritten for TensorRT, and comes nearer to single precision, not further from it."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from streamcolor.backends import known_models
from streamcolor.backends.engines import Profile, build
from streamcolor.backends.integers import symmetric
from streamcolor.color import light_from_luma
from streamcolor.export import scenes
from streamcolor.frames import ColorSpace

SHIPPED = {name: onnx.load(known_models()[name]) for name in ("tiny", "tiny-fp32")}


@pytest.fixture(scope="module")
def rewritten():
    return symmetric(SHIPPED["tiny"])


def constants(model):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def nodes(model, kind):
    return [node for node in model.graph.node if node.op_type == kind]


def colors(model, light_N1hw):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["ab"], {"light": light_N1hw, "vividness": np.array([0.5], np.float32)})[0]


def test_it_is_a_valid_graph_with_the_same_inputs_and_outputs(rewritten):
    onnx.checker.check_model(rewritten, full_check=True)
    for part in ("input", "output"):
        before, after = (getattr(model.graph, part) for model in (SHIPPED["tiny"], rewritten))
        assert list(after) == list(before)
    assert [each.domain for each in rewritten.opset_import] == [""]


def test_what_is_given_is_not_changed():
    before = SHIPPED["tiny"].SerializeToString()
    symmetric(SHIPPED["tiny"])
    assert SHIPPED["tiny"].SerializeToString() == before


def test_integers_are_signed_and_without_zero_points(rewritten):
    known = constants(rewritten)
    for node in nodes(rewritten, "QuantizeLinear") + nodes(rewritten, "DequantizeLinear"):
        zero = known[node.input[2]]
        assert zero.dtype == np.int8
        assert not zero.any()
    assert {array.dtype for array in known.values()} <= {np.dtype(kind) for kind in ("int8", "float32", "int64")}


def test_convolutions_read_integers_and_what_they_give_is_not_rounded(rewritten):
    made_by = {name: node.op_type for node in rewritten.graph.node for name in node.output}
    assert {made_by.get(node.input[0]) for node in nodes(rewritten, "QuantizeLinear")}.isdisjoint({"Conv"})
    reading = [node for node in nodes(rewritten, "Conv") if made_by.get(node.input[0]) == "DequantizeLinear"]
    assert len(reading) == sum(array.dtype == np.int8 and array.ndim == 4 for array in constants(rewritten).values())
    assert len(reading) == 25


def test_its_colors_are_nearer_to_single_precision_than_they_were(rewritten):
    luma = scenes(3, 128, 192, ColorSpace())
    light = np.stack([light_from_luma(each, ColorSpace())[None] for each in luma])
    single, shipped, here = (colors(model, light) for model in (SHIPPED["tiny-fp32"], SHIPPED["tiny"], rewritten))
    assert np.abs(single).mean() > 3, "else there would be nothing to be near to"
    assert np.abs(here - single).mean() <= np.abs(shipped - single).mean() < 0.5


def rounded_once(zero, scale=0.5):
    """A graph that rounds its input to unsigned integers and gives it back."""
    tensors = [
        helper.make_tensor("scale", TensorProto.FLOAT, [], [scale]),
        helper.make_tensor("zero", TensorProto.UINT8, [], [zero]),
    ]
    steps = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["integers"]),
        helper.make_node("DequantizeLinear", ["integers", "scale", "zero"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"]) for name in "xy")
    graph = helper.make_graph(steps, "rounding", [x], [y], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize("zero", [0, 1, 100, 128, 255])
def test_the_whole_range_is_kept_whatever_the_zero_point_was(zero):
    values = np.linspace(-zero * 0.5, (255 - zero) * 0.5, 50, dtype=np.float32)
    model = symmetric(rounded_once(zero)).SerializeToString()
    (found,) = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"x": values})
    step = max(zero, 255 - zero) * 0.5 / 127
    assert np.abs(found - values).max() <= step / 2 * 1.001


def test_tensorrt_builds_it(rewritten):
    pytest.importorskip("tensorrt_rtx")
    shape = (1, 128, 192)
    assert build(rewritten.SerializeToString(), {"light": Profile((1, *shape), (2, *shape), (4, *shape))})
