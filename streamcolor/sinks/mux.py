"""The sink that encodes frames and copies packets into a video file or a pipe."""

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from streamcolor.errors import SinkError
from streamcolor.frames import Device, DeviceFrame, Frame, Item, Passthrough, StreamInfo
from streamcolor.sinks import containers, encoders
from streamcolor.sinks.partial import PartialFile, Pipe
from streamcolor.sinks.pictures import Surfaces, to_picture
from streamcolor.sinks.streams import Copies, Waiting, file_metadata, video_metadata
from streamcolor.sinks.synthetic import tagged

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

_ERRORS = (av.FFmpegError, OSError, ValueError)  # ValueError: PyAV's word for what FFmpeg cannot do
_REFUSED = (av.ArgumentError, av.InvalidDataError)
_SHAPED = ("h264", "hevc", "mpeg4", "mpeg2video")  # codecs that state the shape of a pixel themselves


class MuxSink:
    """Writes .mp4 .mkv .mov .webm .ts, or Matroska (MPEG-TS where only that can be streamed) to standard output ("-").

    Luma reaches the encoder bit-exact unless the encoder cannot hold its depth, which `warnings` then says.
    Every stream, chapter and tag that the container can hold is copied; `warnings` names the others.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        codec: str | None = None,  # FFmpeg's encoder; None: the usual one for the container
        crf: float | None = 18,  # constant quality, for encoders that have it
        preset: str | None = "veryfast",  # speed, for encoders that know the word
        options: Mapping[str, str] | None = None,  # more of the encoder's options
        threads: int | None = None,  # of the encoder; None: one for each core that we may use
        overwrite: bool = False,
        tag: str = "",  # see synthetic_color()
        device: Device | None = None,  # what DeviceFrames lie on; an encoder that works there reads them there
    ) -> None:
        self._path, self._overwrite, self._tag = str(path), overwrite, tag
        self._crf, self._preset, self._options, self._threads = crf, preset, options or {}, threads
        self._muxer = containers.muxer_of(self._path)
        self._codec_name, self._device = codec, device
        self._surfaces: Surfaces | None = None
        self._file: PartialFile | Pipe | None = None
        self._output: OutputContainer | None = None
        self._waiting = Waiting()
        self._refused: Counter[str] = Counter()  # packets, by stream
        self._begun = False  # the encoder has given a packet
        self.warnings: tuple[str, ...] = ()

    def open(self, info: StreamInfo) -> None:
        """Choose the encoder's settings, create the file, declare every stream."""
        if self._path == "-" and any(_is_adts(stream) for stream in info.copied):
            self._muxer = "mpegts"
        suffix = containers.suffix_of(self._muxer)
        codec = encoders.find_encoder(self._codec_name or containers.default_codec(suffix, info.space.depth))
        if not containers.holds_codec(self._muxer, codec.name):
            able = [name for name in encoders.known_encoders() if containers.holds_codec(self._muxer, name)]
            raise SinkError(f"{suffix} cannot hold {codec.name}; it can hold {', '.join(able)}")
        options = encoders.encoder_options(codec, crf=self._crf, preset=self._preset, options=self._options)
        self._layout, warnings = encoders.choose_layout(codec, info, options)
        self._info, self._clock = info, Clock(info.time_base, containers.TICKS.get(self._muxer))
        self._duration = max(1, round(1 / (info.rate * info.time_base))) if info.rate > 0 else 0
        self._file = Pipe() if self._path == "-" else PartialFile(Path(self._path), overwrite=self._overwrite)
        self._output = containers.open_muxer(self._file.ffmpeg, self._muxer)
        if self._device is not None and info.on_device and encoders.takes(codec, self._device.surface):
            self._surfaces = Surfaces(self._device)
        self._video = self._add_video(self._output, codec, options)
        self._output.metadata.update(tagged(file_metadata(info.metadata), self._tag, self._muxer))
        self._copies = Copies(self._output, info, self._muxer)
        self.warnings = (*warnings, *self._shape_warnings(codec), *self._copies.warnings)

    def write(self, item: Item) -> None:
        """Encode a frame, or keep a packet until the video has reached it."""
        assert self._output is not None
        if isinstance(item, Passthrough):
            stream = self._copies.find(item.packet)
            if stream is not None:
                item.packet.stream = stream
                self._waiting.add(item.packet)
        else:
            self._check(item)
            pts = self._clock.place(item.pts)
            packets = self._encode(self._picture(item, pts))
            self._begun = self._begun or bool(packets)
            self._mux_video(packets)

    def finish(self) -> None:
        """Write what the encoder still holds and the index, and give the file its name."""
        assert self._output is not None
        assert self._file is not None
        packets = self._encode(None)
        if not self._begun:
            encoders.repair_order(self._video.codec_context, packets)
        self._mux_video(packets)
        if self._clock.last is None:
            raise SinkError(f"cannot write {self._path}: not one picture arrived")
        self._mux_copied(float("inf"))
        try:
            self._output.close()
        except _ERRORS as error:
            raise self._failed(error) from error
        self._file.keep()
        self.warnings += tuple(
            f"{count} packets of {stream} left out: damaged, or their times go back"
            for stream, count in self._refused.items()
        )
        if self._clock.moved:
            suffix, step = containers.suffix_of(self._muxer), float(self._clock.tick * 1000)
            moved = f"{self._clock.moved} frames shown later: {suffix} counts time in steps of {step:.3g} ms"
            self.warnings += (f"{moved}, and two would have been shown at once; .mp4 can keep the exact times",)

    def close(self) -> None:
        """Release the encoder and the file; remove a file that was not finished."""
        output, self._output = self._output, None
        if output is not None:
            with contextlib.suppress(*_ERRORS):  # the trailer of a file that is removed below
                output.close()
        if self._file is not None:
            self._file.discard()

    def _add_video(self, output: "OutputContainer", codec: av.Codec, options: Mapping[str, str]) -> "VideoStream":
        hwaccel = None if self._surfaces is None else self._surfaces.hwaccel
        video: VideoStream = output.add_stream(codec.name, hwaccel=hwaccel)  # type: ignore[assignment]  # find_encoder() checked it
        info = self._info
        layout = self._layout if self._surfaces is None else replace(self._layout, name="nv12")
        encoders.configure(video.codec_context, info, layout, threads=self._threads, options=options)
        try:
            video.codec_context.open()
        except _ERRORS as error:
            given = " ".join(f"{name}={value}" for name, value in options.items())
            raise SinkError(
                f"{codec.name} cannot be opened for {info.width}x{info.height} {self._layout.name}"
                f" with {given or 'no options'}: {_reason(error)}"
            ) from error
        unknown = [name for name in self._options if name in video.codec_context.options]
        if unknown:
            raise SinkError(f"{codec.name} has no option {', '.join(unknown)}")
        if info.display_matrix:
            video.set_display_matrix(info.display_matrix)
        video.metadata.update(video_metadata(info.video))
        if info.video is not None:
            video.disposition = info.video.disposition
        return video

    def _shape_warnings(self, codec: av.Codec) -> Iterable[str]:
        """Name what cannot be said about the shape of the picture."""
        # Unless the bit stream says it, Matroska needs a field of the stream that PyAV does not reach.
        silent = self._muxer in ("matroska", "webm") and codec.canonical_name not in _SHAPED
        if self._info.sample_aspect_ratio not in (0, 1) and silent:
            ratio = self._info.sample_aspect_ratio
            yield f"pixel shape {ratio.numerator}:{ratio.denominator} is lost with {codec.name} here; .mp4 can keep it"
        if self._info.display_matrix and self._muxer == "mpegts":
            yield "rotation is lost: .ts cannot hold it; .mp4 and .mkv can"

    def _picture(self, frame: Frame, pts: int) -> av.VideoFrame:
        time_base, duration = self._info.time_base, self._duration
        if self._surfaces is not None and isinstance(frame, DeviceFrame):
            return self._surfaces(frame, time_base=time_base, pts=pts, duration=duration)
        return to_picture(frame, self._layout, time_base=time_base, pts=pts, duration=duration)

    def _check(self, frame: Frame) -> None:
        info = self._info
        height, width = frame.luma.shape
        if (width, height, frame.space.depth) != (info.width, info.height, info.space.depth):
            raise SinkError(
                f"cannot write {self._path}: a picture of {width}x{height} with {frame.space.depth} bits among those of"
                f" {info.width}x{info.height} with {info.space.depth}; write pictures into a folder"
            )

    def _encode(self, picture: av.VideoFrame | None) -> "list[av.Packet[Any]]":
        try:
            return self._video.encode(picture)
        except _ERRORS as error:
            raise SinkError(f"{self._video.codec_context.name} cannot encode: {_reason(error)}") from error

    def _mux_video(self, packets: "Iterable[av.Packet[Any]]") -> None:
        for packet in packets:
            seconds = (packet.dts or 0) * float(packet.time_base)
            self._mux(packet)
            self._mux_copied(seconds)

    def _mux_copied(self, seconds: float) -> None:
        """Write what is due, but for packets whose times go back or whose content is damaged: FFmpeg refuses them."""
        for packet in self._waiting.until(seconds):
            stream = packet.stream
            try:
                self._mux(packet)
            except SinkError as error:
                if not isinstance(error.__cause__, _REFUSED):
                    raise
                self._refused[f"{stream.type} stream {stream.index}"] += 1

    def _mux(self, packet: "av.Packet[Any]") -> None:
        assert self._output is not None
        try:
            self._output.mux_one(packet)
        except _ERRORS as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> SinkError:
        return SinkError(f"cannot write {self._path}: {_reason(error)}")


class Clock:
    """Keeps time stamps apart that a container's coarser ticks would join."""

    def __init__(self, time_base: Fraction, tick: Fraction | None) -> None:
        self.tick = tick if tick is not None and tick > time_base else time_base
        self.moved = 0
        self._ratio = time_base / self.tick  # ticks in a step of pts
        self.last: int | None = None  # in ticks

    def place(self, pts: int) -> int:
        """Return the pts to use, in the same time base: nearly always `pts` itself."""
        ratio = self._ratio
        tick = (2 * pts * ratio.numerator + ratio.denominator) // (2 * ratio.denominator)  # as FFmpeg rounds
        if self.last is not None and tick <= self.last and self._ratio < 1:
            tick = self.last + 1
            pts = -((1 - 2 * tick) * ratio.denominator // (2 * ratio.numerator))  # the first that rounds to it
            self.moved += 1
        self.last = tick
        return pts


def _is_adts(stream: "Stream") -> bool:
    """Whether this is AAC as in MPEG-TS; Matroska learns what it must say of it too late for its beginning."""
    return stream.name == "aac" and not stream.codec_context.extradata


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
