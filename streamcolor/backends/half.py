"""A network in half precision: the file in single precision rewritten, since TensorRT takes precision from the graph.

What comes before the first convolution and after the last stays in single precision: L* in, and the palette's
arithmetic, whose exponentials half precision would cut off.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Operators that compute as well in half precision, with the number of their inputs that hold values (0: all do).
SAFE: Final = {
    "Add": 0,
    "AveragePool": 1,
    "Concat": 0,
    "Conv": 0,
    "GlobalAveragePool": 1,
    "MaxPool": 1,
    "Mul": 0,
    "ReduceMean": 1,
    "Relu": 0,
    "Resize": 1,
}


def halved(model: onnx.ModelProto) -> bytes:
    """Return the network, serialized, with its convolutions in half precision; inputs and outputs stay as they are."""
    graph = model.graph
    work = _Rewriting(graph)
    nodes = [new for node in graph.node for new in work.rewritten(node)]
    used = {name for node in nodes for name in node.input} | {tensor.name for tensor in graph.output}
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for repeated in (result.graph.node, result.graph.initializer, result.graph.value_info):
        del repeated[:]
    result.graph.node.extend(node for node in nodes if node.op_type != "Cast" or node.output[0] in used)
    result.graph.initializer.extend(tensor for tensor in (*graph.initializer, *work.constants) if tensor.name in used)
    return bytes(result.SerializeToString())


class _Rewriting:
    """One pass over a graph, whose nodes come in the order of their execution."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.constants: list[TensorProto] = []  # made on the way
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        self._outputs = {tensor.name for tensor in graph.output}
        self._half: dict[str, str] = {}  # a value → its name in half precision
        self._weights = set(self._stored)  # values that do not depend on the input
        self._network: set[str] = set()  # values that convolutions made, in half precision
        self._single: set[str] = set()  # those of them that have been cast back too
        self._after: set[str] = set()  # values that come after the network

    def rewritten(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """Give the nodes that take this one's place."""
        count = SAFE.get(node.op_type)
        values = [name for name in node.input[: count or None] if name]
        if node.op_type == "Cast" and _is_half(self._stored.get(node.input[0])):
            self._half[node.output[0]] = node.input[0]  # a weight stored in half precision
            self._weights.add(node.output[0])
            yield node
        elif count is not None and self._runs_in_half(node.op_type, values):
            yield from self._in_half(node, values)
        else:
            for name in self._network.intersection(node.input) - self._single:
                yield self._back(name)
            if (self._network | self._after).intersection(node.input):
                self._after.update(node.output)
            yield node

    def _runs_in_half(self, operator: str, values: list[str]) -> bool:
        if operator == "Conv":
            return not self._after.intersection(values)
        return bool(self._network.intersection(values)) and self._network | self._weights >= set(values)

    def _in_half(self, node: onnx.NodeProto, values: list[str]) -> Iterator[onnx.NodeProto]:
        for name in dict.fromkeys(values):
            if name in self._half:
                continue
            self._half[name] = f"{name}.to_half"
            if name in self._stored:
                weights = numpy_helper.to_array(self._stored[name]).astype(np.float16)
                self.constants.append(numpy_helper.from_array(weights, self._half[name]))
            else:
                yield helper.make_node("Cast", [name], [self._half[name]], to=TensorProto.FLOAT16)
        result = onnx.NodeProto()
        result.CopyFrom(node)
        result.input[: len(values)] = [self._half[name] for name in values]
        for index, name in enumerate(node.output):
            result.output[index] = self._half[name] = f"{name}.in_half"
            self._network.add(name)
        yield result
        for name in self._outputs.intersection(node.output):
            yield self._back(name)

    def _back(self, name: str) -> onnx.NodeProto:
        self._single.add(name)
        return helper.make_node("Cast", [self._half[name]], [name], to=TensorProto.FLOAT)


def _is_half(tensor: TensorProto | None) -> bool:
    return tensor is not None and tensor.data_type == TensorProto.FLOAT16
