"""The network on TensorRT: for NVIDIA GPUs, in half precision, an engine for every input size."""

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from streamcolor.backends import Prediction, check_contract, check_shapes, described, one_line, single_precision
from streamcolor.backends.engine_cache import Recipe, cached
from streamcolor.backends.engine_session import Device, Gpu, Session
from streamcolor.backends.engines import Profile, load_tensorrt, why_not_for
from streamcolor.backends.gpu import gpu
from streamcolor.backends.half import halved
from streamcolor.color import Floats
from streamcolor.errors import BackendError, ConfigError
from streamcolor.nets.rebuild import card_of, dimensions, read

LARGEST_BATCH: Final = 64
SIZES_KEPT: Final = 4  # engines in the GPU's memory; a run of cameras has one or two input sizes


class TensorRTBackend:
    """Runs the file in single precision, rewritten in half: int8 as processors take it has no gain on a GPU.

    Of a network of integers `name.onnx`, the file `name-fp32.onnx` beside it is taken. Engines are built when an input
    size is first seen, and kept on disk.
    """

    name = "tensorrt"
    batch = 16

    def __init__(self, path: Path, *, threads: int, trt: Any = None, device: Device | None = None) -> None:
        """`threads` has no meaning on a GPU. A test brings its own TensorRT and device."""
        del threads
        path = single_precision(described(path, card_of(read(path))))
        model = read(path)
        check_contract(path, dimensions(model.graph.input), dimensions(model.graph.output))
        self.network = replace(described(path, card_of(model)), precision="fp16")
        self._onnx = halved(model)
        self._trt = trt or load_tensorrt()
        self._gpu, self._capability = ("", "") if device else gpu()
        if device is None and (reason := why_not_for(self._trt, self._capability)):
            raise ConfigError(f"{self._gpu}: {reason}")
        self._device = device or Gpu()
        self._sessions: OrderedDict[tuple[int, int], Session] = OrderedDict()

    def predict(self, light_N1hw: Floats, *, vividness: float) -> Prediction:
        """See Backend."""
        height, width = light_N1hw.shape[2:]
        session = self._session(height, width)
        asked = torch.tensor([vividness], dtype=torch.float32)
        parts = []
        for start in range(0, len(light_N1hw), session.batch):
            light = light_N1hw[start : start + session.batch]
            try:
                outputs = session(light=torch.from_numpy(light), vividness=asked)
                ab, confidence = (outputs[name].to("cpu", copy=True).numpy() for name in ("ab", "confidence"))
            except RuntimeError as error:  # what happens on the GPU is told when its results are fetched
                raise BackendError(f"{self.network.path}: the GPU failed: {one_line(error)}") from error
            check_shapes(self.network.path, light.shape, ab.shape, confidence.shape)
            parts.append((ab, confidence))
        ab, confidence = (np.concatenate(part) for part in zip(*parts, strict=True))
        return Prediction(ab, confidence)

    def colors(self, light_N1hw: Tensor, vividness_1: Tensor) -> Tensor:
        """Return a, b of up to LARGEST_BATCH pictures, all of it on the device and valid until the next call."""
        height, width = light_N1hw.shape[2:]
        return self._session(height, width)(light=light_N1hw, vividness=vividness_1)["ab"]

    def close(self) -> None:
        """See Backend."""
        self._sessions.clear()

    def _session(self, height: int, width: int) -> Session:
        key = (height, width)
        if key not in self._sessions:
            network, shape = self.network, (1, height, width)
            light = Profile((1, *shape), (self.batch, *shape), (LARGEST_BATCH, *shape))
            name = f"{network.name}-{network.precision}-{width}x{height}"
            recipe = Recipe(
                name,
                self._onnx,
                {"light": light},
                network.precision,
                self._gpu,
                self._capability,
                flavor=self._trt.__name__,
            )
            self._sessions[key] = cached(recipe, lambda plan: Session(self._trt, plan, self._device))
            if len(self._sessions) > SIZES_KEPT:
                self._sessions.popitem(last=False)
        self._sessions.move_to_end(key)
        return self._sessions[key]
