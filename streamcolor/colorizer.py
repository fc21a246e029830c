"""Frames in, colored frames out: which of them need the network, and what becomes of its answer.

N pictures; h,w the network's input size. Luma is left as it is unless the caller asks for exact lightness.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, get_args

import numpy as np

from streamcolor.backends import Backend
from streamcolor.chroma import brightened, enlarge, network_size, quarter, shrink
from streamcolor.color import Floats, chroma_from_ab, light_from_luma, luma_shift
from streamcolor.errors import BackendError, ConfigError
from streamcolor.frames import ColorSpace, Frame, Plane
from streamcolor.gate import ColorJudge, Cuts, barely_differs, tiny_luma

WhenColored: TypeAlias = Literal["keep", "replace"]
"""What happens to frames that are in color already."""

Lightness: TypeAlias = Literal["luma", "exact"]
"""What stays as it was: Y', bit for bit, or L*; then luma is shifted where a color is not as light as the gray was."""

Every: TypeAlias = Literal["auto"] | int
"""Predict when the picture has changed, or every N-th frame of a scene."""


def problems(
    *, saturation: float, vividness: float | None, when_colored: str, lightness: str, every: object
) -> Iterator[str]:
    """Say what is wrong with settings of a Colorizer, one by one."""
    for name, value, known in (
        ("when_colored", when_colored, get_args(WhenColored)),
        ("lightness", lightness, get_args(Lightness)),
    ):
        if value not in known:
            yield f"{name} is {value!r}: choose {', '.join(known)}"
    if not 0 <= saturation <= 4:
        yield f"saturation is {saturation:g}: choose 0 (gray) to 4"
    if vividness is not None and not 0 <= vividness <= 1:
        yield f"vividness is {vividness:g}: choose 0 (careful) to 1 (bold)"
    if every != "auto" and not (isinstance(every, int) and every >= 1):
        yield f"every is {every!r}: choose auto, 1 (each frame) or a larger number"


@dataclass(slots=True)
class Counts:
    """What became of all frames so far."""

    frames: int = 0
    kept: int = 0  # in color already, passed untouched
    reused: int = 0  # of the others: with the colors of an earlier frame that hardly differs
    cuts: int = 0  # scene changes


@dataclass(slots=True, eq=False, weakref_slot=True)
class Coloring:
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
    coloring: Coloring | None = None  # the latest
    age: int = 0  # frames since then


class Colorizer:
    """Colors frames of any number of streams with one network. Used by one thread."""

    def __init__(
        self,
        backend: Backend,
        *,
        saturation: float = 1.0,
        vividness: float | None = None,
        when_colored: WhenColored = "keep",
        lightness: Lightness = "luma",
        every: Every = "auto",
        stills: bool = False,
    ) -> None:
        """`saturation` multiplies the predicted a,b; `vividness` 0..1 is the network's own, None: what suits it.

        `stills`: the pictures have nothing to do with one another, so none is judged or colored by those before it.
        Raises ConfigError.
        """
        wrong = problems(
            saturation=saturation, vividness=vividness, when_colored=when_colored, lightness=lightness, every=every
        )
        if text := "; ".join(wrong):
            raise ConfigError(text)
        self.counts = Counts()
        self._backend = backend
        self._saturation = saturation
        self._vividness = backend.network.vividness if vividness is None else vividness
        self._keep = when_colored == "keep"
        self._exact = lightness == "exact"
        self._every, self._stills = every, stills
        self._streams: dict[str, _Stream] = {}

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        """Return as many frames in the same order, each with its pts and its luma, and with new chroma planes.

        Planes may be shared between frames: read them, never write them. Raises BackendError.
        """
        colorings = [self.plan(frame) for frame in frames]
        self._predict(colorings)
        return [
            frame if coloring is None else self._colored(frame, coloring)
            for frame, coloring in zip(frames, colorings, strict=True)
        ]

    def forget(self, stream: str) -> None:
        """Drop what is remembered of a stream that is over."""
        self._streams.pop(stream, None)

    def plan(self, frame: Frame) -> Coloring | None:
        """Return the prediction that colors this frame, old or still to be made; None: it stays as it is.

        To be asked once for each frame of a stream, in order. Who makes predictions elsewhere asks with small pictures.
        """
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
            stream.coloring = Coloring(small, frame.space, (width, height))
            stream.age = 0
        self.counts.frames += 1
        self.counts.kept += kept
        self.counts.reused += reused
        self.counts.cuts += cut
        return stream.coloring

    def _stream(self, frame: Frame) -> _Stream:
        kind = (frame.luma.shape, frame.chroma[0].shape, frame.space)
        stream = None if self._stills else self._streams.get(frame.stream)
        if stream is None or stream.kind != kind:
            network = self._backend.network
            height, width = frame.luma.shape
            size = network_size(width, height, pixels=network.pixels, stride=network.stride)
            stream = self._streams[frame.stream] = _Stream(kind, size)
        return stream

    def _serves(self, coloring: Coloring, small: Plane, age: int) -> bool:
        if self._every == "auto":
            return barely_differs(small, coloring.small_hw, coloring.space.depth, age=age)
        return age < self._every

    def _predict(self, colorings: Sequence[Coloring | None]) -> None:
        """Ask the network for everything that is still to be made, all pictures of one size at once."""
        groups: dict[tuple[int, ...], list[Coloring]] = defaultdict(list)
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

    def _finish(self, coloring: Coloring, ab_2hw: Floats) -> None:
        light = light_from_luma(quarter(coloring.small_hw), coloring.space)
        cb, cr = chroma_from_ab(light, ab_2hw, coloring.space)
        coloring.chroma = enlarge(cb, *coloring.chroma_size), enlarge(cr, *coloring.chroma_size)
        if self._exact:
            coloring.shift = luma_shift(light, ab_2hw, coloring.space)

    def _colored(self, frame: Frame, coloring: Coloring) -> Frame:
        assert coloring.chroma is not None
        if coloring.shift is None:
            return replace(frame, chroma=coloring.chroma)
        return replace(frame, chroma=coloring.chroma, luma=brightened(frame.luma, coloring.shift, frame.space))
