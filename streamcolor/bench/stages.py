"""Each stage of the pipeline alone, over the same pictures.

H,W a picture's size; h,w the network's input size.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from streamcolor.backends import Backend
from streamcolor.bench.measure import Cost, cost_of
from streamcolor.chroma import enlarge, network_size, quarter, shrink
from streamcolor.color import Floats, chroma_from_ab, light_from_luma
from streamcolor.frames import Frame, Plane, StreamInfo
from streamcolor.gate import ColorJudge, Cuts, barely_differs, tiny_luma
from streamcolor.sinks import Sink
from streamcolor.sources.av_source import AvSource

PREDICTED: Final = ("network", "color", "enlarge")  # only for frames whose colors are predicted
SAMPLE_BYTES: Final = 150_000_000


@dataclass(frozen=True)
class Sample:
    """Frames of the middle of a clip, one after the other, as many as reasonably fit into memory."""

    clip: Path
    length: int  # of the clip, in frames
    info: StreamInfo
    frames: tuple[Frame, ...]

    @classmethod
    def of(cls, clip: Path, length: int) -> "Sample":
        """Read it."""
        source = AvSource("bench", str(clip))
        info = replace(source.info, video=None, copied=())
        size = 1.5 * info.width * info.height * np.dtype(info.space.dtype).itemsize
        count = min(length, max(8, min(64, int(SAMPLE_BYTES / size))))
        first = (length - count) // 2
        frames = [*islice((item for item in source if isinstance(item, Frame)), first, first + count)]
        source.close()
        return cls(clip, length, info, tuple(frames))

    def network_size(self, backend: Backend) -> tuple[int, int]:
        """Return (w, h) of what the network is shown."""
        network = backend.network
        return network_size(self.info.width, self.info.height, pixels=network.pixels, stride=network.stride)


class Stages:
    """What each stage does with a sample, prepared so that no stage's cost holds another's."""

    def __init__(self, sample: Sample, backend: Backend, sink: Callable[[], Sink], *, batch: int | None = None) -> None:
        self._sample, self._frames, self._backend, self._sink = sample, sample.frames, backend, sink
        self._space, self._size = sample.info.space, sample.network_size(backend)
        self._small = [shrink(frame.luma, *self._size) for frame in self._frames]
        light_N1hw = np.stack([light_from_luma(small, self._space)[None] for small in self._small])
        step = batch or backend.batch
        self._lights = [light_N1hw[start : start + step] for start in range(0, len(light_N1hw), step)]
        self._ab = np.concatenate(self._network())
        self._codes = [*self._color()]
        colored = zip(self._frames, self._enlarge(), strict=True)
        self._colored = [replace(frame, chroma=chroma, pts=number) for number, (frame, chroma) in enumerate(colored)]

    def works(self) -> dict[str, Callable[[], Cost]]:
        """Return what to call for each stage's cost per frame."""
        works = {
            "shrink": lambda: _drop(shrink(frame.luma, *self._size) for frame in self._frames),
            "gate": self._gate,
            "network": self._network,
            "color": lambda: _drop(self._color()),
            "enlarge": lambda: _drop(self._enlarge()),
            "encode": self._encode,
        }
        each = {name: partial(_per_frame, work, len(self._frames)) for name, work in works.items()}
        return {"decode": partial(_per_frame, self._decode, self._sample.length), **each}

    def _decode(self) -> None:
        source = AvSource("bench", str(self._sample.clip))
        _drop(source)
        source.close()

    def _gate(self) -> None:
        cuts, judge = Cuts(), ColorJudge()
        before = self._small[0]
        for frame, small in zip(self._frames, self._small, strict=True):
            tiny = tiny_luma(small, self._space)
            judge(tiny, frame, cut=cuts(tiny))
            barely_differs(small, before, self._space.depth, age=1)
            before = small

    def _network(self) -> list[Floats]:
        strength = self._backend.network.vividness
        return [self._backend.predict(lights, vividness=strength).ab_N2hw for lights in self._lights]

    def _color(self) -> Iterator[tuple[Plane, Plane]]:
        for small, ab in zip(self._small, self._ab, strict=True):
            yield chroma_from_ab(light_from_luma(quarter(small), self._space), ab, self._space)

    def _enlarge(self) -> Iterator[tuple[Plane, Plane]]:
        height, width = self._frames[0].chroma[0].shape
        for cb, cr in self._codes:
            yield enlarge(cb, width, height), enlarge(cr, width, height)

    def _encode(self) -> None:
        sink = self._sink()
        try:
            sink.open(self._sample.info)
            for frame in self._colored:
                sink.write(frame)
            sink.finish()
        finally:
            sink.close()


def _drop(made: Iterable[object]) -> None:
    """Make all, keep none: memory is used again at once, as it is in the pipeline."""
    deque(made, maxlen=0)


def _per_frame(work: Callable[[], object], frames: int) -> Cost:
    cost = cost_of(work)
    return Cost(cost.wall / frames, cost.cpu / frames)
