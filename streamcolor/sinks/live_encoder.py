"""The encoder of a live feed: one for all its outputs, without delay, and able to begin anew every second."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from io import BytesIO
from typing import TYPE_CHECKING, Any

import av
from av.audio.stream import AudioStream

from streamcolor.errors import SinkError
from streamcolor.frames import ColorSpace, Frame, Passthrough, StreamInfo
from streamcolor.sinks.encoders import choose_layout, configure, encoder_options, find_encoder, why_not
from streamcolor.sinks.pictures import to_picture

if TYPE_CHECKING:
    from av.stream import Stream
    from av.video.stream import VideoStream

TICKS = 90_000  # of the time stamps, per second
KEY_EVERY = 0.98  # seconds between key frames: a second of any frame rate, although cameras are a little early at times
KEY_AT_MOST = 0.25  # seconds between key frames that viewers ask for
# The encoders that can be told to hold nothing back, how, and that only we begin a group of pictures.
_NVENC = {"tune": "ull", "zerolatency": "1", "delay": "0", "forced-idr": "1", "no-scenecut": "1"}
_NO_DELAY = {
    "libx264": {"tune": "zerolatency", "forced-idr": "1", "sc_threshold": "0"},
    "libx265": {"tune": "zerolatency", "forced-idr": "1", "x265-params": "log-level=none:scenecut=0"},
    "h264_nvenc": _NVENC,
    "hevc_nvenc": _NVENC,
}
_SEI = {"h264": bytes([6, 5]), "hevc": bytes([39 << 1, 1, 5])}  # header of a NAL unit, type of its message: ours
_OURS = bytes.fromhex("5c0109a15c0109a15c0109a15c0109a1")  # the UUID of our message; no zeros, so nothing to escape
_SEVERAL_THREADS = 1280 * 720  # pixels from which one thread is too slow


@dataclass(frozen=True, eq=False)
class Edition:
    """What all packets of one encoder share: templates for muxers. The video is stream 0."""

    info: StreamInfo
    codec: str  # "h264" or "hevc"
    streams: "tuple[Stream, ...]"
    tag: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """A compressed packet in memory of our own, so that any number of threads may mux it."""

    edition: Edition
    stream: int  # which of the edition's
    data: bytes
    pts: int
    dts: int
    duration: int
    time_base: Fraction
    is_key: bool  # a decoder can begin here: never true of sound

    def packet(self, stream: "Stream", start: int = 0) -> "av.Packet[Any]":
        """Make a packet for a muxer's stream, whose times begin with `start` (1/90000 s)."""
        shift = round(Fraction(start, TICKS) / self.time_base)
        packet: av.Packet[Any] = av.Packet(self.data)
        packet.stream, packet.time_base, packet.duration = stream, self.time_base, self.duration
        packet.pts, packet.dts, packet.is_keyframe = self.pts - shift, self.dts - shift, self.is_key or self.stream > 0
        return packet


def check_codec(codec: str | None, preset: str) -> str:
    """Give the encoder's name if it can work without delay, here and with this preset; raises SinkError."""
    name = codec or "libx264"
    encoder = find_encoder(name)
    if name not in _NO_DELAY:
        raise SinkError(f"{name} is no encoder for live streams: choose {', '.join(_NO_DELAY)}")
    if reason := why_not(name, encoder_options(encoder, crf=None, preset=preset, options=_NO_DELAY[name])):
        raise SinkError(f"{name} does not work with the preset {preset}: {reason}")
    return name


class LiveEncoder:
    """Encodes pictures of one size, 8-bit 4:2:0, each into a packet of its own; the time base is 1/90000."""

    def __init__(self, info: StreamInfo, *, codec: str, crf: float, preset: str, tag: str) -> None:
        self.key = _key(info)
        self.forced = False  # somebody waits for a key frame
        self._info = replace(info, time_base=Fraction(1, TICKS))
        plain = replace(self._info, space=ColorSpace(depth=8), chroma_shift=(1, 1))
        encoder = find_encoder(codec)
        options = encoder_options(encoder, crf=crf, preset=preset, options=_NO_DELAY[codec])
        self._layout, _ = choose_layout(encoder, plain, options)
        self._home = av.open(BytesIO(), "w", format="mpegts")  # only carries the streams: nothing is written to it
        self._video: VideoStream = self._home.add_stream(codec)  # type: ignore[assignment]  # by check_codec()
        context = self._video.codec_context
        threads = 1 if info.width * info.height < _SEVERAL_THREADS else None
        configure(context, self._info, self._layout, threads=threads, options=options)
        context.gop_size = 10 * round(context.framerate or 25)  # in case ours are not obeyed
        context.flags |= av.codec.context.Flags.global_header  # MP4 and RTSP need it apart
        sounds = _sounds(info)
        self._indices = {stream.index: number for number, stream in enumerate(sounds, 1)}
        copies = [self._home.add_stream_from_template(stream, opaque=True) for stream in sounds]
        try:
            self._home.start_encoding()
        except (av.FFmpegError, ValueError) as error:
            size = f"{info.width}x{info.height}"
            raise SinkError(f"{codec} cannot be opened for {size}: {getattr(error, 'strerror', error)}") from error
        self.edition = Edition(self._info, context.codec.canonical_name, (self._video, *copies), tag)
        self._begin = (context.extradata or b"") + _message(self.edition)
        self._last_key: int | None = None

    def fits(self, info: StreamInfo) -> bool:
        """Whether another session can go on with this encoder."""
        return self.key == _key(info)

    def encode(self, frame: Frame, pts: int, duration: int) -> Iterator[Encoded]:
        """Encode a picture; `pts` must rise."""
        picture = to_picture(frame, self._layout, time_base=self._info.time_base, pts=pts, duration=duration)
        since = None if self._last_key is None else (pts - self._last_key) / TICKS
        if since is None or since >= (KEY_AT_MOST if self.forced else KEY_EVERY):
            picture.pict_type = av.video.frame.PictureType.I
        return self._packets(picture, duration)

    def finish(self) -> Iterator[Encoded]:
        """Give what the encoder still holds."""
        return self._packets(None, 0)

    def carry(self, item: Passthrough, shift: Fraction) -> Iterator[Encoded]:
        """Take a packet of sound, later by `shift` seconds; nothing for what no output gets."""
        packet = item.packet
        stream = self._indices.get(packet.stream.index)
        if stream is None or packet.pts is None:
            return
        base = Fraction(packet.time_base)
        pts, dts = packet.pts, packet.pts if packet.dts is None else packet.dts
        moved = round(shift / base)
        duration = packet.duration or 0
        yield Encoded(self.edition, stream, bytes(packet), pts + moved, dts + moved, duration, base, is_key=False)

    def _packets(self, picture: av.VideoFrame | None, duration: int) -> Iterator[Encoded]:
        try:
            packets = self._video.encode(picture)
        except (av.FFmpegError, ValueError) as error:
            raise SinkError(f"{self._video.codec_context.name} cannot encode: {error}") from error
        for packet in packets:
            key, pts = packet.is_keyframe, packet.pts or 0
            if key:
                self._last_key, self.forced = pts, False
            data = self._begin + bytes(packet) if key else bytes(packet)
            dts = pts if packet.dts is None else packet.dts
            yield Encoded(self.edition, 0, data, pts, dts, packet.duration or duration, Fraction(1, TICKS), is_key=key)


def nal_units(data: bytes) -> list[bytes]:
    """Split a packet with start codes (ITU-T H.264, annex B)."""
    return [unit for unit in re.split(rb"\x00\x00\x00?\x01", data) if unit]


def _message(edition: Edition) -> bytes:
    """Make a NAL unit with unregistered user data (H.264, D.1.7): the tag, in every key frame of every output."""
    if not edition.tag:
        return b""
    payload = _OURS + edition.tag.encode()
    size = b"\xff" * (len(payload) // 255) + bytes([len(payload) % 255])
    return b"\x00\x00\x00\x01" + _SEI[edition.codec] + size + payload + b"\x80"


def _key(info: StreamInfo) -> tuple[object, ...]:
    """Give what must stay the same for an encoder to go on."""
    contexts = [(each.index, each.codec_context) for each in _sounds(info)]
    heard = tuple((at, each.name, each.sample_rate, each.layout.name, each.extradata) for at, each in contexts)
    space = (info.space.matrix, info.space.full_range)
    return info.width, info.height, space, info.tags, info.sample_aspect_ratio, heard


def _sounds(info: StreamInfo) -> "list[AudioStream]":
    return [stream for stream in info.copied if isinstance(stream, AudioStream) and stream.codec_context is not None]
