"""Reads a camera with FFmpeg: the first picture soon, every later one at once, and no silence taken for a picture."""

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import av
from av import VideoFrame
from av.format import Flags

from streamcolor.errors import SourceError, SourceLost
from streamcolor.frames import Frame, Item, Passthrough, StreamInfo
from streamcolor.sources import SourceReport
from streamcolor.sources.deinterlace import Deinterlace, Deinterlacer
from streamcolor.sources.opening import choose_streams, open_input, reason
from streamcolor.sources.pixels import Normalizer
from streamcolor.sources.timing import Axis
from streamcolor.urls import hidden, shown

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream

Packet: TypeAlias = "av.Packet[Stream]"  # generic in the stubs only
Transport: TypeAlias = Literal["tcp", "udp"]

OPENING = 5.0  # seconds that a camera may take to answer
FIRST_PICTURE = 20.0  # seconds until its first key frame; some send one in ten seconds
_GIVE_UP = 25  # packets in a row that cannot be decoded: the codec has changed
_EARLY = 0.9  # of the time after which a camera is frozen: there the wait ends, so that it is seen in time
_TIMELESS = cast("int", Flags.no_timestamps.value)  # formats without time stamps, for which FFmpeg makes some up

# An RTSP answer describes the streams: nothing needs to be probed. Not "fflags=nobuffer", which throws away the key
# frame that was read while probing.
_RTSP = {"probesize": "32", "analyzeduration": "0", "fpsprobesize": "0", "allowed_media_types": "video+audio"}
_OTHER = {"analyzeduration": "1000000", "fpsprobesize": "0"}  # microseconds: MPEG-TS tells its streams bit by bit


class LiveSource:
    """A camera: RTSP, RTMP, MPEG-TS over UDP, motion JPEG over HTTP, a V4L2 device, or `-`, standard input.

    It never ends but by SourceLost; only standard input, which cannot be opened again, may pause and end. SourceLost
    also says that the picture has another size from now on: one session has one. Times of pictures and packets are
    those of the monotonic clock, see `Axis`; `Frame.captured` is when the packet arrived. Opening takes as long as the
    first key frame needs, and raises SourceError, or SourceDenied where user or password are wrong.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        freeze: float = 3.0,
        transport: Transport = "tcp",
        deinterlace: Deinterlace = "auto",
        options: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`freeze`: seconds without a picture after which it is lost; `options`: FFmpeg's, in place of our own."""
        self._name, self._url, self._clock = name, url, clock
        self._freeze = math.inf if url == "-" else freeze
        self._limit = self._freeze * _EARLY
        self._frames = self._undecodable = self._in_a_row = 0
        self._finished = False
        with ExitStack() as stack:
            self._container = self._open(transport, options or {})
            stack.callback(self._container.close)
            chosen = choose_streams(name, url, self._container)
            self._video = chosen.film
            self._copied = tuple(stream for stream in chosen.copied if stream.type == "audio")
            self._video.thread_count = 1  # frame threads would hold a picture each
            self._axis = Axis(trusted=not self._container.format.flags & _TIMELESS)
            self._deinterlace = Deinterlacer(deinterlace, Axis.time_base)
            demuxer = self._container.demux([self._video, *self._copied])
            self._demuxer = cast("Generator[Packet, None, None]", demuxer)  # an iterator in the stubs
            stack.callback(self._demuxer.close)
            self._packets = self._arriving()
            self._pictured, self._started = clock(), False
            self._first = [self._first_picture()]
            codec, picture = self._video.codec_context, self._first[0][0]
            self._normalize = Normalizer(picture, matrix=codec.colorspace, full=codec.color_range)
            self._kind = _kind(picture)
            self.info = self._describe()
            stack.pop_all()

    def __iter__(self) -> Iterator[Item]:
        """Give pictures as Frames and all other packets as Passthroughs, as they arrive."""
        while self._first:
            yield from self._hand_on(*self._first.pop())  # nothing keeps it any longer
        for packet, now in self._packets:
            if packet.stream_index != self._video.index:
                self._axis.carry(packet, now)
                yield Passthrough(self._name, packet)
                continue
            for picture in self._pictures(packet, now):
                yield from self._hand_on(picture, now)
        self._finished = True

    def close(self) -> None:
        """Hang up. Frames handed out stay valid; to touch a packet's stream then is a crash."""
        self._packets.close()  # it holds us as we hold it: a camera is opened often, and its decoder is large
        self._demuxer.close()  # PyAV frees nothing of one that is only forgotten
        self._container.close()

    def report(self) -> SourceReport:
        """Count what happened so far."""
        return SourceReport(frames=self._frames, undecodable=self._undecodable, complete=self._finished)

    def _open(self, transport: Transport, options: Mapping[str, str]) -> "InputContainer":
        url, kind = self._url, None
        ours: Mapping[str, str] = _OTHER
        if url.lower().startswith("rtsp"):
            ours = _RTSP | {"rtsp_transport": transport}
        elif url.lower().startswith("rtmp"):
            ours = _OTHER | {"rtmp_live": "live"}
        elif url.startswith("/dev/"):
            ours, kind = {}, "v4l2"
        elif url == "-":
            url = "pipe:0"
        timeout = None if math.isinf(self._limit) else (OPENING, self._limit)
        return open_input(self._name, url, options={**ours, **options}, timeout=timeout, kind=kind)

    def _first_picture(self) -> tuple[VideoFrame, float]:
        """Decode up to the first picture; sound before it is nobody's."""
        for packet, now in self._packets:
            if packet.stream_index == self._video.index:
                for picture in self._decoded(packet):
                    self._pictured, self._started = now, True
                    return picture, now
        raise SourceError(f"{self._name}: not one picture of {shown(self._url)} can be decoded")

    def _arriving(self) -> Generator[tuple[Packet, float], None, None]:
        """Give packets and when they arrived. Raises SourceLost when no more come, and when pictures stay away."""
        while True:
            asked = self._clock()
            try:
                packet = next(self._demuxer, None)
            except av.error.ExitError:  # how FFmpeg calls being interrupted
                raise self._lost(f"no picture for {self._freeze:g} s") from None
            except av.FFmpegError as error:
                raise self._lost(hidden(reason(error), self._url)) from None
            now = self._clock()
            # FFmpeg gives out what its parser held when it is tired of waiting: an old picture, not a new one.
            if now - asked >= self._limit or (self._started and now - self._pictured >= self._limit):
                raise self._lost(f"no picture for {self._freeze:g} s")
            if not self._started and now - self._pictured >= FIRST_PICTURE:
                raise self._lost(f"no key frame for {FIRST_PICTURE:g} s")
            if packet is None or not packet.size:
                if self._url == "-":
                    return
                raise self._lost("the connection was closed")
            yield packet, now

    def _pictures(self, packet: Packet, now: float) -> Iterator[VideoFrame]:
        for picture in self._decoded(packet):
            self._pictured = now
            if (kind := _kind(picture)) != self._kind:
                raise self._lost(f"the picture has become {kind}, it was {self._kind}")
            yield picture

    def _decoded(self, packet: Packet) -> list[VideoFrame]:
        try:
            pictures = self._video.decode(packet)
        except av.FFmpegError:
            self._undecodable += 1
            self._in_a_row += 1
            if self._in_a_row >= _GIVE_UP and self._started:  # before: the key frame is still to come
                raise self._lost(f"{self._in_a_row} packets in a row cannot be decoded") from None
            return []
        if pictures:
            self._in_a_row = 0
        return pictures

    def _hand_on(self, picture: VideoFrame, now: float) -> Iterator[Frame]:
        pts = self._axis.picture(picture, now)
        whole = self._normalize(picture)
        whole.pts, whole.time_base = pts, Axis.time_base
        for ready in self._deinterlace(whole):
            self._frames += 1
            luma, chroma = self._normalize.planes(ready)
            yield Frame(self._name, cast("int", ready.pts), luma, chroma, self._normalize.space, now)

    def _describe(self) -> StreamInfo:
        normal, codec = self._normalize, self._video.codec_context
        rates = (codec.framerate, self._video.average_rate, self._video.guessed_rate)
        return StreamInfo(
            name=self._name,
            width=normal.size[0],
            height=normal.size[1],
            rate=next((Fraction(rate) for rate in rates if rate and 1 <= rate <= 120), Fraction(25)),
            time_base=Axis.time_base,
            space=normal.space,
            chroma_shift=normal.layout.chroma_shift,
            tags=normal.tags,
            sample_aspect_ratio=Fraction(self._video.sample_aspect_ratio or 1),
            copied=self._copied,
        )

    def _lost(self, why: str) -> SourceLost:
        return SourceLost(f"{self._name}: {shown(self._url)}: {why}")


def _kind(picture: VideoFrame) -> str:
    return f"{picture.width}x{picture.height} {picture.format.name}"
