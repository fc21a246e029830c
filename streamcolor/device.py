"""Video that stays on an NVIDIA GPU: from the decoder's surfaces through the network to what an encoder reads.

N pictures; H,W a picture's size; C,D its chroma planes', half of that; h,w the network's input. Everything here runs on
a processor as well, with other streams than a Gpu's: that is how it is tested against the ordinary way.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn import functional

from streamcolor.backends import Network, one_line
from streamcolor.backends.fused import Fusion, codes_of, sizes_of
from streamcolor.colorizer import Coloring, Colorizer
from streamcolor.errors import BackendError
from streamcolor.frames import DeviceFrame, Frame
from streamcolor.nets.planes import Reading, Writing

PITCH: Final = 256  # bytes: rows of a picture for NVENC begin at multiples of it, as FFmpeg's own do


class Gpu:
    """The first CUDA device, which decoder, network and encoder share: FFmpeg takes it unless told otherwise."""

    surface = "cuda"  # FFmpeg's pixel format of pictures that lie there

    def __init__(self) -> None:
        self.name = torch.device("cuda", 0)
        # FFmpeg is given no stream: it uses the context's default one, which torch calls by the same name.
        self._decoder = torch.cuda.default_stream(self.name)
        self._streams: dict[int, torch.cuda.Stream] = {}  # one for each thread, so that none waits for another's work

    def options(self) -> dict[str, str]:
        """Return FFmpeg's options for a device with our memory, and make that known to FFmpeg in this thread.

        It is the current context, since FFmpeg refuses the primary one if torch was there first.
        """
        torch.zeros(1, device=self.name)  # which makes it current
        return {"primary_ctx": "0", "current_ctx": "1"}

    @contextmanager
    def work(self) -> Iterator[None]:
        """Return a context: work in it follows all that the decoder has begun, and is complete when it is left.

        Raises BackendError for what goes wrong on the GPU, which may be told only at the end.
        """
        try:
            with self.ordered():
                yield
        except RuntimeError as error:
            raise BackendError(f"the GPU failed: {one_line(error)}") from error

    @contextmanager
    def ordered(self) -> Iterator[None]:
        """Return the context of `work`. The processor waits at its end: then memory can be let go, or read anywhere."""
        thread = threading.get_ident()
        if thread not in self._streams:
            self._streams[thread] = torch.cuda.Stream(self.name)  # type: ignore[no-untyped-call]
        stream = self._streams[thread]
        stream.wait_stream(self._decoder)
        with torch.cuda.stream(stream):
            yield
        stream.synchronize()

    def copied(self, planes: Sequence[Any]) -> list[Tensor]:
        """Return copies of a decoder's planes.

        Surfaces are few and are written anew as soon as they are let go; a copy takes microseconds. Of PyAV's two ways
        to DLPack, this is the one for a GPU: asked with a stream, it refuses.
        """
        with self.work():
            return [torch.from_dlpack(plane.__dlpack__()).clone() for plane in planes]  # type: ignore[attr-defined]

    def joined(self, frame: DeviceFrame) -> tuple[Tensor, Tensor]:
        """Return copies of luma and chroma in one piece: NVENC is told where luma is, and chroma has to follow."""
        height, width = frame.luma.shape
        with self.work():
            whole = frame.luma.new_empty((height * 3 // 2, -(-width // PITCH) * PITCH))[:, :width]
            luma, chroma = whole[:height], whole[height:].unflatten(1, (width // 2, 2))
            luma.copy_(frame.luma)
            chroma.copy_(frame.chroma)
        return luma, chroma


class Predicting(Protocol):
    """A Backend that takes and gives tensors on its device too."""

    network: Network

    def colors(self, light_N1hw: Tensor, vividness_1: Tensor) -> Tensor:
        """Return a, b (N,2,h/4,w/4), valid until the next call, in the order of the current stream."""
        ...


class DeviceColorizer:
    """Colors pictures that lie on a device; others go the ordinary way. Used by one thread.

    The ordinary Colorizer decides which of them need the network: it looks at pictures as small as the network's input,
    and they alone come to memory.
    """

    def __init__(
        self, colorizer: Colorizer, backend: Predicting, device: Gpu, *, saturation: float, vividness: float | None
    ) -> None:
        """`saturation` and `vividness` are those of the Colorizer, and it must leave luma as it is."""
        self._colorizer, self._backend, self._device = colorizer, backend, device
        strength = backend.network.vividness if vividness is None else vividness
        self._vividness = torch.tensor([strength], device=device.name)
        self._saturation = torch.tensor([saturation], device=device.name)
        self._ways: dict[object, tuple[Reading, Writing]] = {}  # by what `_kind` tells apart
        self._made: WeakKeyDictionary[Coloring, Tensor] = WeakKeyDictionary()  # chroma (C,D,2)

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        """See engine.Colorize. Raises BackendError."""
        here = [frame for frame in frames if isinstance(frame, DeviceFrame)]
        elsewhere = iter(self._colorizer([frame for frame in frames if not isinstance(frame, DeviceFrame)]))
        colored = iter([frame for _, alike in groupby(here, _kind) for frame in self._colored(list(alike))])
        return [next(colored if isinstance(frame, DeviceFrame) else elsewhere) for frame in frames]

    def forget(self, stream: str) -> None:
        """See engine.Colorize."""
        self._colorizer.forget(stream)

    def _colored(self, frames: Sequence[DeviceFrame]) -> list[DeviceFrame]:
        """Color pictures of one size and color space."""
        with torch.inference_mode(), self._device.work():
            colorings = self._plan_and_predict(frames)
        return [
            frame if coloring is None else replace(frame, chroma=self._made[coloring])
            for frame, coloring in zip(frames, colorings, strict=True)
        ]

    def _plan_and_predict(self, frames: Sequence[DeviceFrame]) -> list[Coloring | None]:
        reading, writing = self._way(frames[0])
        codes_N1hw = reading.shrunk(torch.stack([frame.luma for frame in frames])[:, None])
        colorings = [self._colorizer.plan(small) for small in _small(frames, codes_N1hw)]
        new: dict[Coloring, int] = {}
        for index, coloring in enumerate(colorings):
            if coloring is not None and coloring not in self._made:
                new.setdefault(coloring, index)
        if new:
            light_N1hw, light_of_ab = reading.light(codes_N1hw[list(new.values())])
            ab_N2hw = self._backend.colors(light_N1hw, self._vividness)
            if not ab_N2hw.isfinite().all():
                raise BackendError(f"{self._backend.network.path}: it predicts colors that are no numbers")
            self._made.update(zip(new, writing(ab_N2hw, light_of_ab, self._saturation), strict=True))
        return colorings

    def _way(self, frame: DeviceFrame) -> tuple[Reading, Writing]:
        """Return what is done before and after the network; half precision is for a GPU."""
        kind = _kind(frame)
        if kind not in self._ways:
            height, width = frame.luma.shape
            sizes = sizes_of(self._backend.network, Fusion(width, height, frame.space))
            codes, half = codes_of(frame.space), self._device.name.type == "cuda"
            self._ways[kind] = Reading(sizes, codes, half=half), Writing(sizes, codes, half=half, interleaved=True)
        return self._ways[kind]


def _kind(frame: DeviceFrame) -> tuple[object, ...]:
    return (*frame.luma.shape, frame.space)


def _small(frames: Sequence[DeviceFrame], codes_N1hw: Tensor) -> list[Frame]:
    """Return the pictures at the network's size, in memory."""
    height, width = codes_N1hw.shape[2:]
    chroma_N2CD = torch.stack([frame.chroma for frame in frames]).permute(0, 3, 1, 2).to(codes_N1hw.dtype)
    chroma_N2hw = functional.interpolate(chroma_N2CD, (height // 2, width // 2), mode="area")
    luma, chroma = (codes.round().to(torch.uint8).cpu().numpy() for codes in (codes_N1hw, chroma_N2hw))
    return [
        Frame(frame.stream, frame.pts, y[0], (cb, cr), frame.space, frame.captured)
        for frame, y, (cb, cr) in zip(frames, luma, chroma, strict=True)
    ]
