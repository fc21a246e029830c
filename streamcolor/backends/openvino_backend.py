"""The network on OpenVINO: the fastest runtime on x86-64."""

from collections import OrderedDict
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import openvino
from openvino import frontend, opset13

from streamcolor.backends import Network, Prediction, check_contract, check_shapes, described, one_line
from streamcolor.color import Floats
from streamcolor.errors import BackendError

# OpenVINO's own classes for the frontend's failures derive from Exception; everything else is a RuntimeError.
FAILURES: Final = (
    RuntimeError,
    frontend.GeneralFailure,
    frontend.InitializationFailure,
    frontend.NotImplementedFailure,
    frontend.OpConversionFailure,
    frontend.OpValidationFailure,
)
SHAPES_KEPT: Final = 8  # compiled input sizes, about 20 MB each; a run of cameras has one or two


class OpenVinoBackend:
    """One picture per thread: splitting a picture over threads costs more processor time than it saves.

    A dynamic shape is slow, so every input size is compiled once (0.2 s) and kept, and the vividness with it: as a
    constant it lets the palette's arithmetic stay in one memory layout (a fifth of the time). Precision is that of the
    file: OpenVINO would compute in bf16 on some processors and not on others, and colors must not depend on that.
    """

    name = "openvino"

    def __init__(self, path: Path, *, threads: int) -> None:
        self.batch = max(4, threads)
        self._options = {
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False,  # the cores are shared with the decoder and the encoder
        }
        self._threads = threads
        self._model = _read(path)
        self.network = _describe(path, self._model)
        self._requests: OrderedDict[tuple[int, int, float], list[Any]] = OrderedDict()
        self._fitted([1, 1, self.network.stride, self.network.stride], 0.0)

    def predict(self, light_N1hw: Floats, *, vividness: float) -> Prediction:
        """See Backend: pictures go to the threads in turn, and come back in order."""
        height, width = light_N1hw.shape[2:]
        requests = self._compiled(height, width, vividness)
        count = len(light_N1hw)
        ab = np.empty((count, 2, height // 4, width // 4), np.float32)
        confidence = np.empty((count, 1, height // 4, width // 4), np.float32)

        def collect(index: int) -> None:
            request = requests[index % len(requests)]
            request.wait()
            ab[index] = request.get_tensor("ab").data[0]
            confidence[index] = request.get_tensor("confidence").data[0]

        try:
            for index in range(count):
                if index >= len(requests):
                    collect(index - len(requests))
                picture = light_N1hw[index : index + 1]
                requests[index % len(requests)].start_async({"light": picture}, share_inputs=True)
            for index in range(max(0, count - len(requests)), count):
                collect(index)
        except RuntimeError as error:
            raise BackendError(f"{self.network.path}: OpenVINO failed: {one_line(error)}") from error
        return Prediction(ab, confidence)

    def close(self) -> None:
        """See Backend."""
        self._requests.clear()

    def _compiled(self, height: int, width: int, vividness: float) -> list[Any]:
        """Return an infer request per thread for this input size and vividness."""
        key = (height, width, vividness)
        if key not in self._requests:
            self._requests[key] = self._compile([1, 1, height, width], vividness)
            if len(self._requests) > SHAPES_KEPT:
                self._requests.popitem(last=False)
        self._requests.move_to_end(key)
        return self._requests[key]

    def _compile(self, light: list[int], vividness: float) -> list[Any]:
        model = self._fitted(light, vividness)
        try:
            compiled = _core().compile_model(model, "CPU", self._options)
        except RuntimeError as error:
            raise BackendError(f"{self.network.path}: OpenVINO cannot compile it: {one_line(error)}") from error
        return [compiled.create_infer_request() for _ in range(self._threads)]

    def _fitted(self, light: list[int], vividness: float) -> Any:
        """Return the model for one input shape and vividness, its outputs checked."""
        path = self.network.path
        model = self._model.clone()
        try:
            model.reshape({"light": light, "vividness": [1]})
            asked = next(parameter for parameter in model.get_parameters() if "vividness" in parameter.output(0).names)
            asked.output(0).replace(opset13.constant(np.array([vividness], np.float32)).output(0))
            model.remove_parameter(asked)
            model.validate_nodes_and_infer_types()
            ab, confidence = ([*model.output(name).shape] for name in ("ab", "confidence"))
        except RuntimeError as error:
            raise BackendError(f"{path}: cannot take light {light}: {one_line(error)}") from error
        check_shapes(path, light, ab, confidence)
        return model


@cache
def _core() -> Any:
    """Return OpenVINO's plugins, one set for the process and for good.

    They give the thread that first compiles another stack for its signals, and take it away when they go. Of two sets,
    the second puts back the stack that the first has unmapped, and the next signal, a Ctrl-C, kills the process.
    """
    return openvino.Core()


def _read(path: Path) -> Any:
    """Read with the ONNX frontend alone: `Core.read_model` tries them all, and they print."""
    reader = frontend.FrontEndManager().load_by_framework("onnx")
    try:
        return reader.convert(reader.load(str(path)))
    except FAILURES as error:
        raise BackendError(f"{path}: not a readable ONNX file: {one_line(error)}") from error


def _describe(path: Path, model: Any) -> Network:
    inputs, outputs = (
        {tensor.any_name: len(tensor.partial_shape) for tensor in tensors} for tensors in (model.inputs, model.outputs)
    )
    check_contract(path, inputs, outputs)
    metadata = model.get_rt_info()["framework"] if model.has_rt_info("framework") else {}
    return described(path, {key: value.astype(str) for key, value in metadata.items()})
