"""The network on torch: the slow reference that the other backends are compared with, and the way to a GPU."""

from pathlib import Path
from typing import Any

import onnx
import torch

from streamcolor.backends import Prediction, check_contract, check_shapes, described, one_line
from streamcolor.color import Floats
from streamcolor.errors import BackendError
from streamcolor.nets.rebuild import rebuild


class TorchBackend:
    """Built from the weights of the same exported file, so that all backends run one network."""

    name = "torch"

    def __init__(self, path: Path, *, threads: int) -> None:
        torch.set_num_threads(threads)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.batch = 32 if self._device.type == "cuda" else 4
        self._module = rebuild(path).eval().to(self._device)
        model = onnx.load(path)
        check_contract(path, _dimensions(model.graph.input), _dimensions(model.graph.output))
        self.network = described(path, {entry.key: entry.value for entry in model.metadata_props})

    def predict(self, light_N1hw: Floats, *, vividness: float) -> Prediction:
        """See Backend."""
        light = torch.from_numpy(light_N1hw).to(self._device)
        strength = torch.tensor([vividness], dtype=torch.float32, device=self._device)
        try:
            with torch.inference_mode():
                ab, confidence = self._module(light, strength)
        except RuntimeError as error:
            raise BackendError(f"{self.network.path}: torch failed: {one_line(error)}") from error
        check_shapes(self.network.path, light_N1hw.shape, ab.shape, confidence.shape)
        return Prediction(ab.cpu().numpy(), confidence.cpu().numpy())

    def close(self) -> None:
        """See Backend."""
        self._module.to("cpu")


def _dimensions(tensors: Any) -> dict[str, int]:
    return {tensor.name: len(tensor.type.tensor_type.shape.dim) for tensor in tensors}
