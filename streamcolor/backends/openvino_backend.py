"""The network on OpenVINO: the fastest runtime on x86-64."""

import hashlib
import json
from collections import OrderedDict
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import openvino
from openvino import frontend, opset13

from streamcolor.backends import Prediction, check_contract, check_shapes, described, one_line
from streamcolor.backends.kept import cache_folder, kept, key_of
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

    A dynamic shape is slow, so every input size is compiled once, and the vividness with it: as a constant it lets the
    palette's arithmetic stay in one memory layout (a fifth of the time). That takes half a second, so what was compiled
    is kept on disk, and read from there in a quarter of it; the file itself is then not even parsed. Precision is that
    of the file: OpenVINO would compute in bf16 on some processors and not on others, and colors must not depend on it.
    """

    name = "openvino"

    def __init__(self, path: Path, *, threads: int) -> None:
        self.batch = max(2, threads)  # one is prepared or handed on while another is predicted
        self._options = {
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False,  # the cores are shared with the decoder and the encoder
        }
        self._threads = threads
        self._path = path
        try:
            self._onnx = path.read_bytes()  # whatever becomes of the file: another input size is compiled from the same
        except OSError as error:
            raise BackendError(f"cannot read {path}: {error.strerror}") from error
        self._facts = {
            "onnx": hashlib.sha256(self._onnx).hexdigest(),
            "openvino": openvino.__version__,
            "processor": [_core().get_property("CPU", "FULL_DEVICE_NAME"), cv2.getCPUFeaturesLine()],
            "options": self._options,
        }
        self._requests: OrderedDict[tuple[int, int, float], list[Any]] = OrderedDict()
        self.network = described(path, kept(self._place("about"), self._read, json.loads))

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
        def make() -> tuple[bytes, Any]:
            model = _fitted(self._path, self._parsed(), light, vividness)
            try:
                compiled = _core().compile_model(model, "CPU", self._options)
            except RuntimeError as error:
                raise BackendError(f"{self._path}: OpenVINO cannot compile it: {one_line(error)}") from error
            return compiled.export_model().getvalue(), compiled

        def load(content: bytes) -> Any:
            try:
                return _core().import_model(content, "CPU", self._options)
            except RuntimeError as error:
                raise BackendError(f"OpenVINO cannot read what it compiled: {one_line(error)}") from error

        compiled = kept(self._place("compiled", light=light, vividness=vividness), make, load)
        return [compiled.create_infer_request() for _ in range(self._threads)]

    def _read(self) -> tuple[bytes, dict[str, str]]:
        """Return the file's metadata, as JSON and as it is, if it holds a network as we know them."""
        model = self._parsed()
        metadata = _metadata(self._path, model)
        stride = described(self._path, metadata).stride
        _fitted(self._path, model, [1, 1, stride, stride], 0.0)
        return json.dumps(metadata).encode(), metadata

    def _parsed(self) -> Any:
        """Read with the ONNX frontend alone: `Core.read_model` tries them all, and they print."""
        reader = frontend.FrontEndManager().load_by_framework("onnx")
        try:
            return reader.convert(reader.load(BytesIO(self._onnx)))
        except FAILURES as error:
            raise BackendError(f"{self._path}: not a readable ONNX file: {one_line(error)}") from error

    def _place(self, kind: str, **facts: object) -> Path:
        return cache_folder("openvino") / f"{self._path.stem}-{key_of(self._facts | facts)}.{kind}"


@cache
def _core() -> Any:
    """Return OpenVINO's plugins, one set for the process and for good.

    They give the thread that first compiles another stack for its signals, and take it away when they go. Of two sets,
    the second puts back the stack that the first has unmapped, and the next signal, a Ctrl-C, kills the process.
    """
    return openvino.Core()


def _metadata(path: Path, model: Any) -> dict[str, str]:
    inputs, outputs = (
        {tensor.any_name: len(tensor.partial_shape) for tensor in tensors} for tensors in (model.inputs, model.outputs)
    )
    check_contract(path, inputs, outputs)
    metadata = model.get_rt_info()["framework"] if model.has_rt_info("framework") else {}
    return {key: value.astype(str) for key, value in metadata.items()}


def _fitted(path: Path, model: Any, light: list[int], vividness: float) -> Any:
    """Return the model, changed, for one input shape and vividness, its outputs checked."""
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
