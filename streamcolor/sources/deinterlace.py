"""Interlaced pictures become whole ones: FFmpeg's bwdif, one frame for one frame."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Literal, TypeAlias, cast

import av
from av import VideoFrame
from av.filter import Graph

Deinterlace: TypeAlias = Literal["auto", "on", "off"]

_SMALLEST = 8  # bwdif wants some lines and columns in the chroma planes too


class Deinterlacer:
    """Passes pictures through; from the first that needs it on, through bwdif, which holds one picture back."""

    def __init__(self, mode: Deinterlace, time_base: Fraction) -> None:
        if mode not in ("auto", "on", "off"):
            raise ValueError(f"deinterlace must be auto, on or off, not {mode!r}")
        self._mode = mode
        self._time_base = time_base
        self._graph: Graph | None = None
        self.too_small = False

    def __call__(self, picture: VideoFrame) -> Iterator[VideoFrame]:
        """Take a picture and give those that are ready, pts unchanged."""
        if self._graph is None and self.wants(picture):
            self._graph = self._start(picture)
        if self._graph is None:
            yield picture
            return
        self._graph.vpush(picture)
        yield from self._ready(self._graph)

    def finish(self) -> Iterator[VideoFrame]:
        """Give the picture that was held back."""
        if self._graph is not None:
            self._graph.vpush(None)
            yield from self._ready(self._graph)

    def wants(self, picture: VideoFrame) -> bool:
        """Return whether a picture has to pass through bwdif."""
        if self._graph is not None:
            return True
        wanted = self._mode == "on" or (self._mode == "auto" and picture.interlaced_frame)
        small = min(picture.width, picture.height) < _SMALLEST
        self.too_small |= wanted and small
        return wanted and not small

    def _start(self, picture: VideoFrame) -> Graph:
        base, pixels = self._time_base, picture.format.name
        graph = Graph()
        graph.threads = 1
        source = graph.add(
            "buffer",
            f"video_size={picture.width}x{picture.height}:pix_fmt={pixels}"
            f":time_base={base.numerator}/{base.denominator}"
            f":colorspace={picture.colorspace}:range={picture.color_range}",
        )
        which = "all" if self._mode == "on" else "interlaced"
        bwdif = graph.add("bwdif", f"mode=send_frame:parity=auto:deint={which}")
        graph.link_nodes(source, bwdif, graph.add("format", pixels), graph.add("buffersink")).configure()
        return graph

    def _ready(self, graph: Graph) -> Iterator[VideoFrame]:
        while True:
            try:
                picture = graph.vpull()
            except (av.BlockingIOError, av.EOFError):
                return
            # bwdif counts in half ticks, so that it could give two pictures for one.
            ticks = cast("int", picture.pts) * cast("Fraction", picture.time_base) / self._time_base
            picture.pts, picture.time_base = round(ticks), self._time_base
            yield picture
