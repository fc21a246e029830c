"""TensorRT's runtime without a GPU: it computes the toy network on the addresses it is given, and checks every call.

A plan is JSON: for each tensor its largest shape, -1 for the batch, and for each input how many pictures at most.
"""

import ctypes
import json
from contextlib import contextmanager
from enum import Enum
from types import SimpleNamespace

import numpy as np
import torch
from networks import expected

STREAM = 4711  # the handle of the fake device's stream
SCRATCH = 1000  # bytes


class FakeDevice:
    """A processor that writes down what a GPU would be told."""

    name = torch.device("cpu")
    stream = STREAM

    def __init__(self):
        self.inside = False
        self.calls = []

    @contextmanager
    def ordered(self):
        self.inside = True
        yield
        self.inside = False

    def captured(self, run):
        run()
        self.calls.append("capture")

        def replay():
            self.calls.append("replay")
            run()

        return replay


class DataType(Enum):
    FLOAT = 0
    HALF = 1
    UINT8 = 2
    INT64 = 3


def plan(height=32, width=64, batch=4, *, ab="FLOAT"):
    """A plan of the toy network of `networks.write_network`."""
    small = [-1, 2, height // 4, width // 4], [-1, 1, height // 4, width // 4]
    return json.dumps(
        {
            "light": ["INPUT", "FLOAT", [-1, 1, -1, -1], [batch, 1, height, width]],
            "vividness": ["INPUT", "FLOAT", [1], [1]],
            "ab": ["OUTPUT", ab, small[0], None],
            "confidence": ["OUTPUT", "FLOAT", small[1], None],
        }
    ).encode()


class FakeTensorRT:
    """A module like tensorrt or tensorrt_rtx; `fails` names the calls that do not succeed."""

    __version__ = "0"
    ILogger = type("ILogger", (), {})
    DataType = DataType
    TensorIOMode = SimpleNamespace(INPUT="INPUT", OUTPUT="OUTPUT")
    ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="USER_MANAGED")
    CudaGraphStrategy = SimpleNamespace(WHOLE_GRAPH_CAPTURE="WHOLE")

    def __init__(self, device, *, name="tensorrt", fails=()):
        self.__name__ = name
        self.device, self.fails = device, fails
        self.contexts = []

    def Runtime(self, logger):  # noqa: N802  # the name is TensorRT's
        self.logger = logger
        return SimpleNamespace(deserialize_cuda_engine=self._engine)

    def _engine(self, content):
        return self.answer("deserialize", Engine(self, json.loads(content)))

    def answer(self, call, good, bad=None):
        if call not in self.fails:
            return good
        complaint = f"{call} went wrong"
        self.logger.log(1, complaint)
        return bad


class Engine:
    device_memory_size_v2 = SCRATCH

    def __init__(self, trt, tensors):
        self.trt, self.tensors = trt, tensors
        self.num_io_tensors = len(tensors)

    def get_tensor_name(self, index):
        return list(self.tensors)[index]

    def get_tensor_mode(self, name):
        return self.tensors[name][0]

    def get_tensor_dtype(self, name):
        return DataType[self.tensors[name][1]]

    def get_tensor_shape(self, name):
        return self.tensors[name][2]

    def get_tensor_profile_shape(self, name, index):
        assert index == 0
        assert -1 in self.tensors[name][2], "a fixed shape has no profile"
        most = self.tensors[name][3]
        return [1, *most[1:]], most, most

    def create_runtime_config(self):
        assert self.trt.__name__ == "tensorrt_rtx"
        config = SimpleNamespace()
        config.set_execution_context_allocation_strategy = lambda strategy: setattr(config, "memory", strategy)
        return config

    def create_execution_context(self, how):
        if self.trt.__name__ == "tensorrt_rtx":
            assert (how.memory, how.cuda_graph_strategy) == ("USER_MANAGED", "WHOLE")
        else:
            assert how == "USER_MANAGED"
        return self.trt.answer("context", Context(self.trt, self))


class Context:
    def __init__(self, trt, engine):
        self.trt, self.engine = trt, engine
        self.shapes, self.addresses, self.memory, self.runs = {}, {}, None, 0
        trt.contexts.append(self)

    def set_device_memory(self, address, size):
        assert size >= SCRATCH
        self.memory = address

    def set_input_shape(self, tensor, shape):
        assert not self.addresses, "a context that may be in a graph is left alone"
        most = self.engine.get_tensor_profile_shape(tensor, 0)[2] if len(shape) > 1 else [1]
        fits = shape[0] <= most[0] and tuple(shape[1:]) == tuple(most[1:])
        self.shapes[tensor] = tuple(shape)
        return self.trt.answer("shape", fits, bad=False)

    def get_tensor_shape(self, tensor):
        return [self.shapes["light"][0], *self.engine.get_tensor_shape(tensor)[1:]]

    def set_tensor_address(self, tensor, address):
        self.addresses[tensor] = address
        return self.trt.answer("address", good=True, bad=False)

    def execute_async_v3(self, stream):
        assert stream == STREAM
        assert self.trt.device.inside, "outside of the order between the caller's stream and ours"
        assert self.memory
        assert self.shapes.keys() == {"light", "vividness"}
        assert self.addresses.keys() == self.engine.tensors.keys()
        light, vividness = (self._at(tensor, self.shapes[tensor]) for tensor in ("light", "vividness"))
        ab, confidence = (self._at(tensor, self.get_tensor_shape(tensor)) for tensor in ("ab", "confidence"))
        ab[:] = expected(light, vividness[0])
        confidence[:] = 0.5
        self.runs += 1
        return self.trt.answer("execute", good=True, bad=False)

    def _at(self, tensor, shape):
        kind = ctypes.c_float * int(np.prod(shape))
        return np.frombuffer(kind.from_address(self.addresses[tensor]), np.float32).reshape(shape)
