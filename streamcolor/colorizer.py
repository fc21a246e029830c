"""Frames in, colored frames out: which of them need the network, and what becomes of its answer.

N pictures; h,w the network's input size. Luma is left as it is unless the caller asks for exact lightness.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final, Literal

import numpy as np

from streamcolor.backends import Backend, Network
from streamcolor.chroma import brightened, enlarge, network_size, quarter, shrink
from streamcolor.color import Floats, chroma_from_ab, light_from_luma, luma_shift
from streamcolor.errors import BackendError, ConfigError
from streamcolor.frames import ColorSpace, Frame, Plane
from streamcolor.gate import NEXT, STILL, ColorJudge, Cuts, barely_differs, tiny_luma

VIVIDNESS: Final = 0.5  # of a network that does not say what suits it


class WhenColored(Enum):
    """What happens to frames that are in color already."""

    KEEP = "keep"  # they pass untouched
    REPLACE = "replace"


class Lightness(Enum):
    """What stays as it was."""

    LUMA = "luma"  # Y', bit for bit
    EXACT = "exact"  # L*: luma is shifted where a color is darker or lighter than the gray of the same luma


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of all frames so far."""

    frames: int = 0
    colored: int = 0
    kept: int = 0  # in color already, passed untouched
    reused: int = 0  # of the colored ones: with the colors of an earlier frame that hardly differs
    cuts: int = 0  # scene changes


@dataclass(slots=True, eq=False)
class _Coloring:
    """One prediction, asked for and later made; all frames that use it share its planes."""

    small_hw: Plane
    space: ColorSpace
    chroma_size: tuple[int, int]  # (width, height)
    chroma: tuple[Plane, Plane] | None = None
    shift: Floats | None = None  # luma codes, at a quarter of h,w


@dataclass(slots=True)
class _Stream:
    """What is remembered of one stream while its pictures keep their size and color space."""

    kind: tuple[object, ...]
    size: tuple[int, int]  # the network's input: (w, h)
    cuts: Cuts = field(default_factory=Cuts)
    judge: ColorJudge = field(default_factory=ColorJudge)
    coloring: _Coloring | None = None  # the latest
    age: int = 0  # frames since then


class Colorizer:
    """Colors frames of any number of streams with one network. Used by one thread."""

    def __init__(
        self,
        backend: Backend,
        *,
        saturation: float = 1.0,
        vividness: float | None = None,
        when_colored: WhenColored = WhenColored.KEEP,
        lightness: Lightness = Lightness.LUMA,
        every: Literal["auto"] | int = "auto",
    ) -> None:
        """`saturation` multiplies the predicted a,b; `vividness` 0..1 is the network's own, None: what suits it.

        `every`: "auto" predicts when the picture has changed, N every N-th frame of a scene. Raises ConfigError.
        """
        if every != "auto" and every < 1:
            raise ConfigError(f"every is {every}: choose auto, 1 (each frame) or a larger number")
        self.counts = Counts()
        self._backend = backend
        self._saturation = saturation
        self._vividness = suiting_vividness(backend.network) if vividness is None else vividness
        self._keep = when_colored is WhenColored.KEEP
        self._exact = lightness is Lightness.EXACT
        self._every = every
        self._streams: dict[str, _Stream] = {}

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        """Return as many frames in the same order, each with its pts and its luma, and with new chroma planes.

        Planes may be shared between frames: read them, never write them. Raises BackendError.
        """
        colorings = [self._plan(frame) for frame in frames]
        self._predict(colorings)
        return [
            frame if coloring is None else self._colored(frame, coloring)
            for frame, coloring in zip(frames, colorings, strict=True)
        ]

    def forget(self, stream: str) -> None:
        """Drop what is remembered of a stream that is over."""
        self._streams.pop(stream, None)

    def _plan(self, frame: Frame) -> _Coloring | None:
        """Return the prediction that colors this frame, old or still to be made; None: it stays as it is."""
        stream = self._stream(frame)
        small = shrink(frame.luma, *stream.size)
        tiny = tiny_luma(small, frame.space)
        cut = stream.cuts(tiny)
        kept = self._keep and stream.judge(tiny, frame, cut=cut)
        if kept:
            stream.coloring = None
        old = stream.coloring
        stream.age += 1
        reused = old is not None and not cut and self._serves(old, small, stream.age)
        if not kept and not reused:
            height, width = frame.chroma[0].shape
            stream.coloring = _Coloring(small, frame.space, (width, height))
            stream.age = 0
        self._count(kept=kept, reused=reused, cut=cut)
        return stream.coloring

    def _stream(self, frame: Frame) -> _Stream:
        kind = (frame.luma.shape, frame.chroma[0].shape, frame.space)
        stream = self._streams.get(frame.stream)
        if stream is None or stream.kind != kind:
            network = self._backend.network
            height, width = frame.luma.shape
            size = network_size(width, height, pixels=network.pixels, stride=network.stride)
            stream = self._streams[frame.stream] = _Stream(kind, size)
        return stream

    def _serves(self, coloring: _Coloring, small: Plane, age: int) -> bool:
        if self._every == "auto":
            limits = NEXT if age == 1 else STILL
            return barely_differs(small, coloring.small_hw, coloring.space.depth, limits=limits)
        return age < self._every

    def _count(self, *, kept: bool, reused: bool, cut: bool) -> None:
        counts = self.counts
        self.counts = Counts(
            frames=counts.frames + 1,
            colored=counts.colored + (not kept),
            kept=counts.kept + kept,
            reused=counts.reused + reused,
            cuts=counts.cuts + cut,
        )

    def _predict(self, colorings: Sequence[_Coloring | None]) -> None:
        """Ask the network for everything that is still to be made, all pictures of one size at once."""
        groups: dict[tuple[int, ...], list[_Coloring]] = defaultdict(list)
        for coloring in dict.fromkeys(colorings):  # each once, in order
            if coloring is not None and coloring.chroma is None:
                groups[coloring.small_hw.shape].append(coloring)
        for group in groups.values():
            light_N1hw = np.stack([light_from_luma(coloring.small_hw, coloring.space)[None] for coloring in group])
            prediction = self._backend.predict(light_N1hw, vividness=self._vividness)
            if not np.isfinite(prediction.ab_N2hw).all():
                raise BackendError(f"{self._backend.network.path}: it predicts colors that are no numbers")
            for coloring, ab_2hw in zip(group, prediction.ab_N2hw, strict=True):
                self._finish(coloring, ab_2hw * np.float32(self._saturation))

    def _finish(self, coloring: _Coloring, ab_2hw: Floats) -> None:
        light = light_from_luma(quarter(coloring.small_hw), coloring.space)
        cb, cr = chroma_from_ab(light, ab_2hw, coloring.space)
        coloring.chroma = enlarge(cb, *coloring.chroma_size), enlarge(cr, *coloring.chroma_size)
        if self._exact:
            coloring.shift = luma_shift(light, ab_2hw, coloring.space)

    def _colored(self, frame: Frame, coloring: _Coloring) -> Frame:
        assert coloring.chroma is not None
        if coloring.shift is None:
            return replace(frame, chroma=coloring.chroma)
        return replace(frame, chroma=coloring.chroma, luma=brightened(frame.luma, coloring.shift, frame.space))


def suiting_vividness(network: Network) -> float:
    """Return the vividness that a network's card recommends; raises ConfigError."""
    text = network.metadata.get("vividness", VIVIDNESS)
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f"{network.path}: vividness is {text!r} in its metadata, not a number") from error
