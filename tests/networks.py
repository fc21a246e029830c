"""Small networks with the contract of an exported one, written by hand."""

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper, save

CARD = {"name": "toy", "stride": "32", "pixels": "4096", "precision": "fp32", "license": "none"}


def write_network(path, *, card=CARD, names=("light", "vividness", "ab", "confidence"), reduction=4, seed=0):
    """Write an ONNX whose a and b are local averages of the light times random weights times vividness."""
    light, vividness, ab, confidence = names
    weights = np.random.default_rng(seed).normal(size=(3, 1, reduction, reduction)).astype(np.float32) / 16
    size = [reduction, reduction]
    nodes = [
        helper.make_node("Conv", [light, "weights"], ["features"], kernel_shape=size, strides=size),
        helper.make_node("Split", ["features", "parts"], ["colors", "doubt"], axis=1),
        helper.make_node("Mul", ["colors", vividness], [ab]),
        helper.make_node("Sigmoid", ["doubt"], [confidence]),
    ]
    graph = helper.make_graph(
        nodes,
        "toy",
        [_tensor(light, ["N", 1, "h", "w"]), _tensor(vividness, [1])],
        [_tensor(ab, ["N", 2, "a", "b"]), _tensor(confidence, ["N", 1, "a", "b"])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.array([2, 1]), "parts")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if card:
        helper.set_model_props(model, dict(card))
    save(model, path)
    return path


def expected(light_N1hw, vividness, seed=0):
    """What `write_network` computes, in numpy: a,b (N,2,h/4,w/4)."""
    weights = np.random.default_rng(seed).normal(size=(3, 1, 4, 4)).astype(np.float32) / 16
    count, _, height, width = light_N1hw.shape
    blocks = light_N1hw.reshape(count, height // 4, 4, width // 4, 4)
    return np.einsum("nhiwj,cij->nchw", blocks, weights[:2, 0]) * vividness


def _tensor(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


class OneColor(torch.nn.Module):
    """A network that says the same a,b everywhere."""

    def __init__(self, *ab):
        super().__init__()
        self.ab = torch.nn.Parameter(torch.tensor(ab, dtype=torch.float32)[None, :, None, None])
        self.sizes = []

    def forward(self, light):
        self.sizes.append(tuple(light.shape[2:]))
        return light

    def mean_color(self, light):
        return self.ab.expand(len(light), 2, light.shape[2] // 4, light.shape[3] // 4)
