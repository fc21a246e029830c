"""A network in int8 as TensorRT takes it: signed, no zero points, no rounded biases or outputs of convolutions.

ONNX Runtime's quantizer writes what suits processors: unsigned, with zero points, rounded before and after each layer.
"""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper


def symmetric(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the network rewritten; its inputs and outputs stay as they are."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    work = _Rewriting(graph)
    nodes = [node for node in graph.node for node in work.rewritten(node)]
    read = {name for node in nodes for name in node.input}
    constants = [tensor for tensor in (*graph.initializer, *work.added) if tensor.name in read]
    del graph.node[:], graph.initializer[:], result.opset_import[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
    result.opset_import.extend(each for each in model.opset_import if not each.domain)  # the quantizer names others
    return result


class _Rewriting:
    """What is known of a graph while its nodes are gone through, in order."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.added: list[TensorProto] = []
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self._convolved = {node.output[0] for node in graph.node if node.op_type == "Conv"}
        self._instead: dict[str, str] = {}  # of a tensor that is not made any more
        self._scales: dict[str, tuple[str, str]] = {}  # scale and zero point of a tensor of integers

    def rewritten(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """Give what takes the place of a node: itself, or nothing."""
        node.input[:] = [self._instead.get(name, name) for name in node.input]
        if node.op_type == "QuantizeLinear":
            yield from self._rounded(node)
        elif node.op_type == "DequantizeLinear":
            yield from self._restored(node)
        else:
            yield node

    def _rounded(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        value, scale, zero = node.input
        made = node.output[0]
        if value in self._convolved:
            self._instead[made] = value
            return
        below = int(self._constants[zero])  # codes of 0..255 that lie below zero
        reach = max(below, 255 - below) * float(self._constants[scale]) / 127
        self._scales[made] = self._add(f"{made}.scale", np.float32(reach)), self._add(f"{made}.zero", np.int8(0))
        node.input[1:] = self._scales[made]
        yield node

    def _restored(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        value, made = node.input[0], node.output[0]
        if value in self._scales:
            node.input[1:] = self._scales[value]
            yield node
        elif value not in self._constants:  # it was not rounded
            self._instead[made] = value
        elif self._constants[value].dtype == np.int32:
            self._add(made, np.float32(self._constants[value] * self._constants[node.input[1]]))
        else:
            yield node

    def _add(self, name: str, value: np.ndarray | np.generic) -> str:
        self.added.append(numpy_helper.from_array(np.asarray(value), name))
        return name
