"""Reads a video with FFmpeg: its pictures decoded, every other stream as it is."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import av
import numpy as np
from av import VideoFrame
from av.codec.hwaccel import HWAccel
from av.format import Flags

from streamcolor.errors import SourceError, SourceLost
from streamcolor.frames import Device, DeviceFrame, Frame, Item, Passthrough, StreamInfo
from streamcolor.sources import SourceReport
from streamcolor.sources.deinterlace import Deinterlace, Deinterlacer
from streamcolor.sources.opening import choose_streams, open_input, reason
from streamcolor.sources.pixels import Normalizer, has_alpha
from streamcolor.sources.surfaces import Staying, pixels_of
from streamcolor.sources.timing import Coverage, Missing, Splices, Timeline
from streamcolor.urls import shown
from streamcolor.worker import usable_cores

if TYPE_CHECKING:
    from av.stream import Stream

Packet: TypeAlias = "av.Packet[Stream]"  # generic in the stubs only

_DISCONTINUOUS = cast("int", Flags.ts_discont.value)  # formats in which times may start anew
_GIVE_UP = 100  # unreadable packets in a row: what follows is not the film any more


def decoding_threads() -> int:
    """Return half of the cores, two at most: network and encoder want the others, and each thread keeps pictures."""
    return max(1, min(2, usable_cores() // 2))


class AvSource:
    """A file, a URL or a device: whatever FFmpeg can open.

    Opening reads up to the first picture, because only a decoded picture tells its format for certain. Raises
    SourceError if there is none; SourceLost if reading fails later and the content is not the reason (network, disk).
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        deinterlace: Deinterlace = "auto",
        threads: int = 0,
        options: Mapping[str, str] | None = None,
        timeout: float | None = 30.0,
        hwaccel: HWAccel | None = None,
        device: Device | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the input.

        `threads` decode several pictures at once; 0: `decoding_threads()`.
        `options` are FFmpeg's for this input; `timeout` is the longest wait for its next packet, in seconds; `hwaccel`
        decodes instead of the processor; of its pictures, those that can stay on the `device` come as DeviceFrames.
        """
        self._name, self._url, self._clock = name, url, clock
        self._frames = self._undecodable = self._damaged = self._unreadable = 0
        self._finished = False
        self._warnings: list[str] = []
        self._primers: dict[int, Packet] = {}
        with ExitStack() as stack:
            self._container = open_input(name, url, options=options, timeout=timeout, hwaccel=hwaccel)
            stack.callback(self._container.close)
            chosen = choose_streams(name, url, self._container)
            self._video, self._covers, self._copied = chosen.film, chosen.covers, chosen.copied
            self._warnings += [
                f"video stream {other.index} is left out: only one is colored" for other in chosen.left_out
            ]
            self._video.thread_count, self._video.thread_type = threads or decoding_threads(), "AUTO"
            self._time_base = Fraction(self._video.time_base or Fraction(1, 90_000))
            rate = self._video.average_rate or self._video.guessed_rate or 25
            self._rate = Fraction(rate)
            self._deinterlace = Deinterlacer(deinterlace, self._time_base)
            self._timeline = self._new_timeline()
            self._coverage = self._new_coverage(stated=not chosen.left_out)  # which may last longer
            self._splices = self._new_splices()
            self._missing = Missing(self._video.codec_context.name)
            self._decoded, first = self._peek()
            codec = self._video.codec_context
            # FFmpeg withholds pictures of HEVC that refer to a lost one, up to the next key frame: seconds of the film.
            # Not before the first picture: what cannot be decoded there is not a part of it.
            codec.flags |= av.codec.context.Flags.output_corrupt
            self._normalize = Normalizer(first, matrix=codec.colorspace, full=codec.color_range)
            self._device = device
            self._staying = Staying(name, device, first, self._deinterlace.wants) if device else None
            if has_alpha(pixels_of(first)):
                self._warnings.append(f"transparency is dropped ({first.format.name})")
            self.info = self._describe(first)
            stack.pop_all()

    def __iter__(self) -> Iterator[Item]:
        """Give pictures as Frames and all other packets as Passthroughs, in the order of the file."""
        for item in self._decoded:
            if isinstance(item, Passthrough):
                yield item
                continue
            stays = self._staying is not None and self._staying(item)
            picture = item if stays else self._normalize(item)
            picture.pts = self._timeline(item)
            self._coverage.picture(picture.pts, self._time_base)
            if stays:
                yield self._surface(picture)
                continue
            for ready in self._deinterlace(picture):
                yield self._frame(ready)
        for ready in self._deinterlace.finish():
            yield self._frame(ready)
        self._finished = True

    def close(self) -> None:
        """Close the input. Frames handed out stay valid; to touch a stream or a packet's stream then is a crash."""
        self._container.close()

    def report(self) -> SourceReport:
        """Count what happened so far; `complete` is known only after the last item."""
        damage = self._undecodable or self._damaged or self._unreadable or self._coverage.missing or self._missing.count
        early = self._finished and self._coverage.ended_early()
        return SourceReport(
            frames=self._frames,
            undecodable=self._undecodable,
            rescaled=self._normalize.rescaled,
            warnings=tuple(self._all_warnings(early=early)),
            complete=self._finished and not damage and not early,
        )

    def _all_warnings(self, *, early: bool) -> Iterator[str]:
        yield from self._warnings
        counted = {
            "packets of the video could not be decoded": self._undecodable,
            "pictures are damaged": self._damaged,
            "pictures are missing: they refer to what is lost": self._missing.count if self._finished else 0,
            "places in the file could not be read": self._unreadable,
        }
        yield from (f"{count} {what}" for what, count in counted.items() if count)
        if self._coverage.missing:
            yield f"{self._coverage.missing:.1f} s in the middle hold neither picture nor sound"
        if early:
            expected = self._coverage.expected
            length = "" if expected is None else f" of {expected:.1f} s"
            yield f"the file ends early: {self._coverage.end:.1f} s{length} are there"
        if self._normalize.rescaled:
            width, height = self._normalize.size
            kind = f"{width}x{height} {self._normalize.layout.name}"
            yield f"the picture changes on the way: {self._normalize.rescaled} frames were brought to {kind}"
        if self._splices.count:
            yield f"{self._splices.count + 1} recordings follow one another: their times were joined"
        if self._timeline.made_up:
            yield f"{self._timeline.made_up} frames had no usable time stamp and were given the next one"
        if self._deinterlace.too_small:
            yield "too small to be deinterlaced"

    def _new_timeline(self) -> Timeline:
        codec = self._video.codec_context
        step = max(1, round(1 / (self._rate * self._time_base)))
        return Timeline(step, lambda: codec.reorder_depth, in_order=self._container.format.name == "avi")

    def _new_splices(self) -> Splices:
        possible = bool(self._container.format.flags & _DISCONTINUOUS)
        return Splices(possible=possible, start=Fraction(self._container.start_time or 0, av.time_base))

    def _new_coverage(self, *, stated: bool) -> Coverage:
        start, duration = self._container.start_time or 0, self._container.duration
        seconds = None if duration is None or not stated else duration / av.time_base
        return Coverage(self._container.format.name, start=start / av.time_base, duration=seconds)

    def _peek(self) -> tuple[Iterator[VideoFrame | Passthrough], VideoFrame]:
        """Decode up to the first picture and put everything back."""
        decoded = self._decode()
        before: list[VideoFrame | Passthrough] = []
        for item in decoded:
            before.append(item)
            if isinstance(item, VideoFrame):
                return chain(iter(before), decoded), item  # iter(), because chain would hold a list to the end
        raise SourceError(f"{self._name}: not one picture of {shown(self._url)} can be decoded: the file is damaged")

    def _describe(self, first: VideoFrame) -> StreamInfo:
        container, video, normal = self._container, self._video, self._normalize
        attachments = (stream for stream in container.streams if stream.type == "attachment")
        matrix = first.side_data.get("DISPLAYMATRIX")
        return StreamInfo(
            name=self._name,
            width=normal.size[0],
            height=normal.size[1],
            rate=self._rate,
            time_base=self._time_base,
            space=normal.space,
            chroma_shift=normal.layout.chroma_shift,
            tags=normal.tags,
            sample_aspect_ratio=Fraction(video.sample_aspect_ratio or 1),
            frames=video.frames or None,
            duration=None if container.duration is None else container.duration / av.time_base,
            video=video,
            copied=self._copied,
            attachments=(*self._covers, *attachments),
            chapters=tuple(cast("list[Mapping[str, Any]]", container.chapters())),
            metadata=dict(container.metadata),
            on_device=self._staying is not None and self._staying.any,
            display_matrix=tuple(np.frombuffer(cast("memoryview", matrix or b""), np.int32).tolist()),
        )

    def _frame(self, picture: VideoFrame) -> Frame:
        self._frames += 1
        luma, chroma = self._normalize.planes(picture)
        return Frame(self._name, cast("int", picture.pts), luma, chroma, self._normalize.space, self._clock())

    def _surface(self, picture: VideoFrame) -> DeviceFrame:
        assert self._device is not None
        self._frames += 1
        luma, chroma = self._device.copied(picture.planes)
        return DeviceFrame(self._name, cast("int", picture.pts), luma, chroma, self._normalize.space, self._clock())

    def _decode(self) -> Iterator[VideoFrame | Passthrough]:
        for packet in self._packets():
            film = packet.stream_index == self._video.index
            self._unreadable += packet.is_corrupt
            self._splices.join(packet)
            self._coverage.packet(packet, video=film)
            if film:
                yield from self._pictures(packet)
            else:
                yield from self._carry(packet)
        yield from self._pictures(None)

    def _packets(self) -> Iterator[Packet]:
        """Every packet that can be read: what one stream lost must not cost the others."""
        wanted = [self._video, *self._covers, *self._copied]
        demuxer, failures = self._container.demux(wanted), 0
        while failures < _GIVE_UP:
            try:
                packet = next(demuxer, None)
            except av.error.InvalidDataError:
                demuxer, failures = self._container.demux(wanted), failures + 1
                self._unreadable += 1
                continue
            except av.FFmpegError as error:
                raise SourceLost(f"{self._name}: reading {shown(self._url)} failed: {reason(error)}") from None
            if packet is None:
                return
            if packet.size:  # an empty packet only says: end of stream
                failures = 0
                yield packet

    def _pictures(self, packet: "Packet | None") -> list[VideoFrame]:
        try:
            pictures = self._video.decode(packet)
        except av.FFmpegError:
            self._undecodable += 1
            return []
        if packet is not None:
            self._missing.packet(packet)
        for picture in pictures:
            self._damaged += picture.is_corrupt
            self._missing.picture(picture)
        return pictures

    def _carry(self, packet: Packet) -> Iterator[Passthrough]:
        """Pass a packet on unless an edit list cuts it; the last one cut comes too if it primes an audio decoder."""
        if packet.is_discard:
            self._primers[packet.stream_index] = packet
            return
        primer = self._primers.pop(packet.stream_index, None)
        if primer is not None and packet.stream.type == "audio":
            yield Passthrough(self._name, primer)
        yield Passthrough(self._name, packet)
