"""The network on ONNX Runtime: the runtime for processors other than x86-64."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as states

from streamcolor.backends import Prediction, check_contract, check_shapes, described, one_line
from streamcolor.color import Floats
from streamcolor.errors import BackendError

FAILURES: Final[tuple[type[Exception], ...]] = (  # ONNX Runtime's own have no base class of their own
    RuntimeError,
    *(kind for kind in vars(states).values() if isinstance(kind, type) and issubclass(kind, Exception)),
)


class OnnxBackend:
    """All pictures in one call, each layer split over the threads."""

    name = "onnx"
    batch = 4  # more brings nothing on a processor

    def __init__(self, path: Path, *, threads: int) -> None:
        self._session: Any = _session(path, threads)
        inputs, outputs = (
            {tensor.name: len(tensor.shape) for tensor in tensors}
            for tensors in (self._session.get_inputs(), self._session.get_outputs())
        )
        check_contract(path, inputs, outputs)
        self.network = described(path, self._session.get_modelmeta().custom_metadata_map)
        smallest = np.zeros((1, 1, self.network.stride, self.network.stride), np.float32)
        self.predict(smallest, vividness=0)  # does it fit?

    def predict(self, light_N1hw: Floats, *, vividness: float) -> Prediction:
        """See Backend."""
        feed = {"light": light_N1hw, "vividness": np.array([vividness], np.float32)}
        try:
            ab, confidence = self._session.run(["ab", "confidence"], feed)
        except FAILURES as error:
            raise BackendError(f"{self.network.path}: ONNX Runtime failed: {one_line(error)}") from error
        check_shapes(self.network.path, light_N1hw.shape, ab.shape, confidence.shape)
        return Prediction(ab, confidence)

    def close(self) -> None:
        """See Backend."""
        self._session = None


def _session(path: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the cores have other work
    options.log_severity_level = 4  # what goes wrong is raised
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except FAILURES as error:
        raise BackendError(f"{path}: ONNX Runtime cannot load it: {one_line(error)}") from error
