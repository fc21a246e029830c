"""The network on torch: the reference that the other backends are compared with, and a way to a GPU."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

import torch
from torch import Tensor, nn

from streamcolor.backends import Prediction, check_contract, check_shapes, described, one_line
from streamcolor.color import Floats
from streamcolor.errors import BackendError
from streamcolor.nets.planes import halved
from streamcolor.nets.rebuild import card_of, dimensions, read, rebuild
from streamcolor.nets.replay import Replayed

Call: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, ...]]


@dataclass(frozen=True, slots=True)
class Way:
    """How the network is run: all that differs between a processor and a GPU is here."""

    device: str
    half: bool  # fp16, channels last: what tensor cores want
    batch: int
    prepared: Callable[[nn.Module], Call]  # nothing, a CUDA graph for each size, or torch.compile


def as_it_is(module: nn.Module) -> Call:
    """Prepare nothing."""
    return module


PROCESSOR: Final = Way("cpu", half=False, batch=4, prepared=as_it_is)
GPU: Final = Way("cuda", half=True, batch=32, prepared=Replayed)


def usual_way() -> Way:
    """Return the GPU's way if torch can use one."""
    return GPU if torch.cuda.is_available() else PROCESSOR


class TorchBackend:
    """Built from the weights of the same exported file, so that all backends run one network."""

    name = "torch"

    def __init__(self, path: Path, *, threads: int, way: Way | None = None) -> None:
        """Without a `way`, the usual one."""
        torch.set_num_threads(threads)
        way = way or usual_way()
        self.batch, self._device = way.batch, torch.device(way.device)
        module = rebuild(path).eval()
        model = read(path)
        check_contract(path, dimensions(model.graph.input), dimensions(model.graph.output))
        self.network = described(path, card_of(model))
        if way.half:
            module = halved(module)
            self.network = replace(self.network, precision="fp16")
        layout = torch.channels_last if way.half else torch.contiguous_format
        module = module.to(self._device, memory_format=layout)  # type: ignore[call-overload]
        self._call: Call | None = way.prepared(module)

    def predict(self, light_N1hw: Floats, *, vividness: float) -> Prediction:
        """See Backend."""
        assert self._call is not None, "it is closed"
        strength = torch.tensor([vividness], dtype=torch.float32)
        try:
            with torch.inference_mode():
                light, strength = (self._sent(tensor) for tensor in (torch.from_numpy(light_N1hw), strength))
                ab, confidence = self._fetched(self._call(light, strength))
        except RuntimeError as error:
            raise BackendError(f"{self.network.path}: torch failed: {one_line(error)}") from error
        check_shapes(self.network.path, light_N1hw.shape, ab.shape, confidence.shape)
        return Prediction(ab.numpy(), confidence.numpy())

    def colors(self, light_N1hw: Tensor, vividness_1: Tensor) -> Tensor:
        """Return a, b of light as `predict` does, all of it on the device and valid until the next call."""
        assert self._call is not None, "it is closed"
        return self._call(light_N1hw, vividness_1)[0]

    def close(self) -> None:
        """See Backend."""
        self._call = None

    def _sent(self, tensor: Tensor) -> Tensor:
        """Return a tensor on the device; the copy goes on while the processor does."""
        if self._device.type == "cpu":
            return tensor
        return tensor.pin_memory().to(self._device, non_blocking=True)

    def _fetched(self, outputs: tuple[Tensor, ...]) -> list[Tensor]:
        """Return outputs as the caller's own, in memory; both are copied before the processor waits."""
        if self._device.type == "cpu":
            return [output.clone() for output in outputs]  # what is replayed belongs to the graph
        fetched = [output.to("cpu", non_blocking=True) for output in outputs]  # into pinned memory
        torch.cuda.current_stream(self._device).synchronize()
        return fetched
